//! The same operators, composed of burn's operations: for other devices than the CPU, and what the fused ones are held to.

use burn::tensor::Tensor;
use burn::tensor::activation::{leaky_relu, sigmoid, softmax, tanh};
use burn::tensor::module::{conv2d, linear};
use burn::tensor::ops::ConvOptions;

use crate::{NEGATIVE_SLOPE, NORM_EPSILON};

/// As [`crate::conv_norm`].
pub fn conv_norm(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, gain: Tensor<1>, offset: Tensor<1>) -> Tensor<4> {
    let x = conv2d(x, weight, Some(bias), ConvOptions::new([2, 2], [1, 1], [1, 1], 1));
    let x = leaky_relu(x, NEGATIVE_SLOPE);
    let [_, channels, ..] = x.dims();
    let centered = x.clone() - x.mean_dims(&[1, 2, 3]);
    let variance = centered.clone().square().mean_dims(&[1, 2, 3]);
    let normed = centered / (variance + NORM_EPSILON).sqrt();
    normed * gain.reshape([1, channels, 1, 1]) + offset.reshape([1, channels, 1, 1])
}

/// As [`crate::sdpa`].
pub fn sdpa(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    bias: Tensor<4>,
    dropout_mask: Option<Tensor<4>>,
) -> Tensor<4> {
    let size = query.dims()[3] as f64;
    let weights = softmax(query.matmul(key.transpose()) / size.sqrt() + bias, 3);
    dropout_mask.into_iter().fold(weights, |weights, mask| weights * mask).matmul(value)
}

/// As [`crate::gru`].
pub fn gru(input: Tensor<3>, mut state: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<3> {
    let mut states = Vec::with_capacity(input.dims()[1]);
    for x in steps(input) {
        let [zx, rx, nx] = gates(x);
        let [zh, rh, nh] = gates(linear(state.clone(), weight.clone(), Some(bias.clone())));
        let z = sigmoid(zx + zh);
        let r = sigmoid(rx + rh);
        let n = tanh(nx + r * nh);
        state = n.clone() + z * (state - n);
        states.push(state.clone());
    }
    Tensor::stack(states, 1)
}

fn gates(x: Tensor<2>) -> [Tensor<2>; 3] {
    x.chunk(3, 1).try_into().expect("three gates")
}

/// `[batch, time, size]` into `time` times `[batch, size]`.
///
/// By halves, because burn's gradient of a slice is as large as what it was cut from: cutting each step from the whole
/// costs time squared, and at 384 steps of 4 x 1536 the backward pass takes six times as long.
fn steps(x: Tensor<3>) -> Vec<Tensor<2>> {
    let [_, time, _] = x.dims();
    if time == 1 {
        return vec![x.squeeze_dim(1)];
    }
    let half = time / 2;
    let mut left = steps(x.clone().narrow(1, 0, half));
    left.extend(steps(x.narrow(1, half, time - half)));
    left
}
