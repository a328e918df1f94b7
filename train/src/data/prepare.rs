//! From a folder of videos with their MIDI files to fragments on disk ([`prepared`](super::prepared)).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use vmt::{Clip, Geometry, PerformedNote, Score, midi};
use vmt_files::Drafts;
use vmt_video::Video;

use super::prepared::{DATASET, Dataset, FORMAT, PreparedSong, frames_path, tokens_path};
use super::split::{Split, Splits};
use super::targets::targets;
use super::unmatched::unmatched;

/// Extensions of videos.
const VIDEOS: [&str; 4] = ["mp4", "mkv", "mov", "webm"];

/// How songs are prepared.
#[derive(Clone, Debug)]
pub struct PrepareOptions {
    /// The clips to make.
    pub geometry: Geometry,
    /// Which song is in which split.
    pub splits: Splits,
    /// The sustain pedal holds notes.
    pub sustain: bool,
    /// Seconds by which a video may be longer or shorter than its music.
    pub tolerance: f64,
}

/// What became of a folder.
#[derive(Clone, Debug)]
pub struct PrepareReport {
    /// What is on disk now.
    pub dataset: Dataset,
    /// Songs that were skipped, and why.
    pub skipped: Vec<(String, String)>,
    /// Windows without a note.
    pub silent: usize,
    /// Windows of which a part has no counterpart in the score, by the marks of `vmt-train align`.
    pub unmatched: usize,
    /// Ends of songs, shorter than a window.
    pub rests: usize,
}

/// Prepares all songs of `folder`, whose MIDI files are in `scores`, and writes them to `out`. `progress` is told each
/// song's name, its number and how many there are.
///
/// A song that cannot be used is skipped and reported. It is an error if none could be used.
pub fn prepare(
    folder: &Path,
    scores: &Path,
    out: &Path,
    options: &PrepareOptions,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<PrepareReport> {
    let pairs = pairs(folder, scores)?;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let dataset = Dataset { format: FORMAT, geometry: options.geometry, songs: Vec::new() };
    let mut report = PrepareReport { dataset, skipped: Vec::new(), silent: 0, unmatched: 0, rests: 0 };

    let count = pairs.len();
    for (number, (name, found)) in pairs.into_iter().enumerate() {
        progress(&name, number, count);
        let song = || -> Result<_> {
            let (video, score) = found?;
            let split = options.splits.split(&name).context("the split does not name it")?;
            pair(&name, split, &video, &score, out, options)
        };
        match song() {
            Ok((song, left_out)) => {
                report.dataset.songs.push(song);
                report.silent += left_out.silent;
                report.unmatched += left_out.unmatched;
                report.rests += usize::from(left_out.rest);
            }
            Err(error) => report.skipped.push((name, format!("{error:#}"))),
        }
    }
    if report.dataset.songs.is_empty() {
        bail!("{}: not one song could be prepared\n{report}", folder.display());
    }
    vmt_files::write(&out.join(DATASET), serde_yaml::to_string(&report.dataset)?.as_bytes())?;
    Ok(report)
}

/// A name, and its video and MIDI file.
pub type Pair = (String, Result<(PathBuf, PathBuf)>);

/// The videos of `folder` and the MIDI files of `scores` by their names, sorted; an error where one of both is missing or not
/// the only one.
///
/// # Errors
/// Where a folder cannot be read.
pub fn pairs(folder: &Path, scores: &Path) -> Result<Vec<Pair>> {
    let of = |folder: &Path| files(folder).with_context(|| folder.display().to_string());
    let ((mut videos, _), (_, mut scores)) = (of(folder)?, of(scores)?);
    let names: BTreeSet<String> = videos.keys().chain(scores.keys()).cloned().collect();
    let pair = |name: String| {
        let mut found = || -> Result<_> {
            let score = scores.remove(&name).context("there is no MIDI file of that name")?;
            let videos = videos.remove(&name).context("there is no video of that name")?;
            let [video] = <[PathBuf; 1]>::try_from(videos)
                .map_err(|several| anyhow!("there must be one video of that name, but there are {}", several.len()))?;
            Ok((video, score))
        };
        let found = found();
        (name, found)
    };
    Ok(names.into_iter().map(pair).collect())
}

/// The videos and the MIDI files of a folder, by name.
type Files = (BTreeMap<String, Vec<PathBuf>>, BTreeMap<String, PathBuf>);

fn files(folder: &Path) -> Result<Files> {
    let (mut videos, mut scores): Files = Default::default();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let text = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_owned);
        let (Some(name), Some(ending)) = (text(path.file_stem()), text(path.extension())) else { continue };
        match ending.to_lowercase().as_str() {
            "mid" | "midi" => _ = scores.insert(name, path),
            ending if VIDEOS.contains(&ending) => videos.entry(name).or_default().push(path),
            _ => {}
        }
    }
    Ok((videos, scores))
}

/// What of a song is in no fragment.
#[derive(Default)]
struct LeftOut {
    /// Windows without a note.
    silent: usize,
    /// Windows with seconds that have no counterpart.
    unmatched: usize,
    /// Its end is too short for a window.
    rest: bool,
}

/// Prepares one song; returns what it holds and what not.
fn pair(
    name: &str,
    split: Split,
    video: &Path,
    score: &Path,
    out: &Path,
    options: &PrepareOptions,
) -> Result<(PreparedSong, LeftOut)> {
    let bytes = fs::read(score).with_context(|| score.display().to_string())?;
    let performed = midi::read(&bytes, if options.sustain { midi::Sustain::Apply } else { midi::Sustain::Ignore })?;
    ensure!(!performed.is_empty(), "its MIDI file holds no notes");
    let gaps = unmatched(&midi::conductor(&bytes)?);
    let music = performed.iter().map(|note| note.end).fold(0.0, f64::max);

    let mut drafts = Drafts::default();
    let place = frames_path(out, name);
    let file = drafts.of(&place).and_then(File::create).with_context(|| place.display().to_string())?;
    let mut frames = BufWriter::new(file);
    let mut write = || -> Result<_> {
        let (mut tokens, mut song) =
            (Vec::new(), PreparedSong { name: name.to_owned(), split, fragments: 0, notes: 0 });
        let (mut left_out, mut length) = (LeftOut::default(), 0.0);
        for window in Video::open(video)?.windows(options.geometry) {
            let window = window?;
            let start = window.start.as_secs_f64();
            length = start + window.duration.as_secs_f64();
            if window.duration < options.geometry.window() {
                left_out.rest = true;
                continue;
            }
            if gaps.iter().flatten().any(|&(from, to)| from < length && start < to) {
                left_out.unmatched += 1;
                continue;
            }
            let fragment = fragment(&performed, start, &options.geometry);
            if fragment.notes().is_empty() {
                left_out.silent += 1;
                continue;
            }
            song.fragments += 1;
            song.notes += fragment.notes().len();
            tokens.extend(targets(&fragment).into_iter().flat_map(|token| token.id().to_le_bytes()));
            write_clip(&mut frames, &window.clip)?;
        }
        ensure!(
            gaps.is_some() || (length - music).abs() <= options.tolerance,
            "the video must be as long as its music to {} s, but is {length:.1} s for {music:.1} s of music",
            options.tolerance
        );
        let which = if gaps.is_some() { "a note and a counterpart throughout" } else { "a note" };
        ensure!(song.fragments > 0, "it has no full window with {which}");
        frames.flush()?;
        Ok((tokens, song, left_out))
    };
    let (tokens, song, left_out) = write()?;
    let place = tokens_path(out, name);
    drafts.of(&place).and_then(|draft| fs::write(draft, tokens)).with_context(|| place.display().to_string())?;
    drafts.finish()?;
    Ok((song, left_out))
}

/// The music of the window that begins at `start` seconds.
fn fragment(performed: &[PerformedNote], start: f64, geometry: &Geometry) -> Score {
    let shifted = |note: &PerformedNote| PerformedNote { start: note.start - start, end: note.end - start, ..*note };
    let performed: Vec<_> = performed.iter().map(shifted).collect();
    Score::quantise(&performed, geometry.window())
}

fn write_clip(file: &mut impl Write, clip: &Clip) -> Result<()> {
    let pixels = clip.pixels();
    file.write_all(pixels.as_standard_layout().as_slice().expect("standard layout"))?;
    Ok(())
}

/// The paper's table 1, and what was skipped.
impl fmt::Display for PrepareReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Dataset { geometry, songs, .. } = &self.dataset;
        let hours = geometry.window().as_secs_f64() / 3600.0;
        writeln!(f, "{:<12}{:>8}{:>12}{:>8}{:>17}", "", "songs", "fragments", "hours", "thousand notes")?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, songs: Vec<&PreparedSong>| {
            let fragments: usize = songs.iter().map(|song| song.fragments).sum();
            let notes: usize = songs.iter().map(|song| song.notes).sum();
            let (hours, notes) = (fragments as f64 * hours, notes as f64 / 1000.0);
            writeln!(f, "{name:<12}{:>8}{fragments:>12}{hours:>8.2}{notes:>17.1}", songs.len())
        };
        for (name, split) in [("train", Split::Train), ("validation", Split::Validation), ("test", Split::Test)] {
            row(f, name, songs.iter().filter(|song| song.split == split).collect())?;
        }
        row(f, "all", songs.iter().collect())?;
        let Self { silent, unmatched, rests, .. } = self;
        write!(f, "left out: {silent} silent windows, {rests} ends of songs shorter than a window")?;
        if *unmatched > 0 {
            write!(f, ", {unmatched} windows without counterpart")?;
        }
        writeln!(f)?;
        for (name, reason) in &self.skipped {
            writeln!(f, "skipped {name}: {reason}")?;
        }
        Ok(())
    }
}
