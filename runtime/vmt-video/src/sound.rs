//! Sound as samples, decoded by the program `ffmpeg`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::error::Error;
use crate::index::Index;
use crate::input::{ffmpeg, url};
use crate::mux::{missing, original, real, said, sound as sound_stream};

/// Samples a second of [`sound`] and [`film_sound`].
pub const SAMPLE_RATE: u32 = 48_000;

/// The sound file `path` as samples, left and right, at [`SAMPLE_RATE`].
///
/// # Errors
/// Where `ffmpeg` is missing, or finds no sound in it.
pub fn sound(path: &Path) -> Result<Vec<[f32; 2]>, Error> {
    let mut command = ffmpeg();
    command.args(["-protocol_whitelist", "file", "-i"]).arg(url(path));
    command.args(["-map", "0:a:0", "-af", "aresample=async=1:first_pts=0"]);
    Ok(pairs(&samples(command, path, SAMPLE_RATE, 2)?))
}

/// The film's own sound from its first picture on, as samples, left and right, at [`SAMPLE_RATE`]; before sound begins there is
/// silence. Scratch files are made beside `near`.
///
/// # Errors
/// Where `ffmpeg` is missing or the film cannot be read; [`Error::Unfit`] where it is a pipe, or has no sound that FFmpeg decodes.
pub fn film_sound(film: &Path, near: &Path) -> Result<Vec<[f32; 2]>, Error> {
    Ok(pairs(&own(film, near, SAMPLE_RATE, 2)?.0))
}

/// The same, mono at `rate` samples a second, and exactly as long as the film's pictures: what comes behind the last is left out.
/// All of it is in memory, eight bytes a sample at most: 460 MB for an hour at 16,000 a second.
///
/// # Errors
/// As [`film_sound`].
pub fn read_sound(film: &Path, rate: u32) -> Result<Vec<f32>, Error> {
    let (mut samples, length) = own(film, &std::env::temp_dir().join("sound"), rate, 1)?;
    samples.resize((length.as_secs_f64() * f64::from(rate)).round() as usize, 0.0);
    Ok(samples)
}

/// Checks, before any work, that a film or a sound file has sound that FFmpeg decodes.
///
/// # Errors
/// [`Error::Unfit`] where it has none; where it cannot be read.
pub fn check_sound(path: &Path) -> Result<(), Error> {
    stream_of_sound(path).map(drop)
}

fn stream_of_sound(path: &Path) -> Result<usize, Error> {
    let unfit = || Error::Unfit { path: path.to_owned(), reason: "has no sound that FFmpeg can decode".to_owned() };
    sound_stream(path)?.ok_or_else(unfit)
}

/// The film's own sound from its first picture on, channels side by side, and how long its pictures last.
fn own(film: &Path, near: &Path, rate: u32, channels: u8) -> Result<(Vec<f32>, Duration), Error> {
    if !crate::can_be_read_again(film) {
        let reason = "must be read twice for its sound, and a pipe cannot: save it to a file first".to_owned();
        return Err(Error::Unfit { path: film.to_owned(), reason });
    }
    let stream = stream_of_sound(film)?;
    let index = Index::of(film)?;
    let (joined, begins) = original(film, &index, stream, index.zero, near)?;
    let (input, stream) = joined.as_ref().map_or((real(film), stream), |joined| (joined.to_path_buf(), 0));
    let mut command = ffmpeg();
    command.args(["-copyts", "-protocol_whitelist", "file", "-i"]).arg(url(&input));
    let filters = format!("asetpts=PTS-({begins})/TB,atrim=start=0,aresample=async=1:first_pts=0");
    command.args(["-map", &format!("0:{stream}"), "-af", &filters]);
    Ok((samples(command, film, rate, channels)?, index.duration(index.end)))
}

/// Lets `ffmpeg` write samples, and reads them.
fn samples(mut command: Command, path: &Path, rate: u32, channels: u8) -> Result<Vec<f32>, Error> {
    command.args(["-ar", &rate.to_string(), "-ac", &channels.to_string(), "-f", "f32le", "pipe:1"]);
    let done = command.output().map_err(|error| missing(path, &error))?;
    if !done.status.success() {
        let reason = format!("has no sound that FFmpeg can decode: {}", said(&done, path));
        return Err(Error::Unfit { path: path.to_owned(), reason });
    }
    Ok(done.stdout.as_chunks().0.iter().map(|&sample| f32::from_le_bytes(sample)).collect())
}

fn pairs(samples: &[f32]) -> Vec<[f32; 2]> {
    samples.as_chunks().0.to_vec()
}
