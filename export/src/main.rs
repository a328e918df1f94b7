//! The `vmt-export` command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Parser;
use vmt_export::{About, Cost, Report, Storage, check, export, read_back, storage_cost};
use vmt_files::print;
use vmt_train::data::{PAPER_SPLITS, Split, Splits};
use vmt_train::eval::HeldOut;
use vmt_train::fit::checkpoint::{load_model, save_model};
use vmt_train::{Model, ModelConfig};

/// Writes a model as an ONNX bundle: encoder.onnx, decoder.onnx, manifest.yaml, and model.yaml for further training.
///
/// The bundle is written only if tract and ONNX Runtime both agree with burn: encoder outputs and the logits of 256
/// cached steps to 1e-4, and the same greedy tokens. Otherwise nothing is written and the exit code is 1.
#[derive(Parser)]
#[command(name = "vmt-export", version)]
struct Args {
    /// A trained model: the folder of a `vmt-train` run, whose best checkpoint is taken, or of one checkpoint
    #[arg(long, value_name = "DIR", group = "model", required_unless_present_any = ["config", "from_bundle", "check"])]
    weights: Option<PathBuf>,
    /// The configuration of an untrained model (train/configs/*.yaml), for tests and benches
    #[arg(long, value_name = "FILE", requires = "seed", group = "model")]
    config: Option<PathBuf>,
    /// Seed of the untrained model's weights
    #[arg(long, value_name = "N", requires = "config")]
    seed: Option<u64>,
    /// The reverse: writes the weights of this bundle as a checkpoint, for `vmt-train run --weights`
    #[arg(long, value_name = "DIR", group = "model", conflicts_with_all = ["storage", "name", "description", "license"])]
    from_bundle: Option<PathBuf>,
    /// Expands the model of `--from-bundle` to this configuration (train/configs/*.yaml), which has more parts. Their parameters
    /// are zero: outputs do not change until they are trained
    #[arg(long, alias = "grown", value_name = "FILE", requires = "from_bundle")]
    expand_to: Option<PathBuf>,
    /// Checks this bundle, and lists all that is wrong: manifest, hashes, the rules of ONNX, tensors that are not as the manifest
    /// has them, engines that fail or differ; with --weights also whether it agrees with these. Exit code 1 if anything is
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "from_bundle", "out", "storage", "name", "description", "license"])]
    check: Option<PathBuf>,
    /// Writes what --check found as JSON
    #[arg(long, requires = "check")]
    json: bool,
    /// The folder to write; an older bundle there is replaced, other files in the folder stay; a checkpoint's folder must be new
    #[arg(short, long, value_name = "DIR", required_unless_present = "check")]
    out: Option<PathBuf>,
    /// How the weights are stored
    #[arg(long, value_enum, default_value_t)]
    storage: Storage,
    /// Measures what the storage costs: how much less likely the music of this data's test split is (nats an event). A folder of
    /// `vmt-train prepare`, or one with MIDI files below it, for which video is drawn
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from_bundle", "check"])]
    data: Option<PathBuf>,
    /// For MIDI files, a YAML file that says which song is in which split
    /// [default: decided by a hash of each name, 90 : 10 : 28 as in the paper]
    #[arg(long, value_name = "FILE", requires = "data")]
    split: Option<PathBuf>,
    /// How many fragments of the data are measured, spread evenly
    #[arg(long, value_name = "N", requires = "data", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    fragments: u32,
    /// Refuses to write the bundle if its storage costs more, in nats an event
    #[arg(long, value_name = "NATS", requires = "data", default_value_t = 0.01)]
    max_loss: f64,
    /// The bundle's name [default: the folder's]
    #[arg(long)]
    name: Option<String>,
    /// What the model learned from, for people [default: how it came about]
    #[arg(long)]
    description: Option<String>,
    /// SPDX expression for the weights
    #[arg(long, default_value = "MIT OR Apache-2.0")]
    license: String,
}

fn main() -> ExitCode {
    vmt_files::end("vmt-export", run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<()> {
    let device = burn::tensor::Device::flex();
    if let Some(bundle) = &args.check {
        let model = args.weights.as_ref().map(|weights| load_model(weights, &device)).transpose()?;
        return tell(bundle, &check(bundle, model.as_ref().map(|(_, model)| model)), args.json);
    }
    let out = args.out.as_ref().context("--out is needed")?;
    if let Some(bundle) = &args.from_bundle {
        let expanded = args.expand_to.as_ref().map(ModelConfig::load).transpose()?;
        let (config, model) = read_back(bundle, expanded, &device)?;
        save_model(out, &config, model)?;
        print(format_args!("wrote {}", out.display()))?;
        return Ok(());
    }
    let (config, model, origin) = match (&args.weights, &args.config, args.seed) {
        (Some(weights), ..) => {
            let (config, model) = load_model(weights, &device)?;
            (config, model, "Trained with vmt-train.".to_owned())
        }
        (None, Some(config), Some(seed)) => {
            let config = ModelConfig::load(config)?;
            let model = config.init(seed, &device);
            let origin = format!("Untrained: weights drawn from seed {seed}. It plays noise; it is here to test with.");
            (config, model, origin)
        }
        _ => anyhow::bail!("--weights, or --config and --seed, are needed"),
    };
    let folder = out.file_name().map(|name| name.to_string_lossy().into_owned());
    let about = About {
        name: args.name.clone().or(folder).unwrap_or_default(),
        description: args.description.clone().unwrap_or(origin),
        license: args.license.clone(),
    };
    match &args.data {
        Some(data) => cost(args, data, &config, &model)?,
        None if args.storage == Storage::Int4 => {
            print("what four bits a weight cost is not measured: --data does that")?;
        }
        None => {}
    }
    for (engine, worst) in export(&model, &config, &about, args.storage, out)? {
        print(format_args!(
            "{engine}: encoder within {:.1e} of burn, logits within {:.1e}",
            worst.encoder, worst.logits
        ))?;
    }
    print(format_args!("wrote {}", out.display()))?;
    Ok(())
}

/// Prints what the storage costs on `data`; an error if that is too much.
fn cost(args: &Args, data: &Path, config: &ModelConfig, model: &Model) -> anyhow::Result<()> {
    let splits = args.split.as_ref().map_or(Ok(PAPER_SPLITS), Splits::load)?;
    let songs = HeldOut::open(data, Split::Test, &splits, &[config.geometry])?;
    let cost = storage_cost(model, config, args.storage, &songs, args.fragments as usize, args.max_loss);
    let Cost { exact, stored } = cost.with_context(|| data.display().to_string())?;
    print(format_args!("storage costs {:+.4} nats an event: {stored:.4} as stored, {exact:.4} exact", stored - exact))?;
    Ok(())
}

/// Prints what was found; an error if anything was.
fn tell(bundle: &Path, report: &Report, json: bool) -> anyhow::Result<()> {
    let Report { problems, tokens, untried } = report;
    if json {
        print(serde_json::to_string_pretty(report)?)?;
    } else {
        problems.iter().try_for_each(print)?;
        for (engine, why) in untried {
            print(format_args!("{engine}: not tried: {why}"))?;
        }
        if problems.is_empty() {
            let engines: Vec<_> = tokens.keys().copied().collect();
            print(format_args!(
                "{}: nothing is wrong; the same tokens on {}",
                bundle.display(),
                engines.join(" and ")
            ))?;
        }
    }
    let count = problems.len();
    ensure!(count == 0, "{}: {count} problem{} found", bundle.display(), if count == 1 { "" } else { "s" });
    Ok(())
}
