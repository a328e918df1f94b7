//! What training sees: fragments of video with their music, gathered into batches.

use std::iter::zip;
use std::ops::Range;

use anyhow::Result;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use vmt::{Clip, Condition, Conditions, Event, Geometry, Note, STEPS_PER_SECOND, Score, Shift, Token};

use crate::engine::condition_rows;
use crate::frames::rows_of_pixels;
use crate::random::Stream;
use crate::reading::{READINGS, heard};
use crate::train::Task;
use crate::{Feed, Model};

/// One window: what is to be seen, and what is to be played.
#[derive(Clone, Debug, PartialEq)]
pub struct Fragment {
    /// `None` where there is no video to learn from.
    pub clip: Option<Clip>,
    /// The music as [`targets`] says it.
    pub tokens: Vec<Token>,
    /// What the decoder is told of the music.
    pub conditions: Conditions,
}

/// Where fragments come from.
pub trait Fragments: Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// About how many tokens fragment `index` has. A batch is made of fragments of like length.
    fn tokens(&self, index: usize) -> usize;

    /// Fragment `index`. Whatever is left to chance, such as [`Augment`], is drawn from `random`: the same stream gives
    /// the same fragment.
    fn fragment(&self, index: usize, random: &mut Stream) -> Result<Fragment>;
}

/// How far training may change the music that it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augment {
    /// Up or down by at most this many semitones.
    pub semitones: u8,
    /// Faster or slower by at most this share, `0.0..1.0`. Only sources that render their video can do so.
    pub tempo: f64,
}

impl Augment {
    /// Nothing changes.
    pub const NONE: Self = Self { semitones: 0, tempo: 0.0 };

    /// Semitones up, uniform in `-semitones..=semitones`, and a factor on the length, uniform in `1 - tempo..1 + tempo`.
    pub fn draw(&self, random: &mut Stream) -> (i8, f64) {
        let semitones = random.below(2 * usize::from(self.semitones) + 1) as i8 - self.semitones as i8;
        (semitones, 1.0 + self.tempo * (2.0 * random.unit() - 1.0))
    }
}

/// The tokens of a piece up to its end: silence after the last note is said too, so that [`Event::End`] means the end
/// of the video. So does the runtime's [`vmt::decode::Grammar`], which these tokens pass.
pub fn targets(score: &Score) -> Vec<Token> {
    let end = (score.duration().as_millis() * u128::from(STEPS_PER_SECOND) / 1000) as u32;
    // A note that begins within the last half step would begin when all is over.
    let notes =
        score.notes().iter().filter(|note| note.start < end).map(|note| Note { end: note.end.min(end), ..*note });
    let score = Score::new(notes.collect(), score.duration()).expect("notes that are cropped stay in order");
    let last = score.notes().iter().map(|note| note.end).max().unwrap_or(0);

    let mut tokens = score.tokens();
    tokens.pop();
    tokens.extend(Shift::over(end - last).map(|shift| Token::from(Event::TimeShift(shift))));
    tokens.push(Token::END);
    tokens
}

/// All notes moved by `semitones`; as they are if one would leave the keyboard.
pub fn transposed(tokens: &[Token], semitones: i8) -> Vec<Token> {
    let pitch = |pitch: vmt::Pitch| pitch.get().checked_add_signed(semitones).and_then(vmt::Pitch::new);
    let token = |&token: &Token| {
        Some(match Event::from(token) {
            Event::NoteOn(key) => Event::NoteOn(pitch(key)?).into(),
            Event::NoteOff(key) => Event::NoteOff(pitch(key)?).into(),
            _ => token,
        })
    };
    tokens.iter().map(token).collect::<Option<_>>().unwrap_or_else(|| tokens.to_vec())
}

/// Which fragments make up which batch: each once per epoch, in an order that a seed decides.
#[derive(Clone, Debug)]
pub struct Order {
    /// Tokens of each fragment.
    lengths: Vec<usize>,
    batch: usize,
    /// Batches that are sorted together.
    pool: usize,
    seed: u64,
    /// The last epoch asked for, and its batches.
    epoch: Option<(u64, Vec<Vec<usize>>)>,
}

/// Fragments are sorted by length within this many batches, then batches are shuffled: rows of one batch are alike, but
/// whom a fragment meets is left to chance.
pub const POOL: usize = 16;

impl Order {
    /// Of all fragments of `source`; there must be one. `pool`: [`POOL`], or 1 for batches of chance, which is better where
    /// no padding is saved: in rows that are alike, there is little to tell apart.
    pub fn new(source: &dyn Fragments, batch: usize, pool: usize, seed: u64) -> Self {
        let lengths: Vec<_> = (0..source.count()).map(|index| source.tokens(index)).collect();
        assert!(!lengths.is_empty() && batch > 0, "an order needs at least one fragment and one row");
        Self { batch: batch.min(lengths.len()), lengths, pool, seed, epoch: None }
    }

    /// Batches in an epoch. What is left over when all are full comes in another epoch.
    pub fn batches(&self) -> u64 {
        (self.lengths.len() / self.batch) as u64
    }

    /// The fragments of batch `number`, counted from 0 over all epochs.
    pub fn batch(&mut self, number: u64) -> &[usize] {
        let (epoch, index) = (number / self.batches(), (number % self.batches()) as usize);
        if self.epoch.as_ref().is_none_or(|&(known, _)| known != epoch) {
            self.epoch = Some((epoch, self.shuffled(epoch)));
        }
        let (_, batches) = self.epoch.as_ref().expect("set above");
        &batches[index]
    }

    fn shuffled(&self, epoch: u64) -> Vec<Vec<usize>> {
        let mut random = Stream::new(self.seed, "order", &[epoch]);
        let mut fragments: Vec<_> = (0..self.lengths.len()).collect();
        random.shuffle(&mut fragments);
        fragments.truncate(self.batches() as usize * self.batch);
        for pool in fragments.chunks_mut(self.pool * self.batch) {
            pool.sort_by_key(|&index| self.lengths[index]);
        }
        let mut batches: Vec<_> = fragments.chunks(self.batch).map(<[_]>::to_vec).collect();
        random.shuffle(&mut batches);
        batches
    }
}

/// Fragments side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    rows: Vec<Fragment>,
    geometry: Geometry,
    /// Tokens of the longest row.
    longest: usize,
}

impl Batch {
    /// Rows longer than `max_tokens` are cut off there.
    pub fn new(mut rows: Vec<Fragment>, geometry: &Geometry, max_tokens: usize) -> Self {
        rows.iter_mut().for_each(|row| row.tokens.truncate(max_tokens));
        let longest = rows.iter().map(|row| row.tokens.len()).max().unwrap_or(0);
        Self { rows, geometry: *geometry, longest }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Number of tokens to be foretold, over all rows.
    pub fn tokens(&self) -> usize {
        self.rows.iter().map(|row| row.tokens.len()).sum()
    }

    /// The same music, and nothing to be seen.
    pub fn without_video(&self) -> Self {
        let blind = |row: &Fragment| Fragment { clip: None, ..row.clone() };
        Self { rows: self.rows.iter().map(blind).collect(), ..*self }
    }

    /// Pictures to be read, over all rows.
    pub fn pictures(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.clip).map(Clip::frames).sum()
    }

    /// Of some of the rows: the negative log-likelihood in nats, the sum over all tokens, `[1]`, if events are the task,
    /// and the squared error of the [reading](crate::reading), the sum over all pictures of its mean, `[1]`.
    ///
    /// A token follows those before it, the first one PAD. Rows are padded to the longest of the whole batch, so that it
    /// does not matter how the rows are divided among threads.
    pub fn losses(&self, rows: Range<usize>, model: &Model, task: Task) -> (Option<Tensor<1>>, Tensor<1>) {
        let (loss, reading) = if task.events {
            let (logits, targets, reading) = self.predict(rows.clone(), model);
            (Some(likelihoods(logits, targets).sum().neg()), reading)
        } else {
            let (pixels, frames) = self.pixels(&self.rows[rows.clone()], &model.device());
            (None, model.read(pixels, frames))
        };
        let (heard, told) = self.heard(&self.rows[rows], reading.dims()[1], &model.device());
        let error = (reading - heard).square() * told / READINGS as f64;
        (loss, error.sum())
    }

    /// Each row's negative log-likelihood in nats, and how many of its tokens were the likeliest ones.
    pub fn by_row(&self, model: &Model) -> Vec<(f64, usize)> {
        let (logits, targets, _) = self.predict(0..self.rows(), model);
        let likeliest: Vec<i64> = logits.clone().argmax(2).into_data().iter().collect();
        let likelihoods: Vec<f64> = likelihoods(logits, targets).into_data().iter().collect();
        let seen = zip(likelihoods.chunks(self.longest), likeliest.chunks(self.longest));
        let loss = |(row, (likelihoods, likeliest)): (&Fragment, (&[f64], &[i64]))| {
            let hits = zip(&row.tokens, likeliest).filter(|&(token, &likeliest)| i64::from(token.id()) == likeliest);
            (-likelihoods.iter().sum::<f64>(), hits.count())
        };
        zip(&self.rows, seen).map(loss).collect()
    }

    /// Of some of the rows: the logits `[rows, longest, 310]` of what follows each token, and what should,
    /// `[rows, longest]`, PAD behind the end of a row; and the reading, `[rows, frames, 6]`.
    fn predict(&self, rows: Range<usize>, model: &Model) -> (Tensor<3>, Tensor<2, Int>, Tensor<3>) {
        let device = model.device();
        let rows = &self.rows[rows];
        let (pixels, frames) = self.pixels(rows, &device);
        let fed = self.ids(rows, |tokens| [&[Token::PAD], &tokens[..tokens.len() - 1]].concat(), &device);
        let feed = Feed { conditions: self.conditions(rows, &device), ..Feed::whole(fed) };
        let (logits, reading) = model.learn(pixels, frames, feed);
        (logits, self.ids(rows, <[Token]>::to_vec, &device), reading)
    }

    /// `[rows, frames, 3, height, width]`, and which of them are there, `[rows, frames]`.
    fn pixels(&self, rows: &[Fragment], device: &Device) -> (Tensor<5, Int>, Tensor<2, Bool>) {
        let clips: Vec<_> = rows.iter().map(|row| row.clip.as_ref()).collect();
        rows_of_pixels(&clips, [self.geometry.height(), self.geometry.width()], device)
    }

    /// What is to be read, and 1 where it can be told, `[rows, frames, 6]`.
    fn heard(&self, rows: &[Fragment], frames: usize, device: &Device) -> (Tensor<3>, Tensor<3>) {
        let row = |row: &Fragment| {
            let shown = row.clip.as_ref().map_or(0, Clip::frames);
            let mut heard = if shown > 0 { heard(&row.tokens, &self.geometry) } else { Vec::new() };
            heard.truncate(shown);
            heard.resize(frames, [None; READINGS]);
            heard
        };
        let heard: Vec<_> = rows.iter().flat_map(row).flatten().collect();
        let tensor = |value: fn(&Option<f32>) -> f32| {
            let values: Vec<_> = heard.iter().map(value).collect();
            Tensor::from_data(TensorData::new(values, [rows.len(), frames, READINGS]), device)
        };
        (tensor(|value| value.unwrap_or(0.0)), tensor(|value| value.is_some().into()))
    }

    /// What is told behind each token that is fed, `[rows, longest, conditions]`.
    fn conditions(&self, rows: &[Fragment], device: &Device) -> Tensor<3, Int> {
        // The first that is fed is PAD, which takes no time.
        let fed = |row: &Fragment| [&[Token::PAD], row.tokens.as_slice()].concat();
        let told = |row: &Fragment| condition_rows(&row.conditions, 0, &fed(row), self.longest);
        let values: Vec<i64> = rows.iter().flat_map(told).collect();
        Tensor::from_data(TensorData::new(values, [rows.len(), self.longest, Condition::ALL.len()]), device)
    }

    /// `[rows, longest]`, padded on the right.
    fn ids(&self, rows: &[Fragment], tokens: impl Fn(&[Token]) -> Vec<Token>, device: &Device) -> Tensor<2, Int> {
        let mut ids = Vec::with_capacity(rows.len() * self.longest);
        for (index, row) in rows.iter().enumerate() {
            ids.extend(tokens(&row.tokens).iter().map(|token| i64::from(token.id())));
            ids.resize((index + 1) * self.longest, Token::PAD.id().into());
        }
        Tensor::from_data(TensorData::new(ids, [rows.len(), self.longest]), device)
    }
}

/// The log-likelihood of each target, `[rows, longest]`, in nats; 0 for PAD. Shapes as [`Batch::predict`] gives them.
fn likelihoods(logits: Tensor<3>, targets: Tensor<2, Int>) -> Tensor<2> {
    let real = targets.clone().not_equal_elem(i64::from(Token::PAD.id())).float();
    log_softmax(logits, 2).gather(2, targets.unsqueeze_dim(2)).squeeze_dim::<2>(2) * real
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use vmt::PerformedNote;
    use vmt::decode::{Grammar, LogitsProcessor as _};

    use super::*;

    fn score(notes: &[(f64, f64, u8)]) -> Score {
        let performed = |&(start, end, pitch)| PerformedNote { start, end, pitch, velocity: 64 };
        let performed: Vec<_> = notes.iter().map(performed).collect();
        Score::quantise(&performed, Duration::from_secs(10))
    }

    #[test]
    fn the_end_comes_with_the_videos_and_the_grammar_agrees() {
        for notes in [vec![], vec![(0.5, 1.25, 60)], vec![(0.0, 10.0, 60)], vec![(3.0, 4.0, 60), (9.9999, 9.99995, 62)]]
        {
            let tokens = targets(&score(&notes));
            let decoded = Score::decode(tokens.iter().copied(), Duration::from_secs(10));
            assert!(decoded.ended && decoded.end_step == 1000, "{notes:?}");
            let mut grammar = Grammar::new(1000, 1024).unwrap();
            for token in tokens {
                assert!(grammar.allowed()[token.index()], "{notes:?}: {:?}", Event::from(token));
                grammar.accept(token);
            }
        }
    }

    #[test]
    fn transposition_moves_all_notes_or_none() {
        let tokens = targets(&score(&[(0.0, 1.0, 60), (1.0, 2.0, 108)]));
        assert_eq!(transposed(&tokens, -5), targets(&score(&[(0.0, 1.0, 55), (1.0, 2.0, 103)])));
        assert_eq!(transposed(&tokens, 1), tokens);
    }

    #[test]
    fn changes_are_drawn_from_the_whole_range() {
        let mut random = Stream::new(1, "test", &[]);
        let drawn: Vec<_> = (0..500).map(|_| Augment { semitones: 5, tempo: 0.1 }.draw(&mut random)).collect();
        assert_eq!(drawn.iter().map(|&(semitones, _)| semitones).collect::<BTreeSet<_>>(), (-5..=5).collect());
        assert!(drawn.iter().all(|(_, length)| (0.9..=1.1).contains(length)));
        assert_eq!(Augment::NONE.draw(&mut random), (0, 1.0));
    }

    /// Fragments that are nothing but long.
    struct Lengths(Vec<usize>);

    impl Fragments for Lengths {
        fn count(&self) -> usize {
            self.0.len()
        }
        fn tokens(&self, index: usize) -> usize {
            self.0[index]
        }
        fn fragment(&self, _: usize, _: &mut Stream) -> Result<Fragment> {
            unreachable!("an order looks at lengths alone")
        }
    }

    #[test]
    fn each_fragment_comes_once_per_epoch_beside_its_likes() {
        let source = Lengths((0..1000).map(|index| index * 7919 % 1000).collect());
        let mut order = Order::new(&source, 4, POOL, 1);
        let mut epoch =
            |first: u64| (first..first + 250).map(|number| order.batch(number).to_vec()).collect::<Vec<_>>();
        let [first, second] = [epoch(0), epoch(250)];
        for batches in [&first, &second] {
            assert_eq!(batches.concat().into_iter().collect::<BTreeSet<_>>().len(), 1000);
            let spread = |batch: &Vec<usize>| {
                let lengths = batch.iter().map(|&index| source.0[index]);
                lengths.clone().max().unwrap() - lengths.min().unwrap()
            };
            assert!(batches.iter().map(spread).sum::<usize>() / 250 < 60);
        }
        assert_ne!(first, second);
        // A batch is found without those before it.
        assert_eq!(Order::new(&source, 4, POOL, 1).batch(333), second[83]);
        assert_ne!(Order::new(&source, 4, POOL, 2).batch(333), second[83]);
    }

    #[test]
    fn a_few_fragments_are_one_batch() {
        let mut order = Order::new(&Lengths(vec![3, 1, 2]), 8, POOL, 1);
        assert_eq!(order.batches(), 1);
        assert_eq!(order.batch(5).len(), 3);
    }
}
