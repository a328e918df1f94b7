//! Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1; InverseMV, arXiv 2112.15320, equation 4).

use std::iter::zip;

use burn::backend::flex::FlexTensor;
use ndarray::{Array2, Array4, s};
use pulp::Arch;

use crate::autodiff::SavedForBackward;
use crate::matmul::matmul;
use crate::memory::{dims, tensor, view};
use crate::simd::{LANES, add_up, exp};

/// What the backward pass of [`sdpa`](crate::sdpa()) needs.
#[derive(Clone, Debug)]
pub struct Sdpa {
    query: FlexTensor,
    key: FlexTensor,
    value: FlexTensor,
    /// `None` without dropout.
    dropout_mask: Option<FlexTensor>,
    /// What the softmax gave, `[batch, heads, queries, slots]`.
    weights: FlexTensor,
}

impl Sdpa {
    /// What to save, and the output.
    pub fn forward(
        [query, key, value]: [FlexTensor; 3],
        bias: FlexTensor,
        dropout_mask: FlexTensor,
    ) -> (Self, FlexTensor) {
        let [query, key, value, bias] = [query, key, value, bias].map(|tensor| tensor.to_contiguous());
        let dropout_mask = (dropout_mask.layout().num_elements() > 1).then(|| dropout_mask.to_contiguous());
        let ([q, k, v, b], m) = ([&query, &key, &value, &bias].map(view), dropout_mask.as_ref().map(view));
        let [batch, heads, queries, size] = dims(&query);
        let [_, _, slots, _] = dims(&key);
        let all = [batch, heads, queries, slots];
        let b = b.broadcast(all).expect("a bias for each score");
        let mut weights = Array4::<f32>::zeros(all);
        let mut output = Array4::<f32>::zeros([batch, heads, queries, size]);
        let mut scratch = Array2::zeros([queries, slots]);
        let scale = (size as f32).sqrt().recip();
        for (row, head) in (0..batch).flat_map(|row| (0..heads).map(move |head| (row, head))) {
            let [q, k, v] = [&q, &k, &v].map(|all| all.slice(s![row, head, .., ..]));
            let bias = b.slice(s![row, head, .., ..]);
            let mut weights = weights.slice_mut(s![row, head, .., ..]);
            matmul(weights.view_mut(), q, k.t());
            for (scores, bias) in zip(weights.outer_iter_mut(), bias.outer_iter()) {
                softmax(scores.into_slice().expect("a row"), bias.as_slice().expect("a row"), scale);
            }
            let output = output.slice_mut(s![row, head, .., ..]);
            match &m {
                Some(m) => {
                    scratch.assign(&m.slice(s![row, head, .., ..]));
                    scratch *= &weights;
                    matmul(output, scratch.view(), v);
                }
                None => matmul(output, weights.view(), v),
            }
        }
        let [weights, output] = [weights, output].map(tensor);
        (Self { query, key, value, dropout_mask, weights }, output)
    }
}

impl SavedForBackward<3> for Sdpa {
    /// The gradients of query, key and value.
    fn backward(self, grad_output: &FlexTensor, _: [bool; 3]) -> [FlexTensor; 3] {
        let grad_output = grad_output.to_contiguous();
        let [query, key, value, weights, grad_output] =
            [&self.query, &self.key, &self.value, &self.weights, &grad_output].map(view::<4>);
        let mask = self.dropout_mask.as_ref().map(view::<4>);
        let [batch, heads, queries, slots] = dims(&self.weights);
        let mut grads = [&self.query, &self.key, &self.value].map(|like| Array4::<f32>::zeros(dims::<4>(like)));
        let mut grad_scores = Array2::<f32>::zeros([queries, slots]);
        let mut scratch = Array2::zeros([queries, slots]);
        let scale = (query.dim().3 as f32).sqrt().recip();
        for (row, head) in (0..batch).flat_map(|row| (0..heads).map(move |head| (row, head))) {
            let [query, key, value, weights, grad_output] =
                [&query, &key, &value, &weights, &grad_output].map(|all| all.slice(s![row, head, .., ..]));
            let [grad_query, grad_key, grad_value] = grads.each_mut().map(|all| all.slice_mut(s![row, head, .., ..]));
            matmul(grad_scores.view_mut(), grad_output, value.t());
            match &mask {
                Some(mask) => {
                    let mask = mask.slice(s![row, head, .., ..]);
                    scratch.assign(&mask);
                    scratch *= &weights;
                    matmul(grad_value, scratch.t(), grad_output);
                    grad_scores *= &mask;
                }
                None => matmul(grad_value, weights.t(), grad_output),
            }
            for (grad, weights) in zip(grad_scores.outer_iter_mut(), weights.outer_iter()) {
                softmax_backward(grad.into_slice().expect("a row"), weights.as_slice().expect("a row"), scale);
            }
            matmul(grad_query, grad_scores.view(), key);
            matmul(grad_key, grad_scores.t(), query);
        }
        grads.map(tensor)
    }
}

/// `softmax(scale x + bias)` in place.
fn softmax(x: &mut [f32], bias: &[f32], scale: f32) {
    Arch::new().dispatch(|| {
        let mut largest = [f32::NEG_INFINITY; LANES];
        for (x, bias) in zip(x.chunks_mut(LANES), bias.chunks(LANES)) {
            for ((x, bias), largest) in zip(zip(x, bias), &mut largest) {
                *x = *x * scale + bias;
                *largest = largest.max(*x);
            }
        }
        let largest = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
        x.iter_mut().for_each(|x| *x = exp(*x - largest));
        let mut sums = [0.0; LANES];
        add_up(&mut sums, x, |x| x);
        let normaliser = 1.0 / sums.iter().sum::<f32>();
        x.iter_mut().for_each(|x| *x *= normaliser);
    });
}

/// From the gradient of a softmax's output to that of its unscaled input, in place.
fn softmax_backward(gradient: &mut [f32], output: &[f32], scale: f32) {
    Arch::new().dispatch(|| {
        let mut sums = [0.0; LANES];
        for (gradient, output) in zip(gradient.chunks(LANES), output.chunks(LANES)) {
            for ((gradient, output), sum) in zip(zip(gradient, output), &mut sums) {
                *sum += gradient * output;
            }
        }
        let mean: f32 = sums.iter().sum();
        for (gradient, output) in zip(gradient, output) {
            *gradient = (*gradient - mean) * output * scale;
        }
    });
}
