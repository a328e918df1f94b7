//! Conditions: inputs of the decoder beside the video and the events so far, such as metre, hit points, key and intensity. Not in
//! the paper.

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor, TensorData};
use vmt::{Condition, Conditions, Token};

use super::init::Init;

/// An embedding of the conditions at a moment ([`vmt::Condition`]), added to that of an event.
#[derive(Module, Debug)]
pub struct ConditionEmbedding {
    /// `[values, hidden]`: one for each value of each condition, [one condition after the other](Condition::offsets).
    pub values: Embedding,
}

impl ConditionEmbedding {
    /// Zero-initialised: the output of a model does not change until it is trained.
    pub(crate) fn new(hidden: usize, init: &Init) -> Self {
        let (_, rows) = Condition::offsets();
        Self { values: Embedding { weight: init.zeros([rows, hidden]) } }
    }

    /// The sum of the vectors of `conditions` `[batch, new, conditions]`, times `sqrt(hidden)`; `[batch, new, hidden]`.
    pub fn forward(&self, conditions: Tensor<3, Int>) -> Tensor<3> {
        let ([batch, new, count], [_, hidden]) = (conditions.dims(), self.values.weight.dims());
        let (offsets, _) = Condition::offsets();
        let offsets: Vec<i64> = offsets.map(|offset| offset as i64).into();
        let offsets = Tensor::<1, Int>::from_data(TensorData::from(offsets.as_slice()), &conditions.device());
        let rows = (conditions + offsets.unsqueeze::<3>()).reshape([batch, new * count]);
        let vectors = self.values.forward(rows).reshape([batch, new, count, hidden]);
        vectors.sum_dim(2).squeeze_dim::<3>(2) * (hidden as f64).sqrt()
    }
}

/// What is known of the moment after each of `tokens`, of which the first begins at step `from`, and after padding up to `length`:
/// `[length, conditions]` row by row.
pub fn condition_rows(conditions: &Conditions, mut from: u32, tokens: &[Token], length: usize) -> Vec<i64> {
    let row = |slot| {
        from += tokens.get(slot).map_or(0, |token: &Token| token.steps());
        conditions.at(from).map(i64::from)
    };
    (0..length).flat_map(row).collect()
}

/// [Rows](condition_rows) of several lanes as a tensor, `[lanes, slots, conditions]`.
pub fn condition_tensor(rows: Vec<i64>, [lanes, slots]: [usize; 2], device: &Device) -> Tensor<3, Int> {
    Tensor::from_data(TensorData::new(rows, [lanes, slots, Condition::ALL.len()]), device)
}
