//! The key of a score, and how pitches are spelled in it.

use vmt::{STEPS_PER_SECOND, Score};

/// The steps on the line of fifths, from F, which is sharpened first, to B, which is flattened first.
const STEPS: [char; 7] = ['F', 'C', 'G', 'D', 'A', 'E', 'B'];

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// Sharps, or flats below 0.
    pub fifths: i32,
    pub minor: bool,
}

impl From<vmt::Key> for Key {
    fn from(key: vmt::Key) -> Self {
        Self { fifths: key.fifths().into(), minor: key.minor }
    }
}

impl Key {
    /// The key whose profile (Krumhansl and Kessler 1982) the pitches of `score` fit best.
    pub fn of(score: &Score) -> Self {
        const MAJOR: [f64; 12] = [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88];
        const MINOR: [f64; 12] = [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17];
        let mut durations = [0.0; 12];
        for note in score.notes() {
            // Longer notes weigh more, up to a second.
            durations[usize::from(note.pitch.get() % 12)] += f64::from((note.end - note.start).min(STEPS_PER_SECOND));
        }
        let fit = |profile: &[f64; 12], tonic: usize| {
            let mean = profile.iter().sum::<f64>() / 12.0;
            let deviation = profile.iter().map(|value| (value - mean).powi(2)).sum::<f64>().sqrt();
            let product: f64 = (0..12).map(|above| durations[(tonic + above) % 12] * (profile[above] - mean)).sum();
            product / deviation
        };
        let mut best = (0.0, Self { fifths: 0, minor: false });
        for (profile, minor) in [(&MAJOR, false), (&MINOR, true)] {
            for tonic in 0..12 {
                let fit = fit(profile, tonic.into());
                if fit > best.0 {
                    best = (fit, vmt::Key { tonic, minor }.into());
                }
            }
        }
        best.1
    }

    /// The alteration of a step by the key signature.
    pub fn alter(self, step: char) -> i32 {
        let place = STEPS.iter().position(|other| *other == step).unwrap_or(0) as i32;
        i32::from(place < self.fifths) - i32::from(place >= 7 + self.fifths)
    }

    /// Step, alteration and octave of a MIDI note: the spelling that is nearest to the key on the line of fifths.
    pub fn spell(self, pitch: u8) -> (char, i32, i32) {
        // In C: from E flat, three fifths below, to G sharp, eight above.
        let lowest = self.fifths - 3;
        let fifths = lowest + (i32::from(pitch) * 7 - lowest).rem_euclid(12);
        let alter = (fifths + 1).div_euclid(7);
        let step = STEPS[(fifths + 1).rem_euclid(7) as usize];
        (step, alter, (i32::from(pitch) - alter).div_euclid(12) - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vmt::{Note, Pitch};

    use super::*;

    #[test]
    fn spelling() {
        let spell = |fifths, pitch| Key { fifths, minor: false }.spell(pitch);
        assert_eq!(spell(0, 61), ('C', 1, 4));
        assert_eq!(spell(0, 63), ('E', -1, 4));
        assert_eq!(spell(-4, 61), ('D', -1, 4));
        assert_eq!(spell(6, 60), ('B', 1, 3));
        assert_eq!(spell(-5, 59), ('C', -1, 4));
        for fifths in -6..=6 {
            for pitch in 21..=108 {
                let (step, alter, octave) = spell(fifths, pitch);
                let natural = [5, 0, 7, 2, 9, 4, 11][STEPS.iter().position(|other| *other == step).unwrap()];
                assert_eq!(natural + alter + 12 * (octave + 1), i32::from(pitch));
                assert!(alter.abs() <= 2);
            }
        }
    }

    #[test]
    fn keys() {
        let scale = |tonic: u8, steps: [u8; 7], fifths| {
            let note = |start, end, pitch| Note { start, end, pitch: Pitch::new(pitch).unwrap(), velocity: 90 };
            let scale = (0..7).map(|index| note(index * 50, index * 50 + 50, tonic + steps[index as usize]));
            let notes = scale.chain([note(350, 450, tonic)]).collect();
            (Key::of(&Score::new(notes, Duration::from_secs(5)).unwrap()).fifths, fifths)
        };
        let (major, minor) = ([0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 11]);
        for (got, want) in
            [scale(60, major, 0), scale(62, major, 2), scale(61, major, -5), scale(57, minor, 0), scale(60, minor, -3)]
        {
            assert_eq!(got, want);
        }
    }
}
