//! The options of `vmt compose` that decide which music comes out: the model and how its events are chosen.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::builder::TypedValueParser;
use vmt::{Backend, Bundle, Composer, Conditions, Geometry, Options, Sampling, Score, Token, midi};

use crate::click_args::ClickArgs;
use crate::control_args::ControlArgs;
use crate::intensity::Intensity;
use crate::usage::count;
use crate::{midi_file, usage};

/// The model, and how its events are chosen
#[derive(clap::Args)]
#[command(next_help_heading = "Model")]
pub struct GenerationArgs {
    /// Continue the beginning of this MIDI file, at most half a window of it (5 s)
    #[arg(long, value_name = "FILE.mid")]
    primer: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Softmax temperature, 0-100: 0 always takes the most probable event, 1 samples from the model's distribution
    #[arg(long, value_name = "X", default_value_t = Sampling::default().temperature)]
    temperature: f32,
    /// Sample from the N most probable events only, of 310
    #[arg(long, value_name = "N", value_parser = count(vmt::VOCABULARY))]
    top_k: Option<NonZeroUsize>,
    /// Sample from the most probable events that together reach the probability X (nucleus sampling); 1 samples from all
    #[arg(long, value_name = "X", default_value_t = Sampling::default().top_p)]
    top_p: f32,
    /// Scale of classifier-free guidance, 0-10: 0 ignores the film, 1 is the model itself, more exaggerates the film's
    /// influence; any but 1 doubles the work of decoding
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    guidance: f32,
    /// The same for --intensity: how closely the music keeps to it [default: 6 for points or a file, else 1]
    #[arg(long, value_name = "X")]
    intensity_guidance: Option<f32>,
    /// Sample without the grammar that keeps the music playable, and count what is wrong with it
    #[arg(long)]
    unconstrained: bool,
    /// Let notes begin off the sixteenths of the beats. A model that was not trained with conditions always does
    #[arg(long)]
    no_quantize: bool,
    /// Strike no note for a hit point's sake: a model with conditions is told of hit points, and meets many by itself
    #[arg(long)]
    no_strike_hits: bool,
    /// How dense and loud the music is over time. auto: as much as the picture changes, compared within the film. off: as the
    /// model likes. Points such as 0:0.2,10:0.9, or a file with lines of seconds and a value: 0-1 of what the model knows.
    /// Needs a model with conditions [default: auto for such a model]
    #[arg(long, value_name = "auto|off|POINTS|FILE", value_parser = Intensity::from_str)]
    intensity: Option<Intensity>,
    #[command(flatten)]
    pub click: ClickArgs,
    #[command(flatten)]
    controls: ControlArgs,
}

/// The model, and what runs it
#[derive(clap::Args)]
pub struct ModelArgs {
    /// The model's folder [default: the model inside this program]
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// What runs the model: auto is ONNX Runtime where its library is found, else tract
    #[arg(long, value_enum, default_value_t)]
    engine: EngineName,
    /// Threads for the model, at most 4 for each core; more than one pay for large models and many takes only
    #[arg(long, value_name = "N", default_value = "1", value_parser = threads())]
    threads: NonZeroUsize,
}

#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum EngineName {
    #[default]
    Auto,
    Tract,
    Ort,
    Cuda,
}

/// A loaded model.
pub struct Model {
    pub bundle: Bundle,
    pub composer: Composer,
    pub threads: NonZeroUsize,
    /// Why `--engine auto` did not take ONNX Runtime, if it did not.
    pub no_ort: Option<String>,
}

impl ModelArgs {
    pub fn bundle(&self) -> Result<Bundle> {
        Ok(self.bundle.as_ref().map_or_else(Bundle::built_in, Bundle::open)?)
    }

    /// Loads it; for pieces that are composed at once, with so many lanes for all of them.
    pub fn load(&self, bundle: Bundle, lanes: Option<NonZeroUsize>) -> Result<Model> {
        let backend = match self.engine {
            EngineName::Auto => Backend::Auto,
            EngineName::Tract => Backend::Tract,
            EngineName::Ort => Backend::Ort,
            EngineName::Cuda => Backend::Cuda,
        };
        let threads = Some(self.threads);
        let engine = match lanes {
            Some(lanes) => backend.load_batched(&bundle, threads, lanes)?,
            None => backend.load(&bundle, threads)?,
        };
        let composer = Composer::with_engine(engine, bundle.manifest().max_tokens);
        #[cfg(feature = "ort")]
        let no_ort = vmt::ort::library().err().filter(|_| backend == Backend::Auto).map(|error| error.to_string());
        #[cfg(not(feature = "ort"))]
        let no_ort = None;
        Ok(Model { bundle, composer, threads: self.threads, no_ort })
    }
}

impl GenerationArgs {
    pub fn bundle(&self) -> Result<Bundle> {
        self.model.bundle()
    }

    /// Whether density and loudness are to follow how much the picture changes.
    pub fn follows_film(&self) -> bool {
        matches!(self.intensity, None | Some(Intensity::Auto))
    }

    fn intensity_guidance(&self) -> f32 {
        let usual = match self.intensity {
            Some(Intensity::Points(_) | Intensity::File(_)) => Options::BY_HAND_INTENSITY_GUIDANCE,
            _ => 1.0,
        };
        self.intensity_guidance.unwrap_or(usual)
    }

    /// The files and folders that are read.
    pub fn inputs(&self) -> Vec<PathBuf> {
        let curve = self.intensity.as_ref().and_then(Intensity::file);
        self.primer.iter().chain(&self.model.bundle).chain(self.click.inputs()).chain(curve).cloned().collect()
    }

    /// Checks the options, then loads the model. `snap`: whether the music is to be snapped to the beats.
    pub fn load(&self, snap: bool) -> Result<(Model, Options)> {
        let bundle = self.bundle()?;
        let options = self.options(&bundle, snap)?;
        Ok((self.model.load(bundle, None)?, options))
    }

    /// The options of the decoding, checked.
    pub fn options(&self, bundle: &Bundle, snap: bool) -> Result<Options> {
        let sampling = Sampling::default()
            .with_temperature(self.temperature)
            .with_top_k(self.top_k)
            .with_top_p(self.top_p)
            .with_seed(self.seed);
        sampling.validate()?;
        let controls = self.controls.controls(self.unconstrained)?;
        let mut conditions = Conditions::default();
        let conditioned = bundle.manifest().decoder.conditions.is_some();
        self.click.check(conditioned, snap)?;
        if let Some(intensity) = self.intensity.as_ref().filter(|intensity| **intensity != Intensity::Off) {
            let want = "--intensity: this model is told none; take one with conditions, such as --bundle onnx/vmt-beat";
            usage::ensure(conditioned, want)?;
            let ranks = intensity.ranks().context("--intensity")?;
            (conditions.density, conditions.loudness) = (ranks.clone(), ranks);
        }
        let told = conditioned && self.intensity != Some(Intensity::Off);
        let want = "--intensity-guidance: there is no --intensity to keep to";
        usage::ensure(told || self.intensity_guidance.is_none(), want)?;
        let want = "--key auto: this model is told no key; take one with conditions, such as --bundle onnx/vmt-beat";
        usage::ensure(conditioned || !self.controls.tells_key(), want)?;
        let geometry = bundle.manifest().geometry;
        let primer = self.primer.as_ref().map(|file| primer(file, geometry)).transpose()?.unwrap_or_default();
        if conditioned {
            let beginning = Score::decode(primer.iter().copied(), geometry.window()).score;
            let key = self.controls.told_key(controls.scale, &beginning, self.seed);
            conditions.keys = key.map(|key| (0, Some(key))).into_iter().collect();
        }
        let options = Options::default()
            .with_sampling(sampling)
            .with_guidance(self.guidance)
            .with_intensity_guidance(self.intensity_guidance())
            .with_unconstrained(self.unconstrained)
            .with_conditions(conditions)
            .with_quantize(conditioned && self.click.has_beats() && !self.no_quantize && !self.unconstrained)
            .with_strike_hits(!self.no_strike_hits)
            .with_controls(controls)
            .with_primer(primer);
        options.validate(geometry)?;
        Ok(options)
    }
}

fn threads() -> impl TypedValueParser<Value = NonZeroUsize> {
    count(Backend::max_threads())
}

/// The beginning of a MIDI file, of at most half a window.
fn primer(file: &Path, geometry: Geometry) -> Result<Vec<Token>> {
    let score = midi_file::read(file, midi::Sustain::Apply, Duration::from_secs(24 * 3600))?;
    geometry.primer(&score).with_context(|| file.display().to_string())
}
