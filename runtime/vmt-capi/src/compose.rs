//! Composing.

use std::time::Duration;

use vmt::{Event, Key, Played, Window};
use vmt_render::{Film, HitPoint, Provenance};

use crate::composer::vmt_composer;
use crate::composition::vmt_composition;
use crate::film::vmt_film;
use crate::options::vmt_options;
use crate::pointers;
use crate::status::{Failure, guard, vmt_status};

/// What an event is.
#[repr(u32)]
#[derive(Clone, Copy, Debug)]
pub enum vmt_event_kind {
    /// A key goes down; value is its MIDI number, 21-108.
    VMT_EVENT_NOTE_ON = 0,
    /// A key comes up; value is its MIDI number.
    VMT_EVENT_NOTE_OFF = 1,
    /// Time goes on; value is by how many steps of 10 ms, 1-100.
    VMT_EVENT_TIME_SHIFT = 2,
    /// The velocity of the notes that follow; value is that of MIDI, 1-127.
    VMT_EVENT_VELOCITY = 3,
    /// The model's window is over. Value is 0.
    VMT_EVENT_END = 4,
    /// Nothing; without the grammar only. Value is 0.
    VMT_EVENT_PAD = 5,
}

/// An event of a take.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vmt_event {
    /// The size of this struct.
    pub struct_size: usize,
    /// When in the film, in nanoseconds; of a pause, when it is over.
    pub time_ns: u64,
    /// Which of the takes, from 0, in the order in which they were begun.
    pub take: u32,
    /// A vmt_event_kind.
    pub kind: u32,
    /// What that says.
    pub value: u32,
}

impl From<Played> for vmt_event {
    fn from(played: Played) -> Self {
        use vmt_event_kind::{
            VMT_EVENT_END, VMT_EVENT_NOTE_OFF, VMT_EVENT_NOTE_ON, VMT_EVENT_PAD, VMT_EVENT_TIME_SHIFT,
            VMT_EVENT_VELOCITY,
        };
        let (kind, value) = match played.event {
            Event::NoteOn(pitch) => (VMT_EVENT_NOTE_ON, pitch.get()),
            Event::NoteOff(pitch) => (VMT_EVENT_NOTE_OFF, pitch.get()),
            Event::TimeShift(shift) => (VMT_EVENT_TIME_SHIFT, shift.get()),
            Event::Velocity(bin) => (VMT_EVENT_VELOCITY, bin.velocity()),
            Event::End => (VMT_EVENT_END, 0),
            Event::Pad => (VMT_EVENT_PAD, 0),
        };
        Self {
            struct_size: size_of::<Self>(),
            time_ns: nanoseconds(played.time),
            take: played.take as u32,
            kind: kind as u32,
            value: value.into(),
        }
    }
}

/// Centuries, at most.
pub fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// Composes for a film, or, where that is NULL, music of vmt_options.duration_ns for no film; NULL options are the defaults.
///
/// VMT_CANCELLED: the callback or the cancellation stopped it, within one step of the model. Then out holds the music so far,
/// which the caller frees. VMT_INVALID: an option is out of its range, the film is empty, or it was made for another bundle.
/// VMT_ENGINE: the engine failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_compose(
    composer: *const vmt_composer,
    film: *const vmt_film,
    options: *const vmt_options,
    out: *mut *mut vmt_composition,
) -> vmt_status {
    guard(|| {
        // SAFETY: the header's contract.
        let (out, composer, film) =
            unsafe { (pointers::out(out)?, pointers::get(composer, "composer")?, film.as_ref()) };
        // SAFETY: the header's contract.
        let options = unsafe { vmt_options::read(options)? };
        // SAFETY: the header's contract.
        let (composition, cancelled) = unsafe { compose(composer, film, &options)? };
        *out = pointers::give(composition);
        if cancelled {
            return Err(Failure::new(vmt_status::VMT_CANCELLED, "the caller stopped composing"));
        }
        Ok(())
    })
}

/// The music, and whether it was stopped before its end.
///
/// # Safety
///
/// The pointers in `wanted` are null or what they should be.
unsafe fn compose(
    composer: &vmt_composer,
    film: Option<&vmt_film>,
    wanted: &vmt_options,
) -> Result<(vmt_composition, bool), Failure> {
    let vmt_composer { composer, model, conditioned, .. } = composer;
    let geometry = composer.engine().geometry();
    let duration = film.map_or(Duration::from_nanos(wanted.duration_ns), |vmt_film(film)| film.duration());
    if film.is_some_and(|vmt_film(film)| film.geometry() != geometry) {
        return Err(Failure::invalid("the film must be made for this composer's bundle, but is for another"));
    }
    if duration.is_zero() {
        return Err(Failure::invalid("there must be a film with frames that last, or duration_ns without a film"));
    }
    // SAFETY: as above.
    let mut options = unsafe { wanted.options()? };
    let found = film.and_then(|vmt_film(film)| film.hits());
    let click = wanted.choice()?.click(found, Vec::new(), Some(duration), *conditioned)?;
    options.conditions = click.conditions.clone();
    if *conditioned {
        let key = options.controls.scale.map_or_else(|| Some(Key::drawn(wanted.seed)), |scale| scale.key());
        options.conditions.keys = key.map(|key| (0, Some(key))).into_iter().collect();
    }
    let beats = !options.conditions.beats.is_empty();
    options.quantize = beats && wanted.quantize != 0 && !options.unconstrained;
    options.cadence = beats && !options.unconstrained;
    let name = if wanted.film_name.is_null() {
        "-"
    } else {
        // SAFETY: as above.
        unsafe { pointers::text(wanted.film_name, "film_name")? }
    };

    let hop = options.hop(&geometry);
    let windows: Box<dyn Iterator<Item = vmt::Result<Window>>> = match film {
        Some(vmt_film(film)) => Box::new(film.windows(hop)),
        None => Box::new(Window::without_video(duration, geometry, hop)),
    };
    let mut piece = composer.piece(windows, &options, wanted.takes()?)?;
    // SAFETY: as above.
    let cancellation = unsafe { wanted.cancellation.as_ref() };
    let mut cancelled = false;
    loop {
        cancelled |= cancellation.is_some_and(|cancellation| cancellation.is_cancelled());
        if cancelled {
            break;
        }
        let Some(played) = piece.next().transpose()? else { break };
        if let Some(on_event) = wanted.on_event {
            // SAFETY: as above.
            cancelled = unsafe { on_event(&played.into(), wanted.user) } != 0;
        }
    }
    let takes = piece.finish();
    options.conditions.end_beats(takes[0].score.duration());
    let provenance = Provenance {
        vmt: env!("CARGO_PKG_VERSION").to_owned(),
        model: model.clone(),
        engine: composer.engine().name(),
        film: Film::Video(name.into()),
        start: 0.0,
        end: None,
        options,
        takes: takes.len(),
        take: 0,
        tempo: click.bpm.unwrap_or(120.0),
        snapped: false,
        hits: HitPoint::all(&click),
    };
    Ok((vmt_composition::new(takes, provenance), cancelled))
}
