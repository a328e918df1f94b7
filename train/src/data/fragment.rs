//! Fragments: a window of video and its music.

use anyhow::Result;
use vmt::{Clip, Conditions, Token};

use crate::random::Stream;

/// The most tokens of a fragment (paper section 4.1).
pub const MAX_TOKENS: usize = 1024;

/// A training example: a window of video and its music.
#[derive(Clone, Debug, PartialEq)]
pub struct Fragment {
    /// `None` where there is no video.
    pub clip: Option<Clip>,
    /// The music as [`targets`](super::targets); at least one token.
    pub tokens: Vec<Token>,
    /// Conditions of the decoder.
    pub conditions: Conditions,
}

/// A data set.
pub trait Fragments: Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// About how many tokens fragment `index` has. A batch is made of fragments of similar length.
    fn tokens(&self, index: usize) -> usize;

    /// Fragment `index`. All that is random, such as [`Augment`], is drawn from `random`: the same stream gives the same
    /// fragment.
    fn fragment(&self, index: usize, random: &mut Stream) -> Result<Fragment>;
}

/// Data augmentation of the music.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augment {
    /// Transposition up or down by at most so many semitones.
    pub semitones: u8,
    /// A change of tempo by at most this share, `0.0..1.0`, in data sets that render their video.
    pub tempo: f64,
}

impl Augment {
    /// No augmentation.
    pub const NONE: Self = Self { semitones: 0, tempo: 0.0 };

    /// Semitones up, uniform in `-semitones..=semitones`, and a factor on the length, uniform in `1 - tempo..1 + tempo`.
    pub fn draw(&self, random: &mut Stream) -> (i8, f64) {
        let semitones = random.below(2 * usize::from(self.semitones) + 1) as i8 - self.semitones as i8;
        (semitones, 1.0 + self.tempo * (2.0 * random.unit() - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn changes_are_drawn_from_the_whole_range() {
        let mut random = Stream::new(1, "test", &[]);
        let drawn: Vec<_> = (0..500).map(|_| Augment { semitones: 5, tempo: 0.1 }.draw(&mut random)).collect();
        assert_eq!(drawn.iter().map(|&(semitones, _)| semitones).collect::<BTreeSet<_>>(), (-5..=5).collect());
        assert!(drawn.iter().all(|(_, length)| (0.9..=1.1).contains(length)));
        assert_eq!(Augment::NONE.draw(&mut random), (0, 1.0));
    }
}
