//! Near copies: the longest run of notes that a piece shares with a song that models were trained on.

use std::path::Path;

use anyhow::Result;
use vmt::Score;

use super::melody::Melody;
use crate::data::prepared::{DATASET, Prepared};
use crate::data::song::Song;
use crate::data::{Augment, Fragments as _, Split, Splits};

/// The melodies of all songs that models were trained on.
///
/// Melodies rather than all notes, for a melody is what a song is known by, and one inner voice that differs would hide that it
/// is copied. They are compared by intervals and ratios of durations, so in any key and tempo, as training moves songs. Runs are
/// found by binary search in a suffix array (Manber and Myers 1993): 10 bytes a note of memory.
#[derive(Debug, Default)]
pub struct Corpus {
    /// One melody after the other, each followed by [`Melody::BETWEEN`].
    text: Vec<u16>,
    /// When each begins in its song, in seconds.
    times: Vec<f32>,
    /// Where in `text` each song begins, and its name.
    songs: Vec<(usize, String)>,
    /// The places in `text`, in the order of what follows each.
    order: Vec<u32>,
}

/// Notes that a piece shares with a song.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run<'c> {
    /// How many: their intervals are the same, and so is their rhythm.
    pub notes: usize,
    /// When they begin in the piece, in seconds.
    pub at: f32,
    /// The song.
    pub song: &'c str,
    /// When they begin there, in seconds.
    pub song_at: f32,
}

impl Corpus {
    /// The songs for training of `data`, which is what `vmt-train run` takes; `None` if there are none.
    ///
    /// # Errors
    ///
    /// If the data cannot be read.
    pub fn open(data: &Path, splits: &Splits) -> Result<Option<Self>> {
        let mut corpus = Self::default();
        if data.join(DATASET).exists() {
            let prepared = Prepared::open(data, Split::Train, Augment::NONE)?;
            for index in 0..prepared.count() {
                let (name, start) = prepared.place(index);
                let score = Score::decode(prepared.music(index).iter().copied(), prepared.window()).score;
                corpus.add(name, start, &score);
            }
        } else {
            for path in Song::folder(data)? {
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                if splits.split(&name) != Some(Split::Train) {
                    continue;
                }
                match Song::score(&path) {
                    Ok(score) => corpus.add(&name, 0.0, &score),
                    Err(error) => vmt_files::warn(format_args!("skipped: {error:#}")),
                }
            }
        }
        corpus.sort();
        Ok(Some(corpus).filter(|corpus| !corpus.songs.is_empty()))
    }

    /// Adds a part of a song that begins `start` seconds into it. [`Self::sort`] makes it known.
    pub(super) fn add(&mut self, name: &str, start: f64, score: &Score) {
        let Melody { intervals, times } = Melody::of(score);
        self.songs.push((self.text.len(), name.to_owned()));
        self.times.extend(times.iter().map(|time| time + start as f32).chain([0.0]));
        self.text.extend(intervals.into_iter().chain([Melody::BETWEEN]));
    }

    pub(super) fn sort(&mut self) {
        self.order = (0..self.text.len() as u32).collect();
        self.order.sort_unstable_by(|&a, &b| self.text[a as usize..].cmp(&self.text[b as usize..]));
    }

    /// The longest run that a melody shares with any song, the first of several; `None` where there is none.
    pub fn longest(&self, melody: &Melody) -> Option<Run<'_>> {
        let mut longest: Option<(usize, usize, usize)> = None;
        for begin in 0..melody.intervals.len() {
            let rest = &melody.intervals[begin..];
            let place = self.order.partition_point(|&start| &self.text[start as usize..] < rest);
            // What is most alike is beside the place where it would be.
            for &start in &self.order[place.saturating_sub(1)..(place + 1).min(self.order.len())] {
                let same = self.text[start as usize..].iter().zip(rest).take_while(|(a, b)| a == b).count();
                if same > longest.map_or(0, |(same, ..)| same) {
                    longest = Some((same, begin, start as usize));
                }
            }
        }
        let (same, begin, start) = longest?;
        let song = self.songs.partition_point(|&(first, _)| first <= start) - 1;
        // A note more than intervals.
        Some(Run { notes: same + 1, at: melody.times[begin], song: &self.songs[song].1, song_at: self.times[start] })
    }
}

#[cfg(test)]
mod tests {
    use super::super::melody::tests::score;
    use super::*;
    use crate::random::Stream;

    /// A song of random pitches and durations.
    fn song(number: u64) -> Vec<(u32, u8)> {
        let mut random = Stream::new(1, "song", &[number]);
        let mut step = 0;
        let note = |_| {
            step += [12, 25, 50, 100][random.below(4)];
            (step, 48 + random.below(36) as u8)
        };
        (0..80).map(note).collect()
    }

    fn corpus() -> Corpus {
        let mut corpus = Corpus::default();
        for number in 0..50 {
            corpus.add(&format!("song {number}"), 0.0, &score(song(number)));
        }
        corpus.sort();
        corpus
    }

    #[test]
    fn a_part_of_a_song_is_found_in_another_key_and_tempo() {
        let corpus = corpus();
        let copied = &song(17)[30..50];
        let begin = copied[1].0;
        let piece = song(1000)[..20]
            .to_vec()
            .into_iter()
            .chain(copied.iter().map(|&(step, pitch)| (3000 + (step - copied[0].0) * 11 / 10, pitch - 5)));
        let run = corpus.longest(&Melody::of(&score(piece))).unwrap();
        // The first note has nothing before it that would tell its duration's ratio, the last is that of the last interval.
        assert_eq!((run.notes, run.song), (19, "song 17"));
        assert!((run.song_at - begin as f32 / 100.0).abs() < 1e-3, "{run:?}");
        assert!((30.0..31.5).contains(&run.at), "{run:?}");
    }

    #[test]
    fn what_is_shuffled_or_new_is_not_found() {
        let corpus = corpus();
        let mut pitches: Vec<u8> = song(17).iter().map(|&(_, pitch)| pitch).collect();
        Stream::new(1, "test", &[]).shuffle(&mut pitches);
        let shuffled = song(17).into_iter().zip(pitches).map(|((step, _), pitch)| (step, pitch));
        for piece in [shuffled.collect(), song(1001)] {
            let run = corpus.longest(&Melody::of(&score(piece))).unwrap();
            assert!(run.notes <= 4, "{run:?}");
        }
        assert_eq!(corpus.longest(&Melody::default()), None);
    }

    #[test]
    fn no_run_goes_from_song_to_song() {
        let mut corpus = Corpus::default();
        let [first, second] = [&song(1)[..40], &song(1)[40..]];
        corpus.add("first", 0.0, &score(first.iter().copied()));
        corpus.add("second", 100.0, &score(second.iter().copied()));
        corpus.sort();
        let run = corpus.longest(&Melody::of(&score(song(1)))).unwrap();
        assert!(run.notes == 39, "{run:?}");
    }
}
