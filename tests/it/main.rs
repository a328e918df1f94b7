//! Tests of the whole line, on every engine.

mod bundles;
mod cli;
mod decoding;
mod engines;
mod golden;
mod support;
