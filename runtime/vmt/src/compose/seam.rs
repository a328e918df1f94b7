//! One take's music while it grows, and how it goes on behind a seam.

use std::time::Duration;

use crate::music::{Event, Note, Score, Shift, Token, VelocityBin};

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

    /// Goes on to step `start`, if it is not there yet, and closes the notes that have sounded since before; returns the
    /// events.
    pub fn release(&mut self, start: u32) -> Vec<Event> {
        let old = self.notes.iter().filter(|note| note.end == SOUNDING && note.start < start);
        let ups: Vec<_> = old.map(|note| Event::NoteOff(note.pitch)).collect();
        let pauses = Shift::over(start.saturating_sub(self.clock)).map(Event::TimeShift);
        let events: Vec<_> = pauses.chain(ups).collect();
        events.iter().for_each(|&event| self.play(event.into()));
        self.events += events.len();
        events
    }

    /// Plays a token of a primer, or as much of it as there is time for until step `end`; `None` where the time is over.
    pub fn prime(&mut self, token: Token, end: u32) -> Option<Token> {
        let rest = end.saturating_sub(self.clock);
        let event = match Event::from(token) {
            Event::TimeShift(shift) => Event::TimeShift(Shift::new(rest.min(shift.get().into()) as u8)?),
            Event::NoteOn(_) | Event::Velocity(_) if rest == 0 => return None,
            event => event,
        };
        self.play(event.into());
        Some(event.into())
    }

    /// The music from step `start`, which must not be later, to now as the beginning of a piece, without what sounds on from
    /// before.
    ///
    /// The take goes on as loud as whoever reads that believes it to be: returns the event too, if that is another loudness.
    pub fn since(&mut self, start: u32) -> (Vec<Token>, Option<Event>) {
        let began = self.notes.iter().filter(|note| note.start >= start);
        let moved = began.map(|note| Note { start: note.start - start, end: note.end - start, ..*note });
        let beginning = Score { notes: moved.collect(), duration: Duration::ZERO }.up_to(self.clock - start);
        let heard = beginning.iter().rev().map(|&token| token.into()).find(|event| matches!(event, Event::Velocity(_)));
        let now = VelocityBin::of(self.velocity);
        let loud = heard.filter(|&event| event != Event::Velocity(now));
        loud.into_iter().for_each(|event| self.play(event.into()));
        self.events += usize::from(loud.is_some());
        (beginning, loud)
    }

    /// All that was played, for a film of this `duration`.
    pub fn score(&self, duration: Duration) -> Score {
        let mut notes = self.notes.clone();
        notes.sort_by_key(|note| (note.start, note.pitch));
        Score { notes, duration }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::music::Pitch;

    #[test]
    fn a_window_knows_what_began_in_it() {
        let [low, high] = [Pitch::MIN, Pitch::MAX];
        let mut take = Take::new();
        let mut play = |events: &[Event]| events.iter().for_each(|&event| take.play(event.into()));
        let second = Event::TimeShift(Shift::MAX);
        play(&[Event::NoteOn(low), second, Event::NoteOn(high), second]);
        let (all, _) = take.since(0);
        assert_eq!(all.iter().filter(|&&token| token == Event::NoteOn(low).into()).count(), 1);
        let (later, _) = take.since(100);
        assert_eq!(later.iter().filter(|&&token| token == Event::NoteOn(low).into()).count(), 0);
        assert_eq!(later.iter().filter(|&&token| token == Event::NoteOn(high).into()).count(), 1);
        assert_eq!(take.release(0), []);
        assert_eq!(take.release(100), [Event::NoteOff(low)]);
        assert_eq!((take.sounding(), take.events), (1, 1));
        assert_eq!(take.since(100), (later, None));
    }

    #[test]
    fn a_take_is_as_loud_as_its_reader_believes() {
        let [soft, loud] = [40, 90].map(|velocity| Event::Velocity(VelocityBin::of(velocity)));
        let mut take = Take::new();
        for event in [soft, Event::NoteOn(Pitch::MAX), loud, Event::NoteOn(Pitch::MIN)] {
            take.play(event.into());
        }
        // Written anew, a chord rises: the last to be heard is the soft one.
        let (beginning, event) = take.since(0);
        assert_eq!(
            (beginning.len(), event, take.velocity, take.events),
            (4, Some(soft), VelocityBin::of(40).velocity(), 1)
        );
        assert_eq!(take.since(0), (beginning, None));
    }
}
