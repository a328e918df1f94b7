//! The token sequences that a model is trained to predict.

use vmt::{Event, Note, STEPS_PER_SECOND, Score, Shift, Token};

/// The tokens of a score with the silence after its last note as time shifts, so that [`Event::End`] is at the end of the video,
/// as the runtime's [`vmt::decode::Grammar`] demands.
pub fn targets(score: &Score) -> Vec<Token> {
    let end = (score.duration().as_millis() * u128::from(STEPS_PER_SECOND) / 1000) as u32;
    // A note that begins within the last half step would begin at the end.
    let notes =
        score.notes().iter().filter(|note| note.start < end).map(|note| Note { end: note.end.min(end), ..*note });
    let score = Score::new(notes.collect(), score.duration()).expect("notes that are cropped stay in order");
    let last = score.notes().iter().map(|note| note.end).max().unwrap_or(0);

    let mut tokens = score.tokens();
    tokens.pop();
    tokens.extend(Shift::over(end - last).map(|shift| Token::from(Event::TimeShift(shift))));
    tokens.push(Token::END);
    tokens
}

/// All notes transposed by `semitones`; unchanged if one would leave the keyboard.
pub fn transposed(tokens: &[Token], semitones: i8) -> Vec<Token> {
    let pitch = |pitch: vmt::Pitch| pitch.get().checked_add_signed(semitones).and_then(vmt::Pitch::new);
    let token = |&token: &Token| {
        Some(match Event::from(token) {
            Event::NoteOn(note) => Event::NoteOn(pitch(note)?).into(),
            Event::NoteOff(note) => Event::NoteOff(pitch(note)?).into(),
            _ => token,
        })
    };
    tokens.iter().map(token).collect::<Option<_>>().unwrap_or_else(|| tokens.to_vec())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vmt::PerformedNote;
    use vmt::decode::{Grammar, LogitsProcessor as _};

    use super::*;

    fn score(notes: &[(f64, f64, u8)]) -> Score {
        let performed = |&(start, end, pitch)| PerformedNote { start, end, pitch, velocity: 64 };
        let performed: Vec<_> = notes.iter().map(performed).collect();
        Score::quantise(&performed, Duration::from_secs(10))
    }

    #[test]
    fn the_end_comes_with_the_videos_and_the_grammar_agrees() {
        for notes in [vec![], vec![(0.5, 1.25, 60)], vec![(0.0, 10.0, 60)], vec![(3.0, 4.0, 60), (9.9999, 9.99995, 62)]]
        {
            let tokens = targets(&score(&notes));
            let decoded = Score::decode(tokens.iter().copied(), Duration::from_secs(10));
            assert!(decoded.ended && decoded.end_step == 1000, "{notes:?}");
            let mut grammar = Grammar::new(1000, 1024).unwrap();
            for token in tokens {
                assert!(grammar.allowed()[token.index()], "{notes:?}: {:?}", Event::from(token));
                grammar.accept(token);
            }
        }
    }

    #[test]
    fn transposition_moves_all_notes_or_none() {
        let tokens = targets(&score(&[(0.0, 1.0, 60), (1.0, 2.0, 108)]));
        assert_eq!(transposed(&tokens, -5), targets(&score(&[(0.0, 1.0, 55), (1.0, 2.0, 103)])));
        assert_eq!(transposed(&tokens, 1), tokens);
    }
}
