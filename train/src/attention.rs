//! The layers inside a transformer (Vaswani et al. 2017, section 3.2), with keys and values in the caller's hands.
//!
//! ```text
//!              query [batch, heads, queries, size]   key, value [batch, heads, slots, size]
//! scores  = query key^T / sqrt(size) + mask          [batch, heads, queries, slots]
//! weights = dropout(softmax(scores))
//! output  = out(heads side by side(weights value))   [batch, queries, hidden]
//! ```

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Bool, Device, Tensor};

use crate::dropout::Dropout;
use crate::init::Init;
use crate::kernels::{self, on_host};

/// 0 where `visible`, -1e9 elsewhere: added to scores, it hides a slot.
pub fn additive<const D: usize>(visible: Tensor<D, Bool>) -> Tensor<D> {
    (visible.float() - 1.0) * 1e9
}

/// What attention looks at, each `[batch, heads, slots, size]`.
#[derive(Clone, Debug)]
pub struct KeyValue {
    /// Matched with the queries.
    pub key: Tensor<4>,
    /// Averaged by the match.
    pub value: Tensor<4>,
}

impl KeyValue {
    /// No slots yet.
    pub fn empty(batch: usize, heads: usize, size: usize, device: &Device) -> Self {
        let none = Tensor::zeros([batch, heads, 0, size], device);
        Self { key: none.clone(), value: none }
    }

    /// These slots, then those of `new`.
    pub fn extend(&self, new: Self) -> Self {
        Self {
            key: Tensor::cat(vec![self.key.clone(), new.key], 2),
            value: Tensor::cat(vec![self.value.clone(), new.value], 2),
        }
    }
}

/// A sequence that looks at itself.
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

    /// `x` `[batch, new, hidden]` looks at the slots of `past` too; `mask`: `[batch, 1 or heads, new, past + new]`, additive.
    /// Returns `[batch, new, hidden]`, and `past` with the new slots.
    pub fn forward_after(&self, x: Tensor<3>, past: &KeyValue, mask: Tensor<4>) -> (Tensor<3>, KeyValue) {
        let [query, key, value] = split(self.qkv.forward(x), self.heads);
        let slots = past.extend(KeyValue { key, value });
        (self.out.forward(attend(query, &slots, mask, &self.dropout)), slots)
    }
}

/// A sequence that looks at another.
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

    /// What [`forward`](Self::forward) looks at, from `[batch, slots, hidden]`: computed once for a whole piece.
    pub fn memory(&self, x: Tensor<3>) -> KeyValue {
        let [key, value] = split(self.key_value.forward(x), self.heads);
        KeyValue { key, value }
    }

    /// `x` and the result: `[batch, queries, hidden]`; `mask`: `[batch, 1, queries or 1, slots]`, additive.
    pub fn forward(&self, x: Tensor<3>, memory: &KeyValue, mask: Tensor<4>) -> Tensor<3> {
        let [query] = split(self.query.forward(x), self.heads);
        self.out.forward(attend(query, memory, mask, &self.dropout))
    }
}

/// Two layers on each vector alone.
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
    let kept = dropout.kept([batch, heads, queries, key.dims()[2]], &device);
    let attend = if on_host(&device) { kernels::attend } else { composed };
    attend(query, key, value, mask, kept).swap_dims(1, 2).reshape([batch, queries, heads * size])
}

/// As [`kernels::attend`], of burn's operations.
fn composed(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, mask: Tensor<4>, kept: Option<Tensor<4>>) -> Tensor<4> {
    let size = query.dims()[3] as f64;
    let weights = softmax(query.matmul(key.transpose()) / size.sqrt() + mask, 3);
    kept.into_iter().fold(weights, |weights, kept| weights * kept).matmul(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::tests::{close, wave};

    /// Results and gradients of queries, keys and values, whichever way they are computed.
    #[track_caller]
    fn check([queries, slots]: [usize; 2], mask: Tensor<4>, kept: Option<Tensor<4>>) {
        let of = |attend: fn(_, _, _, _, _) -> Tensor<4>| {
            let inputs = [(queries, 0.3), (slots, 0.5), (slots, 0.7)]
                .map(|(rows, pace)| wave([2, 3, rows, 5], pace).require_grad());
            let [query, key, value] = inputs.clone();
            let seen = attend(query, key, value, mask.clone(), kept.clone());
            let weighed = seen.clone() * wave(seen.dims(), 1.1);
            let gradients = weighed.sum().backward();
            let gradients = inputs.map(|input| Tensor::from_inner(input.grad(&gradients).expect("it was asked for")));
            [vec![seen], gradients.to_vec()].concat()
        };
        for (kernel, composed) in std::iter::zip(of(kernels::attend), of(composed)) {
            close(kernel, composed);
        }
    }

    #[test]
    fn the_kernel_is_what_it_replaces() {
        let hidden = |shape| wave::<4>(shape, 2.0).greater_elem(0.5).float() * -1e9;
        for queries in [1, 4, 37] {
            let slots = queries + 3;
            check([queries, slots], wave([2, 3, queries, slots], 0.9), None);
            check([queries, slots], wave([1, 1, 1, slots], 0.9), None);
            check([queries, slots], wave([2, 1, queries, slots], 9.0) * 5.0 + hidden([1, 1, 1, slots]), None);
            let kept = wave([2, 3, queries, slots], 3.0).greater_elem(-0.8).float() / 0.9;
            check([queries, slots], hidden([2, 1, queries, slots]), Some(kept));
        }
    }
}
