//! Repeated phrases, transposed or not, as the paper marks by hand in its figure 4.

use std::cmp::Reverse;
use std::ops::{Range, RangeInclusive};

use vmt::{Note, Pitch, Score};

/// A phrase has at least this many notes ...
const NOTES: usize = 4;
/// ... at this many times: a chord that is repeated is no phrase.
const ONSETS: usize = 3;
/// Notes that begin within this many steps are simultaneous; a repeated note may be off by as much.
const TOGETHER: u32 = 6;
/// A phrase ends where its next note is over this many steps away.
const GAP: u32 = 100;
/// A repetition that lasts longer, in steps, is a section of several phrases.
const LONGEST: u32 = 800;
/// At least this share of the notes in the box around a phrase belongs to it.
const DENSITY: f64 = 0.7;
/// Pairs of notes that are compared: all of them in some minutes of music, only near ones in longer music.
const PAIRS: usize = 4_000_000;

/// The occurrences of a phrase, each as the indices of its notes in the score.
pub type Phrase = Vec<Vec<usize>>;

/// The phrases of at least four notes that are repeated in `score`, transposed or not: at most `most`, those with the
/// most notes first. No note is part of two phrases.
pub fn phrases(score: &Score, most: usize) -> Vec<Phrase> {
    let mut search = Search { notes: score.notes(), free: vec![true; score.notes().len()] };
    let mut candidates = search.candidates();
    candidates.sort_by_key(|(first, second)| (Reverse(first.len()), first[0], second[0]));
    let mut phrases = Vec::new();
    for (first, second) in candidates {
        if phrases.len() == most {
            break;
        }
        // Without the notes of larger phrases, the rest may still be a phrase.
        let pairs = first.into_iter().zip(second).filter(|&(a, b)| search.free[a] && search.free[b]);
        let (first, second): (Vec<_>, Vec<_>) = pairs.unzip();
        if search.is_phrase(&first) && search.is_phrase(&second) {
            let first = first[..search.period(&first)].to_vec();
            search.take(&first);
            let others = search.more(&first);
            if !others.is_empty() {
                phrases.push([vec![first], others].concat());
            }
        }
    }
    phrases
}

/// The box around a passage.
pub struct Extent {
    /// From its first onset to the end of the notes with the last onset; a pedal may hold others for longer.
    pub steps: Range<u32>,
    /// From its lowest note to its highest.
    pub pitches: RangeInclusive<Pitch>,
}

/// The box around `passage`, whose notes are in order; `None` if it has none.
pub fn extent(notes: &[Note], passage: &[usize]) -> Option<Extent> {
    let notes = || passage.iter().map(|&index| &notes[index]);
    let last = notes().map(|note| note.start).max()?;
    let end = notes().filter(|note| note.start + TOGETHER >= last).map(|note| note.end).max()?;
    let pitches = notes().map(|note| note.pitch).min()?..=notes().map(|note| note.pitch).max()?;
    Some(Extent { steps: notes().map(|note| note.start).min()?..end, pitches })
}

struct Search<'s> {
    notes: &'s [Note],
    free: Vec<bool>,
}

impl Search<'_> {
    /// Pairs of a passage and its repetition: the notes that one translation in time and pitch maps to other notes
    /// (maximal translatable patterns, Meredith et al. 2002), cut at pauses.
    fn candidates(&self) -> Vec<(Vec<usize>, Vec<usize>)> {
        let reach = (PAIRS / self.notes.len().max(1)) as u32;
        let mut keys = [const { Vec::new() }; 128];
        for (index, note) in self.notes.iter().enumerate() {
            keys[usize::from(note.pitch.get())].push(index as u32);
        }
        // One interval at a time, to save memory.
        let highest = i16::from(Pitch::MAX.get() - Pitch::MIN.get());
        (-highest..=highest).flat_map(|higher| self.candidates_at(higher, &keys, reach)).collect()
    }

    /// Those that are repeated so much `higher`; `keys` holds the notes of each pitch, and a repetition is at most
    /// `reach` notes later.
    fn candidates_at(&self, higher: i16, keys: &[Vec<u32>; 128], reach: u32) -> Vec<(Vec<usize>, Vec<usize>)> {
        let mut shifts = Vec::new();
        for (pitch, firsts) in keys.iter().enumerate() {
            let seconds = pitch.checked_add_signed(higher.into()).and_then(|pitch| keys.get(pitch));
            let seconds = seconds.map_or(&[][..], Vec::as_slice);
            for &a in firsts {
                let later = &seconds[seconds.partition_point(|&b| b <= a)..];
                for &b in later.iter().take_while(|&&b| b - a <= reach) {
                    let later = self.notes[b as usize].start.saturating_sub(self.notes[a as usize].start);
                    // Two rasters, shifted by half a cell: times that one separates are together in the other.
                    for raster in [0, TOGETHER / 2] {
                        shifts.push(((raster, (later + raster) / TOGETHER), a, b));
                    }
                }
            }
        }
        shifts.sort_unstable();
        let mut found = Vec::new();
        for same in shifts.chunk_by(|(a, ..), (b, ..)| a == b) {
            let start = |&(_, a, _): &(_, u32, u32)| self.notes[a as usize].start;
            let begin = start(&same[0]);
            let share = |pair: &_| (start(pair) - begin) / LONGEST;
            for run in same.chunk_by(|a, b| start(b) - start(a) <= GAP && share(a) == share(b)) {
                let (_, a, b) = run[0];
                // It must end before it is repeated.
                let back = self.notes[b as usize].start.saturating_sub(TOGETHER);
                let run = run.iter().filter(|&pair| start(pair) < back).map(|&(_, a, b)| (a as usize, b as usize));
                let (first, second): (Vec<_>, Vec<_>) = run.unzip();
                if a != b && self.is_phrase(&first) && self.is_phrase(&second) {
                    found.push((first, second));
                }
            }
        }
        found
    }

    fn is_phrase(&self, passage: &[usize]) -> bool {
        if passage.len() < NOTES {
            return false;
        }
        let onsets = 1 + passage.windows(2).filter(|pair| self.apart(pair[0], pair[1]) > TOGETHER).count();
        let Some(Extent { steps, pitches }) = extent(self.notes, passage) else { return false };
        let from = self.notes.partition_point(|note| note.start < steps.start);
        let inside = self.notes[from..].iter().take_while(|note| note.start < steps.end);
        let inside = inside.filter(|note| pitches.contains(&note.pitch)).count();
        let is_one_key = pitches.start() == pitches.end();
        onsets >= ONSETS && !is_one_key && passage.len() as f64 >= DENSITY * inside as f64
    }

    fn apart(&self, a: usize, b: usize) -> u32 {
        self.notes[a].start.abs_diff(self.notes[b].start)
    }

    /// After how many notes `phrase` repeats itself, or else how many it has.
    fn period(&self, phrase: &[usize]) -> usize {
        let again = |&period: &usize| {
            let moved = |pair: &[usize]| self.moved(pair[0], phrase[0], phrase[period]) == Some(pair[period]);
            let passage = self.is_phrase(&phrase[..period]);
            passage && phrase.len().is_multiple_of(period) && phrase.windows(period + 1).all(moved)
        };
        (NOTES..=phrase.len() / 2).find(again).unwrap_or(phrase.len())
    }

    /// Other occurrences of `phrase`.
    fn more(&mut self, phrase: &[usize]) -> Vec<Vec<usize>> {
        let mut others = Vec::new();
        for anchor in 0..self.notes.len() {
            let found: Option<Vec<_>> = phrase.iter().map(|&index| self.moved(index, phrase[0], anchor)).collect();
            if let Some(found) = found.filter(|found| self.is_phrase(found)) {
                self.take(&found);
                others.push(found);
            }
        }
        others
    }

    /// The free note to which the shift from note `from` to note `to` takes note `index`.
    fn moved(&self, index: usize, from: usize, to: usize) -> Option<usize> {
        let (note, from, to) = (&self.notes[index], &self.notes[from], &self.notes[to]);
        let start = i64::from(note.start) - i64::from(from.start) + i64::from(to.start);
        let pitch = i16::from(note.pitch.get()) - i16::from(from.pitch.get()) + i16::from(to.pitch.get());
        let near = i64::from(TOGETHER);
        let first = self.notes.partition_point(|note| i64::from(note.start) < start - near);
        let candidates = self.notes.iter().enumerate().skip(first);
        let mut candidates = candidates.take_while(|(_, note)| i64::from(note.start) <= start + near);
        let is_it = |&(index, note): &(usize, &Note)| self.free[index] && i16::from(note.pitch.get()) == pitch;
        candidates.find(is_it).map(|(index, _)| index)
    }

    fn take(&mut self, passage: &[usize]) {
        passage.iter().for_each(|&index| self.free[index] = false);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Wants phrases in notes given as (start, pitch); each phrase as the starts of its passages.
    #[track_caller]
    fn check(notes: &[(u32, u8)], want: &[&[u32]]) {
        let mut notes: Vec<_> = notes
            .iter()
            .map(|&(start, pitch)| Note { start, end: start + 10, pitch: Pitch::new(pitch).unwrap(), velocity: 80 })
            .collect();
        notes.sort_by_key(|note| (note.start, note.pitch));
        let score = Score::new(notes, Duration::from_secs(60)).unwrap();
        let starts = |phrase: Phrase| {
            let mut starts: Vec<_> = phrase.iter().map(|passage| score.notes()[passage[0]].start).collect();
            starts.sort();
            starts
        };
        let got: Vec<_> = phrases(&score, 9).into_iter().map(starts).collect();
        assert_eq!(got, want);
    }

    /// A motive of five notes that begins at `start` on `pitch`, early and late by turns.
    fn motive(start: u32, pitch: u8) -> [(u32, u8); 5] {
        [(0, 0), (25, 2), (50, 4), (75, 2), (120, 7)].map(|(later, higher)| (start + later, pitch + higher))
    }

    #[test]
    fn a_phrase_comes_back_transposed() {
        check(&[motive(0, 60), motive(400, 60), motive(1000, 65)].concat(), &[&[0, 400, 1000]]);
        check(&[&motive(0, 60)[..], &[(300, 41), (350, 77), (390, 50)], &motive(403, 62)].concat(), &[&[0, 403]]);
    }

    #[test]
    fn a_hand_is_not_a_machine() {
        let late = motive(400, 60).map(|(start, pitch)| (start + (start / 25) % 3, pitch));
        check(&[motive(0, 60), late].concat(), &[&[0, 401]]);
    }

    #[test]
    fn what_is_no_phrase() {
        check(&[], &[]);
        check(&motive(0, 60), &[]);
        let chord = [(0, 60), (0, 64), (0, 67), (0, 72), (100, 60), (100, 64), (100, 67), (100, 72)];
        check(&chord, &[]);
        let hammering: Vec<_> = (0..20).map(|index| (index * 20, 60)).collect();
        check(&hammering, &[]);
        check(&[motive(0, 60)[..3].to_vec(), motive(400, 60)[..3].to_vec()].concat(), &[]);
    }

    #[test]
    fn an_ostinato_is_one_phrase_many_times() {
        let steps: Vec<_> = (0..24).map(|index| (index * 25, [48, 55, 64, 60, 57, 65][index as usize % 6])).collect();
        check(&steps, &[&[0, 150, 300, 450]]);
    }
}
