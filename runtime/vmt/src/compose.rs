//! From pictures to a score: the line that everything else serves.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{
    Backend, Bundle, Decoded, Decoding, Engine, Error, Grammar, Note, Result, Rules, STEPS_PER_SECOND, Sampling, Score,
    Token, Window,
};

/// A model that composes.
pub struct Composer {
    engine: Box<dyn Engine>,
    max_tokens: usize,
}

/// How to compose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Takes whatever the model says, playable or not, instead of keeping to the grammar.
    pub unconstrained: bool,
}

/// How far composing has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The moment of the film that has its music.
    pub time: Duration,
    /// Events so far.
    pub events: usize,
}

/// A score and how it came about.
#[derive(Clone, Debug, Default)]
pub struct Composition {
    /// The music, as long as the film.
    pub score: Score,
    /// Windows of the film that were composed one by one.
    pub windows: usize,
    /// Tokens, [`Token::END`]s among them.
    pub events: usize,
    /// Note-offs of keys that were not down (paper section 4.3); 0 unless unconstrained.
    pub unmatched_offs: usize,
    /// Notes that the model left open (paper section 4.3); 0 unless unconstrained.
    pub unclosed: usize,
    /// Sum over windows of how far the music's end was from the window's, either way; 0 unless unconstrained.
    pub length_error: Duration,
    /// Time it took to get pictures, to encode them and to decode events.
    pub seconds: Stages,
}

/// Time spent in each stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stages {
    /// Waiting for pictures.
    pub video: Duration,
    /// In the encoder.
    pub encode: Duration,
    /// In the decoder, sampling included.
    pub decode: Duration,
}

impl Composer {
    /// Loads `bundle` with an engine of the caller's choice; see [`Backend::load`].
    pub fn new(bundle: &Bundle, backend: Backend, threads: Option<std::num::NonZeroUsize>) -> Result<Self> {
        Ok(Self::with_engine(backend.load(bundle, threads)?, bundle.manifest().max_tokens))
    }

    /// Composes with any engine; a window takes at most `max_tokens` tokens.
    pub fn with_engine(engine: Box<dyn Engine>, max_tokens: usize) -> Self {
        Self { engine, max_tokens }
    }

    /// The engine at work.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Composes for a film, window by window, and tells `progress` after every event.
    ///
    /// The score is as long as the windows together. Unless [`Options::unconstrained`], every note is closed within its
    /// window, and the music ends with the film.
    pub fn compose<E: From<Error>>(
        &self,
        windows: impl IntoIterator<Item = Result<Window, E>>,
        options: &Options,
        mut progress: impl FnMut(Progress),
    ) -> Result<Composition, E> {
        options.sampling.validate()?;
        let mut composition = Composition::default();
        let mut windows = windows.into_iter();
        loop {
            let waited = Instant::now();
            let window = windows.next().transpose()?;
            composition.seconds.video += waited.elapsed();
            let Some(window) = window else { return Ok(composition) };

            let (start, end) = (steps(window.start), steps(window.start + window.duration));
            let decoded = self.window(&window, end - start, options, &mut composition, &mut progress)?;
            let place = |note: &Note| Note { start: note.start + start, end: note.end + start, ..*note };
            composition.score.notes.extend(decoded.score.notes.iter().map(place));
            composition.score.duration = window.start + window.duration;
            composition.windows += 1;
            composition.unmatched_offs += decoded.unmatched_offs;
            composition.unclosed += decoded.unclosed;
            let error = decoded.end_step.abs_diff(end - start);
            composition.length_error += Duration::from_secs(error.into()) / STEPS_PER_SECOND;
        }
    }

    fn window(
        &self,
        window: &Window,
        steps: u32,
        options: &Options,
        composition: &mut Composition,
        progress: &mut impl FnMut(Progress),
    ) -> Result<Decoded> {
        let rules = match options.unconstrained {
            true => Rules::Raw(self.max_tokens),
            false => Rules::Grammar(Grammar::new(steps, self.max_tokens)?),
        };
        let began = Instant::now();
        let session = self.engine.open(std::slice::from_ref(&window.clip))?;
        composition.seconds.encode += began.elapsed();

        let began = Instant::now();
        let mut tokens: Vec<Token> = Vec::new();
        let mut clock = 0;
        for step in Decoding::new(session, options.sampling, composition.events as u64, vec![rules]) {
            let Some(token) = step?[0] else { break };
            tokens.push(token);
            composition.events += 1;
            if let crate::Event::TimeShift(shift) = token.into() {
                clock += u32::from(shift.get());
            }
            let time = window.start + Duration::from_secs(clock.into()) / STEPS_PER_SECOND;
            progress(Progress { time, events: composition.events });
        }
        composition.seconds.decode += began.elapsed();
        Ok(Score::decode(tokens, window.duration))
    }
}

/// The step nearest to a moment of the film; halves go up.
fn steps(time: Duration) -> u32 {
    let half = Duration::from_secs(1) / STEPS_PER_SECOND / 2;
    ((time + half).as_millis() * u128::from(STEPS_PER_SECOND) / 1000).try_into().unwrap_or(u32::MAX)
}
