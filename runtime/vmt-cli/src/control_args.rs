//! The options of `vmt compose` that limit which notes may be played.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use anyhow::{Context, Result};
use vmt::{Controls, Key, Pitch, Scale, Score};

use crate::usage::{self, count};

/// Which notes may be played
#[derive(clap::Args)]
#[command(next_help_heading = "Controls")]
pub struct ControlArgs {
    /// Play only notes from LOW to HIGH, such as C3-C6 or 48-84, within A0-C8
    #[arg(long, value_name = "LOW-HIGH", value_parser = pitches)]
    pitch_range: Option<RangeInclusive<u8>>,
    /// Play only velocities from LOW to HIGH, within 1-127
    #[arg(long, value_name = "LOW-HIGH", value_parser = range)]
    velocity_range: Option<RangeInclusive<u8>>,
    /// Hold at most N notes at once, 1-88; without a limit, long pieces can become ever denser [default: 12, or none if
    /// --unconstrained]
    #[arg(long, value_name = "N", value_parser = count(88))]
    max_polyphony: Option<NonZeroUsize>,
    /// The key. NOTE: only notes of the scale on this tonic (C, F#, Bb, ...) are played. auto: the model is told a key, and
    /// keeps to it as music does; that of the --primer, or one drawn by the --seed. off: it is told none [default: auto for
    /// a model with conditions, else off]
    #[arg(long, value_name = "auto|off|NOTE")]
    key: Option<String>,
    /// The scale on --key: major, minor, harmonic-minor, melodic-minor, dorian, phrygian, lydian, mixolydian, locrian,
    /// pentatonic, minor-pentatonic, blues or whole-tone [default: major]
    #[arg(long, value_name = "NAME", requires = "key")]
    scale: Option<String>,
    /// Aim at N notes per second, above 0 and at most 100
    #[arg(long, value_name = "N")]
    density: Option<f64>,
}

impl ControlArgs {
    /// The limits, checked. Without the grammar there is no default: a limit that was asked for is an error there.
    pub fn controls(&self, unconstrained: bool) -> Result<Controls> {
        let tonic = self.key.as_deref().filter(|key| !["auto", "off"].contains(key));
        usage::ensure(tonic.is_some() || self.scale.is_none(), "--scale: needs a tonic, such as --key C")?;
        let scale = |key| format!("{key} {}", self.scale.as_deref().unwrap_or("major")).parse();
        let controls = Controls::default()
            .with_pitches(self.pitch_range.clone())
            .with_velocities(self.velocity_range.clone())
            .with_polyphony(self.max_polyphony.or((!unconstrained).then_some(Controls::USUAL_POLYPHONY)))
            .with_scale(tonic.map(scale).transpose()?)
            .with_density(self.density);
        controls.validate()?;
        Ok(controls)
    }

    /// Whether a key is to be told to the model, which then must have conditions.
    pub fn tells_key(&self) -> bool {
        self.key.as_deref() == Some("auto")
    }

    /// The key that a model with conditions is told, where `scale` is what the music is held to, and `primer` what it begins
    /// with.
    pub fn told_key(&self, scale: Option<Scale>, primer: &Score, seed: u64) -> Option<Key> {
        match self.key.as_deref() {
            None | Some("auto") => Some(Key::of_beginning(primer, seed)),
            _ => scale?.key(),
        }
    }
}

fn pitches(text: &str) -> Result<RangeInclusive<u8>> {
    let (low, high) = ends(text)?;
    Ok(low.parse::<Pitch>()?.get()..=high.parse::<Pitch>()?.get())
}

fn range(text: &str) -> Result<RangeInclusive<u8>> {
    let (low, high) = ends(text)?;
    let velocity = |text: &str| text.parse().context("it must be LOW-HIGH, whole numbers within 1-127");
    Ok(velocity(low)?..=velocity(high)?)
}

fn ends(text: &str) -> Result<(&str, &str)> {
    text.split_once('-').context("it must be LOW-HIGH")
}
