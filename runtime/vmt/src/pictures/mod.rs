//! Pictures of any size in memory, as a program has them that decodes videos itself: scaled to the model's size, and kept of a
//! film as far as composing needs them.

mod film;
mod resize;

pub use film::{Film, MAX_SIDE, Picture};
pub use image;
pub use resize::{pixels, thumbnail};
