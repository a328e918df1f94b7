//! VMT, the transformer (InverseMV, arXiv 2112.15320, section 3.2; layers of Vaswani et al. 2017).
//!
//! ```text
//! pixels                                 tokens
//!   | ConvEncoder                          | embedding x sqrt(hidden)
//!   + sinusoids                            + sinusoids, time, held notes, conditions
//!   | dropout                              | dropout
//!   |  layers x:                           |  layers x:
//!   |   + self-attention(norm)             |   + causal self-attention(norm)
//!   |   |                                  |   + cross-attention(norm) <-- keys, values
//!   |   + feed-forward(norm)               |   + feed-forward(norm)                 |
//!   | norm                                 | norm                                   |
//!   +-- keys, values of each layer -->     | embedding^T                            |
//!                                        logits of 310 events
//! ```
//!
//! Norms stand before each sub-layer, with one more at the end, and the embedding is both input and output: as in the
//! authors' code. `+` is a residual connection, with dropout on what is added. [`TimeEmbedding`], the [held
//! notes](super::held_notes) and [`alibi`] are not the paper's, and optional.

use std::iter::zip;

use burn::module::Module;
use burn::nn::{Embedding, LayerNorm, Linear};
use burn::tensor::module::linear;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use vmt::Pitch;

use super::attention::{CrossAttention, FeedForward, KeyValue, SelfAttention, additive};
use super::conditions::ConditionEmbedding;
use super::config::ModelConfig;
use super::conv_encoder::ConvEncoder;
use super::dropout::Dropout;
use super::encoder_decoder::{AUXILIARY_OUTPUTS, EncoderDecoder, Feed};
use super::held_notes::note_changes;
use super::init::Init;
use super::position::{TimeEmbedding, alibi, sinusoids};

/// The video-music transformer.
#[derive(Module, Debug)]
pub struct Vmt {
    /// The convolutional encoder.
    pub frames: ConvEncoder,
    /// Bottom layer first.
    pub encoder: Vec<EncoderLayer>,
    /// After the last encoder layer.
    pub encoder_norm: LayerNorm,
    /// `[310, hidden]`: the vector of each event, on the way in (times `sqrt(hidden)`) and out (as it is).
    pub embedding: Embedding,
    /// Bottom layer first.
    pub decoder: Vec<DecoderLayer>,
    /// After the last decoder layer.
    pub decoder_norm: LayerNorm,
    /// Conditions of the decoder, such as metre and key ([`vmt::Condition`]).
    pub conditions: Option<ConditionEmbedding>,
    /// When in the video each event is.
    pub time_embedding: Option<TimeEmbedding>,
    /// `[88, hidden]` without bias: the projection of the notes that sound, scaled by `sqrt(hidden)` like the embedding that it is
    /// added to.
    pub held_notes: Option<Linear>,
    /// Whether self-attention has the bias of [`alibi`].
    pub alibi: bool,
    /// On the embeddings that enter the first layers.
    pub dropout: Dropout,
    /// `[hidden, 6]`: the [auxiliary regression head](EncoderDecoder::auxiliary), for training alone.
    pub auxiliary: Linear,
}

/// The encoder's output of [`Vmt`].
#[derive(Clone, Debug)]
pub struct VmtMemory {
    /// The encoder's output, `[batch, frames, hidden]`.
    pub pictures: Tensor<3>,
    /// Keys and values of the pictures for each decoder layer, `[batch, heads, frames, size]`.
    pub cross: Vec<KeyValue>,
    /// Additive, hides padding: `[batch, 1, 1, frames]`.
    pub mask: Tensor<4>,
}

impl Vmt {
    pub(crate) fn new(
        config: &ModelConfig,
        [heads, feed_forward]: [usize; 2],
        [time_embedding, held_notes, alibi, conditions]: [bool; 4],
        seed: u64,
        device: &Device,
    ) -> Self {
        let ModelConfig { hidden, layers, dropout, .. } = *config;
        let init = &mut Init::new(seed, device);
        let deviation = (hidden as f64).powf(-0.5);
        Self {
            frames: ConvEncoder::new(config, init),
            encoder: (0..layers).map(|_| EncoderLayer::new(hidden, heads, feed_forward, dropout, init)).collect(),
            encoder_norm: init.norm(hidden),
            embedding: init.embedding(hidden, deviation),
            decoder: (0..layers).map(|_| DecoderLayer::new(hidden, heads, feed_forward, dropout, init)).collect(),
            decoder_norm: init.norm(hidden),
            dropout: Dropout::new(dropout),
            auxiliary: init.linear(hidden, AUXILIARY_OUTPUTS),
            alibi,
            held_notes: held_notes.then(|| init.held_notes(hidden)),
            conditions: conditions.then(|| ConditionEmbedding::new(hidden, init)),
            time_embedding: time_embedding.then(|| TimeEmbedding {
                project: init.projections(hidden, 1),
                frame_steps: config.geometry.frame_ms() as f64 * f64::from(vmt::STEPS_PER_SECOND) / 1000.0,
            }),
        }
    }
}

/// What [`Vmt`] caches of its tokens.
#[derive(Clone, Debug)]
pub struct VmtState {
    /// Keys and values of the tokens for each decoder layer.
    pub slots: Vec<KeyValue>,
    /// 1 for each note that sounds, `[batch, 88]`.
    pub held_notes: Tensor<2>,
}

impl EncoderDecoder for Vmt {
    type Memory = VmtMemory;
    type State = VmtState;

    fn encode(&self, pixels: Tensor<5, Int>, frame_mask: Tensor<2, Bool>) -> VmtMemory {
        let (vectors, mask) = self.frames.forward(pixels, frame_mask);
        let [_, count, hidden] = vectors.dims();
        let positions = Tensor::<1, Int>::arange(0..count as i64, &vectors.device()).unsqueeze::<2>();
        let mask = additive(mask).unsqueeze_dims::<4>(&[1, 2]);
        let mut x = self.dropout.forward(vectors + sinusoids(positions.float(), hidden));
        for layer in &self.encoder {
            x = layer.forward(x, mask.clone());
        }
        let pictures = self.encoder_norm.forward(x);
        let cross = |layer: &DecoderLayer| layer.cross_attention.key_value(pictures.clone());
        VmtMemory { cross: self.decoder.iter().map(cross).collect(), pictures, mask }
    }

    fn auxiliary(&self, memory: &VmtMemory) -> Tensor<3> {
        self.auxiliary.forward(memory.pictures.clone())
    }

    fn export_outputs(&self, memory: &VmtMemory) -> Vec<TensorData> {
        let data = |cross: &KeyValue| [cross.key.to_data(), cross.value.to_data()];
        let held_notes = self.held_notes.is_some().then(|| self.initial_state(memory).held_notes.into_data());
        memory.cross.iter().flat_map(data).chain(held_notes).collect()
    }

    fn initial_state(&self, memory: &VmtMemory) -> VmtState {
        let [batch, ..] = memory.pictures.dims();
        let empty = |cross: &KeyValue| {
            let [batch, heads, _, size] = cross.key.dims();
            KeyValue::empty(batch, heads, size, &cross.key.device())
        };
        let held_notes = Tensor::zeros([batch, Pitch::COUNT], &memory.pictures.device());
        VmtState { slots: memory.cross.iter().map(empty).collect(), held_notes }
    }

    fn decode_step(&self, feed: Feed, memory: &VmtMemory, state: &VmtState) -> (Tensor<3>, VmtState) {
        let mut mask = additive(feed.causal_mask()).unsqueeze_dim::<4>(1);
        let [_, hidden] = self.embedding.weight.dims();
        let [_, heads, frames, _] = memory.cross[0].key.dims();
        if self.alibi {
            mask = mask + alibi(heads, feed.positions.clone(), feed.real.clone());
        }
        let vectors = self.embedding.forward(feed.tokens.clone()) * (hidden as f64).sqrt();
        let mut vectors = vectors + sinusoids(feed.positions.float(), hidden);
        let mut held_notes = state.held_notes.clone();
        if let Some(project) = &self.held_notes {
            let held = held_notes.unsqueeze_dim::<3>(1) + note_changes(feed.tokens).cumsum(1);
            let [batch, new, _] = held.dims();
            // Padding changes nothing.
            held_notes = held.clone().narrow(1, new - 1, 1).reshape([batch, Pitch::COUNT]);
            vectors = vectors + project.forward(held) * (hidden as f64).sqrt();
        }
        if let Some(conditions) = &self.conditions {
            vectors = vectors + conditions.forward(feed.conditions);
        }
        let mut cross_mask = memory.mask.clone();
        if let Some(time) = &self.time_embedding {
            let position = time.frame_position(feed.times);
            cross_mask = cross_mask + TimeEmbedding::cross_alibi(position.clone(), heads, frames);
            vectors = vectors + time.project.forward(sinusoids(position, hidden));
        }
        let mut x = self.dropout.forward(vectors);
        let mut slots = Vec::with_capacity(state.slots.len());
        for ((layer, past), cross) in zip(zip(&self.decoder, &state.slots), &memory.cross) {
            let present;
            (x, present) = layer.forward(x, past, mask.clone(), cross, cross_mask.clone());
            slots.push(present);
        }
        let x = self.decoder_norm.forward(x);
        (linear(x, self.embedding.weight.val().transpose(), None), VmtState { slots, held_notes })
    }
}

/// A layer over pictures.
#[derive(Module, Debug)]
pub struct EncoderLayer {
    /// Before the attention.
    pub attention_norm: LayerNorm,
    /// Over all pictures.
    pub attention: SelfAttention,
    /// Before the feed-forward layers.
    pub feed_forward_norm: LayerNorm,
    /// For each picture.
    pub feed_forward: FeedForward,
    /// On each sub-layer's output.
    pub dropout: Dropout,
}

impl EncoderLayer {
    fn new(hidden: usize, heads: usize, feed_forward: usize, dropout: f64, init: &mut Init) -> Self {
        Self {
            attention_norm: init.norm(hidden),
            attention: SelfAttention::new(hidden, heads, dropout, init),
            feed_forward_norm: init.norm(hidden),
            feed_forward: FeedForward::new(hidden, feed_forward, init),
            dropout: Dropout::new(dropout),
        }
    }

    /// `x` and the result: `[batch, frames, hidden]`; `mask`: additive, `[batch, 1, 1, frames]`.
    pub fn forward(&self, x: Tensor<3>, mask: Tensor<4>) -> Tensor<3> {
        let drop = |x| self.dropout.forward(x);
        let attended = self.attention.forward(self.attention_norm.forward(x.clone()), mask);
        let x = x + drop(attended);
        x.clone() + drop(self.feed_forward.forward(self.feed_forward_norm.forward(x)))
    }
}

/// A layer over tokens.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Before the self-attention.
    pub self_norm: LayerNorm,
    /// Causal, over the tokens.
    pub self_attention: SelfAttention,
    /// Before the cross-attention.
    pub cross_norm: LayerNorm,
    /// Over the pictures. The paper takes the queries from the encoder, a slip: lengths would not match.
    pub cross_attention: CrossAttention,
    /// Before the feed-forward layers.
    pub feed_forward_norm: LayerNorm,
    /// For each token.
    pub feed_forward: FeedForward,
    /// On each sub-layer's output.
    pub dropout: Dropout,
}

impl DecoderLayer {
    fn new(hidden: usize, heads: usize, feed_forward: usize, dropout: f64, init: &mut Init) -> Self {
        Self {
            self_norm: init.norm(hidden),
            self_attention: SelfAttention::new(hidden, heads, dropout, init),
            cross_norm: init.norm(hidden),
            cross_attention: CrossAttention::new(hidden, heads, dropout, init),
            feed_forward_norm: init.norm(hidden),
            feed_forward: FeedForward::new(hidden, feed_forward, init),
            dropout: Dropout::new(dropout),
        }
    }

    /// `x` `[batch, new, hidden]` after the slots of `past`; `mask` `[batch, 1 or heads, new, past + new]` for the tokens and
    /// `cross_mask` `[batch, 1 or heads, 1 or new, frames]` for the pictures, both additive. Returns `x`'s shape, and `past` with the
    /// new slots.
    pub fn forward(
        &self,
        x: Tensor<3>,
        past: &KeyValue,
        mask: Tensor<4>,
        cross: &KeyValue,
        cross_mask: Tensor<4>,
    ) -> (Tensor<3>, KeyValue) {
        let drop = |x| self.dropout.forward(x);
        let (attended, present) = self.self_attention.forward_cached(self.self_norm.forward(x.clone()), past, mask);
        let x = x + drop(attended);
        let attended = self.cross_attention.forward(self.cross_norm.forward(x.clone()), cross, cross_mask);
        let x = x + drop(attended);
        (x.clone() + drop(self.feed_forward.forward(self.feed_forward_norm.forward(x))), present)
    }
}
