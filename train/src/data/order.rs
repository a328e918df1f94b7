//! The order of fragments in an epoch.

use super::fragment::Fragments;
use crate::random::Stream;

/// Which fragments make up which batch: each once per epoch, shuffled by a seed.
#[derive(Clone, Debug)]
pub struct Order {
    /// Tokens of each fragment.
    lengths: Vec<usize>,
    batch: usize,
    /// Batches that are sorted together.
    pool: usize,
    seed: u64,
    /// The epoch that was last asked for, and its batches.
    epoch: Option<(u64, Vec<Vec<usize>>)>,
}

/// Fragments are sorted by length within so many batches, then batches are shuffled (bucketing): rows of one batch have similar
/// lengths, and little padding.
pub const POOL: usize = 16;

impl Order {
    /// Of all fragments of `source`. `pool`: [`POOL`], or 1 without bucketing, which is better where there is no padding to save:
    /// rows of similar length are similar music, from which less is learned.
    ///
    /// # Panics
    /// Without a fragment or a row.
    pub fn new(source: &dyn Fragments, batch: usize, pool: usize, seed: u64) -> Self {
        let lengths: Vec<_> = (0..source.count()).map(|index| source.tokens(index)).collect();
        assert!(!lengths.is_empty() && batch > 0, "an order needs at least one fragment and one row");
        Self { batch: batch.min(lengths.len()), lengths, pool, seed, epoch: None }
    }

    /// Batches in an epoch. All are full: fragments that are left over come in another epoch.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use anyhow::Result;

    use super::*;
    use crate::data::{Fragment, Fragments};

    /// Fragments that are known by length alone.
    struct Lengths(Vec<usize>);

    impl Fragments for Lengths {
        fn count(&self) -> usize {
            self.0.len()
        }
        fn tokens(&self, index: usize) -> usize {
            self.0[index]
        }
        fn fragment(&self, _: usize, _: &mut Stream) -> Result<Fragment> {
            unreachable!("an order needs lengths alone")
        }
    }

    #[test]
    fn each_fragment_comes_once_per_epoch_beside_similar_ones() {
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
