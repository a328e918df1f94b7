//! A film's own sound as samples, decoded by the program `ffmpeg`.

use std::path::Path;
use std::process::Stdio;

use crate::error::Error;
use crate::index::Index;
use crate::input::{ffmpeg, url};
use crate::mux::{original, real, said, sound};

/// The sound of a film, mono at `rate` samples a second, exactly as long as its pictures: what comes before the first frame or
/// behind the last is left out, and gaps are silence. All of it is in memory, six bytes a sample at most: 350 MB for an hour at
/// 16,000 a second.
///
/// # Errors
/// Where the film cannot be read, or `ffmpeg` is missing or fails; [`Error::Unfit`] where there is no sound that it can
/// decode, and where the film is a pipe.
pub fn read_sound(film: &Path, rate: u32) -> Result<Vec<f32>, Error> {
    let unfit = |reason: &str| Error::Unfit { path: film.to_owned(), reason: reason.to_owned() };
    if !crate::can_be_read_again(film) {
        return Err(unfit("must be read twice for its sound, and a pipe cannot: save it to a file first"));
    }
    let index = Index::of(film)?;
    let stream = sound(film)?.ok_or_else(|| unfit("has no sound that FFmpeg can decode"))?;
    let (input, begins) = original(film, &index, stream, index.zero, &std::env::temp_dir().join("sound"))?;

    let mut command = ffmpeg();
    command.args(["-copyts", "-protocol_whitelist", "file", "-i"]);
    let (_kept, map) = match input {
        Some(joined) => {
            command.arg(url(&joined));
            (Some(joined), "0:a:0".to_owned())
        }
        None => {
            command.arg(url(&real(film)));
            (None, format!("0:{stream}"))
        }
    };
    let length = index.duration(index.end).as_secs_f64();
    let filters = format!(
        "asetpts=PTS-({begins})/TB,atrim=start=0:end={length},aresample=async=1:first_pts=0,\
         aformat=sample_rates={rate}:channel_layouts=mono:sample_fmts=s16"
    );
    command.args(["-map", &map, "-af", &filters, "-f", "s16le", "-"]).stderr(Stdio::piped());
    let done = command.output().map_err(|error| unfit(&format!("needs the program `ffmpeg`, but: {error}")))?;
    if !done.status.success() {
        return Err(unfit(&format!("has sound that cannot be decoded: {}", said(&done, film))));
    }
    let (samples, _) = done.stdout.as_chunks();
    let mut samples: Vec<f32> = samples.iter().map(|&sample| f32::from(i16::from_le_bytes(sample)) / 32768.0).collect();
    samples.resize((length * f64::from(rate)).round() as usize, 0.0);
    Ok(samples)
}
