//! The decode loop, the same for every engine and any number of lanes.

use ndarray::{ArrayView1, CowArray, Ix1};

use crate::sampling::log_probability;
use crate::{Event, Grammar, Result, Sampling, Session, Token};

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
            let (allowed, bias) = match &lane.rules {
                Rules::Grammar(grammar) => (Some(grammar.allowed()), grammar.bias()),
                Rules::Raw(_) => (None, 0.0),
            };
            let logits = logits.row(index);
            let leaning = biased(logits, bias);
            let token = self.sampling.sample(leaning.view(), allowed.as_ref(), index as u64, self.step)?;
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

/// `logits`, `[310]`, with `bias` added to whatever makes a note.
fn biased(logits: ArrayView1<f32>, bias: f32) -> CowArray<f32, Ix1> {
    let mut logits = CowArray::from(logits);
    if bias != 0.0 {
        for token in Token::all().filter(|&token| matches!(token.into(), Event::NoteOn(_) | Event::Velocity(_))) {
            logits[token.index()] += bias;
        }
    }
    logits
}
