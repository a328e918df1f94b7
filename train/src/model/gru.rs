//! The recurrent layers of SEQ2SEQ (InverseMV, arXiv 2112.15320, equation 2).
//!
//! ```text
//! z = sigmoid(Wz x + bz + Uz h + cz)         update gate
//! r = sigmoid(Wr x + br + Ur h + cr)         reset gate
//! n = tanh(Wn x + bn + r * (Un h + cn))
//! h'= (1 - z) * n + z * h
//! ```
//!
//! ONNX's GRU is the same with `linear_before_reset = 1`, gates in this order.

use std::iter::zip;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Int, Tensor};

use super::dropout::Dropout;
use super::init::Init;

/// Stacked layers, with dropout on the input of each.
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
        let bias = self.hidden.bias.as_ref().expect("GRU layers have a bias").val();
        vmt_operators::gru(self.input.forward(x), state, self.hidden.weight.val(), bias)
    }
}
