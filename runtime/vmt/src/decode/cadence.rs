//! An ending: the tonic chord at the beginning of the last bar, held to the end.

use std::sync::Arc;

use ndarray::ArrayViewMut2;

use super::processor::{LogitsProcessor, mask};
use crate::music::{Conditions, Event, Key, Pitch, Player, Token};

/// In the last bar, lets only notes of the tonic chord be struck, and holds them to the end; the first is the tonic, on the
/// downbeat. Other notes end there.
///
/// The key is that of the [`Conditions`], else the one nearest to the window's notes so far. Does nothing where the end or
/// the last downbeat before it is not known.
///
/// Stands behind the [`Grammar`](super::Grammar) and [`Metre`](super::Metre), and masks nothing where nothing else would be left.
#[derive(Clone, Debug)]
pub struct Cadence {
    conditions: Arc<Conditions>,
    /// The last downbeat and the end, as steps of the window.
    bar: Option<(u32, u32)>,
    player: Player,
    /// The tonic was struck on the last downbeat.
    struck: bool,
}

/// The last downbeat is at least so many steps before the end: a chord takes time.
const SHORTEST: u32 = 50;

impl Cadence {
    /// For what is known of a window.
    pub fn new(conditions: Arc<Conditions>) -> Self {
        let downbeats = conditions.beats.iter().filter(|beat| beat.in_bar == 1 && beat.step > -0.5);
        let last =
            |end: u32| downbeats.map(|beat| beat.step.round() as u32).filter(|step| step + SHORTEST <= end).max();
        let bar = conditions.end.and_then(|end| Some((last(end)?, end)));
        Self { conditions, bar, player: Player::default(), struck: false }
    }

    /// Pitch classes of the tonic chord, the tonic first.
    fn chord(&self, downbeat: u32) -> [u8; 3] {
        let keys = &self.conditions.keys;
        let set = keys.iter().rev().find(|(step, _)| *step <= i64::from(downbeat)).and_then(|&(_, key)| key);
        let before = self.player.notes().filter(|note| note.start < downbeat);
        let sounding = before.map(|note| (note.pitch.get(), f64::from(note.end.min(downbeat) - note.start)));
        let key = set.or_else(|| Key::of_pitches(sounding)).unwrap_or(Key { tonic: 0, minor: false });
        [0, if key.minor { 3 } else { 4 }, 7].map(|above| (key.tonic + above) % 12)
    }
}

impl LogitsProcessor for Cadence {
    fn process(&self, mut logits: ArrayViewMut2<'_, f32>) {
        let (Some((downbeat, end)), now) = (self.bar, self.player.clock()) else { return };
        if now >= end {
            return;
        }
        let mut logits = logits.row_mut(0);
        if now < downbeat {
            return mask(&mut logits, |event| match event {
                Event::TimeShift(shift) => now + u32::from(shift.get()) > downbeat,
                _ => false,
            });
        }
        let chord = self.chord(downbeat);
        let class = |pitch: Pitch| pitch.get() % 12;
        let held = |pitch: Pitch| self.player.held().iter().find(|note| note.pitch == pitch);
        if self.player.held().iter().any(|note| !chord.contains(&class(note.pitch))) {
            return mask(&mut logits, |event| match event {
                Event::NoteOff(pitch) => chord.contains(&class(pitch)),
                _ => true,
            });
        }
        let due = now == downbeat && !self.struck;
        let wanted = if due { &chord[..1] } else { &chord[..] };
        let open = |pitch: Pitch| logits[Token::from(Event::NoteOn(pitch)).index()] > f32::NEG_INFINITY;
        let strikable = Pitch::all().any(|pitch| wanted.contains(&class(pitch)) && open(pitch));
        mask(&mut logits, |event| match event {
            Event::NoteOn(pitch) => !wanted.contains(&class(pitch)),
            Event::Velocity(_) => !strikable,
            Event::TimeShift(_) => due,
            Event::NoteOff(pitch) => held(pitch).is_some_and(|note| note.start >= downbeat),
            Event::End | Event::Pad => false,
        });
    }

    fn accept(&mut self, token: Token) {
        let event = Event::from(token);
        if let (Event::NoteOn(pitch), Some((downbeat, _))) = (event, self.bar) {
            self.struck |= self.player.clock() == downbeat && pitch.get() % 12 == self.chord(downbeat)[0];
        }
        self.player.play(event);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::music::score::tests::parse;
    use crate::music::{Beat, VOCABULARY};

    /// Bars of two beats of 60 steps; the last begins at 240 and ends at 360.
    fn cadence(key: Option<Key>) -> Cadence {
        let beat = |number: u8| Beat { step: 60.0 * f64::from(number), in_bar: number % 2 + 1, per_bar: 2 };
        let beats = (0..8).map(beat).collect();
        Cadence::new(Conditions { beats, end: Some(360), keys: vec![(0, key)], ..Conditions::default() }.into())
    }

    const A_MINOR: Option<Key> = Some(Key { tonic: 9, minor: true });

    /// Whether each of `events` may follow `before`.
    #[track_caller]
    fn check(key: Option<Key>, before: &str, events: &[(&str, bool)]) {
        let mut cadence = cadence(key);
        parse(before).into_iter().for_each(|token| cadence.accept(token));
        let mut logits = Array2::zeros((1, VOCABULARY));
        cadence.process(logits.view_mut());
        for &(event, want) in events {
            assert_eq!(logits[[0, parse(event)[0].index()]] > f32::NEG_INFINITY, want, "{event} behind {before:?}");
        }
    }

    #[test]
    fn the_last_bar_is_the_tonic_chord() {
        check(A_MINOR, ">100 >100", &[("+61", true), (">40", true), (">41", false)]);
        // The tonic first, then the chord, which stays down.
        check(A_MINOR, ">100 >100 >40", &[("+57", true), ("+60", false), ("v3", true), (">1", false), ("end", true)]);
        let struck = ">100 >100 >40 +57";
        check(A_MINOR, struck, &[("+60", true), ("+64", true), ("+62", false), (">100", true), ("-57", false)]);
        check(A_MINOR, &format!("{struck} >60"), &[("+60", true), ("+61", false), ("-57", false), (">60", true)]);
        check(A_MINOR, &format!("{struck} >100 >20"), &[("-57", true), ("end", true)]);
    }

    #[test]
    fn notes_of_before_end_on_the_downbeat() {
        let before = "+62 +69 >100 >100 >40";
        check(A_MINOR, before, &[("-62", true), ("-69", false), ("+57", false), (">1", false)]);
        // A note of the chord may ring on, or be struck again.
        check(A_MINOR, &format!("{before} -62 +57"), &[("-69", true), (">5", true), ("+60", true)]);
    }

    #[test]
    fn the_key_is_that_of_the_music() {
        let d_major = "+62 >30 -62 +66 >30 -66 +69 >30 -69 +67 >30 -67 +64 >30 -64 +61 >30 -61 +62 >60 -62";
        check(None, d_major, &[("+50", true), ("+48", false), ("+57", false), (">1", false)]);
        check(None, &format!("{d_major} +50"), &[("+54", true), ("+53", false), ("+57", true)]);
    }

    #[test]
    fn without_an_end_there_is_none() {
        let mut cadence = Cadence::new(Conditions { end: None, ..(*cadence(A_MINOR).conditions).clone() }.into());
        parse(">100 >100 >40").into_iter().for_each(|token| cadence.accept(token));
        let mut logits = Array2::zeros((1, VOCABULARY));
        cadence.process(logits.view_mut());
        assert!(logits.iter().all(|&logit| logit == 0.0));
    }
}
