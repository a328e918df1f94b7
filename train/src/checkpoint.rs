//! Training runs on disk.
//!
//! ```text
//! RUN/config.yaml            what learns, and how (crate::recipe)
//! RUN/train.csv              a line for each step
//! RUN/validation.csv         a line for each validation
//! RUN/last-00001500/         where to go on
//! RUN/best-00001000/         where the validation loss was lowest
//!     model.yaml             the model's sizes
//!     model.bpk              its weights (burnpack, burn's own format)
//!     optimizer.bpk          Adam's means; only in `last`
//!     state.yaml             the step, and the best step so far
//! ```
//!
//! A checkpoint's folder appears under its name only when it is whole. There is no random state in it and no place in
//! the data: both follow from the seed and the step ([`crate::random`], [`crate::data::Order`]).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use burn::module::{Module, ModuleVisitor, Param};
use burn::store::ModuleRecord;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use vmt_files::Drafts;

use crate::train::Learner;
use crate::{Model, ModelConfig};

/// The two kinds of checkpoint. A newer one replaces an older one of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Where to go on.
    Last,
    /// Where the validation loss was lowest.
    Best,
}

/// How far a run has come.
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
    let mut broken = Broken::default();
    learner.model.visit(&mut broken);
    if let Some(path) = broken.found {
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

/// Brings `learner` to where the run's last checkpoint was, if there is one.
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
/// new, and appears only when it is whole.
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
    Ok(model.into_record().save(folder.join("model.bpk"))?)
}

/// Reads a trained model. `path` is a checkpoint's folder, or that of a run: then its best checkpoint counts, or the
/// last if no validation has been.
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
    let record = ModuleRecord::load(folder.join("model.bpk"))?;
    ensure!(!record.is_empty(), "model.bpk holds no weights");
    Ok(model.try_load_record(record)?)
}

/// Finds a parameter with values that are no numbers.
#[derive(Default)]
struct Broken {
    path: Vec<String>,
    found: Option<String>,
}

impl ModuleVisitor for Broken {
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
