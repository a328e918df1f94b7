//! What comes out.

#[cfg(feature = "piano")]
use std::io::Cursor;
use std::mem::offset_of;
use std::ptr;

use vmt::{Composition, STEPS_PER_SECOND};
use vmt_render::{Provenance, Record};

use crate::bytes::vmt_bytes;
use crate::compose::nanoseconds;
use crate::pointers;
use crate::status::{Failure, guard, vmt_status};

/// The takes that were composed side by side, the best first.
pub struct vmt_composition {
    takes: Vec<(Composition, Vec<vmt_note>)>,
    provenance: Provenance,
}

/// A note.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct vmt_note {
    /// When the key goes down, in seconds; whole hundredths.
    pub start: f64,
    /// When it comes up.
    pub end: f64,
    /// The MIDI number of the key, 21-108.
    pub pitch: u8,
    /// The MIDI velocity, 1-127.
    pub velocity: u8,
}

/// How a take was composed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vmt_info {
    /// The size of this struct.
    pub struct_size: usize,
    /// How long the music is, in nanoseconds.
    pub duration_ns: u64,
    /// Number of notes.
    pub notes: usize,
    /// Number of events that were decoded.
    pub events: usize,
    /// Which of the takes it is, from 0, in the order in which they were begun.
    pub take: u32,
    /// 1 if the film's end was reached, 0 if composing was stopped.
    pub complete: u32,
    /// The mean natural logarithm of the model's probability of an event.
    pub log_probability: f64,
    /// What takes are sorted by: typicality (how near -log_probability is to what the model expects) less penalties for repetition, silence and density.
    pub rank: f64,
    /// Beats a minute: of the click track, nominally, or as MIDI counts.
    pub bpm: f64,
}

/// The size of the first version.
const OLDEST: usize = offset_of!(vmt_info, bpm) + size_of::<f64>();

const DEFAULT: vmt_info = vmt_info {
    struct_size: size_of::<vmt_info>(),
    duration_ns: 0,
    notes: 0,
    events: 0,
    take: 0,
    complete: 0,
    log_probability: 0.0,
    rank: 0.0,
    bpm: 0.0,
};

/// An info to be filled in.
#[unsafe(no_mangle)]
pub extern "C" fn vmt_info_default() -> vmt_info {
    DEFAULT
}

/// What music can become.
#[repr(u32)]
#[derive(Clone, Copy, Debug)]
pub enum vmt_format {
    /// A MIDI file, with bars, key and hit points of the click track where there is one.
    VMT_FORMAT_MIDI = 0,
    /// A record of how the music was made, which `vmt compose --from` renders again.
    VMT_FORMAT_JSON = 1,
    /// A score for two hands.
    VMT_FORMAT_MUSICXML = 2,
    /// A piano roll as SVG.
    VMT_FORMAT_SVG = 3,
    /// The same as PNG.
    VMT_FORMAT_PNG = 4,
    /// A grand piano, 16-bit stereo at 48 kHz, at most 6 hours. A minute takes 35 MB of memory meanwhile.
    VMT_FORMAT_WAV = 5,
}

impl vmt_composition {
    pub(crate) fn new(takes: Vec<Composition>, provenance: Provenance) -> Self {
        let seconds = |step: u32| f64::from(step) / f64::from(STEPS_PER_SECOND);
        let notes = |take: &Composition| {
            let notes = take.score.notes().iter().map(|note| vmt_note {
                start: seconds(note.start),
                end: seconds(note.end),
                pitch: note.pitch.get(),
                velocity: note.velocity,
            });
            notes.collect()
        };
        let with_notes = |take: Composition| {
            let notes = notes(&take);
            (take, notes)
        };
        Self { takes: takes.into_iter().map(with_notes).collect(), provenance }
    }

    fn take(&self, index: usize) -> Result<&(Composition, Vec<vmt_note>), Failure> {
        let wrong = || Failure::invalid(format!("take must be below {}, but is {index}", self.takes.len()));
        self.takes.get(index).ok_or_else(wrong)
    }

    fn render(&self, index: usize, format: u32) -> Result<Vec<u8>, Failure> {
        let (Composition { score, take, .. }, _) = self.take(index)?;
        let conductor = self.provenance.conductor();
        let conductor = conductor.as_ref();
        Ok(match format {
            0 => self.provenance.midi(score)?,
            1 => Record::new(score, Provenance { take: *take, ..self.provenance.clone() }).to_json()?.into(),
            2 => self.provenance.musicxml(score).into(),
            3 => vmt_render::piano_roll_svg(score, None, conductor)?.into(),
            4 => vmt_render::piano_roll_png(score, None, conductor)?,
            #[cfg(feature = "piano")]
            5 => {
                let mut wav = Vec::new();
                vmt_render::wav(score, &vmt_render::SoundFont::piano(), Cursor::new(Vec::new()), &mut wav)?;
                wav
            }
            #[cfg(not(feature = "piano"))]
            5 => {
                let reason = "this library was built without a piano: its feature `piano` is off";
                return Err(Failure::new(vmt_status::VMT_UNSUPPORTED, reason));
            }
            other => return Err(Failure::invalid(format!("format must be a vmt_format, 0-5, but is {other}"))),
        })
    }
}

/// How many takes there are; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_composition_takes(composition: *const vmt_composition) -> usize {
    // SAFETY: the header's contract.
    unsafe { composition.as_ref() }.map_or(0, |composition| composition.takes.len())
}

/// Fills in how a take was composed; take 0 is the best. The struct's size must be set, as vmt_info_default() does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_composition_info(
    composition: *const vmt_composition,
    take: usize,
    info: *mut vmt_info,
) -> vmt_status {
    guard(|| {
        // SAFETY: the header's contract.
        let struct_size = unsafe { pointers::size(info, OLDEST, "vmt_info")? };
        // SAFETY: the header's contract.
        let composition = unsafe { pointers::get(composition, "composition")? };
        let (take, notes) = composition.take(take)?;
        let filled = vmt_info {
            struct_size,
            duration_ns: nanoseconds(take.score.duration()),
            notes: notes.len(),
            events: take.events,
            take: take.take as u32,
            complete: take.complete.into(),
            log_probability: take.log_probability,
            rank: take.rank.total(),
            bpm: composition.provenance.tempo,
        };
        // SAFETY: the caller's struct has so many bytes, which is no more than ours.
        unsafe { ptr::copy_nonoverlapping((&raw const filled).cast::<u8>(), info.cast(), struct_size) };
        Ok(())
    })
}

/// Where the notes of a take are, in the order of their beginnings, until the composition is freed, and how many; take 0 is the
/// best.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_composition_notes(
    composition: *const vmt_composition,
    take: usize,
    notes: *mut *const vmt_note,
    count: *mut usize,
) -> vmt_status {
    guard(|| {
        // SAFETY: the header's contract.
        let (out, count) = unsafe { (pointers::get_mut(notes, "notes")?, pointers::get_mut(count, "count")?) };
        (*out, *count) = (ptr::null(), 0);
        // SAFETY: the header's contract.
        let (_, notes) = unsafe { pointers::get(composition, "composition")? }.take(take)?;
        (*out, *count) = (notes.as_ptr(), notes.len());
        Ok(())
    })
}

/// Renders a take as a vmt_format; take 0 is the best. VMT_UNSUPPORTED: the library was built without it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_composition_render(
    composition: *const vmt_composition,
    take: usize,
    format: u32,
    out: *mut *mut vmt_bytes,
) -> vmt_status {
    guard(|| {
        // SAFETY: the header's contract.
        let (out, composition) = unsafe { (pointers::out(out)?, pointers::get(composition, "composition")?) };
        *out = pointers::give(vmt_bytes(composition.render(take, format)?));
        Ok(())
    })
}

/// Frees a composition and its notes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_composition_free(composition: *mut *mut vmt_composition) {
    // SAFETY: the header's contract.
    unsafe { pointers::free(composition) }
}
