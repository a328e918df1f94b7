//! Films: files, pictures, or none.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use vmt::click::FilmHits;
use vmt::pictures::{self, Picture};
use vmt::{Geometry, Window};

use crate::composer::Model;
use crate::error::Failure;
use crate::signals::Signals;

/// The film that music is for.
pub enum Film {
    /// Pictures that were handed over, and how many a second, if that is known.
    Pictures(Box<pictures::Film>, Option<f64>),
    /// A part of a file.
    Video(PathBuf, Range<Duration>),
    /// None, but music of this length.
    Nothing(Duration),
}

impl Film {
    /// What the caller means: a path, an array of pictures or an iterable of them, or nothing. Pictures are read here, files when
    /// they are needed.
    pub fn read(
        py: Python<'_>,
        film: Option<&Bound<'_, PyAny>>,
        times: Option<&Bound<'_, PyAny>>,
        fps: Option<f64>,
        duration: Option<f64>,
        model: &Model,
        part: Range<Duration>,
    ) -> Result<Self, Failure> {
        let timed = times.is_some() || fps.is_some();
        let duration = duration.map(|seconds| moment("duration", seconds)).transpose()?;
        let Some(film) = film else {
            let whole = part == (Duration::ZERO..Duration::MAX);
            let length = duration.filter(|length| whole && !timed && !length.is_zero());
            let wrong = || {
                Failure::value("without a film, duration must be its seconds, above 0, and nothing else be given of it")
            };
            return Ok(Self::Nothing(length.ok_or_else(wrong)?));
        };
        if let Ok(path) = film.extract::<PathBuf>() {
            if timed || duration.is_some() {
                return Err(Failure::value("times, fps and duration are for pictures: a file has its own"));
            }
            return Self::video(path, part);
        }
        if part != (Duration::ZERO..Duration::MAX) {
            return Err(Failure::value("start and end are for files: pictures begin and end where they do"));
        }
        let mut pictures = pictures::Film::new(model.composer.engine().geometry(), model.conditioned);
        let timing = Timing::new(times, fps, duration)?;
        let mut signals = Signals::default();
        let pictures_of = film.try_iter().map_err(|_| {
            let want = "film must be a path, an array [frames, height, width, 3] or an iterable of pictures";
            PyTypeError::new_err(format!("{want}, but is {film:?}"))
        })?;
        for (index, picture) in pictures_of.enumerate() {
            let (time, lasts) = timing.of(index)?;
            let (bytes, [height, width]) = pixels(&picture?, index)?;
            let picture = Picture { bytes: &bytes, width, height, stride: 3 * width as usize };
            py.detach(|| pictures.push(time, lasts, &picture))?;
            // An array runs no code of Python's, which would look.
            signals.check()?;
        }
        timing.check(&pictures)?;
        Ok(Self::Pictures(Box::new(pictures), fps))
    }

    #[cfg(feature = "video")]
    fn video(path: PathBuf, part: Range<Duration>) -> Result<Self, Failure> {
        std::fs::metadata(&path).map_err(|error| Failure::io(&path, &error))?;
        Ok(Self::Video(path, part))
    }

    #[cfg(not(feature = "video"))]
    fn video(path: PathBuf, _: Range<Duration>) -> Result<Self, Failure> {
        let why = "this package was built without FFmpeg, so a film must be an array or an iterator of pictures";
        Err(Failure::other(format!("{}: {why}", path.display())))
    }

    /// What is found in it: of a file only if it `reads` it for that, which takes as long as to decode it, and can.
    pub fn hits(&self, reads: bool, signals: &mut Signals) -> Result<Option<FilmHits>, Failure> {
        match self {
            Self::Pictures(film, _) => Ok(film.hits()),
            #[cfg(feature = "video")]
            Self::Video(path, part) if reads && std::fs::metadata(path).is_ok_and(|file| file.is_file()) => {
                let frames = vmt_video::Video::open(path)?.thumbnails(part.clone());
                let frames = frames.map(|frame| {
                    signals.check()?;
                    Ok::<_, Failure>(frame?)
                });
                Ok(Some(vmt::click::find_hits(frames)?))
            }
            Self::Video(..) | Self::Nothing(_) => {
                let _ = (reads, signals);
                Ok(None)
            }
        }
    }

    /// How long it is, as far as is known before all of it was read.
    pub fn duration(&self) -> Result<Option<Duration>, Failure> {
        match self {
            Self::Pictures(film, _) => Ok(Some(film.duration())),
            #[cfg(feature = "video")]
            Self::Video(path, part) => {
                let length = vmt_video::Video::open(path)?.claimed_duration();
                Ok(length.map(|length| length.min(part.end).saturating_sub(part.start)))
            }
            #[cfg(not(feature = "video"))]
            Self::Video(..) => Ok(None),
            Self::Nothing(length) => Ok(Some(*length)),
        }
    }

    /// Frames a second, as a ratio, for timecode.
    pub fn frame_rate(&self) -> Result<(u32, u32), Failure> {
        let rate = match self {
            Self::Pictures(_, fps) => fps.map(|fps| ((fps * 1000.0).round() as u32, 1000)),
            #[cfg(feature = "video")]
            Self::Video(path, _) => vmt_video::Video::open(path)?.frame_rate(),
            _ => None,
        };
        rate.ok_or_else(|| Failure::value("hits: a list of markers needs a film with a frame rate: a file's, or fps"))
    }

    /// Its windows, `hop` pictures apart.
    pub fn windows(
        &self,
        geometry: Geometry,
        hop: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<Window, Failure>> + Send + '_>, Failure> {
        Ok(match self {
            Self::Pictures(film, _) => Box::new(film.windows(hop).map(|window| Ok(window?))),
            #[cfg(feature = "video")]
            Self::Video(path, part) => {
                let video = vmt_video::Video::open(path)?;
                let windows = video.windows_between(part.clone(), geometry, hop);
                Box::new(windows.map(|window| Ok(window?)))
            }
            #[cfg(not(feature = "video"))]
            Self::Video(..) => Box::new(std::iter::empty()),
            Self::Nothing(length) => Box::new(Window::without_video(*length, geometry, hop).map(|window| Ok(window?))),
        })
    }

    /// As records have it.
    pub fn name(&self) -> vmt_render::Film {
        let path = if let Self::Video(path, _) = self { path } else { Path::new("-") };
        vmt_render::Film::Video(path.to_owned())
    }
}

/// When pictures are on screen.
enum Timing {
    /// So many a second.
    Rate(f64),
    /// From these times on, the last for so long.
    Times(Vec<Duration>, Duration),
}

impl Timing {
    fn new(times: Option<&Bound<'_, PyAny>>, fps: Option<f64>, duration: Option<Duration>) -> Result<Self, Failure> {
        let times = match (times, fps) {
            (None, Some(fps)) if !(0.001..=1000.0).contains(&fps) => {
                return Err(Failure::value(format!("fps must be 0.001-1000, but is {fps}")));
            }
            (None, Some(_)) if duration.is_some() => {
                return Err(Failure::value("duration goes with times: with fps the pictures say how long the film is"));
            }
            (None, Some(fps)) => return Ok(Self::Rate(fps)),
            (Some(times), None) => times,
            _ => return Err(Failure::value("pictures need either fps or times")),
        };
        let times = times.try_iter()?.map(|time| moment("times", time?.extract::<f64>()?));
        let times: Vec<Duration> = times.collect::<Result<_, Failure>>()?;
        if let Some(pair) = times.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Failure::value(format!("times must rise, but {:?} follows {:?}", pair[1], pair[0])));
        }
        let Some(&last) = times.last() else { return Err(Failure::value("times must be one for each picture")) };
        let usual = times.iter().rev().nth(1).map(|before| last - *before);
        let lasts = duration.map_or(usual, |duration| duration.checked_sub(last).filter(|rest| !rest.is_zero()));
        let lasts = lasts.ok_or_else(|| {
            Failure::value("duration must be the film's seconds, beyond the last of the times; one time alone needs it")
        })?;
        Ok(Self::Times(times, lasts))
    }

    /// When picture `index` appears, and for how long.
    fn of(&self, index: usize) -> Result<(Duration, Duration), Failure> {
        match self {
            Self::Rate(fps) => {
                let moment = |index: usize| Duration::from_secs_f64(index as f64 / fps);
                Ok((moment(index), moment(index + 1) - moment(index)))
            }
            Self::Times(times, last) => {
                let (Some(&time), next) = (times.get(index), times.get(index + 1)) else {
                    let problem =
                        format!("times must be one for each picture, but are {}, and there are more", times.len());
                    return Err(Failure::value(problem));
                };
                Ok((time, next.map_or(*last, |next| *next - time)))
            }
        }
    }

    /// Whether all that was said came.
    fn check(&self, film: &pictures::Film) -> Result<(), Failure> {
        if film.duration().is_zero() {
            return Err(Failure::value("a film must have a picture, but has none"));
        }
        match self {
            Self::Times(times, last) if film.duration() != times[times.len() - 1] + *last => Err(Failure::value(
                format!("times must be one for each picture, but are {}, and there are fewer", times.len()),
            )),
            _ => Ok(()),
        }
    }
}

/// The bytes of a picture, `[height, width, 3]`, and its height and width. Copied, for another thread may write there.
fn pixels(picture: &Bound<'_, PyAny>, index: usize) -> Result<(Vec<u8>, [u32; 2]), Failure> {
    let py = picture.py();
    let wrong =
        |what: String| Failure::value(format!("picture {index} must be uint8 [height, width, 3], but is {what}"));
    let buffer = PyBuffer::<u8>::get(picture).or_else(|_| -> Result<_, Failure> {
        // Not an array of bytes; images of Pillow and tensors of PyTorch become one.
        let array = py.import("numpy")?.call_method1("asarray", (picture,))?;
        PyBuffer::<u8>::get(&array).map_err(|_| {
            let shape = array.getattr("shape").map(|shape| shape.to_string()).unwrap_or_default();
            let dtype = array.getattr("dtype").map(|dtype| dtype.to_string()).unwrap_or_default();
            wrong(format!("{dtype} {shape}"))
        })
    })?;
    let [height, width, 3] = *buffer.shape() else { return Err(wrong(format!("uint8 {:?}", buffer.shape()))) };
    let side = |side: usize| u32::try_from(side).map_err(|_| wrong(format!("{side} pixels long")));
    Ok((buffer.to_vec(py)?, [side(height)?, side(width)?]))
}

/// Seconds as a time.
fn moment(name: &str, seconds: f64) -> Result<Duration, Failure> {
    let wrong = |_| Failure::value(format!("{name} must be seconds, not negative, but is {seconds}"));
    Duration::try_from_secs_f64(seconds).map_err(wrong)
}
