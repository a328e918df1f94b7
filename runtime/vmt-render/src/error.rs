//! What can go wrong, in words that say what was wanted and what came.

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was rendered could not be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The soundfont cannot be played.
    #[error("must be a soundfont (SF2) with a piano, but {0}")]
    SoundFont(String),
    /// The picture could not be drawn.
    #[error("the piano roll cannot be drawn: {0}")]
    Picture(String),
    /// A record of another format, or no record.
    #[error("must be a record that vmt wrote, but {0}")]
    Record(String),
    /// A WAV file holds 4 GB at most.
    #[error("a WAV file holds {} hours at most, but the music is {got:.1?} long", u32::MAX / 4 / 48_000 / 3600)]
    TooLong {
        /// The music's length.
        got: std::time::Duration,
    },
}
