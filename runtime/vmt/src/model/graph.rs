//! What a library that runs ONNX graphs must be able to do.

use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD};

use crate::error::{Error, Result};

/// What goes into a graph.
#[derive(Clone, Debug)]
pub enum Tensor {
    /// Pixels.
    U8(ArrayD<u8>),
    /// Tokens, positions, times, masks and conditions.
    I64(ArrayD<i64>),
    /// States and the encoder's outputs.
    F32(ArrayD<f32>),
}

/// A loaded graph. Its inputs and outputs are in the order of the names it was loaded with.
pub trait Graph: Send + Sync {
    /// A tensor in the library's own form, wherever the library wants it.
    type Value: Send;

    /// A tensor as the library wants it.
    ///
    /// # Errors
    ///
    /// What the library says.
    fn value(&self, tensor: Tensor) -> Result<Self::Value>;

    /// Computes the outputs.
    ///
    /// # Errors
    ///
    /// What the library says.
    fn run(&self, inputs: &[&Self::Value]) -> Result<Vec<Self::Value>>;

    /// The numbers of an output or a state.
    ///
    /// # Errors
    ///
    /// If it holds others.
    fn floats<'v>(&self, value: &'v Self::Value) -> Result<ArrayViewD<'v, f32>>;

    /// Changes the numbers of a state in place.
    ///
    /// # Errors
    ///
    /// If it holds others.
    fn write(&self, value: &mut Self::Value, change: impl FnOnce(ArrayViewMutD<f32>)) -> Result<()>;
}

/// Names the graph that an engine's complaint is about.
pub(super) fn in_file(file: &str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Engine { engine, reason } => Error::Engine { engine, reason: format!("{file}: {reason}") },
        other => other,
    }
}
