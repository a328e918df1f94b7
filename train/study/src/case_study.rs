//! `vmt-train case-study`: the paper's figure 4.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use vmt::{Event, Note, Pitch, STEPS_PER_SECOND, Score};
use vmt_files::Drafts;
use vmt_render::{Column, case_study, case_study_png, phrases};

use crate::call::{check_output, ensure, wrong};
use crate::model::Model;
use crate::sources::{ORIGINAL, SystemArg, read_score};

/// Phrases that are boxed, at most, as the piano roll has colours for them.
const PHRASES: usize = 6;
/// Draws the paper's figure 4: pieces for one film side by side
///
/// Each column is a piano roll, C2 to C7 over seconds, with a dashed line at the end of the film and repeated phrases in boxes. Notes that
/// are never closed have a red outline, and a red cross is where a note was closed that was not open. Below are the counts of the
/// paper's case study. Models compose for one window (10 s) without grammar, as in the paper.
///
///   vmt-train case-study film.mp4 --system SEQ2SEQ=onnx/seq2seq-small --system VMT=onnx/vmt-small --system original=song.mid -o figure.png
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct CaseStudyArgs {
    /// The film
    film: PathBuf,
    /// A column: NAME=DIR is a bundle, NAME=FILE.mid music that begins with the film; in this order
    #[arg(long = "system", value_name = "NAME=DIR|FILE.mid", value_parser = SystemArg::parse, required = true)]
    systems: Vec<SystemArg>,
    /// The picture to write, .png or .svg; may be repeated
    #[arg(short, long, value_name = "FILE", required = true)]
    out: Vec<PathBuf>,
    /// Begin at this second of the film
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    start: f64,
    /// Compose with the grammar, and as `vmt compose` does by default: nothing is unmatched or unclosed then
    #[arg(long)]
    grammar: bool,
    /// Seed of the music
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

impl CaseStudyArgs {
    /// Draws it.
    ///
    /// # Errors
    /// [`clap::Error`] for a wrong call; where film, bundles or music cannot be read, or the picture cannot be written.
    pub fn run(self) -> Result<()> {
        ensure((0.0..=86_400.0).contains(&self.start), format!("--start: must be 0 to 86400, but is {}", self.start))?;
        let sources = self.systems.iter().filter_map(|system| system.source.as_deref());
        let inputs: Vec<&Path> = sources.clone().chain([self.film.as_path()]).collect();
        for out in &self.out {
            let is_picture = out.extension().is_some_and(|end| end == "png" || end == "svg");
            ensure(is_picture, format!("{}: must end in .png or .svg, but does not", out.display()))?;
            check_output(out, &inputs)?;
        }
        for system in &self.systems {
            let source = system.source.as_deref();
            let there = source.is_some_and(|path| path.exists());
            let path = source.map_or("no file".into(), |path| path.display().to_string());
            let name = &system.name;
            ensure(
                there,
                format!(
                    "{name}: must be NAME=DIR of a bundle or NAME=FILE.mid, such as {ORIGINAL}=song.mid, but {path} is not there"
                ),
            )?;
        }
        let length = vmt_video::duration(&self.film)?;
        let start = Duration::from_secs_f64(self.start);
        let behind = format!("--start: must be within the film, which is {length:.2?} long, but is {start:.2?}");
        ensure(start < length, behind)?;
        // Models first: their window is how much of the film counts.
        let mut opened = Vec::new();
        for system in &self.systems {
            let path = system.source.as_deref().context("every system has a source")?;
            opened.push(if path.is_dir() { Some(Model::load(path)?) } else { None });
        }
        let windows: BTreeSet<Duration> = opened.iter().flatten().map(Model::window).collect();
        if windows.len() > 1 {
            return Err(wrong(format!(
                "--system: all models must have windows of one length, but theirs are {windows:?}"
            ))
            .into());
        }
        let window = windows.first().copied().unwrap_or(Duration::from_secs(10));
        let shown = window.min(length - start);
        let mut pieces = Vec::new();
        for (system, model) in self.systems.iter().zip(&opened) {
            let path = system.source.as_deref().context("every system has a source")?;
            pieces.push(match model {
                Some(model) => {
                    let (composition, events) =
                        model.compose(&self.film, start..start + shown, self.seed, !self.grammar)?;
                    let played = Played::new(&events);
                    // The same events, counted twice.
                    debug_assert_eq!(played.unclosed.len(), composition.unclosed);
                    played
                }
                None => Played::of_score(&part(&read_score(path, start + shown)?, start, shown)?),
            });
        }
        let columns = self.systems.iter().zip(&pieces).map(|(system, piece)| {
            Ok(Column {
                title: system.name.clone(),
                score: &piece.score,
                unclosed: piece.unclosed.clone(),
                unmatched: piece.unmatched.clone(),
                lines: piece.lines(shown),
            })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let mut drafts = Drafts::default();
        for out in &self.out {
            let at = || out.display().to_string();
            let bytes = match out.extension().is_some_and(|end| end == "svg") {
                true => case_study(&columns, shown)?.into_bytes(),
                false => case_study_png(&columns, shown)?,
            };
            fs::write(drafts.of(out).with_context(at)?, bytes).with_context(at)?;
        }
        drafts.finish()?;
        for column in &columns {
            vmt_files::print(format_args!("{}: {}", column.title, column.lines.join("; ")))?;
        }
        Ok(())
    }
}

/// The music from `start` on, of this `length`.
fn part(score: &Score, start: Duration, length: Duration) -> Result<Score> {
    let (begin, end) = (vmt::steps(start), vmt::steps(start + length));
    let inside = score.notes().iter().filter(|note| note.start >= begin && note.start < end);
    let notes = inside.map(|note| Note { start: note.start - begin, end: note.end - begin, ..*note });
    Ok(Score::new(notes.collect(), length)?)
}

/// A piece as its events play it, with all that is wrong with it.
#[derive(Debug, PartialEq)]
struct Played {
    score: Score,
    /// Notes that were never closed, by index.
    unclosed: Vec<usize>,
    /// Note-offs of keys that were not down.
    unmatched: Vec<(u32, Pitch)>,
    /// When the music ends, in steps: the clock of its last event.
    end: u32,
}

impl Played {
    /// A note-off closes the oldest open note of its key, and notes that are still open are closed at the end, as
    /// [`Score::decode`] does it; but here it is kept which they are.
    fn new(events: &[Event]) -> Self {
        let (mut clock, mut velocity) = (0, 100);
        let mut open: BTreeMap<Pitch, Vec<(u32, u8)>> = BTreeMap::new();
        let (mut notes, mut unmatched) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::TimeShift(shift) => clock += u32::from(shift.get()),
                Event::Velocity(bin) => velocity = bin.velocity(),
                Event::NoteOn(pitch) => open.entry(*pitch).or_default().push((clock, velocity)),
                Event::NoteOff(pitch) => match open.get_mut(pitch).filter(|notes| !notes.is_empty()) {
                    Some(of_key) => {
                        let (start, velocity) = of_key.remove(0);
                        notes.push((Note { start, end: clock, pitch: *pitch, velocity }, false));
                    }
                    None => unmatched.push((clock, *pitch)),
                },
                _ => {}
            }
        }
        for (pitch, left) in open {
            // One that begins with the end is seen, too.
            let note = |(start, velocity)| (Note { start, end: clock.max(start + 1), pitch, velocity }, true);
            notes.extend(left.into_iter().map(note));
        }
        notes.retain(|(note, _)| note.end > note.start);
        notes.sort_by_key(|(note, _)| (note.start, note.pitch));
        let unclosed = notes.iter().enumerate().filter(|(_, note)| note.1).map(|(index, _)| index).collect();
        let duration = Duration::from_millis(u64::from(clock) * 1000 / u64::from(STEPS_PER_SECOND));
        let notes = notes.into_iter().map(|(note, _)| note).collect();
        // Sorted and of some length, so there is no error.
        let score = Score::new(notes, duration).unwrap_or_default();
        Self { score, unclosed, unmatched, end: clock }
    }

    fn of_score(score: &Score) -> Self {
        let end = score.notes().iter().map(|note| note.end).max().unwrap_or(0);
        Self { score: score.clone(), unclosed: Vec::new(), unmatched: Vec::new(), end }
    }

    /// The counts of the paper's case study, for a film of this length.
    fn lines(&self, film: Duration) -> Vec<String> {
        let end = f64::from(self.end) / f64::from(STEPS_PER_SECOND);
        let late = end - film.as_secs_f64();
        let boxed: usize = phrases(&self.score, PHRASES).iter().map(Vec::len).sum();
        let repetition = self.score.onset_repetition().map_or("-".into(), |share| format!("{:.0} %", 100.0 * share));
        vec![
            format!("{} notes, ends at {end:.2} s ({late:+.2} s)", self.score.notes().len()),
            format!("{} unclosed, {} unmatched", self.unclosed.len(), self.unmatched.len()),
            format!("{boxed} boxes, {repetition} of onsets repeated"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vmt::Token;

    use super::*;

    fn pitch(number: u8) -> Pitch {
        Pitch::new(number).unwrap()
    }

    fn shift(steps: u8) -> impl Iterator<Item = Event> {
        vmt::Shift::over(steps.into()).map(Event::TimeShift)
    }

    #[test]
    fn what_is_open_and_what_was_not() {
        let mut events = vec![Event::NoteOn(pitch(60)), Event::NoteOn(pitch(64))];
        events.extend(shift(50));
        events.extend([Event::NoteOff(pitch(60)), Event::NoteOff(pitch(61))]);
        events.extend(shift(30));
        events.push(Event::End);
        let played = Played::new(&events);
        assert_eq!(
            (played.unclosed.clone(), played.unmatched.clone(), played.end),
            (vec![1], vec![(50, pitch(61))], 80)
        );
        let ends: Vec<_> = played.score.notes().iter().map(|note| note.end).collect();
        assert_eq!(ends, [50, 80]);
        let lines = played.lines(Duration::from_secs(1));
        assert_eq!(lines[..2], ["2 notes, ends at 0.80 s (-0.20 s)", "1 unclosed, 1 unmatched"]);
    }

    proptest! {
        /// As the library decodes them.
        #[test]
        fn counts_are_those_of_the_library(ids in prop::collection::vec(2_u16..310, 0..200)) {
            let tokens: Vec<Token> = ids.iter().filter_map(|&id| Token::new(id)).collect();
            let events: Vec<Event> = tokens.iter().map(|&token| token.into()).collect();
            let decoded = Score::decode(tokens, Duration::from_secs(10));
            let played = Played::new(&events);
            prop_assert_eq!(played.unmatched.len(), decoded.unmatched_offs);
            prop_assert_eq!(played.unclosed.len(), decoded.unclosed);
            prop_assert_eq!(played.end, decoded.end_step);
        }
    }
}
