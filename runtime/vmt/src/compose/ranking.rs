//! Ranking takes by typicality and penalties.

use std::collections::HashSet;

use crate::music::{Note, Score};

/// Notes in a phrase whose recurrence counts as repetition.
const PHRASE: usize = 4;
/// The share of phrases that may occur again without penalty: music does repeat itself.
const REPEATED: f64 = 0.5;
/// The penalty if all do.
const REPETITION: f64 = 2.0;

/// Seconds of silence without penalty.
const PAUSE: f64 = 2.0;
/// The penalty for each second more.
const SILENCE: f64 = 0.1;

/// Notes a second without penalty where no density is asked for.
const DENSITIES: [f64; 2] = [0.5, 15.0];
/// The factor by which the density may miss the one asked for.
const TOLERANCE: f64 = 1.25;
/// The penalty for each halving or doubling beyond.
const DENSITY: f64 = 0.5;

/// The rank of a take: its typicality less penalties for what that does not show. The unit is the nat an event.
///
/// The likeliest take would be the dullest: real music is about as surprising as a model expects it to be (Meister et al. 2023,
/// locally typical sampling), and what is drawn with top-p below 1 is likelier than that.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Rank {
    /// Minus the distance between the mean information of an event (minus the logarithm of the model's probability) and the mean
    /// entropy of what it was drawn from: at most 0.
    pub typicality: f64,
    /// Penalty for degenerate repetition: 4 times the share of phrases that occurred before, as far as it is above a half. A
    /// phrase is four notes in a row, with the times between them (seq-rep-4, Welleck et al. 2020).
    pub repetition: f64,
    /// Penalty for gaps: 0.1 for each second that the longest silence has above 2 s.
    pub silence: f64,
    /// Penalty for too few notes or too many: 0.5 for each halving or doubling beyond 0.5-15 notes a second, or beyond
    /// 1.25 times the density that was asked for, or its 1.25th part.
    pub density: f64,
}

impl Rank {
    /// Of a score whose events have this `log_probability` and `entropy` on average, where so many notes a second were asked for.
    pub fn new(score: &Score, log_probability: f64, entropy: f64, density: Option<f64>) -> Self {
        let typicality = -(log_probability + entropy).abs();
        let repetition = REPETITION * (repeated(score.notes()) - REPEATED).max(0.0) / (1.0 - REPEATED);
        let silence = SILENCE * (score.longest_silence() - PAUSE).max(0.0);
        let [few, many] = density.map_or(DENSITIES, |wanted| [wanted / TOLERANCE, wanted * TOLERANCE]);
        let seconds = score.duration().as_secs_f64().max(1.0);
        // Silence is as bad as one note.
        let played = score.notes().len().max(1) as f64 / seconds;
        let density = DENSITY * (few / played).max(played / many).max(1.0).log2();
        Self { typicality, repetition, silence, density }
    }

    /// The higher, the better.
    pub fn total(&self) -> f64 {
        self.typicality - self.repetition - self.silence - self.density
    }
}

/// The share of phrases that occurred before.
fn repeated(notes: &[Note]) -> f64 {
    let phrase =
        |notes: &[Note]| -> Vec<_> { notes.iter().map(|note| (note.pitch, note.start - notes[0].start)).collect() };
    let phrases: Vec<_> = notes.windows(PHRASE).map(phrase).collect();
    let distinct: HashSet<_> = phrases.iter().collect();
    1.0 - distinct.len().max(1) as f64 / phrases.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::music::{Pitch, STEPS_PER_SECOND};

    /// Notes `(start, end, pitch)` in seconds.
    fn score(seconds: u64, notes: impl IntoIterator<Item = (u32, u32, u8)>) -> Score {
        let note = |(start, end, pitch)| Note {
            start: start * STEPS_PER_SECOND,
            end: end * STEPS_PER_SECOND,
            pitch: Pitch::new(pitch).unwrap(),
            velocity: 77,
        };
        Score::new(notes.into_iter().map(note).collect(), Duration::from_secs(seconds)).unwrap()
    }

    #[track_caller]
    fn check(score: &Score, density: Option<f64>, want: [f64; 3]) {
        let rank = Rank::new(score, -1.5, 2.0, density);
        for (got, want) in [rank.repetition, rank.silence, rank.density].into_iter().zip(want) {
            assert!((got - want).abs() < 1e-9, "{rank:?}, not {want:?}");
        }
        assert!((rank.total() - (-0.5 - want.iter().sum::<f64>())).abs() < 1e-9);
    }

    #[test]
    fn what_changes_and_never_rests_costs_nothing() {
        check(&score(20, (0..20).map(|step| (step, step + 1, 60 + step as u8))), None, [0.0, 0.0, 0.0]);
    }

    #[test]
    fn repetition_costs() {
        // 21 phrases, of which 20 were heard before.
        let same = score(24, (0..24).map(|step| (step, step + 1, 60)));
        check(&same, None, [2.0 * (20.0 / 21.0 - 0.5) / 0.5, 0.0, 0.0]);
        // A theme that comes once more is music.
        let twice = score(24, (0..24).map(|step| (step, step + 1, 60 + step as u8 % 12)));
        check(&twice, None, [0.0, 0.0, 0.0]);
    }

    #[test]
    fn gaps_cost() {
        check(&score(7, [(0, 1, 60), (1, 2, 61), (5, 6, 62), (6, 7, 63)]), None, [0.0, 0.1, 0.0]);
        // Under a long note, nothing is silent; the end may be, and the beginning.
        check(
            &score(16, [(0, 9, 60)].into_iter().chain((1..9).map(|step| (step, step + 1, 61 + step as u8)))),
            None,
            [0.0, 0.5, 0.0],
        );
        check(&score(8, (4..8).map(|step| (step, step + 1, 60 + step as u8))), None, [0.0, 0.2, 0.0]);
    }

    #[test]
    fn the_wrong_density_costs() {
        let steady = score(16, (0..16).map(|step| (step, step + 1, 60 + step as u8)));
        check(&steady, Some(1.0), [0.0, 0.0, 0.0]);
        check(&steady, Some(1.2), [0.0, 0.0, 0.0]);
        check(&steady, Some(2.5), [0.0, 0.0, 0.5]);
        check(&steady, Some(0.4), [0.0, 0.0, 0.5]);
        check(&score(16, []), None, [0.0, 1.4, 1.5]);
    }
}
