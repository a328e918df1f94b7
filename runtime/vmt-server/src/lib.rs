//! Composes for films over HTTP: an interface for programs, the Open Inference Protocol, and a page for people.
//!
//! This crate knows HTTP, jobs and limits; what composes is behind the trait [`Compose`]. Films are written to a folder as they
//! come and are never read here. [`serve`] is all of it.

mod access;
mod body;
mod compose;
mod events;
mod formats;
mod handlers;
mod inference;
mod jobs;
mod metrics;
mod page;
mod problem;
mod serving;
mod settings;
mod stop;
mod store;
#[cfg(test)]
mod tests;

pub use compose::{About, Call, Compose, Composed, DecodedEvent, Parameter, Take, music_name};
pub use formats::{COPIES, FORMATS};
pub use problem::Problem;
pub use serving::serve;
pub use settings::{Limits, Log, Settings};
pub use stop::{Running, Stop, Stopped};
