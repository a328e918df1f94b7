//! What a library that runs ONNX graphs must be able to do.

use std::iter::zip;

use ndarray::{ArrayD, ArrayViewMutD, Axis, CowArray, IxDyn, Slice};

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

    /// The lengths of a tensor's axes.
    ///
    /// # Errors
    ///
    /// If it is none.
    fn shape(&self, value: &Self::Value) -> Result<Vec<usize>>;

    /// The numbers of an output or a state; copied, where they are in the memory of a device.
    ///
    /// # Errors
    ///
    /// If it holds others.
    fn floats<'v>(&self, value: &'v Self::Value) -> Result<CowArray<'v, f32, IxDyn>>;

    /// Changes the numbers of a state in place.
    ///
    /// # Errors
    ///
    /// If it holds others.
    fn write(&self, value: &mut Self::Value, change: impl FnOnce(ArrayViewMutD<f32>)) -> Result<()>;

    /// Puts `new` into a state `[lanes, ..]`: of each lane, its first `counts` along `axis` behind the first `starts` slots. The state
    /// has room for all of `new` behind these; what is there behind the `counts` may be anything afterwards.
    ///
    /// # Errors
    ///
    /// If one of them holds no such numbers.
    fn append(
        &self,
        value: &mut Self::Value,
        axis: usize,
        new: &Self::Value,
        starts: &[usize],
        counts: &[usize],
    ) -> Result<()> {
        let new = self.floats(new)?;
        self.write(value, |mut whole| {
            // The lanes' axis is gone.
            let axis = Axis(axis - 1);
            for ((mut slots, new), (&start, &count)) in
                zip(whole.outer_iter_mut(), new.outer_iter()).zip(zip(starts, counts))
            {
                slots
                    .slice_axis_mut(axis, Slice::from(start..start + count))
                    .assign(&new.slice_axis(axis, Slice::from(..count)));
            }
        })
    }
}

/// Names the graph that an engine's complaint is about.
pub(super) fn in_file(file: &str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Engine { engine, reason } => Error::Engine { engine, reason: format!("{file}: {reason}") },
        other => other,
    }
}
