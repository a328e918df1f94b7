//! The `vmt-train` command.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use clap::{Parser, Subcommand};
use vmt_train::data::{Augment, Fragments};
use vmt_train::prepared::{DATASET, PAPER_SPLIT, Prepared, Share, Split};
use vmt_train::recipe::RunConfig;
use vmt_train::run::{End, Run};
use vmt_train::songs::Songs;
use vmt_train::synth::{self, Channels};

/// Teaches a model to write piano music for video.
///
/// Two steps: `prepare` cuts your videos and their MIDI files into fragments of ten seconds, `run` trains a model on them.
/// Where there is music but no video, `run` draws its own pictures; `synth` writes such videos for you to look at.
#[derive(Parser)]
#[command(name = "vmt-train", version, propagate_version = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[cfg(feature = "video")]
    Prepare(PrepareArgs),
    Run(RunArgs),
    Synth(SynthArgs),
}

/// Cuts videos and their MIDI files into fragments to train on
///
/// FOLDER holds pairs: NAME.mp4 (or .mkv, .mov, .webm) and NAME.mid, a piano version of the music in the video that
/// begins when the video does. Each song goes to training, validation or test as a whole. What cannot be used is
/// reported and passed over; the exit code is 1 only if nothing is left.
///
/// Pictures are stored as they are: 0.18 GB for an hour at 64 pixels, 0.7 GB at 128.
#[cfg(feature = "video")]
#[derive(clap::Args)]
struct PrepareArgs {
    /// The folder with the pairs
    folder: PathBuf,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Height and width of the pictures; must be the model's (its `geometry`)
    #[arg(long, value_name = "PIXELS", default_value_t = 128)]
    size: usize,
    /// A YAML file that says which song is for what: `train: [NAME, ..]`, `validation: [..]`, `test: [..]`
    /// [default: decided by a hash of each name, 90 : 10 : 28 as in the paper]
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// Notes end when their key comes up, whatever the sustain pedal does
    #[arg(long)]
    no_sustain: bool,
    /// A video may be this much longer or shorter than its music
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    tolerance: f64,
}

/// Trains a model, or goes on where it was left
///
/// RECIPE is a YAML file such as train/recipes/small-vmt.yaml: the model's sizes, and how it learns. The run keeps
/// itself in a folder: metrics (train.csv, validation.csv; losses in nats per token), the last checkpoint and the best.
/// The same command goes on from the last checkpoint; the result is the same, to the last bit, as if it had never
/// stopped. Ctrl-C saves and stops, with exit code 130.
#[derive(clap::Args)]
struct RunArgs {
    /// What learns, and how
    recipe: PathBuf,
    /// The run's folder
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// A folder made by `vmt-train prepare`, or one with MIDI files below it, for which pictures are drawn on the fly
    /// [default: `data` in the recipe]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// For MIDI files, a YAML file that says which song is for what, as in `prepare`
    /// [default: decided by a hash of each name, 90 : 10 : 28 as in the paper]
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// Begin with the weights of this run or checkpoint, not with random ones [default: `weights` in the recipe]
    #[arg(long, value_name = "DIR")]
    weights: Option<PathBuf>,
    /// Stop after this many steps [default: `steps` in the recipe]
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Threads that share a batch [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Draws videos that show music: a dancer on a set, for each MIDI file
///
/// Writes NAME.mp4 and NAME.mid, which `prepare` reads, for each MIDI file below FOLDER. Height shows pitch, size
/// loudness, speed the number of notes, colours major or minor, poses and light the beginnings of notes; nothing shows
/// which notes are played. Pairs that are there already are left alone. Needs the command `ffmpeg`.
#[derive(clap::Args)]
struct SynthArgs {
    /// The folder with the MIDI files
    folder: PathBuf,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Height and width of the videos; even
    #[arg(long, value_name = "PIXELS", default_value_t = synth::Options::default().side)]
    size: usize,
    /// Pictures per second
    #[arg(long, value_name = "N", default_value_t = synth::Options::default().rate)]
    rate: u32,
    /// Only the beginning of each song
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Chooses how the videos look, together with their names
    #[arg(long, value_name = "N", default_value_t = synth::Options::default().seed)]
    seed: u64,
    /// What the videos show: all, none, or some of onset,density,loudness,register,mode,beat,bar,phrase,silence
    /// [default: drawn for each video, each with probability 3/4, and nothing in one of ten]
    #[arg(long, value_name = "NAMES")]
    channels: Option<Channels>,
    /// Videos made at the same time [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

impl SynthArgs {
    fn run(self) -> Result<ExitCode> {
        let Self { size: side, rate, seconds, seed, channels, .. } = self;
        let jobs = self.jobs.map_or(synth::Options::default().jobs, NonZeroUsize::get);
        let options = synth::Options { rate, side, seconds, seed, channels, jobs };
        let bar = indicatif::ProgressBar::new(0);
        let (mut made, mut there) = (0, 0);
        let written = synth::write_pairs(&self.folder, &self.out, &options, |progress| {
            *(if progress.skipped { &mut there } else { &mut made }) += 1;
            bar.set_length(progress.total as u64);
            bar.set_position(progress.done as u64);
            bar.set_message(progress.name.to_owned());
        });
        bar.finish_and_clear();
        written?;
        println!("{made} pairs written to {}, {there} were there already", self.out.display());
        Ok(ExitCode::SUCCESS)
    }
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        #[cfg(feature = "video")]
        Command::Prepare(args) => args.run(),
        Command::Run(args) => args.run(),
        Command::Synth(args) => args.run(),
    };
    done.unwrap_or_else(|error| {
        eprintln!("vmt-train: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(feature = "video")]
impl PrepareArgs {
    fn run(self) -> Result<ExitCode> {
        use vmt_train::prepare::{Options, prepare};
        let options = Options {
            geometry: vmt::Geometry { height: self.size, width: self.size, ..vmt::Geometry::PAPER },
            split: self.split.map_or(Ok(PAPER_SPLIT), Split::load)?,
            sustain: !self.no_sustain,
            tolerance: self.tolerance,
        };
        let bar = indicatif::ProgressBar::new(0);
        let report = prepare(&self.folder, &self.out, &options, |name, number, count| {
            bar.set_length(count as u64);
            bar.set_position(number as u64);
            bar.set_message(name.to_owned());
        });
        bar.finish_and_clear();
        print!("{}", report?);
        Ok(ExitCode::SUCCESS)
    }
}

/// Set by Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

impl RunArgs {
    fn run(self) -> Result<ExitCode> {
        let mut config = RunConfig::load(&self.recipe)?;
        config.data = self.data.or(config.data);
        // The run's folder keeps the path, and is not where the path is seen from.
        let weights = self.weights.or(config.weights);
        let full = |path: PathBuf| path.canonicalize().with_context(|| path.display().to_string());
        config.weights = weights.map(full).transpose()?;
        config.recipe.steps = self.steps.unwrap_or(config.recipe.steps);
        let threads = self.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, |count| count.get()));
        ensure!(threads > 0, "--threads must be at least 1, but is 0");

        let data = config.data.as_ref().context("no data: name a folder with --data, or as `data` in the recipe")?;
        let augment = Augment { semitones: config.recipe.semitones, tempo: config.recipe.tempo };
        let split = self.split.map_or(Ok(PAPER_SPLIT), Split::load)?;
        let geometry = config.model.geometry;
        let source = |share, augment| -> Result<Box<dyn Fragments>> {
            if data.join(DATASET).exists() {
                Ok(Box::new(Prepared::open(data, share, augment)?.fitting(geometry)?))
            } else {
                Ok(Box::new(Songs::open(data, share, &split, geometry, augment)?))
            }
        };
        let training = source(Share::Train, augment)?;
        let validation = source(Share::Validation, Augment::NONE)?;
        eprintln!("{} fragments to learn from, {} to validate with", training.count(), validation.count());

        ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            eprintln!("stopping after this step; once more to stop at once, without saving");
        })?;
        let run = Run { config: &config, folder: &self.out, training: &*training, validation: &*validation, threads };
        match run.run(&Device::flex(), &STOP)? {
            End::Done(state) => {
                if let Some((step, loss)) = state.best {
                    println!("best: step {step}, validation loss {loss:.4} nats per token");
                }
                Ok(ExitCode::SUCCESS)
            }
            End::Stopped(state) => {
                eprintln!("saved after step {}; the same command goes on from there", state.step);
                Ok(ExitCode::from(130))
            }
        }
    }
}
