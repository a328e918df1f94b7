//! The melody of a piece, written so that it is the same in every key and tempo.

use super::event::STEPS_PER_SECOND;
use super::score::Score;

/// Classes of the ratio of two distances between onsets: octaves are halved, so that 10 ms more or less change few classes, and
/// beyond three octaves all is one.
const CLASSES_PER_OCTAVE: f64 = 2.0;
const LARGEST: f64 = 6.0;

/// The melody of a piece: the highest note of each onset (the skyline of Uitdenbogerd and Zobel 1999).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Melody {
    /// A number for each note but the first and the last: the interval to the next in semitones, and how much longer it
    /// lasts until that begins than it took from the one before. Never [`Melody::BETWEEN`].
    pub intervals: Vec<u16>,
    /// When each of these notes begins, in seconds.
    pub times: Vec<f32>,
}

impl Melody {
    /// What is between two melodies.
    pub const BETWEEN: u16 = 0;

    /// The melody of `score`.
    pub fn of(score: &Score) -> Self {
        let times = score.onsets();
        let mut highest = vec![0; times.len()];
        for note in score.notes() {
            let start = f64::from(note.start) / f64::from(STEPS_PER_SECOND);
            let onset = times.partition_point(|&time| time <= start) - 1;
            highest[onset] = note.pitch.get().max(highest[onset]);
        }
        let interval = |place: usize| {
            let ratio = (times[place + 1] - times[place]) / (times[place] - times[place - 1]);
            let class = (CLASSES_PER_OCTAVE * ratio.log2()).round().clamp(-LARGEST, LARGEST);
            let semitones = 128 + u16::from(highest[place + 1]) - u16::from(highest[place]);
            16 * semitones + (8.0 + class) as u16
        };
        let places = 1..times.len().max(2) - 1;
        Self {
            intervals: places.clone().map(interval).collect(),
            times: places.map(|place| times[place] as f32).collect(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::super::event::Pitch;
    use super::super::note::Note;
    use super::*;

    /// Notes as `(step, pitch)`, within a minute.
    pub fn score(notes: impl IntoIterator<Item = (u32, u8)>) -> Score {
        let note = |(start, pitch)| Note { start, end: start + 10, pitch: Pitch::new(pitch).unwrap(), velocity: 64 };
        Score::new(notes.into_iter().map(note).collect(), Duration::from_secs(60)).unwrap()
    }

    const TUNE: [(u32, u8); 8] = [(0, 60), (50, 62), (100, 64), (125, 65), (150, 67), (250, 64), (325, 62), (350, 60)];

    #[test]
    fn it_is_the_same_in_every_key_and_tempo() {
        let melody = Melody::of(&score(TUNE));
        assert_eq!(melody.times, [0.5, 1.0, 1.25, 1.5, 2.5, 3.25]);
        let changed = |change: fn((u32, u8)) -> (u32, u8)| Melody::of(&score(TUNE.map(change))).intervals;
        assert_eq!(melody.intervals, changed(|(step, pitch)| (700 + step, pitch - 7)));
        assert_eq!(melody.intervals, changed(|(step, pitch)| (step * 6 / 5, pitch + 5)));
        // Played a little unevenly.
        assert_eq!(melody.intervals, changed(|(step, pitch)| (step + step % 3 / 2, pitch)));
        // With an accompaniment below, and chords that are not struck at once.
        let below =
            TUNE.into_iter().flat_map(|(step, pitch)| [(step, pitch - 12), (step, pitch), (step + 2, pitch - 5)]);
        assert_eq!(melody.intervals, Melody::of(&score(below)).intervals);
    }

    #[test]
    fn other_pitches_and_rhythms_are_others() {
        let melody = Melody::of(&score(TUNE)).intervals;
        let with = |place: usize, note: (u32, u8)| {
            let mut tune = TUNE;
            tune[place] = note;
            let other = Melody::of(&score(tune)).intervals;
            melody.iter().zip(&other).map(|(a, b)| a == b).collect::<Vec<_>>()
        };
        assert_eq!(with(4, (150, 69)), [true, true, false, false, true, true]);
        assert_eq!(with(4, (175, 67)), [true, true, false, false, false, true]);
        assert!(melody.iter().all(|&interval| interval != Melody::BETWEEN));
    }

    #[test]
    fn a_melody_has_three_notes() {
        for count in 0..3 {
            assert_eq!(Melody::of(&score(TUNE.into_iter().take(count))), Melody::default());
        }
        assert_eq!(Melody::of(&score(TUNE.into_iter().take(3))).times, [0.5]);
        // The widest leaps have numbers of their own.
        let leap = |from, to| Melody::of(&score([(0, 60), (100, from), (200, to)])).intervals[0];
        assert!(leap(21, 108) != leap(108, 21) && leap(108, 21) > Melody::BETWEEN);
    }
}
