//! Piano music to train on: the notes of a MIDI file, and where its beats, bars and modes are.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vmt::{Key, PerformedNote, Score, midi};

use super::annotations::{key, majority, number, rows};
use super::beats::{beats, downbeats};
pub use super::modes::Mode;
use super::modes::{mean_label, modes, pitch_evidence};
use super::notes::starting;

/// No song is longer, in seconds: a day.
const LONGEST: f64 = 24.0 * 3600.0;

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

    /// The notes of a MIDI file, and nothing else: much sooner than [`Song::read`].
    pub fn score(path: &Path) -> Result<Score> {
        let read = || -> Result<Score> {
            let notes = midi::read(&fs::read(path)?, midi::Sustain::Apply)?;
            let end = last_end(&notes);
            ensure!(end <= LONGEST, "it is longer than a day");
            Ok(Score::quantise(&notes, Duration::from_secs_f64(end)))
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
        ensure!(last_end(&notes) <= LONGEST, "it is longer than a day");
        let beats = beats(&notes);
        let downbeats = downbeats(&notes, &beats);
        let modes = modes(last_end(&notes), |time| pitch_evidence(&notes, time));
        let keys = vec![(0.0, Key::of_pitches(notes.iter().map(|note| (note.pitch, note.end - note.start))))];
        Ok(Self { name: name.to_owned(), notes, beats, downbeats, modes, keys })
    }

    /// All `.mid` and `.midi` files below a folder, sorted; hidden ones are skipped.
    pub fn folder(folder: &Path) -> Result<Vec<PathBuf>> {
        vmt_files::below(folder, &["mid", "midi"])
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

fn last_end(notes: &[PerformedNote]) -> f64 {
    notes.iter().map(|note| note.end).fold(0.0, f64::max)
}
