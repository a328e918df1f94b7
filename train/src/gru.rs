//! The recurrent layers of SEQ2SEQ (InverseMV, arXiv 2112.15320, equation 2).
//!
//! ```text
//! z = sigmoid(Wz x + bz + Uz h + cz)         how much of the old state to keep
//! r = sigmoid(Wr x + br + Ur h + cr)         how much of it the new one sees
//! n = tanh(Wn x + bn + r * (Un h + cn))
//! h'= (1 - z) * n + z * h
//! ```
//!
//! ONNX's GRU says the same with `linear_before_reset = 1`, gates in this order.

use std::iter::zip;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::module::linear;
use burn::tensor::{Int, Tensor};

use crate::dropout::Dropout;
use crate::init::Init;
use crate::kernels::{self, on_host};

/// Layers on top of each other; dropout on what enters each.
#[derive(Module, Debug)]
pub struct Gru {
    /// Bottom layer first.
    pub layers: Vec<GruLayer>,
    /// On each layer's input.
    pub dropout: Dropout,
}

impl Gru {
    pub(crate) fn new(hidden: usize, layers: usize, dropout: f64, init: &mut Init) -> Self {
        Self { layers: (0..layers).map(|_| GruLayer::new(hidden, init)).collect(), dropout: Dropout::new(dropout) }
    }

    /// From the states `[batch, layers, hidden]` over the steps of `x` `[batch, time, hidden]`, of which a row's last
    /// real one is at `last` `[batch]`. Returns the top layer's states `[batch, time, hidden]`, and each layer's state
    /// after the last real step, `[batch, layers, hidden]`.
    pub fn forward(&self, x: Tensor<3>, states: Tensor<3>, last: Tensor<1, Int>) -> (Tensor<3>, Tensor<3>) {
        let [batch, _, hidden] = x.dims();
        let last = last.reshape([batch, 1, 1]).expand([batch, 1, hidden]);
        let (mut x, mut ends) = (x, Vec::with_capacity(self.layers.len()));
        for (layer, state) in zip(&self.layers, states.iter_dim(1)) {
            x = layer.forward(self.dropout.forward(x), state.squeeze_dim::<2>(1));
            ends.push(x.clone().gather(1, last.clone()));
        }
        (x, Tensor::cat(ends, 1))
    }
}

/// One layer. Gates side by side in the columns: z, r, n.
#[derive(Module, Debug)]
pub struct GruLayer {
    /// W and b: `[hidden, 3 hidden]` with bias.
    pub input: Linear,
    /// U and c: `[hidden, 3 hidden]` with bias.
    pub hidden: Linear,
}

impl GruLayer {
    fn new(hidden: usize, init: &mut Init) -> Self {
        let bound = (hidden as f64).powf(-0.5);
        let mut linear = || Linear {
            weight: init.uniform([hidden, 3 * hidden], bound),
            bias: Some(init.uniform([3 * hidden], bound)),
        };
        Self { input: linear(), hidden: linear() }
    }

    /// From the state `[batch, hidden]` over `x` `[batch, time, hidden]`; returns the state after each step, in `x`'s
    /// shape.
    pub fn forward(&self, x: Tensor<3>, state: Tensor<2>) -> Tensor<3> {
        let recur = if on_host(&x.device()) { kernels::recur } else { composed };
        let bias = self.hidden.bias.as_ref().expect("GRU layers have a bias").val();
        recur(self.input.forward(x), state, self.hidden.weight.val(), bias)
    }
}

/// As [`kernels::recur`], of burn's operations.
fn composed(input: Tensor<3>, mut state: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<3> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::tests::{close, wave};

    #[test]
    fn the_kernel_is_what_it_replaces() {
        for [batch, time] in [[1, 1], [3, 2], [2, 11]] {
            let of = |recur: fn(_, _, _, _) -> Tensor<3>| {
                let input = wave([batch, time, 21], 0.3).require_grad();
                let state = wave([batch, 7], 0.5).require_grad();
                let (weight, bias) = (wave([7, 21], 0.7).require_grad(), wave([21], 0.9).require_grad());
                let states = recur(input.clone(), state.clone(), weight.clone(), bias.clone());
                let gradients = (states.clone() * wave([batch, time, 7], 1.1)).sum().backward();
                let [input, state, weight, bias] = [
                    input.grad(&gradients).map(|gradient| gradient.reshape([-1])),
                    state.grad(&gradients).map(|gradient| gradient.reshape([-1])),
                    weight.grad(&gradients).map(|gradient| gradient.reshape([-1])),
                    bias.grad(&gradients),
                ]
                .map(|gradient: Option<Tensor<1>>| Tensor::from_inner(gradient.expect("it was asked for")));
                [states.reshape([-1]), input, state, weight, bias]
            };
            for (kernel, composed) in std::iter::zip(of(kernels::recur), of(composed)) {
                close(kernel, composed);
            }
        }
    }
}
