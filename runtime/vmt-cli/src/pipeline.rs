//! From a film to the files of its music.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use vmt::{Composition, Conditions, STEPS_PER_SECOND};
use vmt_render::{Film, Provenance};

use crate::event_lines;
use crate::generation::{GenerationArgs, Loaded};
use crate::input::InputArgs;
use crate::outputs::{OutputArgs, Prepared};

/// A loaded model and the options of the call: composes for one film after the other.
pub struct Pipeline<'a> {
    input: &'a InputArgs,
    pub loaded: Loaded,
    range: Range<Duration>,
}

impl<'a> Pipeline<'a> {
    /// Checks the options, then loads the model.
    pub fn load(input: &'a InputArgs, outputs: &OutputArgs, generation: &GenerationArgs) -> Result<Self> {
        let range = input.range()?;
        outputs.tempo()?;
        Ok(Self { input, loaded: generation.load()?, range })
    }

    /// Composes for `film` and writes `outputs`; returns the takes, the best first.
    pub fn compose(&self, film: Film, outputs: &OutputArgs, prepared: &Prepared) -> Result<Vec<Composition>> {
        let Loaded { bundle, composer, options, .. } = &self.loaded;
        let geometry = composer.engine().geometry();
        let conditioned = bundle.manifest().decoder.conditions.is_some();
        let outputs = &if conditioned { outputs.conditioned() } else { outputs.clone() };
        let (windows, length) = self.input.windows(&film, self.range.clone(), geometry, options.hop(&geometry))?;
        let bar = progress_bar(length)?;
        let mut options = options.clone();
        if conditioned {
            let length = length.unwrap_or(Duration::MAX);
            options.conditions.beats = Conditions::steady_beats(outputs.tempo()?, 4, length);
        }
        let mut piece = composer.piece(windows, &options, outputs.takes)?;
        let (mut furthest, mut events) = (Duration::ZERO, 0);
        while let Some(played) = piece.next().transpose()? {
            if outputs.events {
                event_lines::print(&played).context("standard output")?;
            }
            // Takes are not equally far.
            furthest = furthest.max(played.time);
            events += 1;
            bar.set_position(furthest.as_millis() as u64);
            bar.set_message(format!("{:.1} s of music, {events} events", furthest.as_secs_f64()));
        }
        bar.finish_and_clear();
        let mut takes = piece.finish();
        let (Film::Video(path) | Film::Frames { folder: path, .. }) = &film;
        let none = "must have a frame from --start on, but ends before";
        ensure!(takes[0].windows > 0, "{}: {none} {:?}", path.display(), self.range.start);
        if outputs.snap {
            let tempo = outputs.tempo()?;
            takes.iter_mut().for_each(|take| take.score.snap(tempo));
        }
        // Those behind the end say nothing.
        let end = takes[0].score.duration().as_secs_f64() * f64::from(STEPS_PER_SECOND);
        let beats = options.conditions.beats.partition_point(|beat| beat.step < end);
        options.conditions.beats.truncate(beats + 1);
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
        };
        let written: Vec<_> = takes.iter().map(|take| (&take.score, provenance(take))).collect();
        outputs.write(prepared, &written)?;
        Ok(takes)
    }
}

/// Counts milliseconds of film. indicatif draws on terminals only.
fn progress_bar(length: Option<Duration>) -> Result<ProgressBar> {
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length.as_millis() as u64), "{wide_bar} {percent}% {msg}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}, {elapsed} so far"),
    };
    Ok(bar.with_style(ProgressStyle::with_template(template)?).with_finish(ProgressFinish::AndClear))
}
