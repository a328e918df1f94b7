//! Errors, each with what was wanted and what was got.

use std::path::PathBuf;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// A clip is not of the model's shape.
    #[error(
        "a clip must be [1..={}, {}, {}, {}] (frames, channels, height, width), but is {got:?}",
        want[0], want[1], want[2], want[3]
    )]
    ClipShape {
        /// The longest clip that the model takes, `[frames, 3, height, width]`.
        want: [usize; 4],
        /// The shape that came.
        got: Vec<usize>,
    },
    /// A MIDI file could not be understood.
    #[error("not a readable MIDI file: {0}")]
    Midi(String),
    /// A list of markers could not be understood.
    #[error("markers, line {line}: must be {want}, but is {got:?}")]
    Markers {
        /// The line, from 1 on.
        line: usize,
        /// What was wanted.
        want: &'static str,
        /// What came, of a long line its beginning.
        got: String,
    },
    /// A bundle's manifest or files are not as they must be.
    #[error("{path}: {reason}")]
    Bundle {
        /// The manifest or graph at fault.
        path: PathBuf,
        /// What was wanted and what came.
        reason: String,
    },
    /// An engine could not be started or failed while it ran.
    #[error("{engine}: {reason}")]
    Engine {
        /// `tract`, `ort`, `cuda` or another engine's name.
        engine: &'static str,
        /// What was wanted and what came.
        reason: String,
    },
    /// Logits that are not numbers.
    #[error("the model gave {value} as the logit of token {token} in lane {lane}: its weights or its input are broken")]
    Logits {
        /// The row of the batch.
        lane: usize,
        /// The token's id.
        token: usize,
        /// What came.
        value: f32,
    },
    /// An engine's logits are not of the shape that the session's lanes demand.
    #[error("logits must be {want:?} (lanes, vocabulary), but are {got:?}")]
    LogitsShape {
        /// `[lanes, 310]`.
        want: [usize; 2],
        /// The shape that came.
        got: Vec<usize>,
    },
    /// No token can be sampled.
    #[error("no token can follow in lane {lane}: the model gave minus infinity to all that may")]
    NoToken {
        /// The row of the batch.
        lane: usize,
    },
    /// An option out of its range.
    #[error("{option} must be {want}, but is {got}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// Its range in words.
        want: &'static str,
        /// What came.
        got: String,
    },
}
