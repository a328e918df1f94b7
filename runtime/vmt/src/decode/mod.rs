//! The loop that asks a model for one token after the other, and what each may be.

mod controls;
mod generator;
mod grammar;
pub mod guidance;
mod sampling;

pub use controls::Controls;
pub use generator::{Decoding, Rules, Said};
pub use grammar::Grammar;
pub use sampling::Sampling;
