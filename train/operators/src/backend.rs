//! The fused operators on burn's CPU backend, with and without autodiff.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};

use crate::autodiff::track;
use crate::conv_norm::ConvNorm;
use crate::gru::Gru;
use crate::sdpa::Sdpa;

/// The fused operators on a backend; shapes as of the functions of the same names in the crate's root.
#[backend_extension(Flex, Autodiff)]
pub trait FusedOperators: Backend {
    fn conv_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        offset: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn sdpa(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        dropout_mask: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn gru(
        input: FloatTensor<Self>,
        state: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl FusedOperators for Flex {
    fn conv_norm(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        gain: FlexTensor,
        offset: FlexTensor,
    ) -> FlexTensor {
        ConvNorm::forward(x, weight, bias, gain, offset).1
    }

    fn sdpa(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        bias: FlexTensor,
        dropout_mask: FlexTensor,
    ) -> FlexTensor {
        Sdpa::forward([query, key, value], bias, dropout_mask).1
    }

    fn gru(input: FlexTensor, state: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        Gru::forward(input, state, weight, bias).1
    }
}

impl<C: CheckpointStrategy> FusedOperators for Autodiff<Flex, C> {
    fn conv_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        offset: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [(x, a), (weight, b), (bias, c), (gain, d), (offset, e)] =
            [x, weight, bias, gain, offset].map(|tensor| tensor.into_parts());
        let (saved, output) = ConvNorm::forward(x, weight, bias, gain, offset);
        track::<C, _, 5>([a, b, c, d, e], saved, output)
    }

    fn sdpa(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        dropout_mask: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [(query, q), (key, k), (value, v)] = [query, key, value].map(|tensor| tensor.into_parts());
        let (saved, output) = Sdpa::forward([query, key, value], bias.into_primitive(), dropout_mask.into_primitive());
        track::<C, _, 3>([q, k, v], saved, output)
    }

    fn gru(
        input: FloatTensor<Self>,
        state: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [(input, x), (state, h), (weight, u), (bias, c)] =
            [input, state, weight, bias].map(|tensor| tensor.into_parts());
        let (saved, output) = Gru::forward(input, state, weight, bias);
        track::<C, _, 4>([x, h, u, c], saved, output)
    }
}
