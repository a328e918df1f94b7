//! What both models have in common.

use burn::tensor::{Bool, Int, Tensor, TensorData};
use vmt::{Condition, Token};

/// Outputs of the auxiliary regression head for each picture: what they are is in [`crate::data::auxiliary`].
pub const AUXILIARY_OUTPUTS: usize = 6;

/// An autoregressive decoder of events over an encoder of pictures.
pub trait EncoderDecoder {
    /// The encoder's output, which the decoder attends to.
    type Memory: Send;
    /// What the decoder caches of the tokens so far.
    type State: Send;

    /// `pixels`: `[batch, frames, 3, height, width]` in `0..=255`; `frame_mask`: `[batch, frames]`, true where there is a
    /// picture and not padding (on the right); a row without any has no video.
    fn encode(&self, pixels: Tensor<5, Int>, frame_mask: Tensor<2, Bool>) -> Self::Memory;

    /// The auxiliary regression head on the encoder's output, `[batch, frames, `[`AUXILIARY_OUTPUTS`]`]`; for training alone.
    fn auxiliary(&self, memory: &Self::Memory) -> Tensor<3>;

    /// The outputs of the exported encoder graph, in its order: what the decoder attends to, then its initial state.
    fn export_outputs(&self, memory: &Self::Memory) -> Vec<TensorData>;

    /// The state before the first token.
    fn initial_state(&self, memory: &Self::Memory) -> Self::State;

    /// Feeds tokens; returns the logits `[batch, new, 310]` of what follows each, and the state after them.
    fn decode_step(&self, feed: Feed, memory: &Self::Memory, state: &Self::State) -> (Tensor<3>, Self::State);

    /// The logits `[batch, tokens, 310]` of what follows each token of a [whole](Feed::whole) sequence.
    /// Rows may be padded on the right: what follows the padding means nothing, and nothing else depends on it.
    fn decode(&self, feed: Feed, memory: &Self::Memory) -> Tensor<3> {
        self.decode_step(feed, memory, &self.initial_state(memory)).0
    }

    /// A forward pass of training: the logits of whole sequences, and the auxiliary outputs; shapes as above.
    fn forward_train(&self, pixels: Tensor<5, Int>, frame_mask: Tensor<2, Bool>, feed: Feed) -> (Tensor<3>, Tensor<3>) {
        let memory = self.encode(pixels, frame_mask);
        (self.decode(feed, &memory), self.auxiliary(&memory))
    }
}

/// Tokens to feed. Rows may hold different numbers of tokens, at least one: they are padded on the right, and a slot of
/// padding stays masked.
#[derive(Clone, Debug)]
pub struct Feed {
    /// `[batch, new]`.
    pub tokens: Tensor<2, Int>,
    /// The index of each token among its row's real ones, from 0; `[batch, new]`.
    pub positions: Tensor<2, Int>,
    /// Steps of 10 ms from the beginning of the window to the end of each token; `[batch, new]`.
    pub times: Tensor<2, Int>,
    /// True where a slot holds a real token; `[batch, past + new]`.
    pub real: Tensor<2, Bool>,
    /// Conditions at the moment after each token ([`vmt::Condition`]), `[batch, new, conditions]`.
    pub conditions: Tensor<3, Int>,
}

impl Feed {
    /// A sequence from its first token on, `[batch, new]`, of which nothing else is known.
    pub fn whole(tokens: Tensor<2, Int>) -> Self {
        let [batch, new] = tokens.dims();
        let device = tokens.device();
        let steps: Vec<i64> = Token::all().map(|token| token.steps().into()).collect();
        let steps = Tensor::<1, Int>::from_data(TensorData::from(steps.as_slice()), &device);
        let steps = steps.select(0, tokens.clone().reshape([batch * new])).reshape([batch, new]);
        Self {
            tokens,
            times: steps.cumsum(1),
            positions: Tensor::<1, Int>::arange(0..new as i64, &device).unsqueeze::<2>().expand([batch, new]),
            real: Tensor::ones([batch, new], &device),
            conditions: Tensor::zeros([batch, new, Condition::ALL.len()], &device),
        }
    }

    /// Which slots each new token attends to, `[batch, new, past + new]`: the real ones up to itself (causal).
    pub fn causal_mask(&self) -> Tensor<3, Bool> {
        let ([batch, new], [_, slots]) = (self.tokens.dims(), self.real.dims());
        // burn's mask is true above the diagonal, which it shifts to the right by `past`.
        let later = Tensor::<2, Bool>::tril_mask([new, slots], (slots - new) as i64, &self.real.device());
        let earlier = later.bool_not().unsqueeze::<3>().expand([batch, new, slots]);
        earlier.bool_and(self.real.clone().unsqueeze_dim::<3>(1).expand([batch, new, slots]))
    }

    /// Index among the new tokens of each row's last real one, `[batch]`.
    pub fn last(&self) -> Tensor<1, Int> {
        let ([_, new], [_, slots]) = (self.tokens.dims(), self.real.dims());
        last_real(self.real.clone().narrow(1, slots - new, new))
    }
}

/// Index of the last true column of each row, `[batch]`; rows are padded on the right and hold at least one.
pub fn last_real(real: Tensor<2, Bool>) -> Tensor<1, Int> {
    real.int().sum_dim(1).squeeze_dim::<1>(1) - 1
}
