//! Pictures to vectors, the same for both models (InverseMV, arXiv 2112.15320, section 3.1).
//!
//! ```text
//! pixels [batch, frames, 3, height, width], 0..=255
//!   |  x / 127.5 - 1
//!   |  3 x: conv 4x4, stride 2 -> leaky ReLU 0.2 -> layer norm over the whole feature map
//!   |  mean over height and width, or over each of `cells x cells` parts
//!   |  linear, where the means are not `hidden` in number
//! vectors [batch, frames, hidden]
//! ```
//!
//! With `motion`, a second convolution 4x4 looks at how the light has changed since the picture before, and is added to the
//! first. A dancer's speed is hardly to be seen in one picture of 64 x 64; beside the one before, it is.
//!
//! A row whose mask shows no picture at all has no video: it gets one vector, which is learned. So both models can write
//! music for nothing to be seen, and the graphs need no further input to say so.

use std::iter::zip;

use burn::module::{Module, Param};
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, GroupNormConfig, Linear};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use vmt::Clip;

use crate::ModelConfig;
use crate::init::Init;

pub use vmt_operators::{NEGATIVE_SLOPE, NORM_EPSILON};

/// Turns each picture into one vector.
#[derive(Module, Debug)]
pub struct ConvEncoder {
    /// Kernel 4, stride 2, padding 1, with bias; weights `[out, in, 4, 4]`.
    pub convs: Vec<Conv2d>,
    /// As the first of [`convs`](Self::convs), for the change of a picture's light; weights `[out, 1, 4, 4]`, without bias.
    pub motion: Option<Conv2d>,
    /// Layer norm over channels, height and width with a gain and a bias per channel: one group, epsilon 1e-5.
    pub norms: Vec<GroupNorm>,
    /// The feature map is averaged in this many parts downwards, and as many across.
    pub cells: usize,
    /// `[filters cells cells, hidden]`, where they differ.
    pub project: Option<Linear>,
    /// `[hidden]`: the only vector of a row without video.
    pub no_video: Param<Tensor<1>>,
}

impl ConvEncoder {
    pub(crate) fn new(config: &ModelConfig, init: &mut Init) -> Self {
        let ModelConfig { filters, cells, motion, hidden, .. } = *config;
        let [first, second, last] = filters;
        let means = last * cells * cells;
        let convs = [(3, first), (first, second), (second, last)];
        Self {
            convs: convs.map(|(input, output)| init.halving_conv(input, output)).into(),
            norms: filters.map(|channels| GroupNormConfig::new(1, channels).init(init.device)).into(),
            cells,
            project: (means != hidden).then(|| init.linear(means, hidden)),
            no_video: init.zeros([hidden]),
            motion: motion.then(|| Conv2d { bias: None, ..init.halving_conv(1, first) }),
        }
    }

    /// `pixels`: `[batch, frames, 3, height, width]` in `0..=255`; `real`: `[batch, frames]`, true where there is a
    /// picture. Returns the vectors, `[batch, frames, hidden]`, and which of them to look at, `[batch, frames]`: at
    /// least the first of each row.
    pub fn forward(&self, pixels: Tensor<5, Int>, real: Tensor<2, Bool>) -> (Tensor<3>, Tensor<2, Bool>) {
        let vectors = self.vectors(pixels);
        let [_, frames, hidden] = vectors.dims();
        let blind = real.clone().any_dim(1).bool_not();
        let first = Tensor::<1, Int>::arange(0..frames as i64, &real.device()).equal_elem(0).unsqueeze::<2>();
        let stands_in = blind.expand(real.dims()).bool_and(first.expand(real.dims()));
        let no_video = self.no_video.val().reshape([1, 1, hidden]).expand(vectors.dims());
        let vectors = vectors.mask_where(stands_in.clone().unsqueeze_dim::<3>(2).expand(no_video.dims()), no_video);
        (vectors, real.bool_or(stands_in))
    }

    fn vectors(&self, pixels: Tensor<5, Int>) -> Tensor<3> {
        let [batch, frames, channels, height, width] = pixels.dims();
        let pixels = pixels.float();
        let moved = self
            .motion
            .as_ref()
            .map(|motion| (change(pixels.clone()).reshape([batch * frames, 1, height, width]), motion.weight.val()));
        let mut x = pixels.reshape([batch * frames, channels, height, width]) / 127.5 - 1.0;
        for (layer, (conv, norm)) in zip(&self.convs, &self.norms).enumerate() {
            let mut weight = conv.weight.val();
            if let (0, Some((moved, motion))) = (layer, &moved) {
                x = Tensor::cat(vec![x, moved.clone()], 1);
                weight = Tensor::cat(vec![weight, motion.clone()], 1);
            }
            let bias = conv.bias.as_ref().expect("convolutions have a bias").val();
            let [gain, offset] = [&norm.gamma, &norm.beta].map(|part| part.as_ref().expect("norms have both").val());
            x = vmt_operators::conv_norm(x, weight, bias, gain, offset);
        }
        let [pictures, filters, rows, columns] = x.dims();
        let (cells, means) = (self.cells, filters * self.cells * self.cells);
        let x = x.reshape([pictures, filters, cells, rows / cells, cells, columns / cells]);
        let x = x.mean_dims(&[3, 5]).reshape([batch, frames, means]);
        match &self.project {
            Some(project) => project.forward(x),
            None => x,
        }
    }
}

/// How the light, the mean of red, green and blue, has changed since the picture before, -2 to 2 and 0 for the
/// first picture: from `[batch, frames, 3, height, width]` in `0..=255` to `[batch, frames, 1, height, width]`.
fn change(pixels: Tensor<5>) -> Tensor<5> {
    let light = pixels.mean_dim(2);
    let [_, frames, ..] = light.dims();
    let mut before = light.clone().narrow(1, 0, 1);
    if frames > 1 {
        before = Tensor::cat(vec![before, light.clone().narrow(1, 0, frames - 1)], 1);
    }
    (light - before) / 127.5
}

/// The pictures of `clips` as `[clips, frames, 3, height, width]`, padded with black to the longest clip, and the mask
/// `[clips, frames]` that is true where there is a picture. All clips must be of one size.
pub fn pixels(clips: &[Clip], device: &Device) -> (Tensor<5, Int>, Tensor<2, Bool>) {
    let (_, _, height, width) = clips[0].pixels().dim();
    let rows: Vec<_> = clips.iter().map(Some).collect();
    rows_of_pixels(&rows, [height, width], device)
}

/// As [`pixels`], where `None` is a row without video; all clips must be of `[height, width]`.
pub fn rows_of_pixels(
    clips: &[Option<&Clip>],
    [height, width]: [usize; 2],
    device: &Device,
) -> (Tensor<5, Int>, Tensor<2, Bool>) {
    let counts: Vec<usize> = clips.iter().map(|clip| clip.map_or(0, Clip::frames)).collect();
    let frames = counts.iter().copied().fold(1, usize::max);
    let size = 3 * height * width;
    let mut bytes = Vec::with_capacity(clips.len() * frames * size);
    for (row, clip) in clips.iter().enumerate() {
        if let Some(clip) = clip {
            bytes.extend(clip.pixels());
        }
        bytes.resize((row + 1) * frames * size, 0u8);
    }
    let real: Vec<bool> = counts.iter().flat_map(|&count| (0..frames).map(move |frame| frame < count)).collect();
    (
        Tensor::from_data(TensorData::new(bytes, [clips.len(), frames, 3, height, width]), device),
        Tensor::from_data(TensorData::new(real, [clips.len(), frames]), device),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_since_the_picture_before() {
        let pixels = |frames: [[f32; 3]; 3]| Tensor::<2>::from_floats(frames, &Device::flex()).reshape([1, 3, 3, 1, 1]);
        let seen = change(pixels([[0.0; 3], [255.0; 3], [255.0, 0.0, 0.0]])).into_data();
        assert_eq!(seen.iter::<f32>().collect::<Vec<_>>(), [0.0, 2.0, -170.0 / 127.5]);
    }
}
