//! What a model sees: frames of a film, cut into windows.

mod clip;
mod geometry;
mod windows;

pub use clip::Clip;
pub use geometry::Geometry;
pub use windows::{Frame, Window, excerpt, windows};
