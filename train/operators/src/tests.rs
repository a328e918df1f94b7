//! Results and gradients of the fused operators are those of the composed ones, but for rounding.

use std::iter::zip;

use burn::tensor::{Device, Gradients, Tensor, TensorData};

use crate::composed;

/// Numbers in -1..1 on a device that keeps gradients.
fn wave<const D: usize>(shape: [usize; D], pace: f32) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i| (i as f32 * pace).sin()).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
}

/// Gradients of a weighted sum of an operator's output.
struct Grad(Gradients);

impl Grad {
    /// That of an input, flat.
    fn of<const D: usize>(&self, input: Tensor<D>) -> Tensor<1> {
        Tensor::from_inner(input.grad(&self.0).expect("it was asked for")).reshape([-1])
    }
}

/// `output`, flat, and the gradients of the inputs from a weighted sum of it.
fn gradients<const D: usize>(output: Tensor<D>, inputs: impl FnOnce(Grad) -> Vec<Tensor<1>>) -> Vec<Tensor<1>> {
    let weighted = output.clone() * wave(output.dims(), 1.1);
    [vec![output.reshape([-1])], inputs(Grad(weighted.sum().backward()))].concat()
}

/// Asserts that the tensors differ by rounding alone.
#[track_caller]
fn assert_close(fused: Vec<Tensor<1>>, composed: Vec<Tensor<1>>) {
    assert_eq!(fused.len(), composed.len());
    for (fused, composed) in zip(fused, composed) {
        assert_eq!(fused.dims(), composed.dims());
        let difference: f32 = (fused - composed.clone()).abs().max().into_scalar();
        let largest: f32 = composed.abs().max().into_scalar();
        assert!(largest > 1e-3 && difference < 1e-5 * largest.max(1.0), "they differ by {difference} of {largest}");
    }
}

#[test]
fn conv_norm() {
    for [pictures, channels, height, width] in [[1, 1, 2, 2], [3, 2, 8, 6], [2, 3, 12, 16]] {
        let of = |conv_norm: fn(_, _, _, _, _) -> Tensor<4>| {
            let x = wave([pictures, channels, height, width], 0.3).require_grad();
            let weight = wave([5, channels, 4, 4], 0.7).require_grad();
            let [bias, gain, offset] = [0.5, 0.9, 1.3].map(|pace| (wave([5], pace) + 0.5).require_grad());
            let output = conv_norm(x.clone(), weight.clone(), bias.clone(), gain.clone(), offset.clone());
            gradients(output, |g| vec![g.of(x), g.of(weight), g.of(bias), g.of(gain), g.of(offset)])
        };
        assert_close(of(crate::conv_norm), of(composed::conv_norm));
    }
}

#[track_caller]
fn check_sdpa([queries, slots]: [usize; 2], bias: Tensor<4>, dropout_mask: Option<Tensor<4>>) {
    let of = |sdpa: fn(_, _, _, _, _) -> Tensor<4>| {
        let [query, key, value] =
            [(queries, 0.3), (slots, 0.5), (slots, 0.7)].map(|(rows, pace)| wave([2, 3, rows, 5], pace).require_grad());
        let output = sdpa(query.clone(), key.clone(), value.clone(), bias.clone(), dropout_mask.clone());
        gradients(output, |g| vec![g.of(query), g.of(key), g.of(value)])
    };
    assert_close(of(crate::sdpa), of(composed::sdpa));
}

#[test]
fn sdpa() {
    let hidden = |shape| wave::<4>(shape, 2.0).greater_elem(0.5).float() * -1e9;
    for queries in [1, 4, 37] {
        let slots = queries + 3;
        check_sdpa([queries, slots], wave([2, 3, queries, slots], 0.9), None);
        check_sdpa([queries, slots], wave([1, 1, 1, slots], 0.9), None);
        check_sdpa([queries, slots], wave([2, 1, queries, slots], 9.0) * 5.0 + hidden([1, 1, 1, slots]), None);
        let dropout_mask = wave([2, 3, queries, slots], 3.0).greater_elem(-0.8).float() / 0.9;
        check_sdpa([queries, slots], hidden([2, 1, queries, slots]), Some(dropout_mask));
    }
}

#[test]
fn gru() {
    for [batch, time] in [[1, 1], [3, 2], [2, 11]] {
        let of = |gru: fn(_, _, _, _) -> Tensor<3>| {
            let input = wave([batch, time, 21], 0.3).require_grad();
            let state = wave([batch, 7], 0.5).require_grad();
            let (weight, bias) = (wave([7, 21], 0.7).require_grad(), wave([21], 0.9).require_grad());
            let states = gru(input.clone(), state.clone(), weight.clone(), bias.clone());
            gradients(states, |g| vec![g.of(input), g.of(state), g.of(weight), g.of(bias)])
        };
        assert_close(of(crate::gru), of(composed::gru));
    }
}
