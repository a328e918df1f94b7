//! Pictures to vectors, the same for both models (InverseMV, arXiv 2112.15320, section 3.1).
//!
//! ```text
//! pixels [batch, frames, 3, height, width], 0..=255
//!   |  x / 127.5 - 1
//!   |  3 x: conv 4x4, stride 2 -> leaky ReLU 0.2 -> layer norm over the whole feature map
//!   |  mean over height and width
//!   |  linear, where the last filter count is not `hidden`
//! vectors [batch, frames, hidden]
//! ```

use std::iter::zip;

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, GroupNormConfig, Linear};
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use vmt::Clip;

use crate::init::Init;

/// Slope of the leaky ReLU below zero (from the authors' code; the paper does not say).
pub const SLOPE: f64 = 0.2;

/// Turns each picture into one vector.
#[derive(Module, Debug)]
pub struct ConvEncoder {
    /// Kernel 4, stride 2, padding 1, with bias; weights `[out, in, 4, 4]`.
    pub convs: Vec<Conv2d>,
    /// Layer norm over channels, height and width with a gain and a bias per channel: one group, epsilon 1e-5.
    pub norms: Vec<GroupNorm>,
    /// Last filter count to `hidden`, where they differ.
    pub project: Option<Linear>,
}

impl ConvEncoder {
    pub(crate) fn new(filters: [usize; 3], hidden: usize, init: &mut Init) -> Self {
        let [first, second, last] = filters;
        let convs = [(3, first), (first, second), (second, last)];
        Self {
            convs: convs.map(|(input, output)| init.halving_conv(input, output)).into(),
            norms: filters.map(|channels| GroupNormConfig::new(1, channels).init(init.device)).into(),
            project: (last != hidden).then(|| init.linear(last, hidden)),
        }
    }

    /// `pixels`: `[batch, frames, 3, height, width]` in `0..=255`; returns `[batch, frames, hidden]`.
    pub fn forward(&self, pixels: Tensor<5, Int>) -> Tensor<3> {
        let [batch, frames, channels, height, width] = pixels.dims();
        let mut x = pixels.reshape([batch * frames, channels, height, width]).float() / 127.5 - 1.0;
        for (conv, norm) in zip(&self.convs, &self.norms) {
            x = norm.forward(leaky_relu(conv.forward(x), SLOPE));
        }
        let [_, filters, _, _] = x.dims();
        let x = x.mean_dims(&[2, 3]).reshape([batch, frames, filters]);
        match &self.project {
            Some(project) => project.forward(x),
            None => x,
        }
    }
}

/// The pictures of `clips` as `[clips, frames, 3, height, width]`, padded with black to the longest clip, and the mask
/// `[clips, frames]` that is true where there is a picture. All clips must be of one size.
pub fn pixels(clips: &[Clip], device: &Device) -> (Tensor<5, Int>, Tensor<2, Bool>) {
    let frames = clips.iter().map(Clip::frames).max().expect("at least one clip");
    let (_, channels, height, width) = clips[0].pixels().dim();
    let size = channels * height * width;
    let mut bytes = Vec::with_capacity(clips.len() * frames * size);
    for clip in clips {
        bytes.extend(clip.pixels());
        bytes.resize(bytes.len() + (frames - clip.frames()) * size, 0u8);
    }
    let real: Vec<bool> = clips.iter().flat_map(|clip| (0..frames).map(|frame| frame < clip.frames())).collect();
    (
        Tensor::from_data(TensorData::new(bytes, [clips.len(), frames, channels, height, width]), device),
        Tensor::from_data(TensorData::new(real, [clips.len(), frames]), device),
    )
}
