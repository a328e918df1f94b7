//! Reads the weights of a bundle back, for further training.

use std::collections::BTreeMap;
use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use ndarray::{ArrayD, Axis, concatenate};
use prost::Message;
use tract_onnx::pb::{ModelProto, TensorProto, tensor_proto::DataType};
use vmt::Bundle;
use vmt_train::model::stored_names::to_stored;
use vmt_train::{Model, ModelConfig};

use crate::storage::{BLOCK, Quantized};

/// The file in a bundle with the model's configuration, for further training: no runtime reads it.
pub const MODEL: &str = "model.yaml";

/// The model of a bundle that [`export`](crate::export) wrote, and its configuration. What is not exported, because only
/// training needs it, is initialised. With `expanded`, the configuration of a model with more parts, the parameters that the
/// bundle lacks are zero: outputs do not change until they are trained.
///
/// # Errors
/// If the folder is no bundle, has no `model.yaml`, or lacks a weight of that model and is not to be expanded.
pub fn read_back(folder: &Path, expanded: Option<ModelConfig>, device: &Device) -> Result<(ModelConfig, Model)> {
    let bundle = Bundle::open(folder)?;
    let expand = expanded.is_some();
    let config = expanded.map_or_else(|| ModelConfig::load(folder.join(MODEL)), Ok)?;
    let (mut tensors, mut quantized) = (BTreeMap::new(), Vec::new());
    for file in [&bundle.manifest().encoder.file, &bundle.manifest().decoder.file] {
        let mut read = || -> Result<()> {
            let model = ModelProto::decode(&*fs::read(folder.join(file))?)?;
            for tensor in model.graph.unwrap_or_default().initializer {
                if let Some((name, part)) = tensor.name.rsplit_once(".int4.") {
                    quantized.push((name.to_owned(), format!("{name}.scales.{part}"), tensor));
                } else if let Some(values) = values(&tensor)? {
                    tensors.insert(tensor.name, values);
                }
            }
            Ok(())
        };
        read().with_context(|| folder.join(file).display().to_string())?;
    }
    for (name, scales, codes) in quantized {
        let part = dequantized(codes, tensors.remove(&scales));
        let part = part.with_context(|| format!("{}: `{name}` is not quantized as it should be", folder.display()))?;
        // Parts stand side by side, in order.
        let whole = match tensors.remove(&name) {
            Some(left) => concatenate(Axis(1), &[left.view(), part.view()]).with_context(|| name.clone())?,
            None => part,
        };
        tensors.insert(name, whole);
    }
    for layer in 0..config.layers {
        split_gru(&mut tensors, layer);
    }
    let mut fill = Fill { tensors, expand, path: Vec::new(), missing: Vec::new() };
    let model = match config.init(0, device) {
        Model::Vmt(model) => Model::Vmt(model.map(&mut fill)),
        Model::Seq2Seq(model) => Model::Seq2Seq(model.map(&mut fill)),
    };
    let missing = fill.missing.join(", ");
    let which = if expand { "that it is to be expanded to" } else { "in model.yaml" };
    ensure!(missing.is_empty(), "{}: lacks weights of the model {which}: {missing}", folder.display());
    Ok((config, model))
}

/// The values of a stored tensor, unless it holds whole numbers.
fn values(tensor: &TensorProto) -> Result<Option<ArrayD<f32>>> {
    let bytes = &tensor.raw_data;
    let values = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
        Ok(DataType::Float16) => bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect(),
        _ => return Ok(None),
    };
    let shape: Vec<usize> = tensor.dims.iter().map(|&axis| axis as usize).collect();
    Ok(Some(ArrayD::from_shape_vec(shape, values).with_context(|| tensor.name.clone())?))
}

/// The matrix `[inputs, outputs]` of these codes and scales, unless they do not fit each other.
fn dequantized(codes: TensorProto, scales: Option<ArrayD<f32>>) -> Option<ArrayD<f32>> {
    let scales = scales?.into_raw_vec_and_offset().0;
    let &[outputs, blocks, _] = codes.dims.as_slice() else { return None };
    let [outputs, blocks] = [outputs, blocks].map(|axis| usize::try_from(axis).unwrap_or_default());
    let fits = blocks > 0
        && outputs.checked_mul(blocks) == Some(scales.len())
        && codes.raw_data.len() == scales.len() * BLOCK / 2;
    fits.then(|| Quantized { codes: codes.raw_data, scales }.dequantize(blocks * BLOCK).into_dyn())
}

/// ONNX keeps the matrices of a GRU with inputs last and both biases in one row.
fn split_gru(tensors: &mut BTreeMap<String, ArrayD<f32>>, layer: usize) {
    for (index, part) in ["input", "hidden"].into_iter().enumerate() {
        let name = format!("gru.layers.{layer}.{part}");
        if let Some(matrix) = tensors.get(&name) {
            let matrix = matrix.index_axis(Axis(0), 0).reversed_axes().to_owned();
            tensors.insert(format!("{name}.weight"), matrix);
        }
        if let Some(biases) = tensors.get(&format!("gru.layers.{layer}.bias")) {
            let bias = biases.index_axis(Axis(0), 0);
            let half = bias.len() / 2;
            let bias = bias.slice_each_axis(|_| (index * half..(index + 1) * half).into()).to_owned();
            tensors.insert(format!("{name}.bias"), bias);
        }
    }
}

/// Gives each parameter the stored tensor of its name.
struct Fill {
    tensors: BTreeMap<String, ArrayD<f32>>,
    /// Whether what is not stored is zero; what is stored must fit in any case.
    expand: bool,
    path: Vec<String>,
    missing: Vec<String>,
}

impl ModuleMapper for Fill {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = to_stored(&self.path.join("."));
        let shape = param.dims();
        match self.tensors.get(&path) {
            Some(values) if values.len() == shape.iter().product::<usize>() => param.map(|old| {
                let data = TensorData::new(values.iter().copied().collect::<Vec<f32>>(), shape);
                Tensor::from_data(data, &old.device())
            }),
            _ if self.path.first().is_some_and(|first| first == "auxiliary") => param,
            None if self.expand => param.map(|new| new.zeros_like()),
            _ => {
                self.missing.push(path);
                param
            }
        }
    }
}
