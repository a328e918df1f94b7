//! All measurements of all models, in order.

use std::iter::zip;

use anyhow::Result;
use vmt::{Decoded, Score};

use super::evaluation::{Candidate, EvalOptions, Evaluation, Progress};
use super::held_out::HeldOut;
use super::report::Report;
use super::tables::Outcome;

/// A piece of music to listen to.
pub struct Piece {
    /// `SONG-SECONDS.WHO`: its fragment, and `original` or a model's name. What is generated without grammar ends in `.raw`.
    pub name: String,
    /// The music.
    pub score: Score,
}

/// Compares `candidates` (at least one) on fragments of `held_out`.
pub fn evaluate(
    held_out: &HeldOut,
    candidates: &[Candidate],
    options: &EvalOptions,
    progress: Progress,
) -> Result<(Report, Vec<Piece>)> {
    let evaluation = Evaluation::new(held_out, candidates, options, progress)?;
    let outcomes: Vec<_> = candidates.iter().map(|one| evaluation.measure(one)).collect::<Result<_>>()?;
    Ok((evaluation.report(&outcomes), evaluation.named_pieces(&outcomes)))
}

impl Evaluation<'_> {
    fn measure(&self, candidate: &Candidate) -> Result<Outcome> {
        let name = &candidate.name;
        let likelihood = |place| self.likelihood(candidate, place);
        let likelihoods = self.each(self.fragments.len(), &format!("{name}: likelihoods"), likelihood)?;
        let composer = candidate.composer();
        let generate = |grammar: bool, what: &str| {
            let piece = |number: usize| self.compose(&composer, candidate, self.pieces[number], grammar);
            self.each(self.pieces.len(), &format!("{name}: music {what} grammar"), piece)
        };
        Ok(Outcome { likelihoods, raw: generate(false, "without")?, constrained: generate(true, "with")? })
    }

    fn named_pieces(&self, outcomes: &[Outcome]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (number, &place) in self.pieces.iter().enumerate() {
            let (song, start) = self.held_out.place(self.fragments[place]);
            let mut add = |who: &str, decoded: &Decoded| {
                pieces.push(Piece { name: format!("{song}-{start:03.0}s.{who}"), score: decoded.score.clone() });
            };
            add("original", &self.originals[place]);
            for (Candidate { name, .. }, Outcome { raw, constrained, .. }) in zip(self.candidates, outcomes) {
                add(name, &constrained[number]);
                add(&format!("{name}.raw"), &raw[number]);
            }
        }
        pieces
    }
}
