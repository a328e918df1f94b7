//! The `vmt-train` command.

#[cfg(feature = "video")]
mod align_command;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
use burn::tensor::DeviceType;
use clap::{Parser, Subcommand};
use vmt::{Sampling, Tempo};
use vmt_files::{print, warn};
use vmt_train::data::prepared::{DATASET, Prepared};
use vmt_train::data::{Augment, Fragments, PAPER_SPLITS, Split, Splits};
use vmt_train::eval::{Candidate, EvalOptions, Film, HeldOut, evaluate, songs_for_training};
use vmt_train::fit::checkpoint::load_model;
use vmt_train::fit::{End, Recipe, Run, RunConfig};
use vmt_train::synth::{Channels, Footage, PairOptions, Songs, write_pairs};

/// Trains models that compose piano music for video.
///
/// `align` puts MIDI files where their music is in a video's sound. `prepare` cuts your videos and their MIDI files into fragments of ten seconds, `run` trains a model on them, and `eval`
/// compares trained models. Where there is music but no video, `run` and `eval` render video from the music; `synth` writes
/// such videos for you to look at.
#[derive(Parser)]
#[command(name = "vmt-train", version, propagate_version = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[cfg(feature = "video")]
    Align(align_command::AlignArgs),
    #[cfg(feature = "video")]
    Prepare(PrepareArgs),
    Run(RunArgs),
    Eval(EvalArgs),
    Synth(SynthArgs),
    #[cfg(feature = "video")]
    Study(vmt_study::StudyArgs),
    #[cfg(feature = "video")]
    CaseStudy(vmt_study::CaseStudyArgs),
}

/// Cuts videos and their MIDI files into fragments to train on
///
/// FOLDER holds pairs: NAME.mp4 (or .mkv, .mov, .webm) and NAME.mid, a piano version of the music in the video that
/// begins when the video does: `align` makes one of a MIDI file of another tempo, key or order of parts. What that has
/// marked as without counterpart is left out. Each song goes to training, validation or test as a whole. What cannot be used is
/// reported and skipped; the exit code is 1 only if nothing is left.
///
/// Pictures are stored as they are: 0.18 GB for an hour at 64 pixels, 0.7 GB at 128.
#[cfg(feature = "video")]
#[derive(clap::Args)]
struct PrepareArgs {
    /// The folder with the pairs
    folder: PathBuf,
    /// The folder with the MIDI files, such as one that `align` wrote [default: FOLDER]
    #[arg(long, value_name = "DIR")]
    scores: Option<PathBuf>,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Height and width of the pictures; must be the model's (its `geometry`)
    #[arg(long, value_name = "PIXELS", default_value_t = 128)]
    size: usize,
    /// A YAML file that says which song is in which split: `train: [NAME, ..]`, `validation: [..]`, `test: [..]`
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

/// Trains a model, or resumes training
///
/// RECIPE is a YAML file such as train/recipes/small-vmt.yaml: the model and the hyperparameters. The run's
/// folder holds metrics (train.csv, validation.csv; losses in nats per token), the last checkpoint and the best.
/// The same command resumes from the last checkpoint; the result is the same, to the last bit, as if it had never
/// stopped. Ctrl-C saves and stops, with exit code 130.
#[derive(clap::Args)]
struct RunArgs {
    /// The recipe
    recipe: PathBuf,
    /// The run's folder
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// A folder made by `vmt-train prepare`, or one with MIDI files below it, for which video is rendered on the fly
    /// [default: `data` in the recipe]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// For MIDI files, a YAML file that says which song is in which split, as in `prepare`
    /// [default: decided by a hash of each name, 90 : 10 : 28 as in the paper]
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    #[command(flatten)]
    footage: FootageArgs,
    /// Begin with the weights of this run or checkpoint, not with random ones [default: `weights` in the recipe]
    #[arg(long, value_name = "DIR")]
    weights: Option<PathBuf>,
    /// Begin with the video encoder of this run or checkpoint [default: `encoder_from` in the recipe]
    #[arg(long, alias = "eyes", value_name = "DIR")]
    encoder_from: Option<PathBuf>,
    /// Stop after this many steps [default: `steps` in the recipe]
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// What computes: `cpu`, or a GPU where this program was built with the feature of that name (`wgpu` finds one through
    /// Vulkan, Metal or DirectX)
    #[arg(long, value_enum, default_value = "cpu")]
    device: Processor,
    /// Threads that share a batch [default: one for each core; on a GPU 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

/// The device that a model is trained on.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Processor {
    Cpu,
    Wgpu,
    Vulkan,
    Cuda,
}

impl Processor {
    /// Fails where it is not built in, or not found.
    fn device(self) -> Result<Device> {
        let found: Vec<Device> = match self {
            Self::Cpu => vec![Device::flex()],
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Device::enumerate(DeviceType::Wgpu).into_iter().collect(),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => Device::enumerate(DeviceType::Vulkan).into_iter().collect(),
            #[cfg(feature = "cuda")]
            Self::Cuda => Device::enumerate(DeviceType::Cuda).into_iter().collect(),
            #[allow(unreachable_patterns)]
            _ => bail!("--device: not in this program; build it with vmt-train's feature of this name"),
        };
        let device = found.into_iter().next().context("--device: no such device is on this machine")?;
        #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
        if let Some(found) = device.identity() {
            let software = if found.physical.is_some() { "" } else { ", which is no graphics card" };
            warn(format_args!("trains on {}{software}", found.name));
        }
        Ok(device)
    }
}

/// Compares trained models on held-out songs
///
/// Writes one table, a column for each model and one for the original music: the likelihood of the music under each model, with
/// its video and with those of other songs; how the music that it generates ends, closes its notes and repeats itself, without
/// grammar and with it; whether it has a pulse, keeps to beats and meets hit points; whether that is like real music, and
/// whether it follows the video; in pieces of minutes, whether the key is kept and motifs come back; and how long a run of
/// notes a piece shares with a song of the training split, beside what held-out songs share. Models with conditions compose to
/// a click track, as in `vmt compose`. The report says what each number is, and what models were told. The same seed gives
/// the same report.
#[derive(clap::Args)]
struct EvalArgs {
    /// A trained model and what to call it: the folder of a run, whose best checkpoint is taken, or of one checkpoint.
    /// May be repeated; the others are compared with the first
    #[arg(long = "model", value_name = "NAME=DIR", value_parser = named, required = true)]
    models: Vec<(String, PathBuf)>,
    /// The same, for a model that was trained without video: it is shown none
    #[arg(long, value_name = "NAME=DIR", value_parser = named)]
    blind: Vec<(String, PathBuf)>,
    /// A folder made by `vmt-train prepare`, or one with MIDI files below it, for which video is rendered on the fly
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// For MIDI files, a YAML file that says which song is in which split, as in `prepare`
    /// [default: decided by a hash of each name, 90 : 10 : 28 as in the paper]
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    #[command(flatten)]
    footage: FootageArgs,
    /// The split to evaluate on, of songs and of footage
    #[arg(long, alias = "share", value_enum, default_value = "test")]
    eval_split: Split,
    /// Fragments whose likelihood is measured, spread evenly over the songs; all if there are fewer
    #[arg(long, value_name = "N", default_value_t = 200)]
    fragments: usize,
    /// Fragments among them that each model generates music for, twice: without grammar and with it
    #[arg(long, value_name = "N", default_value_t = 50)]
    generate: usize,
    /// Songs whose beginning each model composes music for as a whole, to see whether keys are kept and motifs come back;
    /// needs MIDI files as data
    #[arg(long, value_name = "N", default_value_t = 20)]
    songs: usize,
    /// How long these beginnings are, 20-600; a song that is shorter is taken as it is
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u32).range(20..=600))]
    song_seconds: u32,
    /// Softmax temperature of the pieces with grammar, as in `vmt compose`
    #[arg(long, value_name = "X", default_value_t = Sampling::default().temperature)]
    temperature: f32,
    /// Nucleus sampling of the pieces with grammar, as in `vmt compose`
    #[arg(long, value_name = "X", default_value_t = Sampling::default().top_p)]
    top_p: f32,
    /// Scale of classifier-free guidance in generation, as in `vmt compose`: 1 is the model itself
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    guidance: f32,
    /// Models with conditions compose to the beats, the key and hit points of the song. BPM, 20-400: to steady beats in
    /// 4/4 instead, as with `vmt compose --tempo`
    #[arg(long, value_name = "BPM", value_parser = tempo)]
    tempo: Option<Tempo>,
    /// With grammar, let notes of models with conditions begin off the sixteenths of their beats
    #[arg(long)]
    no_quantize: bool,
    /// Seed of rendered video, swaps, music and intervals
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Threads that share the work; they do not change results [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The Markdown file to write; the same as JSON is written beside it
    #[arg(short, long, value_name = "REPORT.md")]
    out: PathBuf,
    /// Keep the music in this folder, as SONG-SECONDS.WHO.mid, where WHO is `original`, a model, or a model without
    /// grammar (`.raw`); and SONG-LENGTH-long.WHO.mid for beginnings of songs
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[derive(clap::Args)]
struct FootageArgs {
    /// A folder of real film clips, which rendered video shows, too: footage.tsv, which names each clip and its
    /// licence, and NAME.mp4. `run` and `synth` show them in half of all films (`footage` in the recipe), `eval` in all;
    /// `eval` also composes for those that are held out, to see whether the music follows what moves in them
    #[arg(long, value_name = "DIR")]
    footage: Option<PathBuf>,
    /// A YAML file that says which clip is in which split, such as train/splits/footage.yaml
    /// [default: decided by a hash of each name, 8 : 1 : 1]
    #[arg(long, value_name = "FILE")]
    footage_split: Option<PathBuf>,
}

impl FootageArgs {
    /// The clips of `split`, for pictures of this `height`; scenes show them with `probability`.
    fn open(&self, split: Split, height: usize, probability: f64) -> Result<Option<Arc<Footage>>> {
        let Some(folder) = &self.footage else {
            ensure!(self.footage_split.is_none(), "--footage-split: there is no --footage that it could split");
            return Ok(None);
        };
        let footage = Footage::open(folder, split, &self.splits()?, height, probability)?;
        warn(format_args!("{} clips of footage for {split:?}, {:.0} s", footage.names().count(), footage.seconds()));
        Ok(Some(Arc::new(footage)))
    }

    /// The clips that are held out from training.
    fn films(&self) -> Result<Vec<Film>> {
        self.footage.as_ref().map_or(Ok(Vec::new()), |folder| Film::open(folder, &self.splits()?))
    }

    fn splits(&self) -> Result<Splits> {
        self.footage_split.as_ref().map_or(Ok(Footage::SPLITS), Splits::load)
    }

    /// Fails where no video is rendered.
    fn check(&self, data: &Path) -> Result<()> {
        let prepared = data.join(DATASET).exists();
        ensure!(
            self.footage.is_none() || !prepared,
            "--footage: video must be rendered for MIDI files, but {} was made by `prepare` and has its own",
            data.display()
        );
        Ok(())
    }
}

fn tempo(text: &str) -> Result<Tempo> {
    Ok(Tempo::new(text.parse().context("it must be beats a minute")?)?)
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("must be NAME=DIR, such as VMT=my-run, but has no `=`")?;
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if name.is_empty() || name == "original" || !name.chars().all(fits) {
        return Err(format!("NAME must be letters, digits, `-` and `_`, and not `original`, but is `{name}`"));
    }
    Ok((name.into(), path.into()))
}

/// Renders videos that show music: a dancer on a set, for each MIDI file
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
    #[arg(long, value_name = "PIXELS", default_value_t = PairOptions::default().side)]
    size: usize,
    /// Pictures per second
    #[arg(long, value_name = "N", default_value_t = PairOptions::default().rate)]
    rate: u32,
    /// Only the beginning of each song
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Chooses how the videos look, together with their names
    #[arg(long, value_name = "N", default_value_t = PairOptions::default().seed)]
    seed: u64,
    /// What the videos show: all, none, or some of onset,density,loudness,register,mode,beat,bar,phrase,silence
    /// [default: drawn for each video, each with probability 3/4, and nothing in one of ten]
    #[arg(long, value_name = "NAMES")]
    channels: Option<Channels>,
    #[command(flatten)]
    footage: FootageArgs,
    /// Videos made at the same time [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

impl SynthArgs {
    fn run(self) -> Result<ExitCode> {
        let Self { size: side, rate, seconds, seed, channels, .. } = self;
        // Never those that are held out: `prepare` may give the films to training.
        let footage = self.footage.open(Split::Train, side, Recipe::default().footage)?;
        let jobs = self.jobs.map_or(PairOptions::default().jobs, NonZeroUsize::get);
        let options = PairOptions { rate, side, seconds, seed, channels, footage, jobs };
        let bar = indicatif::ProgressBar::new(0);
        let (mut made, mut there) = (0, 0);
        let written = write_pairs(&self.folder, &self.out, &options, |progress| {
            *(if progress.skipped { &mut there } else { &mut made }) += 1;
            bar.set_length(progress.total as u64);
            bar.set_position(progress.done as u64);
            bar.set_message(progress.name.to_owned());
        });
        bar.finish_and_clear();
        written?;
        print(format_args!("{made} pairs written to {}, {there} were there already", self.out.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        #[cfg(feature = "video")]
        Command::Align(args) => args.run(),
        #[cfg(feature = "video")]
        Command::Prepare(args) => args.run(),
        Command::Run(args) => args.run(),
        Command::Eval(args) => args.run(),
        Command::Synth(args) => args.run(),
        #[cfg(feature = "video")]
        Command::Study(args) => args.run().map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "video")]
        Command::CaseStudy(args) => args.run().map(|()| ExitCode::SUCCESS),
    };
    // A wrong call ends with exit code 2.
    done.unwrap_or_else(|error| match error.downcast::<clap::Error>() {
        Ok(wrong) => wrong.exit(),
        Err(error) => vmt_files::end("vmt-train", Err(error)),
    })
}

#[cfg(feature = "video")]
impl PrepareArgs {
    fn run(self) -> Result<ExitCode> {
        use vmt_train::data::prepare::{PrepareOptions, prepare};
        let options = PrepareOptions {
            geometry: vmt::Geometry::PAPER
                .with_size(self.size, self.size)
                .with_context(|| format!("--size must be 1-4096, but is {}", self.size))?,
            splits: self.split.map_or(Ok(PAPER_SPLITS), Splits::load)?,
            sustain: !self.no_sustain,
            tolerance: self.tolerance,
        };
        let bar = indicatif::ProgressBar::new(0);
        let scores = self.scores.as_ref().unwrap_or(&self.folder);
        let report = prepare(&self.folder, scores, &self.out, &options, |name, number, count| {
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
        // The run's folder keeps the path, which is not relative to it.
        let mut footage = self.footage;
        let paths = [
            (&mut config.weights, self.weights),
            (&mut config.encoder_from, self.encoder_from),
            (&mut config.footage, footage.footage.take()),
        ];
        for (begin, chosen) in paths {
            let full = |path: PathBuf| path.canonicalize().with_context(|| path.display().to_string());
            *begin = chosen.or(begin.take()).map(full).transpose()?;
        }
        config.recipe.steps = self.steps.unwrap_or(config.recipe.steps);
        let device = self.device.device()?;
        let threads = threads(self.threads.or((self.device != Processor::Cpu).then_some(1)));

        let data = config.data.as_ref().context("no data: name a folder with --data, or as `data` in the recipe")?;
        let augment = Augment { semitones: config.recipe.semitones, tempo: config.recipe.tempo };
        let splits = self.split.map_or(Ok(PAPER_SPLITS), Splits::load)?;
        let geometry = config.model.geometry;
        footage.footage = config.footage.clone();
        footage.check(data)?;
        let source = |split, augment| -> Result<Box<dyn Fragments>> {
            let footage = footage.open(split, geometry.height(), config.recipe.footage)?;
            if data.join(DATASET).exists() {
                Ok(Box::new(Prepared::open(data, split, augment)?.fitting(geometry)?))
            } else {
                Ok(Box::new(Songs::open(data, split, &splits, geometry, augment)?.with_footage(footage)))
            }
        };
        let training = source(Split::Train, augment)?;
        let validation = source(Split::Validation, Augment::NONE)?;
        warn(format_args!("{} fragments to train on, {} to validate on", training.count(), validation.count()));

        ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            eprintln!("stopping after this step; once more to stop at once, without saving");
        })?;
        let run = Run { config: &config, folder: &self.out, training: &*training, validation: &*validation, threads };
        match run.run(&device, &STOP)? {
            End::Done(state) => {
                if let Some((step, loss)) = state.best {
                    print(format_args!("best: step {step}, validation loss {loss:.4} nats per token"))?;
                }
                Ok(ExitCode::SUCCESS)
            }
            End::Stopped(state) => {
                eprintln!("saved after step {}; the same command resumes from there", state.step);
                Ok(ExitCode::from(130))
            }
        }
    }
}

impl EvalArgs {
    fn run(self) -> Result<ExitCode> {
        let threads = threads(self.threads);
        for (option, count) in [("--fragments", self.fragments), ("--generate", self.generate)] {
            ensure!(count > 0, "{option} must be at least 1, but is 0");
        }
        let (out, json) = (&self.out, self.out.with_extension("json"));
        ensure!(out.extension().is_some_and(|end| end == "md"), "{}: must end in .md, but does not", out.display());
        let mut candidates: Vec<Candidate> = Vec::new();
        let models = self.models.iter().map(|model| (model, false));
        for ((name, path), blind) in models.chain(self.blind.iter().map(|model| (model, true))) {
            if candidates.iter().any(|other| other.name == *name) {
                bail!("each model must have a name of its own, but two are called {name}");
            }
            let (config, model) = load_model(path, &Device::flex())?;
            candidates.push(Candidate { name: name.clone(), model, geometry: config.geometry, blind });
        }
        // Before the work, so that none is lost.
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for folder in [Some(folder), self.keep.as_deref()].into_iter().flatten() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let splits = self.split.map_or(Ok(PAPER_SPLITS), Splits::load)?;
        let geometries: Vec<_> = candidates.iter().map(|candidate| candidate.geometry).collect();
        self.footage.check(&self.data)?;
        let height = geometries.iter().map(|geometry| geometry.height()).max().unwrap_or_default();
        let footage = self.footage.open(self.eval_split, height, 1.0)?;
        let held_out = HeldOut::open(&self.data, self.eval_split, &splits, &geometries)?.with_footage(footage);

        let corpus = songs_for_training(&self.data, &splits)?;
        let films = self.footage.films()?;

        let Self { eval_split: split, fragments, generate: pieces, songs, song_seconds, guidance, tempo, seed, .. } =
            self;
        let quantize = !self.no_quantize;
        let sampling = Sampling::default().with_temperature(self.temperature).with_top_p(self.top_p);
        let options = EvalOptions {
            split,
            fragments,
            pieces,
            songs,
            song_seconds,
            sampling,
            guidance,
            tempo,
            quantize,
            seed,
            threads,
        };
        let bar = indicatif::ProgressBar::new(0);
        let start = Instant::now();
        let (report, pieces) =
            evaluate(&held_out, corpus.as_ref(), &films, &candidates, &options, &|what, done, count| {
                bar.set_length(count as u64);
                bar.set_position(done as u64);
                bar.set_message(what.to_owned());
                if done == count {
                    let elapsed = Duration::from_secs(start.elapsed().as_secs());
                    bar.suspend(|| warn(format_args!("{what}: done after {elapsed:?}")));
                }
            })?;
        bar.finish_and_clear();
        if let Some(folder) = &self.keep {
            for piece in pieces {
                vmt_files::write(&folder.join(format!("{}.mid", piece.name)), &vmt::midi::write(&piece.score)?)?;
            }
        }
        vmt_files::write(&json, report.json().as_bytes())?;
        vmt_files::write(out, report.to_string().as_bytes())?;
        print(format_args!("wrote {} and {}", out.display(), json.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// As asked, or one for each core.
fn threads(asked: Option<u16>) -> usize {
    asked.map_or_else(|| thread::available_parallelism().map_or(1, NonZeroUsize::get), usize::from)
}
