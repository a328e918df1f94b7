//! The music that a model composes for held-out video.

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::Result;
use vmt::{Clip, Composer, Conditions, Decoded, Error, Options, Sampling, Score, Token, Window};

use super::evaluation::{Candidate, Evaluation};
use crate::data::MAX_TOKENS;
use crate::model::BurnEngine;
use crate::random::Stream;
use crate::synth::Channels;

impl Candidate {
    /// The model behind the library's public way to compose.
    pub fn composer(&self) -> Composer {
        Composer::with_engine(Box::new(BurnEngine::new(self.model.clone(), self.geometry)), MAX_TOKENS)
    }
}

impl Evaluation<'_> {
    /// What a piece is composed with; models with conditions by what they are `told`.
    pub fn composing(&self, candidate: &Candidate, seed: u64, told: &Conditions) -> Options {
        let options = Options::default()
            .with_sampling(self.options.sampling.with_seed(seed))
            .with_guidance(self.options.guidance);
        if candidate.model.has_conditions() {
            options.with_conditions(told.clone()).with_quantize(self.options.quantize)
        } else {
            options
        }
    }

    /// Composes for the fragment at `place` as `vmt compose` does for a film of a window. A fragment is from a song's midst,
    /// so there is no cadence.
    pub fn compose(&self, composer: &Composer, candidate: &Candidate, place: usize, grammar: bool) -> Result<Decoded> {
        let clip = match candidate.blind {
            true => Clip::without_video(&candidate.geometry),
            false => self.clip(place, Channels::all(), &candidate.geometry)?,
        };
        let seed = Stream::new(self.options.seed, "music", &[place as u64]).number();
        let mut options = self.composing(candidate, seed, &self.told[place]).with_unconstrained(!grammar);
        if !grammar {
            options.sampling = Sampling::untruncated().with_seed(seed);
        }
        let film = [Ok::<_, Error>(Window { start: Duration::ZERO, duration: self.window, clip })];
        let piece = composer.piece(film, &options, NonZeroUsize::MIN)?;
        let tokens = piece.map(|played| Ok(Token::from(played?.event))).collect::<Result<Vec<_>>>()?;
        Ok(Score::decode(tokens, self.window))
    }
}
