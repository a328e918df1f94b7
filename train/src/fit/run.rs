//! A training run, from its first step or its last checkpoint to its last step.

use std::fmt::{Display, Write as _};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, IsTerminal, Write, stderr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use indicatif::{ProgressBar, ProgressStyle};
use vmt_operators::on_cpu;

use super::checkpoint::{self, Kind, State};
use super::learner::{Learner, Step, validate};
use super::loader::{self, Loader};
use super::recipe::RunConfig;
use crate::data::{Batch, Fragments};

/// Everything that a run needs.
pub struct Run<'a> {
    /// Model and recipe.
    pub config: &'a RunConfig,
    /// The run's files ([`checkpoint`]). If there is a checkpoint, the run is resumed from it.
    pub folder: &'a Path,
    /// The training set.
    pub training: &'a dyn Fragments,
    /// The validation set; may be empty.
    pub validation: &'a dyn Fragments,
    /// Threads that share a batch. A run is reproducible to the last bit with the same number of threads.
    pub threads: usize,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// All steps are done.
    Done(State),
    /// It was asked to stop, and has saved a checkpoint.
    Stopped(State),
}

/// How often a line is printed where there is no terminal to draw on.
const LINES: Duration = Duration::from_secs(30);

impl Run<'_> {
    /// Trains until all steps are done or `stop` is set.
    pub fn run(&self, device: &Device, stop: &AtomicBool) -> Result<End> {
        let RunConfig { model: sizes, recipe, weights, encoder_from, .. } = self.config;
        ensure!(self.training.count() > 0, "there must be at least one fragment to train on, but there is none");
        fs::create_dir_all(self.folder).with_context(|| self.folder.display().to_string())?;
        self.check_resumable()?;

        let initial = sizes.init(recipe.seed, &device.clone().autodiff());
        let mut learner = Learner::new(initial, recipe.seed, recipe.objective(), self.threads);
        let resumed = checkpoint::resume(self.folder, &mut learner)?;
        if let (None, Some(weights)) = (&resumed, weights) {
            learner.model = checkpoint::weights_of(weights, sizes, learner.model)?;
        }
        if let (None, Some(encoder)) = (&resumed, encoder_from) {
            let other = checkpoint::weights_of(encoder, sizes, learner.model.clone())?;
            learner.model = learner.model.with_encoder_of(other);
        }
        // Not before: a run whose weights were not found may be begun again with others.
        self.write_config()?;
        let mut state = resumed.unwrap_or_default();
        let mut steps = Table::open(
            &self.folder.join("train.csv"),
            "step,loss,auxiliary,learning_rate,tokens,seconds",
            state.step,
        )?;
        let mut checks =
            Table::open(&self.folder.join("validation.csv"), "step,loss,without_video,auxiliary", state.step)?;
        let fixed = loader::validation(self.validation, recipe, sizes.geometry)?;
        let mut progress = Progress::new(state.step, recipe.steps);
        if state.step > 0 {
            progress.say(format_args!("resumed after step {}", state.step));
        }

        // A GPU leaves the processor free to make its batches.
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let loaders = if on_cpu(device) { self.threads } else { cores };
        let result = thread::scope(|scope| -> Result<End> {
            let mut loader = Loader::start(scope, self.training, recipe, sizes.geometry, state.step + 1, loaders);
            let (mut saved, before) = (Instant::now(), state.seconds);
            let start = Instant::now();
            while state.step < recipe.steps {
                let step = state.step + 1;
                let waiting = Instant::now();
                let batch = loader.batch()?;
                let waited = waiting.elapsed();
                let rate = recipe.learning_rate(step);
                let report = learner.step(step, rate, &batch)?;
                state.step = step;
                state.seconds = before + start.elapsed().as_secs_f64();
                let Step { loss, auxiliary, .. } = report;
                steps.add(format_args!("{step},{loss},{auxiliary},{rate},{},{:.3}", batch.tokens(), state.seconds))?;
                progress.step(step, rate, waited, &report);

                let last = step == recipe.steps;
                if !fixed.is_empty() && (last || step.is_multiple_of(recipe.validate_every)) {
                    let (loss, auxiliary) = validate(&learner.model, &fixed, learner.objective, self.threads);
                    let without_video = learner.objective.train_decoder.then(|| {
                        let batches: Vec<_> = fixed.iter().map(Batch::without_video).collect();
                        validate(&learner.model, &batches, learner.objective, self.threads).0
                    });
                    let [cell, words] = without_video
                        .map_or_else(Default::default, |loss| [loss.to_string(), format!(", without video {loss:.4}")]);
                    checks.add(format_args!("{step},{loss},{cell},{auxiliary}"))?;
                    progress.say(format_args!("step {step}: validation {loss:.4}{words}, auxiliary {auxiliary:.4}"));
                    if state.best.is_none_or(|(_, best)| loss < best) {
                        state.best = Some((step, loss));
                        checkpoint::save(self.folder, Kind::Best, sizes, &learner, &state)?;
                    }
                }
                let asked = stop.load(Ordering::Relaxed);
                let due = saved.elapsed().as_secs() >= 60 * recipe.checkpoint_minutes;
                if last || asked || due || step.is_multiple_of(recipe.checkpoint_every) {
                    checkpoint::save(self.folder, Kind::Last, sizes, &learner, &state)?;
                    saved = Instant::now();
                }
                if asked && !last {
                    return Ok(End::Stopped(state));
                }
            }
            Ok(End::Done(state))
        });
        progress.finish();
        result
    }

    /// Writes the configuration into the run's folder.
    fn write_config(&self) -> Result<()> {
        let path = self.folder.join("config.yaml");
        Ok(vmt_files::write(&path, serde_yaml::to_string(self.config)?.as_bytes())?)
    }

    /// Fails if the folder is that of another run.
    fn check_resumable(&self) -> Result<()> {
        let path = self.folder.join("config.yaml");
        if path.exists() {
            let began = RunConfig::load(&path)?;
            let same = |RunConfig { model, weights, encoder_from, footage, .. }: &RunConfig| {
                (model.clone(), weights.clone(), encoder_from.clone(), footage.is_some())
            };
            ensure!(
                same(&began) == same(self.config) && began.recipe.resumes_with(&self.config.recipe),
                "{}: this run began with another model, recipe, weights or footage, so it cannot go on with these; \
                 choose another folder",
                path.display()
            );
        }
        Ok(())
    }
}

/// A CSV file whose first column is the step.
struct Table(File);

impl Table {
    /// Keeps the rows up to `step`: those behind it come again.
    fn open(path: &Path, header: &str, step: u64) -> Result<Self> {
        let open = || -> Result<File> {
            let mut kept = format!("{header}\n");
            if path.exists() {
                for line in BufReader::new(File::open(path)?).lines() {
                    let line = line?;
                    let number = line.split(',').next().and_then(|number| number.parse::<u64>().ok());
                    if number.is_some_and(|number| number <= step) {
                        writeln!(kept, "{line}")?;
                    }
                }
            }
            vmt_files::write(path, kept.as_bytes())?;
            Ok(OpenOptions::new().append(true).open(path)?)
        };
        open().map(Self).with_context(|| path.display().to_string())
    }

    fn add(&mut self, row: impl Display) -> Result<()> {
        self.0.write_all(format!("{row}\n").as_bytes()).context("a row of metrics cannot be written")
    }
}

/// Progress on standard error: a bar on a terminal, else a line now and then.
struct Progress {
    bar: Option<ProgressBar>,
    steps: u64,
    /// Steps of this session, and where their time went.
    done: u32,
    waited: Duration,
    total: Step,
    /// Running means over about the last hundred steps.
    loss: f64,
    auxiliary: f64,
    started: Instant,
    said: Instant,
}

impl Progress {
    fn new(done: u64, steps: u64) -> Self {
        let style = "{bar:30} {pos}/{len}  {msg}  {eta} left";
        let style = ProgressStyle::with_template(style).expect("the template is right");
        let bar = stderr().is_terminal().then(|| ProgressBar::new(steps).with_style(style).with_position(done));
        if let Some(bar) = &bar {
            bar.reset_eta();
        }
        let (total, now) = (Step::default(), Instant::now());
        Self { bar, steps, done: 0, waited: Duration::ZERO, total, loss: 0.0, auxiliary: 0.0, started: now, said: now }
    }

    fn step(&mut self, step: u64, rate: f64, waited: Duration, report: &Step) {
        self.done += 1;
        self.waited += waited;
        self.total.forward += report.forward;
        self.total.backward += report.backward;
        self.total.update += report.update;
        for (mean, value) in [(&mut self.loss, report.loss), (&mut self.auxiliary, report.auxiliary)] {
            *mean += (value - *mean) / f64::from(self.done.min(100));
        }
        let each = self.started.elapsed() / self.done;
        let (loss, auxiliary) = (self.loss, self.auxiliary);
        let message =
            format!("loss {loss:.4}  auxiliary {auxiliary:.3}  rate {rate:.1e}  {:.2} s a step", each.as_secs_f64());
        match &self.bar {
            Some(bar) => {
                bar.set_position(step);
                bar.set_message(message);
            }
            None if self.said.elapsed() >= LINES || self.done == 1 => {
                self.said = Instant::now();
                let minutes = each.as_secs_f64() * (self.steps - step) as f64 / 60.0;
                vmt_files::warn(format_args!("step {step}/{}  {message}  {minutes:.0} min left", self.steps));
            }
            None => {}
        }
    }

    fn say(&self, line: impl Display) {
        match &self.bar {
            Some(bar) => bar.println(line.to_string()),
            None => vmt_files::warn(line),
        }
    }

    /// Prints how long each part of a step took.
    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
        if self.done > 0 {
            let each = |time: Duration| (time / self.done).as_secs_f64();
            vmt_files::warn(format_args!(
                "a step took {:.3} s: waiting for data {:.3}, forward {:.3}, backward {:.3}, update {:.3}",
                each(self.started.elapsed()),
                each(self.waited),
                each(self.total.forward),
                each(self.total.backward),
                each(self.total.update),
            ));
        }
    }
}
