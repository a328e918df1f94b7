//! Constraints on the music.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::music::{Pitch, Scale, VelocityBin};

/// Constraints on the music; by default, none. They mask what may be sampled, but density, which is a bias.
///
/// A primer is left as it is and may go beyond.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Controls {
    /// The keys that may be struck, as MIDI note numbers.
    pub pitches: Option<RangeInclusive<u8>>,
    /// How hard they may be struck, as MIDI velocities. The model knows every fourth: 1, 5, 9, ... 125.
    pub velocities: Option<RangeInclusive<u8>>,
    /// At most so many keys are down at once. The default of `vmt compose` is 12: without a limit, a long piece can drift
    /// into ever more notes.
    pub polyphony: Option<NonZeroUsize>,
    /// Only keys of this scale are struck.
    pub scale: Option<Scale>,
    /// Notes a second to aim at, above 0 and at most 100: a bias on the logits of notes, 32 times the share of notes that the
    /// last 4 s lack, at most 8.
    pub density: Option<f64>,
}

impl Controls {
    /// The default of `vmt compose` for [`polyphony`](Self::polyphony). Fragments of POP909 hold 6 notes at once on average, and 12.8
    /// at the 95th percentile.
    pub const USUAL_POLYPHONY: NonZeroUsize = NonZeroUsize::new(12).unwrap();

    /// The same, with this [`pitches`](Self::pitches).
    pub fn with_pitches(self, pitches: impl Into<Option<RangeInclusive<u8>>>) -> Self {
        Self { pitches: pitches.into(), ..self }
    }

    /// The same, with this [`velocities`](Self::velocities).
    pub fn with_velocities(self, velocities: impl Into<Option<RangeInclusive<u8>>>) -> Self {
        Self { velocities: velocities.into(), ..self }
    }

    /// The same, with this [`polyphony`](Self::polyphony).
    pub fn with_polyphony(self, polyphony: impl Into<Option<NonZeroUsize>>) -> Self {
        Self { polyphony: polyphony.into(), ..self }
    }

    /// The same, with this [`scale`](Self::scale).
    pub fn with_scale(self, scale: impl Into<Option<Scale>>) -> Self {
        Self { scale: scale.into(), ..self }
    }

    /// The same, with this [`density`](Self::density).
    pub fn with_density(self, density: impl Into<Option<f64>>) -> Self {
        Self { density: density.into(), ..self }
    }

    /// Checks that every control is in its range, and that together they leave something to play.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for the first that is not.
    pub fn validate(&self) -> Result<()> {
        let refuse = |option, want, got| Err(Error::Option { option, want, got });
        if let Some(range) = &self.pitches
            && !(Pitch::MIN.get() <= *range.start() && range.start() <= range.end() && *range.end() <= Pitch::MAX.get())
        {
            return refuse("pitch range", "within 21-108 (A0-C8), the lower first", text(range));
        }
        if let Some(range) = &self.velocities {
            if !(1 <= *range.start() && range.start() <= range.end() && *range.end() <= 127) {
                return refuse("velocity range", "within 1-127, the lower first", text(range));
            }
            if !VelocityBin::all().any(|bin| self.loudness(bin)) {
                return refuse("velocity range", "one that holds 1, 5, 9, ... or 125", text(range));
            }
        }
        if let Some(scale) = &self.scale
            && !Pitch::all().any(|pitch| self.key(pitch))
        {
            let range = self.pitches.as_ref().map(text).unwrap_or_default();
            return refuse("scale", "one with a key in the pitch range", format!("{scale}, which has none in {range}"));
        }
        if let Some(density) = self.density
            && !(density > 0.0 && density <= 100.0)
        {
            return refuse("density", "above 0 and at most 100 notes a second", density.to_string());
        }
        Ok(())
    }

    /// Whether this key may be struck.
    pub(crate) fn key(&self, pitch: Pitch) -> bool {
        self.pitches.as_ref().is_none_or(|range| range.contains(&pitch.get()))
            && self.scale.is_none_or(|scale| scale.contains(pitch))
    }

    /// Whether keys may be struck this hard.
    pub(crate) fn loudness(&self, bin: VelocityBin) -> bool {
        self.velocities.as_ref().is_none_or(|range| range.contains(&bin.velocity()))
    }
}

fn text(range: &RangeInclusive<u8>) -> String {
    format!("{}-{}", range.start(), range.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(controls: Controls, want: &str) {
        assert_eq!(controls.validate().unwrap_err().to_string(), want);
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges)]
    fn what_leaves_nothing_to_play_is_refused() {
        let pitches = |range| Controls { pitches: Some(range), ..Controls::default() };
        refused(pitches(20..=50), "pitch range must be within 21-108 (A0-C8), the lower first, but is 20-50");
        refused(pitches(50..=109), "pitch range must be within 21-108 (A0-C8), the lower first, but is 50-109");
        refused(pitches(60..=50), "pitch range must be within 21-108 (A0-C8), the lower first, but is 60-50");
        let velocities = |range| Controls { velocities: Some(range), ..Controls::default() };
        refused(velocities(0..=5), "velocity range must be within 1-127, the lower first, but is 0-5");
        refused(velocities(9..=5), "velocity range must be within 1-127, the lower first, but is 9-5");
        refused(velocities(100..=128), "velocity range must be within 1-127, the lower first, but is 100-128");
        refused(velocities(2..=4), "velocity range must be one that holds 1, 5, 9, ... or 125, but is 2-4");
        refused(
            Controls { scale: Some("C major".parse().unwrap()), ..pitches(61..=61) },
            "scale must be one with a key in the pitch range, but is C major, which has none in 61-61",
        );
        for density in [0.0, -1.0, 101.0, f64::NAN, f64::INFINITY] {
            let want = format!("density must be above 0 and at most 100 notes a second, but is {density}");
            refused(Controls { density: Some(density), ..Controls::default() }, &want);
        }
    }
}
