//! The C interface, called from Rust and from C.

#![allow(unsafe_code, missing_docs)]

mod calls;
mod header;
mod programs;
mod random;
mod support;
