//! A model: its bundle on disk, and the engines that run it.

mod backend;
mod bundle;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "ort")]
mod dylib;
mod engine;
mod frame_features;
mod graph;
mod lanes;
pub mod manifest;
pub mod onnx;
#[cfg(feature = "ort")]
pub mod ort;
#[cfg(feature = "ort")]
mod ort_device;
#[cfg(feature = "ort")]
mod ort_graph;
mod scheduler;
#[cfg(feature = "tract")]
mod tract;
#[cfg(feature = "tract")]
mod tract_product;

pub use backend::Backend;
pub use bundle::Bundle;
#[cfg(feature = "training")]
pub use bundle::sha256;
pub(crate) use engine::check_takes;
pub use engine::{Engine, MAX_TAKES, Session};
pub use scheduler::Scheduler;
