//! Sound as samples, and short films that every browser plays: H.264 and AAC, written by the program `ffmpeg`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::error::Error;
use crate::index::Index;
use crate::input::{ffmpeg, url};
use crate::mux::{FORM, missing, original, real, run, said, scratch, sound as sound_stream};

/// Samples a second of [`sound`] and [`film_sound`].
pub const SAMPLE_RATE: u32 = 48_000;

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

/// The sound file `path` as samples, left and right, at [`SAMPLE_RATE`].
///
/// # Errors
/// Where `ffmpeg` is missing, or finds no sound in it.
pub fn sound(path: &Path) -> Result<Vec<[f32; 2]>, Error> {
    let mut command = ffmpeg();
    command.args(["-protocol_whitelist", "file", "-i"]).arg(url(path));
    command.args(["-map", "0:a:0", "-af", &format!("aresample=async=1:first_pts=0,{FORM}")]);
    samples(command, path)
}

/// The film's own sound from its first picture on, as samples, left and right, at [`SAMPLE_RATE`]; before sound begins there is
/// silence. Scratch files are made beside `near`.
///
/// # Errors
/// Where `ffmpeg` is missing or the film cannot be read; [`Error::Unfit`] where it has no sound that FFmpeg decodes.
pub fn film_sound(film: &Path, near: &Path) -> Result<Vec<[f32; 2]>, Error> {
    let unfit = || Error::Unfit { path: film.to_owned(), reason: "has no sound that FFmpeg can decode".to_owned() };
    let stream = sound_stream(film)?.ok_or_else(unfit)?;
    let index = Index::of(film)?;
    let (joined, begins) = original(film, &index, stream, index.zero, near)?;
    let (input, stream) = joined.as_ref().map_or((real(film), stream), |joined| (joined.to_path_buf(), 0));
    let mut command = ffmpeg();
    command.args(["-copyts", "-protocol_whitelist", "file", "-i"]).arg(url(&input));
    let filters = format!("asetpts=PTS-({begins})/TB,atrim=start=0,aresample=async=1:first_pts=0,{FORM}");
    command.args(["-map", &format!("0:{stream}"), "-af", &filters]);
    samples(command, film)
}

/// Checks, before any work, that a film or a sound file has sound that FFmpeg decodes.
///
/// # Errors
/// [`Error::Unfit`] where it has none; where it cannot be read.
pub fn check_sound(path: &Path) -> Result<(), Error> {
    let unfit = || Error::Unfit { path: path.to_owned(), reason: "has no sound that FFmpeg can decode".to_owned() };
    sound_stream(path)?.map(drop).ok_or_else(unfit)
}

/// Lets `ffmpeg` write samples, and reads them.
fn samples(mut command: Command, path: &Path) -> Result<Vec<[f32; 2]>, Error> {
    command.args(["-ar", &SAMPLE_RATE.to_string(), "-ac", "2", "-f", "f32le", "pipe:1"]);
    let done = command.output().map_err(|error| missing(path, &error))?;
    if !done.status.success() {
        let reason = format!("has no sound that FFmpeg can decode: {}", said(&done, path));
        return Err(Error::Unfit { path: path.to_owned(), reason });
    }
    let frames = done.stdout.as_chunks::<8>().0.iter();
    Ok(frames.map(|&[a, b, c, d, e, f, g, h]| [[a, b, c, d], [e, f, g, h]].map(f32::from_le_bytes)).collect())
}

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
