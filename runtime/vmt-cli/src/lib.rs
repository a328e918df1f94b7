//! The `vmt` command as a library: [`run`] is all of it.

mod compose;
mod controls;
mod doctor;
#[cfg(feature = "video")]
mod folder;
pub mod frames;
mod from;
mod inspect;
mod output;
mod outputs;
mod shard;
mod tokens;

use std::{ffi::OsString, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use vmt::Bundle;

/// Watches a video and writes the piano score for it.
#[derive(Parser)]
#[command(name = "vmt", version, propagate_version = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one in a program's life")]
enum Command {
    Compose(compose::Args),
    Inspect(inspect::Args),
    Doctor(doctor::Args),
    #[command(subcommand)]
    Tokens(tokens::Command),
}

/// Runs the command `args` (the program's name first) and says how it went: 0, 1 where it failed, 2 where the call is
/// wrong. Results go to standard output, complaints to standard error.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let Err(error) = execute(args) else { return ExitCode::SUCCESS };
    match error.downcast::<clap::Error>() {
        Ok(error) => {
            // Nothing is left to do where even this cannot be printed.
            let _ = error.print();
            ExitCode::from(error.exit_code().try_into().unwrap_or(2))
        }
        Err(error) => {
            eprintln!("vmt: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// As [`run`], but leaves the complaint to the caller. It is a [`clap::Error`] where the call is wrong, or asks for help.
pub fn execute(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<()> {
    match Args::try_parse_from(args)?.command {
        Command::Compose(args) => args.run(),
        Command::Inspect(args) => args.run(),
        Command::Doctor(args) => args.run(),
        Command::Tokens(command) => command.run(),
    }
}

/// The bundle that comes with the program.
fn built_in() -> Result<Bundle> {
    macro_rules! file {
        ($include:ident, $name:literal) => {
            $include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../onnx/vmt-small/", $name))
        };
    }
    let bundle = Bundle::from_memory(
        file!(include_str, "manifest.yaml"),
        file!(include_bytes, "encoder.onnx"),
        file!(include_bytes, "decoder.onnx"),
    );
    bundle.context("the bundle inside this program is damaged")
}
