//! Either model behind one type: how it is built, and which of its parts are trained.

use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor};

use super::config::{Architecture, ModelConfig};
use super::conv_encoder::ConvEncoder;
use super::encoder_decoder::{EncoderDecoder, Feed};
use super::seq2seq::Seq2Seq;
use super::transformer::Vmt;

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
    /// Logits `[batch, tokens, 310]` of what follows each of `tokens` `[batch, tokens]`; other arguments as of
    /// [`EncoderDecoder::encode`].
    pub fn forward(&self, pixels: Tensor<5, Int>, frame_mask: Tensor<2, Bool>, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.forward_train(pixels, frame_mask, Feed::whole(tokens)).0
    }

    /// As [`EncoderDecoder::forward_train`].
    pub fn forward_train(
        &self,
        pixels: Tensor<5, Int>,
        frame_mask: Tensor<2, Bool>,
        feed: Feed,
    ) -> (Tensor<3>, Tensor<3>) {
        match self {
            Self::Vmt(model) => model.forward_train(pixels, frame_mask, feed),
            Self::Seq2Seq(model) => model.forward_train(pixels, frame_mask, feed),
        }
    }

    /// This model with the video encoder of another of the same sizes: the convolutional encoder but for the vector that stands
    /// for no video, VMT's encoder layers, and the auxiliary head. SEQ2SEQ's GRU is its decoder too and stays.
    ///
    /// # Panics
    /// If the other is of the other architecture.
    pub fn with_encoder_of(self, other: Self) -> Self {
        match (self, other) {
            (Self::Vmt(model), Self::Vmt(Vmt { frames, encoder, encoder_norm, auxiliary, .. })) => {
                let frames = ConvEncoder { no_video: model.frames.no_video, ..frames };
                Self::Vmt(Vmt { frames, encoder, encoder_norm, auxiliary, ..model })
            }
            (Self::Seq2Seq(model), Self::Seq2Seq(Seq2Seq { frames, auxiliary, .. })) => {
                let frames = ConvEncoder { no_video: model.frames.no_video, ..frames };
                Self::Seq2Seq(Seq2Seq { frames, auxiliary, ..model })
            }
            _ => panic!("an encoder must be of the same architecture"),
        }
    }

    /// This model with [its video encoder](Self::with_encoder_of) frozen: it has no gradients.
    pub fn freeze_encoder(self) -> Self {
        match self {
            Self::Vmt(model) => Self::Vmt(Vmt {
                frames: model.frames.no_grad(),
                encoder: model.encoder.no_grad(),
                encoder_norm: model.encoder_norm.no_grad(),
                auxiliary: model.auxiliary.no_grad(),
                ..model
            }),
            Self::Seq2Seq(model) => {
                Self::Seq2Seq(Seq2Seq { frames: model.frames.no_grad(), auxiliary: model.auxiliary.no_grad(), ..model })
            }
        }
    }

    /// This model with the decoder frozen: only [the video encoder](Self::with_encoder_of) has gradients, and SEQ2SEQ's GRU,
    /// which the auxiliary head is on.
    pub fn freeze_decoder(self) -> Self {
        match self {
            Self::Vmt(model) => Self::Vmt(Vmt {
                embedding: model.embedding.no_grad(),
                decoder: model.decoder.no_grad(),
                decoder_norm: model.decoder_norm.no_grad(),
                time_embedding: model.time_embedding.no_grad(),
                held_notes: model.held_notes.no_grad(),
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

    /// As [`EncoderDecoder::auxiliary`] of what [`EncoderDecoder::encode`] gives.
    pub fn auxiliary(&self, pixels: Tensor<5, Int>, frame_mask: Tensor<2, Bool>) -> Tensor<3> {
        match self {
            Self::Vmt(model) => model.auxiliary(&model.encode(pixels, frame_mask)),
            Self::Seq2Seq(model) => model.auxiliary(&model.encode(pixels, frame_mask)),
        }
    }

    /// Whether the decoder is told [conditions](super::conditions).
    pub fn has_conditions(&self) -> bool {
        match self {
            Self::Vmt(model) => model.conditions.is_some(),
            Self::Seq2Seq(model) => model.conditions.is_some(),
        }
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.devices().swap_remove(0)
    }
}

impl ModelConfig {
    /// The model with its initial weights: the same `seed` gives the same weights on every device.
    pub fn init(&self, seed: u64, device: &Device) -> Model {
        match self.model {
            Architecture::Vmt { heads, feed_forward, time_embedding, held_notes, alibi } => {
                let parts = [time_embedding, held_notes, alibi, self.conditions];
                Model::Vmt(Vmt::new(self, [heads, feed_forward], parts, seed, device))
            }
            Architecture::Seq2Seq => Model::Seq2Seq(Seq2Seq::new(self, seed, device)),
        }
    }
}
