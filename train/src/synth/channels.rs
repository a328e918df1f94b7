//! The channels: what pictures show of the music.

use std::str::FromStr;

use anyhow::{Result, bail};

use super::rng::Rng;

/// What a scene shows of its music.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Limbs and light hit on notes.
    pub onset: bool,
    /// Speed is the number of notes.
    pub density: bool,
    /// Size and contrast are velocity.
    pub loudness: bool,
    /// Height is pitch.
    pub register: bool,
    /// Palette is mode.
    pub mode: bool,
    /// Bounce is the beat.
    pub beat: bool,
    /// Sway is the bar.
    pub bar: bool,
    /// Cuts are phrases.
    pub phrase: bool,
    /// Stillness is silence.
    pub silence: bool,
}

impl Channels {
    /// Everything.
    pub fn all() -> Self {
        Self::each(|| true)
    }

    /// Nothing: the picture says nothing of the music.
    pub fn none() -> Self {
        Self::each(|| false)
    }

    /// The name of each channel, with everything but that channel.
    pub fn all_but_one() -> [(&'static str, Self); 9] {
        let all = Self::all();
        [
            ("onset", Self { onset: false, ..all }),
            ("density", Self { density: false, ..all }),
            ("loudness", Self { loudness: false, ..all }),
            ("register", Self { register: false, ..all }),
            ("mode", Self { mode: false, ..all }),
            ("beat", Self { beat: false, ..all }),
            ("bar", Self { bar: false, ..all }),
            ("phrase", Self { phrase: false, ..all }),
            ("silence", Self { silence: false, ..all }),
        ]
    }

    /// In one case of ten nothing, else each channel with probability 3/4, so that no model relies on one.
    pub fn drawn(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        if rng.chance(0.1) { Self::none() } else { Self::each(|| rng.chance(0.75)) }
    }

    fn each(mut on: impl FnMut() -> bool) -> Self {
        Self {
            onset: on(),
            density: on(),
            loudness: on(),
            register: on(),
            mode: on(),
            beat: on(),
            bar: on(),
            phrase: on(),
            silence: on(),
        }
    }
}

/// Names of channels with commas between, or `all` or `none`.
impl FromStr for Channels {
    type Err = anyhow::Error;

    fn from_str(names: &str) -> Result<Self> {
        let mut channels = Self::none();
        for name in names.split(',') {
            let channel = match name {
                "all" => {
                    channels = Self::all();
                    continue;
                }
                "none" => continue,
                "onset" => &mut channels.onset,
                "density" => &mut channels.density,
                "loudness" => &mut channels.loudness,
                "register" => &mut channels.register,
                "mode" => &mut channels.mode,
                "beat" => &mut channels.beat,
                "bar" => &mut channels.bar,
                "phrase" => &mut channels.phrase,
                "silence" => &mut channels.silence,
                _ => bail!(
                    "must be all, none, or some of onset, density, loudness, register, mode, beat, bar, phrase and \
                     silence with commas between, but there is `{name}`"
                ),
            };
            *channel = true;
        }
        Ok(channels)
    }
}
