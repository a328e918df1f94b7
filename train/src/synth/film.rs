//! Pairs of a film and its music, as files.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use vmt::midi;
use vmt_files::Drafts;

use super::channels::Channels;
use super::footage::Footage;
use super::rng::Rng;
use super::scene::Scene;
use crate::data::song::Song;

/// What [`write_pairs`] writes.
#[derive(Clone)]
pub struct PairOptions {
    /// Pictures per second.
    pub rate: u32,
    /// Height and width of the film in pixels; even.
    pub side: usize,
    /// Only this much of the beginning, in seconds.
    pub seconds: Option<f64>,
    /// Chooses how the films look, together with their names.
    pub seed: u64,
    /// What all films show; `None` draws it for each film ([`Channels::drawn`]).
    pub channels: Option<Channels>,
    /// What some films show ([`Scene::with_footage`]).
    pub footage: Option<Arc<Footage>>,
    /// Films made at the same time.
    pub jobs: usize,
}

impl Default for PairOptions {
    /// Whole songs at 25 pictures a second of 128 x 128, with channels drawn, on all cores.
    fn default() -> Self {
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        Self { rate: 25, side: 128, seconds: None, seed: 1, channels: None, footage: None, jobs }
    }
}

impl PairOptions {
    /// The seed of the [`Scene`] of a pair, which does not depend on what other pairs there are.
    pub fn seed_of(&self, name: &str) -> u64 {
        name.bytes().fold(self.seed, |seed, byte| Rng::new(seed ^ u64::from(byte)).seed())
    }
}

/// How far [`write_pairs`] is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The pair that is finished.
    pub name: &'a str,
    /// Whether it was there before.
    pub skipped: bool,
    /// Finished pairs.
    pub done: usize,
    /// All pairs.
    pub total: usize,
}

/// Writes `NAME.mp4` and `NAME.mid` into `out` for each MIDI file below `midi`.
///
/// `X/X.mid` becomes the pair X, any other `X/Y.mid` the pair X-Y. Pairs that are there already are left alone, so an
/// interrupted run may be repeated. Films are encoded by the command `ffmpeg`. The first error ends the run.
pub fn write_pairs(
    midi: &Path,
    out: &Path,
    options: &PairOptions,
    progress: impl FnMut(Progress) + Send,
) -> Result<()> {
    ensure!(options.rate > 0, "the rate must be at least 1 picture a second, but is 0");
    let side = options.side;
    ensure!(side > 0 && side.is_multiple_of(2), "the side of a film must be even and at least 2, but is {side}");
    if let Some(seconds) = options.seconds {
        ensure!(seconds.is_finite() && seconds > 0.0, "the length of a film must be above 0 s, but is {seconds}");
    }
    let pairs = named(midi)?;
    ensure!(!pairs.is_empty(), "{}: there is no MIDI file below it", midi.display());
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;

    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let state = Mutex::new((0, progress));
    let work = || -> Result<()> {
        while let Some((name, path)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if failed.load(Ordering::Relaxed) {
                break;
            }
            let skipped = write_pair(name, path, out, options)
                .inspect_err(|_| failed.store(true, Ordering::Relaxed))
                .with_context(|| path.display().to_string())?;
            // A progress that panicked elsewhere is no reason to stop here.
            let mut state = state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            state.0 += 1;
            let done = state.0;
            (state.1)(Progress { name, skipped, done, total: pairs.len() });
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<Result<()>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        // All must have ended before the first error is told.
        let results: Vec<Result<()>> = workers.into_iter().map(join).collect();
        results.into_iter().collect()
    })
}

/// The MIDI files below a folder, each with the name of its pair.
fn named(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut named: Vec<(String, PathBuf)> = Vec::new();
    let mut taken: HashMap<String, PathBuf> = HashMap::new();
    for path in Song::folder(folder)? {
        let inner = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
        let mut parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy()).collect();
        if let [.., folder, file] = parts.as_slice()
            && folder == file
        {
            parts.pop();
        }
        let name = parts.join("-");
        if let Some(other) = taken.insert(name.clone(), path.clone()) {
            bail!("{} and {} would both be written as {name}.mid", other.display(), path.display());
        }
        named.push((name, path));
    }
    Ok(named)
}

/// Returns whether the pair was there already.
fn write_pair(name: &str, path: &Path, out: &Path, options: &PairOptions) -> Result<bool> {
    let [film, music] = ["mp4", "mid"].map(|end| out.join(format!("{name}.{end}")));
    if film.exists() && music.exists() {
        return Ok(true);
    }
    let song = Song::read(path)?;
    let seconds = options.seconds.map_or(song.duration(), |seconds| seconds.min(song.duration()));
    // Whole pictures: the music ends when the film does.
    let count = (seconds * f64::from(options.rate)).ceil().max(1.0) as usize;
    let seconds = count as f64 / f64::from(options.rate);
    let seed = options.seed_of(name);
    let channels = options.channels.unwrap_or_else(|| Channels::drawn(!seed));
    let scene = Scene::with_footage(&song, seed, channels, options.footage.as_ref());

    // The first draft is renamed last: where the music is, the pair is complete.
    let mut drafts = Drafts::default();
    fs::write(drafts.of(&music)?, midi::write(&song.fragment(0.0, seconds))?)?;
    encode(&scene, count, options, &drafts.of(&film)?)?;
    drafts.finish()?;
    Ok(false)
}

/// Picture k of the film shows the middle of its time, as pictures of a clip do.
fn encode(scene: &Scene, count: usize, options: &PairOptions, path: &Path) -> Result<()> {
    let (side, rate) = (options.side, options.rate);
    let raw = format!("-v error -y -f rawvideo -pix_fmt rgb24 -s {side}x{side} -r {rate} -i -");
    // Named colours, which a reader would have to guess otherwise.
    let film = "-vf scale=out_color_matrix=bt709:out_range=tv -c:v libx264 -preset veryfast -crf 20 -threads 1 \
                -pix_fmt yuv420p -colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv \
                -movflags faststart -f mp4";
    // With a scheme, no name is mistaken for an option or an address.
    let mut file = OsString::from("file:");
    file.push(path);
    let mut ffmpeg = Command::new("ffmpeg")
        .args(raw.split_whitespace().chain(film.split_whitespace()))
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!("films are encoded by the command `ffmpeg`, which is not installed"),
            _ => anyhow!("the command `ffmpeg` does not start: {error}"),
        })?;
    let mut written = Ok(());
    if let Some(mut pipe) = ffmpeg.stdin.take() {
        written = (0..count).try_for_each(|index| {
            let picture = scene.picture((index as f64 + 0.5) / f64::from(rate), side, side);
            let bytes: Vec<u8> = picture.permuted_axes([1, 2, 0]).iter().copied().collect();
            pipe.write_all(&bytes)
        });
    }
    let output = ffmpeg.wait_with_output()?;
    // What ffmpeg says explains a broken pipe, too.
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ffmpeg ({}): {}", output.status, said.trim());
    written.context("ffmpeg takes no more pictures")
}
