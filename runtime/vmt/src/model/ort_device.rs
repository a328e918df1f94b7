//! A graph whose values stay on a device, such as a GPU, from one run to the next.

use std::collections::{BTreeMap, btree_map::Entry};
use std::sync::{Mutex, PoisonError};

use ndarray::{Array, ArrayD, ArrayViewMutD, CowArray, IxDyn};
use ort::{
    editor::{Graph as GraphEditor, Model, Node, ONNX_DOMAIN, Opset},
    environment::Environment,
    memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType},
    operator::Attribute,
    session::{Session, builder::SessionBuilder},
    value::{
        DynValue, Outlet, Shape, SymbolicDimensions, Tensor as OrtTensor, TensorElementType, TensorValueType, ValueType,
    },
};

use super::graph::{Graph, Tensor};
use super::ort_graph::{OrtGraph, builder};
use crate::error::Result;

/// Which of several devices of a kind.
const DEVICE_ID: i32 = 0;

/// What a graph gives stays in the device's memory: the encoder's outputs, the keys and values of each step, and the caches that
/// they are written into. Only what the host asks for comes back: logits, and caches where lanes join, leave or grow.
pub(super) struct DeviceGraph {
    graph: OrtGraph,
    place: AllocationDevice<'static>,
    environment: &'static Environment,
    /// What writes rows behind others, by the number of axes and the one that grows.
    appenders: Mutex<BTreeMap<(usize, usize), Session>>,
}

impl DeviceGraph {
    /// `graph`, whose values are at `place`, the memory of its device.
    pub fn new(graph: OrtGraph, place: AllocationDevice<'static>, environment: &'static Environment) -> Self {
        Self { graph, place, environment, appenders: Mutex::default() }
    }

    /// Runs `session` with all outputs on the device.
    fn run_there(
        &self,
        session: &mut Session,
        inputs: &[(&str, &DynValue)],
        outputs: &[&str],
    ) -> ort::Result<Vec<DynValue>> {
        let memory = MemoryInfo::new(self.place.clone(), DEVICE_ID, AllocatorType::Device, MemoryType::Default)?;
        // A new one for each run: one binding writes its outputs into the same memory again.
        let mut binding = session.create_binding()?;
        for &(name, value) in inputs {
            binding.bind_input(name, value)?;
        }
        for &name in outputs {
            binding.bind_output_to_device(name, &memory)?;
        }
        // What is on the host is copied by now.
        binding.synchronize_inputs()?;
        let mut given = session.run_binding(&binding)?;
        Ok(outputs.iter().filter_map(|name| given.remove(name)).collect())
    }

    fn download(&self, value: &DynValue) -> ort::Result<ArrayD<f32>> {
        let there = value.view().downcast::<TensorValueType<f32>>()?;
        Ok(there.to(AllocationDevice::CPU, 0)?.extract_array().to_owned())
    }

    /// `value` with `new` behind so many slots of each lane. What a lane was not fed falls into slots that are still empty.
    fn appended(
        &self,
        value: &DynValue,
        axis: usize,
        new: &DynValue,
        starts: &[usize],
    ) -> ort::Result<Option<DynValue>> {
        let mut shape = vec![1; new.shape().len()];
        (shape[0], shape[axis]) = (starts.len(), new.shape()[axis] as usize);
        let slots = Array::from_shape_fn(IxDyn(&shape), |index| (starts[index[0]] + index[axis]) as i64);
        let slots = OrtTensor::from_array(slots)?.into_dyn();
        let mut appenders = self.appenders.lock().unwrap_or_else(PoisonError::into_inner);
        let session = match appenders.entry((shape.len(), axis)) {
            Entry::Occupied(session) => session.into_mut(),
            Entry::Vacant(none) => {
                let builder = builder(self.environment, self.graph.device, 1)?;
                none.insert(appender(&builder, shape.len(), axis)?)
            }
        };
        Ok(self.run_there(session, &[("past", value), ("new", new), ("slots", &slots)], &["present"])?.pop())
    }
}

/// A graph of its own: `present` is `past` with `new` in the `slots` of one of its axes.
fn appender(builder: &SessionBuilder, axes: usize, axis: usize) -> ort::Result<Session> {
    let outlet = |name, ty| {
        let (shape, dimension_symbols) = (Shape::new(vec![-1; axes]), SymbolicDimensions::empty(axes));
        Outlet::new(name, ValueType::Tensor { ty, shape, dimension_symbols })
    };
    let floats = |name| outlet(name, TensorElementType::Float32);
    let mut graph = GraphEditor::new()?;
    graph.set_inputs([floats("past"), floats("new"), outlet("slots", TensorElementType::Int64)])?;
    graph.set_outputs([floats("present")])?;
    let axis = Attribute::new("axis", axis as i64)?;
    for (operator, inputs, output, attribute) in [
        ("Shape", &["new"][..], "shape", None),
        ("Expand", &["slots", "shape"], "indices", None),
        ("ScatterElements", &["past", "indices", "new"], "present", Some(axis)),
    ] {
        graph.add_node(Node::new(operator, ONNX_DOMAIN, output, inputs, [output], attribute)?)?;
    }
    let mut model = Model::new([Opset::new(ONNX_DOMAIN, 17)?])?;
    model.set_graph(graph)?;
    model.into_session(builder)
}

impl Graph for DeviceGraph {
    type Value = DynValue;

    fn value(&self, tensor: Tensor) -> Result<DynValue> {
        match tensor {
            Tensor::F32(array) if !array.is_empty() => OrtTensor::from_array(array)
                .and_then(|here| here.to(self.place.clone(), DEVICE_ID))
                .map(OrtTensor::into_dyn)
                .map_err(self.graph.failed()),
            // What is fed anew in each step is copied when it is bound.
            other => self.graph.value(other),
        }
    }

    fn run(&self, inputs: &[&DynValue]) -> Result<Vec<DynValue>> {
        let inputs: Vec<_> = self.graph.inputs.iter().map(String::as_str).zip(inputs.iter().copied()).collect();
        let outputs: Vec<_> = self.graph.outputs.iter().map(String::as_str).collect();
        self.run_there(&mut self.graph.session(), &inputs, &outputs).map_err(self.graph.failed())
    }

    fn shape(&self, value: &DynValue) -> Result<Vec<usize>> {
        self.graph.shape(value)
    }

    fn floats<'v>(&self, value: &'v DynValue) -> Result<CowArray<'v, f32, IxDyn>> {
        Ok(self.download(value).map_err(self.graph.failed())?.into())
    }

    fn write(&self, value: &mut DynValue, change: impl FnOnce(ArrayViewMutD<f32>)) -> Result<()> {
        let mut here = self.download(value).map_err(self.graph.failed())?;
        change(here.view_mut());
        *value = self.value(Tensor::F32(here))?;
        Ok(())
    }

    fn append(&self, value: &mut DynValue, axis: usize, new: &DynValue, starts: &[usize], _: &[usize]) -> Result<()> {
        if let Some(present) = self.appended(value, axis, new, starts).map_err(self.graph.failed())? {
            *value = present;
        }
        Ok(())
    }
}
