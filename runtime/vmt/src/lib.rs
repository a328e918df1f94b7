//! Composes piano scores for video: a [`Clip`] becomes [`Event`]s, events become a [`Score`], a score becomes MIDI.

pub mod bundle;
mod clip;
mod compose;
mod controls;
mod decode;
mod engine;
mod error;
mod event;
mod grammar;
pub mod guidance;
pub mod manifest;
pub mod midi;
#[cfg(any(feature = "tract", feature = "ort"))]
mod onnx;
#[cfg(feature = "ort")]
pub mod ort;
mod rank;
mod sampling;
mod score;
mod take;
mod tempo;
#[cfg(feature = "tract")]
mod tract;

pub use bundle::Bundle;
pub use clip::{Clip, Frame, Geometry, Window, excerpt, windows};
pub use compose::{Composer, Composition, Options, Piece, Played, Progress, Stages};
pub use controls::{Controls, Scale};
pub use decode::{Decoding, Rules, Said};
pub use engine::{Backend, Engine, Session};
pub use error::{Error, Result};
pub use event::{Event, Pitch, STEPS_PER_SECOND, Shift, Token, VOCABULARY, VelocityBin};
pub use grammar::Grammar;
pub use rank::Rank;
pub use sampling::Sampling;
pub use score::{Decoded, Note, PerformedNote, Score};
pub use tempo::Tempo;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
