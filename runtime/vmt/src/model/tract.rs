//! tract: pure Rust, CPU, no native library.

use std::{io::Cursor, mem, panic::AssertUnwindSafe};

use ndarray::{ArrayViewMutD, CowArray, IxDyn};
use tract_onnx::prelude::{
    Framework, IntoRunnable, IntoTensor, TValue, TractResult, TypedRunnableModel,
    multithread::{Executor, multithread_tract_scope},
};
use tract_onnx::tract_hir::infer::InferenceModelExt;

use super::bundle::Bundle;
use super::engine::Engine;
use super::graph::{Graph, Tensor};
use super::onnx::OnnxEngine;
use super::scheduler::Scheduler;
use super::tract_product;
use crate::error::{Error, Result};

const NAME: &str = "tract";

struct TractGraph {
    plan: std::sync::Arc<TypedRunnableModel>,
    threads: Executor,
}

/// Loads `bundle` into tract, to run on `threads` threads, with up to `lanes` lanes of all sessions in one batch.
pub(crate) fn load(bundle: &Bundle, threads: usize, lanes: Option<usize>) -> Result<Box<dyn Engine>> {
    let executor = if threads > 1 { Executor::multithread(threads) } else { Executor::SingleThread };
    let load =
        |bytes: &[u8], inputs: &[&str], outputs: &[&str]| TractGraph::load(bytes, inputs, outputs, executor.clone());
    Ok(Scheduler::over(OnnxEngine::load(bundle, NAME, load)?, lanes))
}

impl TractGraph {
    fn load(bytes: &[u8], inputs: &[&str], outputs: &[&str], threads: Executor) -> Result<Self> {
        let plan = caught(|| {
            let model = tract_onnx::onnx()
                .model_for_read(&mut Cursor::new(bytes))?
                .with_input_names(inputs)?
                .with_outputs_by_name(outputs)?
                .into_typed()?
                .into_decluttered()?;
            tract_product::replace(model)?.into_optimized()?.into_runnable()
        });
        Ok(Self { plan: plan?, threads })
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
        let run = || multithread_tract_scope(self.threads.clone(), || self.plan.run(inputs));
        Ok(caught(run)?.into_vec())
    }

    fn shape(&self, value: &TValue) -> Result<Vec<usize>> {
        Ok(value.shape().to_vec())
    }

    fn floats<'v>(&self, value: &'v TValue) -> Result<CowArray<'v, f32, IxDyn>> {
        value.to_plain_array_view().map(CowArray::from).map_err(error)
    }

    fn write(&self, value: &mut TValue, change: impl FnOnce(ArrayViewMutD<f32>)) -> Result<()> {
        // A graph that has run keeps nothing of its inputs: this copies nothing.
        let mut tensor = mem::replace(value, tract_onnx::prelude::Tensor::default().into()).into_tensor();
        let changed = tensor.to_plain_array_view_mut().map(change).map_err(error);
        *value = tensor.into();
        changed
    }
}

/// tract panics on some graphs that are not what they say; a library must not. With `panic = "abort"` nothing can be caught.
fn caught<T>(run: impl FnOnce() -> TractResult<T>) -> Result<T> {
    let done = std::panic::catch_unwind(AssertUnwindSafe(run));
    done.map_err(|_| error("the graph is broken: tract gave up on it"))?.map_err(error)
}

fn error(reason: impl std::fmt::Display) -> Error {
    // `{:#}` names the whole chain of causes.
    Error::Engine { engine: NAME, reason: format!("{reason:#}") }
}
