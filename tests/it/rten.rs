//! rten as an engine: whoever has a library that runs ONNX graphs needs no more than this.

use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD, CowArray, IxDyn};
use rten::{Model, NodeId, Value, ValueOrView};
use rten_tensor::prelude::*;
use vmt::onnx::{Graph, OnnxEngine, Tensor};
use vmt::{Bundle, Engine, Error, Result};

struct Rten {
    model: Model,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
}

/// Loads `bundle`.
pub fn load(bundle: &Bundle) -> Result<Box<dyn Engine>> {
    Ok(Box::new(OnnxEngine::load(bundle, "rten", |bytes, inputs, outputs| {
        let model = Model::load(bytes.to_vec()).map_err(error)?;
        let nodes = |names: &[&str]| names.iter().map(|name| model.node_id(name).map_err(error)).collect();
        let (inputs, outputs): (Result<_>, Result<_>) = (nodes(inputs), nodes(outputs));
        Ok(Rten { inputs: inputs?, outputs: outputs?, model })
    })?))
}

impl Graph for Rten {
    type Value = Value;

    fn value(&self, tensor: Tensor) -> Result<Value> {
        fn value<T: Clone>(array: ArrayD<T>) -> Result<Value>
        where
            Value: From<rten_tensor::Tensor<T>>,
        {
            Value::from_shape(array.shape().to_vec(), array.into_iter().collect()).map_err(error)
        }
        match tensor {
            Tensor::U8(array) => value(array),
            // rten has no integers of 64 bits.
            Tensor::I64(array) => value(array.mapv(|number| number as i32)),
            Tensor::F32(array) => value(array),
        }
    }

    fn run(&self, inputs: &[&Value]) -> Result<Vec<Value>> {
        let inputs = self.inputs.iter().zip(inputs).map(|(&node, &value)| (node, ValueOrView::from(value)));
        self.model.run(inputs.collect(), &self.outputs, None).map_err(error)
    }

    fn shape(&self, value: &Value) -> Result<Vec<usize>> {
        Ok(value.shape().to_vec())
    }

    fn floats<'v>(&self, value: &'v Value) -> Result<CowArray<'v, f32, IxDyn>> {
        let Value::FloatTensor(tensor) = value else { return Err(error("floats are wanted")) };
        let numbers = tensor.data().ok_or_else(|| error("a tensor with gaps"))?;
        ArrayViewD::from_shape(tensor.shape(), numbers).map(CowArray::from).map_err(error)
    }

    fn write(&self, value: &mut Value, change: impl FnOnce(ArrayViewMutD<f32>)) -> Result<()> {
        let Value::FloatTensor(tensor) = value else { return Err(error("floats are wanted")) };
        let shape = tensor.shape().to_vec();
        let numbers = tensor.data_mut().ok_or_else(|| error("a tensor with gaps"))?;
        change(ArrayViewMutD::from_shape(shape, numbers).map_err(error)?);
        Ok(())
    }
}

fn error(reason: impl std::fmt::Display) -> Error {
    Error::Engine { engine: "rten", reason: reason.to_string() }
}
