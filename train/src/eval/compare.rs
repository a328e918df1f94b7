//! All measurements of all models, in order.

use std::iter::zip;

use anyhow::Result;
use vmt::{Corpus, Decoded, Score};

use super::evaluation::{Candidate, EvalOptions, Evaluation, Progress};
use super::films::Film;
use super::held_out::HeldOut;
use super::report::Report;
use super::tables::Outcome;

/// A piece of music to listen to.
pub struct Piece {
    /// `SONG-SECONDS.WHO`: its fragment, and `original` or a model's name. What is generated without grammar ends in `.raw`. Of
    /// beginnings of songs, `SONG-LENGTH-long.WHO`.
    pub name: String,
    /// The music.
    pub score: Score,
}

/// Compares `candidates` (at least one) on fragments of `held_out`. What they copied is sought in `corpus`, which holds the songs that
/// they were trained on, and `films` show whether their music follows real film.
pub fn evaluate(
    held_out: &HeldOut,
    corpus: Option<&Corpus>,
    films: &[Film],
    candidates: &[Candidate],
    options: &EvalOptions,
    progress: Progress,
) -> Result<(Report, Vec<Piece>)> {
    let evaluation = Evaluation::new(held_out, films, candidates, options, progress)?;
    let outcomes: Vec<_> = candidates.iter().map(|one| evaluation.measure(one)).collect::<Result<_>>()?;
    Ok((evaluation.report(&outcomes, corpus), evaluation.named_pieces(&outcomes)))
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
        let (raw, constrained) = (generate(false, "without")?, generate(true, "with")?);
        let excerpt = |number| self.compose_excerpt(&composer, candidate, number);
        let excerpts = self.each(self.excerpts.len(), &format!("{name}: long pieces"), excerpt)?;
        let film = |number| self.compose_film(&composer, candidate, number);
        let films = self.each(self.films.len(), &format!("{name}: music for real films"), film)?;
        Ok(Outcome { likelihoods, raw, constrained, excerpts, films })
    }

    fn named_pieces(&self, outcomes: &[Outcome]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (number, &place) in self.pieces.iter().enumerate() {
            let mut add = |who: &str, decoded: &Decoded| {
                pieces.push(Piece { name: self.piece_name(self.fragments[place], who), score: decoded.score.clone() });
            };
            add("original", &self.originals[place]);
            for (Candidate { name, .. }, Outcome { raw, constrained, .. }) in zip(self.candidates, outcomes) {
                add(name, &constrained[number]);
                add(&format!("{name}.raw"), &raw[number]);
            }
        }
        for (number, excerpt) in self.excerpts.iter().enumerate() {
            let mut add = |who: &str, score: &Score| {
                let name = format!("{}-{:.0}s-long.{who}", excerpt.name, score.duration().as_secs_f64());
                pieces.push(Piece { name, score: score.clone() });
            };
            add("original", &excerpt.score);
            for (candidate, outcome) in zip(self.candidates, outcomes) {
                add(&candidate.name, &outcome.excerpts[number]);
            }
        }
        pieces
    }
}
