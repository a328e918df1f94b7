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
/// Means are those of rows and columns, then of channels: sums of few numbers each, which all engines round alike, and
/// pooling, which engines do in the layout of their convolutions.
fn group_norm(g: &mut GraphBuilder, name: &str, layer: &GroupNorm, x: &Var) -> Var {
    let mean = |g: &mut GraphBuilder, x: &Var| {
        let x = g.op("GlobalAveragePool", &[x]);
        g.mean(&x, 1)
    };
    let center = mean(g, x);
    let centered = g.op("Sub", &[x, &center]);
    let squares = g.op("Mul", &[&centered, &centered]);
    let variance = mean(g, &squares);
    let epsilon = g.float(NORM_EPSILON);
    let variance = g.op("Add", &[&variance, &epsilon]);
    let deviation = g.op("Sqrt", &[&variance]);
    // Behind the channels stand rows and columns.
    let param = |g: &mut GraphBuilder, part: &str, param: &Param<Tensor<1>>| {
        g.weight(&format!("{name}.{part}"), &values(param).insert_axis(Axis(1)).insert_axis(Axis(2)))
    };
    let scale = match &layer.gamma {
        Some(gamma) => {
            let gamma = param(g, "gamma", gamma);
            g.op("Div", &[&gamma, &deviation])
        }
        None => g.op("Reciprocal", &[&deviation]),
    };
    let y = g.op("Mul", &[&centered, &scale]);
    match &layer.beta {
        Some(beta) => {
            let beta = param(g, "beta", beta);
            g.op("Add", &[&y, &beta])
        }
        None => y,
    }
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

/// How many features a picture has before [`ConvEncoder::project`].
pub fn frame_features(layer: &ConvEncoder) -> usize {
    let channels = layer.convs.last().map_or(0, |conv| conv.weight.dims()[0]);
    channels * layer.pool_grid * layer.pool_grid
}

/// The convolutional encoder, whose features go out and, in a later window, in again: vectors `[lanes, frames, hidden]`, the frame
/// mask, and which of them are [`attended`] to.
///
/// Features are those before the projection: pooling and what is before it are computed for each picture alone, so that they are the
/// same to the bit whichever others are beside it.
pub fn frames(g: &mut GraphBuilder, layer: &ConvEncoder, geometry: &Geometry) -> (Var, Var, Var) {
    let (height, width) = (geometry.height() as i64, geometry.width() as i64);
    let axes = [&height.to_string(), &width.to_string()];
    let pixels = g.input("pixel_values", Type::Uint8, &["pictures", "2", "3", axes[0], axes[1]]);
    let size = frame_features(layer).to_string();
    let known = g.input("frame_features", Type::Float, &["known", &size]);
    let indices = g.input("frame_indices", Type::Int64, &["lanes", "frames"]);
    let mask = frame_mask(g);

    let pixels = g.cast(&pixels, Type::Float);
    let [before, pixels] = g.split::<2>(&pixels, 1);
    let motion = layer.motion.as_ref().map(|motion| {
        let [before, now] = [&before, &pixels].map(|pixels| g.mean(pixels, 2));
        // -2 to 2.
        let (change, scale) = (g.op("Sub", &[&now, &before]), g.float(127.5));
        let change = g.op("Div", &[&change, &scale]);
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
    let grid = layer.pool_grid as i64;
    let pool = [height / 8 / grid, width / 8 / grid];
    let pooled = [("kernel_shape", Attribute::Ints(&pool)), ("strides", Attribute::Ints(&pool))];
    let x = g.op_with("AveragePool", &[&x], &pooled);
    let new = g.reshape(&x, &[0, -1]);
    g.output(&new, "new_frame_features", &["pictures", &size]);

    let all = g.concat(&[&known, &new], 0);
    let flat = g.reshape(&indices, &[-1]);
    let mut x = g.op("Gather", &[&all, &flat]);
    if let Some(project) = &layer.project {
        x = linear(g, "frames.project", project, &x);
    }
    // `[lanes * frames, hidden]` back to lanes.
    let lanes = g.op("Shape", &[&mask]);
    let rest = g.ints(&[-1]);
    let shape = g.concat(&[&lanes, &rest], 0);
    let x = g.op("Reshape", &[&x, &shape]);
    let attended = attended(g, &mask);
    let no_video = g.op("Greater", &[&attended, &mask]);
    let no_video = g.unsqueeze(&no_video, &[-1]);
    let vector = g.weight("frames.no_video", &values(&layer.no_video));
    (g.op("Where", &[&no_video, &vector, &x]), mask, attended)
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
