//! Features of music that is compared.

use vmt::{Note, Score};

use super::statistics::mean;

/// How evenly the twelve pitch classes are used, in bits, 0 to 3.58: the entropy of the share of notes that each has
/// (Wu and Yang 2020, "The Jazz Transformer"; as in MusPy, Dong et al. 2020). 0 without notes.
pub fn pitch_class_entropy(score: &Score) -> f64 {
    let mut counts = [0; 12];
    for note in score.notes() {
        counts[usize::from(note.pitch.get() % 12)] += 1;
    }
    let shares = counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) / score.notes().len() as f64);
    shares.fold(0.0, |entropy, share| entropy - share * share.log2())
}

/// Notes that begin, per second of the piece.
pub fn notes_per_second(score: &Score) -> f64 {
    score.notes().len() as f64 / score.duration().as_secs_f64()
}

/// Notes that sound at once, a mean over the time in which any does (Mogren 2016, "C-RNN-GAN"; as in MusPy), on the
/// grid of 10 ms. 0 without notes.
pub fn polyphony(score: &Score) -> f64 {
    let (mut sum, mut time, mut sounded) = (0, 0, 0);
    for note in score.notes() {
        sum += note.end - note.start;
        time += note.end.saturating_sub(sounded.max(note.start));
        sounded = sounded.max(note.end);
    }
    f64::from(sum) / f64::from(time.max(1))
}

/// The share of notes that lie in the scale that fits best, of 24 major and natural minor ones (Mogren 2016; as in
/// MusPy). 0 without notes.
pub fn scale_consistency(score: &Score) -> f64 {
    // Each natural minor scale has the notes of a major one.
    const MAJOR: [u8; 7] = [0, 2, 4, 5, 7, 9, 11];
    let fits =
        |tonic: u8| score.notes().iter().filter(|note| MAJOR.contains(&((note.pitch.get() + 12 - tonic) % 12))).count();
    (0..12).map(fits).max().unwrap_or(0) as f64 / score.notes().len().max(1) as f64
}

/// The longest time without a sound, in seconds, beginning and end included.
pub fn longest_silence(score: &Score) -> f64 {
    score.longest_silence()
}

/// The mean velocity of the notes, 1 to 127; `None` without notes.
pub fn loudness(score: &Score) -> Option<f64> {
    mean_of_notes(score, |note| note.velocity)
}

/// The mean pitch of the notes as a MIDI note number; `None` without notes.
pub fn register(score: &Score) -> Option<f64> {
    mean_of_notes(score, |note| note.pitch.get())
}

fn mean_of_notes(score: &Score, value: impl Fn(&Note) -> u8) -> Option<f64> {
    (!score.notes().is_empty()).then(|| mean(score.notes().iter().map(|note| f64::from(value(note)))))
}

/// The share of onsets that strike just the keys of the onset before ([`Score::onset_repetition`]).
pub fn onset_repetition(score: &Score) -> Option<f64> {
    score.onset_repetition()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vmt::Pitch;

    use super::*;

    /// Notes `(start, end, pitch, velocity)` in steps, in a window of 10 s.
    fn score(notes: &[(u32, u32, u8, u8)]) -> Score {
        let note = |&(start, end, pitch, velocity)| Note { start, end, pitch: Pitch::new(pitch).unwrap(), velocity };
        Score::new(notes.iter().map(note).collect(), Duration::from_secs(10)).unwrap()
    }

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-12, "{got}, not {want}");
    }

    #[test]
    fn a_small_score_by_hand() {
        // C and E together for a second, C an octave up for half a second, a pause of 4 s, C sharp for a second.
        let score = score(&[(0, 100, 60, 20), (0, 100, 64, 40), (100, 150, 72, 60), (550, 650, 61, 80)]);
        near(pitch_class_entropy(&score), 0.5 * 1.0 + 2.0 * 0.25 * 2.0);
        near(notes_per_second(&score), 0.4);
        near(polyphony(&score), 350.0 / 250.0);
        near(scale_consistency(&score), 0.75);
        near(longest_silence(&score), 4.0);
        near(loudness(&score).unwrap(), 50.0);
        near(register(&score).unwrap(), 257.0 / 4.0);
    }

    #[test]
    fn silence_by_hand() {
        let silence = score(&[]);
        for statistic in [pitch_class_entropy, notes_per_second, polyphony, scale_consistency] {
            assert_eq!(statistic(&silence).to_bits(), 0.0f64.to_bits());
        }
        near(longest_silence(&silence), 10.0);
        assert_eq!((loudness(&silence), register(&silence), onset_repetition(&silence)), (None, None, None));
    }

    #[test]
    fn all_keys_and_one_key() {
        let all: Vec<_> = (0..12).map(|key| (10 * key, 10 * key + 10, 60 + key as u8, 64)).collect();
        near(pitch_class_entropy(&score(&all)), 12f64.log2());
        near(scale_consistency(&score(&all)), 7.0 / 12.0);
        let one = score(&[(0, 10, 61, 64), (20, 30, 73, 64)]);
        near(pitch_class_entropy(&one), 0.0);
        near(scale_consistency(&one), 1.0);
    }

    #[test]
    fn repetition_is_of_whole_chords() {
        let check = |notes: &[(u32, u8)], want| {
            let notes: Vec<_> = notes.iter().map(|&(start, pitch)| (start, start + 5, pitch, 64)).collect();
            assert_eq!(onset_repetition(&score(&notes)), want, "{notes:?}");
        };
        check(&[(0, 60)], None);
        check(&[(0, 60), (2, 64)], None);
        check(&[(0, 60), (3, 60)], Some(1.0));
        check(&[(0, 60), (10, 60), (20, 62)], Some(0.5));
        // A chord again, in another order; then only its lower key.
        check(&[(0, 60), (2, 64), (50, 64), (52, 60), (100, 60)], Some(0.5));
    }
}
