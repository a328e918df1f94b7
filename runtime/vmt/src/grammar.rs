//! Which tokens may follow, so that whatever a model says can be played.

use crate::{Error, Event, Pitch, Result, Shift, Token, VOCABULARY, VelocityBin};

/// Number of keys.
const KEYS: usize = (Pitch::MAX.get() - Pitch::MIN.get()) as usize + 1;

/// Leads one piece through its window: every key that goes down comes up later and within the window, the piece ends
/// exactly with the window, and no more tokens are said than there is room for.
///
/// Where the piece goes on after the window, keys may stay down, and [`ended`](Self::ended) is when the clock is there.
#[derive(Clone, Debug)]
pub struct Grammar {
    /// Length of the window.
    steps: u32,
    clock: u32,
    /// Tokens that may still be said.
    left: usize,
    /// The step at which each key went down, `None` for keys that are up.
    down: [Option<u32>; KEYS],
    /// `None` until the first [`Event::Velocity`]: a model learns from pieces that begin with one.
    bin: Option<VelocityBin>,
    /// The last token was a velocity, and a note must follow.
    velocity_said: bool,
    /// Another window follows.
    goes_on: bool,
    end_said: bool,
}

impl Grammar {
    /// For a window of `steps` of 10 ms and a piece of at most `max_tokens`, [`Event::End`] among them.
    pub fn new(steps: u32, max_tokens: usize) -> Result<Self> {
        if max_tokens <= shifts(steps) {
            return Err(Error::Option {
                option: "max_tokens",
                want: "enough for a silent window (one a second, and the end)",
                got: max_tokens.to_string(),
            });
        }
        let (down, bin) = ([None; KEYS], None);
        let (velocity_said, goes_on, end_said) = (false, false, false);
        Ok(Self { steps, clock: 0, left: max_tokens, down, bin, velocity_said, goes_on, end_said })
    }

    /// The same, but another window follows: nothing need be closed, and [`Event::End`] is not said.
    pub fn goes_on(mut self) -> Self {
        self.goes_on = true;
        self
    }

    /// Whether no more tokens follow.
    pub fn ended(&self) -> bool {
        self.end_said || (self.goes_on && self.clock == self.steps)
    }

    /// The tokens that may follow, by id: at least one until it has [`ended`](Self::ended), then none.
    pub fn allowed(&self) -> [bool; VOCABULARY] {
        let rest = self.steps - self.clock;
        let sounding = self.down.iter().flatten().count();
        // After a token, `left` must still hold an off for each sounding key, the shifts to the window's end, and the end.
        let to_close = if self.goes_on { 0 } else { sounding };
        let fits = |tokens: usize, rest: u32| tokens + to_close + shifts(rest) < self.left;
        let strikable = |tokens| rest > 0 && fits(tokens, rest);

        let mut allowed = [false; VOCABULARY];
        for token in Token::all() {
            allowed[token.index()] = match Event::from(token) {
                _ if self.ended() => false,
                Event::NoteOn(pitch) => self.down[key(pitch)].is_none() && strikable(2),
                _ if self.velocity_said => false,
                Event::Pad => false,
                Event::End => rest == 0 && sounding == 0,
                // A note without length would be lost.
                Event::NoteOff(pitch) => {
                    self.down[key(pitch)].is_some_and(|step| step < self.clock) && (!self.goes_on || fits(1, rest))
                }
                Event::TimeShift(shift) => rest.checked_sub(shift.get().into()).is_some_and(|rest| fits(1, rest)),
                Event::Velocity(bin) => self.bin != Some(bin) && sounding < KEYS && strikable(3),
            };
        }
        allowed
    }

    /// Goes on after `token`, which should be an allowed one.
    pub fn advance(&mut self, token: Token) {
        self.left = self.left.saturating_sub(1);
        self.velocity_said = false;
        match Event::from(token) {
            Event::Pad => {}
            Event::End => self.end_said = true,
            Event::NoteOn(pitch) => self.down[key(pitch)] = Some(self.clock),
            Event::NoteOff(pitch) => self.down[key(pitch)] = None,
            Event::TimeShift(shift) => self.clock = self.steps.min(self.clock.saturating_add(shift.get().into())),
            Event::Velocity(bin) => (self.bin, self.velocity_said) = (Some(bin), true),
        }
    }
}

/// The fewest shifts that pass `steps`.
fn shifts(steps: u32) -> usize {
    steps.div_ceil(Shift::MAX.get().into()) as usize
}

fn key(pitch: Pitch) -> usize {
    usize::from(pitch.get() - Pitch::MIN.get())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::Score;
    use crate::score::tests::{normal_scores, parse};

    /// Whether `grammar` lets `events` pass, one after the other.
    fn passes(mut grammar: Grammar, events: &[Token]) -> bool {
        events.iter().all(|&token| {
            let allowed = grammar.allowed()[token.index()];
            grammar.advance(token);
            allowed
        })
    }

    #[track_caller]
    fn check(steps: u32, max_tokens: usize, events: &str, expected: bool) {
        assert_eq!(passes(Grammar::new(steps, max_tokens).unwrap(), &parse(events)), expected, "{events}");
    }

    #[test]
    fn only_what_can_be_played() {
        check(50, 20, "v20 +60 +64 >50 -60 -64 end", true);
        check(50, 20, "v20 +60 >20 -60 +60 >30 -60 end", true);
        check(50, 20, "+60 >50 -60 end", true);
        check(50, 20, "pad", false);
        check(50, 20, "-60", false);
        check(50, 20, "+60 -60", false);
        check(50, 20, "+60 +60", false);
        check(50, 20, ">51", false);
        check(50, 20, ">50 +60", false);
        check(50, 20, ">50 v20", false);
    }

    #[test]
    fn the_end_is_the_windows() {
        check(0, 1, "end", true);
        check(50, 20, "end", false);
        check(50, 20, ">49 end", false);
        check(50, 20, "+60 >50 end", false);
        check(50, 20, ">50 end end", false);
        assert_eq!(Grammar::new(0, 1).unwrap().allowed().iter().filter(|&&allowed| allowed).count(), 1);
    }

    #[test]
    fn a_velocity_says_something_new_about_a_note() {
        check(50, 20, "v25 +60", true);
        check(50, 20, "v20 >1", false);
        check(50, 20, "v20 v21", false);
        check(50, 20, "v20 +60 v20", false);
        check(50, 20, "v20 +60 v21", true);
    }

    #[test]
    fn the_budget_closes_everything() {
        check(150, 3, ">100 >50 end", true);
        check(150, 3, ">50 >100 end", true);
        check(150, 3, ">49", false);
        check(150, 3, "+60", false);
        check(150, 4, "+60", false);
        check(150, 5, "+60 >100 >50 -60 end", true);
        check(150, 5, "v20", false);
        check(150, 6, "v20 +60 >100 -60 >50 end", true);
        check(150, 6, "v20 +60 +61", false);
        let refused = Grammar::new(150, 2).unwrap_err().to_string();
        assert_eq!(refused, "max_tokens must be enough for a silent window (one a second, and the end), but is 2");
    }

    #[test]
    fn nobody_strikes_all_keys_and_one_more() {
        let chord: String = Pitch::all().map(|pitch| format!("+{pitch} ")).collect();
        check(50, 1000, &chord, true);
        check(50, 1000, &format!("{chord} v20"), false);
    }

    proptest! {
        #[test]
        fn every_walk_is_music(steps in 0..2000_u32, spare in 0..600_usize, choices in proptest::collection::vec(any::<u16>(), 700)) {
            let max_tokens = shifts(steps) + 1 + spare;
            let mut grammar = Grammar::new(steps, max_tokens).unwrap();
            let mut tokens = Vec::new();
            for choice in choices {
                let mask = grammar.allowed();
                let allowed: Vec<_> = Token::all().filter(|token| mask[token.index()]).collect();
                if allowed.is_empty() {
                    break;
                }
                tokens.push(allowed[usize::from(choice) % allowed.len()]);
                grammar.advance(tokens[tokens.len() - 1]);
            }
            prop_assert_eq!(tokens.last(), Some(&Token::END));
            prop_assert!(tokens.len() <= max_tokens);
            let decoded = Score::decode(tokens.iter().copied(), Duration::ZERO);
            prop_assert!(decoded.ended);
            prop_assert_eq!((decoded.unmatched_offs, decoded.unclosed, decoded.end_step), (0, 0, steps));
            let notes = decoded.score.notes;
            prop_assert_eq!(notes.len(), tokens.iter().filter(|&&token| matches!(token.into(), Event::NoteOn(_))).count());
            for (index, note) in notes.iter().enumerate() {
                // Sorted by start: a later note of the same key begins after this one's end.
                prop_assert!(notes[index + 1..].iter().all(|next| next.pitch != note.pitch || next.start >= note.end));
            }
        }

        #[test]
        fn music_passes(score in normal_scores(1500)) {
            let mut tokens = score.tokens();
            let end = Score::decode(tokens.iter().copied(), Duration::ZERO).end_step;
            // Tokens leave out the silence after the last note.
            tokens.pop();
            let mut silence = 1500 - end;
            while let Some(shift) = Shift::new(silence.min(100) as u8) {
                tokens.push(Event::TimeShift(shift).into());
                silence -= u32::from(shift.get());
            }
            tokens.push(Token::END);
            prop_assert!(passes(Grammar::new(1500, 2 * tokens.len()).unwrap(), &tokens));
        }
    }
}
