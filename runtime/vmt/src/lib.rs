//! Composes piano scores for video: a [`Clip`] becomes [`Event`]s, events become a score, a score becomes MIDI.

mod clip;
mod engine;
mod error;
mod event;

pub use clip::{Clip, Frame, Geometry, Window, windows};
pub use engine::{Engine, Session};
pub use error::{Error, Result};
pub use event::{Event, Pitch, STEPS_PER_SECOND, Shift, Token, VOCABULARY, VelocityBin};
