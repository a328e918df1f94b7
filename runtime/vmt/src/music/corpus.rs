//! Near copies: the longest run of notes that a piece shares with one of many songs, such as those that a model was trained on.

use std::fmt;

use super::melody::Melody;
use super::score::Score;

/// The melodies of songs that music must not copy.
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
pub struct SharedRun<'c> {
    /// How many: their intervals are the same, and so is their rhythm.
    pub notes: usize,
    /// When they begin in the piece, in seconds.
    pub at: f32,
    /// The song.
    pub song: &'c str,
    /// When they begin there, in seconds.
    pub song_at: f32,
}

impl fmt::Display for SharedRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { notes, at, song, song_at } = self;
        write!(f, "{notes} notes from {at:.1} s on that are in {song} from {song_at:.1} s on")
    }
}

impl Corpus {
    /// Of the melodies of 10-s fragments of songs that a model had not heard, one in a hundred shares a longer run with a song that it had
    /// (POP909, 760 songs); longer music shares longer runs by chance.
    pub const LONGEST_BY_CHANCE: usize = 10;

    /// Of songs, or parts of them: a name, when the part begins in the song, in seconds, and its music.
    pub fn new(parts: impl IntoIterator<Item = (String, f64, Score)>) -> Self {
        let mut corpus = Self::default();
        parts.into_iter().for_each(|(name, start, score)| corpus.add(name, start, &score));
        corpus.order = (0..corpus.text.len() as u32).collect();
        corpus.order.sort_unstable_by(|&a, &b| corpus.text[a as usize..].cmp(&corpus.text[b as usize..]));
        corpus
    }

    fn add(&mut self, name: String, start: f64, score: &Score) {
        let Melody { intervals, times } = Melody::of(score);
        self.songs.push((self.text.len(), name));
        self.times.extend(times.iter().map(|time| time + start as f32).chain([0.0]));
        self.text.extend(intervals.into_iter().chain([Melody::BETWEEN]));
    }

    /// Whether there is no song.
    pub fn is_empty(&self) -> bool {
        self.songs.is_empty()
    }

    /// The longest run that the melody of `music` shares with any song, the first of several; `None` where there is none.
    pub fn longest(&self, music: &Score) -> Option<SharedRun<'_>> {
        let melody = Melody::of(music);
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
        Some(SharedRun {
            notes: same + 1,
            at: melody.times[begin],
            song: &self.songs[song].1,
            song_at: self.times[start],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::melody::tests::score;
    use super::*;
    use rand::seq::SliceRandom as _;
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    /// A song of random pitches and durations.
    fn song(number: u64) -> Vec<(u32, u8)> {
        let mut random = ChaCha8Rng::seed_from_u64(number);
        let mut step = 0;
        let note = |_| {
            step += [12, 25, 50, 100][random.random_range(0..4)];
            (step, random.random_range(48..84))
        };
        (0..80).map(note).collect()
    }

    fn corpus() -> Corpus {
        Corpus::new((0..50).map(|number| (format!("song {number}"), 0.0, score(song(number)))))
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
        let run = corpus.longest(&score(piece)).unwrap();
        // The first note has nothing before it that would tell its duration's ratio, the last is that of the last interval.
        assert_eq!((run.notes, run.song), (19, "song 17"));
        assert!((run.song_at - begin as f32 / 100.0).abs() < 1e-3, "{run:?}");
        assert!((30.0..31.5).contains(&run.at), "{run:?}");
    }

    #[test]
    fn what_is_shuffled_or_new_is_not_found() {
        let corpus = corpus();
        let mut pitches: Vec<u8> = song(17).iter().map(|&(_, pitch)| pitch).collect();
        pitches.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
        let shuffled = song(17).into_iter().zip(pitches).map(|((step, _), pitch)| (step, pitch));
        for piece in [shuffled.collect(), song(1001)] {
            let run = corpus.longest(&score(piece)).unwrap();
            assert!(run.notes <= 4, "{run:?}");
        }
        assert_eq!(corpus.longest(&score([])), None);
    }

    #[test]
    fn no_run_goes_from_song_to_song() {
        let [first, second] = [&song(1)[..40], &song(1)[40..]].map(|part| score(part.iter().copied()));
        let corpus = Corpus::new([("first".into(), 0.0, first), ("second".into(), 100.0, second)]);
        let run = corpus.longest(&score(song(1))).unwrap();
        assert!(run.notes == 39, "{run:?}");
    }
}
