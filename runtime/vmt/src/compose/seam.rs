//! One take's music while it grows, and how it goes on where one window ends and the next begins.

use std::time::Duration;

use crate::music::{Event, Note, Player, Score, Shift, Token, VelocityBin, tokens_up_to};

/// What a take has played so far, in steps of the whole film.
#[derive(Clone, Debug, Default)]
pub(crate) struct Take {
    player: Player,
    pub events: usize,
    pub log_probability: f64,
    pub entropy: f64,
    pub unclosed: usize,
    /// Steps by which windows of an unconstrained take were too long or too short.
    pub length_error: u32,
}

impl Take {
    /// The step that the music has come to.
    pub fn clock(&self) -> u32 {
        self.player.clock()
    }

    /// Number of notes that are held.
    pub fn held(&self) -> usize {
        self.player.held().len()
    }

    /// Note-offs of keys that were not down.
    pub fn unmatched_offs(&self) -> usize {
        self.player.unmatched_offs()
    }

    /// Plays a token.
    pub fn play(&mut self, token: Token) {
        self.player.play(token.into());
    }

    /// Releases what is still held.
    pub fn close(&mut self) {
        self.unclosed += self.player.release_all();
    }

    /// Releases what is still held, and goes on at step `next` as a new piece would.
    pub fn restart(&mut self, next: u32) {
        self.close();
        self.player.restart(next);
    }

    /// Goes on to step `start`, if it is not there yet, and releases the notes that have been held since before; returns
    /// the events.
    pub fn release(&mut self, start: u32) -> Vec<Event> {
        let older = self.player.held().iter().filter(|note| note.start < start);
        let note_offs: Vec<_> = older.map(|note| Event::NoteOff(note.pitch)).collect();
        let pauses = Shift::over(start.saturating_sub(self.clock())).map(Event::TimeShift);
        let events: Vec<_> = pauses.chain(note_offs).collect();
        events.iter().for_each(|&event| self.player.play(event));
        self.events += events.len();
        events
    }

    /// Plays a token of a primer, or as much of it as there is time for until step `end`; `None` where the time is over.
    pub fn prime(&mut self, token: Token, end: u32) -> Option<Token> {
        let rest = end.saturating_sub(self.clock());
        let event = match Event::from(token) {
            Event::TimeShift(shift) => Event::TimeShift(Shift::new(rest.min(shift.get().into()) as u8)?),
            Event::NoteOn(_) | Event::Velocity(_) if rest == 0 => return None,
            event => event,
        };
        self.player.play(event);
        Some(event.into())
    }

    /// The music from step `start`, which must not be later, to now as the beginning of a piece, without the notes that
    /// began before.
    ///
    /// Those tokens set a velocity of their own, and the take goes on with that one: returns the event too, if the take's
    /// was another.
    pub fn since(&mut self, start: u32) -> (Vec<Token>, Option<Event>) {
        let began = self.player.notes().filter(|note| note.start >= start);
        let moved = began.map(|note| Note { start: note.start - start, end: note.end - start, ..*note });
        let beginning = tokens_up_to(moved.collect(), self.clock() - start);
        let last = beginning.iter().rev().map(|&token| token.into()).find(|event| matches!(event, Event::Velocity(_)));
        let own = Event::Velocity(VelocityBin::of(self.player.velocity()));
        let velocity = last.filter(|&event| event != own);
        velocity.into_iter().for_each(|event| self.player.play(event));
        self.events += usize::from(velocity.is_some());
        (beginning, velocity)
    }

    /// All that was played and released, for a film of this `duration`.
    pub fn score(&self, duration: Duration) -> Score {
        Score::of_sorted(self.player.sorted_notes(), duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::music::Pitch;

    #[test]
    fn a_window_knows_what_began_in_it() {
        let [low, high] = [Pitch::MIN, Pitch::MAX];
        let mut take = Take::default();
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
        assert_eq!((take.held(), take.events), (1, 1));
        assert_eq!(take.since(100), (later, None));
    }

    #[test]
    fn a_take_is_as_loud_as_its_reader_believes() {
        let [soft, loud] = [40, 90].map(|velocity| Event::Velocity(VelocityBin::of(velocity)));
        let mut take = Take::default();
        for event in [soft, Event::NoteOn(Pitch::MAX), loud, Event::NoteOn(Pitch::MIN)] {
            take.play(event.into());
        }
        // Written anew, a chord rises: the last to be heard is the soft one.
        let (beginning, event) = take.since(0);
        assert_eq!(
            (beginning.len(), event, take.player.velocity(), take.events),
            (4, Some(soft), VelocityBin::of(40).velocity(), 1)
        );
        assert_eq!(take.since(0), (beginning, None));
    }
}
