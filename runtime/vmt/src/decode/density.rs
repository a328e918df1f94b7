//! Steering towards a number of notes a second.

use std::collections::VecDeque;

use ndarray::ArrayViewMut2;

use super::processor::LogitsProcessor;
use crate::music::{Event, STEPS_PER_SECOND, Token};

/// How far back notes are counted, in steps: 4 s. At a seam, so much is always known.
const MEMORY: u32 = 4 * STEPS_PER_SECOND;

/// The bias for each time that the notes wanted are missing, before it is clipped: a quarter too few or too many gives 8.
const GAIN: f64 = 32.0;

/// The strongest bias: a note becomes at most e^8, about 3000, times as likely or unlikely.
const LIMIT: f64 = 8.0;

/// Adds a bias to the logits of note-ons and velocities, so that there come about so many notes a second: a proportional
/// controller.
///
/// The bias is 32 times the share of notes that the last 4 s lack (negative where they have too many), and within -8..8. A
/// note that comes now counts half: with 2 wanted, the second is missing and the third is too many.
#[derive(Clone, Debug)]
pub struct DensityBias {
    density: f64,
    clock: u32,
    /// The steps of the last 4 s at which notes began.
    onsets: VecDeque<u32>,
}

impl DensityBias {
    /// Aims at `density` notes a second, which must be above 0.
    pub fn new(density: f64) -> Self {
        Self { density, clock: 0, onsets: VecDeque::new() }
    }

    fn bias(&self) -> f32 {
        let notes = |steps: u32| self.density * f64::from(steps) / f64::from(STEPS_PER_SECOND);
        let missing = notes(self.clock.min(MEMORY)) - (self.onsets.len() as f64 + 0.5);
        (GAIN * missing / notes(MEMORY)).clamp(-LIMIT, LIMIT) as f32
    }
}

impl LogitsProcessor for DensityBias {
    fn process(&self, mut logits: ArrayViewMut2<'_, f32>) {
        let bias = self.bias();
        for token in Token::all().filter(|&token| matches!(token.into(), Event::NoteOn(_) | Event::Velocity(_))) {
            logits[[0, token.index()]] += bias;
        }
    }

    fn accept(&mut self, token: Token) {
        self.clock = self.clock.saturating_add(token.steps());
        if let Event::NoteOn(_) = token.into() {
            self.onsets.push_back(self.clock);
        }
        while self.onsets.front().is_some_and(|&step| step.saturating_add(MEMORY) <= self.clock) {
            self.onsets.pop_front();
        }
    }
}
