//! A score to a film: where in the film's sound each part of a piece is played, and when each of its notes.
//!
//! The paper's authors aligned their songs by average tempo and by ear (section 2.3). Here, features of film and score
//! (`features.rs`) are compared; `coarse.rs` finds the parts of the score in the film, each with its own place and tempo;
//! `fine.rs` puts each beat of them where the onsets are. A part whose notes begin where the sound has no onsets is left out, and a piece
//! without any other part is refused.

mod coarse;
mod features;
mod fine;

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vmt::{Beat, Conductor, Marker, PerformedNote, STEPS_PER_SECOND, Score, midi};

pub use self::features::RATE;
use self::features::{COARSE, Features, Frame};
pub use self::fine::Section;
use crate::data::{COUNTERPART, NO_COUNTERPART, Song};

/// The longest gap that is taken for a rest, in seconds.
const REST: f64 = 1.0;
/// The shortest section, in seconds of film.
const SHORTEST: f64 = 4.0;
/// The most pairs of a frame of film and one of score: two hours and one. Each takes a byte.
const MOST_PAIRS: usize = 2 * 36_000 * 36_000;

/// What an alignment must reach: [`Alignment::strength`]. `examples/align.rs` measures what wrong songs reach.
pub const BELIEVED: f64 = 0.55;
/// What each section must reach: [`Section::strength`].
pub const SECTION_BELIEVED: f64 = 0.24;

/// A score, in its own time.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// By start, then pitch; the pedal is applied.
    pub notes: Vec<PerformedNote>,
    /// Quarter notes by the tempo map, in steps of 10 ms.
    pub beats: Vec<Beat>,
}

impl Piece {
    /// Reads a MIDI file. Where it names no tempo, beats are estimated from the onsets of its notes.
    ///
    /// # Errors
    /// Where the file cannot be read, or has no notes.
    pub fn read(path: &Path) -> Result<Self> {
        let read = || -> Result<Self> {
            let bytes = fs::read(path)?;
            let Song { notes, beats, downbeats, .. } = Song::new("", midi::read(&bytes, midi::Sustain::Apply)?)?;
            let mut told = midi::conductor(&bytes)?.beats;
            if told.len() < 2 {
                let first = beats.iter().position(|beat| downbeats.contains(beat)).unwrap_or(0);
                let in_bar = |index: usize| ((index + 4 - first % 4) % 4) as u8 + 1;
                let beat = |(index, time): (usize, f64)| Beat { step: steps(time), in_bar: in_bar(index), per_bar: 4 };
                told = beats.into_iter().enumerate().map(beat).collect();
            }
            Ok(Self { notes, beats: told })
        };
        read().with_context(|| path.display().to_string())
    }

    /// Beats a minute: the median of its beats.
    pub fn bpm(&self) -> f64 {
        let mut lengths: Vec<f64> = self.beats.windows(2).map(|pair| seconds(pair[1].step - pair[0].step)).collect();
        lengths.sort_by(f64::total_cmp);
        60.0 / lengths.get(lengths.len() / 2).copied().unwrap_or(0.5)
    }
}

fn seconds(steps: f64) -> f64 {
    steps / f64::from(STEPS_PER_SECOND)
}

fn steps(seconds: f64) -> f64 {
    seconds * f64::from(STEPS_PER_SECOND)
}

/// What a person knows of an alignment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlignOptions {
    /// Beats a minute of the music in the film; otherwise it is found.
    pub bpm: Option<f64>,
    /// Moments that belong together, in seconds of the film and of the score. Sections that hold one are believed.
    pub anchors: Vec<(f64, f64)>,
}

/// Where a piece is in a film.
#[derive(Clone, Debug)]
pub struct Alignment {
    /// In the order of the film; at least one.
    pub sections: Vec<Section>,
    /// How much higher the film's music is than the score, -5..=6.
    pub semitones: i8,
    /// The film's length in seconds.
    pub seconds: f64,
    film: Vec<Frame>,
    /// Transposed, in the score's time.
    score: Vec<Frame>,
    /// The score's notes in the film.
    notes: Vec<PerformedNote>,
    beats: Vec<Beat>,
}

/// Finds `piece` in `sound`, which is mono, [`RATE`] samples a second.
///
/// # Errors
/// Where nothing of the piece is found, or the sound is silent, under four seconds, or too long.
pub fn align(sound: &[f32], piece: &Piece, options: &AlignOptions) -> Result<Alignment> {
    let seconds = sound.len() as f64 / f64::from(RATE);
    ensure!(seconds >= SHORTEST, "the film must last {SHORTEST} s at least, but lasts {seconds:.1} s");
    ensure!(sound.iter().any(|sample| sample.abs() > 1e-4), "the film's sound is silent");
    let end = piece.notes.iter().map(|note| note.end).fold(0.0, f64::max);
    let slower = options.bpm.map_or(1.0, |bpm| piece.bpm() / bpm);
    ensure!(
        seconds * end * slower * ((COARSE * COARSE) as f64) < MOST_PAIRS as f64,
        "film and score are too long: their lengths, {:.0} and {:.0} minutes, may have a product of 7200 at most",
        seconds / 60.0,
        end / 60.0
    );
    for (option, at, length) in
        options.anchors.iter().flat_map(|&(film, score)| [("film", film, seconds), ("score", score, end)])
    {
        ensure!((0.0..=length).contains(&at), "an anchor is at {at} s of the {option}, which lasts {length:.1} s");
    }
    let film = Features::of_sound(sound);
    let found = Search { film: &film, piece, options, seconds }.run()?;
    let Found { sections, semitones, score } = found;
    let semitones_up = (semitones as i8 + 5) % 12 - 5;
    let mut alignment = Alignment {
        sections,
        semitones: semitones_up,
        seconds,
        film: film.coarse,
        score,
        notes: Vec::new(),
        beats: Vec::new(),
    };
    alignment.notes = alignment.played(&piece.notes);
    alignment.beats = alignment.counted(&piece.beats);
    Ok(alignment)
}

/// A film and what is sought in it.
struct Search<'s> {
    film: &'s Features,
    piece: &'s Piece,
    options: &'s AlignOptions,
    seconds: f64,
}

struct Found {
    sections: Vec<Section>,
    semitones: usize,
    score: Vec<Frame>,
}

impl Search<'_> {
    fn run(&self) -> Result<Found> {
        // First at any tempo, then at that of the film, from which it may hardly differ.
        let (film, told) = (&self.film.coarse, self.options.bpm.map(|bpm| self.piece.bpm() / bpm));
        let features = |slower| Features::of_notes(&self.piece.notes, slower).coarse;
        let mut slower = told.unwrap_or(1.0);
        let slope = if told.is_some() { coarse::STEADY } else { coarse::FREE };
        let mut score = features(slower);
        let semitones = self.transposition(&score, slower, slope);
        score = coarse::transposed(&score, semitones);
        if told.is_none() {
            let anchors = self.anchors(slower);
            let terms = coarse::Terms { rate: COARSE as f32, slope, anchors: &anchors };
            slower = coarse::tempo(&coarse::stretches(film, &score, terms)).map_or(1.0, |tempo| 1.0 / tempo);
            score = coarse::transposed(&features(slower), semitones);
        }
        let anchors = self.anchors(slower);
        let terms = coarse::Terms { rate: COARSE as f32, slope: coarse::STEADY, anchors: &anchors };
        let stretches = coarse::stretches(film, &score, terms);
        let sections = self.sections(&stretches, &score, semitones, slower)?;
        Ok(Found { sections, semitones, score: coarse::transposed(&features(1.0), semitones) })
    }

    /// The anchors as frames of the film and of the slower score.
    fn anchors(&self, slower: f64) -> Vec<(usize, usize)> {
        let frame = |seconds: f64| (seconds * COARSE as f64) as usize;
        self.options.anchors.iter().map(|&(film, score)| (frame(film), frame(score * slower))).collect()
    }

    /// The semitones, `0..12`, by which the score must be higher to explain most of the film.
    fn transposition(&self, score: &[Frame], slower: f64, slope: f32) -> usize {
        let (film, score) = (coarse::halved(&self.film.coarse), coarse::halved(score));
        let anchors: Vec<_> = self.anchors(slower).into_iter().map(|(film, score)| (film / 2, score / 2)).collect();
        let terms = coarse::Terms { rate: COARSE as f32 / 2.0, slope, anchors: &anchors };
        let gains: Vec<f32> =
            (0..12).map(|semitones| coarse::gain(&film, &coarse::transposed(&score, semitones), terms)).collect();
        (0..12).max_by(|&a, &b| gains[a].total_cmp(&gains[b])).unwrap_or(0)
    }

    fn sections(
        &self,
        stretches: &[coarse::Stretch],
        score: &[Frame],
        semitones: usize,
        slower: f64,
    ) -> Result<Vec<Section>> {
        let scaled = |note: &PerformedNote| (note.start * slower, (usize::from(note.pitch) + semitones) % 12);
        let anchors = self.options.anchors.iter().map(|&(film, score)| (film, score * slower)).collect();
        let onsets = fine::Onsets::new(self.film, score, self.piece.notes.iter().map(scaled), anchors);
        let end = self.piece.notes.iter().map(|note| note.end).fold(0.0, f64::max) * slower;
        let beats: Vec<f64> = self.piece.beats.iter().map(|beat| seconds(beat.step) * slower).collect();
        let knots = fine::knots(&beats, end);

        let long = |stretch: &&coarse::Stretch| stretch.score.len() as f64 >= SHORTEST * COARSE as f64;
        let mut sections: Vec<Section> =
            stretches.iter().filter(long).map(|stretch| onsets.follow(stretch, &knots)).collect();
        let anchored = |section: &Section| {
            let in_film = |&&(film, _): &&(f64, f64)| (section.film.0..section.film.1).contains(&film);
            self.options.anchors.iter().any(|anchor| in_film(&anchor))
        };
        // Those that do not last would take seconds from the others.
        let believe = |section: &Section| anchored(section) || section.strength() >= SECTION_BELIEVED;
        sections.retain(believe);
        onsets.cut(&mut sections, self.seconds);
        let long_enough = |section: &Section| section.film.1 - section.film.0 >= SHORTEST / 2.0;
        sections.retain(|section| long_enough(section) && believe(section));
        let strength = strength(&sections);
        ensure!(
            strength >= BELIEVED || sections.iter().any(anchored),
            "the score does not match the film's sound: it reaches a strength of {strength:.2}, and a match needs {BELIEVED} \
             (a wrong song, another tempo than 0.7 to 1.4 times the score's without --bpm, or too little music)"
        );
        for section in &mut sections {
            section.beats.iter_mut().for_each(|beat| beat.0 /= slower);
        }
        Ok(sections)
    }
}

/// [`Alignment::strength`].
fn strength(sections: &[Section]) -> f64 {
    let strongest = sections.iter().map(Section::strength).fold(0.0, f64::max);
    let range = |section: &Section| (section.to_score(section.film.0), section.to_score(section.film.1));
    let mut covered = 0.0;
    for (index, section) in sections.iter().enumerate() {
        let (from, to) = range(section);
        // How much of it no section before has.
        let repeated = |&(begin, end): &(f64, f64)| (end.min(to) - begin.max(from)).max(0.0);
        let repeated = sections[..index].iter().map(range).map(|range| repeated(&range)).fold(0.0, f64::max);
        covered += (1.0 - repeated / (to - from)) * (section.film.1 - section.film.0) * section.heard.alike_by();
    }
    strongest + covered / 100.0
}

impl Alignment {
    /// How sure the match is: the strength of the strongest section, and 0.01 for each second in which film and score are
    /// perfectly alike, where no part of the score counts twice. Wrong songs have reached 0.5; right ones in clear sound
    /// reach 1 and more.
    pub fn strength(&self) -> f64 {
        strength(&self.sections)
    }

    /// The music of the film: the notes of the sections, as high as the film's.
    pub fn score(&self) -> Score {
        Score::quantise(&self.notes, Duration::from_secs_f64(self.seconds))
    }

    /// The notes of the score in the film, for each section by start: as high as the film's.
    pub fn notes(&self) -> &[PerformedNote] {
        &self.notes
    }

    /// Beats, and what is where, as [`midi::write_parts`] writes them. Markers that begin with [`NO_COUNTERPART`] and
    /// [`COUNTERPART`] say which seconds of the film have none, and which do.
    pub fn conductor(&self) -> Conductor {
        let mut markers = Vec::new();
        let mut marker = |time, text| markers.push(Marker { step: steps(time), text });
        let gaps = self.gaps();
        for &(from, _) in &gaps {
            marker(from, NO_COUNTERPART.to_owned());
        }
        for section in &self.sections {
            // Where a rest comes before it, that is not marked.
            let (from, to) = (section.to_score(section.film.0), section.to_score(section.film.1));
            let tempo = section.tempo();
            marker(
                section.film.0,
                format!("{COUNTERPART} {}-{} of the score, tempo x {tempo:.3}", clock(from), clock(to)),
            );
        }
        Conductor { beats: self.beats.clone(), key: None, markers }
    }

    /// Seconds of the film that have no counterpart in the score; gaps of a second or less are rests.
    pub fn gaps(&self) -> Vec<(f64, f64)> {
        let starts = self.sections.iter().map(|section| section.film.0).chain([self.seconds]);
        let ends = [0.0].into_iter().chain(self.sections.iter().map(|section| section.film.1));
        ends.zip(starts).filter(|(from, to)| to - from > REST).collect()
    }

    /// How alike film and score are, -1..1, in `columns` equal parts of the film and `rows` of the score: row by row, the
    /// score's beginning first.
    pub fn similarity(&self, columns: usize, rows: usize) -> Vec<f32> {
        let part = |index: usize, count: usize, frames: &[Frame]| -> Frame {
            let place = |index: usize| index * frames.len() / count;
            let part = &frames[place(index)..place(index + 1).max(place(index) + 1)];
            std::array::from_fn(|value| part.iter().map(|frame| frame[value]).sum::<f32>() / part.len() as f32)
        };
        let film: Vec<Frame> = (0..columns).map(|column| part(column, columns, &self.film)).collect();
        let score = (0..rows).map(|row| part(row, rows, &self.score));
        score.flat_map(|score| film.iter().map(move |film| coarse::alike(film, &score)).collect::<Vec<_>>()).collect()
    }

    /// The score's length in seconds.
    pub fn score_seconds(&self) -> f64 {
        self.score.len() as f64 / COARSE as f64
    }

    fn played(&self, notes: &[PerformedNote]) -> Vec<PerformedNote> {
        let mut played = Vec::new();
        for (index, section) in self.sections.iter().enumerate() {
            let next = self.sections.get(index + 1).map_or(self.seconds, |next| next.film.0);
            let end = if next - section.film.1 > REST { next } else { section.film.1 };
            for note in notes {
                let start = section.to_film(note.start);
                let Some(pitch) = note.pitch.checked_add_signed(self.semitones).filter(|&pitch| pitch < 128) else {
                    continue;
                };
                if (section.film.0..section.film.1).contains(&start) {
                    let end = section.to_film(note.end).min(end).max(start);
                    played.push(PerformedNote { start, end, pitch, ..*note });
                }
            }
        }
        played
    }

    /// The score's beats in the film; between sections, as many as fit at the tempo before.
    fn counted(&self, beats: &[Beat]) -> Vec<Beat> {
        let mut counted: Vec<Beat> = Vec::new();
        for section in &self.sections {
            let moved = beats.iter().map(|beat| Beat { step: steps(section.to_film(seconds(beat.step))), ..*beat });
            let (from, to) = (steps(section.film.0), steps(section.film.1));
            let inside: Vec<Beat> = moved.filter(|beat| (from..=to).contains(&beat.step)).collect();
            let Some(&first) = inside.first() else { continue };
            let length = inside.get(1).map_or(50.0, |second| second.step - first.step).max(1.0);
            let last = counted.last().copied().unwrap_or(Beat { step: 0.0, ..first });
            let gap = first.step - last.step;
            let count = (gap / length).round();
            if count < 1.0 {
                counted.pop();
            }
            let number = |back: f64| {
                let per_bar = i64::from(first.per_bar.max(1));
                if first.in_bar == 0 {
                    0
                } else {
                    (i64::from(first.in_bar) - 1 - back as i64).rem_euclid(per_bar) as u8 + 1
                }
            };
            if counted.is_empty() && count >= 1.0 {
                counted.push(Beat { step: 0.0, in_bar: number(count), ..first });
            }
            for back in (1..count as i64).rev().map(|back| back as f64) {
                counted.push(Beat { step: first.step - back * gap / count, in_bar: number(back), ..first });
            }
            counted.extend(inside);
        }
        counted.dedup_by(|next, before| next.step - before.step < 1.0);
        counted
    }
}

/// Minutes and seconds.
pub fn clock(seconds: f64) -> String {
    let tenths = (seconds.max(0.0) * 10.0).round() as u64;
    format!("{}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

/// A table of the sections, and what is in none.
impl fmt::Display for Alignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<9}{:>17}{:>19}{:>9}{:>24}{:>10}",
            "section", "film", "score", "tempo", "onsets at its notes", "strength"
        )?;
        let range = |from, to| format!("{}-{}", clock(from), clock(to));
        for (number, section) in (1..).zip(&self.sections) {
            let (from, to) = section.film;
            let score = range(section.to_score(from), section.to_score(to));
            let heard = &section.heard;
            let onsets = format!("{:.0} % (beside {:.0} %)", 100.0 * heard.share, 100.0 * heard.share_beside);
            let (tempo, strength) = (section.tempo(), section.strength());
            writeln!(f, "{number:<9}{:>17}{score:>19}  x {tempo:.3}{onsets:>24}{strength:>10.2}", range(from, to))?;
        }
        writeln!(f, "strength of the match: {:.2} (needed: {BELIEVED})", self.strength())?;
        if self.semitones != 0 {
            writeln!(
                f,
                "the film's music is {} semitones {} than the score",
                self.semitones.abs(),
                if self.semitones > 0 { "higher" } else { "lower" }
            )?;
        }
        for (from, to) in self.gaps() {
            writeln!(f, "no counterpart: {}", range(from, to))?;
        }
        Ok(())
    }
}
