//! tract: pure Rust, CPU, no native library.

use std::{io::Cursor, panic::AssertUnwindSafe};

use ndarray::ArrayViewD;
use tract_onnx::prelude::{
    Framework, IntoRunnable, TValue, TypedRunnableModel,
    multithread::{Executor, multithread_tract_scope},
};
use tract_onnx::tract_hir::infer::InferenceModelExt;

use crate::{
    Bundle, Engine, Error, Result,
    onnx::{Graph, OnnxEngine, Tensor},
};

const NAME: &str = "tract";

struct TractGraph {
    plan: std::sync::Arc<TypedRunnableModel>,
    threads: Executor,
}

/// Loads `bundle` into tract, to run on `threads` threads.
pub(crate) fn load(bundle: &Bundle, threads: usize) -> Result<Box<dyn Engine>> {
    let executor = if threads > 1 { Executor::multithread(threads) } else { Executor::SingleThread };
    // tract panics on some graphs that are not what they say; a library must not.
    let engine = std::panic::catch_unwind(AssertUnwindSafe(|| {
        OnnxEngine::load(bundle, NAME, |bytes, inputs, outputs| {
            TractGraph::load(bytes, inputs, outputs, executor.clone())
        })
    }));
    Ok(Box::new(engine.unwrap_or_else(|_| Err(error("the graph is broken: tract gave up on it")))?))
}

impl TractGraph {
    fn load(bytes: &[u8], inputs: &[&str], outputs: &[&str], threads: Executor) -> Result<Self> {
        let plan = tract_onnx::onnx()
            .model_for_read(&mut Cursor::new(bytes))
            .and_then(|model| model.with_input_names(inputs))
            .and_then(|model| model.with_outputs_by_name(outputs))
            .and_then(|model| model.into_optimized())
            .and_then(|model| model.into_runnable());
        Ok(Self { plan: plan.map_err(error)?, threads })
    }
}

impl Graph for TractGraph {
    type Value = TValue;

    fn value(&self, tensor: Tensor) -> Result<TValue> {
        use tract_onnx::prelude::Tensor as T;
        Ok(match tensor {
            Tensor::U8(array) => T::from(array),
            Tensor::I64(array) => T::from(array),
            Tensor::F32(array) => T::from(array),
        }
        .into())
    }

    fn run(&self, inputs: &[&TValue]) -> Result<Vec<TValue>> {
        let inputs = inputs.iter().map(|&value| value.clone()).collect();
        let outputs = multithread_tract_scope(self.threads.clone(), || self.plan.run(inputs));
        Ok(outputs.map_err(error)?.into_vec())
    }

    fn floats<'v>(&self, value: &'v TValue) -> Result<ArrayViewD<'v, f32>> {
        value.to_plain_array_view().map_err(error)
    }
}

fn error(reason: impl std::fmt::Display) -> Error {
    // `{:#}` names the whole chain of causes.
    Error::Engine { engine: NAME, reason: format!("{reason:#}") }
}
