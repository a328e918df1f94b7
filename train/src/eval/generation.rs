//! The music that a model generates for held-out video.

use std::iter::zip;

use anyhow::Result;
use vmt::decode::{Generator, Grammar, Guidance, Lane, LogitsProcessor, Unconstrained};
use vmt::{Clip, Decoded, STEPS_PER_SECOND, Sampling, Score, Token};

use super::evaluation::{Candidate, Evaluation};
use crate::data::MAX_TOKENS;
use crate::model::BurnEngine;
use crate::random::Stream;
use crate::synth::Channels;

impl Evaluation<'_> {
    /// Generates music for the fragments at `places`, at temperature 1 as in the authors' code.
    pub fn generate(
        &self,
        engine: &BurnEngine,
        candidate: &Candidate,
        places: &[usize],
        group: u64,
        grammar: bool,
    ) -> Result<Vec<Decoded>> {
        let clip = |&place: &usize| match candidate.blind {
            true => Ok(Clip::without_video(&candidate.geometry)),
            false => self.clip(place, Channels::all(), &candidate.geometry),
        };
        let clips = places.iter().map(clip).collect::<Result<_>>()?;
        let (session, guidance) = Guidance::open(engine, clips, 1, self.options.guidance)?;
        // As a composer has it for a full window.
        let steps = (self.seconds() * f64::from(STEPS_PER_SECOND)) as u32;
        let lane = |_| {
            let mut processors: Vec<Box<dyn LogitsProcessor>> = Vec::new();
            processors.extend(guidance.map(|guidance| Box::new(guidance) as _));
            processors.push(if grammar {
                Box::new(Grammar::new(steps, MAX_TOKENS)?.max_note_steps(candidate.geometry.max_note_steps()))
            } else {
                Box::new(Unconstrained::new(MAX_TOKENS))
            });
            Ok(Lane::new(Vec::new(), processors))
        };
        let lanes = places.iter().map(lane).collect::<Result<_>>()?;
        let seed = Stream::new(self.options.seed, "music", &[group]).number();
        let mut tokens: Vec<Vec<Token>> = vec![Vec::new(); places.len()];
        for sampled in Generator::new(session, Sampling::default().with_seed(seed), 0, lanes) {
            for (tokens, sampled) in zip(&mut tokens, sampled?) {
                tokens.extend(sampled.map(|sampled| sampled.token));
            }
        }
        Ok(tokens.into_iter().map(|tokens| Score::decode(tokens, self.window)).collect())
    }
}
