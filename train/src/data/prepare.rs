//! From a folder of videos with their MIDI files to fragments on disk ([`prepared`](super::prepared)).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use vmt::{Clip, Geometry, PerformedNote, Score, midi};
use vmt_files::Drafts;
use vmt_video::Video;

use super::prepared::{DATASET, Dataset, FORMAT, PreparedSong, frames_path, tokens_path};
use super::split::{Split, Splits};
use super::targets::targets;

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
    /// Ends of songs, shorter than a window.
    pub rests: usize,
}

/// Prepares all songs of `folder` and writes them to `out`. `progress` is told each song's name, its number and how many
/// there are.
///
/// A song that cannot be used is skipped and reported. It is an error if none could be used.
pub fn prepare(
    folder: &Path,
    out: &Path,
    options: &PrepareOptions,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<PrepareReport> {
    let (videos, scores) = files(folder).with_context(|| folder.display().to_string())?;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let dataset = Dataset { format: FORMAT, geometry: options.geometry, songs: Vec::new() };
    let mut report = PrepareReport { dataset, skipped: Vec::new(), silent: 0, rests: 0 };

    let names: BTreeSet<_> = videos.keys().chain(scores.keys()).collect();
    for (number, name) in names.iter().enumerate() {
        progress(name, number, names.len());
        let song = || -> Result<_> {
            let score = scores.get(*name).context("there is no MIDI file of that name")?;
            let video = match videos.get(*name).map(Vec::as_slice) {
                Some([video]) => video,
                Some(several) => bail!("there must be one video of that name, but there are {}", several.len()),
                None => bail!("there is no video of that name"),
            };
            let split = options.splits.split(name).context("the split does not name it")?;
            pair(name, split, video, score, out, options)
        };
        match song() {
            Ok((song, silent, rest)) => {
                report.dataset.songs.push(song);
                report.silent += silent;
                report.rests += usize::from(rest);
            }
            Err(error) => report.skipped.push((name.to_string(), format!("{error:#}"))),
        }
    }
    if report.dataset.songs.is_empty() {
        bail!("{}: not one song could be prepared\n{report}", folder.display());
    }
    vmt_files::write(&out.join(DATASET), serde_yaml::to_string(&report.dataset)?.as_bytes())?;
    Ok(report)
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

/// Prepares one song; returns what it holds, its windows without a note, and whether some of it is too short for one.
fn pair(
    name: &str,
    split: Split,
    video: &Path,
    score: &Path,
    out: &Path,
    options: &PrepareOptions,
) -> Result<(PreparedSong, usize, bool)> {
    let bytes = fs::read(score).with_context(|| score.display().to_string())?;
    let performed = midi::read(&bytes, if options.sustain { midi::Sustain::Apply } else { midi::Sustain::Ignore })?;
    ensure!(!performed.is_empty(), "its MIDI file holds no notes");
    let music = performed.iter().map(|note| note.end).fold(0.0, f64::max);

    let mut drafts = Drafts::default();
    let place = frames_path(out, name);
    let file = drafts.of(&place).and_then(File::create).with_context(|| place.display().to_string())?;
    let mut frames = BufWriter::new(file);
    let mut write = || -> Result<_> {
        let (mut tokens, mut song) =
            (Vec::new(), PreparedSong { name: name.to_owned(), split, fragments: 0, notes: 0 });
        let (mut silent, mut rest, mut length) = (0, false, 0.0);
        for window in Video::open(video)?.windows(options.geometry) {
            let window = window?;
            let start = window.start.as_secs_f64();
            length = start + window.duration.as_secs_f64();
            if window.duration < options.geometry.window() {
                rest = true;
                continue;
            }
            let fragment = fragment(&performed, start, &options.geometry);
            if fragment.notes().is_empty() {
                silent += 1;
                continue;
            }
            song.fragments += 1;
            song.notes += fragment.notes().len();
            tokens.extend(targets(&fragment).into_iter().flat_map(|token| token.id().to_le_bytes()));
            write_clip(&mut frames, &window.clip)?;
        }
        ensure!(
            (length - music).abs() <= options.tolerance,
            "the video must be as long as its music to {} s, but is {length:.1} s for {music:.1} s of music",
            options.tolerance
        );
        ensure!(song.fragments > 0, "it has no full window with a note");
        frames.flush()?;
        Ok((tokens, song, silent, rest))
    };
    let (tokens, song, silent, rest) = write()?;
    let place = tokens_path(out, name);
    drafts.of(&place).and_then(|draft| fs::write(draft, tokens)).with_context(|| place.display().to_string())?;
    drafts.finish()?;
    Ok((song, silent, rest))
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
        writeln!(f, "left out: {} silent windows, {} ends of songs shorter than a window", self.silent, self.rests)?;
        for (name, reason) in &self.skipped {
            writeln!(f, "skipped {name}: {reason}")?;
        }
        Ok(())
    }
}
