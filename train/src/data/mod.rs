//! What is trained on: songs, cut into fragments of a window each, gathered into batches.

mod annotations;
pub mod auxiliary;
mod batch;
mod beats;
pub mod conditions;
mod fragment;
mod modes;
mod notes;
mod order;
#[cfg(feature = "video")]
pub mod prepare;
pub mod prepared;
pub mod song;
mod split;
mod targets;
mod unmatched;

pub use batch::Batch;
pub use fragment::{Augment, Fragment, Fragments, MAX_TOKENS};
pub(crate) use notes::starting;
pub use order::{Order, POOL};
pub use song::Song;
pub use split::{PAPER_SPLITS, Split, Splits};
pub use targets::{targets, transposed};
pub use unmatched::{COUNTERPART, NO_COUNTERPART, unmatched};
