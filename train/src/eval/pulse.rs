//! Pulse: how well the onsets of ten seconds lie on one steady grid.

use std::f64::consts::TAU;

use vmt::{Score, onsets};

use super::statistics::mean;
use crate::random::Stream;

/// The music that is measured at once, in seconds.
const WINDOW: f64 = 10.0;
/// With fewer onsets, some grid always fits.
const MIN_ONSETS: usize = 8;
/// Grids have periods of 0.10 s to 0.36 s: sixteenths and eighths of usual tempi. In times a second, and how far apart.
const SLOWEST: f64 = 1.0 / 0.36;
const FASTEST: f64 = 1.0 / 0.10;
const APART: f64 = 0.02;
/// Draws that chance is a mean of.
const DRAWS: usize = 8;

/// The pulse of each window of ten seconds that has at least eight onsets, and that of as many onsets at random moments,
/// which are as far apart as onsets are at least.
///
/// Pulse is the mean resultant length of onset times (Mardia 1972) over the period within 0.10-0.36 s that suits them best: 1
/// if all lie on one grid. Windows lie side by side; the last is at least half full.
pub fn pulses(score: &Score, random: &mut Stream) -> Vec<[f64; 2]> {
    let onsets = score.onsets();
    let last = onsets.last().copied().unwrap_or(0.0);
    let starts = (0u32..).map(|number| f64::from(number) * WINDOW);
    let windows = starts.take_while(|&start| start < (last - WINDOW / 2.0).max(1e-9));
    let pulse = |start: f64| {
        let within = onsets.iter().filter(|&&onset| (start..start + WINDOW).contains(&onset));
        let within: Vec<f64> = within.map(|onset| onset - start).collect();
        (within.len() >= MIN_ONSETS)
            .then(|| [pulse(&within), mean((0..DRAWS).map(|_| pulse(&drawn(within.len(), random))))])
    };
    windows.filter_map(pulse).collect()
}

fn pulse(onsets: &[f64]) -> f64 {
    let length = |frequency: f64| {
        let [cos, sin] = onsets.iter().fold([0.0; 2], |[cos, sin], onset| {
            let (s, c) = (TAU * frequency * onset).sin_cos();
            [cos + c, sin + s]
        });
        cos.hypot(sin) / onsets.len() as f64
    };
    let count = ((FASTEST - SLOWEST) / APART).ceil() as u32;
    (0..count).map(|number| length(SLOWEST + APART * f64::from(number))).fold(0.0, f64::max)
}

/// So many onsets at random moments.
fn drawn(count: usize, random: &mut Stream) -> Vec<f64> {
    // Some fall on others; if too many do, the next attempt draws more.
    let mut moments = count * 115 / 100;
    loop {
        let mut times: Vec<f64> = (0..moments).map(|_| WINDOW * random.unit()).collect();
        times.sort_by(f64::total_cmp);
        let mut onsets = onsets(times);
        if onsets.len() >= count {
            random.shuffle(&mut onsets);
            onsets.truncate(count);
            return onsets;
        }
        moments += 1 + count / 50;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vmt::{Note, Pitch};

    use super::*;

    fn score(starts: impl IntoIterator<Item = u32>, seconds: u64) -> Score {
        let note = |start| Note { start, end: start + 5, pitch: Pitch::new(60).unwrap(), velocity: 64 };
        Score::new(starts.into_iter().map(note).collect(), Duration::from_secs(seconds)).unwrap()
    }

    fn of(starts: impl IntoIterator<Item = u32>, seconds: u64) -> Vec<[f64; 2]> {
        pulses(&score(starts, seconds), &mut Stream::new(1, "test", &[]))
    }

    #[test]
    fn a_grid_has_a_pulse_of_one() {
        // Of 150 ms, some left out; each window by itself, the last one too short.
        let grid = (0..200u32).filter(|number| number % 7 != 3).map(|number| 15 * number);
        let pulses = of(grid.filter(|&start| start < 2450), 30);
        assert_eq!(pulses.len(), 2);
        for [pulse, chance] in pulses {
            assert!(pulse > 0.98 && chance < 0.4, "{pulse} {chance}");
        }
    }

    #[test]
    fn random_onsets_have_the_pulse_of_chance() {
        let mut random = Stream::new(2, "test", &[]);
        let all: Vec<[f64; 2]> = (0..60)
            .flat_map(|_| {
                let mut starts: Vec<u32> = (0..25).map(|_| random.below(1000) as u32).collect();
                starts.sort();
                of(starts, 10)
            })
            .collect();
        let [pulse, chance] = [0, 1].map(|which| mean(all.iter().map(|one| one[which])));
        assert!((pulse - chance).abs() < 0.03 && (0.35..0.55).contains(&chance), "{pulse} {chance}");
    }

    /// The largest `abs(mean(exp(2j pi t / p)))`, computed in Python.
    #[test]
    fn by_the_definition() {
        let starts = [0, 31, 55, 56, 98, 120, 164, 203, 222, 290, 333, 350, 400, 481, 502, 611, 705, 777, 812, 903];
        let [[pulse, _]] = of(starts, 10)[..] else { panic!("one window") };
        assert!((pulse - 0.564_622_680_359_353_7).abs() < 1e-9, "{pulse}");
    }

    #[test]
    fn chords_are_one_onset_and_few_onsets_have_no_pulse() {
        assert_eq!(score([100, 103, 104, 107, 120], 10).onsets(), [1.0, 1.04, 1.2]);
        assert!(of((0..7).map(|number| 100 * number), 10).is_empty());
        assert!(of([], 10).is_empty());
    }

    /// As dense as onsets can be.
    #[test]
    fn chance_is_found_for_any_number() {
        let [[pulse, chance]] = of((0..249).map(|number| 4 * number), 10)[..] else { panic!("one window") };
        assert!(chance <= 1.0 && pulse <= 1.0);
    }
}
