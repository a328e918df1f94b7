//! From a film to the files of its music.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use vmt::click::Click;
use vmt::{Composition, Conditions, Corpus, SharedRun};
use vmt_render::{Film, HitPoint, Provenance};

use crate::click_args::ClickArgs;
use crate::generation::{GenerationArgs, Loaded};
use crate::input::InputArgs;
use crate::outputs::{OutputArgs, Prepared};
use crate::{event_lines, songs};

/// A loaded model and the options of the call: composes for one film after the other.
pub struct Pipeline<'a> {
    input: &'a InputArgs,
    click: &'a ClickArgs,
    pub loaded: Loaded,
    range: Range<Duration>,
    /// Whether density and loudness are to follow how much the picture changes.
    follow: bool,
    /// What takes must not copy.
    songs: Option<Corpus>,
}

impl<'a> Pipeline<'a> {
    /// Checks the options, then loads the model.
    pub fn load(input: &'a InputArgs, outputs: &OutputArgs, generation: &'a GenerationArgs) -> Result<Self> {
        let range = input.range()?;
        let songs = outputs.songs.as_deref().map(songs::read).transpose()?;
        let loaded = generation.load(outputs.snap)?;
        Ok(Self { input, click: &generation.click, loaded, range, follow: generation.follows_film(), songs })
    }

    /// Composes for `film` and writes `outputs`.
    pub fn compose(&self, film: Film, outputs: &OutputArgs, prepared: &Prepared) -> Result<Composed<'_>> {
        let Loaded { bundle, composer, options, .. } = &self.loaded;
        let geometry = composer.engine().geometry();
        let conditioned = bundle.manifest().decoder.conditions.is_some();
        let (windows, length) = self.input.windows(&film, self.range.clone(), geometry, options.hop(&geometry))?;
        let click = self.click.click(self.input, &film, &self.range, length, conditioned, self.follow)?;
        let outputs = &outputs.with_tempo(click.bpm);
        let bar = progress_bar(length)?;
        let mut options = options.clone();
        let Conditions { beats, hits, end, density, loudness, .. } = click.conditions.clone();
        options.conditions = Conditions { beats, hits, end, ..options.conditions };
        if self.follow {
            (options.conditions.density, options.conditions.loudness) = (density, loudness);
        }
        options.cadence = !options.conditions.beats.is_empty() && !options.unconstrained;
        let mut piece = composer.piece(windows, &options, outputs.takes)?;
        let (mut furthest, mut events, mut heard) = (Duration::ZERO, 0, outputs.events);
        while let Some(played) = piece.next().transpose()? {
            if heard && let Err(error) = event_lines::print(&played) {
                // Files that were asked for are written, although nobody reads the events any more.
                heard = false;
                if outputs.paths().is_empty() || !vmt_files::is_closed_output(&error) {
                    return Err(error);
                }
            }
            // Takes are not equally far.
            furthest = furthest.max(played.time);
            events += 1;
            bar.set_position(furthest.as_millis() as u64);
            bar.set_message(format!("{:.1} s of music, {events} events", furthest.as_secs_f64()));
        }
        bar.finish_and_clear();
        let mut takes = piece.finish();
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

/// Counts milliseconds of film. indicatif draws on terminals only.
pub fn progress_bar(length: Option<Duration>) -> Result<ProgressBar> {
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length.as_millis() as u64), "{wide_bar} {percent}% {msg}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}, {elapsed} so far"),
    };
    Ok(bar.with_style(ProgressStyle::with_template(template)?).with_finish(ProgressFinish::AndClear))
}
