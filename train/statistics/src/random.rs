//! Counter-based random streams: (seed, name, numbers) is the key of a stream, which is the same whatever was drawn before
//! and in whichever thread. So a training run has no random state to save.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream with this key; `numbers` are, for example, a step and a row.
    pub fn new(seed: u64, name: &str, numbers: &[u64]) -> Self {
        let mut hash = Sha256::new_with_prefix(seed.to_le_bytes());
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        for number in numbers {
            hash.update(number.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(hash.finalize().into()))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..count`; `count` must not be 0.
    pub fn below(&mut self, count: usize) -> usize {
        // The largest bias, count / 2^64, is of no concern.
        (self.number() % count as u64) as usize
    }

    /// Brings `items` into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_tell_streams_apart() {
        let draw = |seed, name, numbers: &[u64]| Stream::new(seed, name, numbers).number();
        let first = draw(1, "a", &[2, 3]);
        assert_eq!(first, draw(1, "a", &[2, 3]));
        for other in [draw(2, "a", &[2, 3]), draw(1, "b", &[2, 3]), draw(1, "a", &[3, 2]), draw(1, "a", &[2])] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn numbers_stay_in_range_and_reach_all_of_it() {
        let mut stream = Stream::new(1, "test", &[]);
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[stream.below(5)] += 1;
            assert!((0.0..1.0).contains(&stream.unit()));
        }
        assert!(seen.iter().all(|&count| count > 150), "{seen:?}");
        let mut items: Vec<_> = (0..20).collect();
        stream.shuffle(&mut items);
        assert!(!items.is_sorted());
        items.sort();
        assert_eq!(items, (0..20).collect::<Vec<_>>());
    }
}
