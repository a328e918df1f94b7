//! Training: what is minimised, one update, checkpoints, recipes, and a run of all of it.

pub mod checkpoint;
mod learner;
mod loader;
mod objective;
mod recipe;
mod run;
mod threads;

pub use learner::{ADAM, Learner, Step, validate};
pub use objective::{Objective, row_losses};
pub use recipe::{Recipe, RunConfig};
pub use run::{End, Run};
pub(crate) use threads::on_threads;
