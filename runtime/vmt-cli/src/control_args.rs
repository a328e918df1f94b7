//! The options of `vmt compose` that limit which notes may be played.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use anyhow::{Context, Result};
use vmt::{Controls, Pitch};

use crate::usage::count;

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
    /// Play only notes of the scale on this tonic: C, F#, Bb, ...
    #[arg(long, value_name = "NOTE")]
    key: Option<String>,
    /// The scale on --key: major, minor, harmonic-minor, melodic-minor, dorian, phrygian, lydian, mixolydian, locrian,
    /// pentatonic, minor-pentatonic, blues or whole-tone [default: major]
    #[arg(long, value_name = "NAME", requires = "key")]
    scale: Option<String>,
    /// Aim at N notes per second, above 0 and at most 100
    #[arg(long, value_name = "N")]
    density: Option<f64>,
}

/// Fragments of POP909 hold 6 notes at once on average, and 12.8 at the 95th percentile.
const POLYPHONY: NonZeroUsize = NonZeroUsize::new(12).unwrap();

impl ControlArgs {
    /// The limits, checked. Without the grammar there is no default: a limit that was asked for is an error there.
    pub fn controls(&self, unconstrained: bool) -> Result<Controls> {
        let scale = |key| format!("{key} {}", self.scale.as_deref().unwrap_or("major")).parse();
        let controls = Controls::default()
            .with_pitches(self.pitch_range.clone())
            .with_velocities(self.velocity_range.clone())
            .with_polyphony(self.max_polyphony.or((!unconstrained).then_some(POLYPHONY)))
            .with_scale(self.key.as_ref().map(scale).transpose()?)
            .with_density(self.density);
        controls.validate()?;
        Ok(controls)
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
