//! Notes on the beat, and at hit points.

use std::sync::Arc;

use ndarray::ArrayViewMut2;

use super::processor::LogitsProcessor;
use crate::music::{Conditions, Event, Token};

/// Masks notes that would begin off the grid of the beats, which is each quarter and each third of a beat, and pauses that
/// would pass a hit point before a note is struck there.
///
/// Stands behind the [`Grammar`](super::Grammar), and masks nothing where nothing else would be left. Outside the beats
/// there is no grid.
#[derive(Clone, Debug)]
pub struct Metre {
    conditions: Arc<Conditions>,
    quantize: bool,
    /// Steps since the window's beginning.
    clock: u32,
    /// The step at which the last note was struck.
    struck: Option<u32>,
}

impl Metre {
    /// For what is known of a window. `quantize`: whether notes are held to the grid.
    pub fn new(conditions: Arc<Conditions>, quantize: bool) -> Self {
        Self { conditions, quantize, clock: 0, struck: None }
    }

    /// Steps until the next hit point at which no note is struck yet; 0 at such a hit.
    fn to_hit(&self) -> Option<u32> {
        let hits = self.conditions.hits.as_ref()?;
        let open = |&&hit: &&u32| hit >= self.clock && self.struck != Some(hit);
        hits[hits.partition_point(|&hit| hit < self.clock)..].iter().find(open).map(|hit| hit - self.clock)
    }
}

impl LogitsProcessor for Metre {
    fn process(&self, mut logits: ArrayViewMut2<'_, f32>) {
        let mut logits = logits.row_mut(0);
        let off_grid = self.quantize && !self.conditions.on_grid(self.clock);
        let to_hit = self.to_hit();
        let masked = |token: Token| match Event::from(token) {
            Event::NoteOn(_) | Event::Velocity(_) => off_grid && to_hit != Some(0),
            Event::TimeShift(shift) => to_hit.is_some_and(|steps| u32::from(shift.get()) > steps),
            Event::End => to_hit == Some(0),
            Event::NoteOff(_) | Event::Pad => false,
        };
        let open = |token: Token| logits[token.index()] > f32::NEG_INFINITY;
        // What the grammar asks for goes before: where a note cannot be struck, the hit is missed.
        if Token::all().any(|token| open(token) && !masked(token)) {
            Token::all().filter(|&token| masked(token)).for_each(|token| logits[token.index()] = f32::NEG_INFINITY);
        }
    }

    fn accept(&mut self, token: Token) {
        self.clock = self.clock.saturating_add(token.steps());
        if matches!(token.into(), Event::NoteOn(_)) {
            self.struck = Some(self.clock);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::music::score::tests::parse;
    use crate::music::{Beat, VOCABULARY};

    /// 100 beats a minute: a beat is 60 steps, a sixteenth 15, a triplet 20. Hits at 45 and 47.
    fn metre() -> Metre {
        let beats = (0..4).map(|number| Beat { step: 60.0 * f64::from(number), in_bar: 0, per_bar: 0 }).collect();
        let conditions = Conditions { beats, hits: Some(vec![45, 47]), ..Conditions::default() };
        Metre::new(conditions.into(), true)
    }

    /// Whether each of `events` may follow `before`.
    #[track_caller]
    fn check(before: &str, events: &[(&str, bool)]) {
        let mut metre = metre();
        parse(before).into_iter().for_each(|token| metre.accept(token));
        let mut logits = Array2::zeros((1, VOCABULARY));
        metre.process(logits.view_mut());
        for &(event, want) in events {
            assert_eq!(logits[[0, parse(event)[0].index()]] == 0.0, want, "{event} behind {before:?}");
        }
    }

    #[test]
    fn notes_begin_on_the_grid() {
        check("", &[("+60", true), ("v20", true), (">15", true)]);
        for (steps, on) in [(15, true), (20, true), (30, true), (40, true), (14, false), (16, false), (25, false)] {
            let notes = [("+60", on), ("v20", on), (">1", true), ("-60", true)];
            check(&format!(">{steps}"), &notes);
        }
        // Behind the last beat there is none.
        check(">45 +60 >2 +60 >100 >50", &[("+60", true)]);
    }

    #[test]
    fn no_pause_passes_a_hit() {
        check("", &[(">45", true), (">46", false), (">100", false), ("end", true)]);
        check(">40", &[(">5", true), (">6", false)]);
        check(">45", &[(">1", false), ("end", false), ("+60", true), ("v20", true), ("-60", true)]);
        check(">45 +60", &[(">2", true), (">3", false), ("end", true)]);
        // The second hit is off the grid: a note is struck there all the same.
        check(">45 +60 >2", &[("+60", true), (">1", false)]);
        check(">45 +60 >2 +61", &[(">100", true)]);
    }

    #[test]
    fn something_is_always_left() {
        let mut metre = metre();
        parse(">45").into_iter().for_each(|token| metre.accept(token));
        let mut logits = Array2::from_elem((1, VOCABULARY), f32::NEG_INFINITY);
        logits[[0, parse(">10")[0].index()]] = 1.0;
        metre.process(logits.view_mut());
        assert_eq!(logits[[0, parse(">10")[0].index()]], 1.0);
    }
}
