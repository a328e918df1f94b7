//! Trained models compared on held-out songs: `vmt-train eval`.

mod compare;
mod evaluation;
mod excerpts;
pub mod features;
mod films;
mod generation;
mod held_out;
mod hit_points;
mod keys;
mod likelihood;
mod metre;
mod motifs;
mod near_copies;
mod pulse;
pub mod report;
mod rhythm;
mod tables;

pub use compare::{Piece, evaluate};
pub use evaluation::{Candidate, EvalOptions};
pub use films::Film;
pub use held_out::HeldOut;
pub use likelihood::mean_nll;
pub use near_copies::songs_for_training;
pub use vmt_statistics::summary as statistics;
