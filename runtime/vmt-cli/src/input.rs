//! The options of `vmt compose` that name a film, and the film's windows.

use std::io;
#[cfg(feature = "video")]
use std::io::{BufReader, BufWriter, Seek};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
#[cfg(feature = "video")]
use vmt::click::HitFinder;
use vmt::click::{FilmHits, find_hits};
use vmt::{Geometry, Window};
use vmt_render::Film;

#[cfg(feature = "server")]
use crate::read_film::{Metadata, Reading, Wanted};
#[cfg(feature = "video")]
use crate::window_stream;
use crate::{image_sequence, moment, paths, usage};

/// The film to compose for
#[derive(clap::Args)]
pub struct InputArgs {
    /// The video file, or a folder of videos; - is standard input
    #[cfg(feature = "video")]
    #[arg(required_unless_present_any = ["frames", "from"])]
    video: Option<PathBuf>,
    /// A folder of PNG or JPEG images, in the order of their names, instead of a video; - reads raw frames from
    /// standard input, 3 bytes a pixel (FFmpeg's rgb24), and needs --size
    #[arg(long, value_name = "DIR", requires = "fps")]
    #[cfg_attr(feature = "video", arg(conflicts_with = "video"))]
    #[cfg_attr(not(feature = "video"), arg(required_unless_present = "from"))]
    frames: Option<PathBuf>,
    /// Frames per second of --frames, 0.001-1000
    #[arg(long, value_name = "N", requires = "frames", value_parser = fps)]
    // clap does not insist on `frames` where a video rules it out.
    #[cfg_attr(feature = "video", arg(conflicts_with = "video"))]
    fps: Option<f64>,
    /// Width and height of the raw frames on standard input
    #[arg(long, value_name = "WxH", requires = "frames", value_parser = size)]
    #[cfg_attr(feature = "video", arg(conflicts_with = "video"))]
    size: Option<[u32; 2]>,
    /// Begin at this time of the film, in seconds or as 1:23.5; times in the outputs count from there
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = moment::seconds)]
    pub start: f64,
    /// End at this time of the film, if it is that long
    #[arg(long, value_name = "TIME", value_parser = moment::seconds)]
    pub end: Option<f64>,
    /// Reads the film in a process of its own.
    #[cfg(feature = "server")]
    #[arg(skip)]
    pub reader: Option<crate::sandbox::Sandbox>,
}

pub type Windows = Box<dyn Iterator<Item = Result<Window>>>;

impl InputArgs {
    /// The film, if the call names one.
    pub fn film(&self) -> Option<Film> {
        let frames = self.frames.clone().zip(self.fps).map(|(folder, fps)| Film::Frames { folder, fps });
        #[cfg(feature = "video")]
        let frames = frames.or(self
            .video
            .clone()
            .map(|video| Film::Video(if paths::is_standard(&video) { "/dev/stdin".into() } else { video })));
        frames
    }

    /// The folder of films, if the call names one.
    #[cfg(feature = "video")]
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.video.as_deref().filter(|video| video.is_dir())
    }

    /// The part of the film to compose for.
    pub fn range(&self) -> Result<Range<Duration>> {
        let range = Duration::from_secs_f64(self.start)..self.end.map_or(Duration::MAX, Duration::from_secs_f64);
        let Range { start, end } = range;
        usage::ensure(start < end, format!("--start must be before --end, but {start:?} is not before {end:?}"))?;
        Ok(range)
    }

    /// The hits of `film` in `range`, found on every frame, and how long that is; `None` if it cannot be read twice.
    pub fn find_hits(&self, film: &Film, range: &Range<Duration>) -> Result<Option<FilmHits>> {
        match film {
            Film::Frames { folder, .. } if paths::is_standard(folder) => Ok(None),
            Film::Frames { folder, fps } => {
                find_hits(image_sequence::thumbnails(folder, *fps, range.clone())?).map(Some)
            }
            #[cfg(feature = "video")]
            Film::Video(path) if !is_file(path) => Ok(None),
            #[cfg(feature = "video")]
            Film::Video(path) => Ok(Some(find_hits(vmt_video::Video::open(path)?.thumbnails(range.clone()))?)),
            #[cfg(not(feature = "video"))]
            Film::Video(path) => bail!("{}: this program was built without FFmpeg", path.display()),
        }
    }

    /// The length of `film` in `range` as far as its header tells.
    #[cfg_attr(not(feature = "video"), expect(unused_variables))]
    pub fn length(&self, film: &Film, range: &Range<Duration>) -> Result<Option<Duration>> {
        match film {
            Film::Frames { .. } => Ok(None),
            #[cfg(feature = "video")]
            Film::Video(path) => Ok(length(&vmt_video::Video::open(path)?, range)),
            #[cfg(not(feature = "video"))]
            Film::Video(path) => bail!("{}: this program was built without FFmpeg", path.display()),
        }
    }

    /// Frames a second of `film`, as a ratio, for timecode.
    pub fn frame_rate(&self, film: &Film) -> Result<(u32, u32)> {
        #[cfg(feature = "server")]
        if let Some(reader) = &self.reader {
            return reader.ask(&self.reading(film, Wanted::FrameRate));
        }
        match film {
            Film::Frames { fps, .. } => Ok(((fps * 1000.0).round() as u32, 1000)),
            #[cfg(feature = "video")]
            Film::Video(path) => {
                let rate = vmt_video::Video::open(path)?.frame_rate();
                rate.ok_or_else(|| {
                    anyhow::anyhow!("{}: must have a frame rate for --hits, but has none", path.display())
                })
            }
            #[cfg(not(feature = "video"))]
            Film::Video(path) => bail!("{}: this program was built without FFmpeg", path.display()),
        }
    }

    /// The windows of `film` in `range`, each `hop` frames behind the one before, and the length of that part as far as
    /// the film's header tells.
    pub fn windows(
        &self,
        film: &Film,
        range: Range<Duration>,
        geometry: Geometry,
        hop: usize,
    ) -> Result<(Windows, Option<Duration>)> {
        match film {
            Film::Frames { folder, fps } => {
                let windows: Windows = match (paths::is_standard(folder), self.size) {
                    (true, Some(size)) => {
                        Box::new(image_sequence::raw(io::stdin().lock(), size, *fps, range, geometry, hop)?)
                    }
                    (true, None) => bail!(usage::wrong("--frames - needs --size, such as --size 320x180")),
                    (false, Some(_)) => bail!(usage::wrong("--size is for --frames -: image files have a size")),
                    (false, None) => Box::new(image_sequence::windows(folder, *fps, range, geometry, hop)?),
                };
                Ok((windows, None))
            }
            #[cfg(feature = "video")]
            Film::Video(path) => {
                let video = vmt_video::Video::open(path)?;
                let length = length(&video, &range);
                Ok((Box::new(video.windows_between(range, geometry, hop).map(|window| Ok(window?))), length))
            }
            #[cfg(not(feature = "video"))]
            Film::Video(path) => bail!("{}: this program was built without FFmpeg", path.display()),
        }
    }

    /// The same, and the film's hits if `hits` says that they are wanted.
    pub fn windows_and_hits(
        &self,
        film: &Film,
        range: Range<Duration>,
        geometry: Geometry,
        hop: usize,
        hits: bool,
    ) -> Result<(Windows, Option<Duration>, Option<FilmHits>)> {
        #[cfg(feature = "server")]
        if let Some(reader) = &self.reader {
            let reading = self.reading(film, Wanted::Windows { geometry, hop, hits });
            let (Metadata { length, hits }, windows) = reader.windows(&reading, geometry, hop)?;
            // Of raw frames, which elsewhere come through a pipe, no length is known.
            return Ok((Box::new(windows), length.filter(|_| matches!(film, Film::Video(_))), hits));
        }
        #[cfg(feature = "video")]
        if let Film::Video(path) = film
            && hits
            && is_file(path)
        {
            // In one pass: the windows wait until all hits are known, those of over 22 minutes (of `vmt-beat`) in a file without a name.
            let video = vmt_video::Video::open(path)?;
            let (length, mut finder) = (length(&video, &range), HitFinder::default());
            let windows = video.windows_and_thumbnails(range, geometry, hop, |frame| {
                finder.push(frame);
                anyhow::Ok(())
            });
            let mut waiting = tempfile::spooled_tempfile(1 << 26);
            window_stream::write(windows, hop, BufWriter::new(&mut waiting), |_| Ok(()))?;
            waiting.rewind()?;
            let windows = window_stream::read(BufReader::new(waiting), geometry, hop, || Ok(()));
            return Ok((Box::new(windows), length, Some(finder.finish())));
        }
        let (windows, length) = self.windows(film, range.clone(), geometry, hop)?;
        let found = if hits { self.find_hits(film, &range)? } else { None };
        Ok((windows, length, found))
    }
}

#[cfg(feature = "server")]
impl InputArgs {
    /// The call for a process that reads `film`.
    pub fn reading(&self, film: &Film, wanted: Wanted) -> Reading {
        Reading { film: film.clone(), size: self.size, start: self.start, end: self.end, wanted }
    }

    /// The options of such a call.
    pub fn of_reading(Reading { film, size, start, end, .. }: &Reading) -> Self {
        let (video, frames, fps) = match film.clone() {
            Film::Video(path) => (Some(path), None, None),
            Film::Frames { folder, fps } => (None, Some(folder), Some(fps)),
        };
        Self { video, frames, fps, size: *size, start: *start, end: *end, reader: None }
    }

    /// Whether the film is raw frames, and their width, height and number a second.
    pub fn raw(&self) -> Option<([u32; 2], f64)> {
        self.size.zip(self.fps)
    }
}

/// Not a pipe, whose music is to begin before its end.
#[cfg(feature = "video")]
fn is_file(film: &std::path::Path) -> bool {
    std::fs::metadata(film).is_ok_and(|file| file.is_file())
}

#[cfg(feature = "video")]
fn length(video: &vmt_video::Video, range: &Range<Duration>) -> Option<Duration> {
    video.claimed_duration().map(|length| length.min(range.end).saturating_sub(range.start))
}

fn fps(text: &str) -> Result<f64> {
    let rate = text.parse()?;
    image_sequence::check_rate(rate)?;
    Ok(rate)
}

/// Width and height, `320x180`.
fn size(text: &str) -> Result<[u32; 2]> {
    let parse = || {
        let (width, height) = text.split_once('x')?;
        let size = [width.parse().ok()?, height.parse().ok()?];
        size.iter().all(|side| (1..=vmt::pictures::MAX_SIDE).contains(side)).then_some(size)
    };
    parse().ok_or_else(|| anyhow::anyhow!("it must be WIDTHxHEIGHT, each 1-16384"))
}
