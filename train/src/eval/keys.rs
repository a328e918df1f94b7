//! The key of a piece, and of its parts.

use std::time::Duration;

use vmt::{Key, Note, STEPS_PER_SECOND, Score};

/// The part of a piece whose key is asked for, in steps: ten seconds.
const WINDOW: u32 = 10 * STEPS_PER_SECOND;

/// The key of what sounds in the steps `from..to` ([`Key::of_pitches`]); `None` where nothing does.
fn key(score: &Score, from: u32, to: u32) -> Option<Key> {
    let steps = |note: &Note| note.end.min(to).saturating_sub(note.start.max(from));
    Key::of_pitches(score.notes().iter().map(|note| (note.pitch.get(), steps(note).into())))
}

/// The key of the whole piece; `None` where nothing sounds.
pub fn of(score: &Score) -> Option<Key> {
    key(score, 0, u32::MAX)
}

/// The key of each ten seconds, side by side, in which something sounds, and their middle in steps.
pub fn of_windows(score: &Score) -> Vec<(u32, Key)> {
    let windows = (score.duration().as_millis() / Duration::from_secs(10).as_millis()) as u32;
    let window =
        |number: u32| Some((number * WINDOW + WINDOW / 2, key(score, number * WINDOW, (number + 1) * WINDOW)?));
    (0..windows).filter_map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::super::motifs::tests::score;
    use super::*;

    #[test]
    fn each_window_has_its_key() {
        // Ten seconds of C major, as many of A minor (with G sharp), then E flat major.
        let scales: [[u8; 8]; 3] =
            [[60, 64, 67, 65, 62, 59, 67, 60], [57, 60, 64, 57, 56, 59, 64, 57], [63, 67, 70, 68, 65, 62, 70, 63]];
        let notes = scales.iter().enumerate().flat_map(|(part, scale)| {
            scale.iter().enumerate().map(move |(place, &pitch)| (1000 * part as u32 + 100 * place as u32, pitch))
        });
        let score = score(notes);
        let c = Key { tonic: 0, minor: false };
        let keys = of_windows(&score);
        let want = [(500, c), (1500, Key { tonic: 9, minor: true }), (2500, Key { tonic: 3, minor: false })];
        assert_eq!(keys, want);
        assert_eq!(keys[0].1.fifths(), keys[1].1.fifths(), "the relative minor has the same signature");
        assert_eq!(of(&score).map(Key::fifths), Some(c.fifths()));
    }

    #[test]
    fn silence_has_no_key() {
        assert_eq!((of(&score([])), of_windows(&score([]))), (None, Vec::new()));
    }
}
