//! A layer of gated recurrent units (Cho et al. 2014; InverseMV, arXiv 2112.15320, equation 2).

use burn::backend::flex::FlexTensor;
use ndarray::{Array2, Array3, Axis, s};
use pulp::Arch;

use crate::autodiff::SavedForBackward;
use crate::matmul::matmul;
use crate::memory::{dims, parts, parts_mut, tensor, view};
use crate::simd::{sigmoid, tanh};

/// What the backward pass of [`gru`](crate::gru()) needs.
#[derive(Clone, Debug)]
pub struct Gru {
    state: FlexTensor,
    weight: FlexTensor,
    /// `z`, `r`, `n` and `Un h + cn` side by side, `[time, batch, 4 hidden]`.
    gates: FlexTensor,
    states: FlexTensor,
}

impl Gru {
    /// What to save, and the output.
    pub fn forward(input: FlexTensor, state: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> (Self, FlexTensor) {
        let [input, state, weight, bias] = [input, state, weight, bias].map(|tensor| tensor.to_contiguous());
        let [batch, time, _] = dims(&input);
        let [_, hidden] = dims(&state);
        let (x, weights) = (view::<3>(&input), view::<2>(&weight));
        let bias: &[f32] = bias.as_slice().expect("contiguous");
        let mut states = Array3::<f32>::zeros([batch, time, hidden]);
        let mut gates = Array3::<f32>::zeros([time, batch, 4 * hidden]);
        let mut before = view::<2>(&state).to_owned();
        let mut u = Array2::<f32>::zeros([batch, 3 * hidden]);
        for (step, mut gates) in gates.outer_iter_mut().enumerate() {
            matmul(u.view_mut(), before.view(), weights);
            for (row, mut gates) in gates.outer_iter_mut().enumerate() {
                let (x, u) = (x.slice(s![row, step, ..]), u.row(row));
                let [xz, xr, xn] = parts(x.to_slice().expect("a row"));
                let [uz, ur, un] = parts(u.to_slice().expect("a row"));
                let [cz, cr, cn] = parts(bias);
                let [z, r, n, hn] = parts_mut(gates.as_slice_mut().expect("a row"));
                let mut before = before.row_mut(row);
                let h = &mut before.as_slice_mut().expect("a row")[..hidden];
                Arch::new().dispatch(|| {
                    for i in 0..hidden {
                        z[i] = sigmoid(xz[i] + uz[i] + cz[i]);
                        r[i] = sigmoid(xr[i] + ur[i] + cr[i]);
                        hn[i] = un[i] + cn[i];
                        n[i] = tanh(xn[i] + r[i] * hn[i]);
                        h[i] = n[i] + z[i] * (h[i] - n[i]);
                    }
                });
            }
            states.slice_mut(s![.., step, ..]).assign(&before);
        }
        let states = tensor(states);
        (Self { state, weight, gates: tensor(gates), states: states.clone() }, states)
    }
}

impl SavedForBackward<4> for Gru {
    /// The gradients of input, state, weight and bias.
    fn backward(self, grad_output: &FlexTensor, _: [bool; 4]) -> [FlexTensor; 4] {
        let grad_output = grad_output.to_contiguous();
        let [batch, time, hidden] = dims(&self.states);
        let [gates, states, grad_output] = [&self.gates, &self.states, &grad_output].map(view::<3>);
        let (first, weight) = (view::<2>(&self.state), view::<2>(&self.weight));
        // Row by row, else each step would bring them into order anew.
        let transposed = weight.t().as_standard_layout().into_owned();
        let mut grad_input = Array3::<f32>::zeros([batch, time, 3 * hidden]);
        // Of `U h + c`, and the states before; for all steps, so that the weights' gradient is one product.
        let mut grad_u = Array3::<f32>::zeros([time, batch, 3 * hidden]);
        let mut before = Array3::<f32>::zeros([time, batch, hidden]);
        let mut grad_state = Array2::<f32>::zeros([batch, hidden]);
        let mut through_u = Array2::<f32>::zeros([batch, hidden]);
        for step in (0..time).rev() {
            grad_state += &grad_output.slice(s![.., step, ..]);
            let mut before = before.index_axis_mut(Axis(0), step);
            match step {
                0 => before.assign(&first),
                _ => before.assign(&states.slice(s![.., step - 1, ..])),
            }
            let mut grad_u = grad_u.index_axis_mut(Axis(0), step);
            for row in 0..batch {
                let (gates, before) = (gates.slice(s![step, row, ..]), before.row(row));
                let [z, r, n, hn] = parts(gates.to_slice().expect("a row"));
                let h = &before.to_slice().expect("a row")[..hidden];
                let (mut x, mut u) = (grad_input.slice_mut(s![row, step, ..]), grad_u.row_mut(row));
                let [xz, xr, xn] = parts_mut(x.as_slice_mut().expect("a row"));
                let [uz, ur, un] = parts_mut(u.as_slice_mut().expect("a row"));
                let mut grad_state = grad_state.row_mut(row);
                let grad = &mut grad_state.as_slice_mut().expect("a row")[..hidden];
                Arch::new().dispatch(|| {
                    for i in 0..hidden {
                        xn[i] = grad[i] * (1.0 - z[i]) * (1.0 - n[i] * n[i]);
                        un[i] = xn[i] * r[i];
                        xz[i] = grad[i] * (h[i] - n[i]) * z[i] * (1.0 - z[i]);
                        uz[i] = xz[i];
                        xr[i] = xn[i] * hn[i] * r[i] * (1.0 - r[i]);
                        ur[i] = xr[i];
                        grad[i] *= z[i];
                    }
                });
            }
            matmul(through_u.view_mut(), grad_u.view(), transposed.view());
            grad_state += &through_u;
        }
        let rows = |all: Array3<f32>| {
            let columns = all.dim().2;
            all.into_shape_with_order([time * batch, columns]).expect("rows of steps")
        };
        let (grad_u, before) = (rows(grad_u), rows(before));
        let mut grad_weight = Array2::<f32>::zeros(weight.raw_dim());
        matmul(grad_weight.view_mut(), before.t(), grad_u.view());
        [tensor(grad_input), tensor(grad_state), tensor(grad_weight), tensor(grad_u.sum_axis(Axis(0)))]
    }
}
