//! How weights are stored, and what that leaves of them.

use std::thread;

use anyhow::{Result, ensure};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor, TensorData};
use half::f16;
use ndarray::{Array2, ArrayView1, ArrayView2, Ix2};
use vmt_train::eval::{HeldOut, mean_nll};
use vmt_train::{Model, ModelConfig};

use crate::layers::values;

/// How weights are stored; they are computed with as f32 either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Storage {
    /// Four bytes each, exact.
    #[default]
    F32,
    /// Two bytes each, rounded.
    F16,
    /// Matrices of linear layers with a multiple of 32 inputs in four bits each (`MatMulNBits` of ONNX Runtime and tract), with a
    /// scale of two bytes for each 32; the rest as f16.
    Int4,
}

impl Storage {
    /// The model with its weights as they are stored.
    pub fn stored(self, model: &Model) -> Model {
        model.clone().map(&mut Round { storage: self, path: Vec::new() })
    }

    /// Whether the weights of a linear layer with so many inputs are stored in four bits.
    pub fn quantizes(self, inputs: usize) -> bool {
        self == Self::Int4 && inputs.is_multiple_of(BLOCK)
    }
}

/// The negative log-likelihood of music, in nats an event.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Under the model itself.
    pub exact: f64,
    /// Under the model as it is stored.
    pub stored: f64,
}

/// Measures what `storage` costs on so many fragments of `songs`, with their own videos and conditions.
///
/// # Errors
/// If it costs more than `most` nats an event, or a video cannot be read.
pub fn storage_cost(
    model: &Model,
    config: &ModelConfig,
    storage: Storage,
    songs: &HeldOut,
    fragments: usize,
    most: f64,
) -> Result<Cost> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let nll = |model: &Model| mean_nll(model, &config.geometry, songs, fragments, threads);
    let cost = Cost { exact: nll(model)?, stored: nll(&storage.stored(model))? };
    let loss = cost.stored - cost.exact;
    ensure!(loss <= most, "the storage must not cost more than {most} nats an event, but costs {loss:.4}");
    Ok(cost)
}

/// As many weights, of one output, share a scale. tract keeps only these quantized.
pub const BLOCK: usize = 32;

/// Layers whose matrices are never quantized: ONNX's GRU holds its own, and what multiplies a Concat, tract takes apart, which it cannot
/// do to quantized weights (0.23.9).
pub const NOT_QUANTIZED: [&str; 3] = ["gru", "time_embedding", "combine"];

/// What is divided by the scale and rounded lies in here.
const CODES: std::ops::RangeInclusive<f32> = -8.0..=7.0;

/// A matrix `[inputs, outputs]` in four bits a weight, in the order of `MatMulNBits`: outputs, blocks of inputs, inputs.
#[derive(Debug, PartialEq)]
pub struct Quantized {
    /// Two codes a byte, the first in the low bits: 8 more than the weight divided by its block's scale.
    pub codes: Vec<u8>,
    /// Of each block; f16 holds it, as tract does.
    pub scales: Vec<f32>,
}

impl Quantized {
    /// Rounds `weight`, whose inputs must be a multiple of [`BLOCK`].
    pub fn new(weight: ArrayView2<f32>) -> Self {
        let (mut codes, mut scales) = (Vec::new(), Vec::new());
        for column in weight.columns() {
            for block in column.exact_chunks(BLOCK) {
                let scale = best_scale(block);
                let code = |&value: &f32| (round(value, scale) - CODES.start()) as u8;
                let block: Vec<u8> = block.iter().map(code).collect();
                codes.extend(block.as_chunks().0.iter().map(|[low, high]| low | high << 4));
                scales.push(scale);
            }
        }
        Self { codes, scales }
    }

    /// The rounded weights, `[inputs, outputs]`.
    pub fn dequantize(&self, inputs: usize) -> Array2<f32> {
        let codes = self.codes.iter().flat_map(|byte| [byte & 15, byte >> 4]);
        let scales = self.scales.iter().flat_map(|&scale| [scale; BLOCK]);
        let values: Vec<f32> =
            codes.zip(scales).map(|(code, scale)| (f32::from(code) + CODES.start()) * scale).collect();
        Array2::from_shape_fn((inputs, values.len() / inputs), |(input, output)| values[output * inputs + input])
    }
}

fn round(value: f32, scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { (value / scale).round().clamp(*CODES.start(), *CODES.end()) }
}

/// The scale with the smallest squared error among some that let the largest weight take the lowest code, or clip it a little.
fn best_scale(block: ArrayView1<f32>) -> f32 {
    let largest = block.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or_default();
    let error = |scale: f32| block.iter().map(|&value| (value - round(value, scale) * scale).powi(2)).sum::<f32>();
    let candidates = (0..16).map(|clip| f16::from_f32(largest / (CODES.start() + 0.1875 * clip as f32)).to_f32());
    candidates.min_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap_or_default()
}

/// Rounds every weight to what is stored of it.
struct Round {
    storage: Storage,
    /// Fields that lead to the parameter, and types that they are of.
    path: Vec<[String; 2]>,
}

impl ModuleMapper for Round {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push([name, container].map(Into::into));
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let linear = self.path.last().is_some_and(|[_, container]| container == "Struct:Linear")
            && !self.path.iter().any(|[name, _]| NOT_QUANTIZED.contains(&name.as_str()));
        match (self.storage, values(&param).into_dimensionality::<Ix2>()) {
            (Storage::F32, _) => param,
            (Storage::Int4, Ok(weight)) if linear && self.storage.quantizes(weight.nrows()) => {
                let rounded = Quantized::new(weight.view()).dequantize(weight.nrows());
                let data = TensorData::new(rounded.into_raw_vec_and_offset().0, weight.shape().to_vec());
                param.map(|old| Tensor::from_data(data.clone(), &old.device()))
            }
            _ => param.map(|values| values.cast(DType::F16).cast(DType::F32)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_four_bits_can_hold_comes_back() {
        let weight = Array2::from_shape_fn((64, 3), |(input, output)| {
            ((input * 7 + output) % 16) as f32 * 0.5 * (output as f32 - 1.0) - 4.0 * (output as f32 - 1.0)
        });
        assert_eq!(Quantized::new(weight.view()).dequantize(64), weight);
    }

    #[test]
    fn no_weight_moves_by_more_than_its_block_allows() {
        let weight = Array2::from_shape_fn((96, 5), |(input, output)| ((input * 31 + output * 17) as f32).sin());
        let quantized = Quantized::new(weight.view());
        assert_eq!((quantized.codes.len(), quantized.scales.len()), (96 * 5 / 2, 3 * 5));
        let error = &quantized.dequantize(96) - &weight;
        // Half a scale, or what is clipped.
        assert!(error.iter().all(|error| error.abs() < 0.1), "{error}");
        assert!(error.pow2().mean().unwrap().sqrt() < 0.045, "{error}");
    }
}
