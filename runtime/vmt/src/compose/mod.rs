//! From windows to pieces of music.

mod composer;
mod composition;
mod options;
mod piece;
mod ranking;
mod seam;

pub use composer::Composer;
pub use composition::{Composition, Played, Progress, Timings};
pub use options::Options;
pub use piece::Piece;
pub use ranking::Rank;
