//! Prefetches batches in threads of its own, so that a step need not wait for rendered or decoded video.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use anyhow::{Context, Result};
use vmt::Geometry;

use super::recipe::Recipe;
use crate::data::{Batch, Fragment, Fragments, Order, POOL};
use crate::random::Stream;

/// Batches that each thread prefetches.
const AHEAD: usize = 2;

/// The batches of consecutive steps.
pub struct Loader {
    /// A channel from each thread; steps are dealt to them in turn.
    threads: Vec<Receiver<Result<Batch>>>,
    next: u64,
}

impl Loader {
    /// Starts `threads` that make the batches of step `first` (counted from 1) and those after it. They end once the
    /// loader is dropped.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        source: &'scope dyn Fragments,
        recipe: &'scope Recipe,
        geometry: Geometry,
        first: u64,
        threads: usize,
    ) -> Self {
        let order = Order::new(source, recipe.batch, if recipe.train_decoder { POOL } else { 1 }, recipe.seed);
        let start = |thread: usize| {
            let (sender, receiver) = sync_channel(AHEAD);
            let mut order = order.clone();
            scope.spawn(move || {
                let steps = (first + thread as u64..).step_by(threads);
                for step in steps {
                    let batch = batch(source, order.batch(step - 1), recipe, geometry, step);
                    if sender.send(batch).is_err() {
                        break;
                    }
                }
            });
            receiver
        };
        Self { threads: (0..threads).map(start).collect(), next: 0 }
    }

    /// The next step's batch.
    pub fn batch(&mut self) -> Result<Batch> {
        let thread = self.next as usize % self.threads.len();
        self.next += 1;
        self.threads[thread].recv().context("a thread that makes batches panicked")?
    }
}

fn batch(source: &dyn Fragments, indices: &[usize], recipe: &Recipe, geometry: Geometry, step: u64) -> Result<Batch> {
    let row = |(row, &index): (usize, &usize)| {
        let random = |name| Stream::new(recipe.seed, name, &[step, row as u64]);
        let fragment = source.fragment(index, &mut random("fragment"))?;
        let without_video = random("without video").unit() < recipe.without_video;
        Ok(Fragment { clip: fragment.clip.filter(|_| !without_video), ..fragment })
    };
    let rows = indices.iter().enumerate().map(row).collect::<Result<_>>()?;
    Ok(Batch::new(rows, &geometry, recipe.max_tokens))
}

/// The same fragments at every call, spread over all of `source` and sorted by length.
pub fn validation(source: &dyn Fragments, recipe: &Recipe, geometry: Geometry) -> Result<Vec<Batch>> {
    let count = recipe.validation_fragments.min(source.count());
    let mut indices: Vec<_> = (0..count).map(|i| i * source.count() / count).collect();
    indices.sort_by_key(|&index| source.tokens(index));
    let fragment = |&index: &usize| source.fragment(index, &mut Stream::new(0, "validation", &[index as u64]));
    let batch = |indices: &[usize]| {
        let rows = indices.iter().map(fragment).collect::<Result<_>>()?;
        Ok(Batch::new(rows, &geometry, recipe.max_tokens))
    };
    indices.chunks(recipe.batch).map(batch).collect()
}
