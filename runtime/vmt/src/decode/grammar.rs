//! Which tokens may follow, so that whatever a model says can be played.

use std::collections::VecDeque;

use super::controls::Controls;
use crate::error::{Error, Result};
use crate::music::{Event, Pitch, STEPS_PER_SECOND, Shift, Token, VOCABULARY, VelocityBin};

/// Number of keys.
const KEYS: usize = (Pitch::MAX.get() - Pitch::MIN.get()) as usize + 1;

/// How far back [`Grammar::bias`] counts notes, in steps: 4 s. At a seam, so much is always known.
const MEMORY: u32 = 4 * STEPS_PER_SECOND;

/// The bias for each time that the notes wanted are missing, before it is clipped: a quarter too few or too many gives 8.
const GAIN: f64 = 32.0;

/// The strongest bias: a note becomes at most e^8, about 3000, times as likely or unlikely.
const LIMIT: f64 = 8.0;

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
    /// The most steps that a note may last.
    longest: Option<u32>,
    /// Nothing happens before this step.
    rests_until: u32,
    controls: Controls,
    /// When keys went down, as far back as the memory goes.
    struck: VecDeque<u32>,
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
        let (controls, struck) = (Controls::default(), VecDeque::new());
        let (clock, left, longest, rests_until) = (0, max_tokens, None, 0);
        Ok(Self {
            steps,
            clock,
            left,
            down,
            bin,
            velocity_said,
            goes_on,
            end_said,
            longest,
            rests_until,
            controls,
            struck,
        })
    }

    /// The same, but no note lasts longer than `steps`, which must not be 0: when its time is over, its key comes up.
    pub fn notes_up_to(mut self, steps: u32) -> Self {
        self.longest = (steps < self.steps).then_some(steps);
        self
    }

    /// The same, but what is next is a pause that lasts at least until `step`: where a window before has left one to this.
    pub(crate) fn rests_until(mut self, step: u32) -> Self {
        self.rests_until = step;
        self
    }

    /// The same, kept to `controls`, which should be [valid](Controls::validate).
    pub fn controlled(mut self, controls: &Controls) -> Self {
        self.controls = controls.clone();
        self
    }

    /// The same, but another window follows: nothing need be closed, and [`Event::End`] is not said. A pause that reaches the
    /// end leaves it to that window how long it is.
    pub fn goes_on(mut self) -> Self {
        self.goes_on = true;
        self
    }

    /// Whether no more tokens follow.
    pub fn ended(&self) -> bool {
        self.end_said || (self.goes_on && self.clock == self.steps)
    }

    /// Steps to the window's end.
    pub(crate) fn rest(&self) -> u32 {
        self.steps - self.clock
    }

    /// The most steps that may pass at once: until the window ends, or a note must.
    pub(crate) fn pause(&self) -> u32 {
        let oldest = self.down.iter().flatten().min();
        let end = if self.goes_on { self.clock + u32::from(Shift::MAX.get()) } else { self.steps };
        let until = oldest.zip(self.longest).map_or(end, |(step, longest)| end.min(step + longest));
        until.saturating_sub(self.clock)
    }

    /// Whether `token` is a pause that reaches the end of a window that another one follows.
    pub(crate) fn leaves(&self, token: Token) -> bool {
        self.goes_on && token.steps() > 0 && self.clock + token.steps() >= self.steps
    }

    /// The tokens that may follow, by id: at least one until it has [`ended`](Self::ended), then none.
    pub fn allowed(&self) -> [bool; VOCABULARY] {
        let rest = self.rest();
        let sounding = self.down.iter().flatten().count();
        // After a token, `left` must still hold an off for each sounding key, the shifts to the window's end, and the end.
        // Where notes may be only so long, to be in time for an off may take a shift of its own.
        let closing = if self.longest.is_some() { 2 } else { usize::from(!self.goes_on) };
        let fits = |tokens: usize, rest: u32| tokens + closing * sounding + shifts(rest) < self.left;
        let pause = self.pause();
        let due = |step: u32| self.longest.is_some_and(|longest| step + longest <= self.clock);
        let any_due = self.down.iter().flatten().any(|&step| due(step));
        let controls = &self.controls;
        let room = controls.polyphony.is_none_or(|most| sounding < most.get());
        let strikable = |tokens| rest > 0 && room && fits(tokens, rest);
        let open = |pitch| self.down[key(pitch)].is_none() && controls.key(pitch);
        let any_open = Pitch::all().any(open);
        // Before the first velocity, notes would sound at a default that nobody chose.
        let loud = controls.velocities.is_none() || self.bin.is_some_and(|bin| controls.loudness(bin));

        let mut allowed = [false; VOCABULARY];
        for token in Token::all() {
            allowed[token.index()] = match Event::from(token) {
                _ if self.ended() => false,
                event if self.clock < self.rests_until && !matches!(event, Event::TimeShift(_)) => false,
                Event::NoteOff(pitch) if any_due => self.down[key(pitch)].is_some_and(due),
                _ if any_due && !self.velocity_said => false,
                Event::NoteOn(pitch) => open(pitch) && loud && strikable(1 + closing.max(1)),
                _ if self.velocity_said => false,
                Event::Pad => false,
                Event::End => rest == 0 && sounding == 0,
                // A note without length would be lost.
                Event::NoteOff(pitch) => {
                    self.down[key(pitch)].is_some_and(|step| step < self.clock) && (closing > 0 || fits(1, rest))
                }
                Event::TimeShift(shift) => {
                    let steps = u32::from(shift.get());
                    let own = usize::from(self.longest.is_some() && sounding > 0 && steps == pause);
                    (self.rests_until.saturating_sub(self.clock)..=pause).contains(&steps)
                        && fits(1 - own, rest.saturating_sub(steps))
                }
                Event::Velocity(bin) => {
                    self.bin != Some(bin) && controls.loudness(bin) && any_open && strikable(2 + closing.max(1))
                }
            };
        }
        allowed
    }

    /// What to add to the logits of notes and velocities, so that there come about [`Controls::density`] notes a second;
    /// 0 without that control.
    ///
    /// It is 32 times the share of notes that the last 4 s lack (negative where they have too many), and at most 8. A note
    /// that comes now counts half: with 2 wanted, the second is missing and the third is too many.
    pub fn bias(&self) -> f32 {
        let Some(density) = self.controls.density else { return 0.0 };
        let notes = |steps: u32| density * f64::from(steps) / f64::from(STEPS_PER_SECOND);
        let missing = notes(self.clock.min(MEMORY)) - (self.struck.len() as f64 + 0.5);
        (GAIN * missing / notes(MEMORY)).clamp(-LIMIT, LIMIT) as f32
    }

    /// Goes on after `token`, which should be an allowed one.
    pub fn advance(&mut self, token: Token) {
        self.left = self.left.saturating_sub(1);
        self.velocity_said = false;
        match Event::from(token) {
            Event::Pad => {}
            Event::End => self.end_said = true,
            Event::NoteOn(pitch) => {
                self.down[key(pitch)] = Some(self.clock);
                self.struck.push_back(self.clock);
            }
            Event::NoteOff(pitch) => self.down[key(pitch)] = None,
            Event::TimeShift(shift) => self.clock = self.steps.min(self.clock.saturating_add(shift.get().into())),
            Event::Velocity(bin) => (self.bin, self.velocity_said) = (Some(bin), true),
        }
        while self.struck.front().is_some_and(|&step| step + MEMORY <= self.clock) {
            self.struck.pop_front();
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
    use crate::music::Score;
    use crate::music::score::tests::{normal_scores, parse};

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
    fn the_pause_at_the_end_is_left_to_the_next_window() {
        let mut grammar = Grammar::new(50, 20).unwrap().goes_on();
        assert!(passes(grammar.clone(), &parse("v20 +60 >80")));
        assert!(!passes(grammar.clone(), &parse("v20 +60 >50 end")));
        let leaves = |grammar: &Grammar, event: &str| grammar.leaves(parse(event)[0]);
        parse("+60 >40").into_iter().for_each(|token| grammar.advance(token));
        assert!(!leaves(&grammar, ">9") && leaves(&grammar, ">10") && leaves(&grammar, ">100"));
        assert!(!leaves(&grammar, "-60") && !leaves(&Grammar::new(50, 20).unwrap(), ">50"));

        let rests = Grammar::new(150, 20).unwrap().rests_until(50);
        assert!(passes(rests.clone(), &parse(">50 +60 >1 -60")) && passes(rests.clone(), &parse(">100 +60")));
        for early in [">49", "+60", "v20"] {
            assert!(!passes(rests.clone(), &parse(early)), "{early}");
        }
    }

    #[test]
    fn no_note_is_longer_than_the_longest() {
        let check = |max_tokens: usize, events: &str, expected: bool| {
            let grammar = Grammar::new(300, max_tokens).unwrap().notes_up_to(120);
            assert_eq!(passes(grammar, &parse(events)), expected, "{events}");
        };
        check(20, "v20 +60 >100 >20 -60 >100 >80 end", true);
        check(20, "v20 +60 >100 +61 >20 -60 +62 >100 -61", true);
        check(20, "v20 +60 >100 >21", false);
        check(20, "v20 +60 >100 +61 >20 >1", false);
        check(20, "v20 +60 >100 +61 >20 -61", false);
        check(20, "v20 +60 >100 +61 >20 +62", false);
        // Three shifts and the end; a note takes a key down and up, and perhaps another shift.
        check(6, "+60", false);
        check(7, "v20", false);
        check(8, "+60 >100 >20 -60 >100 >80 end", true);
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
