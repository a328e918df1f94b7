//! The convolutional encoder of pictures, the same in both models (InverseMV, arXiv 2112.15320, section 3.1).
//!
//! ```text
//! pixels [batch, frames, 3, height, width], 0..=255
//!   |  x / 127.5 - 1
//!   |  3 x: conv 4x4, stride 2 -> leaky ReLU 0.2 -> layer norm over the whole feature map
//!   |  average pooling to `pool_grid x pool_grid`
//!   |  linear, where the pooled values are not `hidden` in number
//! vectors [batch, frames, hidden]
//! ```
//!
//! With `motion` (not in the paper), the change of luminance since the picture before is a fourth channel of the first
//! convolution: one picture of 64 x 64 hardly shows how fast things move.
//!
//! A row whose mask has no picture at all has no video: it gets one learned vector. So both models can write music without
//! video, and the graphs need no further input for that.

use std::iter::zip;

use burn::module::{Module, Param};
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, GroupNormConfig, Linear};
use burn::tensor::{Bool, Int, Tensor};

use super::config::ModelConfig;
use super::init::Init;

pub use vmt_operators::{NEGATIVE_SLOPE, NORM_EPSILON};

/// One vector of `hidden` values for each picture.
#[derive(Module, Debug)]
pub struct ConvEncoder {
    /// Kernel 4, stride 2, padding 1, with bias; weights `[out, in, 4, 4]`.
    pub convs: Vec<Conv2d>,
    /// As the first of [`convs`](Self::convs), for the change of luminance; weights `[out, 1, 4, 4]`, without bias.
    pub motion: Option<Conv2d>,
    /// Layer norm over channels, height and width with a gain and a bias per channel: one group, epsilon 1e-5.
    pub norms: Vec<GroupNorm>,
    /// The last feature map is average-pooled to so many rows and columns.
    pub pool_grid: usize,
    /// `[filters pool_grid pool_grid, hidden]`, where they differ.
    pub project: Option<Linear>,
    /// `[hidden]`: the learned vector of a row without video.
    pub no_video: Param<Tensor<1>>,
}

impl ConvEncoder {
    pub(crate) fn new(config: &ModelConfig, init: &mut Init) -> Self {
        let ModelConfig { filters, pool_grid, motion, hidden, .. } = *config;
        let [first, second, last] = filters;
        let pooled = last * pool_grid * pool_grid;
        let convs = [(3, first), (first, second), (second, last)];
        Self {
            convs: convs.map(|(input, output)| init.halving_conv(input, output)).into(),
            norms: filters.map(|channels| GroupNormConfig::new(1, channels).init(init.device)).into(),
            pool_grid,
            project: (pooled != hidden).then(|| init.linear(pooled, hidden)),
            no_video: init.zeros([hidden]),
            motion: motion.then(|| Conv2d { bias: None, ..init.halving_conv(1, first) }),
        }
    }

    /// `pixels`: `[batch, frames, 3, height, width]` in `0..=255`; `frame_mask`: `[batch, frames]`, true where there is a
    /// picture. Returns the vectors, `[batch, frames, hidden]`, and which of them to attend to, `[batch, frames]`: at
    /// least the first of each row.
    pub fn forward(&self, pixels: Tensor<5, Int>, frame_mask: Tensor<2, Bool>) -> (Tensor<3>, Tensor<2, Bool>) {
        let vectors = self.vectors(pixels);
        let [_, frames, hidden] = vectors.dims();
        let empty = frame_mask.clone().any_dim(1).bool_not();
        let first = Tensor::<1, Int>::arange(0..frames as i64, &frame_mask.device()).equal_elem(0).unsqueeze::<2>();
        let substituted = empty.expand(frame_mask.dims()).bool_and(first.expand(frame_mask.dims()));
        let no_video = self.no_video.val().reshape([1, 1, hidden]).expand(vectors.dims());
        let vectors = vectors.mask_where(substituted.clone().unsqueeze_dim::<3>(2).expand(no_video.dims()), no_video);
        (vectors, frame_mask.bool_or(substituted))
    }

    fn vectors(&self, pixels: Tensor<5, Int>) -> Tensor<3> {
        let [batch, frames, channels, height, width] = pixels.dims();
        let pixels = pixels.float();
        let change = self.motion.as_ref().map(|motion| {
            (luminance_change(pixels.clone()).reshape([batch * frames, 1, height, width]), motion.weight.val())
        });
        let mut x = pixels.reshape([batch * frames, channels, height, width]) / 127.5 - 1.0;
        for (layer, (conv, norm)) in zip(&self.convs, &self.norms).enumerate() {
            let mut weight = conv.weight.val();
            if let (0, Some((change, motion))) = (layer, &change) {
                x = Tensor::cat(vec![x, change.clone()], 1);
                weight = Tensor::cat(vec![weight, motion.clone()], 1);
            }
            let bias = conv.bias.as_ref().expect("convolutions have a bias").val();
            let [gain, offset] = [&norm.gamma, &norm.beta].map(|part| part.as_ref().expect("norms have both").val());
            x = vmt_operators::conv_norm(x, weight, bias, gain, offset);
        }
        let [pictures, filters, rows, columns] = x.dims();
        let grid = self.pool_grid;
        let x = x.reshape([pictures, filters, grid, rows / grid, grid, columns / grid]);
        let x = x.mean_dims(&[3, 5]).reshape([batch, frames, filters * grid * grid]);
        match &self.project {
            Some(project) => project.forward(x),
            None => x,
        }
    }
}

/// The change of luminance (the mean of red, green and blue) since the picture before, -2 to 2, and 0 for the first picture:
/// from `[batch, frames, 3, height, width]` in `0..=255` to `[batch, frames, 1, height, width]`.
fn luminance_change(pixels: Tensor<5>) -> Tensor<5> {
    let luminance = pixels.mean_dim(2);
    let [_, frames, ..] = luminance.dims();
    let mut before = luminance.clone().narrow(1, 0, 1);
    if frames > 1 {
        before = Tensor::cat(vec![before, luminance.clone().narrow(1, 0, frames - 1)], 1);
    }
    (luminance - before) / 127.5
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn change_is_since_the_picture_before() {
        let pixels = |frames: [[f32; 3]; 3]| Tensor::<2>::from_floats(frames, &Device::flex()).reshape([1, 3, 3, 1, 1]);
        let change = luminance_change(pixels([[0.0; 3], [255.0; 3], [255.0, 0.0, 0.0]])).into_data();
        assert_eq!(change.iter::<f32>().collect::<Vec<_>>(), [0.0, 2.0, -170.0 / 127.5]);
    }
}
