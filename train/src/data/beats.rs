//! Beats and bars, estimated from the onsets of notes.

use vmt::PerformedNote;

use super::notes::starting;

/// Steps per second of the grid on which beats are sought.
const BEAT_GRID: f64 = 100.0;

/// Beats at regular distances and on strong onsets, by dynamic programming (Ellis 2007, "Beat tracking by dynamic
/// programming"), with one tempo for the whole song.
pub fn beats(notes: &[PerformedNote]) -> Vec<f64> {
    let strength = strength(notes);
    let period = period(&strength);
    // How much a distance between beats is disliked, from half to twice the period.
    let distances = period / 2..=2 * period;
    let dislike = |distance: usize| 50.0 * (distance as f64 / period as f64).ln().powi(2);
    let dislikes: Vec<f64> = distances.clone().map(dislike).collect();
    let mut best = strength.clone();
    let mut before: Vec<Option<usize>> = vec![None; best.len()];
    for step in 0..best.len() {
        let earlier = distances.clone().zip(&dislikes).filter_map(|(distance, dislike)| {
            let step = step.checked_sub(distance)?;
            Some((best[step] - dislike, step))
        });
        if let Some((score, from)) = earlier.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.0) {
            best[step] += score;
            before[step] = Some(from);
        }
    }
    let tail = best.len().saturating_sub(2 * period);
    let last = (tail..best.len()).max_by(|&a, &b| best[a].total_cmp(&best[b]));
    let mut beats: Vec<f64> =
        std::iter::successors(last, |&step| before[step]).map(|step| step as f64 / BEAT_GRID).collect();
    beats.reverse();
    beats
}

/// How much begins at each step, with a standard deviation of 1.
fn strength(notes: &[PerformedNote]) -> Vec<f64> {
    let last = notes.last().map_or(0.0, |note| note.start);
    let mut strength = vec![0.0; (last.max(0.0) * BEAT_GRID) as usize + 8];
    for note in notes {
        let step = (note.start * BEAT_GRID).round() as usize;
        // A bell of 20 ms on each side, so that a played chord counts as one.
        for (offset, weight) in [0.1, 0.4, 1.0, 0.4, 0.1].into_iter().enumerate() {
            if let Some(value) = (step + offset).checked_sub(2).and_then(|step| strength.get_mut(step)) {
                *value += weight * f64::from(note.velocity);
            }
        }
    }
    let count = strength.len() as f64;
    let mean = strength.iter().sum::<f64>() / count;
    let deviation = (strength.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    strength.iter_mut().for_each(|value| *value /= deviation.max(1e-9));
    strength
}

/// The steps from beat to beat: the strongest repetition between 0.3 and 1.2 s, best near 0.6 s.
fn period(strength: &[f64]) -> usize {
    let repetition = |lag: usize| -> f64 {
        let pairs = strength.iter().zip(strength.iter().skip(lag));
        let sum: f64 = pairs.map(|(a, b)| a * b).sum();
        sum * (-0.5 * (lag as f64 / (0.6 * BEAT_GRID)).log2().powi(2) / 0.6).exp()
    };
    let scores: Vec<f64> = (30..=120).map(repetition).collect();
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    best.map_or(60, |index| index + 30)
}

/// Every fourth beat, beginning where the basses are strongest.
pub fn downbeats(notes: &[PerformedNote], beats: &[f64]) -> Vec<f64> {
    let bass = |beat: f64| -> f64 {
        let weight = |note: &PerformedNote| f64::from(note.velocity) * if note.pitch < 52 { 3.0 } else { 1.0 };
        starting(notes, beat - 0.05, beat + 0.05).iter().map(weight).sum()
    };
    let every_fourth = |first: usize| beats.iter().copied().skip(first).step_by(4);
    let sums: [f64; 4] = std::array::from_fn(|first| every_fourth(first).map(bass).sum());
    let first = (0..4).max_by(|&a, &b| sums[a].total_cmp(&sums[b])).unwrap_or(0);
    every_fourth(first).collect()
}
