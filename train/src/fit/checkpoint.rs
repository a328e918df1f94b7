//! Training runs on disk.
//!
//! ```text
//! RUN/config.yaml            model and recipe (RunConfig)
//! RUN/train.csv              a line for each step
//! RUN/validation.csv         a line for each validation
//! RUN/last-00001500/         the last checkpoint, from which a run is resumed
//! RUN/best-00001000/         that of the lowest validation loss
//!     model.yaml             the model's configuration
//!     model.bpk              its weights (burnpack, burn's own format), named as in crate::model::stored_names
//!     optimizer.bpk          Adam's moments; only in `last`
//!     state.yaml             the step, and the best step so far
//! ```
//!
//! A checkpoint's folder is renamed to its name when it is complete. There is no random state in it and no position in the data:
//! both follow from the seed and the step ([`crate::random`], [`crate::data::Order`]).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use burn::module::{Module, ModuleVisitor, Param};
use burn::store::ModuleRecord;
use burn::tensor::{Device, Tensor};
use burn_pack::{Reader, Writer};
use serde::{Deserialize, Serialize};
use vmt_files::Drafts;

use super::learner::Learner;
use crate::model::stored_names::{from_stored, to_stored};
use crate::model::{Model, ModelConfig};

/// The two kinds of checkpoint. A newer one replaces an older one of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The newest.
    Last,
    /// The one with the lowest validation loss.
    Best,
}

/// The progress of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// Seconds of training, over all sessions.
    pub seconds: f64,
    /// The step with the lowest validation loss, and that loss in nats per token.
    pub best: Option<(u64, f64)>,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Last => "last-",
            Self::Best => "best-",
        }
    }
}

/// Writes a checkpoint into the folder of a run, and removes older ones of its kind.
///
/// Weights that are not finite are refused: a run cannot go on from them.
pub fn save(run: &Path, kind: Kind, config: &ModelConfig, learner: &Learner, state: &State) -> Result<()> {
    let mut not_finite = NotFinite::default();
    learner.model.visit(&mut not_finite);
    if let Some(path) = not_finite.found {
        bail!("`{path}` is no longer finite after step {}; nothing was saved", state.step);
    }
    let old = find(run, kind)?;
    let folder = run.join(format!("{}{:08}", kind.prefix(), state.step));
    if old.contains(&folder) {
        return Ok(());
    }
    let mut drafts = Drafts::default();
    let mut write = || -> Result<()> {
        let new = drafts.of(&folder)?;
        fs::create_dir(&new)?;
        write_model(&new, config, learner.model.clone())?;
        fs::write(new.join("state.yaml"), serde_yaml::to_string(state)?)?;
        if kind == Kind::Last {
            learner.optimizer.save(new.join("optimizer.bpk"))?;
        }
        for file in fs::read_dir(&new)? {
            fs::File::open(file?.path())?.sync_all()?;
        }
        Ok(())
    };
    write().with_context(|| folder.display().to_string())?;
    drafts.finish()?;
    old.iter().try_for_each(|old| fs::remove_dir_all(old).with_context(|| old.display().to_string()))
}

/// The checkpoints of a kind in the folder of a run, the newest last. There are two only if removing one was cut short.
fn find(run: &Path, kind: Kind) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(run).with_context(|| run.display().to_string())?;
    let names = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let step = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(kind.prefix())?.parse::<u64>().ok();
    let mut found: Vec<_> = names.into_iter().filter(|path| step(path).is_some()).collect();
    found.sort_by_key(step);
    Ok(found)
}

/// Restores `learner` from the run's last checkpoint, if there is one.
pub fn resume(run: &Path, learner: &mut Learner) -> Result<Option<State>> {
    let Some(folder) = find(run, Kind::Last)?.pop() else { return Ok(None) };
    let mut read = || -> Result<State> {
        learner.model = weights(learner.model.clone(), &folder)?;
        let optimizer = std::mem::replace(&mut learner.optimizer, Learner::adam());
        learner.optimizer = optimizer.load(folder.join("optimizer.bpk"))?;
        Ok(serde_yaml::from_str(&fs::read_to_string(folder.join("state.yaml"))?)?)
    };
    read().with_context(|| folder.display().to_string()).map(Some)
}

/// Writes a model without the rest of a run: what [`load_model`] and `vmt-train run --weights` read. The folder must be
/// new; it is renamed to its name when it is complete.
pub fn save_model(folder: &Path, config: &ModelConfig, model: Model) -> Result<()> {
    ensure!(!folder.exists(), "{}: must be a new folder, but is there already", folder.display());
    let mut drafts = Drafts::default();
    let write = || -> Result<()> {
        let new = drafts.of(folder)?;
        fs::create_dir(&new)?;
        write_model(&new, config, model)
    };
    write().with_context(|| folder.display().to_string())?;
    Ok(drafts.finish()?)
}

fn write_model(folder: &Path, config: &ModelConfig, model: Model) -> Result<()> {
    fs::write(folder.join("model.yaml"), serde_yaml::to_string(config)?)?;
    let record = Reader::from_bytes(model.into_record().into_bytes()?)?;
    Ok(renamed(record, to_stored)?.write_to_file(folder.join("model.bpk"))?)
}

/// Reads a trained model. `path` is the folder of a checkpoint, or that of a run: then its best checkpoint is read, or the last
/// if there was no validation.
pub fn load_model(path: impl AsRef<Path>, device: &Device) -> Result<(ModelConfig, Model)> {
    let folder = checkpoint(path.as_ref())?;
    let config = ModelConfig::load(folder.join("model.yaml"))?;
    let model = weights(config.init(0, device), &folder).with_context(|| folder.display().to_string())?;
    Ok((config, model))
}

/// `model`, of the sizes `config`, with the weights of another of the same sizes; dropout may differ. `path` as in
/// [`load_model`].
pub fn weights_of(path: &Path, config: &ModelConfig, model: Model) -> Result<Model> {
    let folder = checkpoint(path)?;
    let found = ModelConfig::load(folder.join("model.yaml"))?;
    ensure!(
        ModelConfig { dropout: config.dropout, ..found } == *config,
        "{}: the weights to begin with must be of the model that is trained, but are of other sizes (model.yaml)",
        folder.display()
    );
    weights(model, &folder).with_context(|| folder.display().to_string())
}

fn checkpoint(path: &Path) -> Result<PathBuf> {
    if path.join("model.bpk").exists() {
        return Ok(path.into());
    }
    find(path, Kind::Best)?.pop().or(find(path, Kind::Last)?.pop()).ok_or_else(|| {
        anyhow!("{}: must be a checkpoint or a run with one (last-*, best-*), but is neither", path.display())
    })
}

/// `model` with the weights in a checkpoint.
fn weights(model: Model, folder: &Path) -> Result<Model> {
    let stored = Reader::from_file(folder.join("model.bpk"))?;
    let record = ModuleRecord::from_bytes(renamed(stored, from_stored)?.into_bytes()?)?;
    ensure!(!record.is_empty(), "model.bpk holds no weights");
    Ok(model.try_load_record(record)?)
}

/// The same tensors under other names.
fn renamed(record: Reader, name: fn(&str) -> String) -> Result<Writer> {
    let rename = |tensor: burn_pack::Tensor| {
        let (path, dtype, shape, id, bytes) = tensor.into_parts()?;
        Ok(burn_pack::Tensor::new(name(&path), dtype, shape, id, bytes))
    };
    Ok(Writer::new(record.into_tensors()?.into_iter().map(rename).collect::<Result<_>>()?))
}

/// Finds a parameter that is not finite.
#[derive(Default)]
struct NotFinite {
    path: Vec<String>,
    found: Option<String>,
}

impl ModuleVisitor for NotFinite {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.val().abs().sum().into_scalar::<f32>().is_finite() {
            self.found.get_or_insert(self.path.join("."));
        }
    }
}
