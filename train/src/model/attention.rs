//! The sub-layers of a transformer (Vaswani et al. 2017, section 3.2); keys and values are the caller's to cache.
//!
//! ```text
//!              query [batch, heads, queries, size]   key, value [batch, heads, slots, size]
//! scores  = query key^T / sqrt(size) + mask          [batch, heads, queries, slots]
//! weights = dropout(softmax(scores))
//! output  = out(heads side by side(weights value))   [batch, queries, hidden]
//! ```

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Bool, Device, Tensor};

use super::dropout::Dropout;
use super::init::Init;

/// An additive attention mask: 0 where `visible`, -1e9 elsewhere.
pub fn additive<const D: usize>(visible: Tensor<D, Bool>) -> Tensor<D> {
    (visible.float() - 1.0) * 1e9
}

/// Keys and values, each `[batch, heads, slots, size]`.
#[derive(Clone, Debug)]
pub struct KeyValue {
    /// What queries are multiplied with.
    pub key: Tensor<4>,
    /// What attention weights average.
    pub value: Tensor<4>,
}

impl KeyValue {
    /// An empty cache.
    pub fn empty(batch: usize, heads: usize, size: usize, device: &Device) -> Self {
        let none = Tensor::zeros([batch, heads, 0, size], device);
        Self { key: none.clone(), value: none }
    }

    /// These slots, then those of `new`.
    pub fn append(&self, new: Self) -> Self {
        Self {
            key: Tensor::cat(vec![self.key.clone(), new.key], 2),
            value: Tensor::cat(vec![self.value.clone(), new.value], 2),
        }
    }
}

/// Multi-head self-attention.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// `[hidden, 3 hidden]` without bias: queries, keys and values side by side.
    pub qkv: Linear,
    /// `[hidden, hidden]` without bias.
    pub out: Linear,
    /// Number of heads; each has `hidden / heads` of the columns, in order.
    pub heads: usize,
    /// On the attention weights.
    pub dropout: Dropout,
}

impl SelfAttention {
    pub(crate) fn new(hidden: usize, heads: usize, dropout: f64, init: &mut Init) -> Self {
        Self {
            qkv: init.projections(hidden, 3),
            out: init.projections(hidden, 1),
            heads,
            dropout: Dropout::new(dropout),
        }
    }

    /// `x` and the result: `[batch, slots, hidden]`; `mask`: `[batch, 1, slots or 1, slots]`, additive.
    pub fn forward(&self, x: Tensor<3>, mask: Tensor<4>) -> Tensor<3> {
        let [query, key, value] = split(self.qkv.forward(x), self.heads);
        self.out.forward(attend(query, &KeyValue { key, value }, mask, &self.dropout))
    }

    /// `x` `[batch, new, hidden]` attends to the cached slots of `past` too; `mask`: `[batch, 1 or heads, new, past + new]`,
    /// additive. Returns `[batch, new, hidden]`, and `past` with the new slots.
    pub fn forward_cached(&self, x: Tensor<3>, past: &KeyValue, mask: Tensor<4>) -> (Tensor<3>, KeyValue) {
        let [query, key, value] = split(self.qkv.forward(x), self.heads);
        let slots = past.append(KeyValue { key, value });
        (self.out.forward(attend(query, &slots, mask, &self.dropout)), slots)
    }
}

/// Multi-head attention to another sequence.
#[derive(Module, Debug)]
pub struct CrossAttention {
    /// `[hidden, hidden]` without bias.
    pub query: Linear,
    /// `[hidden, 2 hidden]` without bias: keys and values side by side.
    pub key_value: Linear,
    /// `[hidden, hidden]` without bias.
    pub out: Linear,
    /// Number of heads; each has `hidden / heads` of the columns, in order.
    pub heads: usize,
    /// On the attention weights.
    pub dropout: Dropout,
}

impl CrossAttention {
    pub(crate) fn new(hidden: usize, heads: usize, dropout: f64, init: &mut Init) -> Self {
        Self {
            query: init.projections(hidden, 1),
            key_value: init.projections(hidden, 2),
            out: init.projections(hidden, 1),
            heads,
            dropout: Dropout::new(dropout),
        }
    }

    /// The keys and values for [`forward`](Self::forward), from `[batch, slots, hidden]`: computed once for a whole sequence.
    pub fn key_value(&self, x: Tensor<3>) -> KeyValue {
        let [key, value] = split(self.key_value.forward(x), self.heads);
        KeyValue { key, value }
    }

    /// `x` and the result: `[batch, queries, hidden]`; `mask`: `[batch, 1, queries or 1, slots]`, additive.
    pub fn forward(&self, x: Tensor<3>, slots: &KeyValue, mask: Tensor<4>) -> Tensor<3> {
        let [query] = split(self.query.forward(x), self.heads);
        self.out.forward(attend(query, slots, mask, &self.dropout))
    }
}

/// Two layers applied to each position alone, with a ReLU between.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[hidden, feed_forward]` with bias.
    pub expand: Linear,
    /// `[feed_forward, hidden]` with bias.
    pub contract: Linear,
}

impl FeedForward {
    pub(crate) fn new(hidden: usize, feed_forward: usize, init: &mut Init) -> Self {
        Self { expand: init.linear(hidden, feed_forward), contract: init.linear(feed_forward, hidden) }
    }

    /// `[batch, slots, hidden]` to the same.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.contract.forward(relu(self.expand.forward(x)))
    }
}

/// `[batch, slots, N hidden]` into N times `[batch, heads, slots, size]`.
fn split<const N: usize>(x: Tensor<3>, heads: usize) -> [Tensor<4>; N] {
    let [batch, slots, columns] = x.dims();
    let size = columns / (N * heads);
    let parts = x.reshape([batch, slots, N * heads, size]).swap_dims(1, 2).chunk(N, 1);
    parts.try_into().expect("N chunks")
}

fn attend(query: Tensor<4>, slots: &KeyValue, mask: Tensor<4>, dropout: &Dropout) -> Tensor<3> {
    let [batch, heads, queries, size] = query.dims();
    let KeyValue { key, value } = slots.clone();
    let device = query.device();
    let dropout_mask = dropout.mask([batch, heads, queries, key.dims()[2]], &device);
    vmt_operators::sdpa(query, key, value, mask, dropout_mask).swap_dims(1, 2).reshape([batch, queries, heads * size])
}
