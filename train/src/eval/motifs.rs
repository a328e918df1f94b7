//! Motifs that come back in a piece.

use std::collections::HashMap;

use vmt::Melody;

/// A motif that begins so much later than before comes back; sooner, it goes on. In seconds.
const APART: f32 = 10.0;

/// Of the motifs of a melody, so many `notes` each (two at least), that begin ten seconds or more behind its beginning: how many
/// began in `memory` at least ten seconds before, in any key and tempo; and how many there are.
pub fn come_back(melody: &Melody, memory: &Melody, notes: usize) -> [usize; 2] {
    let intervals = notes - 1;
    let mut first: HashMap<&[u16], f32> = HashMap::new();
    for (motif, &time) in memory.intervals.windows(intervals).zip(&memory.times) {
        first.entry(motif).or_insert(time);
    }
    let later = melody.intervals.windows(intervals).zip(&melody.times).filter(|(_, time)| **time >= APART);
    later.fold([0; 2], |[found, all], (motif, &time)| {
        let came = first.get(motif).is_some_and(|&first| first <= time - APART);
        [found + usize::from(came), all + 1]
    })
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use vmt::{Note, Pitch, Score};

    use super::*;
    use crate::random::Stream;

    /// Notes as `(step, pitch)`, within a minute.
    pub fn score(notes: impl IntoIterator<Item = (u32, u8)>) -> Score {
        let note = |(start, pitch)| Note { start, end: start + 10, pitch: Pitch::new(pitch).unwrap(), velocity: 64 };
        Score::new(notes.into_iter().map(note).collect(), Duration::from_secs(60)).unwrap()
    }

    /// Notes every 0.3 s from so many seconds on.
    fn phrase(seconds: u32, pitches: &[u8]) -> Vec<(u32, u8)> {
        pitches.iter().enumerate().map(|(place, &pitch)| (100 * seconds + 30 * place as u32, pitch)).collect()
    }

    #[test]
    fn a_phrase_comes_back_in_another_key() {
        let theme: Vec<u8> = vec![60, 62, 64, 60, 67, 65, 64, 62, 60, 72];
        let higher: Vec<u8> = theme.iter().map(|pitch| pitch + 5).collect();
        let mut random = Stream::new(1, "test", &[]);
        let other: Vec<u8> = (0..10).map(|_| 50 + random.below(30) as u8).collect();
        let of = |phrases: [&[u8]; 3]| {
            Melody::of(&score(phrases.iter().zip([0, 5, 15]).flat_map(|(pitches, start)| phrase(start, pitches))))
        };
        let back = of([&theme, &other, &higher]);
        // Eight of ten notes have an interval behind and a distance before them: three motifs, and those across phrases.
        let [found, all] = come_back(&back, &back, 7);
        assert!(found == 3 && all >= 3, "{found} of {all}");
        assert_eq!(come_back(&back, &back, 5)[0], 5);
        let lost = of([&theme, &theme, &other]);
        assert_eq!(come_back(&lost, &lost, 7)[0], 0, "the theme went on, but did not come back");
        assert_eq!(come_back(&back, &of([&other, &other, &other]), 7)[0], 0);
        assert_eq!(come_back(&Melody::default(), &back, 7), [0, 0]);
    }
}
