//! Composes piano scores for video: a [`Clip`] becomes [`Event`]s, events become a score, a score becomes MIDI.

pub mod bundle;
mod clip;
mod engine;
mod error;
mod event;
pub mod manifest;
mod onnx;
#[cfg(feature = "ort")]
pub mod ort;
#[cfg(feature = "tract")]
mod tract;

pub use bundle::Bundle;
pub use clip::{Clip, Geometry};
pub use engine::{Backend, Engine, Session};
pub use error::{Error, Result};
pub use event::{Event, Pitch, STEPS_PER_SECOND, Shift, Token, VOCABULARY, VelocityBin};
