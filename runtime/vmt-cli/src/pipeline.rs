//! From a film to the files of its music.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use vmt::click::Click;
use vmt::{Composition, Conditions, Corpus, Options, Played, SharedRun};
use vmt_render::{Film, HitPoint, Provenance};

use crate::click_args::ClickArgs;
use crate::generation::{GenerationArgs, Model};
use crate::input::InputArgs;
use crate::outputs::{OutputArgs, Prepared};
use crate::songs;

/// A loaded model and the options of the call: composes for one film after the other.
pub struct Pipeline<'a> {
    input: &'a InputArgs,
    click: &'a ClickArgs,
    pub model: &'a Model,
    pub options: Options,
    range: Range<Duration>,
    /// Whether density and loudness are to follow how much the picture changes.
    follow: bool,
    /// What takes must not copy.
    songs: Option<Corpus>,
}

impl<'a> Pipeline<'a> {
    /// `options` are those of `generation`.
    pub fn new(
        input: &'a InputArgs,
        outputs: &OutputArgs,
        generation: &'a GenerationArgs,
        model: &'a Model,
        options: Options,
    ) -> Result<Self> {
        let range = input.range()?;
        let songs = outputs.songs.as_deref().map(songs::read).transpose()?;
        Ok(Self { input, click: &generation.click, model, options, range, follow: generation.follows_film(), songs })
    }

    /// Composes for `film` and writes `outputs`. `heard` is told of each event, and of the film's length as far as its header tells.
    pub fn compose(
        &self,
        film: Film,
        outputs: &OutputArgs,
        prepared: &Prepared,
        mut heard: impl FnMut(&Played, Option<Duration>) -> Result<()>,
    ) -> Result<Composed<'_>> {
        let Model { bundle, composer, .. } = self.model;
        let geometry = composer.engine().geometry();
        let conditioned = bundle.manifest().decoder.conditions.is_some();
        let mut options = self.options.clone();
        let (hop, wants_hits) = (options.hop(&geometry), self.click.wants_hits(conditioned, self.follow));
        let began = Instant::now();
        let (windows, length, found) =
            self.input.windows_and_hits(&film, self.range.clone(), geometry, hop, wants_hits)?;
        let reading = began.elapsed();
        let click = self.click.click(self.input, &film, &self.range, (length, found), conditioned, self.follow)?;
        let outputs = &outputs.with_tempo(click.bpm);
        let Conditions { beats, hits, end, density, loudness, .. } = click.conditions.clone();
        options.conditions = Conditions { beats, hits, end, ..options.conditions };
        if self.follow {
            (options.conditions.density, options.conditions.loudness) = (density, loudness);
        }
        options.cadence = !options.conditions.beats.is_empty() && !options.unconstrained;
        let mut piece = composer.piece(windows, &options, outputs.takes)?;
        while let Some(played) = piece.next().transpose()? {
            heard(&played, length)?;
        }
        let mut takes = piece.finish();
        takes.iter_mut().for_each(|take| take.timings.video += reading);
        let none = "must have a frame from --start on, but ends before";
        ensure!(takes[0].windows > 0, "{}: {none} {:?}", film.path().display(), self.range.start);
        if outputs.snap {
            let tempo = outputs.tempo()?;
            takes.iter_mut().for_each(|take| take.score.snap(tempo));
        }
        let near_copy = |take: &Composition| self.songs.as_ref().and_then(|songs| songs::near_copy(take, songs));
        let mut ranked: Vec<_> = takes.into_iter().map(|take| (near_copy(&take), take)).collect();
        // The others keep their order.
        ranked.sort_by_key(|(copy, _)| copy.is_some());
        let (copies, takes): (Vec<_>, Vec<_>) = ranked.into_iter().unzip();
        options.conditions.end_beats(takes[0].score.duration());
        let provenance = |take: &Composition| Provenance {
            vmt: env!("CARGO_PKG_VERSION").to_owned(),
            model: bundle.into(),
            engine: composer.engine().name().to_owned(),
            film: film.clone(),
            start: self.input.start,
            end: self.input.end,
            options: options.clone(),
            takes: takes.len(),
            take: take.take,
            tempo: outputs.bpm(),
            snapped: outputs.snap,
            hits: HitPoint::all(&click),
        };
        let written: Vec<_> = takes.iter().map(|take| (&take.score, provenance(take))).collect();
        outputs.write(prepared, &written)?;
        Ok(Composed { takes, copies, click })
    }
}

/// The music for a film.
pub struct Composed<'s> {
    /// The best first.
    pub takes: Vec<Composition>,
    /// What each take copies.
    pub copies: Vec<Option<SharedRun<'s>>>,
    pub click: Click,
}

/// Shows how far a piece is. indicatif draws on terminals only.
#[derive(Default)]
pub struct Progress {
    bar: Option<ProgressBar>,
    furthest: Duration,
    events: usize,
}

impl Progress {
    /// The next event; `length` is that of the film, if it is known.
    pub fn heard(&mut self, played: &Played, length: Option<Duration>) -> Result<()> {
        let bar = match &mut self.bar {
            Some(bar) => bar,
            none => none.insert(progress_bar(length)?),
        };
        // Takes are not equally far.
        self.furthest = self.furthest.max(played.time);
        self.events += 1;
        bar.set_position(self.furthest.as_millis() as u64);
        bar.set_message(format!("{:.1} s of music, {} events", self.furthest.as_secs_f64(), self.events));
        Ok(())
    }
}

/// Counts milliseconds of film.
fn progress_bar(length: Option<Duration>) -> Result<ProgressBar> {
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length.as_millis() as u64), "{wide_bar} {percent}% {msg}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}, {elapsed} so far"),
    };
    Ok(bar.with_style(ProgressStyle::with_template(template)?).with_finish(ProgressFinish::AndClear))
}
