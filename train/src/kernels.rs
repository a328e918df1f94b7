//! Kernels of our own for the CPU, each with its gradient: a layer of the conv encoder, attention, and a layer of the GRU.
//!
//! burn puts them together from small operations. On a CPU that is slow: a dozen passes go through memory over all feature
//! maps, or over all scores `[batch, heads, queries, slots]`; and the GRU's gradient adds up a matrix of weights for each step
//! in time. Here one picture, or the scores of one head, stay in the cache, and the weights' gradient is one product over all
//! steps. Results are those of the composed operations but for rounding; the tests hold them to that. Other devices compose.

use std::fmt::Debug;
use std::iter::zip;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Tensor, TensorData};
use gemm::Parallelism;
use ndarray::{
    Array, Array2, Array3, Array4, ArrayView, ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3, Axis, Dim,
    Dimension, IntoDimension, s,
};
use pulp::Arch;

use crate::frames::SLOPE;

/// Whether tensors are on the CPU, where [`attend`] and [`recur`] are at home.
pub(crate) fn on_host(device: &Device) -> bool {
    *device == Device::flex()
}

/// A layer of the conv encoder (paper section 3.1): a convolution with kernel 4, stride 2 and padding 1, a leaky ReLU of
/// [`SLOPE`], and a layer norm over the whole feature map.
///
/// From `x` `[pictures, in, height, width]`, even in height and width, with `weight` `[out, in, 4, 4]` and `bias`, `gain` and
/// `offset` `[out]`, to `[pictures, out, height / 2, width / 2]`.
pub fn see(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, gain: Tensor<1>, offset: Tensor<1>) -> Tensor<4> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    let [bias, gain, offset] = [bias, gain, offset].map(Tensor::into_dispatch);
    Tensor::from_dispatch(<Dispatch as Kernels>::see(x, weight, bias, gain, offset))
}

/// Scaled dot-product attention (paper eq. 4): `softmax(query key^T / sqrt(size) + bias) * kept` times `value`.
///
/// `query` `[batch, heads, queries, size]`; `key` and `value` `[batch, heads, slots, size]`; `bias`, which gets no gradient,
/// `[batch, heads, queries, slots]`, where all axes but the last may be 1; `kept`, what dropout multiplies weights with,
/// `[batch, heads, queries, slots]`. The result has the shape of `query`.
pub fn attend(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    bias: Tensor<4>,
    kept: Option<Tensor<4>>,
) -> Tensor<4> {
    let kept = kept.unwrap_or_else(|| Tensor::ones([1, 1, 1, 1], &bias.device()));
    let [query, key, value, bias, kept] = [query, key, value, bias, kept].map(Tensor::into_dispatch);
    Tensor::from_dispatch(<Dispatch as Kernels>::attend(query, key, value, bias, kept))
}

/// A layer of the GRU (paper eq. 2): from the `state` `[batch, hidden]` over the gates' `input` `[batch, time, 3 hidden]`, with
/// `weight` `[hidden, 3 hidden]` and `bias` `[3 hidden]` for the state. Returns the state after each step, `[batch, time,
/// hidden]`.
pub fn recur(input: Tensor<3>, state: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<3> {
    let (input, state, weight, bias) =
        (input.into_dispatch(), state.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Kernels>::recur(input, state, weight, bias))
}

#[backend_extension(Flex, Autodiff)]
trait Kernels: Backend {
    fn see(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        offset: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        kept: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn recur(
        input: FloatTensor<Self>,
        state: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl Kernels for Flex {
    fn see(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, gain: FlexTensor, offset: FlexTensor) -> FlexTensor {
        Sight::new(x, weight, bias, gain, offset).1
    }

    fn attend(query: FlexTensor, key: FlexTensor, value: FlexTensor, bias: FlexTensor, kept: FlexTensor) -> FlexTensor {
        Attention::new([query, key, value], bias, kept).seen
    }

    fn recur(input: FlexTensor, state: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        Recurrence::new(input, state, weight, bias).states
    }
}

/// What a kernel keeps for its gradient.
trait Kept<const N: usize>: Clone + Debug + Send + 'static {
    /// The gradients of the `N` inputs that have one, from that of the result; one that is not `wanted` may be left out.
    fn backward(self, result: &FlexTensor, wanted: [bool; N]) -> [FlexTensor; N];
}

/// The gradient of any kernel, in burn's terms.
#[derive(Debug)]
struct Gradient<S>(PhantomData<S>);

impl<S: Kept<N>, const N: usize> Backward<Flex, N> for Gradient<S> {
    type State = S;

    fn backward(self, ops: Ops<S, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let result = gradients.consume::<Flex>(&ops.node);
        let found = ops.state.backward(&result, ops.parents.each_ref().map(Option::is_some));
        for (parent, gradient) in zip(ops.parents, found) {
            if let Some(parent) = parent {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// Notes in burn's books how `result` came from the inputs at `nodes`.
fn record<C: CheckpointStrategy, S: Kept<N>, const N: usize>(
    nodes: [NodeGuard; N],
    kept: S,
    result: FlexTensor,
) -> FloatTensor<Autodiff<Flex, C>> {
    match Gradient(PhantomData).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish(kept, result),
        OpsKind::UnTracked(step) => step.finish(result),
    }
}

impl<C: CheckpointStrategy> Kernels for Autodiff<Flex, C> {
    fn see(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        offset: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [(x, a), (weight, b), (bias, c), (gain, d), (offset, e)] =
            [x, weight, bias, gain, offset].map(|tensor| tensor.into_parts());
        let (sight, seen) = Sight::new(x, weight, bias, gain, offset);
        record::<C, _, 5>([a, b, c, d, e], sight, seen)
    }

    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        kept: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [(query, q), (key, k), (value, v)] = [query, key, value].map(|tensor| tensor.into_parts());
        let attention = Attention::new([query, key, value], bias.into_primitive(), kept.into_primitive());
        let seen = attention.seen.clone();
        record::<C, _, 3>([q, k, v], attention, seen)
    }

    fn recur(
        input: FloatTensor<Self>,
        state: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [(input, x), (state, h), (weight, u), (bias, c)] =
            [input, state, weight, bias].map(|tensor| tensor.into_parts());
        let recurrence = Recurrence::new(input, state, weight, bias);
        let states = recurrence.states.clone();
        record::<C, _, 4>([x, h, u, c], recurrence, states)
    }
}

/// What the gradient of [`see`] needs.
#[derive(Clone, Debug)]
struct Sight {
    x: FlexTensor,
    weight: FlexTensor,
    gain: FlexTensor,
    /// Before gain and offset, `[pictures, out, height / 2 * width / 2]`.
    normed: FlexTensor,
    /// Mean and standard deviation of each picture, `[pictures, 2]`.
    moments: FlexTensor,
}

/// What a norm adds to the variance; burn's own, which it does not show.
pub(crate) const EPSILON: f32 = 1e-5;

impl Sight {
    /// And the result.
    fn new(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        gain: FlexTensor,
        offset: FlexTensor,
    ) -> (Self, FlexTensor) {
        let [x, weight, bias, gain, offset] = [x, weight, bias, gain, offset].map(|tensor| tensor.to_contiguous());
        let ([pictures, channels, height, width], [filters, ..]) = (dims(&x), dims::<4>(&weight));
        let places = height / 2 * width / 2;
        let weights = view::<4>(&weight).into_shape_with_order([filters, channels * 16]).expect("rows of weights");
        let [bias, gains, offset] =
            [&bias, &gain, &offset].map(|tensor| -> &[f32] { tensor.as_slice().expect("contiguous") });
        let mut normed = Array3::<f32>::zeros([pictures, filters, places]);
        let mut seen = Array4::<f32>::zeros([pictures, filters, height / 2, width / 2]);
        let mut moments = Array2::<f32>::zeros([pictures, 2]);
        let mut columns = Array2::<f32>::zeros([channels * 16, places]);
        let mut halves = vec![0.0; channels * places * 4];
        let pixels = view::<4>(&x);
        let all = zip(pixels.outer_iter(), moments.outer_iter_mut());
        for ((mut normed, mut seen), (x, mut moments)) in zip(zip(normed.outer_iter_mut(), seen.outer_iter_mut()), all)
        {
            unfold(x, &mut halves, &mut columns);
            product(normed.view_mut(), weights, columns.view());
            let seen = seen.as_slice_mut().expect("a picture");
            let normed = normed.as_slice_mut().expect("a picture");
            let [mean, deviation] = Arch::new().dispatch(|| {
                let mut sums = [0.0; 16];
                for (row, bias) in zip(normed.chunks_exact_mut(places), bias) {
                    for x in row.iter_mut() {
                        let y = *x + bias;
                        *x = if y > 0.0 { y } else { SLOPE as f32 * y };
                    }
                    add_up(&mut sums, row, |x| x);
                }
                let count = normed.len() as f32;
                let mean = sums.iter().sum::<f32>() / count;
                let mut squares = [0.0; 16];
                normed.chunks_exact(places).for_each(|row| add_up(&mut squares, row, |x| (x - mean) * (x - mean)));
                let deviation = (squares.iter().sum::<f32>() / count + EPSILON).sqrt();
                let scale = 1.0 / deviation;
                let rows = zip(normed.chunks_exact_mut(places), seen.chunks_exact_mut(places));
                for ((normed, seen), (gain, offset)) in zip(rows, zip(gains, offset)) {
                    for (normed, seen) in zip(normed, seen) {
                        *normed = (*normed - mean) * scale;
                        *seen = *normed * gain + offset;
                    }
                }
                [mean, deviation]
            });
            moments[0] = mean;
            moments[1] = deviation;
        }
        let sight = Self { x, weight, gain, normed: tensor(normed), moments: tensor(moments) };
        (sight, tensor(seen))
    }
}

impl Kept<5> for Sight {
    /// The gradients of what [`see`] takes; that of `x` is nothing unless it is `tracked`.
    fn backward(self, seen: &FlexTensor, [tracked, ..]: [bool; 5]) -> [FlexTensor; 5] {
        let seen = seen.to_contiguous();
        let [pictures, channels, ..] = dims::<4>(&self.x);
        let [_, filters, places] = dims(&self.normed);
        let weights = view::<4>(&self.weight).into_shape_with_order([filters, channels * 16]).expect("rows of weights");
        let gains: &[f32] = self.gain.as_slice().expect("contiguous");
        let (x, normed, moments) = (view::<4>(&self.x), view::<3>(&self.normed), view::<2>(&self.moments));
        let seen = view::<4>(&seen);
        let mut to_x = Array4::<f32>::zeros(if tracked { dims(&self.x) } else { [0; 4] });
        let mut to_weight = Array2::<f32>::zeros([filters, channels * 16]);
        let mut sums = [0; 3].map(|_| vec![0.0; filters]);
        let mut columns = Array2::<f32>::zeros([channels * 16, places]);
        let mut halves = vec![0.0; channels * places * 4];
        let mut through = Array2::<f32>::zeros([filters, places]);
        for picture in 0..pictures {
            let [mean, deviation] = [0, 1].map(|moment| moments[[picture, moment]]);
            let (normed, seen) = (normed.index_axis(Axis(0), picture), seen.index_axis(Axis(0), picture));
            let (normed, seen) = (normed.to_slice().expect("a picture"), seen.to_slice().expect("a picture"));
            let values = through.as_slice_mut().expect("a picture");
            let [to_bias, to_gain, to_offset] = &mut sums;
            Arch::new().dispatch(|| {
                let (mut all, mut along) = ([0.0; 16], [0.0; 16]);
                for filter in 0..filters {
                    let row = filter * places..(filter + 1) * places;
                    let (seen, normed) = (&seen[row.clone()], &normed[row]);
                    let (mut plain, mut times) = ([0.0; 16], [0.0; 16]);
                    add_up(&mut plain, seen, |x| x);
                    add_products(&mut times, seen, normed);
                    to_offset[filter] += plain.iter().sum::<f32>();
                    to_gain[filter] += times.iter().sum::<f32>();
                    for lane in 0..16 {
                        all[lane] += gains[filter] * plain[lane];
                        along[lane] += gains[filter] * times[lane];
                    }
                }
                let count = (filters * places) as f32;
                let [all, along] = [all, along].map(|sums| sums.iter().sum::<f32>() / count);
                let scale = 1.0 / deviation;
                // The rectifier keeps the sign, so its input was below zero where its output is.
                let zero = -mean * scale;
                for filter in 0..filters {
                    let row = filter * places..(filter + 1) * places;
                    let (seen, normed, values) = (&seen[row.clone()], &normed[row.clone()], &mut values[row]);
                    for (value, (seen, normed)) in zip(values.iter_mut(), zip(seen, normed)) {
                        let before = (seen * gains[filter] - all - normed * along) * scale;
                        *value = if *normed > zero { before } else { before * SLOPE as f32 };
                    }
                    let mut sum = [0.0; 16];
                    add_up(&mut sum, values, |x| x);
                    to_bias[filter] += sum.iter().sum::<f32>();
                }
            });
            unfold(x.index_axis(Axis(0), picture), &mut halves, &mut columns);
            add_product(to_weight.view_mut(), through.view(), columns.t());
            if tracked {
                product(columns.view_mut(), weights.t(), through.view());
                fold(&columns, &mut halves, to_x.index_axis_mut(Axis(0), picture));
            }
        }
        let to_weight = to_weight.into_shape_with_order(dims::<4>(&self.weight)).expect("rows of weights");
        let [to_bias, to_gain, to_offset] = sums.map(|sum| tensor(Array::from(sum)));
        [tensor(to_x), tensor(to_weight), to_bias, to_gain, to_offset]
    }
}

/// Adds `of` each value to one of sixteen sums, which vector instructions keep side by side.
#[inline(always)]
fn add_up(sums: &mut [f32; 16], values: &[f32], of: impl Fn(f32) -> f32) {
    let chunks = values.chunks_exact(16);
    zip(sums.iter_mut(), chunks.remainder()).for_each(|(sum, value)| *sum += of(*value));
    for chunk in chunks {
        zip(sums.iter_mut(), chunk).for_each(|(sum, value)| *sum += of(*value));
    }
}

/// Adds the product of each pair to one of sixteen sums.
#[inline(always)]
fn add_products(sums: &mut [f32; 16], a: &[f32], b: &[f32]) {
    let (a, b) = (a.chunks_exact(16), b.chunks_exact(16));
    zip(sums.iter_mut(), zip(a.remainder(), b.remainder())).for_each(|(sum, (a, b))| *sum += a * b);
    for (a, b) in zip(a, b) {
        zip(sums.iter_mut(), zip(a, b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
}

/// What each of the kernel's 16 weights meets in each place: from `[channels, height, width]` to `[16 channels, places]`.
/// `halves` is room for the picture with the even pixels of each row before the odd ones.
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
        let place = column.as_slice_mut().expect("a row").chunks_exact_mut(across);
        for (line, to) in place.enumerate() {
            match met(index, line, height) {
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

/// The gradient of [`unfold`]: what came from one pixel is added up there.
fn fold(columns: &Array2<f32>, halves: &mut [f32], x: ArrayViewMut3<f32>) {
    let (_, height, width) = x.dim();
    let across = width / 2;
    halves.fill(0.0);
    Arch::new().dispatch(|| {
        for (index, column) in columns.outer_iter().enumerate() {
            for (line, from) in column.to_slice().expect("a row").chunks_exact(across).enumerate() {
                let Some(row) = met(index, line, height) else { continue };
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

/// Which row, counted over all channels, a weight of the kernel meets for a line of places: row `2 line + down - 1` of its
/// channel. `None` above and below the picture.
fn met(index: usize, line: usize, height: usize) -> Option<usize> {
    let (channel, down) = (index / 16, index / 4 % 4);
    let row = (2 * line + down).checked_sub(1).filter(|&row| row < height)?;
    Some(channel * height + row)
}

/// What the gradient of [`attend`] needs.
#[derive(Clone, Debug)]
struct Attention {
    query: FlexTensor,
    key: FlexTensor,
    value: FlexTensor,
    /// `None` where all weights are kept.
    kept: Option<FlexTensor>,
    /// What the softmax gave, `[batch, heads, queries, slots]`.
    weights: FlexTensor,
    seen: FlexTensor,
}

impl Attention {
    fn new([query, key, value]: [FlexTensor; 3], bias: FlexTensor, kept: FlexTensor) -> Self {
        let [query, key, value, bias] = [query, key, value, bias].map(|tensor| tensor.to_contiguous());
        let kept = (kept.layout().num_elements() > 1).then(|| kept.to_contiguous());
        let ([q, k, v, b], m) = ([&query, &key, &value, &bias].map(view), kept.as_ref().map(view));
        let [batch, heads, queries, size] = dims(&query);
        let [_, _, slots, _] = dims(&key);
        let all = [batch, heads, queries, slots];
        let b = b.broadcast(all).expect("a bias for each score");
        let mut weights = Array4::<f32>::zeros(all);
        let mut seen = Array4::<f32>::zeros([batch, heads, queries, size]);
        let mut scratch = Array2::zeros([queries, slots]);
        let scale = (size as f32).sqrt().recip();
        for (row, head) in (0..batch).flat_map(|row| (0..heads).map(move |head| (row, head))) {
            let [q, k, v] = [&q, &k, &v].map(|all| all.slice(s![row, head, .., ..]));
            let bias = b.slice(s![row, head, .., ..]);
            let mut weights = weights.slice_mut(s![row, head, .., ..]);
            product(weights.view_mut(), q, k.t());
            for (scores, bias) in zip(weights.outer_iter_mut(), bias.outer_iter()) {
                softmax(scores.into_slice().expect("a row"), bias.as_slice().expect("a row"), scale);
            }
            let seen = seen.slice_mut(s![row, head, .., ..]);
            match &m {
                Some(m) => {
                    scratch.assign(&m.slice(s![row, head, .., ..]));
                    scratch *= &weights;
                    product(seen, scratch.view(), v);
                }
                None => product(seen, weights.view(), v),
            }
        }
        let [weights, seen] = [weights, seen].map(tensor);
        Self { query, key, value, kept, weights, seen }
    }
}

impl Kept<3> for Attention {
    /// The gradients of query, key and value.
    fn backward(self, seen: &FlexTensor, _: [bool; 3]) -> [FlexTensor; 3] {
        let seen = seen.to_contiguous();
        let [query, key, value, weights, seen] =
            [&self.query, &self.key, &self.value, &self.weights, &seen].map(view::<4>);
        let kept = self.kept.as_ref().map(view::<4>);
        let [batch, heads, queries, slots] = dims(&self.weights);
        let mut found = [&self.query, &self.key, &self.value].map(|like| Array4::<f32>::zeros(dims::<4>(like)));
        let mut through = Array2::<f32>::zeros([queries, slots]);
        let mut scratch = Array2::zeros([queries, slots]);
        let scale = (query.dim().3 as f32).sqrt().recip();
        for (row, head) in (0..batch).flat_map(|row| (0..heads).map(move |head| (row, head))) {
            let [query, key, value, weights, seen] =
                [&query, &key, &value, &weights, &seen].map(|all| all.slice(s![row, head, .., ..]));
            let [to_query, to_key, to_value] = found.each_mut().map(|all| all.slice_mut(s![row, head, .., ..]));
            product(through.view_mut(), seen, value.t());
            match &kept {
                Some(kept) => {
                    let kept = kept.slice(s![row, head, .., ..]);
                    scratch.assign(&kept);
                    scratch *= &weights;
                    product(to_value, scratch.t(), seen);
                    through *= &kept;
                }
                None => product(to_value, weights.t(), seen),
            }
            for (through, weights) in zip(through.outer_iter_mut(), weights.outer_iter()) {
                softmax_backward(through.into_slice().expect("a row"), weights.as_slice().expect("a row"), scale);
            }
            product(to_query, through.view(), key);
            product(to_key, through.t(), query);
        }
        found.map(tensor)
    }
}

/// `softmax(scale x + bias)` in place.
fn softmax(x: &mut [f32], bias: &[f32], scale: f32) {
    Arch::new().dispatch(|| {
        let mut most = [f32::NEG_INFINITY; 16];
        for (x, bias) in zip(x.chunks_mut(16), bias.chunks(16)) {
            for ((x, bias), most) in zip(zip(x, bias), &mut most) {
                *x = *x * scale + bias;
                *most = most.max(*x);
            }
        }
        let most = most.into_iter().fold(f32::NEG_INFINITY, f32::max);
        x.iter_mut().for_each(|x| *x = exp(*x - most));
        let mut sums = [0.0; 16];
        add_up(&mut sums, x, |x| x);
        let whole = 1.0 / sums.iter().sum::<f32>();
        x.iter_mut().for_each(|x| *x *= whole);
    });
}

/// From the gradient of a softmax's result to that of what was scaled, in place.
fn softmax_backward(gradient: &mut [f32], result: &[f32], scale: f32) {
    Arch::new().dispatch(|| {
        let mut sums = [0.0; 16];
        for (gradient, result) in zip(gradient.chunks(16), result.chunks(16)) {
            for ((gradient, result), sum) in zip(zip(gradient, result), &mut sums) {
                *sum += gradient * result;
            }
        }
        let mean: f32 = sums.iter().sum();
        for (gradient, result) in zip(gradient, result) {
            *gradient = (*gradient - mean) * result * scale;
        }
    });
}

/// What the gradient of [`recur`] needs.
#[derive(Clone, Debug)]
struct Recurrence {
    state: FlexTensor,
    weight: FlexTensor,
    /// `z`, `r`, `n` and `Un h + cn` side by side, `[time, batch, 4 hidden]`.
    gates: FlexTensor,
    states: FlexTensor,
}

impl Recurrence {
    fn new(input: FlexTensor, state: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> Self {
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
            product(u.view_mut(), before.view(), weights);
            for (row, mut gates) in gates.outer_iter_mut().enumerate() {
                let (x, u) = (x.slice(s![row, step, ..]), u.row(row));
                let [xz, xr, xn] = parts(x.to_slice().expect("a row"));
                let [uz, ur, un] = parts(u.to_slice().expect("a row"));
                let [cz, cr, cn] = parts(bias);
                let [z, r, n, seen] = parts_mut(gates.as_slice_mut().expect("a row"));
                let mut before = before.row_mut(row);
                let h = &mut before.as_slice_mut().expect("a row")[..hidden];
                Arch::new().dispatch(|| {
                    for i in 0..hidden {
                        z[i] = sigmoid(xz[i] + uz[i] + cz[i]);
                        r[i] = sigmoid(xr[i] + ur[i] + cr[i]);
                        seen[i] = un[i] + cn[i];
                        // The hyperbolic tangent.
                        n[i] = 2.0 * sigmoid(2.0 * (xn[i] + r[i] * seen[i])) - 1.0;
                        h[i] = n[i] + z[i] * (h[i] - n[i]);
                    }
                });
            }
            states.slice_mut(s![.., step, ..]).assign(&before);
        }
        Self { state, weight, gates: tensor(gates), states: tensor(states) }
    }
}

impl Kept<4> for Recurrence {
    /// The gradients of input, state, weight and bias.
    fn backward(self, after: &FlexTensor, _: [bool; 4]) -> [FlexTensor; 4] {
        let after = after.to_contiguous();
        let [batch, time, hidden] = dims(&self.states);
        let [gates, states, after] = [&self.gates, &self.states, &after].map(view::<3>);
        let (first, weight) = (view::<2>(&self.state), view::<2>(&self.weight));
        // Row by row, else each step would bring them into order anew.
        let back_weight = weight.t().as_standard_layout().into_owned();
        let mut to_input = Array3::<f32>::zeros([batch, time, 3 * hidden]);
        // Of `U h + c`, and the states before; for all steps, so that the weights' gradient is one product.
        let mut to_u = Array3::<f32>::zeros([time, batch, 3 * hidden]);
        let mut before = Array3::<f32>::zeros([time, batch, hidden]);
        let mut to_state = Array2::<f32>::zeros([batch, hidden]);
        let mut back = Array2::<f32>::zeros([batch, hidden]);
        for step in (0..time).rev() {
            to_state += &after.slice(s![.., step, ..]);
            let mut before = before.index_axis_mut(Axis(0), step);
            match step {
                0 => before.assign(&first),
                _ => before.assign(&states.slice(s![.., step - 1, ..])),
            }
            let mut to_u = to_u.index_axis_mut(Axis(0), step);
            for row in 0..batch {
                let (gates, before) = (gates.slice(s![step, row, ..]), before.row(row));
                let [z, r, n, seen] = parts(gates.to_slice().expect("a row"));
                let h = &before.to_slice().expect("a row")[..hidden];
                let (mut x, mut u) = (to_input.slice_mut(s![row, step, ..]), to_u.row_mut(row));
                let [xz, xr, xn] = parts_mut(x.as_slice_mut().expect("a row"));
                let [uz, ur, un] = parts_mut(u.as_slice_mut().expect("a row"));
                let mut to_state = to_state.row_mut(row);
                let to = &mut to_state.as_slice_mut().expect("a row")[..hidden];
                Arch::new().dispatch(|| {
                    for i in 0..hidden {
                        xn[i] = to[i] * (1.0 - z[i]) * (1.0 - n[i] * n[i]);
                        un[i] = xn[i] * r[i];
                        xz[i] = to[i] * (h[i] - n[i]) * z[i] * (1.0 - z[i]);
                        uz[i] = xz[i];
                        xr[i] = xn[i] * seen[i] * r[i] * (1.0 - r[i]);
                        ur[i] = xr[i];
                        to[i] *= z[i];
                    }
                });
            }
            product(back.view_mut(), to_u.view(), back_weight.view());
            to_state += &back;
        }
        let rows = |all: Array3<f32>| {
            let columns = all.dim().2;
            all.into_shape_with_order([time * batch, columns]).expect("rows of steps")
        };
        let (to_u, before) = (rows(to_u), rows(before));
        let mut to_weight = Array2::<f32>::zeros(weight.raw_dim());
        product(to_weight.view_mut(), before.t(), to_u.view());
        [tensor(to_input), tensor(to_state), tensor(to_weight), tensor(to_u.sum_axis(Axis(0)))]
    }
}

/// Equal parts of a row.
fn parts<const N: usize>(row: &[f32]) -> [&[f32]; N] {
    let size = row.len() / N;
    std::array::from_fn(|part| &row[part * size..][..size])
}

fn parts_mut<const N: usize>(row: &mut [f32]) -> [&mut [f32]; N] {
    let size = row.len() / N;
    let mut chunks = row.chunks_exact_mut(size);
    std::array::from_fn(|_| chunks.next().expect("N parts"))
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// e to the power of `x`, to within 2e-7 of itself in -87..88; below that 0, above as at 88. By additions and products alone,
/// which compilers make vector instructions of (Cody and Waite 1980; coefficients of Moshier's Cephes library).
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Added to a number, it leaves its nearest integer in the last bits.
    const ROUND: f32 = 12_582_912.0;
    // Comparisons let NaN through.
    let nothing = x < -87.0;
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    let rest = x - power * 0.693_359_4 + power * 2.121_944_4e-4;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        sum = sum * rest + coefficient;
    }
    let mantissa = sum * rest * rest + rest + 1.0;
    let whole = mantissa * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if nothing { 0.0 } else { whole }
}

fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.layout().shape().dims()
}

/// The values of a contiguous tensor.
fn view<const D: usize>(tensor: &FlexTensor) -> ArrayView<'_, f32, Dim<[usize; D]>>
where
    [usize; D]: IntoDimension<Dim = Dim<[usize; D]>>,
    Dim<[usize; D]>: Dimension,
{
    let values = tensor.as_slice().expect("contiguous");
    ArrayView::from_shape(dims::<D>(tensor), values).expect("as many values as the shape says")
}

fn tensor<D: Dimension>(values: Array<f32, D>) -> FlexTensor {
    let shape = values.shape().to_vec();
    let (values, _) = values.into_raw_vec_and_offset();
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Writes the matrix product of `a` and `b` into `into`.
fn product(into: ArrayViewMut2<f32>, a: ArrayView2<f32>, b: ArrayView2<f32>) {
    multiply(into, a, b, false);
}

/// Adds the matrix product of `a` and `b` to `into`.
fn add_product(into: ArrayViewMut2<f32>, a: ArrayView2<f32>, b: ArrayView2<f32>) {
    multiply(into, a, b, true);
}

#[allow(unsafe_code)]
fn multiply(mut into: ArrayViewMut2<f32>, a: ArrayView2<f32>, b: ArrayView2<f32>, add: bool) {
    let ((rows, inner), (again, columns)) = (a.dim(), b.dim());
    assert!(inner == again && into.dim() == (rows, columns), "{:?} times {:?}", a.dim(), b.dim());
    let strides = [into.strides(), a.strides(), b.strides()].map(|strides| [strides[0], strides[1]]);
    let [[into_row, into_column], [a_row, a_column], [b_row, b_column]] = strides;
    // SAFETY: each pointer and its strides are those of a view with the number of rows and columns that gemm is told.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            into.as_mut_ptr(),
            into_column,
            into_row,
            add,
            a.as_ptr(),
            a_column,
            a_row,
            b.as_ptr(),
            b_column,
            b_row,
            if add { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Numbers in -1..1 on a device that keeps gradients.
    pub(crate) fn wave<const D: usize>(shape: [usize; D], pace: f32) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i| (i as f32 * pace).sin()).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
    }

    #[test]
    fn exponentials() {
        let far = |x: f32| f64::from(exp(x)) / f64::from(x).exp() - 1.0;
        let worst = (-8700..=8800).map(|x| far(x as f32 * 0.01).abs()).fold(0.0, f64::max);
        assert!(worst < 2e-7, "{worst}");
        assert!(exp(-1e9) == 0.0 && exp(f32::NEG_INFINITY) == 0.0 && exp(f32::INFINITY) > 1e38);
        assert!(exp(f32::NAN).is_nan() && exp(0.0) == 1.0);
    }

    /// Asserts that the two differ by rounding alone.
    #[track_caller]
    pub(crate) fn close<const D: usize>(a: Tensor<D>, b: Tensor<D>) {
        assert_eq!(a.dims(), b.dims());
        let far: f32 = (a - b.clone()).abs().max().into_scalar();
        let most: f32 = b.abs().max().into_scalar();
        assert!(most > 1e-3 && far < 1e-5 * most.max(1.0), "they differ by up to {far} of {most}");
    }
}
