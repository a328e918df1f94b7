//! How to compose.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::num::NonZeroUsize;
use std::ptr;

use vmt::click::{Choice, TempoChoice};
use vmt::{Controls, Options, Sampling, Tempo};

use crate::cancellation::vmt_cancellation;
use crate::compose::vmt_event;
use crate::pointers;
use crate::status::Failure;

/// vmt_options.bpm: tempo and beats are chosen such that the film's cuts fall on beats, and its end on a downbeat.
pub const VMT_TEMPO_AUTO: f64 = 0.0;
/// vmt_options.bpm: no beats.
pub const VMT_TEMPO_OFF: f64 = -1.0;

/// Is told each event as it is decoded, on the thread that composes, with vmt_options.user. Another value than 0 stops
/// composing. It must return, and must not throw.
pub type vmt_event_fn = Option<unsafe extern "C" fn(event: *const vmt_event, user: *mut c_void) -> i32>;

/// How to compose.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vmt_options {
    /// The size of this struct.
    pub struct_size: usize,
    /// Seed of the random numbers: 0. The same seed, film, bundle, engine and options give the same music.
    pub seed: u64,
    /// Softmax temperature, 0-100; 0 always takes the most probable event. The default is vmt's own.
    pub temperature: f32,
    /// Sample from the most probable events that together reach this probability, above 0 and at most 1. The default is vmt's own.
    pub top_p: f32,
    /// Sample from so many of the most probable events only, at most 310; 0, the default: from all.
    pub top_k: u32,
    /// Scale of classifier-free guidance, 0-10: 1. 0 ignores the film, more than 1 exaggerates its influence.
    pub guidance: f32,
    /// Pieces that are composed side by side, 1-1024: 1. The best comes first.
    pub takes: u32,
    /// At most so many notes at once, 1-88: 12; 0: no limit.
    pub max_polyphony: u32,
    /// Only notes from this one on, 21-108; 0, the default: from 21 on.
    pub pitch_low: u8,
    /// Only notes up to this one, 21-108; 0, the default: up to 108.
    pub pitch_high: u8,
    /// Only velocities from this one on, 1-127; 0, the default: from 1 on.
    pub velocity_low: u8,
    /// Only velocities up to this one, 1-127; 0, the default: up to 127.
    pub velocity_high: u8,
    /// Not 0: sample without the grammar that keeps the music playable; max_polyphony must be 0 then. The default is 0.
    pub unconstrained: u8,
    /// Not 0, the default: notes begin on sixteenths of the beats, where there are beats.
    pub quantize: u8,
    /// Not 0, the default: the music is dense and loud where the picture changes much. For bundles with conditions.
    pub follow_film: u8,
    /// Beats in a bar, 3 or 4; 0, the default: 4, or chosen with VMT_TEMPO_AUTO.
    pub beats_per_bar: u8,
    /// Only notes of this scale, such as "F# minor"; NULL, the default: of any, in a key that the seed draws.
    pub scale: *const c_char,
    /// Notes a second to aim at, above 0 and at most 100; 0, the default: as the model likes.
    pub density: f64,
    /// Beats a minute, 20-400, VMT_TEMPO_AUTO, the default, or VMT_TEMPO_OFF. Bundles without conditions play to no beats: there
    /// it is how MIDI and MusicXML count, 120 by default.
    pub bpm: f64,
    /// Without a film: how long the music is to be, in nanoseconds.
    pub duration_ns: u64,
    /// The film's name in VMT_FORMAT_JSON, a path; NULL, the default: "-".
    pub film_name: *const c_char,
    /// Is told each event; NULL, the default: nobody is.
    pub on_event: vmt_event_fn,
    /// Is handed to on_event.
    pub user: *mut c_void,
    /// Stops composing from another thread; NULL, the default: nobody does.
    pub cancellation: *const vmt_cancellation,
}

/// The size of the first version.
const OLDEST: usize = offset_of!(vmt_options, cancellation) + size_of::<*const vmt_cancellation>();

fn default() -> vmt_options {
    let sampling = Sampling::default();
    vmt_options {
        struct_size: size_of::<vmt_options>(),
        seed: sampling.seed,
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        top_k: 0,
        guidance: Options::default().guidance,
        takes: 1,
        max_polyphony: Controls::USUAL_POLYPHONY.get() as u32,
        pitch_low: 0,
        pitch_high: 0,
        velocity_low: 0,
        velocity_high: 0,
        unconstrained: 0,
        quantize: 1,
        follow_film: 1,
        beats_per_bar: 0,
        scale: ptr::null(),
        density: 0.0,
        bpm: VMT_TEMPO_AUTO,
        duration_ns: 0,
        film_name: ptr::null(),
        on_event: None,
        user: ptr::null_mut(),
        cancellation: ptr::null(),
    }
}

/// The defaults, which the fields' comments give.
#[unsafe(no_mangle)]
pub extern "C" fn vmt_options_default() -> vmt_options {
    default()
}

impl vmt_options {
    /// # Safety
    ///
    /// As [`pointers::sized`]; null is the default.
    pub(crate) unsafe fn read(pointer: *const Self) -> Result<Self, Failure> {
        if pointer.is_null() {
            return Ok(default());
        }
        // SAFETY: as above; the struct is `repr(C)`. Any bits are numbers and pointers, and a function that is not null is the
        // caller's promise.
        unsafe { pointers::sized(pointer, OLDEST, default(), "vmt_options") }
    }

    /// The number of takes.
    pub(crate) fn takes(&self) -> Result<NonZeroUsize, Failure> {
        NonZeroUsize::new(self.takes as usize).ok_or_else(|| Failure::invalid("takes must be 1-1024, but are 0"))
    }

    /// The library's options, but for the conditions.
    ///
    /// # Safety
    ///
    /// `scale` is null or text.
    pub(crate) unsafe fn options(&self) -> Result<Options, Failure> {
        let range = |low, high, [least, most]: [u8; 2]| {
            let or = |value, other| if value == 0 { other } else { value };
            (low != 0 || high != 0).then(|| or(low, least)..=or(high, most))
        };
        let scale = if self.scale.is_null() {
            None
        } else {
            // SAFETY: as above.
            Some(unsafe { pointers::text(self.scale, "scale")? }.parse()?)
        };
        let controls = Controls::default()
            .with_pitches(range(self.pitch_low, self.pitch_high, [21, 108]))
            .with_velocities(range(self.velocity_low, self.velocity_high, [1, 127]))
            .with_polyphony(NonZeroUsize::new(self.max_polyphony as usize))
            .with_scale(scale)
            .with_density((self.density != 0.0).then_some(self.density));
        let sampling = Sampling::default()
            .with_seed(self.seed)
            .with_temperature(self.temperature)
            .with_top_p(self.top_p)
            .with_top_k(NonZeroUsize::new(self.top_k as usize));
        Ok(Options::default()
            .with_sampling(sampling)
            .with_guidance(self.guidance)
            .with_unconstrained(self.unconstrained != 0)
            .with_controls(controls))
    }

    /// The tempo in beats a minute, if it is given.
    fn bpm(&self) -> Result<Option<f64>, Failure> {
        if [VMT_TEMPO_AUTO, VMT_TEMPO_OFF].contains(&self.bpm) {
            return Ok(None);
        }
        Tempo::new(self.bpm)?;
        Ok(Some(self.bpm))
    }

    fn per_bar(&self) -> Result<Option<u8>, Failure> {
        match self.beats_per_bar {
            0 => Ok(None),
            beats @ 3..=4 => Ok(Some(beats)),
            other => Err(Failure::invalid(format!("beats_per_bar must be 3, 4 or 0, but is {other}"))),
        }
    }

    /// What is chosen of the click track.
    pub(crate) fn choice(&self) -> Result<Choice, Failure> {
        let tempo = match (self.bpm()?, self.bpm == VMT_TEMPO_OFF) {
            (Some(bpm), _) => TempoChoice::Bpm(bpm),
            (None, true) => TempoChoice::Off,
            (None, false) => TempoChoice::Auto,
        };
        Ok(Choice { tempo, beats_per_bar: self.per_bar()?, follow_film: self.follow_film != 0 })
    }
}
