//! Positions: sinusoids, the time in the video, and ALiBi.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Bool, Int, Tensor};

/// Sinusoidal embeddings of positions, `[batch, slots]` to `[batch, slots, hidden]` (paper equation 3): column `2i` is
/// `sin(position * 10000^(-2i / hidden))`, column `2i + 1` the cosine of the same.
pub fn sinusoids(positions: Tensor<2>, hidden: usize) -> Tensor<3> {
    let [batch, slots] = positions.dims();
    let frequencies = Tensor::<1>::from_floats(frequencies(hidden).as_slice(), &positions.device());
    let angles = positions.unsqueeze_dim::<3>(2) * frequencies.unsqueeze::<3>();
    Tensor::stack::<4>(vec![angles.clone().sin(), angles.cos()], 3).reshape([batch, slots, hidden])
}

/// The time of an event in the video, as an embedding and as a bias of cross-attention. The paper's decoder can only add up its
/// time shifts.
///
/// With `position = steps / frame_steps - 1/2`, which is `k` in the middle of picture `k`,
/// - a projection of `sinusoids(position)` is added to each event's embedding: the decoder knows when the window ends;
/// - `-slope |position - k|` is added to the cross-attention scores of picture `k`, with [a slope for each
///   head](cross_alibi_slopes) as in ALiBi (Press et al. 2022): from the first step of training on it attends to what is shown
///   at that time.
#[derive(Module, Debug)]
pub struct TimeEmbedding {
    /// `[hidden, hidden]` without bias.
    pub project: Linear,
    /// Steps of 10 ms for which a picture is shown.
    pub frame_steps: f64,
}

impl TimeEmbedding {
    /// Times in steps of 10 ms as positions in the row of pictures, `[batch, new]`.
    pub fn frame_position(&self, times: Tensor<2, Int>) -> Tensor<2> {
        times.float() / self.frame_steps - 0.5
    }

    /// The bias of cross-attention at these positions `[batch, new]`: `[batch, heads, new, frames]`.
    pub fn cross_alibi(position: Tensor<2>, heads: usize, frames: usize) -> Tensor<4> {
        let device = position.device();
        let pictures = Tensor::<1, Int>::arange(0..frames as i64, &device).float().unsqueeze::<4>();
        let slopes: Vec<f32> = cross_alibi_slopes(heads).collect();
        let slopes = Tensor::<1>::from_floats(slopes.as_slice(), &device);
        let distance = (position.unsqueeze_dims::<4>(&[1, 3]) - pictures).abs();
        distance * slopes.reshape([1, heads, 1, 1]).neg()
    }
}

/// The slopes of the heads, per picture: `2^(-8h / heads)` for `h` in `0..heads`.
pub fn cross_alibi_slopes(heads: usize) -> impl Iterator<Item = f32> {
    (0..heads).map(move |head| 2f32.powf(-8.0 * head as f32 / heads as f32))
}

/// ALiBi (Press et al. 2022): the bias of self-attention over all slots for new events at `positions` `[batch, new]`, where
/// `real` `[batch, slots]` says which slots hold an event (padding does not count); `[batch, heads, new, slots]`.
pub fn alibi(heads: usize, positions: Tensor<2, Int>, real: Tensor<2, Bool>) -> Tensor<4> {
    let slopes: Vec<f32> = alibi_slopes(heads).collect();
    let slopes = Tensor::<1>::from_floats(slopes.as_slice(), &real.device());
    let slots = real.int().cumsum(1) - 1;
    let offset = slots.float().unsqueeze_dims::<4>(&[1, 1]) - positions.float().unsqueeze_dims::<4>(&[1, 3]);
    offset * slopes.reshape([1, heads, 1, 1])
}

/// The slopes of the heads, per event: `2^(-8h / heads)` for `h` in `1..=heads`, as in the paper of ALiBi.
pub fn alibi_slopes(heads: usize) -> impl Iterator<Item = f32> {
    cross_alibi_slopes(heads).map(move |slope| slope * 2f32.powf(-8.0 / heads as f32))
}

/// `10000^(-2i / hidden)` for `i` in `0..hidden / 2`, in radians per position: computed in f64, then rounded to f32.
pub fn frequencies(hidden: usize) -> Vec<f32> {
    (0..hidden / 2).map(|i| 10000f64.powf(-2.0 * i as f64 / hidden as f64) as f32).collect()
}
