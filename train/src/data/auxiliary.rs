//! The auxiliary regression task: what the music around each picture is like. It trains the video encoder; the paper has none.
//!
//! The likelihood of events alone trains a small encoder slowly: after 10,000 fragments the decoder did no better with pictures
//! than without. So a linear head on the encoder's output predicts these numbers for each picture, and its mean squared error is
//! added to the loss, `recipe.auxiliary_weight` times. The head is not exported.

use vmt::{Geometry, STEPS_PER_SECOND, Score, Token};

use crate::model::AUXILIARY_OUTPUTS;

/// Time constant, in seconds, with which the last target decays after an onset: that of what rendered video shows of it.
const DECAY: f64 = 0.3;

/// The targets for each picture of a full window, about `-1..=1`; `None` masks one: there is no velocity or pitch in a silence.
/// In order:
/// 1. notes that begin within 0.5 s of the picture,
/// 2. mean velocity and
/// 3. mean pitch of those within 1 s,
/// 4. whether one begins while the picture is shown,
/// 5. notes that begin within 0.25 s,
/// 6. 1 at an onset, decaying to -1.
///
/// They are redundant on purpose: what a single picture shows, such as the last two, is learned faster than what takes several.
pub fn auxiliary_targets(tokens: &[Token], geometry: &Geometry) -> Vec<[Option<f32>; AUXILIARY_OUTPUTS]> {
    let window = geometry.window();
    let score = Score::decode(tokens.iter().copied(), window).score;
    let notes = score.notes();
    let at = |note: &vmt::Note| f64::from(note.start) / f64::from(STEPS_PER_SECOND);
    let half = window.as_secs_f64() / geometry.frames() as f64 / 2.0;
    let picture = |frame: usize| {
        let time = geometry.time(frame).as_secs_f64();
        let within = |seconds: f64| notes.iter().filter(move |note| (at(note) - time).abs() < seconds);
        let mean = |value: fn(&vmt::Note) -> u8| {
            let values: Vec<_> = within(1.0).map(|note| f32::from(value(note))).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f32>() / values.len() as f32)
        };
        let last = notes.iter().map(at).filter(|&at| at <= time).fold(f64::NEG_INFINITY, f64::max);
        [
            Some((within(0.5).count() as f32 - 7.0) / 5.0),
            mean(|note| note.velocity).map(|velocity| (velocity - 85.0) / 15.0),
            mean(|note| note.pitch.get()).map(|pitch| (pitch - 63.0) / 7.0),
            Some(if within(half).next().is_some() { 1.0 } else { -1.0 }),
            Some((within(0.25).count() as f32 - 3.5) / 3.5),
            Some(2.0 * ((last - time) / DECAY).exp() as f32 - 1.0),
        ]
    };
    (0..geometry.frames()).map(picture).collect()
}

#[cfg(test)]
mod tests {
    use std::iter::zip;
    use std::time::Duration;

    use vmt::PerformedNote;

    use super::*;
    use crate::data::targets;

    #[test]
    fn targets_follow_the_notes() {
        let note = |start, pitch, velocity| PerformedNote { start, end: start + 0.5, pitch, velocity };
        let notes = [note(2.1, 56, 101), note(2.2, 70, 101), note(9.0, 70, 69)];
        let found = auxiliary_targets(&targets(&Score::quantise(&notes, Duration::from_secs(10))), &Geometry::PAPER);
        assert_eq!(found.len(), 40);
        // The ninth picture is shown from 2.0 s to 2.25 s.
        let decayed = |seconds: f32| Some(2.0 * (-seconds / 0.3).exp() - 1.0);
        let check = |frame: usize, want: [Option<f32>; AUXILIARY_OUTPUTS]| {
            let near = |(got, want): (&Option<f32>, &Option<f32>)| match (got, want) {
                (Some(got), Some(want)) => (got - want).abs() < 1e-5,
                _ => got == want,
            };
            assert!(zip(&found[frame], &want).all(near), "{:?}, not {want:?}", found[frame]);
        };
        let (loud, soft) = (Some(16.0 / 15.0), Some(-16.0 / 15.0));
        check(8, [Some(-1.0), loud, Some(0.0), Some(1.0), Some(-3.0 / 7.0), decayed(0.025)]);
        check(7, [Some(-1.0), loud, Some(0.0), Some(-1.0), Some(-5.0 / 7.0), Some(-1.0)]);
        check(20, [Some(-1.4), None, None, Some(-1.0), Some(-1.0), decayed(2.925)]);
        check(35, [Some(-1.2), soft, Some(1.0), Some(-1.0), Some(-5.0 / 7.0), Some(-1.0)]);
    }
}
