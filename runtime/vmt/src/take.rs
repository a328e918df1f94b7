//! One lane's music while it grows, window after window.

use std::time::Duration;

use crate::{Event, Note, STEPS_PER_SECOND, Score, Shift, Token};

/// The end of a note that still sounds.
const SOUNDING: u32 = u32::MAX;

/// What a lane has played so far, in steps of the whole film.
#[derive(Clone, Debug)]
pub(crate) struct Take {
    notes: Vec<Note>,
    clock: u32,
    velocity: u8,
    pub events: usize,
    pub log_probability: f64,
    pub unmatched_offs: usize,
    pub unclosed: usize,
    /// Steps that raw fragments were too long or too short.
    pub length_error: u32,
}

impl Take {
    pub fn new() -> Self {
        Self {
            notes: Vec::new(),
            clock: 0,
            velocity: 100,
            events: 0,
            log_probability: 0.0,
            unmatched_offs: 0,
            unclosed: 0,
            length_error: 0,
        }
    }

    /// Where the music has come to.
    pub fn clock(&self) -> u32 {
        self.clock
    }

    /// Number of notes that sound.
    pub fn sounding(&self) -> usize {
        self.notes.iter().filter(|note| note.end == SOUNDING).count()
    }

    /// Plays a token.
    pub fn play(&mut self, token: Token) {
        match Event::from(token) {
            Event::Pad | Event::End => {}
            Event::NoteOn(pitch) => {
                self.notes.push(Note { start: self.clock, end: SOUNDING, pitch, velocity: self.velocity });
            }
            Event::NoteOff(pitch) => {
                match self.notes.iter_mut().find(|note| note.end == SOUNDING && note.pitch == pitch) {
                    Some(oldest) => oldest.end = self.clock,
                    None => self.unmatched_offs += 1,
                }
            }
            Event::TimeShift(shift) => self.clock = self.clock.saturating_add(shift.get().into()),
            Event::Velocity(bin) => self.velocity = bin.velocity(),
        }
    }

    /// Closes what still sounds, and goes on at step `next` as a new piece would.
    pub fn close(&mut self, next: u32) {
        for note in self.notes.iter_mut().filter(|note| note.end == SOUNDING) {
            note.end = self.clock;
            self.unclosed += 1;
        }
        self.notes.retain(|note| note.start < note.end);
        (self.clock, self.velocity) = (next, 100);
    }

    /// The music from step `start` to now as the beginning of a piece; what sounds at `start` is struck there.
    pub fn since(&self, start: u32) -> Vec<Token> {
        let length = self.clock.saturating_sub(start);
        let moved = self.notes.iter().filter(|note| note.end > start).map(|note| Note {
            start: note.start.saturating_sub(start),
            // What sounds now ends later.
            end: note.end.saturating_sub(start).min(length.saturating_add(1)),
            ..*note
        });
        let mut notes: Vec<Note> = moved.collect();
        notes.sort_by_key(|note| (note.start, note.pitch));

        let (mut clock, mut beginning) = (0, Vec::new());
        for token in (Score { notes, duration: Duration::ZERO }).tokens() {
            let pause = match token.into() {
                Event::TimeShift(shift) => u32::from(shift.get()),
                _ => 0,
            };
            if token == Token::END || clock + pause > length {
                break;
            }
            clock += pause;
            beginning.push(token);
        }
        beginning.extend(Shift::over(length - clock).map(|shift| Token::from(Event::TimeShift(shift))));
        beginning
    }

    /// All that was played, for a film of this `duration`.
    pub fn score(&self, duration: Duration) -> Score {
        let mut notes = self.notes.clone();
        notes.sort_by_key(|note| (note.start, note.pitch));
        Score { notes, duration }
    }
}

/// The moment of a step.
pub(crate) fn time(step: u32) -> Duration {
    Duration::from_secs(step.into()) / STEPS_PER_SECOND
}
