//! The model as it is, for a number of tokens.

use ndarray::ArrayViewMut2;

use super::processor::LogitsProcessor;
use crate::music::Token;

/// Leaves the logits as they are, and stops at [`Token::END`] or after so many tokens.
#[derive(Clone, Copy, Debug)]
pub struct Unconstrained {
    left: usize,
}

impl Unconstrained {
    /// Stops after `max_tokens` tokens at the latest.
    pub fn new(max_tokens: usize) -> Self {
        Self { left: max_tokens }
    }
}

impl LogitsProcessor for Unconstrained {
    fn process(&self, _: ArrayViewMut2<'_, f32>) {}

    fn accept(&mut self, token: Token) {
        self.left = if token == Token::END { 0 } else { self.left.saturating_sub(1) };
    }

    fn stopped(&self) -> bool {
        self.left == 0
    }
}
