//! A layer of the convolutional encoder (InverseMV, arXiv 2112.15320, section 3.1).

use std::iter::zip;

use burn::backend::flex::FlexTensor;
use ndarray::{Array, Array2, Array3, Array4, ArrayView3, ArrayViewMut3, Axis};
use pulp::Arch;

use crate::autodiff::SavedForBackward;
use crate::matmul::{matmul, matmul_add};
use crate::memory::{dims, parts, parts_mut, tensor, view};
use crate::simd::{LANES, add_products, add_up};

/// Slope of the leaky ReLU below zero (from the authors' code; the paper does not say).
pub const NEGATIVE_SLOPE: f64 = 0.2;

/// What norms add to the variance: burn's own default, which it does not export.
pub const NORM_EPSILON: f32 = 1e-5;

/// Weights of a filter for each input channel: the kernel is 4 x 4.
const KERNEL: usize = 16;

/// What the backward pass of [`conv_norm`](crate::conv_norm()) needs.
#[derive(Clone, Debug)]
pub struct ConvNorm {
    x: FlexTensor,
    weight: FlexTensor,
    gain: FlexTensor,
    /// Before gain and offset, `[pictures, out, height / 2 * width / 2]`.
    normed: FlexTensor,
    /// Mean and standard deviation of each picture, `[pictures, 2]`.
    moments: FlexTensor,
}

impl ConvNorm {
    /// What to save, and the output.
    pub fn forward(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        gain: FlexTensor,
        offset: FlexTensor,
    ) -> (Self, FlexTensor) {
        let [x, weight, bias, gain, offset] = [x, weight, bias, gain, offset].map(|tensor| tensor.to_contiguous());
        let ([pictures, channels, height, width], [filters, ..]) = (dims(&x), dims::<4>(&weight));
        let places = height / 2 * width / 2;
        let weights = view::<4>(&weight).into_shape_with_order([filters, channels * KERNEL]).expect("rows of weights");
        let [bias, gains, offset] =
            [&bias, &gain, &offset].map(|tensor| -> &[f32] { tensor.as_slice().expect("contiguous") });
        let mut normed = Array3::<f32>::zeros([pictures, filters, places]);
        let mut output = Array4::<f32>::zeros([pictures, filters, height / 2, width / 2]);
        let mut moments = Array2::<f32>::zeros([pictures, 2]);
        let mut columns = Array2::<f32>::zeros([channels * KERNEL, places]);
        let mut halves = vec![0.0; channels * places * 4];
        let pixels = view::<4>(&x);
        let results = zip(zip(normed.outer_iter_mut(), output.outer_iter_mut()), moments.outer_iter_mut());
        for (x, ((mut normed, mut output), mut moments)) in zip(pixels.outer_iter(), results) {
            unfold(x, &mut halves, &mut columns);
            matmul(normed.view_mut(), weights, columns.view());
            let output = output.as_slice_mut().expect("a picture");
            let normed = normed.as_slice_mut().expect("a picture");
            let [mean, deviation] = Arch::new().dispatch(|| {
                let mut sums = [0.0; LANES];
                for (row, bias) in zip(normed.chunks_exact_mut(places), bias) {
                    for x in row.iter_mut() {
                        let y = *x + bias;
                        *x = if y > 0.0 { y } else { NEGATIVE_SLOPE as f32 * y };
                    }
                    add_up(&mut sums, row, |x| x);
                }
                let count = normed.len() as f32;
                let mean = sums.iter().sum::<f32>() / count;
                let mut squares = [0.0; LANES];
                normed.chunks_exact(places).for_each(|row| add_up(&mut squares, row, |x| (x - mean) * (x - mean)));
                let deviation = (squares.iter().sum::<f32>() / count + NORM_EPSILON).sqrt();
                let scale = 1.0 / deviation;
                let rows = zip(normed.chunks_exact_mut(places), output.chunks_exact_mut(places));
                for ((normed, output), (gain, offset)) in zip(rows, zip(gains, offset)) {
                    for (normed, output) in zip(normed, output) {
                        *normed = (*normed - mean) * scale;
                        *output = *normed * gain + offset;
                    }
                }
                [mean, deviation]
            });
            moments[0] = mean;
            moments[1] = deviation;
        }
        let saved = Self { x, weight, gain, normed: tensor(normed), moments: tensor(moments) };
        (saved, tensor(output))
    }
}

impl SavedForBackward<5> for ConvNorm {
    /// The gradients of `x`, weight, bias, gain and offset.
    fn backward(self, grad_output: &FlexTensor, [tracked, ..]: [bool; 5]) -> [FlexTensor; 5] {
        let grad_output = grad_output.to_contiguous();
        let [pictures, channels, ..] = dims::<4>(&self.x);
        let [_, filters, places] = dims(&self.normed);
        let weights =
            view::<4>(&self.weight).into_shape_with_order([filters, channels * KERNEL]).expect("rows of weights");
        let gains: &[f32] = self.gain.as_slice().expect("contiguous");
        let (x, normed, moments) = (view::<4>(&self.x), view::<3>(&self.normed), view::<2>(&self.moments));
        let grad_output = view::<4>(&grad_output);
        let mut grad_x = Array4::<f32>::zeros(if tracked { dims(&self.x) } else { [0; 4] });
        let mut grad_weight = Array2::<f32>::zeros([filters, channels * KERNEL]);
        let mut sums = [0; 3].map(|_| vec![0.0; filters]);
        let mut columns = Array2::<f32>::zeros([channels * KERNEL, places]);
        let mut halves = vec![0.0; channels * places * 4];
        // Of what the convolution gives for one picture.
        let mut grad_conv = Array2::<f32>::zeros([filters, places]);
        for picture in 0..pictures {
            let [mean, deviation] = [0, 1].map(|moment| moments[[picture, moment]]);
            let (normed, grad) = (normed.index_axis(Axis(0), picture), grad_output.index_axis(Axis(0), picture));
            let (normed, grad) = (normed.to_slice().expect("a picture"), grad.to_slice().expect("a picture"));
            let values = grad_conv.as_slice_mut().expect("a picture");
            let [grad_bias, grad_gain, grad_offset] = &mut sums;
            Arch::new().dispatch(|| {
                let (mut plain, mut along) = ([0.0; LANES], [0.0; LANES]);
                for filter in 0..filters {
                    let row = filter * places..(filter + 1) * places;
                    let (grad, normed) = (&grad[row.clone()], &normed[row]);
                    let (mut sum, mut products) = ([0.0; LANES], [0.0; LANES]);
                    add_up(&mut sum, grad, |x| x);
                    add_products(&mut products, grad, normed);
                    grad_offset[filter] += sum.iter().sum::<f32>();
                    grad_gain[filter] += products.iter().sum::<f32>();
                    for lane in 0..LANES {
                        plain[lane] += gains[filter] * sum[lane];
                        along[lane] += gains[filter] * products[lane];
                    }
                }
                let count = (filters * places) as f32;
                let [plain, along] = [plain, along].map(|sums| sums.iter().sum::<f32>() / count);
                let scale = 1.0 / deviation;
                // The leaky ReLU keeps the sign, so its input was below zero where its output is.
                let zero = -mean * scale;
                for filter in 0..filters {
                    let row = filter * places..(filter + 1) * places;
                    let (grad, normed, values) = (&grad[row.clone()], &normed[row.clone()], &mut values[row]);
                    for (value, (grad, normed)) in zip(values.iter_mut(), zip(grad, normed)) {
                        let rectified = (grad * gains[filter] - plain - normed * along) * scale;
                        *value = if *normed > zero { rectified } else { rectified * NEGATIVE_SLOPE as f32 };
                    }
                    let mut sum = [0.0; LANES];
                    add_up(&mut sum, values, |x| x);
                    grad_bias[filter] += sum.iter().sum::<f32>();
                }
            });
            unfold(x.index_axis(Axis(0), picture), &mut halves, &mut columns);
            matmul_add(grad_weight.view_mut(), grad_conv.view(), columns.t());
            if tracked {
                matmul(columns.view_mut(), weights.t(), grad_conv.view());
                fold(&columns, &mut halves, grad_x.index_axis_mut(Axis(0), picture));
            }
        }
        let grad_weight = grad_weight.into_shape_with_order(dims::<4>(&self.weight)).expect("rows of weights");
        let [grad_bias, grad_gain, grad_offset] = sums.map(|sum| tensor(Array::from(sum)));
        [tensor(grad_x), tensor(grad_weight), grad_bias, grad_gain, grad_offset]
    }
}

/// The pixels that each of the kernel's weights is multiplied with in each place (im2col): from `[channels, height, width]` to
/// `[16 channels, places]`. `halves` is room for the picture with the even pixels of each row before the odd ones.
fn unfold(x: ArrayView3<f32>, halves: &mut [f32], columns: &mut Array2<f32>) {
    let (_, height, width) = x.dim();
    let across = width / 2;
    let x = x.to_slice().expect("a picture");
    Arch::new().dispatch(|| {
        for (row, halves) in zip(x.chunks_exact(width), halves.chunks_exact_mut(width)) {
            let [even, odd] = parts_mut(halves);
            for (pair, (even, odd)) in zip(row.as_chunks::<2>().0, zip(even, odd)) {
                [*even, *odd] = *pair;
            }
        }
    });
    for (index, mut column) in columns.outer_iter_mut().enumerate() {
        let lines = column.as_slice_mut().expect("a row").chunks_exact_mut(across);
        for (line, to) in lines.enumerate() {
            match source_row(index, line, height) {
                None => to.fill(0.0),
                Some(row) => {
                    let [even, odd] = parts(&halves[row * width..][..width]);
                    match index % 4 {
                        0 => {
                            to[0] = 0.0;
                            to[1..].copy_from_slice(&odd[..across - 1]);
                        }
                        1 => to.copy_from_slice(even),
                        2 => to.copy_from_slice(odd),
                        _ => {
                            to[..across - 1].copy_from_slice(&even[1..]);
                            to[across - 1] = 0.0;
                        }
                    }
                }
            }
        }
    }
}

/// The transpose of [`unfold`] (col2im): the gradients of all that came from one pixel are added up there.
fn fold(columns: &Array2<f32>, halves: &mut [f32], x: ArrayViewMut3<f32>) {
    let (_, height, width) = x.dim();
    let across = width / 2;
    halves.fill(0.0);
    Arch::new().dispatch(|| {
        for (index, column) in columns.outer_iter().enumerate() {
            for (line, from) in column.to_slice().expect("a row").chunks_exact(across).enumerate() {
                let Some(row) = source_row(index, line, height) else { continue };
                let [even, odd] = parts_mut(&mut halves[row * width..][..width]);
                let (to, from) = match index % 4 {
                    0 => (&mut odd[..across - 1], &from[1..]),
                    1 => (even, from),
                    2 => (odd, from),
                    _ => (&mut even[1..], &from[..across - 1]),
                };
                zip(to, from).for_each(|(to, from)| *to += from);
            }
        }
        let x = x.into_slice().expect("a picture");
        for (row, halves) in zip(x.chunks_exact_mut(width), halves.chunks_exact(width)) {
            let [even, odd] = parts(halves);
            for (pair, (even, odd)) in zip(row.as_chunks_mut::<2>().0, zip(even, odd)) {
                *pair = [*even, *odd];
            }
        }
    });
}

/// Which input row, counted over all channels, weight `index` of a filter is multiplied with for an output row: row
/// `2 line + down - 1` of its channel. `None` in the padding above and below.
fn source_row(index: usize, line: usize, height: usize) -> Option<usize> {
    let (channel, down) = (index / KERNEL, index / 4 % 4);
    let row = (2 * line + down).checked_sub(1).filter(|&row| row < height)?;
    Some(channel * height + row)
}
