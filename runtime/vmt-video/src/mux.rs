//! A film with another soundtrack. The `ffmpeg` program does it: its libraries would take hundreds of lines for the same.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use ffmpeg_next::{Rational, media::Type};

use crate::{Error, Video};

/// Checks, before any work, that the program [`mux`] needs is there.
pub fn muxer() -> Result<(), Error> {
    let ffmpeg = Command::new(FFMPEG).arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).status();
    ffmpeg.map(|_| ()).map_err(|error| missing(Path::new(FFMPEG), &error))
}

const FFMPEG: &str = "ffmpeg";
const NO_TIMESTAMP: i64 = ffmpeg_next::ffi::AV_NOPTS_VALUE;

/// Writes `film` to `out` (.mp4 or .mkv) with the sound file `music`, which begins with the first picture and should
/// end with the last, as its soundtrack: AAC, as long as `music`.
///
/// The video is copied packet by packet. The film's own sound is left out or, with a volume above 0, mixed under the
/// music; a film without sound gets the music alone. The file appears under its name when it is complete.
pub fn mux(film: &Path, music: &Path, out: &Path, original_volume: f32) -> Result<(), Error> {
    let failed = |reason: String| Error::Mux { path: out.to_owned(), reason };
    let io = |error: std::io::Error| failed(error.to_string());
    let source = Source::of(film)?;

    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut suffix = OsString::from(".");
    suffix.push(out.extension().unwrap_or_default());
    let temporary = tempfile::Builder::new().prefix(".vmt-").suffix(&suffix).tempfile_in(folder).map_err(io)?;
    let temporary = temporary.into_temp_path();

    let file = |path: &Path| [OsString::from("file:"), path.as_os_str().to_owned()].into_iter().collect::<OsString>();
    let mut command = Command::new(FFMPEG);
    command.args(["-v", "error", "-nostdin", "-y"]);
    command.args(["-protocol_whitelist", "file", "-i"]).arg(file(film));
    command.args(["-protocol_whitelist", "file", "-i"]).arg(file(music));
    command.args(["-filter_complex", &source.sound(original_volume)]);
    command.args(["-map", &format!("0:{}", source.pictures), "-map", "[sound]"]);
    command.args(["-c:v", "copy", "-c:a", "aac", "-b:a", "192k"]);
    if out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mp4")) {
        // So that it plays while it is loading.
        command.args(["-movflags", "+faststart"]);
    }
    command.arg(file(&temporary));
    let done = command.stdin(Stdio::null()).output().map_err(|error| missing(out, &error))?;
    if !done.status.success() {
        return Err(failed(format!("ffmpeg says: {}", String::from_utf8_lossy(&done.stderr).trim())));
    }
    // A temporary file is its owner's alone; this one is to be as any other new file.
    #[cfg(unix)]
    std::fs::set_permissions(&temporary, std::os::unix::fs::PermissionsExt::from_mode(0o644)).map_err(io)?;
    temporary.persist(out).map_err(|error| io(error.error))
}

fn missing(path: &Path, error: &std::io::Error) -> Error {
    let reason = format!("the program `ffmpeg` must be installed, but: {error}");
    Error::Mux { path: path.to_owned(), reason }
}

/// What of a film `ffmpeg` is to take.
struct Source {
    /// The stream with the pictures.
    pictures: usize,
    /// When the first picture is shown, in seconds from the start of the file: sound may come before it.
    start: f64,
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
        let first = video.clock.first().zip(tick).map(seconds);
        Ok(Self {
            pictures: video.stream,
            start: first.zip(file).map_or(0.0, |(first, file)| (first - file).max(0.0)),
            has_sound: video.reader.input.streams().best(Type::Audio).is_some(),
        })
    }

    /// The filter graph from the two files' sound to `[sound]`.
    fn sound(&self, original_volume: f32) -> String {
        const FORM: &str = "aformat=sample_rates=48000:channel_layouts=stereo";
        let start = self.start;
        let shifted = format!("asetpts=PTS-STARTPTS+{start}/TB[sound]");
        if !self.has_sound || original_volume == 0.0 {
            return format!("[1:a:0]{FORM},{shifted}");
        }
        // Silence where the film has no sound yet, or none for a while. Two loud sounds together must not clip.
        format!(
            "[0:a:0]aresample=async=1:first_pts=0,{FORM},atrim=start={start},asetpts=PTS-STARTPTS,\
             volume={original_volume}[film];[1:a:0]{FORM}[music];\
             [music][film]amix=duration=first:normalize=0,alimiter=limit=0.9:attack=1:level=0,{shifted}"
        )
    }
}
