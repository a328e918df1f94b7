//! Bundles that are not what they say, and bundles as the exporter makes them.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::Embedding;
use burn::tensor::{Device, Tensor};
use proptest::prelude::*;
use vmt::{
    Backend, Beat, Bundle, Clip, Condition, Conditions, Engine as _, Error, Note, Pitch, Result, Score, Token,
    VOCABULARY, manifest::MANIFEST, midi, sha256,
};
use vmt_export::{About, MODEL, Storage, TOLERANCE, check, export, read_back, storage_cost};
use vmt_train::data::{Split, Splits};
use vmt_train::eval::HeldOut;
use vmt_train::fit::checkpoint::{load_model, save_model};
use vmt_train::model::ConditionEmbedding;
use vmt_train::{Architecture, BurnEngine, Model, ModelConfig};

use crate::support::{BUNDLES, TINY, clip, folder, load, model, noise, open, text};

/// What a bundle is made of, to be broken.
#[derive(Clone)]
struct Parts {
    manifest: String,
    encoder: Vec<u8>,
    decoder: Vec<u8>,
}

impl Parts {
    fn of(bundle: &str) -> Self {
        let read = |name| fs::read(folder(bundle).join(name)).unwrap();
        let manifest = String::from_utf8(read("manifest.yaml")).unwrap();
        Self { manifest, encoder: read("encoder.onnx"), decoder: read("decoder.onnx") }
    }

    /// Says `that` where the manifest says `this` for the first time.
    #[track_caller]
    fn say(self, this: &str, that: &str) -> Self {
        assert!(self.manifest.contains(this), "the manifest has no {this:?}");
        Self { manifest: self.manifest.replacen(this, that, 1), ..self }
    }

    /// Takes another encoder, with its hash.
    fn encoder(self, bytes: &[u8]) -> Self {
        let hash = sha256(&self.encoder);
        Self { encoder: bytes.to_vec(), ..self }.say(&hash, &sha256(bytes))
    }

    /// Takes another decoder, with its hash.
    fn decoder(self, bytes: &[u8]) -> Self {
        let hash = sha256(&self.decoder);
        Self { decoder: bytes.to_vec(), ..self }.say(&hash, &sha256(bytes))
    }

    fn write(&self, dir: &Path) {
        fs::write(dir.join("manifest.yaml"), &self.manifest).unwrap();
        fs::write(dir.join("encoder.onnx"), &self.encoder).unwrap();
        fs::write(dir.join("decoder.onnx"), &self.decoder).unwrap();
    }

    fn open(&self) -> Result<Bundle> {
        let dir = tempfile::tempdir().unwrap();
        self.write(dir.path());
        Bundle::open(dir.path())
    }
}

fn vmt() -> Parts {
    Parts::of("tiny-vmt")
}

fn seq2seq() -> Parts {
    Parts::of("tiny-seq2seq")
}

/// The bundle cannot be opened, because of this file.
#[track_caller]
fn refused(parts: &Parts, file: &str, want: &str) {
    let error = text(parts.open());
    let at = error.find(file).unwrap_or_else(|| panic!("{error}, not {file}"));
    assert!(error[at + file.len()..].starts_with(&format!(": {want}")), "{error}, not {want}");
}

#[test]
fn manifests() {
    let check = |this: &str, that: &str, want: &str| refused(&vmt().say(this, that), "manifest.yaml", want);
    check("format: 4", "format: 0", "`format` must be 1 to 4, but is 0");
    check("format: 4", "format: 5", "`format` must be 1 to 4, but is 5: this bundle needs a newer version of vmt");
    check("format: 4", "format: -1", "format: invalid");
    let want = "`features` of the encoder must be there from format 4 on, and only there, but `format` is";
    check("format: 4", "format: 3", &format!("{want} 3"));
    refused(
        &Parts::of("../tests/data/formats/3/tiny-vmt").say("format: 3", "format: 4"),
        "manifest.yaml",
        &format!("{want} 4"),
    );
    for size in ["0", "1048577", "18446744073709551615"] {
        let want = format!("`size` of the encoder's `features` must be 1 to 1048576, but is {size}");
        check("size: 16", &format!("size: {size}"), &want);
    }
    check("license: MIT OR Apache-2.0\n", "", "missing field `license`");
    check("state:", "stats:", "unknown field `stats`, expected one of");
    check("name: tiny-vmt\n", "name: a\nname: b\n", "duplicate field `name`");
    check("performance-310", "performance-311", "`vocabulary` must be performance-310, but is performance-311");
    check("height: 32", "height: 0", "`geometry` must be 1-4096 frames, rows and columns");
    check("width: 32", "width: 4097", "`geometry` must be 1-4096 frames, rows and columns");
    check("frame_ms: 250", "frame_ms: 0", "`geometry` must be 1-4096 frames, rows and columns");
    check("max_tokens: 1024", "max_tokens: 1", "`max_tokens` must be at least 2, but is 1");
    check("first:", "last:", "state[0]: unknown field `last`");
    check("    empty:", "    full:", "state[0].first: unknown variant `full`, expected `empty` or `encoder`");
    check("    - 2\n", "    - two\n", "state[0].first.empty[0]: invalid type");
    let older = Parts::of("../tests/data/formats/3/tiny-vmt").say("format: 3", "format: 2");
    refused(&older, "manifest.yaml", "`append` needs format 3 at least, but `format` is 2");
    check(
        "  token_mask: attention_mask\n",
        "",
        "`append` needs a `token_mask`, but there is none, and `past_key_values.0.",
    );
    for (this, that, is, state) in [
        ("  append: true\n", "", false, "0.key"),
        ("  append: true\n", "  append: false\n", false, "0.key"),
        ("    - 0\n    - 16\n", "    - 1\n    - 16\n", true, "0.key"),
        ("    - 0\n    - 16\n", "    - 0\n    - 0\n", true, "0.key"),
    ] {
        let want = format!(
            "`append` must be true for every state that is empty along one axis at first, and for no other, but is {is} for \
             `past_key_values.{state}`"
        );
        check(this, that, &want);
    }
    check(&vmt().manifest, "", "missing field `format`");
    check(&vmt().manifest, "[]", "invalid type: sequence");
    check(&vmt().manifest, "{", "");
    check(&vmt().manifest, &"[".repeat(100_000), "");
}

#[test]
fn files_lie_in_the_folder() {
    for name in ["../encoder.onnx", "/etc/hostname", "./encoder.onnx", "encoder.onnx/", "..", "''"] {
        let want = format!("`file` must be a name in this folder, but is `{}`", name.trim_matches('\''));
        refused(&vmt().say("file: encoder.onnx", &format!("file: {name}")), "manifest.yaml", &want);
    }
}

#[test]
fn files_are_there_and_whole() {
    refused(&vmt().say("encoder.onnx", "missing.onnx"), "missing.onnx", "");
    refused(&vmt().say("decoder.onnx", "encoder.onnx"), "encoder.onnx", "SHA-256 must be 5ee06b07cf8e9ecfec91");
    let mut flipped = vmt();
    flipped.decoder[100_000] ^= 1;
    refused(&flipped, "decoder.onnx", "SHA-256 must be 5ee06b07cf8e9ecfec91");
    assert!(text(Bundle::open(folder("missing"))).contains("manifest.yaml: "));

    let dir = tempfile::tempdir().unwrap();
    vmt().write(dir.path());
    fs::write(dir.path().join("manifest.yaml"), [0xFF; 100]).unwrap();
    assert!(text(Bundle::open(dir.path())).contains("manifest.yaml: "));
    fs::remove_file(dir.path().join("manifest.yaml")).unwrap();
    assert!(text(Bundle::open(dir.path())).contains("manifest.yaml: "));
}

#[test]
fn a_tensor_has_one_role() {
    let check = |parts: Parts, graph: &str, name: &str| {
        let want = format!("each tensor has one role, but the {graph} has two for `{name}`");
        refused(&parts, "manifest.yaml", &want);
    };
    check(vmt().say("frame_mask: frame_mask", "frame_mask: pixel_values"), "encoder", "pixel_values");
    check(vmt().say("known: frame_features", "known: pixel_values"), "encoder", "pixel_values");
    check(vmt().say("indices: frame_indices", "indices: frame_mask"), "encoder", "frame_mask");
    check(vmt().say("new: new_frame_features", "new: cross.0.key"), "encoder", "cross.0.key");
    check(vmt().say("input_ids", "attention_mask"), "decoder", "attention_mask");
    check(vmt().say("to: cross.0.key", "to: cross.0.value"), "decoder", "cross.0.value");
    check(vmt().say("to: past_key_values.0.key", "to: input_ids"), "decoder", "input_ids");
    check(vmt().say("from: new.0.key", "from: logits"), "decoder", "logits");
    check(seq2seq().say("encoder: hidden", "encoder: memory"), "encoder", "memory");
}

/// tract and ONNX Runtime both refuse the bundle, and say which graph is at fault and all of `want`.
#[track_caller]
fn unfit(parts: &Parts, file: &str, want: &[&str]) {
    let bundle = parts.open().unwrap();
    for (engine, backend) in [("tract", Backend::Tract), ("ort", Backend::Ort)] {
        let error = text(load(&bundle, backend).map(drop));
        assert!(error.starts_with(&format!("{engine}: {file}: ")), "{error}, not of {file}");
        want.iter().for_each(|want| assert!(error.contains(want), "{error}, not {want}"));
    }
}

#[test]
fn graphs_that_are_none() {
    let Parts { encoder, decoder, .. } = vmt();
    let mut noise = noise(1);
    let random: Vec<u8> = (0..10_000).map(|_| noise() as u8).collect();
    for bytes in [&[], random.as_slice(), &[0; 1000], b"<html>not found</html>", &encoder[..encoder.len() / 2]] {
        unfit(&vmt().encoder(bytes), "encoder.onnx", &[]);
    }
    for bytes in [&[], random.as_slice(), &decoder[..decoder.len() - 1], &decoder[..decoder.len() / 2]] {
        unfit(&vmt().decoder(bytes), "decoder.onnx", &[]);
    }
}

#[test]
fn graphs_of_another_bundle() {
    unfit(&vmt().decoder(&vmt().encoder).encoder(&vmt().decoder), "encoder.onnx", &["pixel_values"]);
    unfit(&vmt().encoder(&seq2seq().encoder), "encoder.onnx", &["cross.0.key"]);
    unfit(&vmt().decoder(&seq2seq().decoder), "decoder.onnx", &["position_ids"]);
    unfit(&seq2seq().decoder(&vmt().decoder), "decoder.onnx", &["memory"]);
}

#[test]
fn geometry_that_does_not_fit() {
    unfit(&vmt().say("height: 32", "height: 64"), "encoder.onnx", &["32", "64"]);
    unfit(&seq2seq().say("width: 32", "width: 8"), "encoder.onnx", &["32", "8"]);
}

#[test]
fn features_that_do_not_fit() {
    unfit(&vmt().say("size: 16", "size: 17"), "encoder.onnx", &["16", "17"]);
    let swapped = vmt().say("from: cross.0.key", "from: x").say("new: new_frame_features", "new: cross.0.key");
    let want = "`cross.0.key` must be [1, 16] (pictures, size), but is [";
    unfit(&swapped.say("from: x", "from: new_frame_features"), "encoder.onnx", &[want]);
}

#[test]
fn names_that_do_not_exist() {
    for (this, file, name) in [
        ("pixels: pixel_values", "encoder.onnx", "pixels: pictures"),
        ("known: frame_features", "encoder.onnx", "known: features"),
        ("indices: frame_indices", "encoder.onnx", "indices: rows"),
        ("new: new_frame_features", "encoder.onnx", "new: given"),
        ("tokens: input_ids", "decoder.onnx", "tokens: ids"),
        ("logits: logits", "decoder.onnx", "logits: scores"),
        ("from: cross.0.key", "encoder.onnx", "from: cross.9.key"),
        ("to: cross.0.key", "decoder.onnx", "to: cross.9.key"),
        ("from: new.0.key", "decoder.onnx", "from: new.9.key"),
        ("to: past_key_values.0.key", "decoder.onnx", "to: past_key_values.9.key"),
    ] {
        unfit(&vmt().say(this, name), file, &[name.split(": ").nth(1).unwrap()]);
    }
    unfit(&seq2seq().say("encoder: hidden", "encoder: nothing"), "encoder.onnx", &["nothing"]);
    unfit(
        &seq2seq().say("tokens: input_ids\n", "tokens: input_ids\n  positions: places\n"),
        "decoder.onnx",
        &["places"],
    );
}

#[test]
fn inputs_that_are_forgotten() {
    unfit(&vmt().say("  positions: position_ids\n", ""), "decoder.onnx", &["position_ids"]);
    unfit(&vmt().say("  times: time_steps\n", ""), "decoder.onnx", &["time_steps"]);
    unfit(&seq2seq().say("  token_mask: attention_mask\n", ""), "decoder.onnx", &["attention_mask"]);
    unfit(&vmt().say("- from: cross.0.key\n  to: cross.0.key\n", ""), "decoder.onnx", &["cross.0.key"]);
    let state = "\n- from: present.hidden\n  to: past.hidden\n  first:\n    encoder: hidden\n";
    unfit(&seq2seq().say(state, " []\n"), "decoder.onnx", &["past.hidden"]);
}

#[test]
fn names_that_are_swapped() {
    let swapped = vmt().say("pixels: pixel_values", "pixels: x").say("mask: frame_mask", "mask: pixel_values");
    unfit(&swapped.say("pixels: x", "pixels: frame_mask"), "encoder.onnx", &[]);
    let swapped = vmt().say("logits: logits", "logits: x").say("from: new.0.key", "from: logits");
    unfit(&swapped.say("logits: x", "logits: new.0.key"), "decoder.onnx", &["`new.0.key` must be [2, 1, 310]"]);
}

#[test]
fn states_that_do_not_fit() {
    let empty = |shape: &str| vmt().say("empty:\n    - 2\n    - 0\n    - 16\n", &format!("empty: {shape}\n"));
    for shape in ["[3, 0, 16]", "[0, 2, 16]", "[2, 0, 17]", "[2, 16, 0]", "[0]"] {
        unfit(&empty(shape), "decoder.onnx", &[]);
    }
    unfit(&seq2seq().say("encoder: hidden", "empty: [2, 0, 32]"), "decoder.onnx", &[]);
    let older = |shape: &str| {
        let parts = Parts::of("../tests/data/formats/2/tiny-vmt");
        parts.say("empty:\n    - 2\n    - 0\n    - 16\n", &format!("empty: {shape}\n"))
    };
    for shape in ["[2, 1, 16]", "[]", "[9223372036854775807, 0, 9223372036854775807]"] {
        let want = "the empty state of `past_key_values.0.key` must have a 0 in its shape";
        for backend in [Backend::Tract, Backend::Ort] {
            assert!(text(load(&older(shape).open().unwrap(), backend).map(drop)).ends_with(want));
        }
    }
    // What is appended must be what was fed.
    let [value, held] = ["from: new.0.value", "from: present.keys"];
    let swapped = vmt().say(value, "from: x").say(held, value).say("from: x", held);
    unfit(&swapped, "decoder.onnx", &["`present.keys` must be what 1 tokens add, but is [2, 88]"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Nothing in a manifest makes the program panic: it is refused as what it is, or the bundle works.
    #[test]
    fn damaged_manifests(
        seq2seq: bool,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), b'0'..=b'9', b'a'..=b'z']), 1..3),
    ) {
        let parts = Parts::of(BUNDLES[usize::from(seq2seq)]);
        let mut bytes = parts.manifest.clone().into_bytes();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let manifest = String::from_utf8_lossy(&bytes).into_owned();
        let bundle = match (Parts { manifest, ..parts }).open() {
            Ok(bundle) => bundle,
            Err(error) => {
                prop_assert!(matches!(error, Error::Bundle { .. } | Error::Io { .. }), "{error:?}");
                return Ok(());
            }
        };
        for (name, backend) in [("tract", Backend::Tract), ("ort", Backend::Ort)] {
            match load(&bundle, backend) {
                Ok(engine) => {
                    let clip = clip(engine.geometry(), 1, 1);
                    let logits = engine.open(&[clip]).unwrap().step(&[Token::PAD]).unwrap().to_owned();
                    prop_assert_eq!(logits.dim(), (1, VOCABULARY));
                    prop_assert!(logits.iter().all(|logit| logit.is_finite()));
                }
                Err(Error::Engine { engine, .. }) => prop_assert_eq!(engine, name),
                Err(error) => prop_assert!(false, "{error:?}"),
            }
        }
    }
}

/// The runtime does not depend on what is for people.
#[test]
fn words_for_people_may_be_any() {
    let bundle = vmt().say("name: tiny-vmt", "name: anything").say("license: MIT", "license: NIT").open().unwrap();
    assert_eq!(bundle.manifest().name, "anything");
    assert!(load(&bundle, Backend::Tract).is_ok() && load(&bundle, Backend::Ort).is_ok());
}

/// What `vmt-export --check` finds wrong with these files.
fn problems(parts: &Parts) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    parts.write(dir.path());
    check(dir.path(), None).problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_check_finds_nothing_wrong_with_what_was_exported() {
    for bundle in BUNDLES {
        let (_, model) = model(bundle);
        let report = check(&folder(bundle), Some(&model));
        assert_eq!(report.problems, []);
        assert!(report.tokens["tract"] == report.tokens["ort"] && report.untried.is_empty());
        assert!(report.tokens["ort"].iter().all(|lane| lane.len() == 257));
    }
    let (_, other) = model("tiny-vmt");
    let report = check(&folder("tiny-seq2seq"), Some(&other));
    assert!(report.problems.len() == 1 && report.problems[0].place == "weights", "{:?}", report.problems);
}

#[test]
fn a_check_names_every_problem() {
    let one = |parts: &Parts, want: &str| {
        let problems = problems(parts);
        assert!(problems.iter().any(|problem| problem.contains(want)), "{problems:?}, not {want}");
    };
    let mut flipped = vmt();
    flipped.decoder[5000] ^= 4;
    one(&flipped, "decoder.onnx: SHA-256 must be ");
    one(&vmt().say("format: 4", "format: 9\nfuture: 1"), "manifest.yaml: ");
    one(&vmt().say("format: 4", "format: 9\nfuture: 1"), "but is 9: this bundle needs a newer version of vmt");
    one(&vmt().say("license: MIT OR Apache-2.0\n", ""), "manifest.yaml: ");

    // Nodes come first in the file, so the last mention of a weight is its own.
    let renamed = |name: &str| {
        let mut decoder = vmt().decoder;
        let place = decoder.windows(name.len()).rposition(|bytes| bytes == name.as_bytes()).unwrap();
        decoder[place] = b'?';
        vmt().decoder(&decoder)
    };
    one(&renamed("decoder_norm.gamma"), "which nothing before it gives");
    one(
        &vmt().say("logits: logits", "logits: scores"),
        "decoder.onnx: has no output `scores`, which the manifest names",
    );
    one(&vmt().say("  times: time_steps\n", ""), "has an input `time_steps`, which the manifest does not name");
    one(&vmt().say("size: 16", "size: 17"), "the input `frame_features` must be [?, 17], but is [?, 16]");
    one(
        &vmt().say("height: 32", "height: 64"),
        "the input `pixel_values` must be [?, 2, 3, 64, 32], but is [?, 2, 3, 32, 32]",
    );
    one(
        &vmt().say("pixels: pixel_values", "pixels: frame_mask").say("mask: frame_mask", "mask: pixel_values"),
        "must be Uint8",
    );
    let outside = problems(&vmt().say("file: encoder.onnx", "file: ../encoder.onnx"));
    assert_eq!(outside, ["manifest.yaml: `file` must be a name in this folder, but is `../encoder.onnx`"]);
    one(&vmt().encoder(b"<html>not found</html>"), "encoder.onnx: ");
    assert_eq!(problems(&Parts { encoder: Vec::new(), decoder: vec![0; 9], ..vmt() }).len(), 5, "all at once");
}

fn about(bundle: &str) -> About {
    let description = "Untrained: weights drawn from seed 1. It plays noise; it is here to test with.";
    About { name: bundle.into(), description: description.into(), license: "MIT OR Apache-2.0".into() }
}

/// The files of a folder, hidden ones too, and what is in them.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| (path.file_name().unwrap().to_string_lossy().into(), fs::read(&path).unwrap_or_default()))
        .collect()
}

fn names(dir: &Path) -> Vec<String> {
    files(dir).into_keys().collect()
}

#[test]
fn the_committed_bundles_can_be_made_again() {
    for bundle in BUNDLES {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("deep/er").join(bundle);
        let (config, model) = model(bundle);
        // The second time, it takes the place of the first.
        for _ in 0..2 {
            export(&model, &config, &about(bundle), Storage::F32, &out).unwrap();
            assert!(files(&out) == files(&folder(bundle)), "{bundle} is not the committed one any more");
            assert_eq!(names(out.parent().unwrap()), [bundle]);
        }
    }
}

#[test]
fn weights_can_be_read_back() {
    for bundle in BUNDLES {
        let dir = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
        // With a pooling grid, which no committed tiny bundle has.
        let config = ModelConfig { pool_grid: 2, ..model(bundle).0 };
        export(&config.init(1, &Device::flex()), &config, &about(bundle), Storage::F32, &first).unwrap();
        let (same, model) = read_back(&first, None, &Device::flex()).unwrap();
        assert_eq!(same, config);
        export(&model, &config, &about(bundle), Storage::F32, &second).unwrap();
        assert!(files(&first) == files(&second), "{bundle}");

        let checkpoint = dir.path().join("checkpoint");
        save_model(&checkpoint, &config, model).unwrap();
        assert_eq!(load_model(&checkpoint, &Device::flex()).unwrap().0, config);
        let again = save_model(&checkpoint, &config, self::model(bundle).1).unwrap_err().to_string();
        assert!(again.ends_with("checkpoint: must be a new folder, but is there already"), "{again}");
        assert_eq!(names(dir.path()), ["checkpoint", "first", "second"]);

        let larger = ModelConfig { pool_grid: 4, ..config };
        fs::write(first.join(MODEL), serde_yaml::to_string(&larger).unwrap()).unwrap();
        let error = read_back(&first, None, &Device::flex()).unwrap_err().to_string();
        assert!(error.contains("lacks weights of the model in model.yaml: frames.project.weight"), "{error}");
    }
}

#[test]
fn a_bundle_is_expanded_to_a_larger_model() {
    let expanded = ModelConfig { pool_grid: 2, ..model("tiny-vmt").0 };
    let Architecture::Vmt { heads, feed_forward, time_embedding, alibi, .. } = expanded.model else { unreachable!() };
    let parts = Architecture::Vmt { heads, feed_forward, time_embedding, alibi, held_notes: false };
    let config = ModelConfig { model: parts, motion: false, ..expanded.clone() };
    let model = config.init(1, &Device::flex());
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("small");
    export(&model, &config, &about("small"), Storage::F32, &bundle).unwrap();

    // New parameters change nothing yet.
    let (sizes, larger) = read_back(&bundle, Some(expanded.clone()), &Device::flex()).unwrap();
    assert!(sizes == expanded && larger.num_params() > model.num_params());
    let logits = |model: Model| {
        let engine = BurnEngine::new(model, expanded.geometry);
        let mut session = engine.open(&[clip(expanded.geometry, 5, 1)]).unwrap();
        session.feed(&[&[Token::PAD, Token::new(50).unwrap()]]).unwrap().to_owned()
    };
    assert_eq!(logits(larger), logits(model));

    // What the bundle has must fit, and a model is not expanded unless that is asked for.
    let wider = ModelConfig { pool_grid: 4, ..expanded.clone() };
    let error = read_back(&bundle, Some(wider), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("lacks weights") && error.contains("frames.project.weight"), "{error}");
    fs::write(bundle.join(MODEL), serde_yaml::to_string(&expanded).unwrap()).unwrap();
    let error = read_back(&bundle, None, &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("keys.weight") && error.contains("frames.motion.weight"), "{error}");
}

#[test]
fn weights_in_fewer_bits_are_nearly_as_good() {
    for bundle in BUNDLES {
        for (storage, most, furthest) in [(Storage::F16, 0.7, 0.02), (Storage::Int4, 0.66, 0.5)] {
            let dir = tempfile::tempdir().unwrap();
            let [out, f32] = ["out", "f32"].map(|name| dir.path().join(name));
            let (config, model) = model(bundle);
            let worst = export(&model, &config, &about(bundle), storage, &out).unwrap();
            assert!(worst.values().all(|worst| worst.encoder <= TOLERANCE && worst.logits <= TOLERANCE));
            let small = Bundle::open(&out).unwrap();
            let total = |bundle: &Bundle| bundle.sizes().iter().sum::<usize>() as f64;
            assert!(total(&small) < total(&open(bundle)) * most, "{bundle} {storage:?}: {}", total(&small));

            let logits = |bundle| {
                let engine = load(bundle, Backend::Tract).unwrap();
                engine.open(&[clip(TINY, 40, 1)]).unwrap().step(&[Token::PAD]).unwrap().to_owned()
            };
            let (stored, exact) = (logits(&small), logits(&open(bundle)));
            let far = stored.iter().zip(&exact).map(|(stored, exact)| (stored - exact).abs()).fold(0.0, f32::max);
            assert!(far > 0.0 && far < furthest, "{bundle} {storage:?}: {far}");

            // What is checked and read back is what is stored.
            assert_eq!(check(&out, Some(&model)).problems, []);
            let (_, back) = read_back(&out, None, &Device::flex()).unwrap();
            export(&back, &config, &about(bundle), Storage::F32, &f32).unwrap();
            assert_eq!(check(&f32, Some(&storage.stored(&model))).problems, []);
        }
    }
}

#[test]
fn storage_that_costs_too_much_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let note = |number: u32| Note {
        start: number * 25,
        end: number * 25 + 20,
        pitch: Pitch::new(60 + number as u8 % 7).unwrap(),
        velocity: 80,
    };
    let score = Score::new((0..80).map(note).collect(), Duration::from_secs(20)).unwrap();
    fs::write(dir.path().join("a.mid"), midi::write(&score).unwrap()).unwrap();
    let splits = Splits::Listed([("a".into(), Split::Test)].into());
    let (config, model) = model("tiny-vmt");
    let songs = HeldOut::open(dir.path(), Split::Test, &splits, &[config.geometry]).unwrap();
    let cost = |storage, most| storage_cost(&model, &config, storage, &songs, 3, most);
    let none = cost(Storage::F32, 0.0).unwrap();
    assert!(none.stored == none.exact && none.exact > 3.0, "{none:?}");
    let some = cost(Storage::Int4, 10.0).unwrap();
    assert!(
        some.exact == none.exact && some.stored != some.exact && (some.stored - some.exact).abs() < 0.2,
        "{some:?}"
    );
    let refused = cost(Storage::Int4, -10.0).unwrap_err().to_string();
    assert!(refused.starts_with("the storage must not cost more than -10 nats an event, but costs "), "{refused}");
}

/// In the committed bundles it is 0, as in every model that is untrained.
#[test]
fn the_vector_of_no_video_is_exported() {
    for bundle in BUNDLES {
        let dir = tempfile::tempdir().unwrap();
        let (config, mut model) = model(bundle);
        let frames = match &mut model {
            Model::Vmt(model) => &mut model.frames,
            Model::Seq2Seq(model) => &mut model.frames,
        };
        let learned = Tensor::arange(0..config.hidden as i64, &Device::flex()).float().sin();
        frames.no_video = Param::from_tensor(learned);
        // This compares it with burn, on tract and on ONNX Runtime.
        export(&model, &config, &about(bundle), Storage::F32, &dir.path().join("learned")).unwrap();
        let learned = Bundle::open(dir.path().join("learned")).unwrap();

        let logits = |bundle| {
            let engine = load(bundle, Backend::Tract).unwrap();
            let clips = [clip(TINY, 40, 1), Clip::without_video(&TINY)];
            engine.open(&clips).unwrap().step(&[Token::PAD; 2]).unwrap().to_owned()
        };
        let (learned, untrained) = (logits(&learned), logits(&open(bundle)));
        assert_eq!(learned.row(0), untrained.row(0));
        assert_ne!(learned.row(1), untrained.row(1));
    }
}

struct Spoil;

impl ModuleMapper for Spoil {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|values| values * f32::NAN)
    }
}

/// Exporting compares with burn, on tract and on ONNX Runtime, with all conditions known and with none.
#[test]
fn a_model_with_conditions_is_told_them() {
    for bundle in BUNDLES {
        let dir = tempfile::tempdir().unwrap();
        let config = ModelConfig { conditions: true, ..model(bundle).0 };
        let mut model = config.init(1, &Device::flex());
        let conditions = match &mut model {
            Model::Vmt(model) => &mut model.conditions,
            Model::Seq2Seq(model) => &mut model.conditions,
        };
        let (_, rows) = Condition::offsets();
        let learned = Tensor::arange(0..(rows * config.hidden) as i64, &Device::flex()).float().sin() * 0.05;
        let learned = Param::from_tensor(learned.reshape([rows, config.hidden]));
        *conditions = Some(ConditionEmbedding { values: Embedding { weight: learned } });
        let out = dir.path().join("told");
        export(&model, &config, &about(bundle), Storage::F32, &out).unwrap();
        let told = Bundle::open(&out).unwrap();
        assert_eq!(told.manifest().format, 4);

        let beat = |number: u8| Beat { step: 50.0 * f64::from(number), in_bar: number % 4 + 1, per_bar: 4 };
        let metre = Conditions { beats: (0..30).map(beat).collect(), ..Conditions::default() };
        let clips = [clip(TINY, 40, 1).with_conditions(metre), clip(TINY, 40, 1)];
        for backend in [Backend::Tract, Backend::Ort] {
            let logits = |bundle| {
                let engine = load(bundle, backend).unwrap();
                engine.open_takes(&clips, 2).unwrap().step(&[Token::PAD; 4]).unwrap().to_owned()
            };
            let logits = logits(&told);
            assert_eq!([logits.row(0), logits.row(2)], [logits.row(1), logits.row(3)]);
            assert_ne!(logits.row(0), logits.row(2));
        }

        // What format 2 has no word for is refused there.
        let path = out.join(MANIFEST);
        let older = fs::read_to_string(&path).unwrap().replace("format: 4", "format: 2");
        fs::write(&path, older).unwrap();
        let error = Bundle::open(&out).unwrap_err().to_string();
        assert!(error.ends_with("`conditions` need format 3 at least, but `format` is 2"), "{error}");
        // And the weights can be read back.
        fs::write(&path, fs::read_to_string(&path).unwrap().replace("format: 2", "format: 4")).unwrap();
        let (same, read) = read_back(&out, None, &Device::flex()).unwrap();
        let again = dir.path().join("again");
        export(&read, &same, &about(bundle), Storage::F32, &again).unwrap();
        assert!(files(&again) == files(&out));
    }
}

#[test]
fn a_model_that_cannot_be_compared_leaves_nothing_behind() {
    for bundle in BUNDLES {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let (config, model) = model(bundle);
        let spoilt = || export(&model.clone().map(&mut Spoil), &config, &about(bundle), Storage::F32, &out);
        let error = format!("{:#}", spoilt().unwrap_err());
        assert!(error.starts_with("tract does not agree with burn: an encoder output differs by NaN"), "{error}");
        assert_eq!(names(dir.path()), [""; 0]);

        // What was there stays.
        fs::create_dir(&out).unwrap();
        Parts::of(bundle).write(&out);
        let before = files(&out);
        spoilt().unwrap_err();
        assert_eq!(names(dir.path()), ["out"]);
        assert!(files(&out) == before);
    }
}

#[test]
fn what_is_no_bundle_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (config, model) = model("tiny-seq2seq");
    fs::write(dir.path().join("file"), "precious").unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    fs::write(dir.path().join("folder/thesis.txt"), "precious").unwrap();
    for name in ["file", "folder"] {
        let out = dir.path().join(name);
        let error = export(&model, &config, &about(name), Storage::F32, &out).unwrap_err().to_string();
        assert!(error.contains("exists, but is not a bundle"), "{error}");
    }
    assert_eq!(names(dir.path()), ["file", "folder"]);
    assert_eq!(names(&dir.path().join("folder")), ["thesis.txt"]);
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"precious");
}

#[test]
fn what_is_no_part_of_a_bundle_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (config, model) = model("tiny-seq2seq");
    let out = dir.path().join("bundle");
    let again = || export(&model, &config, &about("bundle"), Storage::F32, &out).unwrap();
    again();
    let written = names(&out);
    fs::create_dir(out.join("pictures")).unwrap();
    for name in ["README.md", "pictures/one.png"] {
        fs::write(out.join(name), name).unwrap();
    }
    fs::write(out.join("decoder.onnx"), "older").unwrap();
    again();
    for name in ["README.md", "pictures/one.png"] {
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), name);
        fs::remove_file(out.join(name)).unwrap();
    }
    fs::remove_dir(out.join("pictures")).unwrap();
    assert_eq!(names(&out), written);
    Bundle::open(&out).unwrap();
}

#[test]
fn errors_are_of_the_kind_they_say() {
    let wrong = vmt().say("format: 4", "format: 1").open();
    assert!(matches!(wrong, Err(Error::Bundle { .. })));
    assert!(matches!(vmt().say("encoder.onnx", "missing.onnx").open(), Err(Error::Io { .. })));
    let unfit = vmt().say("logits: logits", "logits: scores").open().unwrap();
    assert!(matches!(load(&unfit, Backend::Tract), Err(Error::Engine { engine: "tract", .. })));
}
