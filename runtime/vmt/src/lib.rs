//! Composes piano scores for video: a [`Clip`] becomes [`Event`]s, events become a [`Score`], a score becomes MIDI.

pub mod click;
mod compose;
pub mod decode;
mod error;
mod model;
mod music;
mod video;

pub use compose::{Composer, Composition, MAX_TAKES, Options, Piece, Played, Progress, Rank, Timings};
pub use decode::{Controls, Sampling};
pub use error::{Error, Result};
#[cfg(feature = "ort")]
pub use model::ort;
pub use model::{Backend, Bundle, Engine, Session, bundle, manifest};
pub use music::{
    Beat, Condition, ConditionRow, Conditions, Decoded, Event, INTENSITY_RANKS, Key, Note, PerformedNote, Pitch,
    STEPS_PER_SECOND, Scale, Score, Shift, Tempo, Token, UNKNOWN, VOCABULARY, VelocityBin, midi,
};
pub use ndarray;
pub use video::{Clip, Frame, Geometry, Window, excerpt, windows};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
