//! Sound as MP3, written by the program `ffmpeg`.

use std::path::Path;

use crate::error::Error;
use crate::input::{ffmpeg, url};
use crate::mux::run;

/// MP3 with a variable bit rate of about 190 kbit/s, without the encoder's version in it.
const MP3: [&str; 8] = ["-c:a", "libmp3lame", "-q:a", "2", "-fflags", "+bitexact", "-f", "mp3"];

/// Checks, before any work, that [`encode_mp3`] can run `ffmpeg` for `out`, and that it has an encoder.
///
/// # Errors
/// Where `ffmpeg` is missing, or was built without LAME.
pub fn check_mp3(out: &Path) -> Result<(), Error> {
    let mut command = ffmpeg();
    command.args(["-f", "lavfi", "-i", "anullsrc", "-t", "0.1"]).args(MP3);
    run(command, Path::new(NOWHERE), out)
}

/// Where what is tried goes.
const NOWHERE: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };

/// Writes the sound file `sound` to `out` as MP3.
///
/// # Errors
/// Where `ffmpeg` is missing or fails.
pub fn encode_mp3(sound: &Path, out: &Path) -> Result<(), Error> {
    let mut command = ffmpeg();
    command.args(["-protocol_whitelist", "file", "-i"]).arg(url(sound)).args(MP3);
    run(command, out, out)
}
