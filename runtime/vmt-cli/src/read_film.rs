//! `vmt read-film`: reads a film for another process, which is told what it wants to know on standard output.

use std::fs;
use std::io::{self, BufWriter, Seek, Write};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use vmt::click::{FilmHits, HitFinder};
use vmt::{Geometry, Window};
use vmt_render::Film;
use vmt_video::Video;

use crate::input::InputArgs;
use crate::window_stream;

/// Reads a film for another process
#[derive(clap::Args)]
pub struct ReadFilmArgs {
    /// What to read, as JSON
    reading: String,
    /// Refuse what is beyond these limits, as JSON
    limits: String,
}

/// What to read.
#[derive(Serialize, Deserialize)]
pub struct Reading {
    pub film: Film,
    /// Of raw frames.
    pub size: Option<[u32; 2]>,
    pub start: f64,
    pub end: Option<f64>,
    pub wanted: Wanted,
}

/// What is to be told.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub enum Wanted {
    /// [`Metadata`].
    Metadata,
    FrameRate,
    /// A line of [`Metadata`], then windows ([`window_stream`]).
    Windows {
        geometry: Geometry,
        hop: usize,
        hits: bool,
    },
}

/// What is known of a film before its windows.
#[derive(Serialize, Deserialize)]
pub struct Metadata {
    /// How long the part is that is wanted, as far as the header tells.
    pub length: Option<Duration>,
    /// The hits, if they are wanted; none of raw frames.
    pub hits: Option<FilmHits>,
}

/// What a film may have.
#[derive(Clone, Serialize, Deserialize)]
pub struct FilmLimits {
    pub seconds: u64,
    pub pixels: u64,
    pub frames_per_second: u32,
}

impl ReadFilmArgs {
    pub fn run(self) -> Result<()> {
        let mut reading: Reading = serde_json::from_str(&self.reading)?;
        let limits: FilmLimits = serde_json::from_str(&self.limits)?;
        // Nothing behind it is read, whatever the header says.
        let most = reading.start + limits.seconds as f64 + 1.0;
        reading.end = Some(reading.end.map_or(most, |end| end.min(most)));
        let input = InputArgs::of_reading(&reading);
        let range = input.range()?;
        let line = |answer: String| anyhow::Ok(vmt_files::print(answer)?);
        match reading.wanted {
            Wanted::Metadata => line(serde_json::to_string(&metadata(&input, &reading, &limits)?)?),
            Wanted::FrameRate => line(serde_json::to_string(&input.frame_rate(&reading.film)?)?),
            Wanted::Windows { geometry, hop, hits } => {
                let mut metadata = metadata(&input, &reading, &limits)?;
                let path = match &reading.film {
                    Film::Video(path) if hits => path,
                    film => {
                        line(serde_json::to_string(&metadata)?)?;
                        let (windows, _) = input.windows(film, range, geometry, hop)?;
                        return limits.write(windows, hop, io::stdout().lock());
                    }
                };
                // One pass: the windows wait in a file without a name until all hits are known.
                let (mut finder, mut shown) = (HitFinder::default(), 0);
                let windows = Video::open(path)?.windows_and_thumbnails(range, geometry, hop, |frame| {
                    // Those before the part have no duration. Some headers have no rate, or a wrong one.
                    shown += u32::from(!frame.duration.is_zero());
                    limits.check_rate(f64::from(shown) / (frame.time.as_secs_f64() + 1.0))?;
                    finder.push(frame);
                    anyhow::Ok(())
                });
                let mut file = tempfile::tempfile_in(".")?;
                limits.write(windows, hop, BufWriter::new(&file))?;
                let found = finder.finish();
                limits.check_length(Some(found.duration))?;
                metadata.hits = Some(found);
                line(serde_json::to_string(&metadata)?)?;
                file.rewind()?;
                io::copy(&mut file, &mut io::stdout().lock())?;
                Ok(())
            }
        }
    }
}

impl FilmLimits {
    /// Writes windows, if they are within the limits.
    fn write(&self, windows: impl Iterator<Item = Result<Window>>, hop: usize, out: impl Write) -> Result<()> {
        window_stream::write(windows, hop, out, |end| self.check_length(Some(end)))
    }

    fn check_rate(&self, rate: f64) -> Result<()> {
        let most = self.frames_per_second;
        ensure!(rate <= f64::from(most), "the film must have at most {most} frames a second, but has {rate:.1}");
        Ok(())
    }

    fn check_length(&self, length: Option<Duration>) -> Result<()> {
        let most = Duration::from_secs(self.seconds);
        let fits = length.is_none_or(|length| length <= most);
        ensure!(
            fits,
            "the film must be at most {} s long (--start and --end choose a part), but is longer",
            self.seconds
        );
        Ok(())
    }
}

/// What the header tells, checked.
fn metadata(input: &InputArgs, reading: &Reading, limits: &FilmLimits) -> Result<Metadata> {
    let part = |whole: f64| {
        let end = reading.end.unwrap_or(f64::INFINITY).min(whole);
        Duration::try_from_secs_f64((end - reading.start).max(0.0)).ok()
    };
    let (width, height, rate, length) = match (&reading.film, input.raw()) {
        (_, Some(([width, height], rate))) => {
            let bytes = fs::metadata("/dev/stdin").map_or(0, |film| film.len());
            let frames = bytes / (3 * u64::from(width) * u64::from(height));
            (width, height, rate, part(frames as f64 / rate))
        }
        (Film::Frames { .. }, None) => anyhow::bail!("--frames must be raw"),
        (Film::Video(path), None) => {
            let video = Video::open(path)?;
            let (width, height) = video.size();
            let rate = video
                .frame_rate()
                .map_or(0.0, |(numerator, denominator)| f64::from(numerator) / f64::from(denominator));
            (width, height, rate, video.claimed_duration().and_then(|length| part(length.as_secs_f64())))
        }
    };
    let (pixels, most) = (u64::from(width) * u64::from(height), limits.pixels);
    ensure!(pixels <= most, "a frame must have at most {most} pixels, but has {width} x {height}");
    limits.check_rate(rate)?;
    limits.check_length(length)?;
    Ok(Metadata { length, hits: None })
}
