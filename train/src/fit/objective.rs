//! What training minimises.

use std::iter::zip;
use std::ops::Range;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use vmt::Token;

use crate::data::Batch;
use crate::model::{AUXILIARY_OUTPUTS, Model};

/// Which parts of a model are trained, and for what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// The decoder learns, by the likelihood of events. Otherwise it is [frozen](Model::freeze_decoder), and only the auxiliary
    /// task counts.
    pub train_decoder: bool,
    /// The video encoder learns. Otherwise it is [frozen](Model::freeze_encoder).
    pub train_encoder: bool,
    /// Weight of the error of the [auxiliary task](crate::data::auxiliary) beside the negative log-likelihood of an event.
    pub auxiliary_weight: f64,
}

impl Objective {
    /// The likelihood of events alone, as in the paper.
    pub const LIKELIHOOD: Self = Self { train_decoder: true, train_encoder: true, auxiliary_weight: 0.0 };

    /// The losses of some rows of a batch: the negative log-likelihood in nats, summed over tokens, `[1]`, if the decoder is
    /// trained; and the squared error of the auxiliary outputs, 0 for those that are masked, a mean over outputs and a sum over
    /// pictures, `[1]`.
    pub fn losses(&self, batch: &Batch, rows: Range<usize>, model: &Model) -> (Option<Tensor<1>>, Tensor<1>) {
        let device = model.device();
        let (loss, auxiliary) = if self.train_decoder {
            let (logits, auxiliary) = forward(batch, rows.clone(), model);
            let targets = batch.targets(rows.clone(), &device);
            (Some(log_likelihoods(logits, targets).sum().neg()), auxiliary)
        } else {
            let (pixels, frame_mask) = batch.pixels(rows.clone(), &device);
            (None, model.auxiliary(pixels, frame_mask))
        };
        let (targets, mask) = batch.auxiliary(rows, auxiliary.dims()[1], &device);
        let error = (auxiliary - targets).square() * mask / AUXILIARY_OUTPUTS as f64;
        (loss, error.sum())
    }
}

/// Each row's negative log-likelihood in nats, and how many of its tokens were the most likely ones.
pub fn row_losses(batch: &Batch, model: &Model) -> Vec<(f64, usize)> {
    let rows = 0..batch.rows();
    let (logits, _) = forward(batch, rows.clone(), model);
    let [_, longest, _] = logits.dims();
    let best: Vec<i64> = logits.clone().argmax(2).into_data().iter().collect();
    let targets = batch.targets(rows.clone(), &model.device());
    let likelihoods: Vec<f64> = log_likelihoods(logits, targets).into_data().iter().collect();
    let row = |(row, (likelihoods, best)): (usize, (&[f64], &[i64]))| {
        let hits = zip(batch.row(row), best).filter(|&(token, &best)| i64::from(token.id()) == best);
        (-likelihoods.iter().sum::<f64>(), hits.count())
    };
    zip(rows, zip(likelihoods.chunks(longest), best.chunks(longest))).map(row).collect()
}

/// The logits `[rows, longest, 310]` of what follows each input token, and the auxiliary outputs.
fn forward(batch: &Batch, rows: Range<usize>, model: &Model) -> (Tensor<3>, Tensor<3>) {
    let device = model.device();
    let (pixels, frame_mask) = batch.pixels(rows.clone(), &device);
    model.forward_train(pixels, frame_mask, batch.inputs(rows, &device))
}

/// The log-likelihood of each target `[rows, longest]` in nats; 0 for PAD.
fn log_likelihoods(logits: Tensor<3>, targets: Tensor<2, Int>) -> Tensor<2> {
    let real = targets.clone().not_equal_elem(i64::from(Token::PAD.id())).float();
    log_softmax(logits, 2).gather(2, targets.unsqueeze_dim(2)).squeeze_dim::<2>(2) * real
}
