//! `vmt compose`: from a video to its music.

use std::{
    fs,
    io::{self, Write},
    num::NonZeroUsize,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Arg;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde::Serialize;
use vmt::{
    Backend, Bundle, Composer, Composition, Event, Geometry, Options, Played, STEPS_PER_SECOND, Sampling, Score, Tempo,
    Token, Window, midi,
};
use vmt_render::{Film, Provenance};

#[cfg(feature = "video")]
use crate::folder;
use crate::{
    built_in, controls, frames, from, output,
    outputs::{self, Prepared},
    shard::Shard,
};

/// Composes piano music for a video
///
/// The music is as long as the video: from its first picture to the end of its last. A video over 10 s is one piece,
/// composed in windows of 10 s that overlap. The same bundle, video, seed and options give the same file again.
///
/// A folder instead of a video is many films: -o names a folder too, FILM.mp4 becomes FILM.mid there, and a film whose
/// files are there and not older is skipped; delete them to compose again. Sub-folders are not looked into. A film that
/// cannot be read is passed over, and in the end a table says how each went.
#[derive(clap::Args)]
#[command(mut_args = beside_from)]
pub struct Args {
    /// The video file, or a folder of them
    #[cfg(feature = "video")]
    #[arg(required_unless_present_any = ["frames", "from"])]
    video: Option<PathBuf>,
    /// A folder of PNG or JPEG pictures in the order of their names, instead of a video; - reads raw pictures from
    /// standard input, 3 bytes a pixel (FFmpeg's rgb24), and needs --size
    #[arg(long, value_name = "DIR", requires = "fps")]
    #[cfg_attr(feature = "video", arg(conflicts_with = "video"))]
    #[cfg_attr(not(feature = "video"), arg(required_unless_present = "from"))]
    frames: Option<PathBuf>,
    /// Pictures a second in --frames
    #[arg(long, value_name = "N", requires = "frames")]
    // clap does not insist on `frames` where a video rules it out.
    #[cfg_attr(feature = "video", arg(conflicts_with = "video"))]
    fps: Option<f64>,
    /// Width and height of the pictures that standard input brings
    #[arg(long, value_name = "WxH", requires = "frames", value_parser = size)]
    #[cfg_attr(feature = "video", arg(conflicts_with = "video"))]
    size: Option<[u32; 2]>,
    /// Write again what this .json of an earlier -o recorded: the same notes, so no option that makes music goes with it.
    /// The film is needed for .mp4, .mkv and --thumbnails alone; name it too if it is no longer where it was
    #[arg(long, value_name = "FILE.json")]
    from: Option<PathBuf>,
    /// Begin at this second of the film, and count time from there
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    start: f64,
    /// End at this second of the film, if it is that long
    #[arg(long, value_name = "SECONDS")]
    end: Option<f64>,
    #[command(flatten)]
    pub outputs: outputs::Args,
    /// Begin with the first seconds of this MIDI file (at most half a window, 5 s) and continue them
    #[arg(long, value_name = "FILE.mid")]
    primer: Option<PathBuf>,
    /// Of a folder's films, only every Nth from the Ith; JOB_COMPLETION_INDEX (Kubernetes) and SLURM_ARRAY_TASK_ID say it
    /// too
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// How many shards there are, where JOB_COMPLETION_INDEX says which and JOB_COMPLETIONS does not say it
    #[arg(long, value_name = "N", conflicts_with = "shard")]
    pub shards: Option<usize>,
    /// The model's folder [default: the one inside this program]
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// What runs the model: auto takes ort where its library is found, else tract
    #[arg(long, value_enum, default_value_t)]
    engine: Engine,
    /// Threads for the model [default: all of this machine's]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Another seed, other music
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// How daring: 0 always takes the likeliest event, 1 follows the model's odds
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    temperature: f32,
    /// Choose among the N likeliest events only
    #[arg(long, value_name = "N")]
    top_k: Option<NonZeroUsize>,
    /// Choose among the likeliest events that together reach this probability only
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    top_p: f32,
    /// How closely to follow the film, 0-10: 0 is music without it, 1 the model as it is, more exaggerates what the film
    /// changes; other than 1 it takes longer
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    guidance: f32,
    /// Take what the model says as it is, playable or not, and count what is wrong with it
    #[arg(long)]
    unconstrained: bool,
    #[command(flatten)]
    controls: controls::Args,
}

#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Engine {
    #[default]
    Auto,
    Tract,
    Ort,
    Cuda,
}

/// All that is needed to compose, except a film.
pub struct Studio {
    bundle: Bundle,
    composer: Composer,
    options: Options,
    range: Range<Duration>,
    tempo: Tempo,
}

impl Studio {
    /// Checks the options, then loads the model.
    pub fn new(args: &Args) -> Result<Self> {
        let sampling = Sampling::default()
            .with_temperature(args.temperature)
            .with_top_k(args.top_k)
            .with_top_p(args.top_p)
            .with_seed(args.seed);
        sampling.validate()?;
        let controls = args.controls.controls(args.unconstrained)?;
        let range = range(args.start, args.end)?;
        let tempo = args.outputs.tempo()?;

        let bundle = args.bundle.as_ref().map_or_else(built_in, |dir| Ok(Bundle::open(dir)?))?;
        let backend = match args.engine {
            Engine::Auto => Backend::Auto,
            Engine::Tract => Backend::Tract,
            Engine::Ort => Backend::Ort,
            Engine::Cuda => Backend::Cuda,
        };
        let composer = Composer::new(&bundle, backend, args.threads)?;
        let geometry = composer.engine().geometry();
        let primer = args.primer.as_ref().map(|file| primer(file, geometry)).transpose()?.unwrap_or_default();
        let options = Options::default()
            .with_sampling(sampling)
            .with_guidance(args.guidance)
            .with_unconstrained(args.unconstrained)
            .with_controls(controls)
            .with_primer(primer);
        options.validate(geometry)?;
        Ok(Self { bundle, composer, options, range, tempo })
    }
}

impl Args {
    pub fn run(self) -> Result<()> {
        if let Some(file) = &self.from {
            return from::run(&self, file);
        }
        #[cfg(feature = "video")]
        if let Some(folder) = self.video.as_deref().filter(|video| video.is_dir()) {
            return folder::run(&self, folder);
        }
        let sharded = self.shard.is_some() || self.shards.is_some();
        ensure!(!sharded, "--shard and --shards are for a folder of films, and this is one film");
        let film = self.film().context("a video or --frames is needed")?;
        let prepared = self.check(&self.outputs, &film)?;
        let studio = Studio::new(&self)?;
        let takes = self.compose(&studio, film, &self.outputs, &prepared)?;
        self.summary(&takes, &studio);
        Ok(())
    }

    /// As [`outputs::Args::check`].
    pub fn check(&self, outputs: &outputs::Args, film: &Film) -> Result<Prepared> {
        outputs.check(film, range(self.start, self.end)?.start)
    }

    /// Composes for `film` and writes `outputs`; returns the takes, the best first.
    pub fn compose(
        &self,
        studio: &Studio,
        film: Film,
        outputs: &outputs::Args,
        prepared: &Prepared,
    ) -> Result<Vec<Composition>> {
        let Studio { bundle, composer, options, range, tempo } = studio;
        let geometry = composer.engine().geometry();
        let (windows, length) = self.windows(&film, range.clone(), geometry, options.hop(&geometry))?;
        let bar = progress_bar(length)?;
        let mut piece = composer.piece(windows, options, outputs.takes)?;
        let (mut furthest, mut events) = (Duration::ZERO, 0);
        while let Some(played) = piece.next().transpose()? {
            if outputs.events {
                print_event(&played).context("standard output")?;
            }
            // Takes are not equally far.
            furthest = furthest.max(played.time);
            events += 1;
            bar.set_position(furthest.as_millis() as u64);
            bar.set_message(format!("{:.1} s of music, {events} events", furthest.as_secs_f64()));
        }
        bar.finish_and_clear();
        let mut takes = piece.finish();
        let (Film::Video(path) | Film::Frames { folder: path, .. }) = &film;
        let none = "must have a picture from --start on, but ends before";
        ensure!(takes[0].windows > 0, "{}: {none} {:?}", path.display(), range.start);
        if outputs.snap {
            takes.iter_mut().for_each(|take| take.score.snap(*tempo));
        }
        let provenance = |take: &Composition| Provenance {
            vmt: env!("CARGO_PKG_VERSION").to_owned(),
            model: bundle.into(),
            engine: composer.engine().name().to_owned(),
            film: film.clone(),
            start: self.start,
            end: self.end,
            options: options.clone(),
            takes: takes.len(),
            take: take.take,
            tempo: outputs.tempo,
            snapped: outputs.snap,
        };
        let written: Vec<_> = takes.iter().map(|take| (&take.score, provenance(take))).collect();
        outputs.write(prepared, &written)?;
        Ok(takes)
    }

    /// The windows, and how long the video says its part is.
    fn windows(
        &self,
        film: &Film,
        range: Range<Duration>,
        geometry: Geometry,
        hop: usize,
    ) -> Result<(Windows, Option<Duration>)> {
        match film {
            Film::Frames { folder, fps } => {
                let windows: Windows = match (output::is_standard(folder), self.size) {
                    (true, Some(size)) => Box::new(frames::raw(io::stdin().lock(), size, *fps, range, geometry, hop)?),
                    (true, None) => bail!("--frames - needs --size, such as --size 320x180"),
                    (false, Some(_)) => bail!("--size is for --frames -: the files say how large they are"),
                    (false, None) => Box::new(frames::windows(folder, *fps, range, geometry, hop)?),
                };
                Ok((windows, None))
            }
            #[cfg(feature = "video")]
            Film::Video(path) => {
                let video = vmt_video::Video::open(path)?;
                let length = video.claimed_duration().map(|length| length.min(range.end).saturating_sub(range.start));
                Ok((Box::new(video.windows_between(range, geometry, hop).map(|window| Ok(window?))), length))
            }
            #[cfg(not(feature = "video"))]
            Film::Video(path) => bail!("{}: this program was built without FFmpeg", path.display()),
        }
    }

    /// What is to be watched, if the call says it.
    pub fn film(&self) -> Option<Film> {
        let frames = self.frames.clone().zip(self.fps).map(|(folder, fps)| Film::Frames { folder, fps });
        #[cfg(feature = "video")]
        let frames = frames.or(self.video.clone().map(Film::Video));
        frames
    }

    fn summary(&self, takes: &[Composition], studio: &Studio) {
        let Studio { bundle, composer, .. } = studio;
        let Composition { score, windows, events, unmatched_offs, unclosed, length_error, timings, .. } = &takes[0];
        let time = |time: &Duration| time.as_secs_f64();
        let piped = self.outputs.piped();
        let say = |line: String| if piped { eprintln!("{line}") } else { println!("{line}") };
        for path in self.outputs.paths() {
            say(format!("wrote    {}", path.display()));
        }
        say(format!(
            "music    {:.2} s: {events} events, {} notes, {windows} {}",
            time(&score.duration),
            score.notes.len(),
            if *windows == 1 { "window" } else { "windows" }
        ));
        if takes.len() > 1 {
            say("takes    the score is the likelihood of an event (log), less repetition, gaps and a density out of range".into());
            for (place, Composition { take, rank, .. }) in takes.iter().enumerate() {
                say(format!(
                    "         {}. {:.3} = {:.3} - {:.3} - {:.3} - {:.3} (lane {take})",
                    place + 1,
                    rank.total(),
                    rank.likelihood,
                    rank.repetition,
                    rank.silence,
                    rank.density
                ));
            }
        }
        say(format!("model    {}", bundle.manifest().name));
        say(format!("engine   {}", composer.engine().name()));
        say(format!("seed     {}", self.seed));
        say(format!(
            "time     video {:.2} s, encoder {:.2} s, decoder {:.2} s ({:.0} events a second)",
            time(&timings.video),
            time(&timings.encode),
            time(&timings.decode),
            takes.iter().map(|take| take.events).sum::<usize>() as f64 / time(&timings.decode).max(1e-9)
        ));
        if self.unconstrained {
            let mean = time(length_error) / *windows as f64;
            say(format!(
                "raw      {unmatched_offs} unmatched note-offs, {unclosed} unclosed notes, length off by {mean:.2} s a window"
            ));
        }
    }
}

/// Lets an option go with --from only if it says where the film is or what to write.
fn beside_from(arg: Arg) -> Arg {
    const ALLOWED: [&str; 8] =
        ["from", "video", "frames", "fps", "output", "soundfont", "original_volume", "thumbnails"];
    if ALLOWED.contains(&arg.get_id().as_str()) { arg } else { arg.conflicts_with("from") }
}

fn range(start: f64, end: Option<f64>) -> Result<Range<Duration>> {
    let moment = |option, seconds: f64| {
        let moment = Duration::try_from_secs_f64(seconds).ok();
        moment.with_context(|| format!("{option} must be seconds of the film, at least 0, but is {seconds}"))
    };
    let range = moment("--start", start)?..end.map_or(Ok(Duration::MAX), |end| moment("--end", end))?;
    ensure!(
        range.start < range.end,
        "--start must be before --end, but {:?} is not before {:?}",
        range.start,
        range.end
    );
    Ok(range)
}

/// The beginning of a MIDI file, of at most half a window.
fn primer(file: &Path, geometry: Geometry) -> Result<Vec<Token>> {
    let name = || file.display().to_string();
    let bytes = fs::read(file).with_context(name)?;
    let score = Score::quantise(&midi::read(&bytes, true).with_context(name)?, Duration::from_secs(24 * 3600));
    let half = (geometry.frame_ms * (geometry.frames / 2) as u64 * u64::from(STEPS_PER_SECOND) / 1000) as u32;
    let ends = score.notes.iter().filter(|note| note.start < half).map(|note| note.end.min(half));
    let seconds = f64::from(half) / f64::from(STEPS_PER_SECOND);
    let length =
        ends.max().with_context(|| format!("{}: must have a note in its first {seconds} s, but has none", name()))?;
    Ok(score.beginning(length))
}

/// What was played, for other programs.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    NoteOn { time: f64, pitch: u8 },
    NoteOff { time: f64, pitch: u8 },
    TimeShift { time: f64, seconds: f64 },
    Velocity { time: f64, velocity: u8 },
    Pad { time: f64 },
    End { time: f64 },
}

fn print_event(played: &Played) -> io::Result<()> {
    let time = played.time.as_secs_f64();
    let line = match played.event {
        Event::NoteOn(pitch) => Line::NoteOn { time, pitch: pitch.get() },
        Event::NoteOff(pitch) => Line::NoteOff { time, pitch: pitch.get() },
        Event::TimeShift(shift) => {
            Line::TimeShift { time, seconds: f64::from(shift.get()) / f64::from(STEPS_PER_SECOND) }
        }
        Event::Velocity(bin) => Line::Velocity { time, velocity: bin.velocity() },
        Event::Pad => Line::Pad { time },
        Event::End => Line::End { time },
    };
    // Line by line, as they come.
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&line)?)?;
    out.flush()
}

/// Width and height, `320x180`.
fn size(text: &str) -> Result<[u32; 2]> {
    let parse = || {
        let (width, height) = text.split_once('x')?;
        let size = [width.parse().ok()?, height.parse().ok()?];
        size.iter().all(|side| (1..=1 << 14).contains(side)).then_some(size)
    };
    parse().context("it must be WIDTHxHEIGHT, each 1-16384")
}

type Windows = Box<dyn Iterator<Item = Result<Window>>>;

/// Counts milliseconds of film. Seen on a terminal only; indicatif sees to that.
fn progress_bar(length: Option<Duration>) -> Result<ProgressBar> {
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length.as_millis() as u64), "{wide_bar} {percent}% {msg}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}, {elapsed} so far"),
    };
    Ok(bar.with_style(ProgressStyle::with_template(template)?).with_finish(ProgressFinish::AndClear))
}
