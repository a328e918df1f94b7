//! A piece while it is composed, window after window.

use std::collections::VecDeque;
use std::fmt;
use std::iter::Peekable;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::composition::{Composition, Played, Timings};
use super::options::Options;
use super::ranking::Rank;
use super::seam::Take;
use crate::decode::{
    Cadence, DensityBias, Generator, Grammar, Guidance, Lane, LogitsProcessor, Metre, PauseTemperature, SampledToken,
    Scales, Unconstrained,
};
use crate::error::{Error, Result};
use crate::model::{Engine, check_takes};
use crate::music::{Conditions, Shift, steps, time};
use crate::video::Window;

/// A piece that is being composed: an iterator over what is played, as soon as it is decoded.
///
/// Nothing is decoded ahead: each call runs the decoder once at most, for all takes. So to stop is to call no more, and
/// either to drop it or to [`finish`](Self::finish) with what there is.
///
/// The windows overlap by three quarters ([`Options::hop`]). Each is composed but for its last eighth, which is left to the
/// next: that sees three quarters of the pictures again, is fed the music that there is for them, and continues it, with
/// the notes that are still held, none longer than [`Geometry::max_note_steps`](crate::Geometry::max_note_steps). The
/// windows of an unconstrained piece lie side by side instead, each composed on its own, as the paper's fragments are.
///
/// Events as they come, of several takes; then the best of them, or as much of it as there is:
///
#[cfg_attr(feature = "tract", doc = "```")]
#[cfg_attr(not(feature = "tract"), doc = "```no_run")]
/// use std::time::Duration;
/// use vmt::{Backend, Bundle, Composer, Options, Window};
///
/// let composer = Composer::new(&Bundle::open("../../onnx/tiny-vmt")?, Backend::Tract, None)?;
/// let (options, geometry) = (Options::default(), composer.engine().geometry());
/// let windows = Window::without_video(Duration::from_secs(15), geometry, options.hop(&geometry));
/// let mut piece = composer.piece(windows, &options, 3.try_into().unwrap())?;
/// while let Some(played) = piece.next().transpose()? {
///     println!("take {}: {:?} at {:?}", played.take, played.event, played.time);
///     if played.time > Duration::from_secs(5) {
///         break; // To stop is to ask for no more.
///     }
/// }
/// let takes = piece.finish();
/// assert!(takes.len() == 3 && takes[0].rank.total() >= takes[1].rank.total());
/// assert!(takes.iter().all(|take| !take.complete && take.score.duration() < Duration::from_secs(7)));
/// # Ok::<_, vmt::Error>(())
/// ```
pub struct Piece<'c, W: Iterator> {
    engine: &'c dyn Engine,
    max_tokens: usize,
    options: Options,
    windows: Peekable<W>,
    state: State<'c>,
    takes: Vec<Take>,
    played: VecDeque<Played>,
    /// Where the last window's music ended, in steps of the film. A take that is not there yet has left its pause to the
    /// next.
    seam: u32,
    /// How far the windows went.
    seen: Duration,
    /// Random numbers that were used, for each take.
    draws: u64,
    timings: Timings,
}

enum State<'c> {
    /// The next window is to begin.
    Between,
    /// A window is being decoded.
    Within(Generator<'c>, Span),
    /// The film was at its end, or an error came.
    Over { complete: bool },
}

/// The part of the film that a window's music is for.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// Where the window begins, in steps of the film.
    start: u32,
    /// Where the music ends.
    end: u32,
    /// The moment of `end`, or of the film's end where that comes first.
    until: Duration,
    /// Another window follows.
    open_ended: bool,
}

impl<'c, W: Iterator> Piece<'c, W> {
    pub(super) fn new(
        engine: &'c dyn Engine,
        max_tokens: usize,
        windows: impl IntoIterator<IntoIter = W>,
        options: &Options,
        takes: NonZeroUsize,
    ) -> Result<Self> {
        options.validate(engine.geometry())?;
        check_takes(takes.get())?;
        Ok(Self {
            engine,
            max_tokens,
            options: options.clone(),
            windows: windows.into_iter().peekable(),
            state: State::Between,
            takes: vec![Take::default(); takes.get()],
            played: VecDeque::new(),
            seam: 0,
            seen: Duration::ZERO,
            draws: 0,
            timings: Timings::default(),
        })
    }

    /// The takes as they are now, the best first; see [`Rank`]. If the piece was stopped before its end, the music and
    /// the notes that are held end where it stopped.
    pub fn finish(mut self) -> Vec<Composition> {
        let complete = matches!(self.state, State::Over { complete: true });
        let window = self.engine.geometry().window();
        let finish = |(index, take): (usize, &mut Take)| {
            take.close();
            let score = take.score(if complete { self.seen } else { self.seen.min(time(take.clock())) });
            let [log_probability, entropy] =
                [take.log_probability, take.entropy].map(|sum| sum / take.events.max(1) as f64);
            Composition {
                take: index,
                rank: Rank::new(&score, log_probability, entropy, self.options.controls.density),
                score,
                windows: self.seen.as_nanos().div_ceil(window.as_nanos()) as usize,
                events: take.events,
                log_probability,
                entropy,
                complete,
                unmatched_offs: take.unmatched_offs(),
                unclosed: take.unclosed,
                length_error: time(take.length_error),
                timings: self.timings,
            }
        };
        let mut takes: Vec<_> = self.takes.iter_mut().enumerate().map(finish).collect();
        takes.sort_by(|a, b| b.rank.total().total_cmp(&a.rank.total()));
        takes
    }

    /// Plays the primer, or as much of it as the first window is long.
    fn prime(&mut self, end: u32) {
        for (index, take) in self.takes.iter_mut().enumerate() {
            for &token in &self.options.primer {
                let Some(token) = take.prime(token, end) else { break };
                self.played.push_back(Played { take: index, time: time(take.clock()), event: token.into() });
            }
        }
    }

    /// The part of the film that the music of `window` is for, which must not leave any out.
    fn span(&self, window: &Window, last: bool) -> Result<Span> {
        let geometry = self.engine.geometry();
        let start = steps(window.start);
        if start > self.seam || (self.options.unconstrained && start < self.seam) {
            let (want, got) = ("where the music is to go on (see Options::hop)", format!("{:?}", window.start));
            return Err(Error::Option { option: "start of a window", want, got });
        }
        let left = if last || self.options.unconstrained { 0 } else { geometry.lookahead() };
        let until = window.start.saturating_add(window.duration).saturating_sub(geometry.lasts(left));
        let end = steps(until).max(self.seam);
        Ok(Span { start, end, until: time(end).min(until), open_ended: !last })
    }

    /// The known tokens of each take, and what constrains those that follow.
    fn lanes(&mut self, span: Span, guidance: Option<&Guidance>, conditions: &Arc<Conditions>) -> Result<Vec<Lane>> {
        let Self { options, max_tokens, seam, takes, played, .. } = self;
        let geometry = self.engine.geometry();
        // The pictures that were left to this window, and a pause.
        let left = if *seam == 0 { 0 } else { Shift::over(steps(geometry.lasts(geometry.lookahead()))).count() + 1 };
        let lane = |(index, take): (usize, &mut Take)| {
            let mut processors: Vec<Box<dyn LogitsProcessor>> = Vec::new();
            processors.extend(guidance.map(|guidance| Box::new(guidance.clone()) as _));
            if options.unconstrained {
                processors.push(Box::new(Unconstrained::new(*max_tokens)));
                return Ok(Lane::new(Vec::new(), processors));
            }
            let released = take.release(span.start);
            let (prefix, velocity) = take.since(span.start);
            for event in released.into_iter().chain(velocity) {
                played.push_back(Played { take: index, time: time(take.clock()).min(span.until), event });
            }
            // The prefix costs nothing, nor does it to close what is held (a pause and an off), or to pass what was left
            // to this window.
            let budget = max_tokens.saturating_add(prefix.len() + 2 * take.held() + left);
            let grammar = Grammar::new(span.end - span.start, budget)?
                .max_note_steps(geometry.max_note_steps())
                .min_rest(*seam - span.start)
                .controls(&options.controls);
            processors.extend(options.controls.density.map(|density| Box::new(DensityBias::new(density)) as _));
            if !options.quantize && !options.conditions.beats.is_empty() {
                processors.push(Box::new(PauseTemperature::new(PauseTemperature::USUAL)));
            }
            processors.push(Box::new(if span.open_ended { grammar.open_ended() } else { grammar }));
            let strike_hits = options.strike_hits && conditions.hits.is_some();
            if options.quantize || strike_hits {
                processors.push(Box::new(Metre::new(conditions.clone(), options.quantize, strike_hits)));
            }
            if options.cadence {
                let cadence = Cadence::new(conditions.clone());
                processors.push(Box::new(if options.intensity_guidance > 1.0 { cadence.dense() } else { cadence }));
            }
            Ok(Lane::new(prefix, processors))
        };
        takes.iter_mut().enumerate().map(lane).collect()
    }

    /// Opens a session for `window` and its music so far.
    fn begin(&mut self, window: Window, last: bool) -> Result<()> {
        if self.seen.is_zero() {
            self.prime(steps(window.duration));
        }
        let span = self.span(&window, last)?;
        self.seen = window.start.saturating_add(window.duration);
        let began = Instant::now();
        let mut conditions = self.options.conditions.window(span.start, steps(window.duration));
        if last {
            conditions.end = Some(span.end - span.start);
        }
        let conditions = Arc::new(conditions);
        let clips = vec![window.clip.with_conditions(conditions.clone())];
        let scales = Scales { video: self.options.guidance, intensity: self.options.intensity_guidance };
        let (session, guidance) = Guidance::open(self.engine, clips, self.takes.len(), scales)?;
        self.timings.encode += began.elapsed();
        let lanes = self.lanes(span, guidance.as_ref(), &conditions)?;
        self.state = State::Within(Generator::new(session, self.options.sampling, self.draws, lanes), span);
        Ok(())
    }

    fn play(&mut self, sampled: Vec<Option<SampledToken>>, span: Span) {
        self.draws += 1;
        for (index, (take, sampled)) in self.takes.iter_mut().zip(sampled).enumerate() {
            let Some(SampledToken { token, log_probability, entropy }) = sampled else { continue };
            take.play(token);
            take.events += 1;
            take.log_probability += log_probability;
            take.entropy += entropy;
            // An unconstrained model may run past its window, but the next one starts where this one ends.
            let time = time(take.clock()).min(span.until);
            self.played.push_back(Played { take: index, time, event: token.into() });
        }
    }

    fn end(&mut self, span: Span) {
        self.seam = span.end;
        self.state = State::Between;
        if self.options.unconstrained {
            for take in &mut self.takes {
                take.length_error = take.length_error.saturating_add(take.clock().abs_diff(span.end));
                take.restart(span.end);
            }
        }
    }
}

impl<E: From<Error>, W: Iterator<Item = Result<Window, E>>> Piece<'_, W> {
    /// One step of the decoder, or what must be done before the next.
    fn advance(&mut self) -> Result<(), E> {
        let began = Instant::now();
        match &mut self.state {
            State::Between => {
                let window = self.windows.next().transpose()?;
                let last = self.windows.peek().is_none();
                self.timings.video += began.elapsed();
                match window {
                    Some(window) => self.begin(window, last)?,
                    None => self.state = State::Over { complete: true },
                }
            }
            State::Within(generator, span) => {
                let (sampled, span) = (generator.next().transpose()?, *span);
                self.timings.decode += began.elapsed();
                match sampled {
                    Some(sampled) => self.play(sampled, span),
                    None => self.end(span),
                }
            }
            State::Over { .. } => {}
        }
        Ok(())
    }
}

impl<E: From<Error>, W: Iterator<Item = Result<Window, E>>> Iterator for Piece<'_, W> {
    type Item = Result<Played, E>;

    /// The next event of a take, which may run the decoder once.
    ///
    /// # Errors
    ///
    /// Those of the windows; [`Error::Option`] for a window that leaves out music, or too few tokens for one; those of the
    /// engine; and [`Error::Logits`], [`Error::LogitsShape`] or [`Error::NoToken`] where its logits are none. An error is
    /// the last item.
    fn next(&mut self) -> Option<Self::Item> {
        while self.played.is_empty() && !matches!(self.state, State::Over { .. }) {
            if let Err(error) = self.advance() {
                self.state = State::Over { complete: false };
                return Some(Err(error));
            }
        }
        self.played.pop_front().map(Ok)
    }
}

impl<W: Iterator> fmt::Debug for Piece<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, takes, seen, .. } = self;
        f.debug_struct("Piece")
            .field("engine", &self.engine.name())
            .field("options", options)
            .field("takes", &takes.len())
            .field("seen", seen)
            .finish_non_exhaustive()
    }
}
