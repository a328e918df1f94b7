//! One update of the weights: data-parallel over threads, with Adam.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use burn::module::Module;
use burn::optim::{AdamConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;

use super::objective::Objective;
use super::threads::on_threads;
use crate::data::Batch;
use crate::model::{Model, dropout};
use crate::random::Stream;

/// Adam's decay rates of the first and second moment, and its epsilon (paper section 4.1).
pub const ADAM: (f32, f32, f32) = (0.9, 0.997, 1e-9);

/// A model in training, with the state of its optimizer.
pub struct Learner {
    /// The weights.
    pub model: Model,
    /// Adam's moments of each weight.
    pub optimizer: ModuleOptimizer,
    /// Of the dropout masks.
    pub seed: u64,
    /// What is minimised, and which parts are trained.
    pub objective: Objective,
    /// Threads that share a batch.
    pub threads: usize,
}

/// What a step measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    /// Negative log-likelihood of a token in nats, before the update; [`auxiliary`](Self::auxiliary) if the decoder is frozen.
    pub loss: f64,
    /// Mean squared error of the [auxiliary task](crate::data::auxiliary).
    pub auxiliary: f64,
    /// How long it took from pixels to the loss, in the slowest thread.
    pub forward: Duration,
    /// From the loss to the gradients, in the slowest thread.
    pub backward: Duration,
    /// From the gradients to the new weights.
    pub update: Duration,
}

impl Learner {
    /// A learner at its first step; `model` must be on an autodiff device.
    pub fn new(model: Model, seed: u64, objective: Objective, threads: usize) -> Self {
        Self { model, optimizer: Self::adam(), seed, objective, threads }
    }

    /// Adam in its initial state.
    pub fn adam() -> ModuleOptimizer {
        let (beta_1, beta_2, epsilon) = ADAM;
        AdamConfig::new().with_beta_1(beta_1).with_beta_2(beta_2).with_epsilon(epsilon).init()
    }

    /// Updates the weights by one batch. `step` counts from 1.
    ///
    /// The same step on the same batch gives the same weights to the last bit, if the number of threads is the same.
    ///
    /// # Errors
    /// If the batch has no rows, or the loss is not finite.
    pub fn step(&mut self, step: u64, learning_rate: f64, batch: &Batch) -> Result<Step> {
        ensure!(batch.rows() > 0, "a batch must have at least one row, but has none");
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

    /// The mean loss of a token, and its gradient. Each thread has some of the rows, and a fork of the model with an autodiff
    /// graph of its own.
    pub fn gradients(&self, step: u64, batch: &Batch) -> (Step, GradientsParams) {
        let (tokens, pictures) = (batch.tokens() as f64, batch.pictures().max(1) as f64);
        let device = self.model.device();
        let share = |rows: Range<usize>| {
            let start = Instant::now();
            // Frozen before the fork: burn never frees gradients of a fork's parameters that are not taken out of its graph.
            let Objective { train_encoder, train_decoder, auxiliary_weight } = self.objective;
            let model = if train_encoder { self.model.clone() } else { self.model.clone().freeze_encoder() };
            let model = if train_decoder { model } else { model.freeze_decoder() };
            let model = model.fork(&device);
            let streams = rows.clone().map(|row| Stream::new(self.seed, "dropout", &[step, row as u64])).collect();
            let (loss, auxiliary) = dropout::with(streams, &device, || self.objective.losses(batch, rows, &model));
            let (loss, auxiliary) = (loss.map(|loss| loss / tokens), auxiliary / pictures);
            let value = |loss: &Tensor<1>| f64::from(loss.clone().into_scalar::<f32>());
            let loss_value = value(loss.as_ref().unwrap_or(&auxiliary));
            let mut step = Step { loss: loss_value, auxiliary: value(&auxiliary), ..Step::default() };
            step.forward = start.elapsed();
            let total = match loss {
                Some(loss) if auxiliary_weight > 0.0 => loss + auxiliary * auxiliary_weight,
                Some(loss) => loss,
                None => auxiliary,
            };
            let gradients = GradientsParams::from_grads(total.backward(), &model);
            step.backward = start.elapsed() - step.forward;
            (step, gradients)
        };

        let mut total = Step::default();
        let mut sum = GradientsAccumulator::new();
        for (step, gradients) in on_threads(batch.rows(), self.threads, share) {
            let start = Instant::now();
            total.loss += step.loss;
            total.auxiliary += step.auxiliary;
            total.forward = total.forward.max(step.forward);
            total.backward = total.backward.max(step.backward);
            sum.accumulate(&self.model, gradients);
            total.update += start.elapsed();
        }
        (total, sum.grads())
    }
}

/// The mean [loss](Step::loss) and [auxiliary error](Step::auxiliary) over `batches`, without dropout.
pub fn validate(model: &Model, batches: &[Batch], objective: Objective, threads: usize) -> (f64, f64) {
    let model = model.valid();
    let (mut total, mut auxiliary) = (0.0, 0.0);
    for batch in batches {
        let share = |rows| {
            let (loss, auxiliary) = objective.losses(batch, rows, &model);
            [loss.unwrap_or_else(|| auxiliary.clone()), auxiliary].map(|loss| f64::from(loss.into_scalar::<f32>()))
        };
        for [loss, error] in on_threads(batch.rows(), threads, share) {
            total += loss;
            auxiliary += error;
        }
    }
    let sum = |count: fn(&Batch) -> usize| batches.iter().map(count).sum::<usize>().max(1) as f64;
    let (tokens, pictures) = (sum(Batch::tokens), sum(Batch::pictures));
    (total / if objective.train_decoder { tokens } else { pictures }, auxiliary / pictures)
}
