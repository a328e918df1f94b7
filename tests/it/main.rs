//! Tests of the whole line, on every engine.

mod bundles;
mod cli;
mod composing;
mod engines;
mod generator;
mod golden;
mod rten;
mod scheduler;
mod scripted;
mod steering;
mod support;
mod takes;
