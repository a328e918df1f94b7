//! What the music must keep to.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Pitch, Result, VelocityBin};

/// What the music must keep to; by default, nothing. The [`Grammar`](crate::Grammar) sees to it.
///
/// What is known already is left as it is: a primer may go beyond.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Controls {
    /// The keys that may be struck, as MIDI note numbers.
    pub pitches: Option<RangeInclusive<u8>>,
    /// How hard they may be struck, as MIDI velocities. The model knows every fourth: 1, 5, 9, ... 125.
    pub velocities: Option<RangeInclusive<u8>>,
    /// At most so many keys are down at once. `vmt compose` says 12: without a limit, a long piece can drift into ever more
    /// notes.
    pub polyphony: Option<NonZeroUsize>,
    /// Only keys of this scale are struck.
    pub scale: Option<Scale>,
    /// Notes a second to aim at; see [`Grammar::bias`](crate::Grammar::bias).
    pub density: Option<f64>,
}

impl Controls {
    /// Checks that every control is in its range, and that together they leave something to play.
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

/// A tonic and a mode: `C major`, `F# dorian`, `Bb minor-pentatonic`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scale {
    /// The pitch class, 0 for C.
    tonic: u8,
    mode: &'static (&'static str, &'static [u8]),
}

/// Semitones above the tonic.
static MODES: [(&str, &[u8]); 13] = [
    ("major", &[0, 2, 4, 5, 7, 9, 11]),
    ("minor", &[0, 2, 3, 5, 7, 8, 10]),
    ("harmonic-minor", &[0, 2, 3, 5, 7, 8, 11]),
    ("melodic-minor", &[0, 2, 3, 5, 7, 9, 11]),
    ("dorian", &[0, 2, 3, 5, 7, 9, 10]),
    ("phrygian", &[0, 1, 3, 5, 7, 8, 10]),
    ("lydian", &[0, 2, 4, 6, 7, 9, 11]),
    ("mixolydian", &[0, 2, 4, 5, 7, 9, 10]),
    ("locrian", &[0, 1, 3, 5, 6, 8, 10]),
    ("pentatonic", &[0, 2, 4, 7, 9]),
    ("minor-pentatonic", &[0, 3, 5, 7, 10]),
    ("blues", &[0, 3, 5, 6, 7, 10]),
    ("whole-tone", &[0, 2, 4, 6, 8, 10]),
];

const TONICS: [&str; 12] = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"];

impl Scale {
    /// Whether it has this key, in whichever octave.
    pub fn contains(&self, pitch: Pitch) -> bool {
        self.mode.1.contains(&((pitch.get() + 12 - self.tonic) % 12))
    }
}

impl FromStr for Scale {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (key, mode) = text.trim().split_once(' ')?;
            let (tonic, rest) = semitone(key)?;
            let tonic = tonic.rem_euclid(12) as u8;
            let mode = MODES.iter().find(|(name, _)| name.eq_ignore_ascii_case(mode.trim()))?;
            rest.is_empty().then_some(Self { tonic, mode })
        };
        parse().ok_or_else(|| Error::Option {
            option: "scale",
            want: "a key (C, F#, Bb, ...) and major, minor, harmonic-minor, melodic-minor, dorian, phrygian, lydian, \
                   mixolydian, locrian, pentatonic, minor-pentatonic, blues or whole-tone",
            got: text.into(),
        })
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", TONICS[usize::from(self.tonic)], self.mode.0)
    }
}

impl fmt::Debug for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scale({self})")
    }
}

impl TryFrom<String> for Scale {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Scale> for String {
    fn from(scale: Scale) -> Self {
        scale.to_string()
    }
}

/// A MIDI note number, or a name such as `C4` (which is 60), `F#3` or `Bb5`.
impl FromStr for Pitch {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = || {
            let (semitone, octave) = semitone(text)?;
            u8::try_from(12 * (octave.parse::<i16>().ok()? + 1) + semitone).ok()
        };
        let pitch = text.parse().ok().or_else(named).and_then(Self::new);
        pitch.ok_or_else(|| Error::Option { option: "pitch", want: "21-108 or A0-C8", got: text.into() })
    }
}

/// How far the note that `text` begins with is above the C of its octave, and the rest. Cb is below, B# an octave above.
fn semitone(text: &str) -> Option<(i16, &str)> {
    let letter = text.chars().next()?.to_ascii_uppercase();
    let natural = [9, 11, 0, 2, 4, 5, 7][('A'..='G').position(|name| name == letter)?];
    let rest = &text[1..];
    let sharp = rest.strip_prefix('#').map(|rest| (natural + 1, rest));
    Some(sharp.or_else(|| rest.strip_prefix('b').map(|rest| (natural - 1, rest))).unwrap_or((natural, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pitches_have_names() {
        for (text, want) in [("60", 60), ("C4", 60), ("c4", 60), ("Cb4", 59), ("B#3", 60), ("A0", 21), ("C8", 108)] {
            assert_eq!(text.parse::<Pitch>().unwrap().get(), want, "{text}");
        }
        for text in ["", "20", "109", "G#0", "C#8", "H4", "C", "C4x", "é4", "C99999999999", "-1", "C-1", "4C"] {
            let want = format!("pitch must be 21-108 or A0-C8, but is {text}");
            assert_eq!(text.parse::<Pitch>().unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn scales_are_their_keys() {
        for (scale, want) in [
            ("C major", "0 2 4 5 7 9 11"),
            ("A minor", "0 2 4 5 7 9 11"),
            ("D dorian", "0 2 4 5 7 9 11"),
            ("e Phrygian", "0 2 4 5 7 9 11"),
            ("F lydian", "0 2 4 5 7 9 11"),
            ("G mixolydian", "0 2 4 5 7 9 11"),
            ("B locrian", "0 2 4 5 7 9 11"),
            ("A harmonic-minor", "0 2 4 5 8 9 11"),
            ("A melodic-minor", "0 2 4 6 8 9 11"),
            ("C pentatonic", "0 2 4 7 9"),
            ("A minor-pentatonic", "0 2 4 7 9"),
            ("F# pentatonic", "1 3 6 8 10"),
            ("Gb pentatonic", "1 3 6 8 10"),
            ("A blues", "0 2 3 4 7 9"),
            ("Cb whole-tone", "1 3 5 7 9 11"),
        ] {
            let parsed: Scale = scale.parse().unwrap();
            let octave = (60..72).filter(|&pitch| parsed.contains(Pitch::new(pitch).unwrap()));
            assert_eq!(octave.map(|pitch| (pitch - 60).to_string()).collect::<Vec<_>>().join(" "), want, "{scale}");
            assert_eq!(parsed.to_string().parse::<Scale>().unwrap(), parsed);
        }
        for scale in ["", "C", "major", "H major", "C4 major", "C  ", "C loud"] {
            assert!(
                scale.parse::<Scale>().unwrap_err().to_string().starts_with("scale must be a key (C, F#, Bb, ...)")
            );
        }
    }

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
