//! The layers that both models share, written as ONNX: one function for each module of `vmt_train`, of the same name.

use burn::{
    module::Param,
    nn::{Embedding, GroupNorm, LayerNorm, Linear, conv::Conv2d},
    tensor::Tensor,
};
use ndarray::{ArrayD, Axis};
use vmt::{Condition, Geometry};
use vmt_train::model::ConditionEmbedding;
use vmt_train::model::conv_encoder::{ConvEncoder, NEGATIVE_SLOPE, NORM_EPSILON};

use crate::graph::{Attribute, GraphBuilder, Type, Var};

/// The bias of a slot that is not attended to.
pub const MASKED: f32 = -1e9;

/// A parameter's values.
pub fn values<const D: usize>(param: &Param<Tensor<D>>) -> ArrayD<f32> {
    let data = param.val().into_data();
    let shape: Vec<usize> = param.dims().to_vec();
    ArrayD::from_shape_vec(shape, data.try_into_vec().expect("parameters are f32"))
        .expect("as many values as the shape says")
}

/// `x W + b`, over the last axis.
pub fn linear(g: &mut GraphBuilder, name: &str, layer: &Linear, x: &Var) -> Var {
    linear_times(g, name, layer, true, None, x)
}

/// The same for layers of [`NOT_QUANTIZED`](crate::storage::NOT_QUANTIZED).
pub fn linear_not_quantized(g: &mut GraphBuilder, name: &str, layer: &Linear, x: &Var) -> Var {
    linear_times(g, name, layer, false, None, x)
}

/// As [`linear`], each output times its number in `scale`; engines scale the weights, once, unless they are quantized.
pub fn scaled_linear(g: &mut GraphBuilder, name: &str, layer: &Linear, scale: &[f32], x: &Var) -> Var {
    let scale = g.floats(&[scale.len() as i64], scale);
    linear_times(g, name, layer, true, Some(&scale), x)
}

/// `quantize`: in four bits, where the storage says so.
fn linear_times(g: &mut GraphBuilder, name: &str, layer: &Linear, quantize: bool, scale: Option<&Var>, x: &Var) -> Var {
    let scaled = |g: &mut GraphBuilder, x: Var| scale.map_or(x.clone(), |scale| g.op("Mul", &[&x, scale]));
    let (name, weight) = (|part: &str| format!("{name}.{part}"), values(&layer.weight));
    let y = match weight.view().into_dimensionality() {
        Ok(matrix) if quantize && g.storage().quantizes(matrix.nrows()) => {
            let y = g.quantized_product(x, &name("weight"), matrix);
            scaled(g, y)
        }
        _ => {
            let weight = g.weight(&name("weight"), &weight);
            let weight = scaled(g, weight);
            g.op("MatMul", &[x, &weight])
        }
    };
    match &layer.bias {
        Some(bias) => {
            let bias = g.weight(&name("bias"), &values(bias));
            let bias = scaled(g, bias);
            g.op("Add", &[&y, &bias])
        }
        None => y,
    }
}

/// Over the last axis.
pub fn layer_norm(g: &mut GraphBuilder, name: &str, layer: &LayerNorm, x: &Var) -> Var {
    let gain = g.weight(&format!("{name}.gamma"), &values(&layer.gamma));
    let mut inputs = vec![x, &gain];
    let bias = layer.beta.as_ref().map(|beta| g.weight(&format!("{name}.beta"), &values(beta)));
    inputs.extend(&bias);
    let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(NORM_EPSILON))];
    g.op_with("LayerNormalization", &inputs, &attributes)
}

/// One group: over channels, rows and columns of `[pictures, channels, height, width]`, gain and bias for each channel.
///
/// Means are taken axis by axis: sums of few numbers each, which all engines round alike.
fn group_norm(g: &mut GraphBuilder, name: &str, layer: &GroupNorm, x: &Var) -> Var {
    let mean = |g: &mut GraphBuilder, x: &Var| [3, 2, 1].iter().fold(x.clone(), |x, &axis| g.mean(&x, axis));
    let center = mean(g, x);
    let centered = g.op("Sub", &[x, &center]);
    let squares = g.op("Mul", &[&centered, &centered]);
    let variance = mean(g, &squares);
    let epsilon = g.float(NORM_EPSILON);
    let variance = g.op("Add", &[&variance, &epsilon]);
    let deviation = g.op("Sqrt", &[&variance]);
    let mut y = g.op("Div", &[&centered, &deviation]);
    for (part, operator, param) in [("gamma", "Mul", &layer.gamma), ("beta", "Add", &layer.beta)] {
        if let Some(param) = param {
            // Behind the channels stand rows and columns.
            let weight = g.weight(&format!("{name}.{part}"), &values(param).insert_axis(Axis(1)).insert_axis(Axis(2)));
            y = g.op(operator, &[&y, &weight]);
        }
    }
    y
}

/// The encoder's inputs: `pixel_values` and `frame_mask`.
pub fn video_inputs(g: &mut GraphBuilder, geometry: &Geometry) -> (Var, Var) {
    let (height, width) = (geometry.height().to_string(), geometry.width().to_string());
    let pixels = g.input("pixel_values", Type::Uint8, &["lanes", "frames", "3", &height, &width]);
    (pixels, frame_mask(g))
}

/// i64 `[lanes, frames]`.
pub fn frame_mask(g: &mut GraphBuilder) -> Var {
    g.input("frame_mask", Type::Int64, &["lanes", "frames"])
}

/// Which slots to attend to, i64 `[lanes, frames]`: those of `mask`, and the first of each lane. Padding is on the right, so
/// that adds a slot only where there is no video, whose learned vector is there.
pub fn attended(g: &mut GraphBuilder, mask: &Var) -> Var {
    let (from, to, axis) = (g.ints(&[1]), g.ints(&[i64::MAX]), g.ints(&[1]));
    let others = g.op("Slice", &[mask, &from, &to, &axis]);
    let (pads, one) = (g.ints(&[0, 1, 0, 0]), g.int(1));
    g.op("Pad", &[&others, &pads, &one])
}

/// The convolutional encoder: bytes `[lanes, frames, 3, height, width]` to vectors `[lanes, frames, hidden]`, and which of them
/// are [`attended`] to.
pub fn frames(g: &mut GraphBuilder, layer: &ConvEncoder, geometry: &Geometry, pixels: &Var, mask: &Var) -> (Var, Var) {
    let pixels = g.cast(pixels, Type::Float);
    let (height, width) = (geometry.height() as i64, geometry.width() as i64);
    let motion = layer.motion.as_ref().map(|motion| {
        let change = luminance_change(g, &pixels);
        let change = g.reshape(&change, &[-1, 1, height, width]);
        halving_conv(g, "frames.motion", motion, &change)
    });
    let pixels = g.reshape(&pixels, &[-1, 3, height, width]);
    let (scale, one) = (g.float(127.5), g.float(1.0));
    let scaled = g.op("Div", &[&pixels, &scale]);
    let mut x = g.op("Sub", &[&scaled, &one]);
    for (index, (conv, norm)) in layer.convs.iter().zip(&layer.norms).enumerate() {
        let mut y = halving_conv(g, &format!("frames.convs.{index}"), conv, &x);
        if let (0, Some(motion)) = (index, &motion) {
            y = g.op("Add", &[&y, motion]);
        }
        let y = g.op_with("LeakyRelu", &[&y], &[("alpha", Attribute::Float(NEGATIVE_SLOPE as f32))]);
        x = group_norm(g, &format!("frames.norms.{index}"), norm, &y);
    }
    let (grid, rows, columns) = (layer.pool_grid as i64, geometry.height() as i64 / 8, geometry.width() as i64 / 8);
    let x = g.reshape(&x, &[0, -1, grid, rows / grid, grid, columns / grid]);
    let x = g.mean(&x, 5);
    let x = g.mean(&x, 3);
    let mut x = g.reshape(&x, &[0, -1]);
    if let Some(project) = &layer.project {
        x = linear(g, "frames.project", project, &x);
    }
    // `[pictures, hidden]` back to lanes.
    let lanes = g.op("Shape", &[mask]);
    let rest = g.ints(&[-1]);
    let shape = g.concat(&[&lanes, &rest], 0);
    let x = g.op("Reshape", &[&x, &shape]);
    let attended = attended(g, mask);
    let no_video = g.op("Greater", &[&attended, mask]);
    let no_video = g.unsqueeze(&no_video, &[-1]);
    let vector = g.weight("frames.no_video", &values(&layer.no_video));
    (g.op("Where", &[&no_video, &vector, &x]), attended)
}

/// A [`ConvEncoder`]'s convolution: kernel 4, stride 2, padding 1.
fn halving_conv(g: &mut GraphBuilder, name: &str, conv: &Conv2d, x: &Var) -> Var {
    let weight = g.weight(&format!("{name}.weight"), &values(&conv.weight));
    let bias = conv.bias.as_ref().map(|bias| g.weight(&format!("{name}.bias"), &values(bias)));
    let mut inputs = vec![x, &weight];
    inputs.extend(&bias);
    let attributes = [
        ("kernel_shape", Attribute::Ints(&[4, 4])),
        ("strides", Attribute::Ints(&[2, 2])),
        ("pads", Attribute::Ints(&[1, 1, 1, 1])),
    ];
    g.op_with("Conv", &inputs, &attributes)
}

/// How the light of bytes as f32 `[lanes, frames, 3, height, width]` has changed since the picture before, -2 to 2 and 0 for
/// the first: `[lanes, frames, 1, height, width]`.
fn luminance_change(g: &mut GraphBuilder, pixels: &Var) -> Var {
    let light = g.mean(pixels, 2);
    let mut part = |from: i64, to: i64| {
        let (from, to, axis) = (g.ints(&[from]), g.ints(&[to]), g.ints(&[1]));
        g.op("Slice", &[&light, &from, &to, &axis])
    };
    let (first, others) = (part(0, 1), part(0, -1));
    let before = g.concat(&[&first, &others], 1);
    let (change, scale) = (g.op("Sub", &[&light, &before]), g.float(127.5));
    g.op("Div", &[&change, &scale])
}

/// What is added to scores: `bias` where i64 `mask` `[lanes, n]`, with these `axes` between, is 1, and [`MASKED`] elsewhere.
pub fn masked_bias(g: &mut GraphBuilder, mask: &Var, axes: &[i64], bias: &Var) -> Var {
    let mask = g.cast(mask, Type::Bool);
    let (mask, masked) = (g.unsqueeze(&mask, axes), g.float(MASKED));
    g.op("Where", &[&mask, bias, &masked])
}

/// Rows of the embedding table, and the table itself.
pub fn embedding(g: &mut GraphBuilder, layer: &Embedding, tokens: &Var) -> (Var, Var) {
    let table = g.weight("embedding.weight", &values(&layer.weight));
    (g.op("Gather", &[&table, tokens]), table)
}

/// The sum of the vectors of i64 `conditions` `[lanes, new, conditions]`, times `scale`: f32 `[lanes, new, 1, hidden]`.
pub fn conditions(g: &mut GraphBuilder, layer: &ConditionEmbedding, scale: &Var) -> Var {
    let columns = Condition::ALL.len();
    let told = g.input("conditions", Type::Int64, &["lanes", "new", &columns.to_string()]);
    let (offsets, _) = Condition::offsets();
    let offsets = g.ints(&offsets.map(|offset| offset as i64));
    let rows = g.op("Add", &[&told, &offsets]);
    let table = g.weight("conditions.values.weight", &values(&layer.values.weight));
    // Engines do this once.
    let table = g.op("Mul", &[&table, scale]);
    let (vectors, axis) = (g.op("Gather", &[&table, &rows]), g.ints(&[2]));
    g.op("ReduceSum", &[&vectors, &axis])
}

/// f32 zeros, `[lanes, ..]` with these axes behind the lanes of `mask` `[lanes, frames]`.
pub fn zeros(g: &mut GraphBuilder, mask: &Var, axes: &[i64]) -> Var {
    let lanes = g.op("Shape", &[mask]);
    let (from, to) = (g.ints(&[0]), g.ints(&[1]));
    let lanes = g.op("Slice", &[&lanes, &from, &to]);
    let axes = g.ints(axes);
    let shape = g.concat(&[&lanes, &axes], 0);
    let zero = g.float(0.0);
    g.op("Expand", &[&zero, &shape])
}
