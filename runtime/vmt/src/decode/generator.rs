//! The decode loop, the same for every engine, any number of lanes and any chain of processors.

use std::fmt;

use ndarray::s;

use super::processor::LogitsProcessor;
use super::sampling::{Sampling, check, log_probability};
use crate::error::{Error, Result};
use crate::model::Session;
use crate::music::{Token, VOCABULARY};

/// A token of a lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampledToken {
    /// The token.
    pub token: Token,
    /// The natural logarithm of the model's probability for it: after guidance, before temperature and constraints.
    pub log_probability: f64,
    /// The entropy of the distribution that this is a probability of, in nats: what `-log_probability` is to be expected.
    pub entropy: f64,
}

/// One of the sequences that are decoded side by side.
pub struct Lane {
    /// What is fed next.
    next: Vec<Token>,
    processors: Vec<Box<dyn LogitsProcessor>>,
    stopped: bool,
}

impl Lane {
    /// A lane that continues `prefix` (nothing, for a new piece), which each of the `processors` accepts first. The
    /// processors change the logits in this order.
    pub fn new(mut prefix: Vec<Token>, mut processors: Vec<Box<dyn LogitsProcessor>>) -> Self {
        for processor in &mut processors {
            prefix.iter().for_each(|&token| processor.accept(token));
        }
        prefix.insert(0, Token::PAD);
        let stopped = processors.iter().any(|processor| processor.stopped());
        Self { next: prefix, processors, stopped }
    }

    fn stop(&mut self) {
        // The other lanes still need a row of tokens.
        (self.next, self.stopped) = (vec![Token::PAD], true);
    }

    fn accept(&mut self, token: Token) {
        self.processors.iter_mut().for_each(|processor| processor.accept(token));
        (self.next, self.stopped) = (vec![token], self.processors.iter().any(|processor| processor.stopped()));
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("next", &self.next).field("stopped", &self.stopped).finish_non_exhaustive()
    }
}

/// Decodes the lanes of a session side by side: an iterator over steps, each with one token a lane.
///
/// A lane that has stopped yields `None` while others go on. An error ends the iteration.
pub struct Generator<'s> {
    session: Box<dyn Session + 's>,
    sampling: Sampling,
    /// The number of the next step, for the random numbers.
    step: u64,
    lanes: Vec<Lane>,
    /// Rows of the session for each lane: row `r` of lane `l` is row `r * lanes + l`.
    rows: usize,
}

impl<'s> Generator<'s> {
    /// Decodes `lanes` with a session of as many, or of so many times as many as a processor wants rows for each.
    /// `step` is the number of the first random number: 0, or how many were used before.
    pub fn new(session: Box<dyn Session + 's>, sampling: Sampling, step: u64, lanes: Vec<Lane>) -> Self {
        let rows = lanes.iter().flat_map(|lane| &lane.processors).map(|processor| processor.rows()).max().unwrap_or(1);
        Self { session, sampling, step, lanes, rows }
    }

    fn step(&mut self) -> Result<Vec<Option<SampledToken>>> {
        let count = self.lanes.len();
        let tokens = self.lanes.iter().map(|lane| lane.next.as_slice());
        let tokens: Vec<&[Token]> = tokens.cycle().take(self.rows * count).collect();
        let logits = self.session.feed(&tokens)?;
        let want = [tokens.len(), VOCABULARY];
        if logits.shape() != want {
            return Err(Error::LogitsShape { want, got: logits.shape().to_vec() });
        }
        let mut sampled = Vec::with_capacity(count);
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if lane.stopped {
                lane.stop();
                sampled.push(None);
                continue;
            }
            let mut logits = logits.slice(s![index..;count, ..]).to_owned();
            logits.outer_iter().enumerate().try_for_each(|(row, logits)| check(logits, row * count + index))?;
            let mut scored = logits.row(0).to_owned();
            for processor in &lane.processors {
                processor.process(logits.view_mut());
                if processor.is_model() {
                    scored.assign(&logits.row(0));
                }
            }
            let token = self.sampling.sample(logits.row(0), index, self.step)?;
            if lane.processors.iter().any(|processor| processor.stops_before(token)) {
                lane.stop();
                sampled.push(None);
                continue;
            }
            lane.accept(token);
            let (log_probability, entropy) = log_probability(scored.view(), token);
            sampled.push(Some(SampledToken { token, log_probability, entropy }));
        }
        self.step += 1;
        Ok(sampled)
    }
}

impl Iterator for Generator<'_> {
    type Item = Result<Vec<Option<SampledToken>>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.lanes.iter().all(|lane| lane.stopped) {
            return None;
        }
        let sampled = self.step();
        if sampled.is_err() {
            self.lanes.iter_mut().for_each(Lane::stop);
        }
        Some(sampled)
    }
}

impl fmt::Debug for Generator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sampling, step, lanes, rows, session: _ } = self;
        let mut generator = f.debug_struct("Generator");
        generator.field("sampling", sampling).field("step", step).field("lanes", lanes).field("rows", rows);
        generator.finish_non_exhaustive()
    }
}
