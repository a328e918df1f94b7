//! Which tokens may follow, so that whatever a model says can be played.

use ndarray::{ArrayViewMut2, s};

use super::controls::Controls;
use super::processor::{LogitsProcessor, log_sum};
use crate::error::{Error, Result};
use crate::music::{Event, Pitch, Player, Shift, Token, VOCABULARY};

/// Masks the tokens that may not follow, so that every note is closed within the window, no key is struck while it is down,
/// the piece ends exactly with the window, and no more tokens come than there is room for.
///
/// If the piece is [open-ended](Self::open_ended), notes may stay open, and the lane stops when the clock is at the window's
/// end.
#[derive(Clone, Debug)]
pub struct Grammar {
    /// Length of the window.
    steps: u32,
    /// Tokens that may still come.
    left: usize,
    player: Player,
    /// The last token was a velocity, and a note must follow.
    note_must_follow: bool,
    ended: bool,
    /// Another window follows.
    open_ended: bool,
    /// The most steps that a note may last.
    max_note_steps: Option<u32>,
    /// Only pauses come before this step.
    min_rest: u32,
    controls: Controls,
}

impl Grammar {
    /// For a window of `steps` of 10 ms and a piece of at most `max_tokens`, [`Event::End`] among them.
    ///
    /// # Errors
    ///
    /// If so many tokens are too few for silence.
    pub fn new(steps: u32, max_tokens: usize) -> Result<Self> {
        if max_tokens <= shifts(steps) {
            return Err(Error::Option {
                option: "max_tokens",
                want: "enough for a silent window (one a second, and the end)",
                got: max_tokens.to_string(),
            });
        }
        Ok(Self {
            steps,
            left: max_tokens,
            player: Player::default(),
            note_must_follow: false,
            ended: false,
            open_ended: false,
            max_note_steps: None,
            min_rest: 0,
            controls: Controls::default(),
        })
    }

    /// The same, but no note lasts longer than `steps`, which must not be 0: then its note-off comes.
    pub fn max_note_steps(mut self, steps: u32) -> Self {
        self.max_note_steps = (steps < self.steps).then_some(steps);
        self
    }

    /// The same, but what is next is a pause that lasts at least until step `until` of the window: where a window before has
    /// left one to this.
    pub(crate) fn min_rest(mut self, until: u32) -> Self {
        self.min_rest = until;
        self
    }

    /// The same, kept to `controls`, which should be [valid](Controls::validate); their density is not the grammar's.
    pub fn controls(mut self, controls: &Controls) -> Self {
        self.controls = controls.clone();
        self
    }

    /// The same, but another window follows: notes may stay open, and [`Event::End`] does not come. A pause that reaches the
    /// end leaves it to that window how long it is.
    pub fn open_ended(mut self) -> Self {
        self.open_ended = true;
        self
    }

    /// Steps to the window's end.
    pub(crate) fn rest(&self) -> u32 {
        self.steps.saturating_sub(self.player.clock())
    }

    /// The most steps that may pass at once: until the window ends, or a note must.
    fn max_pause(&self) -> u32 {
        let clock = self.player.clock();
        let oldest = self.player.held().first().map(|note| note.start);
        let end = if self.open_ended { clock.saturating_add(Shift::MAX.get().into()) } else { self.steps };
        let until =
            oldest.zip(self.max_note_steps).map_or(end, |(start, longest)| end.min(start.saturating_add(longest)));
        until.saturating_sub(clock)
    }

    /// The tokens that may follow, by id: at least one until the lane has [stopped](LogitsProcessor::stopped), then none.
    pub fn allowed(&self) -> [bool; VOCABULARY] {
        let (rest, clock, held) = (self.rest(), self.player.clock(), self.player.held());
        let mut onset = [None; Pitch::COUNT];
        held.iter().for_each(|note| onset[note.pitch.index()] = Some(note.start));
        // After a token, `left` must still hold an off for each held note, the shifts to the window's end, and the end.
        // Where notes may be only so long, to be in time for an off may take a shift of its own.
        let closing = if self.max_note_steps.is_some() { 2 } else { usize::from(!self.open_ended) };
        let fits = |tokens: usize, rest: u32| tokens + closing * held.len() + shifts(rest) < self.left;
        let max_pause = self.max_pause();
        let due = |start: u32| self.max_note_steps.is_some_and(|longest| start.saturating_add(longest) <= clock);
        let any_due = held.iter().any(|note| due(note.start));
        let controls = &self.controls;
        let room = controls.polyphony.is_none_or(|most| held.len() < most.get());
        let strikable = |tokens| rest > 0 && room && fits(tokens, rest);
        let open = |pitch: Pitch| onset[pitch.index()].is_none() && controls.key(pitch);
        let any_open = Pitch::all().any(open);
        let velocity = self.player.velocity_event();
        // Before the first velocity, notes would sound at a default that nobody chose.
        let loud = controls.velocities.is_none() || velocity.is_some_and(|bin| controls.loudness(bin));

        let mut allowed = [false; VOCABULARY];
        for token in Token::all() {
            allowed[token.index()] = match Event::from(token) {
                _ if self.stopped() => false,
                event if clock < self.min_rest && !matches!(event, Event::TimeShift(_)) => false,
                Event::NoteOff(pitch) if any_due => onset[pitch.index()].is_some_and(due),
                _ if any_due && !self.note_must_follow => false,
                Event::NoteOn(pitch) => open(pitch) && loud && strikable(1 + closing.max(1)),
                _ if self.note_must_follow => false,
                Event::Pad => false,
                Event::End => rest == 0 && held.is_empty(),
                // A note without length would be lost.
                Event::NoteOff(pitch) => {
                    onset[pitch.index()].is_some_and(|start| start < clock) && (closing > 0 || fits(1, rest))
                }
                Event::TimeShift(shift) => {
                    let steps = u32::from(shift.get());
                    let own = usize::from(self.max_note_steps.is_some() && !held.is_empty() && steps == max_pause);
                    (self.min_rest.saturating_sub(clock)..=max_pause).contains(&steps)
                        && fits(1 - own, rest.saturating_sub(steps))
                }
                Event::Velocity(bin) => {
                    velocity != Some(bin) && controls.loudness(bin) && any_open && strikable(2 + closing.max(1))
                }
            };
        }
        allowed
    }
}

impl LogitsProcessor for Grammar {
    /// A pause that would be too long is as likely to begin as it was: what longer ones had goes to the longest.
    fn process(&self, mut logits: ArrayViewMut2<'_, f32>) {
        let mut logits = logits.row_mut(0);
        if let Some(longest) = u8::try_from(self.max_pause()).ok().and_then(Shift::new) {
            let index = |shift: Shift| Token::from(Event::TimeShift(shift)).index();
            logits[index(longest)] = log_sum(logits.slice(s![index(longest)..=index(Shift::MAX)]));
        }
        for (logit, allowed) in logits.iter_mut().zip(self.allowed()) {
            if !allowed {
                *logit = f32::NEG_INFINITY;
            }
        }
    }

    fn accept(&mut self, token: Token) {
        let event = Event::from(token);
        self.left = self.left.saturating_sub(1);
        self.note_must_follow = matches!(event, Event::Velocity(_));
        self.ended |= event == Event::End;
        self.player.play(event);
    }

    /// Before a pause that reaches the end of a window that another one follows.
    fn stops_before(&self, token: Token) -> bool {
        self.open_ended && token.steps() > 0 && token.steps() >= self.rest()
    }

    fn stopped(&self) -> bool {
        self.ended || (self.open_ended && self.rest() == 0)
    }
}

/// The fewest shifts that pass `steps`.
fn shifts(steps: u32) -> usize {
    steps.div_ceil(Shift::MAX.get().into()) as usize
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
            grammar.accept(token);
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
        let mut grammar = Grammar::new(50, 20).unwrap().open_ended();
        assert!(passes(grammar.clone(), &parse("v20 +60 >80")));
        assert!(!passes(grammar.clone(), &parse("v20 +60 >50 end")));
        let stops = |grammar: &Grammar, event: &str| grammar.stops_before(parse(event)[0]);
        parse("+60 >40").into_iter().for_each(|token| grammar.accept(token));
        assert!(!stops(&grammar, ">9") && stops(&grammar, ">10") && stops(&grammar, ">100"));
        assert!(!stops(&grammar, "-60") && !stops(&Grammar::new(50, 20).unwrap(), ">50"));

        let rests = Grammar::new(150, 20).unwrap().min_rest(50);
        assert!(passes(rests.clone(), &parse(">50 +60 >1 -60")) && passes(rests.clone(), &parse(">100 +60")));
        for early in [">49", "+60", "v20"] {
            assert!(!passes(rests.clone(), &parse(early)), "{early}");
        }
    }

    #[test]
    fn no_note_is_longer_than_the_longest() {
        let check = |max_tokens: usize, events: &str, expected: bool| {
            let grammar = Grammar::new(300, max_tokens).unwrap().max_note_steps(120);
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
                grammar.accept(tokens[tokens.len() - 1]);
            }
            prop_assert_eq!(tokens.last(), Some(&Token::END));
            prop_assert!(tokens.len() <= max_tokens);
            let decoded = Score::decode(tokens.iter().copied(), Duration::ZERO);
            prop_assert!(decoded.ended);
            prop_assert_eq!((decoded.unmatched_offs, decoded.unclosed, decoded.end_step), (0, 0, steps));
            let notes = decoded.score.notes();
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
