//! What can be wrong with a video file.

use std::path::PathBuf;
use std::time::Duration;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is missing, a folder, or closed to us.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is there, but is no video, or none that FFmpeg can read.
    #[error("{path}: must be a video that FFmpeg can read, but {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What came instead.
        reason: String,
    },
    /// The file ends long before its own header says: the end of a download or a copy is missing.
    #[error("{path}: is cut off: its header promises {promised:.1?}, but its pictures end at {got:.1?}")]
    CutOff {
        /// The file.
        path: PathBuf,
        /// The video's length by the header.
        promised: Duration,
        /// The video's length by its pictures.
        got: Duration,
    },
    /// The `ffmpeg` program, which writes films, is not there or did not write one.
    #[error("{path}: cannot be written: {reason}")]
    Mux {
        /// The film that was to be.
        path: PathBuf,
        /// What FFmpeg said.
        reason: String,
    },
    /// Nothing of the film can be copied from there on.
    #[error("{path}: ffmpeg finds no picture to begin with at {start:?}; if there is one, copy the film first: {copy}")]
    Start {
        /// The film.
        path: PathBuf,
        /// Where the copy was to begin.
        start: Duration,
        /// A command that helps.
        copy: String,
    },
    /// The pictures do not make a clip.
    #[error(transparent)]
    Clip(#[from] vmt::Error),
}
