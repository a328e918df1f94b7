//! The transformer as two graphs. Names of tensors are part of the format of bundles.

use std::iter::zip;

use vmt::{
    Geometry, Pitch, VOCABULARY,
    manifest::{Context, First, State},
};
use vmt_train::Vmt;
use vmt_train::model::attention::{CrossAttention, FeedForward, SelfAttention};
use vmt_train::model::held_notes::note_change_table;
use vmt_train::model::position::{alibi_slopes, cross_alibi_slopes, frequencies};

use crate::{
    About,
    graph::{GraphBuilder, Graphs, Type, Var},
    layers::{
        MASKED, attended, conditions, embedding, frame_features, frame_mask, frames, layer_norm, linear,
        linear_not_quantized, masked_bias, scaled_linear, zeros,
    },
    storage::Storage,
};

/// Writes both graphs.
pub fn graphs(model: &Vmt, geometry: &Geometry, storage: Storage, about: &About) -> Graphs {
    let layers = 0..model.decoder.len();
    let name = |kind: &str, layer: usize, part: &str| format!("{kind}.{layer}.{part}");
    let each = |make: &dyn Fn(usize, &str) -> (String, String)| -> Vec<(String, String)> {
        layers.clone().flat_map(|layer| [make(layer, "key"), make(layer, "value")]).collect()
    };
    let context = each(&|layer, part| (name("cross", layer, part), name("cross", layer, part)));
    let state = each(&|layer, part| (name("new", layer, part), name("past_key_values", layer, part)));
    let (heads, size) = sizes(model);
    let held_notes = model.held_notes.is_some().then(|| State {
        from: "present.keys".into(),
        to: "past.keys".into(),
        first: First::Encoder("keys".into()),
        append: false,
    });
    Graphs {
        encoder: encoder(model, geometry, storage, about),
        decoder: decoder(model, storage, about),
        frame_features: frame_features(&model.frames),
        positions: true,
        times: model.time_embedding.is_some(),
        conditions: model.conditions.is_some(),
        context: context.into_iter().map(|(from, to)| Context { from, to }).collect(),
        state: state
            .into_iter()
            .map(|(from, to)| State { from, to, first: First::Empty(vec![heads, 0, size]), append: true })
            .chain(held_notes)
            .collect(),
    }
}

fn sizes(model: &Vmt) -> (usize, usize) {
    let hidden = model.embedding.weight.dims()[1];
    let heads = model.decoder[0].self_attention.heads;
    (heads, hidden / heads)
}

fn encoder(model: &Vmt, geometry: &Geometry, storage: Storage, about: &About) -> Vec<u8> {
    let mut graph = GraphBuilder::new("vmt encoder", storage);
    let g = &mut graph;
    let (x, mask, attended) = frames(g, &model.frames, geometry);
    let count = g.size(&mask, 1);
    let steps = g.range(&count);
    let steps = g.cast(&steps, Type::Float);
    let position = sinusoids(g, model, &steps);
    let x = g.op("Add", &[&x, &position]);
    let zero = g.float(0.0);
    let bias = masked_bias(g, &attended, &[1, 2], &zero);
    let (heads, size) = sizes(model);
    let batch = Batch::new(g, &mask, heads * size);
    let mut x = batch.rows(g, &x);
    for (index, layer) in model.encoder.iter().enumerate() {
        let name = format!("encoder.{index}");
        let y = layer_norm(g, &format!("{name}.attention_norm"), &layer.attention_norm, &x);
        let [q, k, v] = qkv(g, &format!("{name}.attention"), &layer.attention, &batch, &y);
        let y = batch.attend(g, &q, &k, &v, &bias);
        let y = linear(g, &format!("{name}.attention.out"), &layer.attention.out, &y);
        x = g.op("Add", &[&x, &y]);
        let y = layer_norm(g, &format!("{name}.feed_forward_norm"), &layer.feed_forward_norm, &x);
        let y = feed_forward(g, &format!("{name}.feed_forward"), &layer.feed_forward, &y);
        x = g.op("Add", &[&x, &y]);
    }
    let memory = layer_norm(g, "encoder_norm", &model.encoder_norm, &x);
    for (index, layer) in model.decoder.iter().enumerate() {
        let attention = &layer.cross_attention;
        let y = linear(g, &format!("decoder.{index}.cross_attention.key_value"), &attention.key_value, &memory);
        let y = batch.heads_apart(g, &y, 2 * heads, size);
        let (heads, size) = (heads.to_string(), size.to_string());
        for (part, y) in zip(["key", "value"], g.split::<2>(&y, 1)) {
            g.output(&y, &format!("cross.{index}.{part}"), &["lanes", &heads, "frames", &size]);
        }
    }
    if model.held_notes.is_some() {
        let none = zeros(g, &mask, &[Pitch::COUNT as i64]);
        g.output(&none, "keys", &["lanes", &Pitch::COUNT.to_string()]);
    }
    graph.into_bytes(about)
}

fn decoder(model: &Vmt, storage: Storage, about: &About) -> Vec<u8> {
    let mut graph = GraphBuilder::new("vmt decoder", storage);
    let g = &mut graph;
    let (heads, size) = sizes(model);
    let (heads_axis, size_axis) = (heads.to_string(), size.to_string());
    let axes = |n| ["lanes", &heads_axis, n, &size_axis];

    let ids = g.input("input_ids", Type::Int64, &["lanes", "new"]);
    let places = g.input("position_ids", Type::Int64, &["lanes", "new"]);
    let mask = g.input("attention_mask", Type::Int64, &["lanes", "past + new"]);
    let frame_mask = frame_mask(g);

    let batch = Batch::new(g, &ids, heads * size);
    let flat = g.reshape(&ids, &[-1]);
    let (rows, table) = embedding(g, &model.embedding, &flat);
    let scale = g.float(((heads * size) as f32).sqrt());
    let rows = g.op("Mul", &[&rows, &scale]);
    let places = g.cast(&places, Type::Float);
    let position = sinusoids(g, model, &places);
    // The sum of these goes into the first layer.
    let mut embedded = vec![rows, position];

    if let Some(project) = &model.held_notes {
        let changes = g.floats(&[VOCABULARY as i64, Pitch::COUNT as i64], &note_change_table());
        let changes = g.op("Gather", &[&changes, &ids]);
        let changes = g.cumulative_sum(&changes, 1);
        let past = g.input("past.keys", Type::Float, &["lanes", &Pitch::COUNT.to_string()]);
        let past = g.unsqueeze(&past, &[1]);
        let held = g.op("Add", &[&past, &changes]);
        // Padding changes nothing.
        let (from, to, axis) = (g.ints(&[-1]), g.ints(&[i64::MAX]), g.ints(&[1]));
        let last = g.op("Slice", &[&held, &from, &to, &axis]);
        let last = g.op("Squeeze", &[&last, &axis]);
        g.output(&last, "present.keys", &["lanes", &Pitch::COUNT.to_string()]);
        let held = g.reshape(&held, &[-1, Pitch::COUNT as i64]);
        let scale = vec![((heads * size) as f32).sqrt(); heads * size];
        embedded.push(scaled_linear(g, "keys", project, &scale, &held));
    }
    if let Some(layer) = &model.conditions {
        let told = conditions(g, layer, &scale);
        embedded.push(batch.rows(g, &told));
    }
    let causal = causal_bias(g, model, &places, &mask);
    let frame_bias;
    if let Some(time_embedding) = &model.time_embedding {
        let times = g.input("time_steps", Type::Int64, &["lanes", "new"]);
        let times = g.cast(&times, Type::Float);
        let (frame, half) = (g.float(time_embedding.frame_steps as f32), g.float(0.5));
        let times = g.op("Div", &[&times, &frame]);
        let position = g.op("Sub", &[&times, &half]);

        let waves = sinusoids(g, model, &position);
        embedded.push(linear_not_quantized(g, "clock.project", &time_embedding.project, &waves));

        let count = g.size(&frame_mask, 1);
        let pictures = g.range(&count);
        let pictures = g.cast(&pictures, Type::Float);
        let position = g.unsqueeze(&position, &[1, 3]);
        let distance = g.op("Sub", &[&position, &pictures]);
        let distance = g.op("Abs", &[&distance]);
        let slopes =
            g.floats(&[heads as i64, 1, 1], &cross_alibi_slopes(heads).map(|slope| -slope).collect::<Vec<_>>());
        frame_bias = g.op("Mul", &[&distance, &slopes]);
    } else {
        frame_bias = g.float(0.0);
    }
    let attended = attended(g, &frame_mask);
    let frame_bias = masked_bias(g, &attended, &[1, 2], &frame_bias);
    let mut x = g.op("Sum", &embedded.iter().collect::<Vec<_>>());
    let mut past = None;
    for (index, layer) in model.decoder.iter().enumerate() {
        let name = format!("decoder.{index}");
        let y = layer_norm(g, &format!("{name}.self_norm"), &layer.self_norm, &x);
        let [q, k, v] = qkv(g, &format!("{name}.self_attention"), &layer.self_attention, &batch, &y);
        let [past_k, past_v] = [("key", &k), ("value", &v)].map(|(part, new)| {
            g.output(new, &format!("new.{index}.{part}"), &axes("new"));
            g.input(&format!("past_key_values.{index}.{part}"), Type::Float, &axes("past"))
        });
        let past = past.get_or_insert_with(|| g.axis(&past_k, 2));
        let y = batch.attend_cached(g, &q, [&past_k, &k], [&past_v, &v], past, &causal);
        let y = linear(g, &format!("{name}.self_attention.out"), &layer.self_attention.out, &y);
        x = g.op("Add", &[&x, &y]);

        let y = layer_norm(g, &format!("{name}.cross_norm"), &layer.cross_norm, &x);
        let CrossAttention { query, out, .. } = &layer.cross_attention;
        let scale = vec![self::scale(size); heads * size];
        let q = scaled_linear(g, &format!("{name}.cross_attention.query"), query, &scale, &y);
        let q = batch.heads_apart(g, &q, heads, size);
        let [k, v] =
            ["key", "value"].map(|part| g.input(&format!("cross.{index}.{part}"), Type::Float, &axes("frames")));
        let y = batch.attend(g, &q, &k, &v, &frame_bias);
        let y = linear(g, &format!("{name}.cross_attention.out"), out, &y);
        x = g.op("Add", &[&x, &y]);

        let y = layer_norm(g, &format!("{name}.feed_forward_norm"), &layer.feed_forward_norm, &x);
        let y = feed_forward(g, &format!("{name}.feed_forward"), &layer.feed_forward, &y);
        x = g.op("Add", &[&x, &y]);
    }
    let x = layer_norm(g, "decoder_norm", &model.decoder_norm, &x);
    let columns = g.transpose(&table, &[1, 0]);
    let logits = g.op("MatMul", &[&x, &columns]);
    let logits = batch.apart(g, &logits, &[VOCABULARY]);
    g.output(&logits, "logits", &["lanes", "new", &VOCABULARY.to_string()]);
    graph.into_bytes(about)
}

/// Sinusoids of f32 places, of any shape (paper eq. 3): `[places, hidden]`.
fn sinusoids(g: &mut GraphBuilder, model: &Vmt, places: &Var) -> Var {
    let frequencies: Vec<f32> =
        frequencies(model.embedding.weight.dims()[1]).into_iter().flat_map(|frequency| [frequency; 2]).collect();
    let even: Vec<bool> = (0..frequencies.len()).map(|column| column % 2 == 0).collect();
    let (frequencies, even) = (g.floats(&[frequencies.len() as i64], &frequencies), g.bools(&even));
    let places = g.reshape(places, &[-1, 1]);
    let angles = g.op("Mul", &[&places, &frequencies]);
    let [sine, cosine] = ["Sin", "Cos"].map(|wave| g.op(wave, &[&angles]));
    g.op("Where", &[&even, &sine, &cosine])
}

/// What is added to the scores of `new` queries at f32 `places` `[lanes, new]` over `past + new` slots: a query sees real slots up
/// to its own, the farther the less where the model has ALiBi (Press et al. 2022). `[lanes, 1 or heads, new, past + new]`.
fn causal_bias(g: &mut GraphBuilder, model: &Vmt, places: &Var, mask: &Var) -> Var {
    // The place of each real slot is how many are before it; others are farther than any query.
    let (before, real, nowhere) = (g.sum_before(mask, 1), g.cast(mask, Type::Bool), g.int(1 << 24));
    let slots = g.op("Where", &[&real, &before, &nowhere]);
    let slots = g.cast(&slots, Type::Float);
    let (slots, queries) = (g.unsqueeze(&slots, &[1, 2]), g.unsqueeze(places, &[1, 3]));
    let offset = g.op("Sub", &[&slots, &queries]);
    let (zero, masked) = (g.float(0.0), g.float(MASKED));
    let later = g.op("Greater", &[&offset, &zero]);
    let mut bias = zero;
    if model.alibi {
        let (heads, _) = sizes(model);
        let slopes = g.floats(&[heads as i64, 1, 1], &alibi_slopes(heads).collect::<Vec<_>>());
        bias = g.op("Mul", &[&offset, &slopes]);
    }
    g.op("Where", &[&later, &masked, &bias])
}

/// The shape `[lanes, n]` of a batch of tokens or frames. Between inputs and outputs, their vectors are the rows of one matrix
/// `[lanes n, hidden]`: some engines multiply each lane on its own where lanes have an axis.
struct Batch {
    shape: Var,
    hidden: usize,
}

impl Batch {
    /// That of a tensor `[lanes, n]`.
    fn new(g: &mut GraphBuilder, x: &Var, hidden: usize) -> Self {
        Self { shape: g.op("Shape", &[x]), hidden }
    }

    /// `[lanes, n, hidden]`, or the last axis in two, as rows.
    fn rows(&self, g: &mut GraphBuilder, x: &Var) -> Var {
        g.reshape(x, &[-1, self.hidden as i64])
    }

    /// Rows `[lanes n, ..]` as `[lanes, n, axes]`.
    fn apart(&self, g: &mut GraphBuilder, x: &Var, axes: &[usize]) -> Var {
        let axes = g.ints(&axes.iter().map(|&axis| axis as i64).collect::<Vec<_>>());
        let shape = g.concat(&[&self.shape, &axes], 0);
        g.op("Reshape", &[x, &shape])
    }

    /// Rows `[lanes n, heads size]` as `[lanes, heads, n, size]`.
    fn heads_apart(&self, g: &mut GraphBuilder, x: &Var, heads: usize, size: usize) -> Var {
        let y = self.apart(g, x, &[heads, size]);
        g.transpose(&y, &[0, 2, 1, 3])
    }

    /// The reverse.
    fn heads_joined(&self, g: &mut GraphBuilder, x: &Var) -> Var {
        let y = g.transpose(x, &[0, 2, 1, 3]);
        self.rows(g, &y)
    }

    /// Scaled dot-product attention (paper eq. 4) of queries, keys and values `[lanes, heads, n, size]`; heads joined again.
    fn attend(&self, g: &mut GraphBuilder, q: &Var, k: &Var, v: &Var, bias: &Var) -> Var {
        let scores = scores(g, q, k);
        let scores = g.op("Add", &[&scores, bias]);
        let weights = g.softmax(&scores);
        let y = g.op("MatMul", &[&weights, v]);
        self.heads_joined(g, &y)
    }

    /// The same over keys and values of `past` slots and of new ones. Only their scores are copied together.
    fn attend_cached(
        &self,
        g: &mut GraphBuilder,
        q: &Var,
        keys: [&Var; 2],
        values: [&Var; 2],
        past: &Var,
        bias: &Var,
    ) -> Var {
        let scores = keys.map(|k| scores(g, q, k));
        let scores = g.concat(&[&scores[0], &scores[1]], 3);
        let scores = g.op("Add", &[&scores, bias]);
        let weights = g.softmax(&scores);
        let (zero, end, axis) = (g.ints(&[0]), g.ints(&[i64::MAX]), g.ints(&[3]));
        let [old, new] = [(&zero, past), (past, &end)].map(|(from, to)| g.op("Slice", &[&weights, from, to, &axis]));
        let parts = [g.op("MatMul", &[&old, values[0]]), g.op("MatMul", &[&new, values[1]])];
        let y = g.op("Add", &[&parts[0], &parts[1]]);
        self.heads_joined(g, &y)
    }
}

/// Rows to queries, which are scaled, keys, and values: each of the layer's heads.
fn qkv(g: &mut GraphBuilder, name: &str, layer: &SelfAttention, batch: &Batch, x: &Var) -> [Var; 3] {
    let hidden = layer.qkv.weight.dims()[0];
    let scale: Vec<f32> = [vec![scale(hidden / layer.heads); hidden], vec![1.0; 2 * hidden]].concat();
    let y = scaled_linear(g, &format!("{name}.qkv"), &layer.qkv, &scale, x);
    let y = batch.heads_apart(g, &y, 3 * layer.heads, hidden / layer.heads);
    g.split(&y, 1)
}

/// Of scores (paper eq. 4). It is in the queries.
fn scale(size: usize) -> f32 {
    (size as f32).sqrt().recip()
}

/// Scores of queries with keys, both `[lanes, heads, n, size]`.
fn scores(g: &mut GraphBuilder, q: &Var, k: &Var) -> Var {
    let k = g.transpose(k, &[0, 1, 3, 2]);
    g.op("MatMul", &[q, &k])
}

fn feed_forward(g: &mut GraphBuilder, name: &str, layer: &FeedForward, x: &Var) -> Var {
    let y = linear(g, &format!("{name}.expand"), &layer.expand, x);
    let y = g.op("Relu", &[&y]);
    linear(g, &format!("{name}.contract"), &layer.contract, &y)
}
