//! Writes burn models as ONNX bundles, and refuses those that do not agree with burn.

mod check;
mod graph;
mod layers;
mod parity;
mod proto;
mod seq2seq;
mod storage;
mod transformer;
mod weights;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use vmt::{
    Bundle, Condition,
    manifest::{ConditionsInput, DecoderGraph, EncoderGraph, FORMAT, Features, MANIFEST, Manifest, PERFORMANCE_310},
    sha256,
};
use vmt_files::Drafts;
use vmt_train::{Model, ModelConfig, data::MAX_TOKENS};

pub use crate::check::{Problem, Report, check};
use crate::graph::Graphs;
pub use crate::parity::{TOLERANCE, Worst};
pub use crate::storage::{Cost, Storage, storage_cost};
pub use crate::weights::{MODEL, read_back};

/// Metadata of a bundle.
#[derive(Clone, Debug)]
pub struct About {
    /// A name for people.
    pub name: String,
    /// What the model is and what it learned from.
    pub description: String,
    /// SPDX expression for the weights.
    pub license: String,
}

/// Writes `model` to the folder `out`, unless tract or ONNX Runtime disagrees with burn about it.
///
/// The folder appears, or is replaced, only when all is written and compared; on an error nothing is left behind. What else an older
/// bundle's folder holds, such as its model card, stays. Returns the worst differences that each engine showed.
pub fn export(
    model: &Model,
    config: &ModelConfig,
    about: &About,
    storage: Storage,
    out: &Path,
) -> Result<BTreeMap<&'static str, Worst>> {
    if out.exists() && !out.join(MANIFEST).exists() {
        bail!(
            "{}: exists, but is not a bundle (it has no {MANIFEST}); remove it or choose another folder",
            out.display()
        );
    }
    let graphs = match model {
        Model::Vmt(model) => transformer::graphs(model, &config.geometry, storage, about),
        Model::Seq2Seq(model) => seq2seq::graphs(model, &config.geometry, storage, about),
    };
    let mut manifest = manifest(config, about, &graphs);

    let place = || out.display().to_string();
    let parent = vmt_files::parent(out);
    fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    let mut drafts = Drafts::default();
    let folder = drafts.of(out).with_context(place)?;
    fs::create_dir(&folder).with_context(place)?;
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).with_context(place);
    write(&manifest.encoder.file, &graphs.encoder)?;
    write(&manifest.decoder.file, &graphs.decoder)?;
    write(MODEL, serde_yaml::to_string(config)?.as_bytes())?;
    write(MANIFEST, serde_yaml::to_string(&manifest)?.as_bytes())?;
    if out.exists() {
        copy_missing(out, &folder)?;
    }

    // What is compared is what is stored.
    let worst = parity::compare(&storage.stored(model), config.geometry, &Bundle::open(&folder)?)?;
    manifest.parity = worst.iter().map(|(&engine, worst)| (engine.to_owned(), worst.rounded())).collect();
    write(MANIFEST, serde_yaml::to_string(&manifest)?.as_bytes())?;
    drafts.finish()?;
    Ok(worst)
}

/// Copies what `from` holds and `to` does not.
fn copy_missing(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let place = || from.display().to_string();
        // A link to a folder is not followed: it may lead back.
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&to).with_context(place)?;
            copy_missing(&from, &to)?;
        } else if !to.exists() {
            fs::copy(&from, to).with_context(place)?;
        }
    }
    Ok(())
}

fn manifest(config: &ModelConfig, about: &About, graphs: &Graphs) -> Manifest {
    Manifest {
        format: FORMAT,
        name: about.name.clone(),
        description: about.description.clone(),
        license: about.license.clone(),
        vocabulary: PERFORMANCE_310.into(),
        geometry: config.geometry,
        max_tokens: MAX_TOKENS,
        encoder: EncoderGraph {
            file: "encoder.onnx".into(),
            sha256: sha256(&graphs.encoder),
            pixels: "pixel_values".into(),
            frame_mask: "frame_mask".into(),
            features: Some(Features {
                size: graphs.frame_features,
                known: "frame_features".into(),
                indices: "frame_indices".into(),
                new: "new_frame_features".into(),
            }),
        },
        decoder: DecoderGraph {
            file: "decoder.onnx".into(),
            sha256: sha256(&graphs.decoder),
            tokens: "input_ids".into(),
            positions: graphs.positions.then(|| "position_ids".into()),
            times: graphs.times.then(|| "time_steps".into()),
            token_mask: Some("attention_mask".into()),
            conditions: graphs.conditions.then(|| {
                let columns = Condition::ALL.to_vec();
                ConditionsInput { input: "conditions".into(), columns }
            }),
            frame_mask: Some("frame_mask".into()),
            logits: "logits".into(),
        },
        context: graphs.context.clone(),
        state: graphs.state.clone(),
        parity: BTreeMap::new(),
    }
}
