//! The loop that samples one token after the other, and the processors that its logits go through.

mod cadence;
mod controls;
mod density;
mod generator;
mod grammar;
mod guidance;
mod metre;
mod pauses;
mod processor;
mod sampling;
mod unconstrained;

pub use cadence::Cadence;
pub use controls::Controls;
pub use density::DensityBias;
pub use generator::{Generator, Lane, SampledToken};
pub use grammar::Grammar;
pub use guidance::{Guidance, Scales};
pub use metre::Metre;
pub use pauses::PauseTemperature;
pub use processor::LogitsProcessor;
pub use sampling::Sampling;
pub use unconstrained::Unconstrained;
