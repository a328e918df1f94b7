//! Films with another soundtrack, written by the program `ffmpeg`: with its libraries it would take hundreds of lines
//! and unsafe code.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ffmpeg_next::{Rational, media::Type};

use crate::error::Error;
use crate::video::Video;

/// Checks, before any work, that [`mux`] can run `ffmpeg`, and can begin to copy `film` at `start`, for which it writes
/// a second of film to the system's temporary folder.
///
/// # Errors
/// Where `ffmpeg` is missing, the film cannot be read, or there is no frame to begin with.
pub fn check_mux(film: &Path, start: Duration) -> Result<(), Error> {
    let ffmpeg = Command::new(FFMPEG).arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).status();
    ffmpeg.map_err(|error| missing(Path::new(FFMPEG), &error))?;
    if start.is_zero() {
        return Ok(());
    }
    let source = Source::of(film)?;
    let io = |error| Error::Io { path: std::env::temp_dir(), error };
    let second = tempfile::Builder::new().suffix(".mp4").tempfile().map_err(io)?.into_temp_path();
    let mut command = ffmpeg_from(film, source.lead + start.as_secs_f64());
    command.args(["-map", &format!("0:{}", source.video), "-c", "copy", "-t", "1"]).arg(url(&second));
    command.output().map_err(io)?;
    check_start(film, start, &second)
}

/// An error where `made`, which is `film` from `start` on, does not begin with a frame: in some containers ffmpeg finds
/// a later one, or none.
fn check_start(film: &Path, start: Duration, made: &Path) -> Result<(), Error> {
    if Source::of(made).is_ok_and(|made| made.first < 0.1) {
        return Ok(());
    }
    let (path, film) = (film.to_owned(), film.display());
    let copy = format!("ffmpeg -fflags +genpts -i {film} -c copy COPY.mkv");
    Err(Error::Start { path, start, copy })
}

const FFMPEG: &str = "ffmpeg";
/// The metadata that names us in the films that we write, and our name.
const COMPOSER: &str = "composer";
const OURS: &str = "vmt";
const NO_TIMESTAMP: i64 = ffmpeg_next::ffi::AV_NOPTS_VALUE;

/// Writes `film`, or the part of it in `range` (times from the first frame), to `out` (.mp4 or .mkv) with the sound
/// file
/// `music` as its soundtrack: AAC, as long as `music`, which begins with the part's first frame.
///
/// The video stream is copied, not encoded again. The film's own sound is left out or, with an `original_volume` above
/// 0 (1 is unchanged), mixed under the music. `out` is written in place, and removed where that fails: name a draft
/// where something must stay until the film is complete.
///
/// Packets can be copied only from a key frame on. So an .mp4 holds frames before the part too, which its edit list
/// hides; an .mkv has no edit list, and is refused where the part does not begin with the film. The end is right to a
/// few frames, because frames may be stored out of order.
///
/// # Errors
/// Where `film` cannot be read, or `ffmpeg` is missing or fails.
pub fn mux(film: &Path, range: Range<Duration>, music: &Path, out: &Path, original_volume: f32) -> Result<(), Error> {
    let failed = |reason: String| Error::Mux { path: out.to_owned(), reason };
    let is_mp4 = out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mp4"));
    let skips = !range.start.is_zero();
    if skips && !is_mp4 {
        return Err(failed("only an .mp4 can begin at any frame".to_owned()));
    }
    let source = Source::of(film)?;
    // After a seek, ffmpeg counts from the time that it was told.
    let (search, lead) = if skips { (source.lead + range.start.as_secs_f64(), 0.0) } else { (0.0, source.lead) };

    let mut command = ffmpeg_from(film, search);
    command.args(["-protocol_whitelist", "file", "-i"]).arg(url(music));
    command.args(["-filter_complex", &source.sound(original_volume, lead)]);
    command.args(["-map", &format!("0:{}", source.video), "-map", "[sound]"]);
    command.args(["-c:v", "copy", "-c:a", "aac", "-b:a", "192k"]);
    command.args(["-metadata", &format!("{COMPOSER}={OURS} {}", env!("CARGO_PKG_VERSION"))]);
    // Otherwise an .mkv has random identifiers.
    command.args(["-fflags", "+bitexact"]);
    if range.end < Duration::MAX {
        command.args(["-t", &(lead + range.end.saturating_sub(range.start).as_secs_f64()).to_string()]);
    }
    if is_mp4 {
        // So that it plays while it loads.
        command.args(["-movflags", "+faststart"]);
    }
    let done = command.arg(url(out)).output().map_err(|error| missing(out, &error))?;
    let checked = if !done.status.success() {
        Err(failed(format!("ffmpeg says: {}", String::from_utf8_lossy(&done.stderr).trim())))
    } else if skips {
        check_start(film, range.start, out)
    } else {
        Ok(())
    };
    // ffmpeg leaves what it has begun, or nothing where it could not begin.
    checked.inspect_err(|_| drop(std::fs::remove_file(out)))
}

/// The program, which says errors alone.
pub fn ffmpeg() -> Command {
    let mut command = Command::new(FFMPEG);
    command.args(["-v", "error", "-nostdin", "-y"]).stdin(Stdio::null());
    command
}

/// The program, reading `film` from a second on, as ffmpeg counts.
fn ffmpeg_from(film: &Path, second: f64) -> Command {
    let mut command = ffmpeg();
    if second > 0.0 {
        command.args(["-ss", &second.to_string()]);
    }
    command.args(["-protocol_whitelist", "file", "-i"]).arg(url(film));
    command
}

/// A path as a URL, so that it is never taken for another protocol.
pub fn url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}

fn missing(path: &Path, error: &std::io::Error) -> Error {
    let reason = format!("the program `ffmpeg` must be installed, but: {error}");
    Error::Mux { path: path.to_owned(), reason }
}

impl Video {
    /// Whether [`mux`] wrote this film: then its metadata names `vmt` as the composer.
    pub fn has_our_music(&self) -> bool {
        let metadata = self.reader.input.metadata();
        metadata.get(COMPOSER).is_some_and(|composer| composer.split(' ').next() == Some(OURS))
    }
}

/// The streams of a film, and when they start.
struct Source {
    /// The index of the video stream.
    video: usize,
    /// The time of the first frame, in seconds by the file's timestamps.
    first: f64,
    /// Its time in seconds from the start of the file: sound may come before it.
    lead: f64,
    has_sound: bool,
}

impl Source {
    fn of(film: &Path) -> Result<Self, Error> {
        let mut video = Video::open(film)?;
        video.frame()?;
        let seconds = |(ticks, tick): (i64, Rational)| ticks as f64 * f64::from(tick);
        let streams = || video.reader.input.streams().filter(|stream| stream.start_time() != NO_TIMESTAMP);
        let file = streams().map(|stream| seconds((stream.start_time(), stream.time_base()))).reduce(f64::min);
        let tick = video.reader.input.stream(video.stream).map(|stream| stream.time_base());
        let first = video.timestamps.first().zip(tick).map_or(0.0, seconds);
        Ok(Self {
            video: video.stream,
            first,
            lead: file.map_or(0.0, |file| (first - file).max(0.0)),
            has_sound: video.reader.input.streams().best(Type::Audio).is_some(),
        })
    }

    /// The filter graph from the sound of both files to `[sound]`; the video begins after `lead` seconds.
    fn sound(&self, original_volume: f32, lead: f64) -> String {
        const FORM: &str = "aformat=sample_rates=48000:channel_layouts=stereo";
        let shifted = format!("asetpts=PTS-STARTPTS+{lead}/TB[sound]");
        if !self.has_sound || original_volume == 0.0 {
            return format!("[1:a:0]{FORM},{shifted}");
        }
        // aresample fills gaps with silence; the limiter keeps the sum from clipping.
        format!(
            "[0:a:0]aresample=async=1:first_pts=0,{FORM},atrim=start={lead},asetpts=PTS-STARTPTS,\
             volume={original_volume}[film];[1:a:0]{FORM}[music];\
             [music][film]amix=duration=first:normalize=0,alimiter=limit=0.9:attack=1:level=0,{shifted}"
        )
    }
}
