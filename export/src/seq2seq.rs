//! The recurrent baseline as two graphs.

use ndarray::{ArrayD, Axis, concatenate};
use vmt::{
    Geometry, VOCABULARY,
    manifest::{Context, First, State},
};
use vmt_train::{Seq2Seq, model::gru::GruLayer};

use crate::{
    About,
    graph::{Attribute, GraphBuilder, Graphs, Type, Var},
    layers::{
        attended, conditions, embedding, frame_features, frame_mask, frames, linear, linear_not_quantized, masked_bias,
        values, zeros,
    },
    storage::Storage,
};

/// Writes both graphs.
pub fn graphs(model: &Seq2Seq, geometry: &Geometry, storage: Storage, about: &About) -> Graphs {
    Graphs {
        encoder: encoder(model, geometry, storage, about),
        decoder: decoder(model, storage, about),
        frame_features: frame_features(&model.frames),
        positions: false,
        times: false,
        conditions: model.conditions.is_some(),
        context: vec![Context { from: "memory".into(), to: "memory".into() }],
        state: vec![State {
            from: "present.hidden".into(),
            to: "past.hidden".into(),
            first: First::Encoder("hidden".into()),
            append: false,
        }],
    }
}

fn hidden(model: &Seq2Seq) -> usize {
    model.embedding.weight.dims()[1]
}

fn encoder(model: &Seq2Seq, geometry: &Geometry, storage: Storage, about: &About) -> Vec<u8> {
    let mut graph = GraphBuilder::new("seq2seq encoder", storage);
    let g = &mut graph;
    let (x, mask, attended) = frames(g, &model.frames, geometry);
    let (layers, hidden) = (model.gru.layers.len(), hidden(model));
    // tract wants a first state where the number of lanes is a symbol.
    let initial = zeros(g, &mask, &[layers as i64, hidden as i64]);
    let (memory, state) = gru(g, &model.gru.layers, &x, &attended, &initial);
    let (layers, hidden) = (layers.to_string(), hidden.to_string());
    g.output(&memory, "memory", &["lanes", "frames", &hidden]);
    g.output(&state, "hidden", &["lanes", &layers, &hidden]);
    graph.into_bytes(about)
}

fn decoder(model: &Seq2Seq, storage: Storage, about: &About) -> Vec<u8> {
    let mut graph = GraphBuilder::new("seq2seq decoder", storage);
    let g = &mut graph;
    let (layers, hidden) = (model.gru.layers.len().to_string(), hidden(model).to_string());
    let ids = g.input("input_ids", Type::Int64, &["lanes", "new"]);
    let mask = g.input("attention_mask", Type::Int64, &["lanes", "past + new"]);
    let frame_mask = frame_mask(g);
    let memory = g.input("memory", Type::Float, &["lanes", "frames", &hidden]);
    let past = g.input("past.hidden", Type::Float, &["lanes", &layers, &hidden]);

    // The mask's last columns are the new tokens'.
    let new = g.size(&ids, 1);
    let start = g.op("Neg", &[&new]);
    let start = g.unsqueeze(&start, &[0]);
    let (end, axis) = (g.ints(&[i64::MAX]), g.ints(&[1]));
    let mask = g.op("Slice", &[&mask, &start, &end, &axis]);

    let (mut rows, _) = embedding(g, &model.embedding, &ids);
    if let Some(layer) = &model.conditions {
        let scale = g.float((self::hidden(model) as f32).sqrt());
        let (told, axis) = (conditions(g, layer, &scale), g.ints(&[2]));
        let told = g.op("Squeeze", &[&told, &axis]);
        rows = g.op("Add", &[&rows, &told]);
    }
    let (y, present) = gru(g, &model.gru.layers, &rows, &mask, &past);
    g.output(&present, "present.hidden", &["lanes", &layers, &hidden]);

    // Dot-product attention over the frames (Luong 2015, eq. 7 and 8).
    let columns = g.transpose(&memory, &[0, 2, 1]);
    let scores = g.op("MatMul", &[&y, &columns]);
    let attended = attended(g, &frame_mask);
    let zero = g.float(0.0);
    let bias = masked_bias(g, &attended, &[1], &zero);
    let scores = g.op("Add", &[&scores, &bias]);
    let weights = g.softmax(&scores);
    let context = g.op("MatMul", &[&weights, &memory]);
    let both = g.concat(&[&context, &y], -1);
    let attentional = linear_not_quantized(g, "combine", &model.combine, &both);
    let attentional = g.op("Tanh", &[&attentional]);
    let logits = linear(g, "output", &model.output, &attentional);
    g.output(&logits, "logits", &["lanes", "new", &VOCABULARY.to_string()]);
    graph.into_bytes(about)
}

/// `x` `[lanes, time, hidden]`, i64 `mask` `[lanes, time]`, `past` `[lanes, layers, hidden]` to the top layer's outputs and
/// each layer's state behind the lane's last real step.
fn gru(g: &mut GraphBuilder, layers: &[GruLayer], x: &Var, mask: &Var, past: &Var) -> (Var, Var) {
    // 1 at each lane's last real step, f32 `[time, lanes, 1]`.
    let time = g.size(mask, 1);
    let steps = g.range(&time);
    let axis = g.ints(&[1]);
    let length = g.op_with("ReduceSum", &[mask, &axis], &[("keepdims", Attribute::Int(1))]);
    let one = g.int(1);
    let last = g.op("Sub", &[&length, &one]);
    let last = g.op("Equal", &[&steps, &last]);
    let last = g.cast(&last, Type::Float);
    let last = g.transpose(&last, &[1, 0]);
    let last = g.unsqueeze(&last, &[2]);

    let mut x = g.transpose(x, &[1, 0, 2]);
    let mut states = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let name = format!("gru.layers.{index}");
        let [hidden, _] = layer.hidden.weight.dims();
        let recurrent = |linear: &burn::nn::Linear| values(&linear.weight).reversed_axes().insert_axis(Axis(0));
        let bias = |linear: &burn::nn::Linear| linear.bias.as_ref().map(values).expect("GRU layers have a bias");
        let biases: ArrayD<f32> = concatenate![Axis(0), bias(&layer.input), bias(&layer.hidden)].insert_axis(Axis(0));
        let weights = [
            g.weight(&format!("{name}.input"), &recurrent(&layer.input)),
            g.weight(&format!("{name}.hidden"), &recurrent(&layer.hidden)),
            g.weight(&format!("{name}.bias"), &biases),
        ];
        // Inputs 4 and 5 are the lengths, left out, and the first state.
        let none = Var::none();
        let index = g.int(index as i64);
        let first = g.op_with("Gather", &[past, &index], &[("axis", Attribute::Int(1))]);
        let first = g.unsqueeze(&first, &[0]);
        let inputs = [&x, &weights[0], &weights[1], &weights[2], &none, &first];
        let attributes = [("hidden_size", Attribute::Int(hidden as i64)), ("linear_before_reset", Attribute::Int(1))];
        let y = g.op_with("GRU", &inputs, &attributes);
        let direction = g.ints(&[1]);
        x = g.op("Squeeze", &[&y, &direction]);

        let picked = g.op("Mul", &[&x, &last]);
        let axis = g.ints(&[0]);
        let state = g.op_with("ReduceSum", &[&picked, &axis], &[("keepdims", Attribute::Int(0))]);
        states.push(g.unsqueeze(&state, &[1]));
    }
    let states = g.concat(&states.iter().collect::<Vec<_>>(), 1);
    (g.transpose(&x, &[1, 0, 2]), states)
}
