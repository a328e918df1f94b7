//! Looks at a bundle, wherever it came from, and lists all that is wrong with it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::{fmt, fs};

use anyhow::Result;
use ndarray::Array2;
use prost::Message as _;
use serde::Serialize;
use tract_onnx::pb::{
    GraphProto, ModelProto, TensorProto, ValueInfoProto, tensor_proto::DataType, tensor_shape_proto::dimension::Value,
    type_proto,
};
use vmt::manifest::{Features, First, MANIFEST, Manifest};
use vmt::{Backend, Bundle, Error, Token, VOCABULARY, sha256};
use vmt_train::Model;

use crate::graph::MAT_MUL_N_BITS;
use crate::{Storage, parity};

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// In the order in which it was found; empty for a bundle that is right.
    pub problems: Vec<Problem>,
    /// For each engine that the bundle was tried on, the greedy tokens of each lane: noise, shorter noise, and no video.
    pub tokens: BTreeMap<&'static str, Vec<Vec<u16>>>,
    /// Engines that it was not tried on, and why.
    pub untried: BTreeMap<&'static str, String>,
}

/// One thing that is wrong.
#[derive(Debug, PartialEq, Serialize)]
pub struct Problem {
    /// The file, inside the bundle, or the engine.
    pub place: String,
    /// What was wanted, and what came.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl Report {
    fn add(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        let problem = Problem { place: place.into(), problem: problem.into() };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

/// Checks the bundle in `folder`: its manifest, hashes, the rules of ONNX that graphs must keep (each name defined once and
/// before its use, tensors as long as their shapes say, inputs and outputs as the manifest names them), whether every
/// engine that is there runs it, with the same greedy tokens, and, where the `model` is given, whether they agree with it.
pub fn check(folder: &Path, model: Option<&Model>) -> Report {
    let mut report = Report::default();
    let bundle = Bundle::open(folder);
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match &bundle {
        Err(Error::Bundle { path, reason }) => report.add(name(path), reason),
        Err(Error::Io { path, error }) => report.add(name(path), error.to_string()),
        Err(error) => report.add(MANIFEST, error.to_string()),
        Ok(_) => {}
    }
    // As far as it can be read: the loader stops at the first problem.
    let manifest = fs::read(folder.join(MANIFEST)).ok().and_then(|yaml| serde_yaml::from_slice::<Manifest>(&yaml).ok());
    let mut storage = Storage::F32;
    if let Some(manifest) = &manifest {
        let (encoder, decoder) = (&manifest.encoder, &manifest.decoder);
        let expected = [encoder_tensors(manifest), decoder_tensors(manifest)];
        let files = [(&encoder.file, &encoder.sha256), (&decoder.file, &decoder.sha256)];
        for ((file, hash), tensors) in files.into_iter().zip(expected) {
            // A manifest must not reach outside its folder, which the loader has said.
            if Path::new(file).file_name() != Some(file.as_ref()) {
                continue;
            }
            match check_file(&mut report, folder, file, hash, &tensors) {
                Ok(graph) => storage = storage.max(stored_as(&graph)),
                Err(problem) => report.add(file, problem),
            }
        }
    }
    if let (Ok(bundle), true) = (&bundle, report.problems.is_empty()) {
        try_engines(&mut report, bundle);
        // What is compared is what is stored.
        let parity = model.map(|model| parity::compare(&storage.stored(model), bundle.manifest().geometry, bundle));
        if let Some(Err(error)) = parity {
            report.add("weights", format!("{error:#}"));
        }
    }
    report
}

/// How the weights of a graph are stored.
fn stored_as(graph: &GraphProto) -> Storage {
    if graph.node.iter().any(|node| node.op_type == MAT_MUL_N_BITS) {
        Storage::Int4
    } else if graph.initializer.iter().any(|tensor| tensor.data_type == DataType::Float16 as i32) {
        Storage::F16
    } else {
        Storage::F32
    }
}

/// An input or output that the manifest names: whether it is an input, its type, and its axes as far as they are fixed.
struct Expected<'m> {
    name: &'m str,
    is_input: bool,
    r#type: DataType,
    axes: Vec<Option<usize>>,
}

impl<'m> Expected<'m> {
    fn input(name: &'m str, r#type: DataType, axes: &[Option<usize>]) -> Self {
        Self { name, is_input: true, r#type, axes: axes.to_vec() }
    }

    fn output(name: &'m str, axes: &[Option<usize>]) -> Self {
        Self { name, is_input: false, r#type: DataType::Float, axes: axes.to_vec() }
    }
}

fn encoder_tensors(manifest: &Manifest) -> Vec<Expected<'_>> {
    let (encoder, geometry) = (&manifest.encoder, &manifest.geometry);
    let pairs = encoder.features.as_ref().map(|_| 2);
    let pictures = [None, pairs, Some(3), Some(geometry.height()), Some(geometry.width())];
    let mut tensors = vec![
        Expected::input(&encoder.pixels, DataType::Uint8, &pictures),
        Expected::input(&encoder.frame_mask, DataType::Int64, &[None; 2]),
    ];
    if let Some(Features { size, known, indices, new }) = &encoder.features {
        let axes = [None, Some(*size)];
        tensors.push(Expected::input(known, DataType::Float, &axes));
        tensors.push(Expected::input(indices, DataType::Int64, &[None; 2]));
        tensors.push(Expected::output(new, &axes));
    }
    let first = manifest.state.iter().filter_map(|state| match &state.first {
        First::Encoder(name) => Some(name),
        First::Empty(_) => None,
    });
    tensors.extend(
        manifest.context.iter().map(|context| &context.from).chain(first).map(|name| Expected::output(name, &[])),
    );
    tensors
}

fn decoder_tensors(manifest: &Manifest) -> Vec<Expected<'_>> {
    let decoder = &manifest.decoder;
    let rows = [Some(&decoder.tokens), decoder.positions.as_ref(), decoder.times.as_ref()];
    let masks = [decoder.token_mask.as_ref(), decoder.frame_mask.as_ref()];
    let whole = rows.into_iter().chain(masks).flatten();
    let mut tensors: Vec<_> = whole.map(|name| Expected::input(name, DataType::Int64, &[None; 2])).collect();
    if let Some(conditions) = &decoder.conditions {
        let axes = [None, None, Some(conditions.columns.len())];
        tensors.push(Expected::input(&conditions.input, DataType::Int64, &axes));
    }
    tensors.extend(manifest.context.iter().map(|context| Expected::input(&context.to, DataType::Float, &[])));
    for state in &manifest.state {
        let axes: Vec<_> = match &state.first {
            // Where it is empty at first it grows.
            First::Empty(axes) => {
                [None].into_iter().chain(axes.iter().map(|&axis| (axis > 0).then_some(axis))).collect()
            }
            First::Encoder(_) => Vec::new(),
        };
        tensors.push(Expected::input(&state.to, DataType::Float, &axes));
        tensors.push(Expected::output(&state.from, &axes));
    }
    tensors.push(Expected::output(&decoder.logits, &[None, None, Some(VOCABULARY)]));
    tensors
}

/// Reads one of the graphs and checks it; an error where there is none.
fn check_file(
    report: &mut Report,
    folder: &Path,
    file: &str,
    hash: &str,
    expected: &[Expected],
) -> Result<GraphProto, String> {
    let bytes = fs::read(folder.join(file)).map_err(|error| error.to_string())?;
    let got = sha256(&bytes);
    if got != hash {
        report.add(file, format!("SHA-256 must be {hash}, but is {got}: not the file that the bundle was made with"));
    }
    let model = ModelProto::decode(&*bytes).map_err(|error| format!("is no ONNX: {error}"))?;
    if !model.opset_import.iter().any(|set| set.domain.is_empty() && set.version > 0) {
        report.add(file, "must import ONNX's own operator set, but does not");
    }
    let graph = model.graph.ok_or("has no graph")?;
    graph_problems(&graph).into_iter().for_each(|problem| report.add(file, problem));
    tensor_problems(&graph, expected).into_iter().for_each(|problem| report.add(file, problem));
    Ok(graph)
}

/// What breaks the rules of ONNX: names are defined once and before they are used, and tensors are as long as their shapes.
fn graph_problems(graph: &GraphProto) -> Vec<String> {
    let mut problems = Vec::new();
    let mut defined: HashSet<&str> = HashSet::new();
    let inputs = graph.input.iter().map(|input| &input.name);
    for name in inputs.chain(graph.initializer.iter().map(|tensor| &tensor.name)) {
        if !defined.insert(name) {
            problems.push(format!("`{name}` is defined twice"));
        }
    }
    problems.extend(graph.initializer.iter().filter_map(length_problem));
    for node in &graph.node {
        for name in node.input.iter().filter(|name| !name.is_empty() && !defined.contains(name.as_str())) {
            problems.push(format!("{} `{}` reads `{name}`, which nothing before it gives", node.op_type, node.name));
        }
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if !defined.insert(name) {
                problems.push(format!("`{name}` is defined twice"));
            }
        }
    }
    let missing = graph.output.iter().filter(|output| !defined.contains(output.name.as_str()));
    problems.extend(missing.map(|output| format!("the output `{}` is given by nothing", output.name)));
    problems
}

fn length_problem(tensor: &TensorProto) -> Option<String> {
    let size = match DataType::try_from(tensor.data_type).ok()? {
        DataType::Float | DataType::Int32 => 4,
        DataType::Float16 => 2,
        DataType::Int64 | DataType::Double => 8,
        DataType::Uint8 | DataType::Int8 | DataType::Bool => 1,
        _ => return None,
    };
    let count = tensor.dims.iter().try_fold(size, |product: usize, &axis| product.checked_mul(axis.try_into().ok()?));
    let got = tensor.raw_data.len();
    // Other writers may use the typed fields.
    let wrong = count != Some(got) && (got > 0 || count.is_none());
    wrong.then(|| format!("`{}` is {:?}, which needs {count:?} bytes, but has {got}", tensor.name, tensor.dims))
}

/// Inputs and outputs that are not as the manifest has them.
fn tensor_problems(graph: &GraphProto, expected: &[Expected]) -> Vec<String> {
    let mut problems = Vec::new();
    for Expected { name, is_input, r#type, axes } in expected {
        let (role, infos) = if *is_input { ("input", &graph.input) } else { ("output", &graph.output) };
        let Some(info) = infos.iter().find(|info| info.name == *name) else {
            problems.push(format!("has no {role} `{name}`, which the manifest names"));
            continue;
        };
        let Some((got, shape)) = tensor_type(info) else {
            problems.push(format!("the {role} `{name}` has no type"));
            continue;
        };
        if got != Some(*r#type) {
            problems.push(format!("the {role} `{name}` must be {type:?}, but is {got:?}"));
        }
        let differ =
            |(want, got): (&Option<usize>, &Option<usize>)| matches!((want, got), (Some(a), Some(b)) if a != b);
        let ranks = axes.is_empty() || axes.len() == shape.len();
        if !ranks || axes.iter().zip(&shape).any(differ) {
            problems.push(format!("the {role} `{name}` must be {}, but is {}", text(axes), text(&shape)));
        }
    }
    let named = |info: &&ValueInfoProto| !expected.iter().any(|tensor| tensor.is_input && tensor.name == info.name);
    let initial = |info: &&ValueInfoProto| !graph.initializer.iter().any(|tensor| tensor.name == info.name);
    let unnamed = graph.input.iter().filter(named).filter(initial);
    problems.extend(unnamed.map(|info| format!("has an input `{}`, which the manifest does not name", info.name)));
    problems
}

/// Element type and axes, `None` for those that have a name and no length.
fn tensor_type(info: &ValueInfoProto) -> Option<(Option<DataType>, Vec<Option<usize>>)> {
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref()?.value.as_ref() else { return None };
    let axis = |value: &Value| match value {
        Value::DimValue(length) => usize::try_from(*length).ok(),
        Value::DimParam(_) => None,
    };
    let dims = tensor.shape.iter().flat_map(|shape| &shape.dim).map(|dim| dim.value.as_ref().and_then(axis));
    Some((DataType::try_from(tensor.elem_type).ok(), dims.collect()))
}

fn text(axes: &[Option<usize>]) -> String {
    let axes: Vec<_> = axes.iter().map(|axis| axis.map_or("?".to_owned(), |length| length.to_string())).collect();
    format!("[{}]", axes.join(", "))
}

/// Decodes greedily on every engine that is there.
fn try_engines(report: &mut Report, bundle: &Bundle) {
    for (name, backend) in [("tract", Backend::Tract), ("ort", Backend::Ort)] {
        if let (Backend::Ort, Err(error)) = (backend, vmt::ort::library()) {
            report.untried.insert(name, error.to_string());
            continue;
        }
        match greedy_tokens(bundle, backend) {
            Ok(tokens) => drop(report.tokens.insert(name, tokens)),
            Err(error) => report.add(name, format!("{error:#}")),
        }
    }
    let mut all = report.tokens.iter();
    let Some((&first, wanted)) = all.next() else { return };
    let differ: Vec<_> = all.filter(|(_, tokens)| *tokens != wanted).map(|(&name, _)| name).collect();
    for name in differ {
        report.add(name, format!("its greedy tokens are not those of {first}"));
    }
}

/// The tokens of each lane of [`parity::clips`].
fn greedy_tokens(bundle: &Bundle, backend: Backend) -> Result<Vec<Vec<u16>>> {
    let engine = backend.load(bundle, None)?;
    let clips = parity::clips(&engine.geometry())?;
    let (tokens, _): (Array2<Token>, _) = parity::decode_greedily(&*engine, &clips)?;
    Ok(tokens.outer_iter().map(|row| row.iter().map(|token| token.id()).collect()).collect())
}
