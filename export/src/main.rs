//! The `vmt-export` command.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use vmt_export::{About, Storage, export};
use vmt_train::ModelConfig;

/// Writes a model as an ONNX bundle: encoder.onnx, decoder.onnx and manifest.yaml.
///
/// The bundle appears only if tract and ONNX Runtime both give what burn gives: encoder outputs and the logits of 256
/// cached steps to 1e-4, and the same greedy tokens. Otherwise nothing is written and the exit code is 1.
#[derive(Parser)]
#[command(name = "vmt-export", version)]
struct Args {
    /// The model's sizes (train/configs/*.yaml)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Draws the weights from this seed: an untrained model, for tests and benches
    #[arg(long, value_name = "N")]
    seed: u64,
    /// The folder to write; an older bundle there is replaced
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// How the weights are stored
    #[arg(long, value_enum, default_value_t)]
    storage: Storage,
    /// The bundle's name [default: the folder's]
    #[arg(long)]
    name: Option<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vmt-export: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let config = ModelConfig::load(&args.config)?;
    let folder = args.out.file_name().map(|name| name.to_string_lossy().into_owned());
    let about = About {
        name: args.name.clone().or(folder).unwrap_or_default(),
        description: format!(
            "Untrained: weights drawn from seed {}. It plays noise; it is here to test with.",
            args.seed
        ),
        license: "MIT OR Apache-2.0".into(),
    };
    let model = config.init(args.seed, &burn::tensor::Device::flex());
    for (engine, worst) in export(&model, &config, &about, args.storage, &args.out)? {
        println!("{engine}: encoder within {:.1e} of burn, logits within {:.1e}", worst.encoder, worst.logits);
    }
    println!("wrote {}", args.out.display());
    Ok(())
}
