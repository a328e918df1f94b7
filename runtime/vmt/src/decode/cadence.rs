//! An ending: the tonic chord at the beginning of the last bar, held to the end, or, where music is to be dense there, played on
//! to the last beat.

use std::sync::Arc;

use ndarray::ArrayViewMut2;

use super::processor::{LogitsProcessor, mask};
use crate::music::{Beat, Condition, Conditions, Event, INTENSITY_RANKS, Key, Pitch, Player, Shift, Token};

/// In the last bar, lets only notes of the tonic chord be struck, and holds them to the end; the first is the tonic, on the
/// downbeat. Other notes end there. Where music is to be [dense](Self::dense) to its end, the chord is played on: its notes may end
/// and be struck again until the bar's last beat, where the tonic is struck once more, and what is struck there is held.
///
/// The key is that of the [`Conditions`], else the one nearest to the window's notes so far. Does nothing where the end or
/// the last downbeat before it is not known.
///
/// Stands behind the [`Grammar`](super::Grammar) and [`Metre`](super::Metre), and masks nothing where nothing else would be left.
#[derive(Clone, Debug)]
pub struct Cadence {
    conditions: Arc<Conditions>,
    bar: Option<Bar>,
    player: Player,
    /// When the tonic was struck last, from the downbeat on.
    struck: Option<u32>,
}

/// The last bar, in steps of the window.
#[derive(Clone, Copy, Debug)]
struct Bar {
    downbeat: u32,
    /// From where on notes are held: the downbeat or a beat behind it.
    hold: u32,
    end: u32,
}

/// Chords that are held to the end begin at least so many steps before it: they take time.
const SHORTEST: u32 = 50;

impl Cadence {
    /// For what is known of a window.
    pub fn new(conditions: Arc<Conditions>) -> Self {
        let bar = conditions.end.and_then(|end| {
            let downbeat = last_beat(&conditions, end, |beat| beat.in_bar == 1)?;
            Some(Bar { downbeat, hold: downbeat, end })
        });
        Self { conditions, bar, player: Player::default(), struck: None }
    }

    /// The same, but the chord is played on to the last beat where the density in the [`Conditions`] is in the upper half at the last
    /// downbeat.
    pub fn dense(mut self) -> Self {
        if let Some(bar) = &mut self.bar
            && self.conditions.at(bar.downbeat)[Condition::Density as usize] > u16::from(INTENSITY_RANKS / 2)
        {
            bar.hold = last_beat(&self.conditions, bar.end, |_| true).map_or(bar.hold, |beat| beat.max(bar.hold));
        }
        self
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
        let (Some(Bar { downbeat, hold, end }), now) = (self.bar, self.player.clock()) else { return };
        if now >= end {
            return;
        }
        let mut logits = logits.row_mut(0);
        let passes = |shift: Shift, step: u32| now < step && now + u32::from(shift.get()) > step;
        if now < downbeat {
            return mask(&mut logits, |event| match event {
                Event::TimeShift(shift) => passes(shift, downbeat),
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
        let due = [downbeat, hold].contains(&now) && self.struck != Some(now);
        let wanted = if due { &chord[..1] } else { &chord[..] };
        let open = |pitch: Pitch| logits[Token::from(Event::NoteOn(pitch)).index()] > f32::NEG_INFINITY;
        let strikable = Pitch::all().any(|pitch| wanted.contains(&class(pitch)) && open(pitch));
        mask(&mut logits, |event| match event {
            Event::NoteOn(pitch) => !wanted.contains(&class(pitch)),
            Event::Velocity(_) => !strikable,
            Event::TimeShift(shift) => due || passes(shift, hold),
            Event::NoteOff(pitch) => held(pitch).is_some_and(|note| note.start >= hold),
            Event::End | Event::Pad => false,
        });
    }

    fn accept(&mut self, token: Token) {
        let event = Event::from(token);
        let now = self.player.clock();
        if let (Event::NoteOn(pitch), Some(Bar { downbeat, .. })) = (event, self.bar)
            && now >= downbeat
            && pitch.get() % 12 == self.chord(downbeat)[0]
        {
            self.struck = Some(now);
        }
        self.player.play(event);
    }
}

/// The last of these beats within `0..end` that leaves time for a chord.
fn last_beat(conditions: &Conditions, end: u32, which: impl Fn(&Beat) -> bool) -> Option<u32> {
    let beats = conditions.beats.iter().filter(|beat| which(beat) && beat.step > -0.5);
    beats.map(|beat| beat.step.round() as u32).filter(|step| step + SHORTEST <= end).max()
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::music::VOCABULARY;
    use crate::music::score::tests::parse;

    /// Bars of two beats of 60 steps; the last begins at 240 and ends at 360.
    fn cadence(key: Option<Key>) -> Cadence {
        let beat = |number: u8| Beat { step: 60.0 * f64::from(number), in_bar: number % 2 + 1, per_bar: 2 };
        let beats = (0..8).map(beat).collect();
        let conditions = Conditions { beats, end: Some(360), keys: vec![(0, key)], ..Conditions::default() };
        Cadence::new(conditions.into())
    }

    const A_MINOR: Option<Key> = Some(Key { tonic: 9, minor: true });

    /// Whether each of `events` may follow `before`.
    #[track_caller]
    fn check(key: Option<Key>, before: &str, events: &[(&str, bool)]) {
        check_of(cadence(key), before, events);
    }

    #[track_caller]
    fn check_of(mut cadence: Cadence, before: &str, events: &[(&str, bool)]) {
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

    /// The density is this rank from the last downbeat on.
    fn dense(rank: u8) -> Cadence {
        let known = (*cadence(A_MINOR).conditions).clone();
        Cadence::new(Conditions { density: vec![(0, 1), (240, rank)], ..known }.into()).dense()
    }

    #[test]
    fn a_dense_ending_is_played_on() {
        let struck = ">100 >100 >40 +57 +60";
        // Up to the last beat, at 300, notes of the chord end and are struck again.
        let on = format!("{struck} >30");
        check_of(dense(9), &on, &[("-57", true), ("+64", true), ("+62", false), (">30", true), (">31", false)]);
        // There the tonic is due again, and what is struck is held.
        let last = format!("{struck} >60 -57");
        check_of(dense(9), &last, &[("+57", true), ("+69", true), ("+64", false), (">1", false), ("-60", true)]);
        let held = format!("{last} +57 +64");
        check_of(dense(9), &held, &[("-57", false), ("-64", false), ("-60", true), ("+76", true), (">60", true)]);
        // In the lower half it is held from the downbeat on.
        check_of(dense(8), struck, &[(">100", true), ("-57", false)]);
        check_of(dense(8), &on, &[("-57", false), (">31", true)]);
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
