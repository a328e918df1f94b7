//! Fused CPU operators for training in burn, each with a hand-written backward pass: a layer of the convolutional encoder
//! ([`conv_norm`]), scaled dot-product attention ([`sdpa`]) and a layer of a GRU ([`gru`]).
//!
//! Elsewhere than on burn's CPU backend, each is composed of burn's own operations ([`composed`]); results and gradients differ
//! by rounding alone, and the tests hold them to that.
//!
//! # What is gained
//!
//! Composed, a dozen passes go through memory over all feature maps, or over all scores `[batch, heads, queries, slots]`, and the
//! GRU's backward pass adds up a matrix of weight gradients for each time step. Fused, one picture, or the scores of one head,
//! stay in the cache, and the GRU's weight gradient is one matrix product over all steps. `cargo bench --workspace --locked
//! --bench operators` measures forward and backward passes, on one thread's share of a training step (milliseconds, two busy cores
//! of an x86-64 server); the README has the numbers of a whole step:
//!
//! | operator | fused | composed | gain |
//! |---|---|---|---|
//! | `conv_norm`, 4 to 16 filters, 64 x 64 | 26.8 | 168.6 | 6.3 |
//! | `conv_norm`, 16 to 32 filters, 32 x 32 | 27.0 | 78.1 | 2.9 |
//! | `conv_norm`, 32 to 128 filters, 16 x 16 | 23.1 | 49.2 | 2.1 |
//! | `sdpa`, 4 heads of 48, 384 queries | 8.7 | 27.2 | 3.1 |
//! | `gru`, 256 hidden, 384 steps | 14.7 | 170.2 | 11.6 |
//!
//! # When this crate goes away
//!
//! An operator is dropped, and its composed twin used everywhere, as soon as that bench shows no gain. As of burn 0.22.1:
//! - `burn::tensor::module::attention` is fused on the CPU for inference alone: it has no dropout, and under autodiff it is
//!   composed;
//! - a convolution, a leaky ReLU and a group norm are three operations, each with its own pass over memory;
//! - `burn::nn::gru::Gru` is composed of operations for each time step.

mod autodiff;
mod backend;
pub mod composed;
mod conv_norm;
mod gru;
mod matmul;
mod memory;
mod sdpa;
mod simd;
#[cfg(test)]
mod tests;

use burn::backend::Dispatch;
use burn::tensor::{Device, Tensor};

use backend::FusedOperators;
pub use conv_norm::{NEGATIVE_SLOPE, NORM_EPSILON};

/// Whether `device` is burn's CPU backend, for which the fused operators are.
pub fn on_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// A convolution with kernel 4, stride 2 and padding 1; a leaky ReLU of [`NEGATIVE_SLOPE`]; and a layer norm over channels, rows
/// and columns, with a gain and an offset for each channel.
///
/// From `x` `[pictures, in, height, width]`, even in height and width, with `weight` `[out, in, 4, 4]` and `bias`, `gain` and
/// `offset` `[out]`, to `[pictures, out, height / 2, width / 2]`.
pub fn conv_norm(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, gain: Tensor<1>, offset: Tensor<1>) -> Tensor<4> {
    if !on_cpu(&x.device()) {
        return composed::conv_norm(x, weight, bias, gain, offset);
    }
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    let [bias, gain, offset] = [bias, gain, offset].map(Tensor::into_dispatch);
    Tensor::from_dispatch(<Dispatch as FusedOperators>::conv_norm(x, weight, bias, gain, offset))
}

/// `(softmax(query key^T / sqrt(size) + bias) * dropout_mask) value`.
///
/// `query` `[batch, heads, queries, size]`; `key` and `value` `[batch, heads, slots, size]`; `bias`, which gets no gradient,
/// `[batch, heads, queries, slots]`, where all axes but the last may be 1; `dropout_mask`, 0 or the inverse of the share that is
/// kept, `[batch, heads, queries, slots]`. The result has the shape of `query`.
pub fn sdpa(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    bias: Tensor<4>,
    dropout_mask: Option<Tensor<4>>,
) -> Tensor<4> {
    if !on_cpu(&query.device()) {
        return composed::sdpa(query, key, value, bias, dropout_mask);
    }
    // A single element stands for no mask: a backend extension takes no optional tensors.
    let dropout_mask = dropout_mask.unwrap_or_else(|| Tensor::ones([1, 1, 1, 1], &bias.device()));
    let [query, key, value, bias, mask] = [query, key, value, bias, dropout_mask].map(Tensor::into_dispatch);
    Tensor::from_dispatch(<Dispatch as FusedOperators>::sdpa(query, key, value, bias, mask))
}

/// From the `state` `[batch, hidden]` over the gates' `input` `[batch, time, 3 hidden]` (`W x + b` of z, r and n, side by side),
/// with `weight` U `[hidden, 3 hidden]` and `bias` c `[3 hidden]` for the state. Returns the state after each step, `[batch, time,
/// hidden]`:
///
/// ```text
/// z  = sigmoid(Wz x + bz + Uz h + cz)
/// r  = sigmoid(Wr x + br + Ur h + cr)
/// n  = tanh(Wn x + bn + r * (Un h + cn))
/// h' = (1 - z) * n + z * h
/// ```
pub fn gru(input: Tensor<3>, state: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<3> {
    if !on_cpu(&input.device()) {
        return composed::gru(input, state, weight, bias);
    }
    let (input, state, weight, bias) =
        (input.into_dispatch(), state.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FusedOperators>::gru(input, state, weight, bias))
}
