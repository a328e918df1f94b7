//! The decode loop, the same for every engine and any number of lanes.

use crate::{Grammar, Result, Sampling, Session, Token};

/// One lane's rules while it is decoded.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one a lane, and most are grammars")]
pub enum Rules {
    /// Only what can still become playable music that ends on time.
    Grammar(Grammar),
    /// Whatever the model says, up to this many tokens.
    Raw(usize),
}

/// Decodes the lanes of a session side by side: an iterator over steps, each with one token a lane.
///
/// A lane yields [`Token::END`] last, unless its rules are raw and it runs out of tokens; then `None`, while others go on.
pub struct Decoding<'s> {
    session: Box<dyn Session + 's>,
    sampling: Sampling,
    /// The number of the next step, for the random numbers.
    step: u64,
    lanes: Vec<Lane>,
}

struct Lane {
    rules: Rules,
    last: Token,
    ended: bool,
}

impl<'s> Decoding<'s> {
    /// Starts at `step` of the random numbers: 0, or what an earlier window has used.
    pub fn new(session: Box<dyn Session + 's>, sampling: Sampling, step: u64, rules: Vec<Rules>) -> Self {
        let lanes = rules.into_iter().map(|rules| Lane { rules, last: Token::PAD, ended: false }).collect();
        Self { session, sampling, step, lanes }
    }
}

impl Iterator for Decoding<'_> {
    type Item = Result<Vec<Option<Token>>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.lanes.iter().all(|lane| lane.ended) {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.lanes.iter_mut().for_each(|lane| lane.ended = true);
        }
        Some(step)
    }
}

impl Decoding<'_> {
    fn step(&mut self) -> Result<Vec<Option<Token>>> {
        // A lane that has ended is fed padding, because the others need the batch.
        let fed: Vec<Token> = self.lanes.iter().map(|lane| if lane.ended { Token::PAD } else { lane.last }).collect();
        let logits = self.session.step(&fed)?;
        let mut tokens = Vec::with_capacity(self.lanes.len());
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if lane.ended {
                tokens.push(None);
                continue;
            }
            let allowed = match &lane.rules {
                Rules::Grammar(grammar) => Some(grammar.allowed()),
                Rules::Raw(_) => None,
            };
            let token = self.sampling.sample(logits.row(index), allowed.as_ref(), index as u64, self.step)?;
            lane.last = token;
            lane.ended = token == Token::END;
            match &mut lane.rules {
                Rules::Grammar(grammar) => grammar.advance(token),
                Rules::Raw(left) => {
                    *left = left.saturating_sub(1);
                    lane.ended |= *left == 0;
                }
            }
            tokens.push(Some(token));
        }
        self.step += 1;
        Ok(tokens)
    }
}
