//! Errors, which say what was wanted and what came.

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with rendering.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The result could not be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The soundfont cannot be played.
    #[error("must be a soundfont (SF2) with a piano, but {0}")]
    SoundFont(String),
    /// The picture could not be drawn.
    #[error("the piano roll cannot be drawn: {0}")]
    Picture(String),
    /// The file is no record, or one of another format.
    #[error("must be a record that vmt wrote, but {0}")]
    Record(String),
    /// A WAV file holds at most 4 GB.
    #[error("a WAV file holds {} hours at most, but the music is {got:.1?} long", u32::MAX / 4 / 48_000 / 3600)]
    TooLong {
        /// The music's length.
        got: std::time::Duration,
    },
}
