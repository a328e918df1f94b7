//! Notes on the grid of 10 ms, and their way to tokens and back (Oore et al. 2018; Magenta's performance encoding).

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use super::event::{Event, Pitch, STEPS_PER_SECOND, Shift, Token, VelocityBin};
use super::note::{Note, PerformedNote};
use super::player::Player;
use super::tempo::Tempo;
use crate::error::{Error, Result};

/// A piece of music.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// By start, each of a step at least.
    notes: Vec<Note>,
    duration: Duration,
}

/// The music of tokens, and what was wrong with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The music.
    pub score: Score,
    /// Note-offs of keys that were not down; they were ignored.
    pub unmatched_offs: usize,
    /// Notes that were still open at the end; they were closed there.
    pub unclosed: usize,
    /// The clock at the end.
    pub end_step: u32,
    /// Whether [`Event::End`] came.
    pub ended: bool,
}

impl Score {
    /// Notes in the order of their starts, for a film of this `duration`.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for a note that begins before the one ahead of it, ends before it has lasted a step, or has no MIDI
    /// velocity.
    pub fn new(notes: Vec<Note>, duration: Duration) -> Result<Self> {
        let refuse = |want, note: &Note| Err(Error::Option { option: "a note", want, got: format!("{note:?}") });
        for (index, note) in notes.iter().enumerate() {
            if note.end <= note.start || !(1..=127).contains(&note.velocity) {
                return refuse("at least a step long and of a velocity of 1-127", note);
            }
            if index > 0 && note.start < notes[index - 1].start {
                return refuse("behind those that begin before it", note);
            }
        }
        Ok(Self { notes, duration })
    }

    /// The notes in the order in which they are played: by start as it was before rounding, then by pitch.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The length of the piece, which is its film's; a note may end a step later.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The same music as a piece of another length.
    pub fn with_duration(self, duration: Duration) -> Self {
        Self { duration, ..self }
    }

    /// Notes that a caller has sorted.
    pub(crate) fn of_sorted(notes: Vec<Note>, duration: Duration) -> Self {
        debug_assert!(notes.is_sorted_by_key(|note| note.start));
        Self { notes, duration }
    }

    /// Puts the notes that begin within `0..duration` on the grid; they end with it at the latest.
    ///
    /// A note lasts at least one step, so one that begins just before `duration` may end one step after it. Keys that a
    /// piano does not have are dropped.
    pub fn quantise(performed: &[PerformedNote], duration: Duration) -> Self {
        let window = duration.as_secs_f64();
        let mut performed: Vec<_> = performed.iter().filter(|note| (0.0..window).contains(&note.start)).collect();
        performed.sort_by(|a, b| a.start.total_cmp(&b.start).then(a.pitch.cmp(&b.pitch)));
        let on_grid = |note: &PerformedNote| {
            let start = step(note.start);
            let end = step(note.end.min(window)).max(start.checked_add(1)?);
            Some(Note { start, end, pitch: Pitch::new(note.pitch)?, velocity: note.velocity.clamp(1, 127) })
        };
        Self { notes: performed.into_iter().filter_map(on_grid).collect(), duration }
    }

    /// The tokens of the piece, [`Event::End`] last. The silence after the last note is not among them.
    pub fn tokens(&self) -> Vec<Token> {
        tokens(&self.notes)
    }

    /// The tokens of the first `steps`, silence included and without [`Event::End`]: the notes that sound then are still held.
    ///
    /// They pass the grammar: a key that is struck while it is down comes up first.
    pub fn beginning(&self, steps: u32) -> Vec<Token> {
        tokens_up_to(self.notes.iter().filter(|note| note.start < steps).copied().collect(), steps)
    }

    /// Moves every onset to the nearest sixteenth of `tempo`, or rather to the step nearest to that; see
    /// [`Tempo::snapped`] for a MIDI file that has them exactly there.
    ///
    /// A note ends where it did, or is as long as it was if that is too early now. None goes beyond the end, and none
    /// sounds into the next of its key; of two that meet, one is left.
    pub fn snap(&mut self, tempo: Tempo) {
        let end = self.notes.iter().map(|note| note.end).max().unwrap_or(0);
        for note in &mut self.notes {
            let length = note.end - note.start;
            let number = tempo.nearest(note.start);
            let inside = |number: &u32| tempo.sixteenth(*number) < end;
            note.start = tempo.sixteenth(Some(number).filter(inside).unwrap_or(number.saturating_sub(1)));
            note.end =
                Some(note.end).filter(|&end| end > note.start).unwrap_or(note.start.saturating_add(length)).min(end);
        }
        untangle(&mut self.notes);
    }

    /// When something is struck, in seconds: of each note and all that begin up to 35 ms after it, the first.
    pub fn onsets(&self) -> Vec<f64> {
        onsets(self.notes.iter().map(|note| f64::from(note.start) / f64::from(STEPS_PER_SECOND)))
    }

    /// The longest time without a sound, in seconds; the beginning and the end count.
    pub fn longest_silence(&self) -> f64 {
        let (mut longest, mut sounded) = (0.0_f64, 0.0_f64);
        let seconds = |step: u32| f64::from(step) / f64::from(STEPS_PER_SECOND);
        for note in &self.notes {
            longest = longest.max(seconds(note.start) - sounded);
            sounded = sounded.max(seconds(note.end));
        }
        longest.max(self.duration.as_secs_f64() - sounded)
    }

    /// The share of onsets that strike just the keys of the onset before, of all onsets but the first; `None` under two.
    ///
    /// An onset is a note and all that begin less than 30 ms after it: a chord is not played at once.
    pub fn onset_repetition(&self) -> Option<f64> {
        const ONSET: u32 = 3 * STEPS_PER_SECOND / 100;
        let mut onsets: Vec<(u32, BTreeSet<Pitch>)> = Vec::new();
        for note in &self.notes {
            match onsets.last_mut().filter(|(start, _)| note.start < start + ONSET) {
                Some((_, keys)) => drop(keys.insert(note.pitch)),
                None => onsets.push((note.start, [note.pitch].into())),
            }
        }
        let again = onsets.windows(2).filter(|pair| pair[0].1 == pair[1].1).count();
        (onsets.len() > 1).then(|| again as f64 / (onsets.len() - 1) as f64)
    }

    /// Reads `tokens` up to [`Event::End`] as a piece of length `duration`.
    ///
    /// A note-off closes the oldest open note of its key. Notes without length are dropped.
    pub fn decode(tokens: impl IntoIterator<Item = Token>, duration: Duration) -> Decoded {
        let mut player = Player::default();
        let mut ended = false;
        for token in tokens {
            if token == Token::END {
                ended = true;
                break;
            }
            player.play(token.into());
        }
        let unclosed = player.release_all();
        Decoded {
            score: Self { notes: player.sorted_notes(), duration },
            unmatched_offs: player.unmatched_offs(),
            unclosed,
            end_step: player.clock(),
            ended,
        }
    }
}

fn tokens(notes: &[Note]) -> Vec<Token> {
    // Within a step, the order is by note, and a note's start comes before its end.
    let indexed = || notes.iter().enumerate();
    let starts = indexed().map(|(index, note)| (note.start, index, false));
    let ends = indexed().map(|(index, note)| (note.end, index, true));
    let mut changes: Vec<_> = starts.chain(ends).collect();
    changes.sort();

    let mut events = Vec::new();
    let mut clock = 0;
    let mut bin = None; // So that the first note always says how hard it is struck.
    for (step, index, is_end) in changes {
        let note = notes[index];
        events.extend(Shift::over(step - clock).map(Event::TimeShift));
        clock = step;
        if is_end {
            events.push(Event::NoteOff(note.pitch));
            continue;
        }
        let struck = VelocityBin::of(note.velocity);
        if bin.replace(struck) != Some(struck) {
            events.push(Event::Velocity(struck));
        }
        events.push(Event::NoteOn(note.pitch));
    }
    events.push(Event::End);
    events.into_iter().map(Token::from).collect()
}

/// The tokens of the first `steps` of any notes that begin by then, with what happens at the last moment: what
/// [`Score::beginning`] is, but for notes that begin just then.
pub(crate) fn tokens_up_to(mut notes: Vec<Note>, steps: u32) -> Vec<Token> {
    // What sounds at the end ends later.
    notes.iter_mut().for_each(|note| note.end = note.end.min(steps.saturating_add(1)));
    untangle(&mut notes);
    let (mut clock, mut beginning) = (0, Vec::new());
    for token in tokens(&notes) {
        let pause = token.steps();
        if token == Token::END || clock + pause > steps {
            break;
        }
        clock += pause;
        beginning.push(token);
    }
    beginning.extend(Shift::over(steps - clock).map(|shift| Token::from(Event::TimeShift(shift))));
    beginning
}

/// Sorts notes, and ends those that sound into the next of their key there.
fn untangle(notes: &mut Vec<Note>) {
    notes.sort_by_key(|note| (note.start, note.pitch));
    let mut next = HashMap::new();
    for note in notes.iter_mut().rev() {
        note.end = next.insert(note.pitch, note.start).map_or(note.end, |next| note.end.min(next));
    }
    notes.retain(|note| note.start < note.end);
}

/// The step nearest to `seconds`; halves go up.
fn step(seconds: f64) -> u32 {
    (seconds * f64::from(STEPS_PER_SECOND) + 0.5).floor() as u32
}

/// A line per note: start, end, pitch and velocity, such as `0-50 60@20`.
impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Note { start, end, pitch, velocity } in &self.notes {
            writeln!(f, "{start}-{end} {pitch}@{velocity}")?;
        }
        Ok(())
    }
}

/// Of rising moments in seconds, each that is more than 35 ms behind the one before that is kept.
pub fn onsets(moments: impl IntoIterator<Item = f64>) -> Vec<f64> {
    const SPREAD: f64 = 0.035;
    let mut onsets: Vec<f64> = Vec::new();
    for moment in moments {
        if onsets.last().is_none_or(|last| moment - last > SPREAD) {
            onsets.push(moment);
        }
    }
    onsets
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `v20` velocity bin, `+60` note on, `-60` note off, `>50` time shift, `end`, `pad`.
    #[track_caller]
    pub(crate) fn parse(events: &str) -> Vec<Token> {
        let event = |word: &str| {
            let number = || word[1..].parse().unwrap();
            Token::from(match word {
                "pad" => Event::Pad,
                "end" => Event::End,
                _ if word.starts_with('+') => Event::NoteOn(Pitch::new(number()).unwrap()),
                _ if word.starts_with('-') => Event::NoteOff(Pitch::new(number()).unwrap()),
                _ if word.starts_with('>') => Event::TimeShift(Shift::new(number()).unwrap()),
                _ => Event::Velocity(VelocityBin::new(number()).unwrap()),
            })
        };
        events.split_whitespace().map(event).collect()
    }

    #[test]
    fn scores_are_in_order() {
        let note = |start, end, velocity| Note { start, end, pitch: Pitch::MIN, velocity };
        let check = |notes: &[Note], want: Option<&str>| {
            let error = Score::new(notes.to_vec(), Duration::ZERO).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), want.is_some(), "{notes:?}: {error:?}");
            error.into_iter().zip(want).for_each(|(error, want)| assert!(error.starts_with(want), "{error}"));
        };
        check(&[], None);
        check(&[note(0, 1, 1), note(0, u32::MAX, 127), note(7, 8, 64)], None);
        let (short, early) =
            ("a note must be at least a step long", "a note must be behind those that begin before it");
        check(&[note(0, 0, 64)], Some(short));
        check(&[note(5, 4, 64)], Some(short));
        check(&[note(0, 1, 0)], Some(short));
        check(&[note(0, 1, 128)], Some(short));
        check(&[note(7, 8, 64), note(6, 9, 64)], Some(early));
    }

    fn decode(events: &str) -> Decoded {
        Score::decode(parse(events), Duration::from_secs(10))
    }

    #[track_caller]
    fn check(events: &str, notes: &str) {
        assert_eq!(decode(events).score.to_string(), notes);
    }

    #[test]
    fn chord() {
        check("v20 +60 +64 >50 -60 -64 end", "0-50 60@77\n0-50 64@77\n");
    }

    #[test]
    fn silence() {
        check("end", "");
        check("", "");
        check(">100 >100 end", "");
    }

    #[test]
    fn velocity_is_100_until_told() {
        check("+60 >5 v1 +64 >5 -60 -64 end", "0-10 60@100\n5-10 64@1\n");
    }

    #[test]
    fn note_off_closes_the_oldest() {
        check("v1 +60 >5 v2 +60 >5 -60 >5 -60 end", "0-10 60@1\n5-15 60@5\n");
    }

    #[test]
    fn notes_without_length_are_dropped() {
        check("v1 +60 -60 >5 end", "");
    }

    #[test]
    fn padding_says_nothing_and_nothing_follows_the_end() {
        check("pad v1 +60 pad >5 -60 end >5 +62 >5 -62 end", "0-5 60@1\n");
    }

    #[test]
    fn what_is_wrong_is_counted() {
        let decoded = decode("v1 -60 +60 +62 >5 -60 -60");
        assert_eq!(decoded.score.to_string(), "0-5 60@1\n0-5 62@1\n");
        assert_eq!((decoded.unmatched_offs, decoded.unclosed), (2, 1));
        assert_eq!((decoded.end_step, decoded.ended), (5, false));
        assert!(decode(">5 end").ended);
    }

    #[test]
    fn a_beginning_leaves_down_what_sounds() {
        let score = decode("v20 +60 >50 -60 +64 >100 v10 +65 >20 -64 -65 end").score;
        let check = |steps, want: &str| assert_eq!(score.beginning(steps), parse(want), "{steps}");
        check(0, "");
        check(30, "v20 +60 >30");
        check(50, "v20 +60 >50 -60");
        check(51, "v20 +60 >50 -60 +64 >1");
        check(160, "v20 +60 >50 -60 +64 >100 v10 +65 >10");
        check(170, "v20 +60 >50 -60 +64 >100 v10 +65 >20 -64 -65");
        check(180, "v20 +60 >50 -60 +64 >100 v10 +65 >20 -64 -65 >10");
    }

    #[test]
    fn in_a_beginning_no_key_is_struck_while_it_is_down() {
        let tangled = decode("v1 +60 >5 v2 +60 +60 >5 -60 >5 -60 -60 end").score;
        assert_eq!(tangled.beginning(20), parse("v1 +60 >5 -60 v2 +60 >10 -60 >5"));
    }

    #[test]
    fn snapping_moves_onsets() {
        // Sixteenths at 150 beats a minute: every 10 steps.
        let check = |events: &str, want: &str| {
            let mut score = decode(events).score;
            score.snap(Tempo::new(150.0).unwrap());
            assert_eq!(score.to_string(), want, "{events}");
        };
        check("v1 >4 +60 >20 -60 end", "0-24 60@1\n");
        check("v1 >5 +60 >20 -60 end", "10-25 60@1\n");
        check("v1 >6 +60 >3 -60 +64 >50 -64 end", "10-13 60@1\n10-59 64@1\n");
        check("v1 >10 +60 >14 -60 +60 >10 -60 end", "10-20 60@1\n20-34 60@1\n");
        check("v1 >96 +60 >2 -60 end", "90-98 60@1\n");
        check("v1 +60 >1 -60 +60 >2 -60 end", "0-3 60@1\n");
    }

    /// Performed notes `(start, end, pitch)`, in a window of 10 s.
    #[track_caller]
    fn check_quantised(performed: &[(f64, f64, u8)], notes: &str) {
        let performed: Vec<_> =
            performed.iter().map(|&(start, end, pitch)| PerformedNote { start, end, pitch, velocity: 64 }).collect();
        assert_eq!(Score::quantise(&performed, Duration::from_secs(10)).to_string(), notes);
    }

    #[test]
    fn notes_are_cropped_to_the_window() {
        check_quantised(&[(-0.1, 1.0, 60), (9.0, 12.0, 62), (10.0, 11.0, 64)], "900-1000 62@64\n");
        check_quantised(&[(9.998, 9.999, 60)], "1000-1001 60@64\n");
    }

    #[test]
    fn halves_round_up_and_no_note_vanishes() {
        check_quantised(&[(0.105, 0.204, 60), (0.5, 0.5, 61)], "11-20 60@64\n50-51 61@64\n");
    }

    #[test]
    fn what_is_no_time_is_no_note() {
        check_quantised(&[(f64::NAN, 1.0, 60), (f64::INFINITY, 1.0, 60)], "");
        check_quantised(&[(1.0, f64::NEG_INFINITY, 60), (2.0, f64::INFINITY, 60)], "100-101 60@64\n200-1000 60@64\n");
        let late = PerformedNote { start: 1e18, end: 2e18, pitch: 60, velocity: 1 };
        assert_eq!(Score::quantise(&[late], Duration::MAX).notes, []);
    }

    /// Scores that tokens can say without loss: no key is struck while it sounds, velocities are those of bins, and
    /// notes are sorted. Notes end within `0..=steps`.
    pub(crate) fn normal_scores(steps: u32) -> impl Strategy<Value = Score> {
        let notes = proptest::collection::vec((0..steps, 1..=steps, 21..=108_u8, 1..=32_u8), 0..60);
        notes.prop_map(move |drawn| {
            let mut notes: Vec<Note> = Vec::new();
            for (start, length, pitch, bin) in drawn {
                let end = (start + length).min(steps);
                let pitch = Pitch::new(pitch).unwrap();
                let clash = |note: &Note| note.pitch == pitch && note.start < end && start < note.end;
                if !notes.iter().any(clash) {
                    notes.push(Note { start, end, pitch, velocity: VelocityBin::new(bin).unwrap().velocity() });
                }
            }
            notes.sort_by_key(|note| (note.start, note.pitch));
            Score::new(notes, Duration::from_millis(u64::from(steps) * 10)).unwrap()
        })
    }

    proptest! {
        #[test]
        fn tokens_say_the_whole_score(score in normal_scores(1500)) {
            let tokens = score.tokens();
            let decoded = Score::decode(tokens.iter().copied(), score.duration);
            prop_assert_eq!(&decoded.score, &score);
            prop_assert!(decoded.ended && decoded.unmatched_offs == 0 && decoded.unclosed == 0);
            prop_assert_eq!(decoded.score.tokens(), tokens);
        }

        #[test]
        fn any_tokens_decode_to_notes(ids in proptest::collection::vec(0..310_u16, 0..300)) {
            let tokens: Vec<_> = ids.into_iter().filter_map(Token::new).collect();
            let Decoded { score, end_step, .. } = Score::decode(tokens, Duration::ZERO);
            prop_assert!(score.notes.iter().all(|note| note.start < note.end && note.end <= end_step));
            // What is lost is lost at once.
            let again = Score::decode(score.tokens(), Duration::ZERO).score;
            prop_assert_eq!(again.tokens(), score.tokens());
        }
    }
}
