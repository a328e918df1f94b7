//! The decode loop, the same for every engine and any number of lanes.

use ndarray::{ArrayView1, CowArray, Ix1, s};

use super::grammar::Grammar;
use super::sampling::{Sampling, log_probability};
use crate::error::Result;
use crate::model::Session;
use crate::music::{Event, Shift, Token};

/// One lane's rules while it is decoded.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one a lane, and most are grammars")]
pub enum Rules {
    /// Only what can still become playable music that ends on time.
    Grammar(Grammar),
    /// Whatever the model says, up to this many tokens.
    Raw(usize),
}

/// A token that a lane has said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// The token.
    pub token: Token,
    /// The natural logarithm of the model's probability for it, after guidance, before temperature, grammar and limits.
    pub log_probability: f64,
}

/// Decodes the lanes of a session side by side: an iterator over steps, each with one token a lane.
///
/// A lane that has ended yields `None` while others go on. An error ends the iteration.
pub struct Decoding<'s> {
    session: Box<dyn Session + 's>,
    sampling: Sampling,
    /// The number of the next step, for the random numbers.
    step: u64,
    lanes: Vec<Lane>,
}

struct Lane {
    rules: Rules,
    /// What is fed next.
    next: Vec<Token>,
    ended: bool,
}

impl<'s> Decoding<'s> {
    /// Each lane begins with tokens that are known already (none, for a new piece) and goes on by its rules, which know
    /// of that beginning. `step` is the number of the first random number: 0, or how many were used before.
    pub fn new(
        session: Box<dyn Session + 's>,
        sampling: Sampling,
        step: u64,
        lanes: impl IntoIterator<Item = (Vec<Token>, Rules)>,
    ) -> Self {
        let lane = |(mut next, rules): (Vec<Token>, Rules)| {
            next.insert(0, Token::PAD);
            let ended = matches!(&rules, Rules::Grammar(grammar) if grammar.ended());
            Lane { rules, next, ended }
        };
        Self { session, sampling, step, lanes: lanes.into_iter().map(lane).collect() }
    }

    fn step(&mut self) -> Result<Vec<Option<Said>>> {
        let feed: Vec<&[Token]> = self.lanes.iter().map(|lane| lane.next.as_slice()).collect();
        let logits = self.session.feed(&feed)?;
        let mut said = Vec::with_capacity(self.lanes.len());
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if lane.ended {
                // The others need the batch.
                lane.next = vec![Token::PAD];
                said.push(None);
                continue;
            }
            let logits = logits.row(index);
            let (allowed, leaning) = match &lane.rules {
                Rules::Grammar(grammar) => (Some(grammar.allowed()), leaning(logits, grammar)),
                Rules::Raw(_) => (None, logits.into()),
            };
            let token = self.sampling.sample(leaning.view(), allowed.as_ref(), index as u64, self.step)?;
            if matches!(&lane.rules, Rules::Grammar(grammar) if grammar.leaves(token)) {
                (lane.next, lane.ended) = (vec![Token::PAD], true);
                said.push(None);
                continue;
            }
            lane.next = vec![token];
            lane.ended = match &mut lane.rules {
                Rules::Grammar(grammar) => {
                    grammar.advance(token);
                    grammar.ended()
                }
                Rules::Raw(left) => {
                    *left = left.saturating_sub(1);
                    *left == 0 || token == Token::END
                }
            };
            said.push(Some(Said { token, log_probability: log_probability(logits, token) }));
        }
        self.step += 1;
        Ok(said)
    }
}

impl Iterator for Decoding<'_> {
    type Item = Result<Vec<Option<Said>>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.lanes.iter().all(|lane| lane.ended) {
            return None;
        }
        let said = self.step();
        if said.is_err() {
            self.lanes.iter_mut().for_each(|lane| lane.ended = true);
        }
        Some(said)
    }
}

/// `logits`, `[310]`, with the grammar's bias added to whatever makes a note. A pause that would be too long is as likely
/// to begin as it was: what it had goes to the longest that may be.
fn leaning<'l>(logits: ArrayView1<'l, f32>, grammar: &Grammar) -> CowArray<'l, f32, Ix1> {
    let (bias, pause) = (grammar.bias(), grammar.pause());
    let mut logits = CowArray::from(logits);
    if bias != 0.0 {
        for token in Token::all().filter(|&token| matches!(token.into(), Event::NoteOn(_) | Event::Velocity(_))) {
            logits[token.index()] += bias;
        }
    }
    if let Some(longest) = u8::try_from(pause).ok().and_then(Shift::new) {
        let index = |shift: Shift| Token::from(Event::TimeShift(shift)).index();
        let longer = logits.slice(s![index(longest)..=index(Shift::MAX)]);
        let most = longer.fold(f32::NEG_INFINITY, |most, &logit| most.max(logit));
        if most.is_finite() {
            logits[index(longest)] = most + longer.mapv(|logit| (logit - most).exp()).sum().ln();
        }
    }
    logits
}
