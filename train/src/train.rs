//! One update of the weights, spread over threads.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use burn::module::Module;
use burn::optim::{AdamConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;

use crate::data::Batch;
use crate::random::Stream;
use crate::recipe::ADAM;
use crate::{Model, dropout};

/// A model on its way, and what Adam remembers of it.
pub struct Learner {
    /// The weights.
    pub model: Model,
    /// Adam's two means for each weight.
    pub optimizer: ModuleOptimizer,
    /// Decides over dropout.
    pub seed: u64,
    /// What is learned.
    pub task: Task,
    /// Threads that share a batch.
    pub threads: usize,
}

/// What is learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Task {
    /// To say which event follows. Else the decoder rests, and only the encoder learns.
    pub events: bool,
    /// To see. Else [the eyes](Model::with_eyes_of) rest, and only the decoder learns.
    pub eyes: bool,
    /// To [read](crate::reading) the pictures: how much its error counts beside the loss of the events.
    pub reading: f64,
}

impl Task {
    /// As in the paper.
    pub const EVENTS: Self = Self { events: true, eyes: true, reading: 0.0 };
}

/// What a step was like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    /// Negative log-likelihood of a token in nats, before the update; [`reading`](Self::reading) if the decoder rests.
    pub loss: f64,
    /// Mean squared error of what is read in a picture ([`crate::reading`]).
    pub reading: f64,
    /// How long it took from pixels to the loss, in the slowest thread.
    pub forward: Duration,
    /// From the loss to the gradients, in the slowest thread.
    pub backward: Duration,
    /// From the gradients to the new weights.
    pub update: Duration,
}

impl Learner {
    /// A learner at its first step; `model` must be on an autodiff device.
    pub fn new(model: Model, seed: u64, task: Task, threads: usize) -> Self {
        Self { model, optimizer: Self::adam(), seed, task, threads }
    }

    /// Adam, which remembers nothing yet.
    pub fn adam() -> ModuleOptimizer {
        let (beta_1, beta_2, epsilon) = ADAM;
        AdamConfig::new().with_beta_1(beta_1).with_beta_2(beta_2).with_epsilon(epsilon).init()
    }

    /// Learns from one batch. `step` counts from 1.
    ///
    /// The same step on the same batch gives the same weights to the last bit, if the number of threads is the same.
    pub fn step(&mut self, step: u64, learning_rate: f64, batch: &Batch) -> Result<Step> {
        let (mut report, gradients) = self.gradients(step, batch);
        if !report.loss.is_finite() {
            bail!(
                "the loss became {} at step {step} with a learning rate of {learning_rate:.3e}; \
                 start again from the last checkpoint with a lower `peak` or a longer `warm_up`",
                report.loss
            );
        }
        let start = Instant::now();
        self.model = self.optimizer.step(learning_rate, self.model.clone(), gradients);
        report.update += start.elapsed();
        Ok(report)
    }

    /// The mean loss of a token, and its gradient. Each thread has a copy of the model with a graph of its own, and some
    /// of the rows.
    pub fn gradients(&self, step: u64, batch: &Batch) -> (Step, GradientsParams) {
        let (tokens, pictures) = (batch.tokens() as f64, batch.pictures().max(1) as f64);
        let device = self.model.device();
        let share = |rows: Range<usize>| {
            let start = Instant::now();
            // What rests does so before it is forked: a fork's gradients that nobody asks for stay in burn's books for ever.
            let model = if self.task.eyes { self.model.clone() } else { self.model.clone().with_resting_eyes() };
            let model = if self.task.events { model } else { model.with_resting_decoder() };
            let model = model.fork(&device);
            let streams = rows.clone().map(|row| Stream::new(self.seed, "dropout", &[step, row as u64])).collect();
            let (loss, reading) = dropout::with(streams, &device, || batch.losses(rows, &model, self.task));
            let (loss, reading) = (loss.map(|loss| loss / tokens), reading / pictures);
            let value = |loss: &Tensor<1>| f64::from(loss.clone().into_scalar::<f32>());
            let loss_value = value(loss.as_ref().unwrap_or(&reading));
            let mut step = Step { loss: loss_value, reading: value(&reading), ..Step::default() };
            step.forward = start.elapsed();
            let whole = match loss {
                Some(loss) if self.task.reading > 0.0 => loss + reading * self.task.reading,
                Some(loss) => loss,
                None => reading,
            };
            let gradients = GradientsParams::from_grads(whole.backward(), &model);
            step.backward = start.elapsed() - step.forward;
            (step, gradients)
        };

        let mut total = Step::default();
        let mut sum = GradientsAccumulator::new();
        for (step, gradients) in on_threads(batch.rows(), self.threads, share) {
            let start = Instant::now();
            total.loss += step.loss;
            total.reading += step.reading;
            total.forward = total.forward.max(step.forward);
            total.backward = total.backward.max(step.backward);
            sum.accumulate(&self.model, gradients);
            total.update += start.elapsed();
        }
        (total, sum.grads())
    }
}

/// The mean [loss](Step::loss) over `batches`, without dropout, and that of the reading.
pub fn validate(model: &Model, batches: &[Batch], task: Task, threads: usize) -> (f64, f64) {
    let model = model.valid();
    let (mut events, mut reading) = (0.0, 0.0);
    for batch in batches {
        let share = |rows| {
            let (loss, reading) = batch.losses(rows, &model, task);
            [loss.unwrap_or_else(|| reading.clone()), reading].map(|loss| f64::from(loss.into_scalar::<f32>()))
        };
        for [loss, error] in on_threads(batch.rows(), threads, share) {
            events += loss;
            reading += error;
        }
    }
    let sum = |count: fn(&Batch) -> usize| batches.iter().map(count).sum::<usize>().max(1) as f64;
    let (tokens, pictures) = (sum(Batch::tokens), sum(Batch::pictures));
    (events / if task.events { tokens } else { pictures }, reading / pictures)
}

/// Divides `rows` among threads; results come in the order of the rows.
pub(crate) fn on_threads<T: Send>(rows: usize, threads: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    let count = threads.clamp(1, rows);
    let bound = |thread: usize| thread * rows / count;
    thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> =
            (1..count).map(|thread| scope.spawn(move || work(bound(thread)..bound(thread + 1)))).collect();
        let mut results = vec![work(0..bound(1))];
        results.extend(others.into_iter().map(|other| other.join().expect("a training thread panicked")));
        results
    })
}
