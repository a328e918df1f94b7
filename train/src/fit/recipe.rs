//! The configuration of a training run, as a YAML file (`train/recipes`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Deserializer, Serialize};

use super::objective::Objective;
use crate::data::MAX_TOKENS;
use crate::model::ModelConfig;

/// A training run: of which model, on what, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunConfig {
    /// The model's sizes. In a file: either these, or the path of a file that holds them, relative to the file's folder.
    pub model: ModelConfig,
    /// The data set; a path is relative to the file's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Real film clips ([`crate::synth::Footage`]) that rendered video shows, too; a path is relative to the file's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footage: Option<PathBuf>,
    /// A run or checkpoint whose weights to begin with; a path is relative to the file's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Another whose [video encoder](crate::Model::with_encoder_of) to begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_from: Option<PathBuf>,
    /// Hyperparameters.
    pub recipe: Recipe,
}

/// Hyperparameters. What a file leaves out is as in the paper (arXiv 2112.15320, section 4.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Of initial weights, order, augmentation, dropout and all else that is random.
    pub seed: u64,
    /// Updates of the weights.
    pub steps: u64,
    /// Fragments of an update.
    pub batch: usize,
    /// Tokens at which longer fragments are truncated.
    pub max_tokens: usize,
    /// Steps of linear warm-up of the learning rate.
    pub warm_up: u64,
    /// The highest learning rate.
    pub peak: f64,
    /// Last steps, in which the learning rate also decays linearly to 0; none in the paper. A run may be resumed with another
    /// number.
    pub cool_down: u64,
    /// Share of fragments that are trained on without their video, so that the model is also one of music alone.
    pub without_video: f64,
    /// Share of rendered clips that show real film, where there is a folder of it.
    pub footage: f64,
    /// Whether the decoder is trained. If not, the video encoder is trained on the [auxiliary task](crate::data::auxiliary) alone,
    /// and losses are those of that.
    #[serde(alias = "events")]
    pub train_decoder: bool,
    /// Whether the video encoder is trained. If not, it is frozen.
    #[serde(alias = "eyes")]
    pub train_encoder: bool,
    /// Weight of the auxiliary task beside the likelihood of events; the paper has no such task.
    #[serde(alias = "reading")]
    pub auxiliary_weight: f64,
    /// Music is transposed by at most so many semitones.
    pub semitones: u8,
    /// The tempo is changed by at most this share, where video is rendered.
    pub tempo: f64,
    /// Steps between two validations.
    pub validate_every: u64,
    /// Fragments in a validation: the same ones every time.
    pub validation_fragments: usize,
    /// Steps between two checkpoints.
    pub checkpoint_every: u64,
    /// Minutes between two checkpoints, if the steps take longer.
    pub checkpoint_minutes: u64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            seed: 1,
            steps: 50_000,
            batch: 4,
            max_tokens: MAX_TOKENS,
            warm_up: 8_000,
            peak: 1e-3,
            cool_down: 0,
            without_video: 0.0,
            footage: 0.5,
            train_decoder: true,
            train_encoder: true,
            auxiliary_weight: 0.0,
            semitones: 0,
            tempo: 0.0,
            validate_every: 500,
            validation_fragments: 64,
            checkpoint_every: 500,
            checkpoint_minutes: 10,
        }
    }
}

impl Recipe {
    /// The learning rate of a step, counted from 1: linear warm-up to [`peak`](Self::peak) over [`warm_up`](Self::warm_up) steps,
    /// then decay with the inverse square root of the step, and linearly to 0 in the last [`cool_down`](Self::cool_down) steps.
    ///
    /// The authors' code says `2 / sqrt(hidden) * min(step / 8000, 1) / sqrt(max(step, 8000))`. With 512 hidden that is
    /// this schedule with a peak of 0.988e-3; the paper says 1e-3.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let left = (self.steps + 1).saturating_sub(step) as f64;
        let (step, warm_up) = (step as f64, self.warm_up.max(1) as f64);
        self.peak * (step / warm_up).min((warm_up / step).sqrt()) * (left / self.cool_down.max(1) as f64).min(1.0)
    }

    /// What is minimised.
    pub fn objective(&self) -> Objective {
        let Self { train_decoder, train_encoder, auxiliary_weight, .. } = *self;
        Objective { train_decoder, train_encoder, auxiliary_weight }
    }

    /// Whether a run that began with `self` may be resumed with `other`: it may be longer, cool down, and validate or save more
    /// or less often.
    pub fn resumes_with(&self, other: &Self) -> bool {
        let Self {
            steps, cool_down, validate_every, validation_fragments, checkpoint_every, checkpoint_minutes, ..
        } = *other;
        let looks = Self { validate_every, validation_fragments, checkpoint_every, checkpoint_minutes, ..self.clone() };
        let changed = Self { steps, cool_down, ..looks };
        changed == *other
    }

    fn check(&self) -> Result<()> {
        for (name, value) in [
            ("steps", self.steps),
            ("batch", self.batch as u64),
            ("max_tokens", self.max_tokens as u64),
            ("validate_every", self.validate_every),
            ("checkpoint_every", self.checkpoint_every),
            ("checkpoint_minutes", self.checkpoint_minutes),
        ] {
            ensure!(value > 0, "recipe.{name}: must be at least 1, but is 0");
        }
        let Self { peak, without_video, footage, auxiliary_weight, tempo, semitones, .. } = self;
        ensure!(
            self.train_decoder || self.train_encoder,
            "recipe: `train_decoder` or `train_encoder` must be true, but both are false"
        );
        ensure!(
            *auxiliary_weight >= 0.0 && auxiliary_weight.is_finite(),
            "recipe.auxiliary_weight: must be at least 0, but is {auxiliary_weight}"
        );
        ensure!(*peak > 0.0 && peak.is_finite(), "recipe.peak: must be above 0, but is {peak}");
        ensure!((0.0..=1.0).contains(without_video), "recipe.without_video: must be in 0..=1, but is {without_video}");
        ensure!((0.0..=1.0).contains(footage), "recipe.footage: must be in 0..=1, but is {footage}");
        ensure!((0.0..0.5).contains(tempo), "recipe.tempo: must be in 0..0.5, but is {tempo}");
        ensure!(*semitones <= 12, "recipe.semitones: must be in 0..=12, but is {semitones}");
        Ok(())
    }
}

impl RunConfig {
    /// Reads and checks a file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let folder = path.parent().unwrap_or(Path::new(""));
        let read = || Self::parse(&fs::read_to_string(path)?, folder);
        read().with_context(|| path.display().to_string())
    }

    /// Reads and checks YAML whose paths are relative to `folder`.
    pub fn parse(yaml: &str, folder: &Path) -> Result<Self> {
        let File { model, data, footage, weights, encoder_from, recipe } = serde_yaml::from_str(yaml)?;
        recipe.check()?;
        let model = match model {
            Sizes::There(path) => ModelConfig::load(folder.join(path))?,
            Sizes::Here(yaml) => ModelConfig::parse(&yaml).context("model")?,
        };
        let [data, footage, weights, encoder_from] =
            [data, footage, weights, encoder_from].map(|path| path.map(|path| folder.join(path)));
        Ok(Self { model, data, footage, weights, encoder_from, recipe })
    }
}

/// A [`RunConfig`] as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: Sizes,
    data: Option<PathBuf>,
    footage: Option<PathBuf>,
    weights: Option<PathBuf>,
    #[serde(alias = "eyes")]
    encoder_from: Option<PathBuf>,
    #[serde(default)]
    recipe: Recipe,
}

enum Sizes {
    There(PathBuf),
    /// As YAML: [`ModelConfig::parse`] finds better words for what is wrong.
    Here(String),
}

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match serde_yaml::Value::deserialize(deserializer)? {
            serde_yaml::Value::String(path) => Ok(Self::There(path.into())),
            value => serde_yaml::to_string(&value).map(Self::Here).map_err(Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_the_papers() {
        let recipe = Recipe::default();
        let check = |step: u64, want: f64| assert!((recipe.learning_rate(step) / want - 1.0).abs() < 1e-12, "{step}");
        check(1, 1e-3 / 8000.0);
        check(4_000, 0.5e-3);
        check(8_000, 1e-3);
        check(32_000, 0.5e-3);
        check(50_000, 0.4e-3);
        let authors = |step: f64| 2.0 / 512f64.sqrt() * (step / 8000.0).min(1.0) / step.max(8000.0).sqrt();
        let ratio = |step: u64| authors(step as f64) / recipe.learning_rate(step);
        assert!([1, 8_000, 50_000].map(ratio).iter().all(|ratio| (ratio - 0.98821).abs() < 1e-5));
    }

    #[test]
    fn a_run_cools_down() {
        let recipe = Recipe { steps: 40_000, cool_down: 8_000, ..Recipe::default() };
        let check = |step: u64, want: f64| assert!((recipe.learning_rate(step) / want - 1.0).abs() < 1e-12, "{step}");
        check(32_000, 0.5e-3);
        check(32_001, Recipe::default().learning_rate(32_001));
        check(36_001, 0.5 * Recipe::default().learning_rate(36_001));
        check(40_000, Recipe::default().learning_rate(40_000) / 8_000.0);
        assert!(Recipe::default().resumes_with(&recipe));
    }

    #[test]
    fn ours_load() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 7);
        for file in files {
            let config = RunConfig::load(&file).unwrap();
            let again = RunConfig::parse(&serde_yaml::to_string(&config).unwrap(), Path::new("")).unwrap();
            assert_eq!(config, again);
            if file.file_name().unwrap().to_str().unwrap().starts_with("paper") {
                let Recipe { steps, batch, warm_up, peak, max_tokens, .. } = config.recipe;
                assert_eq!((steps, batch, warm_up, peak, max_tokens), (50_000, 4, 8_000, 1e-3, 1024));
                assert_eq!(config.model.dropout, 0.1);
            }
        }
        assert_eq!(crate::fit::ADAM, (0.9, 0.997, 1e-9));
    }

    #[track_caller]
    fn refused(yaml: &str, said: &str) {
        let error = format!("{:#}", RunConfig::parse(yaml, Path::new("no/such")).unwrap_err());
        assert!(error.contains(said), "{error}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        refused("model: tiny.yaml", "no/such/tiny.yaml: ");
        refused("model: {model: seq2seq, hidden: 8}", "model: missing field `geometry`");
        refused("model: a\nrecipe: {stepps: 3}", "unknown field `stepps`");
        refused("model: a\nrecipe: {batch: 0}", "recipe.batch: must be at least 1, but is 0");
        refused("model: a\nrecipe: {footage: -1}", "recipe.footage: must be in 0..=1, but is -1");
        refused("model: a\nrecipe: {without_video: 1.5}", "recipe.without_video: must be in 0..=1, but is 1.5");
    }
}
