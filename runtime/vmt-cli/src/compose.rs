//! `vmt compose`: from a video to its music.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use anyhow::{Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use vmt::{Backend, Bundle, Composer, Composition, Geometry, Options, Sampling, Window};
use vmt_render::{Film, Provenance};

use crate::{built_in, frames, outputs};

/// Composes piano music for a video
///
/// The music is as long as the video: from its first picture to the end of its last. A video over 10 s is one piece,
/// composed in windows of 10 s that overlap. The same bundle, video, seed and options give the same file again.
#[derive(clap::Args)]
pub struct Args {
    /// The video file
    #[cfg(feature = "video")]
    #[arg(required_unless_present = "frames")]
    video: Option<PathBuf>,
    /// A folder of PNG or JPEG pictures in the order of their names, instead of a video
    #[arg(long, value_name = "DIR", requires = "fps")]
    #[cfg_attr(feature = "video", arg(conflicts_with = "video"))]
    #[cfg_attr(not(feature = "video"), arg(required = true))]
    frames: Option<PathBuf>,
    /// Pictures a second in --frames
    #[arg(long, value_name = "N", requires = "frames")]
    // clap does not insist on `frames` where a video rules it out.
    #[cfg_attr(feature = "video", arg(conflicts_with = "video"))]
    fps: Option<f64>,
    #[command(flatten)]
    outputs: outputs::Args,
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
    /// Take what the model says as it is, playable or not, and count what is wrong with it
    #[arg(long)]
    unconstrained: bool,
}

#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Engine {
    #[default]
    Auto,
    Tract,
    Ort,
    Cuda,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let film = self.film()?;
        let prepared = self.outputs.check(&film)?;
        let sampling =
            Sampling { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p, seed: self.seed };
        sampling.validate()?;
        let options = Options { sampling, unconstrained: self.unconstrained };

        let bundle = self.bundle.as_ref().map_or_else(built_in, |dir| Ok(Bundle::open(dir)?))?;
        let backend = match self.engine {
            Engine::Auto => Backend::Auto,
            Engine::Tract => Backend::Tract,
            Engine::Ort => Backend::Ort,
            Engine::Cuda => Backend::Cuda,
        };
        let composer = Composer::new(&bundle, backend, self.threads)?;

        let (windows, length) = windows(&film, composer.engine().geometry())?;
        let bar = progress_bar(length)?;
        let composition = composer.compose(windows, &options, |progress| {
            bar.set_position(progress.time.as_millis() as u64);
            bar.set_message(format!("{:.1} s of music, {} events", progress.time.as_secs_f64(), progress.events));
        });
        bar.finish_and_clear();
        let composition = composition?;
        ensure!(composition.windows > 0, "there is no picture to compose for");
        let provenance = Provenance {
            vmt: env!("CARGO_PKG_VERSION").to_owned(),
            model: (&bundle).into(),
            engine: composer.engine().name().to_owned(),
            film,
            options,
        };
        self.outputs.write(&prepared, &composition.score, &provenance)?;
        self.summary(&composition, &composer, &bundle);
        Ok(())
    }

    /// What is to be watched.
    fn film(&self) -> Result<Film> {
        if let (Some(folder), Some(fps)) = (&self.frames, self.fps) {
            return Ok(Film::Frames { folder: folder.clone(), fps });
        }
        #[cfg(feature = "video")]
        if let Some(video) = &self.video {
            return Ok(Film::Video(video.clone()));
        }
        bail!("a video or --frames is needed")
    }

    fn summary(&self, composition: &Composition, composer: &Composer, bundle: &Bundle) {
        let Composition { score, windows, events, unmatched_offs, unclosed, length_error, seconds, .. } = composition;
        let time = |time: &Duration| time.as_secs_f64();
        self.outputs.paths().for_each(|path| println!("wrote    {}", path.display()));
        println!(
            "music    {:.2} s: {events} events, {} notes, {windows} {}",
            time(&score.duration),
            score.notes.len(),
            if *windows == 1 { "window" } else { "windows" }
        );
        println!("model    {}", bundle.manifest().name);
        println!("engine   {}", composer.engine().name());
        println!("seed     {}", self.seed);
        println!(
            "time     video {:.2} s, encoder {:.2} s, decoder {:.2} s ({:.0} events a second)",
            time(&seconds.video),
            time(&seconds.encode),
            time(&seconds.decode),
            *events as f64 / time(&seconds.decode).max(1e-9)
        );
        if self.unconstrained {
            let mean = time(length_error) / *windows as f64;
            println!(
                "raw      {unmatched_offs} unmatched note-offs, {unclosed} unclosed notes, length off by {mean:.2} s a window"
            );
        }
    }
}

type Windows = Box<dyn Iterator<Item = Result<Window>>>;

/// The windows, and how long the video says it is.
fn windows(film: &Film, geometry: Geometry) -> Result<(Windows, Option<Duration>)> {
    match film {
        Film::Frames { folder, fps } => Ok((Box::new(frames::windows(folder, *fps, geometry)?), None)),
        #[cfg(feature = "video")]
        Film::Video(path) => {
            let video = vmt_video::Video::open(path)?;
            let length = video.claimed_duration();
            Ok((Box::new(video.windows(geometry).map(|window| Ok(window?))), length))
        }
        #[cfg(not(feature = "video"))]
        Film::Video(path) => bail!("{}: this program was built without FFmpeg", path.display()),
    }
}

/// Counts milliseconds of film. Seen on a terminal only; indicatif sees to that.
fn progress_bar(length: Option<Duration>) -> Result<ProgressBar> {
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length.as_millis() as u64), "{wide_bar} {percent}% {msg}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}, {elapsed} so far"),
    };
    Ok(bar.with_style(ProgressStyle::with_template(template)?))
}
