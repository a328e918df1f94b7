//! Whether music keeps to given beats, and stresses the first of each bar.

use vmt::{Beat, STEPS_PER_SECOND, Score};

use super::statistics::mean;

/// Off by so many steps, an onset is on a sixteenth: 25 ms.
const NEAR: f64 = 0.025 * STEPS_PER_SECOND as f64;
/// Off by so many steps, a note is on a beat: 30 ms.
const ON_BEAT: f64 = 0.03 * STEPS_PER_SECOND as f64;

/// Onsets near a sixteenth, and how many there would be by chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnGrid {
    pub near: f64,
    /// The share of time that is so near to a sixteenth, summed over onsets.
    pub by_chance: f64,
    pub onsets: f64,
}

/// Of the onsets of `score` that are between the first of `beats` and the last, how many are within 25 ms of a quarter of a
/// beat; `None` without any.
pub fn on_sixteenths(score: &Score, beats: &[Beat]) -> Option<OnGrid> {
    let mut found = OnGrid { near: 0.0, by_chance: 0.0, onsets: 0.0 };
    for onset in score.onsets() {
        let step = onset * f64::from(STEPS_PER_SECOND);
        let next = beats.partition_point(|beat| beat.step <= step);
        let Some((from, to)) = next.checked_sub(1).and_then(|from| Some((beats.get(from)?, beats.get(next)?))) else {
            continue;
        };
        let sixteenth = (to.step - from.step) / 4.0;
        let place = (step - from.step) / sixteenth;
        let off = (place - place.round()).abs() * sixteenth;
        found.near += f64::from(off <= NEAR + 1e-6);
        found.by_chance += (2.0 * NEAR / sixteenth).min(1.0);
        found.onsets += 1.0;
    }
    (found.onsets > 0.0).then_some(found)
}

/// How loud downbeats are, and other beats: the sum of the velocities of all notes that begin within 30 ms of one, a mean over
/// those in the piece. `None` where there is none of either, or all are silent.
pub fn stress(score: &Score, beats: &[Beat]) -> Option<[f64; 2]> {
    let end = score.duration().as_secs_f64() * f64::from(STEPS_PER_SECOND);
    let known = beats.iter().filter(|beat| beat.in_bar > 0 && (0.0..end).contains(&beat.step));
    let stress = |beat: &Beat| {
        let struck = score.notes().iter().filter(|note| (f64::from(note.start) - beat.step).abs() <= ON_BEAT);
        struck.map(|note| f64::from(note.velocity)).sum::<f64>()
    };
    let (down, other): (Vec<_>, Vec<_>) = known.partition(|beat| beat.in_bar == 1);
    let stressed = |beats: Vec<&Beat>| (!beats.is_empty()).then(|| mean(beats.into_iter().map(stress)));
    Some([stressed(down)?, stressed(other)?]).filter(|[down, other]| down + other > 0.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vmt::{Conditions, Note, Pitch, Tempo};

    use super::*;

    fn score(notes: impl IntoIterator<Item = (u32, u8)>) -> Score {
        let note = |(start, velocity)| Note { start, end: start + 10, pitch: Pitch::new(60).unwrap(), velocity };
        Score::new(notes.into_iter().map(note).collect(), Duration::from_secs(10)).unwrap()
    }

    /// 100 a minute in 4/4: a beat lasts 60 steps, a sixteenth 15.
    fn beats() -> Vec<Beat> {
        Conditions::steady_beats(Tempo::new(100.0).unwrap(), 4, Duration::from_secs(10))
    }

    #[test]
    fn onsets_are_counted_on_the_grid_and_off_it() {
        let found = on_sixteenths(&score([(0, 64), (17, 64), (43, 64), (67, 64), (100, 64)]), &beats()).unwrap();
        // 17 and 43 are off by 2; 67 and 100 are 7 and 5 from the nearest.
        assert_eq!((found.near, found.onsets), (3.0, 5.0));
        assert!((found.by_chance - 5.0 / 3.0).abs() < 1e-9, "{found:?}");
        // A chord is one onset; what is outside the beats is none.
        let chord = score([(8, 64), (9, 64), (10, 64)]);
        assert_eq!(on_sixteenths(&chord, &beats()).unwrap().onsets, 1.0);
        assert_eq!(on_sixteenths(&chord, &beats()[1..]), None);
        assert_eq!(on_sixteenths(&chord, &[]), None);
    }

    #[test]
    fn chance_is_what_random_onsets_meet() {
        let [mut near, mut by_chance] = [0.0; 2];
        for step in 0..980 {
            let found = on_sixteenths(&score([(step, 64)]), &beats()).unwrap();
            (near, by_chance) = (near + found.near, by_chance + found.by_chance);
        }
        assert!((near / by_chance - 1.0).abs() < 0.02, "{near} {by_chance}");
    }

    #[test]
    fn stress_is_of_all_notes_on_a_beat() {
        // Downbeats are at 0, 240, 480, 720 and 960.
        let down = [(0, 40), (1, 40), (242, 80), (480, 80), (720, 80), (960, 80)];
        assert_eq!(stress(&score(down), &beats()), Some([80.0, 0.0]));
        let every = (0..17).map(|beat| (60 * beat, 50));
        assert_eq!(stress(&score(every), &beats()), Some([50.0, 50.0]));
        // Off the beats nothing is stressed, and without bars nothing is known.
        assert_eq!(stress(&score([(30, 50)]), &beats()), None);
        let unknown: Vec<_> = beats().into_iter().map(|beat| Beat { in_bar: 0, ..beat }).collect();
        assert_eq!(stress(&score(down), &unknown), None);
    }
}
