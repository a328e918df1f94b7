//! Events, notes, and their way to MIDI and back.

mod event;
pub mod midi;
mod scale;
pub(crate) mod score;
mod tempo;

pub use event::{Event, Pitch, STEPS_PER_SECOND, Shift, Token, VOCABULARY, VelocityBin};
pub(crate) use event::{steps, time};
pub use scale::Scale;
pub use score::{Decoded, Note, PerformedNote, Score};
pub use tempo::Tempo;
