//! The `vmt` command as a library: [`run`] is all of it.

mod click_args;
mod compose_command;
mod control_args;
mod doctor;
mod event_lines;
#[cfg(feature = "video")]
mod folder;
mod generation;
pub mod image_sequence;
mod input;
mod inspect;
mod intensity;
mod midi_file;
mod moment;
mod nvidia;
mod outputs;
mod paths;
mod pipeline;
mod plan;
#[cfg(feature = "server")]
mod read_film;
mod rerender;
#[cfg(feature = "server")]
mod sandbox;
#[cfg(feature = "server")]
mod serve;
mod shard;
mod shell;
mod songs;
mod summary;
mod tokens;
mod usage;
#[cfg(feature = "video")]
mod window_stream;

use std::{ffi::OsString, io, path::Path, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand, error::ErrorKind};

/// Composes piano scores for videos
#[derive(Parser)]
#[command(name = "vmt", version, propagate_version = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one for each process")]
enum Command {
    Compose(compose_command::ComposeArgs),
    #[cfg(feature = "server")]
    Serve(serve::ServeArgs),
    #[cfg(feature = "server")]
    #[command(hide = true)]
    Sandbox(sandbox::SandboxArgs),
    #[cfg(feature = "server")]
    #[command(hide = true)]
    ReadFilm(read_film::ReadFilmArgs),
    Inspect(inspect::InspectArgs),
    Doctor(doctor::DoctorArgs),
    #[command(subcommand)]
    Tokens(tokens::Command),
    Completions(shell::Completions),
    Man(shell::Man),
}

/// Runs the command `args` (the program's name first) and returns its exit code: 0 if it is done or the reader of its
/// standard output has left, 1 if it failed, 2 if the call is wrong. Results go to standard output, errors to standard
/// error.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let Err(error) = execute(args) else { return ExitCode::SUCCESS };
    match error.downcast::<clap::Error>() {
        Ok(error) => match error.print() {
            // Help, for which nobody waits.
            Err(closed) if closed.kind() == io::ErrorKind::BrokenPipe && !error.use_stderr() => ExitCode::SUCCESS,
            Err(_) if !error.use_stderr() => ExitCode::FAILURE,
            _ => ExitCode::from(error.exit_code().try_into().unwrap_or(2)),
        },
        Err(error) => vmt_files::end("vmt", Err(error)),
    }
}

/// As [`run`], but returns the error.
///
/// # Errors
/// A [`clap::Error`] where the call is wrong, an option is out of its range, or the call asks for help.
pub fn execute(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<()> {
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let parsed = Args::try_parse_from(&args).map_err(|error| match args.get(1).map(Path::new) {
        Some(film) if error.kind() == ErrorKind::InvalidSubcommand && film.exists() => {
            let (film, music) = (film.display(), film.with_extension("mid"));
            usage::wrong(format!("{film} is no command; to compose for it: vmt compose {film} -o {}", music.display()))
        }
        _ => error,
    })?;
    let result = match parsed.command {
        Command::Compose(args) => args.run(),
        #[cfg(feature = "server")]
        Command::Serve(args) => args.run(),
        #[cfg(feature = "server")]
        Command::Sandbox(args) => args.run(),
        #[cfg(feature = "server")]
        Command::ReadFilm(args) => args.run(),
        Command::Inspect(args) => args.run(),
        Command::Doctor(args) => args.run(),
        Command::Tokens(command) => command.run(),
        Command::Completions(args) => args.run(),
        Command::Man(args) => args.run(),
    };
    result.map_err(|error| match error.downcast_ref() {
        Some(vmt::Error::Option { .. }) => usage::wrong(format!("{error:#}")).into(),
        _ => error,
    })
}
