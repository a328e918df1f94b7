//! Composes piano scores for video: a [`Clip`] becomes [`Event`]s, events become a score, a score becomes MIDI.

mod clip;
mod engine;
mod error;
mod event;
mod grammar;
pub mod midi;
mod sampling;
mod score;

pub use clip::{Clip, Geometry};
pub use engine::{Engine, Session};
pub use error::{Error, Result};
pub use event::{Event, Pitch, STEPS_PER_SECOND, Shift, Token, VOCABULARY, VelocityBin};
pub use grammar::Grammar;
pub use sampling::Sampling;
pub use score::{Decoded, Note, PerformedNote, Score};
