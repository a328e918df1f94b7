//! What both models can do.

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use vmt::{Condition, Token};

use crate::frames::ConvEncoder;
use crate::init::Init;
use crate::{Seq2Seq, Vmt};

/// A model that reads pictures once and then says, token by token, what comes next.
pub trait EncoderDecoder {
    /// What the decoder looks at: the pictures, encoded.
    type Memory: Send;
    /// What the decoder remembers of the tokens.
    type State: Send;

    /// `pixels`: `[batch, frames, 3, height, width]` in `0..=255`; `frames`: `[batch, frames]`, true where there is a
    /// picture and not padding (on the right); a row without any has no video.
    fn encode(&self, pixels: Tensor<5, Int>, frames: Tensor<2, Bool>) -> Self::Memory;

    /// What each picture is taken to say of the music, `[batch, frames, 6]`: [`crate::reading`].
    fn reading(&self, memory: &Self::Memory) -> Tensor<3>;

    /// All that the exported encoder gives, in its order: what the decoder looks at and starts from.
    fn encoded(&self, memory: &Self::Memory) -> Vec<TensorData>;

    /// The state before the first token.
    fn start(&self, memory: &Self::Memory) -> Self::State;

    /// Feeds tokens; returns the logits `[batch, new, 310]` of what follows each, and the state after them.
    fn extend(&self, feed: Feed, memory: &Self::Memory, state: &Self::State) -> (Tensor<3>, Self::State);

    /// The logits `[batch, tokens, 310]` of what follows each token of a [whole](Feed::whole) sequence.
    /// Rows may be padded on the right: what follows the padding means nothing, and nothing else depends on it.
    fn decode(&self, feed: Feed, memory: &Self::Memory) -> Tensor<3> {
        self.extend(feed, memory, &self.start(memory)).0
    }

    /// Encodes, reads and decodes: what training sees. Returns the logits and the reading; shapes as above.
    fn learn(&self, pixels: Tensor<5, Int>, frames: Tensor<2, Bool>, feed: Feed) -> (Tensor<3>, Tensor<3>) {
        let memory = self.encode(pixels, frames);
        (self.decode(feed, &memory), self.reading(&memory))
    }
}

/// Tokens to feed. Rows may hold different numbers of tokens, at least one: they are padded on the right, and a slot
/// that held padding stays hidden for ever.
#[derive(Clone, Debug)]
pub struct Feed {
    /// `[batch, new]`.
    pub tokens: Tensor<2, Int>,
    /// The place of each token among its row's real ones, from 0; `[batch, new]`.
    pub positions: Tensor<2, Int>,
    /// Steps of 10 ms from the beginning of the window to the end of each token; `[batch, new]`.
    pub times: Tensor<2, Int>,
    /// True where a slot holds a real token; `[batch, past + new]`.
    pub real: Tensor<2, Bool>,
    /// What the decoder is told of the moment after each token ([`vmt::Condition`]), `[batch, new, conditions]`.
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

    /// Which slots each new token may look at, `[batch, new, past + new]`: the real ones up to itself.
    pub fn visible(&self) -> Tensor<3, Bool> {
        let ([batch, new], [_, slots]) = (self.tokens.dims(), self.real.dims());
        // burn's mask is true above the diagonal, which it shifts to the right by `past`.
        let later = Tensor::<2, Bool>::tril_mask([new, slots], (slots - new) as i64, &self.real.device());
        let earlier = later.bool_not().unsqueeze::<3>().expand([batch, new, slots]);
        earlier.bool_and(self.real.clone().unsqueeze_dim::<3>(1).expand([batch, new, slots]))
    }

    /// Where among the new tokens the last real one of each row is, `[batch]`.
    pub fn last(&self) -> Tensor<1, Int> {
        let ([_, new], [_, slots]) = (self.tokens.dims(), self.real.dims());
        last_real(self.real.clone().narrow(1, slots - new, new))
    }
}

/// Index of the last true column of each row, `[batch]`; rows are padded on the right and hold at least one.
pub fn last_real(real: Tensor<2, Bool>) -> Tensor<1, Int> {
    real.int().sum_dim(1).squeeze_dim::<1>(1) - 1
}

/// Either model.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // One per process, and its weights are on the heap.
pub enum Model {
    /// The transformer.
    Vmt(Vmt),
    /// The recurrent baseline.
    Seq2Seq(Seq2Seq),
}

impl Model {
    /// Logits `[batch, tokens, 310]` of what follows each of `tokens` `[batch, tokens]`, of which nothing else is known;
    /// arguments as in [`EncoderDecoder::encode`].
    pub fn forward(&self, pixels: Tensor<5, Int>, frames: Tensor<2, Bool>, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.learn(pixels, frames, Feed::whole(tokens)).0
    }

    /// As [`EncoderDecoder::learn`].
    pub fn learn(&self, pixels: Tensor<5, Int>, frames: Tensor<2, Bool>, feed: Feed) -> (Tensor<3>, Tensor<3>) {
        match self {
            Self::Vmt(model) => model.learn(pixels, frames, feed),
            Self::Seq2Seq(model) => model.learn(pixels, frames, feed),
        }
    }

    /// This model with the eyes of another of the same sizes: all that comes before the decoder, but for the vector that
    /// stands for no video. SEQ2SEQ's GRU serves its decoder too and stays.
    ///
    /// # Panics
    /// If the other is of the other architecture.
    pub fn with_eyes_of(self, other: Self) -> Self {
        match (self, other) {
            (Self::Vmt(model), Self::Vmt(Vmt { frames, encoder, encoder_norm, reading, .. })) => {
                let frames = ConvEncoder { no_video: model.frames.no_video, ..frames };
                Self::Vmt(Vmt { frames, encoder, encoder_norm, reading, ..model })
            }
            (Self::Seq2Seq(model), Self::Seq2Seq(Seq2Seq { frames, reading, .. })) => {
                let frames = ConvEncoder { no_video: model.frames.no_video, ..frames };
                Self::Seq2Seq(Seq2Seq { frames, reading, ..model })
            }
            _ => panic!("eyes must be those of the same architecture"),
        }
    }

    /// This model, but that [the eyes](Self::with_eyes_of) have no gradients.
    pub fn with_resting_eyes(self) -> Self {
        match self {
            Self::Vmt(model) => Self::Vmt(Vmt {
                frames: model.frames.no_grad(),
                encoder: model.encoder.no_grad(),
                encoder_norm: model.encoder_norm.no_grad(),
                reading: model.reading.no_grad(),
                ..model
            }),
            Self::Seq2Seq(model) => {
                Self::Seq2Seq(Seq2Seq { frames: model.frames.no_grad(), reading: model.reading.no_grad(), ..model })
            }
        }
    }

    /// This model, but that only [the eyes](Self::with_eyes_of) have gradients, and SEQ2SEQ's GRU, through which they read.
    pub fn with_resting_decoder(self) -> Self {
        match self {
            Self::Vmt(model) => Self::Vmt(Vmt {
                embedding: model.embedding.no_grad(),
                decoder: model.decoder.no_grad(),
                decoder_norm: model.decoder_norm.no_grad(),
                clock: model.clock.no_grad(),
                keys: model.keys.no_grad(),
                conditions: model.conditions.no_grad(),
                ..model
            }),
            Self::Seq2Seq(model) => Self::Seq2Seq(Seq2Seq {
                embedding: model.embedding.no_grad(),
                conditions: model.conditions.no_grad(),
                combine: model.combine.no_grad(),
                output: model.output.no_grad(),
                ..model
            }),
        }
    }

    /// What each picture is taken to say of the music, `[batch, frames, 6]`; arguments as in [`EncoderDecoder::encode`].
    pub fn read(&self, pixels: Tensor<5, Int>, frames: Tensor<2, Bool>) -> Tensor<3> {
        match self {
            Self::Vmt(model) => model.reading(&model.encode(pixels, frames)),
            Self::Seq2Seq(model) => model.reading(&model.encode(pixels, frames)),
        }
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.devices().swap_remove(0)
    }
}

/// Vectors for what the decoder is told of a moment ([`vmt::Condition`]), to be added to a token's.
#[derive(Module, Debug)]
pub struct ConditionEmbedding {
    /// `[values, hidden]`: one for each value of each condition, [one condition after the other](Condition::offsets).
    pub values: Embedding,
}

impl ConditionEmbedding {
    /// All zero: what is told means nothing before it is learned.
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
