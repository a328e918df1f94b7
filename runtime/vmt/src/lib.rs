//! Composes piano scores for video: frames become [`Window`]s, windows become [`Event`]s, events become a [`Score`], a score
//! becomes MIDI bytes.
//!
//! [`Composer`] is the way through all of it, and [`Piece`] the same event by event. The folders of this crate are that line:
//! `video` cuts a film into windows, `click` fits beats to its hit points, `pictures` takes films from memory, `model` reads
//! bundles and runs them, `decode` samples tokens, `compose` joins windows to a piece, and `music` knows events, notes and MIDI.
//!
//! Cargo features: `tract` (default) and `ort` add engines, `cuda` ONNX Runtime on an NVIDIA GPU; `image` takes
//! pictures of any size, `built-in` carries a bundle inside (10 MB); `training` opens the decode
//! loop and the manifest to those who train and export models. None changes a result.

#![warn(missing_debug_implementations)]

pub mod click;
mod compose;
#[cfg(feature = "training")]
pub mod decode;
#[cfg(not(feature = "training"))]
mod decode;
mod error;
mod model;
mod music;
#[cfg(feature = "image")]
pub mod pictures;
mod video;

pub use compose::{Composer, Composition, Options, Piece, Played, Progress, Rank, Timings};
pub use decode::{Controls, Sampling};
pub use error::{Error, Result};
#[cfg(feature = "ort")]
pub use model::ort;
#[cfg(feature = "training")]
pub use model::sha256;
pub use model::{Backend, Bundle, Engine, MAX_TAKES, Scheduler, Session, manifest, onnx};
pub use music::{
    BarLines, Beat, Condition, ConditionRow, Conditions, Conductor, Corpus, Decoded, Event, INTENSITY_RANKS, Key,
    Marker, Note, PerformedNote, Pitch, STEPS_PER_SECOND, Scale, Score, SharedRun, Shift, Tempo, Token, UNKNOWN,
    VOCABULARY, VelocityBin, intensity_curve, intensity_ranks, midi, steps,
};
#[cfg(feature = "training")]
pub use music::{Melody, onsets};
pub use ndarray;
pub use video::{Clip, Frame, Geometry, Window, excerpt, windows};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
