//! Sound as MP3, written by the program `ffmpeg`.

use std::ffi::OsStr;
use std::path::Path;

use crate::error::Error;
use crate::input::{ffmpeg, url};

/// MP3 with a variable bit rate of about 190 kbit/s, without the encoder's version in it.
const MP3: [&str; 6] = ["-c:a", "libmp3lame", "-q:a", "2", "-fflags", "+bitexact"];

/// Checks, before any work, that [`encode_mp3`] can run `ffmpeg`, and that it has an encoder.
///
/// # Errors
/// Where `ffmpeg` is missing, or was built without LAME.
pub fn check_mp3() -> Result<(), Error> {
    let silence = ["-f", "lavfi", "-i", "anullsrc", "-t", "0.1"];
    run(silence.map(OsStr::new), "-f null".split(' ').map(OsStr::new), OsStr::new("-"))
}

/// Writes the sound file `sound` to `out` as MP3.
///
/// # Errors
/// Where `ffmpeg` is missing or fails.
pub fn encode_mp3(sound: &Path, out: &Path) -> Result<(), Error> {
    let sound = url(sound);
    let input = ["-protocol_whitelist", "file", "-i"].map(OsStr::new).into_iter().chain([sound.as_os_str()]);
    run(input, [], &url(out))
}

fn run<'a>(
    input: impl IntoIterator<Item = &'a OsStr>,
    format: impl IntoIterator<Item = &'a OsStr>,
    out: &OsStr,
) -> Result<(), Error> {
    let failed = |reason: String| Error::Mp3 { reason };
    let mut command = ffmpeg();
    let done = command.args(input).args(MP3).args(format).arg(out).output();
    let done = done.map_err(|error| failed(format!("the program `ffmpeg` must be installed, but: {error}")))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(failed(format!("ffmpeg says: {}", said.trim()))) }
}
