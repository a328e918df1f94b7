//! A model: its bundle on disk, and the engines that run it.

mod backend;
pub mod bundle;
mod engine;
pub mod manifest;
#[cfg(any(feature = "tract", feature = "ort"))]
mod onnx;
#[cfg(feature = "ort")]
pub mod ort;
#[cfg(feature = "tract")]
mod tract;

pub use backend::Backend;
pub use bundle::Bundle;
pub use engine::{Engine, Session};
