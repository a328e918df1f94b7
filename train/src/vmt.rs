//! VMT, the transformer (InverseMV, arXiv 2112.15320, section 3.2; layers of Vaswani et al. 2017).
//!
//! ```text
//! pixels                                 tokens
//!   | ConvEncoder                          | embedding x sqrt(hidden)
//!   + sinusoids                            + sinusoids, clock, keys, conditions
//!   | dropout                              | dropout
//!   |  layers x:                           |  layers x:
//!   |   + self-attention(norm)             |   + self-attention(norm), not looking ahead
//!   |   |                                  |   + cross-attention(norm) <-- keys, values
//!   |   + feed-forward(norm)               |   + feed-forward(norm)                 |
//!   | norm                                 | norm                                   |
//!   +-- keys, values of each layer -->     | embedding^T                            |
//!                                        logits of 310 events
//! ```
//!
//! Norms stand before each sub-layer, with one more at the end, and the embedding is both input and output: as in the
//! authors' code. `+` is a residual connection, with dropout on what is added. The [`Clock`], the [keys](keys_moved) that are
//! down and [`recency`] are ours and can be left out.

use std::iter::zip;

use burn::module::Module;
use burn::nn::{Embedding, LayerNorm, Linear};
use burn::tensor::module::linear;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use vmt::{Event, Pitch, Token};

use crate::ModelConfig;
use crate::attention::{CrossAttention, FeedForward, KeyValue, SelfAttention, additive};
use crate::dropout::Dropout;
use crate::frames::ConvEncoder;
use crate::init::Init;
use crate::model::{ConditionEmbedding, EncoderDecoder, Feed};
use crate::reading::READINGS;

/// The video-music transformer.
#[derive(Module, Debug)]
pub struct Vmt {
    /// Pictures to vectors.
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
    /// Tells the decoder of metre, hit points, key and intensity ([`vmt::Condition`]).
    pub conditions: Option<ConditionEmbedding>,
    /// Tells the decoder what time it is.
    pub clock: Option<Clock>,
    /// `[88, hidden]` without bias: the vectors of the keys that are down ([`keys_moved`]) are added to a token's, times
    /// `sqrt(hidden)` as that is, lest they be drowned by it.
    pub keys: Option<Linear>,
    /// Whether tokens look first at those just before ([`recency`]).
    pub recency: bool,
    /// On the vectors that enter the first layers.
    pub dropout: Dropout,
    /// `[hidden, 6]`: [`Reading`](crate::reading), which is for training alone.
    pub reading: Linear,
}

/// What [`Vmt`] looks at while it decodes.
#[derive(Clone, Debug)]
pub struct Memory {
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
        [clock, keys, recency, conditions]: [bool; 4],
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
            reading: init.linear(hidden, READINGS),
            recency,
            keys: keys.then(|| init.keys(hidden)),
            conditions: conditions.then(|| ConditionEmbedding::new(hidden, init)),
            clock: clock.then(|| Clock {
                project: init.projections(hidden, 1),
                frame_steps: config.geometry.frame_ms() as f64 * f64::from(vmt::STEPS_PER_SECOND) / 1000.0,
            }),
        }
    }
}

/// What time it is in the video when a token has been played, which the paper's decoder can only guess by adding up its
/// time shifts.
///
/// With `now = steps / frame_steps - 1/2`, so that `now = k` in the middle of picture `k`, a decoder with a clock
/// - adds a projection of `sinusoids(now)` to each token's vector: it knows when the window ends;
/// - adds `-slope |now - k|` to what it would look at picture `k` with, each head with [a slope of its own](slopes) as in
///   ALiBi (Press et al. 2022): from the first step of training on it looks at what is shown now.
#[derive(Module, Debug)]
pub struct Clock {
    /// `[hidden, hidden]` without bias.
    pub project: Linear,
    /// Steps of 10 ms for which a picture is shown.
    pub frame_steps: f64,
}

impl Clock {
    /// Where in the row of pictures `times` are, steps of 10 ms; `[batch, new]`.
    pub fn now(&self, times: Tensor<2, Int>) -> Tensor<2> {
        times.float() / self.frame_steps - 0.5
    }

    /// What is added to the scores of pictures, by how far from `now` `[batch, new]` they are: `[batch, heads, new, frames]`.
    pub fn nearness(now: Tensor<2>, heads: usize, frames: usize) -> Tensor<4> {
        let device = now.device();
        let pictures = Tensor::<1, Int>::arange(0..frames as i64, &device).float().unsqueeze::<4>();
        let slopes = Tensor::<1>::from_floats(slopes(heads).collect::<Vec<_>>().as_slice(), &device);
        let distance = (now.unsqueeze_dims::<4>(&[1, 3]) - pictures).abs();
        distance * slopes.reshape([1, heads, 1, 1]).neg()
    }
}

/// What [`Vmt`] remembers of its tokens.
#[derive(Clone, Debug)]
pub struct Played {
    /// Keys and values of the tokens for each decoder layer.
    pub slots: Vec<KeyValue>,
    /// 1 for each key of the piano that is down, `[batch, 88]`.
    pub keys: Tensor<2>,
}

impl EncoderDecoder for Vmt {
    type Memory = Memory;
    type State = Played;

    fn encode(&self, pixels: Tensor<5, Int>, frames: Tensor<2, Bool>) -> Memory {
        let (vectors, frames) = self.frames.forward(pixels, frames);
        let [_, count, hidden] = vectors.dims();
        let places = Tensor::<1, Int>::arange(0..count as i64, &vectors.device()).unsqueeze::<2>();
        let mask = additive(frames).unsqueeze_dims::<4>(&[1, 2]);
        let mut x = self.dropout.forward(vectors + sinusoids(places.float(), hidden));
        for layer in &self.encoder {
            x = layer.forward(x, mask.clone());
        }
        let pictures = self.encoder_norm.forward(x);
        let cross = |layer: &DecoderLayer| layer.cross_attention.key_value(pictures.clone());
        Memory { cross: self.decoder.iter().map(cross).collect(), pictures, mask }
    }

    fn reading(&self, memory: &Memory) -> Tensor<3> {
        self.reading.forward(memory.pictures.clone())
    }

    fn encoded(&self, memory: &Memory) -> Vec<TensorData> {
        let data = |cross: &KeyValue| [cross.key.to_data(), cross.value.to_data()];
        let keys = self.keys.is_some().then(|| self.start(memory).keys.into_data());
        memory.cross.iter().flat_map(data).chain(keys).collect()
    }

    fn start(&self, memory: &Memory) -> Played {
        let [batch, ..] = memory.pictures.dims();
        let empty = |cross: &KeyValue| {
            let [batch, heads, _, size] = cross.key.dims();
            KeyValue::empty(batch, heads, size, &cross.key.device())
        };
        let keys = Tensor::zeros([batch, KEYS], &memory.pictures.device());
        Played { slots: memory.cross.iter().map(empty).collect(), keys }
    }

    fn extend(&self, feed: Feed, memory: &Memory, state: &Played) -> (Tensor<3>, Played) {
        let mut mask = additive(feed.visible()).unsqueeze_dim::<4>(1);
        let [_, hidden] = self.embedding.weight.dims();
        let [_, heads, frames, _] = memory.cross[0].key.dims();
        if self.recency {
            mask = mask + recency(heads, feed.positions.clone(), feed.real.clone());
        }
        let vectors = self.embedding.forward(feed.tokens.clone()) * (hidden as f64).sqrt();
        let mut vectors = vectors + sinusoids(feed.positions.float(), hidden);
        let mut keys = state.keys.clone();
        if let Some(project) = &self.keys {
            let down = keys.unsqueeze_dim::<3>(1) + keys_moved(feed.tokens).cumsum(1);
            let [batch, new, _] = down.dims();
            // Padding moves no key.
            keys = down.clone().narrow(1, new - 1, 1).reshape([batch, KEYS]);
            vectors = vectors + project.forward(down) * (hidden as f64).sqrt();
        }
        if let Some(conditions) = &self.conditions {
            vectors = vectors + conditions.forward(feed.conditions);
        }
        let mut cross_mask = memory.mask.clone();
        if let Some(clock) = &self.clock {
            let now = clock.now(feed.times);
            cross_mask = cross_mask + Clock::nearness(now.clone(), heads, frames);
            vectors = vectors + clock.project.forward(sinusoids(now, hidden));
        }
        let mut x = self.dropout.forward(vectors);
        let mut slots = Vec::with_capacity(state.slots.len());
        for ((layer, past), cross) in zip(zip(&self.decoder, &state.slots), &memory.cross) {
            let present;
            (x, present) = layer.forward(x, past, mask.clone(), cross, cross_mask.clone());
            slots.push(present);
        }
        let x = self.decoder_norm.forward(x);
        (linear(x, self.embedding.weight.val().transpose(), None), Played { slots, keys })
    }
}

/// Pictures look at pictures.
#[derive(Module, Debug)]
pub struct EncoderLayer {
    /// Before the attention.
    pub attention_norm: LayerNorm,
    /// Pictures to pictures.
    pub attention: SelfAttention,
    /// Before the feed-forward layers.
    pub feed_forward_norm: LayerNorm,
    /// On each picture alone.
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

/// Tokens look at earlier tokens, then at the pictures.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Before the self-attention.
    pub self_norm: LayerNorm,
    /// Tokens to tokens.
    pub self_attention: SelfAttention,
    /// Before the cross-attention.
    pub cross_norm: LayerNorm,
    /// Tokens to pictures. The paper takes the queries from the encoder, a slip: lengths would not match.
    pub cross_attention: CrossAttention,
    /// Before the feed-forward layers.
    pub feed_forward_norm: LayerNorm,
    /// On each token alone.
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

/// A wave pattern for each place, `[batch, slots]` to `[batch, slots, hidden]` (paper equation 3): column `2i` is
/// `sin(place * 10000^(-2i / hidden))`, column `2i + 1` the cosine of the same.
pub fn sinusoids(places: Tensor<2>, hidden: usize) -> Tensor<3> {
    let [batch, slots] = places.dims();
    let frequencies = Tensor::<1>::from_floats(frequencies(hidden).as_slice(), &places.device());
    let angles = places.unsqueeze_dim::<3>(2) * frequencies.unsqueeze::<3>();
    Tensor::stack::<4>(vec![angles.clone().sin(), angles.cos()], 3).reshape([batch, slots, hidden])
}

/// Keys of a piano, from the lowest to the highest.
pub const KEYS: usize = Pitch::COUNT;

/// What each of `tokens` `[batch, new]` does to the keys, `[batch, new, 88]`: 1 where one goes down, -1 where one comes up. Their
/// sum over a piece says which keys are down, which the paper's decoder has to look up event by event.
pub fn keys_moved(tokens: Tensor<2, Int>) -> Tensor<3> {
    let ([batch, new], device) = (tokens.dims(), tokens.device());
    let moves = TensorData::new(key_moves(), [vmt::VOCABULARY, KEYS]);
    Tensor::<2>::from_data(moves, &device).select(0, tokens.reshape([batch * new])).reshape([batch, new, KEYS])
}

/// What each token of the vocabulary does to each of the [`KEYS`], row by row.
pub fn key_moves() -> Vec<f32> {
    let row = |token: Token| {
        let mut row = [0.0; KEYS];
        match Event::from(token) {
            Event::NoteOn(pitch) => row[pitch.index()] = 1.0,
            Event::NoteOff(pitch) => row[pitch.index()] = -1.0,
            _ => {}
        }
        row
    };
    Token::all().flat_map(row).collect()
}

/// How fast each head loses sight of pictures that are further away, in nats for each picture: the `heads` numbers
/// `2^(-8h / heads)`, from 1 down.
pub fn slopes(heads: usize) -> impl Iterator<Item = f32> {
    (0..heads).map(move |head| 2f32.powf(-8.0 * head as f32 / heads as f32))
}

/// What is added to the scores of all tokens for the new ones at `positions` `[batch, new]`, where `real` `[batch, slots]` says
/// which slots hold a token; `[batch, heads, new, slots]`. A token that is further back counts less, for each head by
/// [a slope of its own](recency_slopes), as in ALiBi (Press et al. 2022).
pub fn recency(heads: usize, positions: Tensor<2, Int>, real: Tensor<2, Bool>) -> Tensor<4> {
    let slopes: Vec<f32> = recency_slopes(heads).collect();
    let slopes = Tensor::<1>::from_floats(slopes.as_slice(), &real.device());
    let places = real.int().cumsum(1) - 1;
    let ahead = places.float().unsqueeze_dims::<4>(&[1, 1]) - positions.float().unsqueeze_dims::<4>(&[1, 3]);
    ahead * slopes.reshape([1, heads, 1, 1])
}

/// How fast each head loses sight of earlier tokens, in nats for each token: the `heads` numbers `2^(-8h / heads)` from
/// `h = 1` on.
pub fn recency_slopes(heads: usize) -> impl Iterator<Item = f32> {
    slopes(heads).map(move |slope| slope * 2f32.powf(-8.0 / heads as f32))
}

/// `10000^(-2i / hidden)` for `i` in `0..hidden / 2`, in radians per place: computed in f64, then rounded to f32.
pub fn frequencies(hidden: usize) -> Vec<f32> {
    (0..hidden / 2).map(|i| 10000f64.powf(-2.0 * i as f64 / hidden as f64) as f32).collect()
}
