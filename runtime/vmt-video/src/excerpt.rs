//! Short films that every browser plays: H.264 and AAC, written by the program `ffmpeg`.

use std::path::Path;
use std::time::Duration;

use crate::error::Error;
use crate::input::{ffmpeg, url};
use crate::mux::{run, scratch};
use crate::sound::SAMPLE_RATE;

/// Pictures are at most so large, so that phones play them: 720p. Square pixels, and even sides, as the colours of H.264 want.
const FIT: &str = "setpts=PTS-STARTPTS,scale=trunc(iw*sar/2)*2:trunc(ih/2)*2,setsar=1,\
    scale='min(1280,iw)':'min(1280,ih)':force_original_aspect_ratio=decrease:force_divisible_by=2";
/// In one thread: what libx264 writes depends on how many there are, and their usual number on the processor.
const H264: [&str; 12] = [
    "-c:v",
    "libx264",
    "-threads",
    "1",
    "-preset",
    "veryfast",
    "-crf",
    "21",
    "-pix_fmt",
    "yuv420p",
    "-profile:v",
    "high",
];
const AAC: [&str; 4] = ["-c:a", "aac", "-b:a", "192k"];
/// No metadata: it may name what is heard.
const PLAIN: [&str; 10] =
    ["-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-movflags", "+faststart", "-f", "mp4"];

/// Checks, before any work, that `ffmpeg` is there and can encode what [`encode_pictures`] and [`encode_excerpt`] write.
///
/// # Errors
/// Where it is missing or has no encoder for H.264 or AAC.
pub fn check_excerpt(out: &Path) -> Result<(), Error> {
    let mut command = ffmpeg();
    command.args(["-f", "lavfi", "-i", "color=size=64x64:duration=0.1", "-f", "lavfi", "-i", "anullsrc", "-t", "0.1"]);
    // To nowhere: MP4 itself would have to be written to a file.
    command.args(["-vf", FIT]).args(H264).args(AAC).args(["-f", "matroska"]);
    run(command, Path::new(if cfg!(windows) { "NUL" } else { "/dev/null" }), out)
}

/// Encodes the pictures of a film, at most its first `length`, as H.264 without sound to `out`, an MP4 file: the largest side has
/// at most 1280 pixels. The first picture is at its beginning.
///
/// # Errors
/// Where `ffmpeg` is missing or fails.
pub fn encode_pictures(film: &Path, length: Duration, out: &Path) -> Result<(), Error> {
    let mut command = ffmpeg();
    command.args(["-protocol_whitelist", "file", "-i"]).arg(url(film)).args(["-map", "0:v:0", "-an", "-vf", FIT]);
    command.args(["-t", &format!("{:.6}", length.as_secs_f64())]).args(H264).args(PLAIN);
    run(command, out, out)
}

/// Writes `pictures`, made by [`encode_pictures`], with this sound, left and right at [`SAMPLE_RATE`], to `out`, an MP4 file. The
/// pictures are copied.
///
/// # Errors
/// Where `ffmpeg` is missing or fails.
pub fn encode_excerpt(pictures: &Path, sound: &[[f32; 2]], out: &Path) -> Result<(), Error> {
    let raw = scratch(out, ".f32")?;
    let bytes: Vec<u8> = sound.as_flattened().iter().flat_map(|sample| sample.to_le_bytes()).collect();
    std::fs::write(&raw, bytes).map_err(|error| Error::Mux { path: out.to_owned(), reason: error.to_string() })?;
    let mut command = ffmpeg();
    command.args(["-protocol_whitelist", "file", "-i"]).arg(url(pictures));
    command.args(["-protocol_whitelist", "file", "-f", "f32le", "-ar", &SAMPLE_RATE.to_string(), "-ac", "2", "-i"]);
    command.arg(url(&raw)).args(["-map", "0:v:0", "-map", "1:a:0", "-c:v", "copy"]).args(AAC).args(PLAIN);
    run(command, out, out)
}
