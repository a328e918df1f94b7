//! Scales, and the names of pitches.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::conditions::Key;
use super::event::Pitch;
use crate::error::{Error, Result};

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
    /// The key, where the mode is major or one of the minor ones.
    pub fn key(&self) -> Option<Key> {
        let minor = match self.mode.0 {
            "major" => false,
            "minor" | "harmonic-minor" | "melodic-minor" => true,
            _ => return None,
        };
        Some(Key { tonic: self.tonic, minor })
    }

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
            let octave = octave.parse::<i8>().ok()?;
            u8::try_from(12 * (i16::from(octave) + 1) + semitone).ok()
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
        for text in ["", "20", "109", "G#0", "C#8", "H4", "C", "C4x", "é4", "C99999999999", "-1", "C-1", "4C"]
            .into_iter()
            .chain(["A127", "A128", "A05555", "C-128", "C-32768", "C32767"])
        {
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
}
