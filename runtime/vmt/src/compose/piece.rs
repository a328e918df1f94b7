//! A piece while it is composed, window after window.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use ndarray::{Axis, concatenate, s};

use super::composition::{Composition, Played};
use super::options::Options;
use super::ranking::Rank;
use super::seam::Take;
use crate::decode::{Decoding, Grammar, Rules, guidance};
use crate::error::{Error, Result};
use crate::model::Engine;
use crate::music::{Shift, steps, time};
use crate::video::{Clip, Geometry, Window};

/// A piece that is being composed: an iterator over what is played, as soon as it is decoded.
///
/// Nothing is decoded ahead: each call runs the decoder once at most, for all takes. So to stop is to call no more, and
/// either to drop it or to [`finish`](Self::finish) with what there is.
///
/// The first window is composed but for its last eighth. From then on the film goes on by a quarter of a window: the model
/// sees the last three quarters again, hears its own music for them as far as it has come, and continues that for as
/// long as the quarter, with the notes that still sound, none longer than [`Geometry::longest_note`]. An unconstrained
/// piece is composed window by window instead, each on its own, as the paper's fragments are.
pub struct Piece<'c, W: Iterator> {
    engine: &'c dyn Engine,
    max_tokens: usize,
    options: Options,
    windows: Peekable<W>,
    previous: Option<Window>,
    spans: VecDeque<Span>,
    /// Where the last span ended, in steps of the film. A take that is not there yet has left its pause to the next.
    seam: u32,
    running: Option<(Decoding<'c>, Span)>,
    takes: Vec<Take>,
    played: VecDeque<Played>,
    /// Random numbers that were used, for each take.
    draws: u64,
    over: bool,
    report: Composition,
}

/// A part of the film to be composed at once.
struct Span {
    clip: Clip,
    /// What the clip shows first, in steps of the film.
    start: u32,
    /// Where the music ends then.
    end: u32,
    /// The moment of `end`, or of the film's end where that comes first.
    until: Duration,
    /// Nothing follows.
    last: bool,
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
        Ok(Self {
            engine,
            max_tokens,
            options: options.clone(),
            windows: windows.into_iter().peekable(),
            previous: None,
            spans: VecDeque::new(),
            seam: 0,
            running: None,
            takes: vec![Take::new(); takes.get()],
            played: VecDeque::new(),
            draws: 0,
            over: false,
            report: Composition::default(),
        })
    }
}

impl<E: From<Error>, W: Iterator<Item = Result<Window, E>>> Iterator for Piece<'_, W> {
    type Item = Result<Played, E>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.played.is_empty() && !self.over {
            match self.go_on() {
                Ok(going) => self.over = !going,
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        self.played.pop_front().map(Ok)
    }
}

impl<E: From<Error>, W: Iterator<Item = Result<Window, E>>> Piece<'_, W> {
    /// The takes as they are now, the best first; see [`Rank`]. If the piece was stopped before its end, the music and
    /// the notes that sounded end where it stopped.
    pub fn finish(mut self) -> Vec<Composition> {
        let finish = |(index, take): (usize, &mut Take)| {
            let duration = self.report.score.duration;
            let duration = if self.report.complete { duration } else { duration.min(time(take.clock())) };
            take.close(take.clock());
            let score = take.score(duration);
            let log_probability = take.log_probability / take.events.max(1) as f64;
            Composition {
                take: index,
                rank: Rank::new(&score, log_probability, self.options.controls.density),
                score,
                events: take.events,
                log_probability,
                unmatched_offs: take.unmatched_offs,
                unclosed: take.unclosed,
                length_error: time(take.length_error),
                ..self.report.clone()
            }
        };
        let mut takes: Vec<_> = self.takes.iter_mut().enumerate().map(finish).collect();
        takes.sort_by(|a, b| b.rank.total().total_cmp(&a.rank.total()));
        takes
    }

    /// One step of the decoder, or what must be done before the next; false at the film's end.
    fn go_on(&mut self) -> Result<bool, E> {
        if let Some((decoding, span)) = &mut self.running {
            let began = Instant::now();
            let step = decoding.next().transpose()?;
            self.report.seconds.decode += began.elapsed();
            match step {
                Some(said) => {
                    self.draws += 1;
                    for (index, (take, said)) in self.takes.iter_mut().zip(said).enumerate() {
                        let Some(said) = said else { continue };
                        take.play(said.token);
                        take.events += 1;
                        take.log_probability += said.log_probability;
                        // A raw model may run past its window, but the next one starts where this one ends.
                        let time = time(take.clock()).min(span.until);
                        self.played.push_back(Played { take: index, time, event: said.token.into() });
                    }
                }
                None => self.end_span(),
            }
            return Ok(true);
        }
        if let Some(span) = self.spans.pop_front() {
            self.begin_span(span)?;
            return Ok(true);
        }
        self.next_window()
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

    fn begin_span(&mut self, span: Span) -> Result<()> {
        let max_tokens = self.max_tokens;
        let geometry = self.engine.geometry();
        let longest = geometry.longest_note();
        let left = match self.report.windows {
            1 => 0,
            // The last pictures of the one before, and a pause.
            _ => Shift::over(steps(geometry.lasts(geometry.ahead()))).count() + 1,
        };
        let played = &mut self.played;
        let lane = |(index, take): (usize, &mut Take)| {
            if self.options.unconstrained {
                return Ok((Vec::new(), Rules::Raw(max_tokens)));
            }
            let released = take.release(span.start);
            let (beginning, loud) = take.since(span.start);
            for event in released.into_iter().chain(loud) {
                played.push_back(Played { take: index, time: time(take.clock()).min(span.until), event });
            }
            // What is known already costs nothing, nor does it to close what sounds (a pause and an off), or to pass what
            // was left to this window.
            let budget = max_tokens + beginning.len() + 2 * take.sounding() + left;
            let mut grammar = Grammar::new(span.end - span.start, budget)?.notes_up_to(longest);
            grammar = grammar.controlled(&self.options.controls).rests_until(self.seam.saturating_sub(span.start));
            if !span.last {
                grammar = grammar.goes_on();
            }
            beginning.iter().for_each(|&token| grammar.advance(token));
            Ok((beginning, Rules::Grammar(grammar)))
        };
        let lanes: Vec<_> = self.takes.iter_mut().enumerate().map(lane).collect::<Result<_>>()?;
        let began = Instant::now();
        let clip = vec![span.clip.clone()];
        let session = guidance::open(self.engine, clip, lanes.len(), self.options.guidance)?;
        self.report.seconds.encode += began.elapsed();
        self.running = Some((Decoding::new(session, self.options.sampling, self.draws, lanes), span));
        Ok(())
    }

    fn end_span(&mut self) {
        let Some((_, span)) = self.running.take() else { return };
        self.seam = span.end;
        if self.options.unconstrained {
            for take in &mut self.takes {
                take.length_error += take.clock().abs_diff(span.end);
                take.close(span.end);
            }
        }
    }

    fn next_window(&mut self) -> Result<bool, E> {
        let waited = Instant::now();
        let window = self.windows.next().transpose()?;
        let last = self.windows.peek().is_none();
        self.report.seconds.video += waited.elapsed();
        let Some(window) = window else {
            self.report.complete = true;
            return Ok(false);
        };
        if self.report.windows == 0 {
            self.prime(steps(window.duration));
        }
        self.report.windows += 1;
        self.report.score.duration = window.start + window.duration;
        let geometry = self.engine.geometry();
        // Without video, as many as there would be.
        let pictures = |window: &Window| match window.clip.frames() {
            0 => geometry.pictures(window.duration),
            frames => frames,
        };
        let shown = pictures(&window);
        // Of a film's first window, and of a raw one, all comes at once, and nothing is heard again.
        let before = self.previous.as_ref().filter(|_| !self.options.unconstrained);
        for new in if before.is_some() { hops(&geometry) } else { vec![geometry.frames] } {
            let known = before.map_or(0, |before| pictures(before).min(geometry.frames - new));
            let whole = new >= shown;
            let ends = whole && (last || self.options.unconstrained);
            let sight = window.start + if whole { window.duration } else { geometry.lasts(new) };
            let until = sight.saturating_sub(geometry.lasts(if ends { 0 } else { geometry.ahead().min(shown) }));
            let clip = join(before.map_or(&window.clip, |before| &before.clip), known, &window.clip, new, &geometry)?;
            let start = steps(window.start.saturating_sub(geometry.lasts(known)));
            let end = steps(until).max(self.spans.back().map_or(self.seam, |span| span.end));
            self.spans.push_back(Span { clip, start, end, until: time(end).min(until), last: last && whole });
            if whole {
                break;
            }
        }
        self.previous = Some(window);
        Ok(true)
    }
}

/// The last `known` pictures of one window and the first `new` of the next; without video where one of them has none.
fn join(before: &Clip, known: usize, next: &Clip, new: usize, geometry: &Geometry) -> Result<Clip> {
    if next.frames() == 0 || (known > 0 && before.frames() == 0) {
        return Ok(Clip::without_video(geometry));
    }
    let wrong = geometry.refuse(next.pixels().shape());
    let known = before.pixels().slice_move(s![before.frames().saturating_sub(known).., .., .., ..]);
    let new = next.pixels().slice_move(s![..next.frames().min(new), .., .., ..]);
    Clip::new(concatenate(Axis(0), &[known, new]).map_err(|_| wrong)?, geometry)
}

/// How many pictures of a new window are seen, beside the last of the one before, from span to span: a quarter more each time.
fn hops(geometry: &Geometry) -> Vec<usize> {
    let mut hops: Vec<_> = (1..=4).map(|quarters| (geometry.frames * quarters).div_ceil(4)).collect();
    hops.dedup();
    hops
}
