//! A graph in ONNX Runtime.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ndarray::{ArrayViewMutD, CowArray, IxDyn};
use ort::{
    environment::Environment,
    memory::Allocator,
    session::{Session, SessionInputValue, builder::SessionBuilder},
    value::{DynValue, Tensor as OrtTensor},
};

use super::graph::{Graph, Tensor};
use crate::error::{Error, Result};

/// Where to run.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Device {
    Cpu,
    #[cfg(feature = "cuda")]
    Cuda,
}

impl Device {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "ort",
            #[cfg(feature = "cuda")]
            Self::Cuda => "cuda",
        }
    }
}

/// A session, and what its graph's inputs and outputs are called.
pub(super) struct OrtGraph {
    pub(super) device: Device,
    /// ort wants `&mut` to run: sessions that share an engine take turns.
    pub(super) session: Mutex<Session>,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
}

/// For a session on `threads` threads.
pub(super) fn builder(environment: &Environment, device: Device, threads: usize) -> ort::Result<SessionBuilder> {
    // Each step of a decoder has shapes of its own, and ONNX Runtime would keep a plan of memory for every one.
    let builder = Session::builder(environment)?.with_memory_pattern(false)?;
    // Threads that spin take the processor from each other and from other programs.
    let builder = builder.with_intra_threads(threads)?.with_intra_op_spinning(false)?;
    Ok(match device {
        Device::Cpu => builder,
        // Without `error_on_failure` ONNX Runtime would fall back to the CPU in silence. By default it multiplies in TF32, whose
        // 10 bits of mantissa are too few for the tokens that other engines choose.
        #[cfg(feature = "cuda")]
        Device::Cuda => {
            let provider = ort::ep::CUDA::default().with_tf32(false).build().error_on_failure();
            builder.with_execution_providers([provider])?
        }
    })
}

/// What ONNX Runtime says, as an error of this engine.
pub(super) fn failed(engine: &'static str) -> impl Fn(ort::Error) -> Error {
    move |error| Error::Engine { engine, reason: error.to_string() }
}

impl OrtGraph {
    pub(super) fn failed(&self) -> impl Fn(ort::Error) -> Error + use<> {
        failed(self.device.name())
    }

    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Graph for OrtGraph {
    type Value = DynValue;

    fn value(&self, tensor: Tensor) -> Result<DynValue> {
        match tensor {
            Tensor::U8(array) => OrtTensor::from_array(array).map(OrtTensor::into_dyn),
            Tensor::I64(array) => OrtTensor::from_array(array).map(OrtTensor::into_dyn),
            // Data without elements has no address; the allocator takes care of that.
            Tensor::F32(array) if array.is_empty() => {
                OrtTensor::<f32>::new(&Allocator::default(), array.shape()).map(OrtTensor::into_dyn)
            }
            Tensor::F32(array) => OrtTensor::from_array(array).map(OrtTensor::into_dyn),
        }
        .map_err(self.failed())
    }

    fn run(&self, inputs: &[&DynValue]) -> Result<Vec<DynValue>> {
        let inputs: Vec<(&str, SessionInputValue)> =
            self.inputs.iter().zip(inputs).map(|(name, &value)| (name.as_str(), value.into())).collect();
        let mut session = self.session();
        let mut outputs = session.run(inputs).map_err(self.failed())?;
        // Names were checked when the graph was loaded.
        Ok(self.outputs.iter().filter_map(|name| outputs.remove(name)).collect())
    }

    fn shape(&self, value: &DynValue) -> Result<Vec<usize>> {
        Ok(value.shape().iter().map(|&axis| axis as usize).collect())
    }

    fn floats<'v>(&self, value: &'v DynValue) -> Result<CowArray<'v, f32, IxDyn>> {
        value.try_extract_array().map(CowArray::from).map_err(self.failed())
    }

    fn write(&self, value: &mut DynValue, change: impl FnOnce(ArrayViewMutD<f32>)) -> Result<()> {
        value.try_extract_array_mut().map(change).map_err(self.failed())
    }
}
