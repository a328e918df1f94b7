//! Beats as sheet music counts them: sixteenths and bars from the film's beginning.

use super::conditions::{Beat, Key};
use super::tempo_map::changes;

/// What is written beside the notes: the conductor track of a MIDI file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conductor {
    /// Rising, from the film's beginning or before; fewer than two are 120 a minute in 4/4.
    pub beats: Vec<Beat>,
    /// The key, if one was set.
    pub key: Option<Key>,
    /// Moments of the film, in any order.
    pub markers: Vec<Marker>,
}

/// A moment with a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// When it is, in steps of 10 ms.
    pub step: f64,
    /// What is there.
    pub text: String,
}

/// Sixteenths and bars, counted from the film's beginning.
///
/// The film may begin within a bar and within a beat. The first bar is what is left of it then, rounded to whole sixteenths:
/// those before the first beat are a little shorter or longer than they sound.
#[derive(Clone, Debug, PartialEq)]
pub struct BarLines {
    /// Rising places, in sixteenths and steps: the film's beginning, then each beat.
    points: Vec<(u32, f64)>,
    /// The sixteenth at which each bar begins, and where the last one ends.
    bars: Vec<u32>,
}

/// A beat of 120 a minute, in steps.
const DEFAULT: f64 = 50.0;
/// A beat at most so many steps from the film's beginning is there.
const AT_BEGINNING: f64 = 0.05;

impl BarLines {
    /// For rising beats; fewer than two are 120 a minute in 4/4.
    pub fn new(beats: &[Beat]) -> Self {
        if beats.len() < 2 {
            return Self { points: vec![(0, 0.0), (4, DEFAULT)], bars: vec![0, 16] };
        }
        let mut first = beats.partition_point(|beat| beat.step <= AT_BEGINNING);
        let begins_on_beat = first.checked_sub(1).filter(|&before| beats[before].step >= -AT_BEGINNING);
        let mut pickup = 4;
        if begins_on_beat.is_none() {
            let before = first.saturating_sub(1).min(beats.len() - 2);
            let length = beats[before + 1].step - beats[before].step;
            let sixteenths = |first: usize| beats.get(first).map(|beat| (4.0 * beat.step / length).round() as u32);
            // Less than half a sixteenth is a part of the next beat.
            first += usize::from(sixteenths(first) == Some(0));
            pickup = sixteenths(first).unwrap_or(1).max(1);
        }
        let mut points = vec![(0, 0.0)];
        let mut bars = vec![0];
        for (place, beat) in beats[first.min(beats.len())..].iter().enumerate() {
            let sixteenth = pickup + 4 * place as u32;
            points.push((sixteenth, beat.step));
            if beat.in_bar == 1 {
                bars.push(sixteenth);
            }
        }
        if points.len() == 1 {
            points.push((pickup, points[0].1 + DEFAULT));
        }
        // The last bar that begins is as long as its beats say, or as the last one was.
        let last = beats.iter().rev().find(|beat| beat.in_bar == 1).map_or(4, |beat| u32::from(beat.per_bar.max(1)));
        bars.push(bars[bars.len() - 1] + 4 * last);
        Self { points, bars }
    }

    /// The sixteenth at which each bar begins, rising from 0, and where the last one ends, which may be beyond the film.
    pub fn bars(&self) -> &[u32] {
        &self.bars
    }

    /// When a sixteenth is, in steps. Behind the last beat the tempo stays.
    pub fn step(&self, sixteenth: u32) -> f64 {
        let [from, to] = self.segment(|&(place, _)| place <= sixteenth);
        from.1 + (to.1 - from.1) * (f64::from(sixteenth) - f64::from(from.0)) / f64::from(to.0 - from.0)
    }

    /// The sixteenth nearest to a step.
    pub fn sixteenth(&self, step: u32) -> u32 {
        let [from, to] = self.segment(|&(_, at)| at <= step.into());
        let share = (f64::from(step) - from.1) / (to.1 - from.1);
        (f64::from(from.0) + share * f64::from(to.0 - from.0)).round() as u32
    }

    /// The two places around something that those before are `not_behind`.
    fn segment(&self, not_behind: impl Fn(&(u32, f64)) -> bool) -> [(u32, f64); 2] {
        let next = self.points.partition_point(not_behind).clamp(1, self.points.len() - 1);
        [self.points[next - 1], self.points[next]]
    }

    /// The sixteenth where each tempo begins, and the microseconds in a beat from there on.
    pub fn tempi(&self) -> impl Iterator<Item = (u32, u32)> {
        let places: Vec<_> = self.points.iter().map(|&(place, step)| (f64::from(place) / 4.0, step)).collect();
        changes(&places).into_iter().map(|change| (self.points[change.beat].0, change.micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beats of 60 steps in 4/4, the first at `step` and of this number in its bar.
    fn bars(step: f64, in_bar: u8) -> BarLines {
        let beat =
            |index: u8| Beat { step: step + 60.0 * f64::from(index), in_bar: (in_bar - 1 + index) % 4 + 1, per_bar: 4 };
        BarLines::new(&(0..9).map(beat).collect::<Vec<_>>())
    }

    #[test]
    fn a_film_that_begins_on_a_beat() {
        assert_eq!(bars(0.0, 1).bars(), [0, 16, 32, 48]);
        assert_eq!(bars(0.0, 3).bars(), [0, 8, 24, 40]);
        assert_eq!(bars(-60.0, 2).bars(), [0, 8, 24, 40]);
        let bars = bars(0.0, 3);
        assert_eq!([0, 14, 15, 22, 23, 1000].map(|step| bars.sixteenth(step)), [0, 1, 1, 1, 2, 67]);
        assert_eq!([0, 1, 5, 100].map(|sixteenth| bars.step(sixteenth)), [0.0, 15.0, 75.0, 1500.0]);
        assert_eq!(bars.tempi().collect::<Vec<_>>(), [(0, 600_000)]);
    }

    #[test]
    fn a_film_that_begins_within_a_beat() {
        // 20 steps to the downbeat: a sixteenth and a third.
        let late = bars(-40.0, 4);
        assert_eq!(late.bars(), [0, 1, 17, 33]);
        assert_eq!(late.tempi().collect::<Vec<_>>(), [(0, 800_000), (1, 600_000)]);
        assert_eq!([late.step(1), late.step(5)], [20.0, 80.0]);
        // 57 steps are nearly a beat, and 5 steps belong to the next one.
        assert_eq!(bars(-3.0, 1).bars(), [0, 16, 32, 48]);
        let early = bars(-55.0, 1);
        assert_eq!(early.bars(), [0, 12, 28, 44]);
        assert_eq!(early.tempi().collect::<Vec<_>>(), [(0, 650_000), (4, 600_000)]);
    }

    #[test]
    fn few_beats() {
        let default = bars(0.0, 1);
        assert_eq!(BarLines::new(&[]).bars(), [0, 16]);
        assert_eq!(BarLines::new(&[]).tempi().collect::<Vec<_>>(), [(0, 500_000)]);
        assert!(default.step(4) == 60.0);
        let beat = |step| Beat { step, in_bar: 1, per_bar: 4 };
        for beats in [[-90.0, -30.0], [-60.0, 0.0], [-0.01, 1.0], [3.0, 90.0], [-30.0, 4.0]] {
            let bars = BarLines::new(&beats.map(beat));
            assert!(bars.bars().is_sorted() && bars.step(100) > bars.step(1) && bars.step(0) == 0.0, "{bars:?}");
        }
    }
}
