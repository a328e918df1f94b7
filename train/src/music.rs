//! Piano music to train on: the notes of a MIDI file, and where its beats, bars and modes are.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use vmt::{Key, PerformedNote, Score, midi};

/// A mode of Western music: the part of a key that can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bright.
    Major,
    /// Dark.
    Minor,
}

/// A piece of music; all times in seconds from the beginning of its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Song {
    /// The file's name without its ending.
    pub name: String,
    /// By start, then by pitch. The pedal is applied; a key that several tracks strike at one moment is struck once, as
    /// loud as the loudest and as long as the longest.
    pub notes: Vec<PerformedNote>,
    /// Rising.
    pub beats: Vec<f64>,
    /// The beats that begin a bar.
    pub downbeats: Vec<f64>,
    /// When each mode begins; the first one holds before that, too.
    pub modes: Vec<(f64, Mode)>,
    /// When each key begins; `None` where there is none.
    pub keys: Vec<(f64, Option<Key>)>,
}

impl Song {
    /// Reads a MIDI file.
    ///
    /// For `X/X.mid`, beats, keys and chords come from `beat_midi.txt`, `key_audio.txt` and `chord_midi.txt` in that
    /// folder, as POP909 (Wang et al. 2020) has them. Whatever is missing is estimated as in [`Song::new`].
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let read = || -> Result<Self> {
            let mut song = Self::new(&name, midi::read(&fs::read(path)?, midi::Sustain::Apply)?)?;
            let folder = path.parent().filter(|folder| folder.file_name() == path.file_stem());
            folder.map_or(Ok(()), |folder| song.annotate(folder))?;
            Ok(song)
        };
        read().with_context(|| path.display().to_string())
    }

    /// A song of which only the `notes` are known, in any order: beats are estimated from their onsets, bars (of four
    /// beats) from their basses, modes from their pitches.
    pub fn new(name: &str, mut notes: Vec<PerformedNote>) -> Result<Self> {
        let key = |a: &PerformedNote, b: &PerformedNote| a.start.total_cmp(&b.start).then(a.pitch.cmp(&b.pitch));
        notes.sort_by(key);
        notes.dedup_by(|again, kept| {
            let same = key(again, kept) == Ordering::Equal;
            if same {
                (kept.end, kept.velocity) = (kept.end.max(again.end), kept.velocity.max(again.velocity));
            }
            same
        });
        ensure!(!notes.is_empty(), "it has no notes");
        ensure!(last_end(&notes) <= 24.0 * 3600.0, "it is longer than a day");
        let beats = beats(&notes);
        let downbeats = downbeats(&notes, &beats);
        let modes = modes(last_end(&notes), |time| pitch_evidence(&notes, time));
        let mut sounding = [0.0; 12];
        for note in &notes {
            sounding[usize::from(note.pitch % 12)] += note.end - note.start;
        }
        let keys = vec![(0.0, Key::nearest(sounding))];
        Ok(Self { name: name.to_owned(), notes, beats, downbeats, modes, keys })
    }

    /// All `.mid` and `.midi` files below a folder, sorted; hidden ones are passed over.
    pub fn folder(folder: &Path) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        collect(folder, &mut files)?;
        files.sort();
        Ok(files)
    }

    /// When the last note ends, in seconds.
    pub fn duration(&self) -> f64 {
        last_end(&self.notes)
    }

    /// The notes that begin in `start..start + seconds`, on the grid. One that sounds on from before is left out.
    pub fn fragment(&self, start: f64, seconds: f64) -> Score {
        let shifted =
            |note: &PerformedNote| PerformedNote { start: note.start - start, end: note.end - start, ..*note };
        let notes: Vec<_> = starting(&self.notes, start, start + seconds).iter().map(shifted).collect();
        Score::quantise(&notes, Duration::from_secs_f64(seconds))
    }

    /// What begins in `start..end`, its times counted from `start`.
    pub fn excerpt(&self, start: f64, end: f64) -> Self {
        let times = |times: &[f64]| -> Vec<f64> {
            times.iter().filter(|time| (start..end).contains(time)).map(|time| time - start).collect()
        };
        let shifted =
            |note: &PerformedNote| PerformedNote { start: note.start - start, end: note.end - start, ..*note };
        // The mode that holds at the start began before it.
        let first = self.modes.partition_point(|&(time, _)| time <= start).saturating_sub(1);
        let modes = self.modes[first.min(self.modes.len())..].iter().take_while(|(time, _)| *time < end);
        let first = self.keys.partition_point(|&(time, _)| time <= start).saturating_sub(1);
        let keys = self.keys[first.min(self.keys.len())..].iter().take_while(|(time, _)| *time < end);
        Self {
            name: self.name.clone(),
            notes: starting(&self.notes, start, end).iter().map(shifted).collect(),
            beats: times(&self.beats),
            downbeats: times(&self.downbeats),
            modes: modes.map(|&(time, mode)| ((time - start).max(0.0), mode)).collect(),
            keys: keys.map(|&(time, key)| ((time - start).max(0.0), key)).collect(),
        }
    }

    /// The song, higher by `semitones`; notes that no MIDI file can hold are dropped.
    pub fn transposed(&self, semitones: i8) -> Self {
        let higher = |note: &PerformedNote| {
            let pitch = note.pitch.checked_add_signed(semitones).filter(|&pitch| pitch < 128)?;
            Some(PerformedNote { pitch, ..*note })
        };
        let keys = self.keys.iter().map(|&(time, key)| (time, key.map(|key| key.transposed(semitones))));
        Self { notes: self.notes.iter().filter_map(higher).collect(), keys: keys.collect(), ..self.clone() }
    }

    /// The song, `factor` times as long.
    pub fn stretched(&self, factor: f64) -> Self {
        let times = |times: &[f64]| times.iter().map(|time| time * factor).collect();
        let longer =
            |note: &PerformedNote| PerformedNote { start: note.start * factor, end: note.end * factor, ..*note };
        Self {
            name: self.name.clone(),
            notes: self.notes.iter().map(longer).collect(),
            beats: times(&self.beats),
            downbeats: times(&self.downbeats),
            modes: self.modes.iter().map(|&(time, mode)| (time * factor, mode)).collect(),
            keys: self.keys.iter().map(|&(time, key)| (time * factor, key)).collect(),
        }
    }

    /// Replaces what was estimated by what the files in `folder` say.
    fn annotate(&mut self, folder: &Path) -> Result<()> {
        if let Some(rows) =
            rows(&folder.join("beat_midi.txt"), |[time, _, bar]| Ok((number(time)?, number(bar)? == 1.0)))?
        {
            self.beats = rows.iter().map(|&(time, _)| time).collect();
            self.downbeats = rows.iter().filter(|(_, bar)| *bar).map(|&(time, _)| time).collect();
        }
        let spans =
            rows(&folder.join("key_audio.txt"), |[from, to, label]| Ok((number(from)?, number(to)?, key(label)?)))?;
        if let Some(spans) = spans {
            let begun = spans.iter().flat_map(|&(from, to, key)| [(from, Some(key)), (to, None)]);
            self.keys = begun.collect();
            // Where one ends and the next begins, the next holds.
            self.keys.dedup_by(|next, last| {
                let follows = last.1.is_none() && next.0 <= last.0;
                if follows {
                    *last = *next;
                }
                follows
            });
        }
        let span = |[from, to, label]: [&str; 3]| Ok((number(from)?, number(to)?, majority(label)));
        let keys = rows(&folder.join("key_audio.txt"), span)?;
        let chords = rows(&folder.join("chord_midi.txt"), span)?;
        if keys.is_some() || chords.is_some() {
            let (keys, chords) = (keys.unwrap_or_default(), chords.unwrap_or_default());
            // A stretch of minor chords darkens a major key only where hardly another chord is left.
            let evidence = |time| 0.5 * mean_label(&keys, time) + mean_label(&chords, time);
            self.modes = modes(self.duration(), evidence);
        }
        Ok(())
    }
}

/// The notes that begin in `from..to`, of `notes` sorted by start.
pub(crate) fn starting(notes: &[PerformedNote], from: f64, to: f64) -> &[PerformedNote] {
    let first = notes.partition_point(|note| note.start < from);
    let count = notes[first..].partition_point(|note| note.start < to);
    &notes[first..first + count]
}

fn last_end(notes: &[PerformedNote]) -> f64 {
    notes.iter().map(|note| note.end).fold(0.0, f64::max)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let context = || folder.display().to_string();
    for entry in fs::read_dir(folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        let path = entry.path();
        let midi =
            path.extension().is_some_and(|end| end.eq_ignore_ascii_case("mid") || end.eq_ignore_ascii_case("midi"));
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // Not through a link, which may lead back up.
        if entry.file_type().with_context(context)?.is_dir() {
            collect(&path, files)?;
        } else if midi && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// The rows of a text file of at least three columns; `None` if there is no such file, or nothing in it.
fn rows<T>(path: &Path, row: impl Fn([&str; 3]) -> Result<T>) -> Result<Option<Vec<T>>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let parse = |(index, line): (usize, &str)| {
        let mut columns = line.split_whitespace();
        let three = [columns.next(), columns.next(), columns.next()];
        let [Some(a), Some(b), Some(c)] = three else {
            bail!("{}, line {}: it has no three columns", path.display(), index + 1)
        };
        row([a, b, c]).with_context(|| format!("{}, line {}", path.display(), index + 1))
    };
    let rows: Vec<T> =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect::<Result<_>>()?;
    Ok(Some(rows).filter(|rows| !rows.is_empty()))
}

fn number(text: &str) -> Result<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).with_context(|| format!("`{text}` is no number"))
}

/// A key such as `Gb:maj` or `C#:min`.
fn key(label: &str) -> Result<Key> {
    let parse = || {
        let (tonic, mode) = label.split_once(':')?;
        let mut letters = tonic.chars();
        let natural = "C D EF G A B".find(letters.next().filter(char::is_ascii_uppercase)?)? as i8;
        let accidental = match letters.as_str() {
            "" => 0,
            "#" => 1,
            "b" => -1,
            _ => return None,
        };
        let minor = match mode {
            "maj" => false,
            "min" => true,
            _ => return None,
        };
        Some(Key { tonic: (natural + accidental).rem_euclid(12) as u8, minor })
    };
    parse().with_context(|| format!("`{label}` must be a key such as `Gb:maj` or `C:min`"))
}

/// 1 for a key or chord that sounds major, -1 for minor, 0 for neither.
fn majority(label: &str) -> f64 {
    match label.split_once(':').map_or("", |(_, quality)| quality) {
        quality if ["min", "dim", "hdim"].iter().any(|dark| quality.starts_with(dark)) => -1.0,
        quality if ["maj", "7", "9", "aug"].iter().any(|bright| quality.starts_with(bright)) => 1.0,
        _ => 0.0,
    }
}

/// Half of the time over which a mode is judged, in seconds: two bars on each side.
const MODE_REACH: f64 = 4.0;

/// The mean label around `time`, weighted by the time it holds there.
fn mean_label(spans: &[(f64, f64, f64)], time: f64) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for &(from, to, label) in spans {
        let weight = overlap((from, to), time);
        sum += weight * label;
        total += weight;
    }
    if total > 0.0 { sum / total } else { 0.0 }
}

/// Seconds of `from..to` that lie within [`MODE_REACH`] of `time`.
fn overlap((from, to): (f64, f64), time: f64) -> f64 {
    (to.min(time + MODE_REACH) - from.max(time - MODE_REACH)).max(0.0)
}

/// Modes from the evidence for major (positive) or minor (negative) at each second. Evidence that is weak, or gone in
/// the next second, changes nothing.
fn modes(duration: f64, evidence: impl Fn(f64) -> f64) -> Vec<(f64, Mode)> {
    const ENOUGH: f64 = 0.15;
    let found = |second: u32| match evidence(f64::from(second)) {
        ENOUGH.. => Some(Mode::Major),
        balance if balance <= -ENOUGH => Some(Mode::Minor),
        _ => None,
    };
    let mut modes: Vec<(f64, Mode)> = Vec::new();
    let mut next = found(0);
    for second in 0..duration.ceil() as u32 {
        let now = std::mem::replace(&mut next, found(second + 1));
        if let Some(mode) = now.filter(|&mode| next == Some(mode) && modes.last().is_none_or(|last| last.1 != mode)) {
            modes.push((f64::from(second), mode));
        }
    }
    if modes.is_empty() {
        modes.push((0.0, Mode::Major));
    }
    modes
}

/// How well each pitch class, from the tonic, fits a major and a minor key (Krumhansl and Kessler 1982).
const PROFILES: [[f64; 12]; 2] = [
    [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
    [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],
];

/// How much better the best major key fits the notes around `time` than the best minor key does.
fn pitch_evidence(notes: &[PerformedNote], time: f64) -> f64 {
    let mut heard = [0.0; 12];
    // Notes that the pedal holds for longer than the reach add little.
    for note in starting(notes, time - 2.0 * MODE_REACH, time + MODE_REACH) {
        heard[usize::from(note.pitch % 12)] += overlap((note.start, note.end), time);
    }
    let fit = |profile: &[f64; 12]| {
        (0..12).map(|tonic| correlation(profile, |class| heard[(class + tonic) % 12])).fold(-1.0, f64::max)
    };
    let [major, minor] = PROFILES.each_ref().map(fit);
    2.0 * (major - minor)
}

fn correlation(a: &[f64; 12], b: impl Fn(usize) -> f64) -> f64 {
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / 12.0, (0..12).map(&b).sum::<f64>() / 12.0);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (class, a) in a.iter().enumerate() {
        let (a, b) = (a - mean_a, b(class) - mean_b);
        (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
    }
    if bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

/// Steps per second of the grid on which beats are sought.
const BEAT_GRID: f64 = 100.0;

/// Beats at regular distances and on strong onsets, by dynamic programming (Ellis 2007, "Beat tracking by dynamic
/// programming"), with one tempo for the whole song.
fn beats(notes: &[PerformedNote]) -> Vec<f64> {
    let strength = strength(notes);
    let period = period(&strength);
    // How much a distance between beats is disliked, from half to twice the period.
    let distances = period / 2..=2 * period;
    let dislike = |distance: usize| 50.0 * (distance as f64 / period as f64).ln().powi(2);
    let dislikes: Vec<f64> = distances.clone().map(dislike).collect();
    let mut best = strength.clone();
    let mut before: Vec<Option<usize>> = vec![None; best.len()];
    for step in 0..best.len() {
        let earlier = distances.clone().zip(&dislikes).filter_map(|(distance, dislike)| {
            let step = step.checked_sub(distance)?;
            Some((best[step] - dislike, step))
        });
        if let Some((score, from)) = earlier.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.0) {
            best[step] += score;
            before[step] = Some(from);
        }
    }
    let tail = best.len().saturating_sub(2 * period);
    let last = (tail..best.len()).max_by(|&a, &b| best[a].total_cmp(&best[b]));
    let mut beats: Vec<f64> =
        std::iter::successors(last, |&step| before[step]).map(|step| step as f64 / BEAT_GRID).collect();
    beats.reverse();
    beats
}

/// How much begins at each step, with a standard deviation of 1.
fn strength(notes: &[PerformedNote]) -> Vec<f64> {
    let last = notes.last().map_or(0.0, |note| note.start);
    let mut strength = vec![0.0; (last.max(0.0) * BEAT_GRID) as usize + 8];
    for note in notes {
        let step = (note.start * BEAT_GRID).round() as usize;
        // A bell of 20 ms on each side, so that a played chord counts as one.
        for (offset, weight) in [0.1, 0.4, 1.0, 0.4, 0.1].into_iter().enumerate() {
            if let Some(value) = (step + offset).checked_sub(2).and_then(|step| strength.get_mut(step)) {
                *value += weight * f64::from(note.velocity);
            }
        }
    }
    let count = strength.len() as f64;
    let mean = strength.iter().sum::<f64>() / count;
    let deviation = (strength.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    strength.iter_mut().for_each(|value| *value /= deviation.max(1e-9));
    strength
}

/// The steps from beat to beat: the strongest repetition between 0.3 and 1.2 s, best near 0.6 s.
fn period(strength: &[f64]) -> usize {
    let repetition = |lag: usize| -> f64 {
        let pairs = strength.iter().zip(strength.iter().skip(lag));
        let sum: f64 = pairs.map(|(a, b)| a * b).sum();
        sum * (-0.5 * (lag as f64 / (0.6 * BEAT_GRID)).log2().powi(2) / 0.6).exp()
    };
    let scores: Vec<f64> = (30..=120).map(repetition).collect();
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    best.map_or(60, |index| index + 30)
}

/// Every fourth beat, beginning where the basses are strongest.
fn downbeats(notes: &[PerformedNote], beats: &[f64]) -> Vec<f64> {
    let bass = |beat: f64| -> f64 {
        let weight = |note: &PerformedNote| f64::from(note.velocity) * if note.pitch < 52 { 3.0 } else { 1.0 };
        starting(notes, beat - 0.05, beat + 0.05).iter().map(weight).sum()
    };
    let every_fourth = |first: usize| beats.iter().copied().skip(first).step_by(4);
    let sums: [f64; 4] = std::array::from_fn(|first| every_fourth(first).map(bass).sum());
    let first = (0..4).max_by(|&a, &b| sums[a].total_cmp(&sums[b])).unwrap_or(0);
    every_fourth(first).collect()
}
