//! The automaton that events drive.

use super::event::{Event, VelocityBin};
use super::note::Note;

/// The MIDI velocity of notes before the first [`Event::Velocity`], as in Magenta's note_seq.
const DEFAULT_VELOCITY: u8 = 100;

/// Plays events: keeps the clock, the velocity, and the notes that are held.
#[derive(Clone, Debug, Default)]
pub(crate) struct Player {
    clock: u32,
    velocity: Option<VelocityBin>,
    held: Vec<Note>,
    released: Vec<Note>,
    unmatched_offs: usize,
}

impl Player {
    /// The step of 10 ms that the events have come to.
    pub fn clock(&self) -> u32 {
        self.clock
    }

    /// The MIDI velocity of the next note.
    pub fn velocity(&self) -> u8 {
        self.velocity.map_or(DEFAULT_VELOCITY, VelocityBin::velocity)
    }

    /// What the last [`Event::Velocity`] was, if there was one.
    pub fn velocity_event(&self) -> Option<VelocityBin> {
        self.velocity
    }

    /// The notes whose keys are down, the oldest first. Their end is not known: it is `u32::MAX`.
    pub fn held(&self) -> &[Note] {
        &self.held
    }

    /// All notes, in no particular order.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        self.released.iter().chain(&self.held)
    }

    /// Note-offs of keys that were not down; they do nothing.
    pub fn unmatched_offs(&self) -> usize {
        self.unmatched_offs
    }

    /// Plays an event. A note-off releases the oldest note of its key; a note without length is dropped.
    pub fn play(&mut self, event: Event) {
        match event {
            Event::Pad | Event::End => {}
            Event::NoteOn(pitch) => {
                self.held.push(Note { start: self.clock, end: u32::MAX, pitch, velocity: self.velocity() });
            }
            Event::NoteOff(pitch) => match self.held.iter().position(|note| note.pitch == pitch) {
                Some(oldest) => {
                    let note = self.held.remove(oldest);
                    self.release(note);
                }
                None => self.unmatched_offs += 1,
            },
            Event::TimeShift(shift) => self.clock = self.clock.saturating_add(shift.get().into()),
            Event::Velocity(bin) => self.velocity = Some(bin),
        }
    }

    /// Releases all notes now; returns how many were held.
    pub fn release_all(&mut self) -> usize {
        let held = std::mem::take(&mut self.held);
        let count = held.len();
        held.into_iter().for_each(|note| self.release(note));
        count
    }

    /// Sets the clock to `step` and forgets the velocity, as at the beginning of a piece.
    pub fn restart(&mut self, step: u32) {
        (self.clock, self.velocity) = (step, None);
    }

    /// The notes that were released, by start, then by pitch.
    pub fn sorted_notes(&self) -> Vec<Note> {
        let mut notes = self.released.clone();
        notes.sort_by_key(|note| (note.start, note.pitch));
        notes
    }

    fn release(&mut self, note: Note) {
        if note.start < self.clock {
            self.released.push(Note { end: self.clock, ..note });
        }
    }
}
