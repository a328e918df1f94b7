//! SEQ2SEQ, the recurrent baseline (InverseMV, arXiv 2112.15320, section 3.2; attention of Luong et al. 2015).
//!
//! ```text
//! pixels                        tokens
//!   | ConvEncoder                 | embedding
//!   | GRU --- last states --->    | the same GRU
//!   |                             h [batch, tokens, hidden]
//!   +-- states = memory --->      | context = softmax(h memory^T) memory
//!                                 | tanh(combine([context, h]))
//!                                 | output
//!                               logits of 310 events
//! ```

use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::activation::{softmax, tanh};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::attention::additive;
use super::conditions::ConditionEmbedding;
use super::config::ModelConfig;
use super::conv_encoder::ConvEncoder;
use super::dropout::Dropout;
use super::encoder_decoder::{AUXILIARY_OUTPUTS, EncoderDecoder, Feed, last_real};
use super::gru::Gru;
use super::init::Init;

/// The recurrent model.
#[derive(Module, Debug)]
pub struct Seq2Seq {
    /// The convolutional encoder.
    pub frames: ConvEncoder,
    /// `[310, hidden]`: the vector of each event.
    pub embedding: Embedding,
    /// Conditions of the decoder, such as metre and key ([`vmt::Condition`]).
    pub conditions: Option<ConditionEmbedding>,
    /// Over the pictures, then over the events.
    pub gru: Gru,
    /// `[2 hidden, hidden]` with bias: context and state to one vector (Luong et al. 2015, equation 5).
    pub combine: Linear,
    /// `[hidden, 310]` with bias.
    pub output: Linear,
    /// On the combined vector.
    pub dropout: Dropout,
    /// `[hidden, 6]`: the [auxiliary regression head](EncoderDecoder::auxiliary), for training alone.
    pub auxiliary: Linear,
}

/// The encoder's output of [`Seq2Seq`].
#[derive(Clone, Debug)]
pub struct Seq2SeqMemory {
    /// The GRU's state after each picture, `[batch, frames, hidden]`.
    pub states: Tensor<3>,
    /// Each layer's state after the last picture, `[batch, layers, hidden]`.
    pub hidden: Tensor<3>,
    /// Additive, hides padding: `[batch, 1, frames]`.
    pub mask: Tensor<3>,
}

impl Seq2Seq {
    pub(crate) fn new(config: &ModelConfig, seed: u64, device: &Device) -> Self {
        let ModelConfig { hidden, layers, dropout, conditions, .. } = *config;
        let init = &mut Init::new(seed, device);
        Self {
            frames: ConvEncoder::new(config, init),
            embedding: init.embedding(hidden, 1.0),
            gru: Gru::new(hidden, layers, dropout, init),
            combine: init.linear(2 * hidden, hidden),
            output: init.linear(hidden, vmt::VOCABULARY),
            dropout: Dropout::new(dropout),
            auxiliary: init.linear(hidden, AUXILIARY_OUTPUTS),
            conditions: conditions.then(|| ConditionEmbedding::new(hidden, init)),
        }
    }
}

impl EncoderDecoder for Seq2Seq {
    type Memory = Seq2SeqMemory;
    /// Each layer's state, `[batch, layers, hidden]`.
    type State = Tensor<3>;

    fn encode(&self, pixels: Tensor<5, Int>, frame_mask: Tensor<2, Bool>) -> Seq2SeqMemory {
        let (vectors, mask) = self.frames.forward(pixels, frame_mask);
        let [batch, _, hidden] = vectors.dims();
        let initial = Tensor::zeros([batch, self.gru.layers.len(), hidden], &vectors.device());
        let (states, hidden) = self.gru.forward(vectors, initial, last_real(mask.clone()));
        Seq2SeqMemory { states, hidden, mask: additive(mask).unsqueeze_dim(1) }
    }

    fn auxiliary(&self, memory: &Seq2SeqMemory) -> Tensor<3> {
        self.auxiliary.forward(memory.states.clone())
    }

    fn export_outputs(&self, memory: &Seq2SeqMemory) -> Vec<TensorData> {
        vec![memory.states.to_data(), memory.hidden.to_data()]
    }

    fn initial_state(&self, memory: &Seq2SeqMemory) -> Tensor<3> {
        memory.hidden.clone()
    }

    fn decode_step(&self, feed: Feed, memory: &Seq2SeqMemory, state: &Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let last = feed.last();
        let mut vectors = self.embedding.forward(feed.tokens);
        if let Some(conditions) = &self.conditions {
            vectors = vectors + conditions.forward(feed.conditions);
        }
        let (h, state) = self.gru.forward(vectors, state.clone(), last);
        let scores = h.clone().matmul(memory.states.clone().transpose()) + memory.mask.clone();
        let context = softmax(scores, 2).matmul(memory.states.clone());
        let combined = tanh(self.combine.forward(Tensor::cat(vec![context, h], 2)));
        (self.output.forward(self.dropout.forward(combined)), state)
    }
}
