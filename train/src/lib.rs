//! The models in burn, VMT (a transformer) and SEQ2SEQ (its recurrent baseline), their training and their evaluation.
//!
//! Both are encoder-decoders over the pictures of a window and the 310 events of its music. Each folder imports from those
//! above it alone:
//!
//! | folder | what is there |
//! |---|---|
//! | [`model`] | the layers, both models, and [`BurnEngine`], which decodes with either through [`vmt::Engine`] |
//! | [`data`] | songs, fragments, batches; a user's videos and MIDI files as fragments on disk |
//! | [`synth`] | video rendered from music, where there is none to train on |
//! | [`fit`] | losses, updates, checkpoints, recipes, and [`fit::Run`], which puts them together |
//! | [`eval`] | trained models compared on held-out songs |
//! | [`align`] | where the notes of a score are in a film's sound |

pub mod align;
pub mod data;
pub mod eval;
pub mod fit;
pub mod model;
pub mod synth;

pub use vmt_statistics::random;

pub use model::{Architecture, BurnEngine, EncoderDecoder, Feed, Model, ModelConfig, Seq2Seq, Vmt};
