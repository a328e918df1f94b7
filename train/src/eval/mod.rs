//! Trained models compared on held-out songs: `vmt-train eval`.

mod compare;
mod evaluation;
pub mod features;
mod generation;
mod held_out;
mod hit_points;
mod likelihood;
mod metre;
mod pulse;
pub mod report;
mod rhythm;
pub mod statistics;
mod tables;

pub use compare::{Piece, evaluate};
pub use evaluation::{Candidate, EvalOptions};
pub use held_out::HeldOut;
