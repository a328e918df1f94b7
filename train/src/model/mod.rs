//! The models (InverseMV, arXiv 2112.15320, section 3): configuration, layers, and decoding with them.

pub mod architectures;
pub mod attention;
pub mod conditions;
pub mod config;
pub mod conv_encoder;
pub mod dropout;
mod encoder_decoder;
mod engine;
pub mod gru;
pub mod held_notes;
mod init;
mod pixels;
pub mod position;
pub mod seq2seq;
pub mod stored_names;
pub mod transformer;

pub use architectures::Model;
pub use conditions::ConditionEmbedding;
pub use config::{Architecture, ModelConfig};
pub use encoder_decoder::{AUXILIARY_OUTPUTS, EncoderDecoder, Feed};
pub use engine::BurnEngine;
pub use pixels::{pixels, rows_of_pixels};
pub use seq2seq::Seq2Seq;
pub use transformer::Vmt;
