//! A film with another soundtrack. The `ffmpeg` program does it: its libraries would take hundreds of lines for the same.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ffmpeg_next::{Rational, media::Type};

use crate::{Error, Video};

/// Checks, before any work, that the program [`mux`] needs is there, and finds a picture of `film` to begin with at `start`.
pub fn muxer(film: &Path, start: Duration) -> Result<(), Error> {
    let ffmpeg = Command::new(FFMPEG).arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).status();
    ffmpeg.map_err(|error| missing(Path::new(FFMPEG), &error))?;
    if start.is_zero() {
        return Ok(());
    }
    let source = Source::of(film)?;
    let io = |error| Error::Io { path: std::env::temp_dir(), error };
    let second = tempfile::Builder::new().suffix(".mp4").tempfile().map_err(io)?.into_temp_path();
    let mut command = ffmpeg_from(film, source.lead + start.as_secs_f64());
    command.args(["-map", &format!("0:{}", source.pictures), "-c", "copy", "-t", "1"]).arg(url(&second));
    command.output().map_err(io)?;
    check_start(film, start, &second)
}

/// An error where `made`, which was to be `film` from `start` on, does not begin with a picture: in some kinds of file
/// ffmpeg finds a later one, or none.
fn check_start(film: &Path, start: Duration, made: &Path) -> Result<(), Error> {
    if Source::of(made).is_ok_and(|made| made.first < 0.1) {
        return Ok(());
    }
    let (path, film) = (film.to_owned(), film.display());
    let copy = format!("ffmpeg -fflags +genpts -i {film} -c copy COPY.mkv");
    Err(Error::Start { path, start, copy })
}

const FFMPEG: &str = "ffmpeg";
const NO_TIMESTAMP: i64 = ffmpeg_next::ffi::AV_NOPTS_VALUE;

/// Writes `film`, or the part of it in `range` (times from the first picture), to `out` (.mp4 or .mkv) with the sound
/// file `music`, which begins with the part's first picture and should end with its last, as its soundtrack: AAC, as long
/// as `music`.
///
/// The video is copied packet by packet. The film's own sound is left out or, with a volume above 0, mixed under the
/// music; a film without sound gets the music alone. `out` is written in place, and removed where that fails: name a
/// draft where something must stay until the film is complete.
///
/// Packets can be copied from a key picture on only. So an .mp4 holds pictures from before the part too, which its edit
/// list tells players not to show; an .mkv cannot say so, and is refused where the part does not begin with the film. The
/// end is right to a few pictures: where they are stored out of order, later ones are among those that are needed.
pub fn mux(film: &Path, range: Range<Duration>, music: &Path, out: &Path, original_volume: f32) -> Result<(), Error> {
    let failed = |reason: String| Error::Mux { path: out.to_owned(), reason };
    let is_mp4 = out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mp4"));
    let skips = !range.start.is_zero();
    if skips && !is_mp4 {
        return Err(failed("only an .mp4 can begin at any picture".to_owned()));
    }
    let source = Source::of(film)?;
    // After a search, ffmpeg counts from the moment it was to find.
    let (search, lead) = if skips { (source.lead + range.start.as_secs_f64(), 0.0) } else { (0.0, source.lead) };

    let mut command = ffmpeg_from(film, search);
    command.args(["-protocol_whitelist", "file", "-i"]).arg(url(music));
    command.args(["-filter_complex", &source.sound(original_volume, lead)]);
    command.args(["-map", &format!("0:{}", source.pictures), "-map", "[sound]"]);
    command.args(["-c:v", "copy", "-c:a", "aac", "-b:a", "192k"]);
    // Else an .mkv is different each time.
    command.args(["-fflags", "+bitexact"]);
    if range.end < Duration::MAX {
        command.args(["-t", &(lead + range.end.saturating_sub(range.start).as_secs_f64()).to_string()]);
    }
    if is_mp4 {
        // So that it plays while it is loading.
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

/// The program, reading `film` from a second on, as ffmpeg counts.
fn ffmpeg_from(film: &Path, second: f64) -> Command {
    let mut command = Command::new(FFMPEG);
    command.args(["-v", "error", "-nostdin", "-y"]).stdin(Stdio::null());
    if second > 0.0 {
        command.args(["-ss", &second.to_string()]);
    }
    command.args(["-protocol_whitelist", "file", "-i"]).arg(url(film));
    command
}

/// A path that is never taken for an address.
fn url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}

fn missing(path: &Path, error: &std::io::Error) -> Error {
    let reason = format!("the program `ffmpeg` must be installed, but: {error}");
    Error::Mux { path: path.to_owned(), reason }
}

/// What of a film `ffmpeg` is to take.
struct Source {
    /// The stream with the pictures.
    pictures: usize,
    /// When the first picture is shown, in seconds by the file's own count.
    first: f64,
    /// When it is shown, in seconds from the start of the file: sound may come before it.
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
        let first = video.clock.first().zip(tick).map_or(0.0, seconds);
        Ok(Self {
            pictures: video.stream,
            first,
            lead: file.map_or(0.0, |file| (first - file).max(0.0)),
            has_sound: video.reader.input.streams().best(Type::Audio).is_some(),
        })
    }

    /// The filter graph from the two files' sound to `[sound]`; the pictures begin after `lead` seconds.
    fn sound(&self, original_volume: f32, lead: f64) -> String {
        const FORM: &str = "aformat=sample_rates=48000:channel_layouts=stereo";
        let shifted = format!("asetpts=PTS-STARTPTS+{lead}/TB[sound]");
        if !self.has_sound || original_volume == 0.0 {
            return format!("[1:a:0]{FORM},{shifted}");
        }
        // Silence where the film has no sound yet, or none for a while. Two loud sounds together must not clip.
        format!(
            "[0:a:0]aresample=async=1:first_pts=0,{FORM},atrim=start={lead},asetpts=PTS-STARTPTS,\
             volume={original_volume}[film];[1:a:0]{FORM}[music];\
             [music][film]amix=duration=first:normalize=0,alimiter=limit=0.9:attack=1:level=0,{shifted}"
        )
    }
}
