//! The models in burn: VMT (a transformer) and SEQ2SEQ (its recurrent baseline), an engine over them, and their training.
//!
//! Both see the pictures of a window and say which of the 310 events comes next. [`ModelConfig`] builds a [`Model`];
//! [`EncoderDecoder`] is what both can do; [`BurnEngine`] decodes with either through the runtime's [`::vmt::Engine`].
//!
//! [`run::Run`] trains a model on any [`data::Fragments`]; [`checkpoint::load_model`] reads what it learned,
//! and [`eval::evaluate`] compares models on what they have not seen.

pub mod attention;
pub mod checkpoint;
pub mod conditions;
pub mod config;
pub mod data;
pub mod dropout;
pub mod engine;
pub mod eval;
pub mod frames;
pub mod gru;
mod init;
pub mod loader;
pub mod model;
pub mod music;
#[cfg(feature = "video")]
pub mod prepare;
pub mod prepared;
pub mod random;
pub mod reading;
pub mod recipe;
pub mod run;
pub mod seq2seq;
pub mod songs;
pub mod synth;
pub mod train;
pub mod vmt;

pub use crate::config::{Architecture, ModelConfig};
pub use crate::engine::BurnEngine;
pub use crate::model::{EncoderDecoder, Feed, Model};
pub use crate::seq2seq::Seq2Seq;
pub use crate::vmt::Vmt;
