//! `vmt serve`: composes for films that come over HTTP.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Arg, ArgAction, Args, FromArgMatches};
use vmt::Event;
use vmt_render::Film;
use vmt_server::{
    About, COPIES, Call, Compose, Composed, DecodedEvent, Limits, Log, Parameter, Problem, Settings, Stop, Take, serve,
};

use crate::compose_command::ComposeArgs;
use crate::generation::{Model, ModelArgs};
use crate::input::InputArgs;
use crate::outputs::Prepared;
use crate::pipeline::Pipeline;
use crate::read_film::{FilmLimits, Metadata, Wanted};
use crate::sandbox::{self, Bounds, Sandbox, problem};
use crate::usage;

/// Options of `vmt compose` that a call over HTTP does not have: they name files of the server, or are decided by it.
const OWN: [&str; 17] = [
    "video",
    "frames",
    "from",
    "output",
    "format",
    "events",
    "songs",
    "keep_takes",
    "plan",
    "soundfont",
    "quiet",
    "verbose",
    "shard",
    "shards",
    "bundle",
    "engine",
    "threads",
];
/// Options that change how music is rendered, not what is composed.
const RENDERING: [&str; 3] = ["hands", "thumbnails", "original_volume"];
/// Formats that are written of the record alone and in a moment, so that they need no process.
const OF_RECORD: [&str; 3] = ["mid", "musicxml", "mxl"];
/// Options whose value is a file.
const FILES: [&str; 3] = ["primer", "hits", "intensity"];

/// Composes for films that come over HTTP
///
/// http://127.0.0.1:8000/ is a page to drop a film on. For programs: POST a film to /v1/compose; /openapi.json describes
/// all of it. The address is printed on standard error. SIGTERM lets running jobs end (--grace-seconds).
///
///   curl --data-binary @film.mp4 'http://127.0.0.1:8000/v1/compose?takes=4' -o music.mid
///
/// Films are read in processes of their own with limits of memory and time and, on Linux, without network and files.
#[derive(clap::Args)]
pub struct ServeArgs {
    /// Where to listen. Only this machine can call 127.0.0.1; 0.0.0.0:8000 lets the network in: then set --token-file
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Keep jobs in this folder, so that results are there after a restart [default: a folder for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Clients must have one of the tokens in this file, a line each, as Authorization: Bearer TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Let pages of this site call (CORS), such as https://example.org; may be given several times
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    allow_origin: Vec<String>,
    /// Log requests on standard error: without names of files, options and content
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json", "off"])]
    log: String,
    #[command(flatten)]
    model: ModelArgs,
    /// Takes that are decoded at once, those of all jobs together. A lane of the built-in model keeps 2 MiB
    #[arg(long, value_name = "N", default_value = "32", value_parser = usage::count(vmt::MAX_TAKES))]
    lanes: NonZeroUsize,
    /// Jobs at once
    #[arg(long, value_name = "N", default_value = "8", value_parser = usage::count(1024), help_heading = "Limits")]
    jobs: NonZeroUsize,
    /// Requests that wait; more get the status 429
    #[arg(long, value_name = "N", default_value = "64", value_parser = usage::count(100_000), help_heading = "Limits")]
    queue: NonZeroUsize,
    /// Requests of one address that wait or run
    #[arg(long, value_name = "N", default_value = "16", value_parser = usage::count(100_000), help_heading = "Limits")]
    per_client: NonZeroUsize,
    /// Bytes of a request, such as 200M
    #[arg(long, value_name = "BYTES", default_value = "512M", value_parser = bytes, help_heading = "Limits")]
    max_bytes: u64,
    /// Seconds of a film
    #[arg(long, value_name = "N", default_value_t = 600, help_heading = "Limits", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    max_seconds: u64,
    /// Pixels of a frame; 8847360 are 4096 x 2160
    #[arg(long, value_name = "N", default_value_t = 8_847_360, help_heading = "Limits", value_parser = clap::value_parser!(u64).range(1..=1 << 26))]
    max_pixels: u64,
    /// Frames a second
    #[arg(long, value_name = "N", default_value_t = 120, help_heading = "Limits", value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_fps: u32,
    /// Takes of a call
    #[arg(long, value_name = "N", default_value = "16", value_parser = usage::count(vmt::MAX_TAKES), help_heading = "Limits")]
    max_takes: NonZeroUsize,
    /// Seconds of work on a job, and of the processor for a process that reads its film
    #[arg(long, value_name = "N", default_value_t = 600, help_heading = "Limits", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    job_seconds: u64,
    /// Memory of a process that reads a film
    #[arg(long, value_name = "BYTES", default_value = "2G", value_parser = bytes, help_heading = "Limits")]
    reader_memory: u64,
    /// Bytes of all films and results; older results make room for new ones
    #[arg(long, value_name = "BYTES", default_value = "4G", value_parser = bytes, help_heading = "Limits")]
    disk: u64,
    /// Seconds for which results are kept
    #[arg(long, value_name = "N", default_value_t = 3600, help_heading = "Limits", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    keep_seconds: u64,
    /// Seconds until an answer is the job instead of its music
    #[arg(long, value_name = "N", default_value_t = 30, help_heading = "Limits", value_parser = clap::value_parser!(u64).range(0..=86_400))]
    wait_seconds: u64,
    /// Seconds for a request's head to come
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Limits", value_parser = clap::value_parser!(u64).range(1..=3600))]
    header_seconds: u64,
    /// Seconds for a request's body to come; under 1 KiB a second on the average is too slow in any case
    #[arg(long, value_name = "N", default_value_t = 300, help_heading = "Limits", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    body_seconds: u64,
    /// Connections at once; more wait
    #[arg(long, value_name = "N", default_value = "512", value_parser = usage::count(100_000), help_heading = "Limits")]
    connections: NonZeroUsize,
    /// Seconds for running jobs to end after SIGTERM; those that wait are lost at once
    #[arg(long, value_name = "N", default_value_t = 30, help_heading = "Limits", value_parser = clap::value_parser!(u64).range(0..=86_400))]
    grace_seconds: u64,
}

impl ServeArgs {
    pub fn run(self) -> Result<()> {
        let tokens = self.token_file.as_deref().map(tokens).transpose()?;
        if !self.listen.ip().is_loopback() && tokens.is_none() {
            vmt_files::warn("vmt: everyone in reach of this address can call; --token-file would ask for a token");
        }
        let bundle = self.model.bundle()?;
        let settings = Settings {
            listen: self.listen,
            folder: self.dir.clone(),
            jobs: self.jobs.get(),
            queue: self.queue.get(),
            per_client: self.per_client.get(),
            limits: Limits {
                bytes: self.max_bytes,
                seconds: self.max_seconds,
                pixels: self.max_pixels,
                frames_per_second: self.max_fps,
                takes: self.max_takes.get(),
                job_seconds: self.job_seconds,
                keep_seconds: self.keep_seconds,
            },
            wait: Duration::from_secs(self.wait_seconds),
            body: Duration::from_secs(self.body_seconds),
            header: Duration::from_secs(self.header_seconds),
            connections: self.connections.get(),
            disk: self.disk,
            grace: Duration::from_secs(self.grace_seconds),
            tokens,
            origins: self.allow_origin.clone(),
            log: match self.log.as_str() {
                "off" => Log::Off,
                "json" => Log::Json,
                _ => Log::Text,
            },
        };
        let bounds = Bounds { memory: self.reader_memory, seconds: self.job_seconds, file: self.disk };
        let limits = FilmLimits { seconds: self.max_seconds, pixels: self.max_pixels, frames_per_second: self.max_fps };
        let max_takes = self.max_takes.get();
        serve(settings, move || {
            let model = self.model.load(bundle, Some(self.lanes))?;
            if self.log != "off" {
                sandbox::announce();
            }
            Ok(Box::new(Worker { model, bounds, limits, max_takes }))
        })
    }
}

/// The tokens of a file, of which there must be one.
fn tokens(file: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let tokens: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    usage::ensure(!tokens.is_empty(), format!("{}: must have a token, but has none", file.display()))?;
    Ok(tokens)
}

/// Scheme and host of a site, as browsers send it in the header `Origin`.
fn origin(text: &str) -> Result<String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let fits = !host.is_empty() && host.bytes().all(|it| it.is_ascii_alphanumeric() || b".-:[]".contains(&it));
    anyhow::ensure!(
        fits,
        "it must be https://HOST or http://HOST, with a port where it has one, and nothing behind it"
    );
    Ok(text.to_owned())
}

/// A number of bytes, as 500K, 512M or 2G.
fn bytes(text: &str) -> Result<u64> {
    let wrong = "it must be a number of bytes, such as 500K, 512M or 2G";
    let (number, unit) = text.split_at(text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => anyhow::bail!(wrong),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).filter(|bytes| *bytes > 0);
    bytes.context(wrong)
}

/// Composes with one model for all calls.
struct Worker {
    model: Model,
    bounds: Bounds,
    limits: FilmLimits,
    max_takes: usize,
}

/// A call as `vmt compose` would have it.
struct Parsed {
    compose: ComposeArgs,
    film: Film,
    prepared: Prepared,
}

/// The options of `vmt compose`.
fn command() -> clap::Command {
    ComposeArgs::augment_args(clap::Command::new("vmt compose").no_binary_name(true))
}

/// Those that a call may have.
fn allowed(arg: &&Arg) -> bool {
    arg.get_long().is_some() && !OWN.contains(&arg.get_id().as_str())
}

fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// The arguments that are the options of a call; `rendering`: those of how music is rendered, or the others.
fn arguments(call: &Call, rendering: bool) -> Result<Vec<OsString>, Problem> {
    let command = command();
    let known: Vec<&Arg> = command.get_arguments().filter(allowed).collect();
    let find = |name: &str| {
        let arg = known.iter().find(|arg| arg.get_long() == Some(name)).copied();
        arg.ok_or_else(|| Problem::bad_option(format!("there is no option {name:?}: GET /v1/options lists all")))
    };
    let mut arguments = Vec::new();
    for (name, value) in &call.options {
        let arg = find(name)?;
        let is_file = FILES.contains(&name.as_str());
        if is_file && (name != "intensity" || !crate::intensity::is_text(value)) {
            let message = format!("{name}: must come as a file: a part of a form with a file name");
            return Err(Problem::bad_option(message));
        }
        let argument = match (is_flag(arg), value.as_str()) {
            (true, "" | "true") => Some(format!("--{name}")),
            (true, "false") => None,
            (true, _) => return Err(Problem::bad_option(format!("{name}: must be true or false, but is {value:?}"))),
            (false, _) => Some(format!("--{name}={value}")),
        };
        if RENDERING.contains(&arg.get_id().as_str()) == rendering {
            arguments.extend(argument.map(OsString::from));
        }
    }
    for (name, path) in &call.files {
        find(name)?;
        if !FILES.contains(&name.as_str()) {
            return Err(Problem::bad_option(format!("{name}: must be text, not a file")));
        }
        if !rendering {
            let mut argument = OsString::from(format!("--{name}="));
            argument.push(path);
            arguments.push(argument);
        }
    }
    Ok(arguments)
}

impl Worker {
    fn parse(&self, call: &Call, stop: &Stop) -> Result<Parsed, Problem> {
        self.try_parse(call, stop).map_err(|error| problem_of(call, &error))
    }

    fn try_parse(&self, call: &Call, stop: &Stop) -> Result<Parsed> {
        let mut arguments = arguments(call, false).map_err(Refused)?;
        let film: [OsString; 2] = if !call.has_film() {
            ["--frames=-".into(), "--keep-takes".into()]
        } else {
            [Call::FILM.into(), "--keep-takes".into()]
        };
        arguments.extend(film);
        arguments.extend(["-o".into(), call.music(1, "json").into_os_string()]);
        let matches = command().try_get_matches_from(arguments)?;
        let mut compose = ComposeArgs::from_arg_matches(&matches)?;
        let takes = compose.outputs.takes.get();
        let most = self.max_takes;
        usage::ensure(takes <= most, format!("--takes: must be 1 to {most}, but is {takes}"))?;
        compose.input.reader = Some(self.sandbox(call, stop));
        let film = compose.input.film().context("there is no film")?;
        let start = compose.input.range()?.start;
        let prepared = compose.outputs.check_call(&film, start, &compose.generation.inputs())?;
        Ok(Parsed { compose, film, prepared })
    }

    fn sandbox(&self, call: &Call, stop: &Stop) -> Sandbox {
        Sandbox {
            folder: call.folder.clone(),
            bounds: self.bounds.clone(),
            limits: self.limits.clone(),
            stop: stop.clone(),
            input: (!call.has_film()).then_some(Call::FILM),
        }
    }

    fn try_compose(&self, call: &Call, stop: &Stop, on_event: &mut dyn FnMut(DecodedEvent)) -> Result<Composed> {
        let Parsed { compose: ComposeArgs { input, outputs, generation, .. }, film, prepared } =
            self.try_parse(call, stop)?;
        let options = generation.options(&self.model.bundle, outputs.snap)?;
        let pipeline = Pipeline::new(&input, &outputs, &generation, &self.model, options)?;
        let mut velocities = vec![0; outputs.takes.get()];
        let composed = pipeline.compose(film, &outputs, &prepared, |played, _| {
            anyhow::ensure!(stop.why().is_none(), "the work was stopped");
            let note = match played.event {
                Event::NoteOn(pitch) => Some((pitch.get(), Some(velocities[played.take]))),
                Event::NoteOff(pitch) => Some((pitch.get(), None)),
                Event::Velocity(bin) => {
                    velocities[played.take] = bin.velocity();
                    None
                }
                _ => None,
            };
            on_event(DecodedEvent { lane: played.take, time: played.time.as_secs_f64(), note });
            Ok(())
        })?;
        let timings = composed.takes[0].timings;
        let take = |take: &vmt::Composition| Take {
            notes: take.score.notes().len(),
            duration: take.score.duration().as_secs_f64(),
            score: take.rank.total(),
        };
        Ok(Composed {
            takes: composed.takes.iter().map(take).collect(),
            stages: vec![("video", timings.video), ("encode", timings.encode), ("decode", timings.decode)],
        })
    }

    fn try_render(&self, call: &Call, take: usize, extension: &str, stop: &Stop) -> Result<()> {
        let needs_process = !OF_RECORD.contains(&extension);
        // A process is in the folder.
        let folder = if needs_process { Path::new("") } else { &call.folder };
        let file = |extension| folder.join(vmt_server::music_name(take, extension)).into_os_string();
        let mut arguments: Vec<OsString> = ["compose".into()].to_vec();
        if call.has_film() {
            arguments.push(folder.join(Call::FILM).into());
        }
        arguments.extend(["--quiet".into(), "--from".into(), file("json"), "-o".into(), file(extension)]);
        // An option of other files than this is none of it.
        let fits = |given: &OsString| match given.to_string_lossy().split('=').next() {
            Some("--hands") => ["mid", "wav"].contains(&extension),
            Some("--thumbnails") => ["png", "svg"].contains(&extension),
            _ => COPIES.contains(&extension),
        };
        arguments.extend(self::arguments(call, true).map_err(Refused)?.into_iter().filter(fits));
        if needs_process {
            self.sandbox(call, stop).vmt(&arguments)
        } else {
            crate::execute(["vmt".into()].into_iter().chain(arguments))
        }
    }
}

/// A problem on its way through errors.
#[derive(Debug)]
struct Refused(Problem);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.reason().message)
    }
}

impl std::error::Error for Refused {}

fn problem_of(call: &Call, error: &anyhow::Error) -> Problem {
    match error.downcast_ref() {
        Some(Refused(problem)) => problem.clone(),
        None => of_call(call, problem(error)),
    }
}

/// The same with the names of options for the files of the call, and without the folder, which the client does not know.
fn of_call(call: &Call, problem: Problem) -> Problem {
    let named = |message: String, (name, path): &(String, PathBuf)| message.replace(&path.display().to_string(), name);
    let folder = format!("{}/", call.folder.display());
    problem.map(|message| call.files.iter().fold(message, named).replace(&folder, ""))
}

impl Compose for Worker {
    fn about(&self) -> About {
        About {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: self.model.bundle.manifest().name.clone(),
            engine: self.model.composer.engine().name(),
        }
    }

    fn parameters(&self) -> Vec<Parameter> {
        let command = command();
        let parameter = |arg: &Arg| {
            let name = arg.get_long().unwrap_or_default().to_owned();
            let value =
                arg.get_value_names().map(|names| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "));
            let defaults: Vec<_> =
                arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
            Parameter {
                value: value.filter(|_| !is_flag(arg)),
                help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
                group: arg.get_help_heading().unwrap_or("Film").to_owned(),
                default: (!defaults.is_empty() && !is_flag(arg)).then(|| defaults.join(",")),
                choices: if is_flag(arg) {
                    Vec::new()
                } else {
                    arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()
                },
                repeatable: matches!(arg.get_action(), ArgAction::Append),
                file: FILES.contains(&name.as_str()),
                name,
            }
        };
        command.get_arguments().filter(allowed).map(parameter).collect()
    }

    fn check(&self, call: &Call) -> Result<(), Problem> {
        arguments(call, true)?;
        let parsed = self.parse(call, &Stop::default())?;
        let ComposeArgs { generation, outputs, .. } = &parsed.compose;
        let checked = generation.options(&self.model.bundle, outputs.snap).map(|_| ());
        checked.and_then(|()| check_volume(call)).map_err(|error| problem_of(call, &error))
    }

    fn inspect(&self, call: &Call, stop: &Stop) -> Result<Option<Duration>, Problem> {
        let Parsed { compose, film, .. } = self.parse(call, stop)?;
        let input: &InputArgs = &compose.input;
        let metadata = self.sandbox(call, stop).ask::<Metadata>(&input.reading(&film, Wanted::Metadata));
        metadata.map(|metadata| metadata.length).map_err(|error| problem_of(call, &error))
    }

    fn compose(&self, call: &Call, stop: &Stop, on_event: &mut dyn FnMut(DecodedEvent)) -> Result<Composed, Problem> {
        self.try_compose(call, stop, on_event).map_err(|error| problem_of(call, &error))
    }

    fn render(&self, call: &Call, take: usize, extension: &str, stop: &Stop) -> Result<(), Problem> {
        self.try_render(call, take, extension, stop).map_err(|error| problem_of(call, &error))
    }
}

/// The range of the only option of rendering that has one.
fn check_volume(call: &Call) -> Result<()> {
    if let Some(volume) = call.option("original-volume") {
        let fits = volume.parse::<f32>().is_ok_and(|volume| (0.0..=1.0).contains(&volume));
        usage::ensure(fits, format!("--original-volume: must be 0 to 1, but is {volume}"))?;
    }
    Ok(())
}
