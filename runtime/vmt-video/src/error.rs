//! Errors.

use std::path::PathBuf;
use std::time::Duration;

/// What went wrong with a video.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is missing, a folder, or not readable.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is not a video, or none that FFmpeg can read.
    #[error("{path}: must be a video that FFmpeg can read, but {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file ends over a second before its header says: the end of a download or a copy is missing.
    #[error("{path}: is cut off: its header says {promised:.1?}, but its frames end at {got:.1?}")]
    CutOff {
        /// The file.
        path: PathBuf,
        /// The duration by the header.
        promised: Duration,
        /// The duration by its frames.
        got: Duration,
    },
    /// The program `ffmpeg`, which writes films and MP3, is missing or failed.
    #[error("{path}: cannot be written: {reason}")]
    Mux {
        /// The file to be written.
        path: PathBuf,
        /// What FFmpeg said.
        reason: String,
    },
    /// The film cannot become another film by copying its pictures, which is known before any work.
    #[error("{path}: {reason}")]
    Unfit {
        /// The film.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The frames do not make a clip.
    #[error(transparent)]
    Clip(#[from] vmt::Error),
}
