//! Writes ONNX graphs.

use half::f16;
use ndarray::{ArrayD, ArrayView2, Axis};
use prost::Message;
use vmt::manifest::{Context, PERFORMANCE_310, State};

use crate::About;
use crate::proto::{self, AttributeType};
use crate::storage::{BLOCK, Quantized, Storage};

/// The operator set: the newest that has all that is needed and that old runtimes read (`LayerNormalization` came with 17).
const OPSET: i64 = 17;
/// The file format's version that goes with [`OPSET`].
const IR_VERSION: i64 = 8;
/// An operator that is not ONNX's own, and the set that it is of: ONNX Runtime's contrib operators.
pub const MAT_MUL_N_BITS: &str = "MatMulNBits";
const CONTRIB: &str = "com.microsoft";

/// A model as ONNX.
pub struct Graphs {
    pub encoder: Vec<u8>,
    pub decoder: Vec<u8>,
    /// How many features a picture has.
    pub frame_features: usize,
    /// Whether the decoder reads `position_ids`.
    pub positions: bool,
    /// Whether the decoder reads `time_steps`.
    pub times: bool,
    /// Whether the decoder reads `conditions`.
    pub conditions: bool,
    pub context: Vec<Context>,
    pub state: Vec<State>,
}

/// A tensor in the graph.
#[derive(Clone, Debug)]
pub struct Var(String);

impl Var {
    /// Stands for an input that is left out.
    pub fn none() -> Self {
        Self(String::new())
    }
}

/// Element type of a graph's input or output.
pub use tract_onnx::pb::tensor_proto::DataType as Type;

/// Builds a graph. Axes are numbers, or symbols (`lanes`, `past + new`).
pub struct GraphBuilder {
    proto: proto::Graph,
    storage: Storage,
}

/// An attribute's value.
pub enum Attribute<'a> {
    Int(i64),
    Float(f32),
    Ints(&'a [i64]),
}

impl GraphBuilder {
    pub fn new(name: &str, storage: Storage) -> Self {
        Self { proto: proto::Graph { name: name.into(), ..Default::default() }, storage }
    }

    pub fn input(&mut self, name: &str, r#type: Type, axes: &[&str]) -> Var {
        self.proto.input.push(info(name, r#type, axes));
        Var(name.into())
    }

    /// Makes `var` an output of the graph.
    pub fn output(&mut self, var: &Var, name: &str, axes: &[&str]) {
        self.proto.output.push(info(name, Type::Float, axes));
        self.node("Identity", &[var], &[], vec![name.into()]);
    }

    /// A trained tensor, in the graph's storage type.
    pub fn weight(&mut self, name: &str, values: &ArrayD<f32>) -> Var {
        let dims = values.shape().iter().map(|&axis| axis as i64).collect();
        match self.storage {
            Storage::F32 => {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                self.constant(name, Type::Float, dims, bytes)
            }
            Storage::F16 | Storage::Int4 => {
                let bytes = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
                let stored = self.constant(name, Type::Float16, dims, bytes);
                self.cast(&stored, Type::Float)
            }
        }
    }

    /// How weights are stored.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// `x [.., inputs]` times `weight [inputs, outputs]`, which is stored in four bits.
    ///
    /// A wide matrix is stored as square ones side by side: what is split behind the product, as queries, keys and values are,
    /// tract would split before it, which it cannot do to quantized weights (0.23.9).
    pub fn quantized_product(&mut self, x: &Var, name: &str, weight: ArrayView2<f32>) -> Var {
        let inputs = weight.nrows();
        let part = |(part, weight): (usize, ArrayView2<f32>)| {
            let Quantized { codes, scales } = Quantized::new(weight);
            let [inputs, outputs, block] = [inputs, weight.ncols(), BLOCK].map(|axis| axis as i64);
            let axes = vec![outputs, inputs / block, block / 2];
            let codes = self.constant(&format!("{name}.int4.{part}"), Type::Uint8, axes, codes);
            let axes = vec![scales.len() as i64];
            let scales = scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
            let scales = self.constant(&format!("{name}.scales.{part}"), Type::Float, axes, scales);
            let attributes = [("K", inputs), ("N", outputs), ("bits", 4), ("block_size", block)];
            let attributes = attributes.map(|(name, value)| (name, Attribute::Int(value)));
            self.op_with(MAT_MUL_N_BITS, &[x, &codes, &scales], &attributes)
        };
        let parts: Vec<Var> = weight.axis_chunks_iter(Axis(1), inputs).enumerate().map(part).collect();
        match parts.as_slice() {
            [whole] => whole.clone(),
            parts => self.concat(&parts.iter().collect::<Vec<_>>(), -1),
        }
    }

    /// An exact f32 constant: a number (no axes) or a row of them.
    pub fn floats(&mut self, axes: &[i64], values: &[f32]) -> Var {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let name = self.fresh("float");
        self.constant(&name, Type::Float, axes.to_vec(), bytes)
    }

    pub fn float(&mut self, value: f32) -> Var {
        self.floats(&[], &[value])
    }

    /// A constant row of yes and no.
    pub fn bools(&mut self, values: &[bool]) -> Var {
        let name = self.fresh("bool");
        self.constant(&name, Type::Bool, vec![values.len() as i64], values.iter().map(|&value| value.into()).collect())
    }

    /// An i64 constant row.
    pub fn ints(&mut self, values: &[i64]) -> Var {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let name = self.fresh("int");
        self.constant(&name, Type::Int64, vec![values.len() as i64], bytes)
    }

    /// An i64 constant without axes.
    pub fn int(&mut self, value: i64) -> Var {
        let name = self.fresh("int");
        self.constant(&name, Type::Int64, vec![], value.to_le_bytes().to_vec())
    }

    fn constant(&mut self, name: &str, r#type: Type, dims: Vec<i64>, raw_data: Vec<u8>) -> Var {
        let tensor = proto::Tensor { name: name.into(), data_type: r#type.into(), dims, raw_data };
        self.proto.initializer.push(tensor);
        Var(name.into())
    }

    /// Adds an operator with one output.
    pub fn op(&mut self, operator: &str, inputs: &[&Var]) -> Var {
        self.op_with(operator, inputs, &[])
    }

    /// Adds an operator with attributes and one output.
    pub fn op_with(&mut self, operator: &str, inputs: &[&Var], attributes: &[(&str, Attribute)]) -> Var {
        let name = self.fresh(operator);
        self.node(operator, inputs, attributes, vec![name.clone()]);
        Var(name)
    }

    pub fn cast(&mut self, x: &Var, to: Type) -> Var {
        self.op_with("Cast", &[x], &[("to", Attribute::Int(to as i64))])
    }

    pub fn transpose(&mut self, x: &Var, axes: &[i64]) -> Var {
        self.op_with("Transpose", &[x], &[("perm", Attribute::Ints(axes))])
    }

    pub fn concat(&mut self, parts: &[&Var], axis: i64) -> Var {
        self.op_with("Concat", parts, &[("axis", Attribute::Int(axis))])
    }

    /// Equal parts along an axis.
    pub fn split<const N: usize>(&mut self, x: &Var, axis: i64) -> [Var; N] {
        let names: [String; N] = std::array::from_fn(|part| format!("{}.{part}", self.fresh("Split")));
        self.node("Split", &[x], &[("axis", Attribute::Int(axis))], names.to_vec());
        names.map(Var)
    }

    /// 0 keeps an axis, -1 takes what is left.
    pub fn reshape(&mut self, x: &Var, axes: &[i64]) -> Var {
        let axes = self.ints(axes);
        self.op("Reshape", &[x, &axes])
    }

    pub fn unsqueeze(&mut self, x: &Var, axes: &[i64]) -> Var {
        let axes = self.ints(axes);
        self.op("Unsqueeze", &[x, &axes])
    }

    /// Over one axis, which stays with length 1.
    pub fn mean(&mut self, x: &Var, axis: i64) -> Var {
        self.op_with("ReduceMean", &[x], &[("axes", Attribute::Ints(&[axis]))])
    }

    pub fn softmax(&mut self, x: &Var) -> Var {
        self.op_with("Softmax", &[x], &[("axis", Attribute::Int(-1))])
    }

    /// The length of one axis, without axes itself.
    pub fn size(&mut self, x: &Var, axis: i64) -> Var {
        let shape = self.op("Shape", &[x]);
        let axis = self.int(axis);
        self.op_with("Gather", &[&shape, &axis], &[("axis", Attribute::Int(0))])
    }

    /// The length of one axis, as a row of one.
    pub fn axis(&mut self, x: &Var, axis: i64) -> Var {
        self.op_with("Shape", &[x], &[("start", Attribute::Int(axis)), ("end", Attribute::Int(axis + 1))])
    }

    /// Sums along an axis, each with itself.
    pub fn cumulative_sum(&mut self, x: &Var, axis: i64) -> Var {
        self.sums(x, axis, false)
    }

    /// Sums along an axis of what comes before.
    pub fn sum_before(&mut self, x: &Var, axis: i64) -> Var {
        self.sums(x, axis, true)
    }

    /// Both attributes are written out: onnx2torch takes other defaults than ONNX's where they are left out.
    fn sums(&mut self, x: &Var, axis: i64, exclusive: bool) -> Var {
        let axis = self.int(axis);
        let attributes = [("exclusive", Attribute::Int(exclusive.into())), ("reverse", Attribute::Int(0))];
        self.op_with("CumSum", &[x, &axis], &attributes)
    }

    /// `0, 1, ..., end - 1`.
    pub fn range(&mut self, end: &Var) -> Var {
        let (zero, one) = (self.int(0), self.int(1));
        self.op("Range", &[&zero, end, &one])
    }

    fn node(&mut self, operator: &str, inputs: &[&Var], attributes: &[(&str, Attribute)], output: Vec<String>) {
        self.proto.node.push(proto::Node {
            name: output[0].clone(),
            op_type: operator.into(),
            input: inputs.iter().map(|var| var.0.clone()).collect(),
            output,
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
            domain: if operator == MAT_MUL_N_BITS { CONTRIB.into() } else { String::new() },
        });
    }

    /// A name that is not taken yet; deterministic.
    fn fresh(&self, stem: &str) -> String {
        format!("{stem}.{}", self.proto.node.len() + self.proto.initializer.len())
    }

    /// The finished file.
    pub fn into_bytes(self, about: &About) -> Vec<u8> {
        let entry = |(key, value): (&str, &str)| proto::Entry { key: key.into(), value: value.into() };
        let entries = [
            ("name", about.name.as_str()),
            ("license", &about.license),
            ("vocabulary", PERFORMANCE_310),
            ("manifest", "manifest.yaml, in the same folder, names the tensors and what they are for"),
        ];
        let has_contrib = self.proto.node.iter().any(|node| node.domain == CONTRIB);
        let sets = [("", OPSET)].into_iter().chain(has_contrib.then_some((CONTRIB, 1)));
        proto::Model {
            ir_version: IR_VERSION,
            opset_import: sets.map(|(domain, version)| proto::OperatorSet { domain: domain.into(), version }).collect(),
            producer_name: env!("CARGO_PKG_NAME").into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            doc_string: about.description.clone(),
            metadata_props: entries.map(entry).to_vec(),
            graph: Some(self.proto),
        }
        .encode_to_vec()
    }
}

fn info(name: &str, r#type: Type, axes: &[&str]) -> proto::ValueInfo {
    let dim = axes.iter().map(|axis| {
        let value = axis.parse().map(proto::Axis::DimValue).unwrap_or_else(|_| proto::Axis::DimParam((*axis).into()));
        proto::Dimension { value: Some(value) }
    });
    let tensor = proto::TensorType { elem_type: r#type.into(), shape: Some(proto::Shape { dim: dim.collect() }) };
    let r#type = proto::ValueType { tensor_type: Some(tensor) };
    proto::ValueInfo { name: name.into(), r#type: Some(r#type), doc_string: doc(name).into() }
}

/// What an input or output is, for people who look at the file.
fn doc(name: &str) -> &'static str {
    let stem = name.split('.').next().unwrap_or_default();
    match stem {
        "pixel_values" => "RGB frames, 0-255",
        "frame_mask" => "1 for a frame, 0 for padding",
        "input_ids" => "tokens, the first of a piece being 0",
        "position_ids" => "place of each token in the piece, from 0",
        "attention_mask" => "1 for a token, 0 for padding; what is past comes first",
        "time_steps" => "moment of each token, in steps of 10 ms",
        "conditions" => "what is known at each token's moment; 0 is unknown",
        "logits" => "unnormalised log probabilities of the token that follows each",
        "cross" | "memory" => "of the encoder, the same for all steps",
        "keys" | "hidden" => "of the encoder, the decoder's first state",
        "past_key_values" | "past" => "state before this step; empty or of the encoder at first",
        "new" => "to be put behind the past keys and values",
        "present" => "state behind this step",
        _ => "",
    }
}

fn attribute(name: &str, value: &Attribute) -> proto::Attribute {
    let mut proto = proto::Attribute { name: name.into(), ..Default::default() };
    let r#type = match *value {
        Attribute::Int(i) => {
            proto.i = Some(i);
            AttributeType::Int
        }
        Attribute::Float(f) => {
            proto.f = Some(f);
            AttributeType::Float
        }
        Attribute::Ints(ints) => {
            proto.ints = ints.to_vec();
            AttributeType::Ints
        }
    };
    proto.r#type = r#type.into();
    proto
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readers that go by proto2 need a 0 that is there, and numbers that are not packed.
    #[test]
    fn numbers_are_written_as_proto2_has_them() {
        let zero = attribute("axis", &Attribute::Int(0)).encode_to_vec();
        assert_eq!(zero, *b"\x0a\x04axis\x18\x00\xa0\x01\x02");
        let ints = attribute("perm", &Attribute::Ints(&[1, 0])).encode_to_vec();
        assert_eq!(ints, *b"\x0a\x04perm\x40\x01\x40\x00\xa0\x01\x07");
        let tensor = proto::Tensor { dims: vec![2, 3], data_type: Type::Float.into(), ..Default::default() };
        assert_eq!(tensor.encode_to_vec(), *b"\x08\x02\x08\x03\x10\x01");
    }
}
