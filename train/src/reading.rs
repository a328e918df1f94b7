//! What pictures say of the music around them: a second task that teaches the encoder to see.
//!
//! The likelihood of events alone teaches a small encoder slowly: after 10,000 fragments the decoder still did as well
//! without any pictures. So a linear layer on the encoder's output is asked what is heard where each picture is shown,
//! and its mean squared error is added to the loss, `recipe.reading` times. The layer is not exported.

use vmt::{Geometry, STEPS_PER_SECOND, Score, Token};

/// Numbers for each picture, all about `-1..=1`:
/// notes that begin within half a second, mean velocity and mean pitch of those within a second, whether one begins
/// while the picture is shown, notes that begin within a quarter of a second, and how fresh the last one is.
///
/// Some can be told from others. But what one picture shows at once, such as the last two, teaches faster than what must be
/// put together from several.
pub const READINGS: usize = 6;

/// Seconds after which a note's freshness has fallen to 1/e: as fast as what film and dance show of it.
const FRESH: f64 = 0.3;

/// What is heard around each picture of a full window, and whether it can be told: in a silence there is no velocity and
/// no pitch.
pub fn heard(tokens: &[Token], geometry: &Geometry) -> Vec<[Option<f32>; READINGS]> {
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
            Some(2.0 * ((last - time) / FRESH).exp() as f32 - 1.0),
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
    fn hears_notes_where_they_are() {
        let note = |start, pitch, velocity| PerformedNote { start, end: start + 0.5, pitch, velocity };
        let notes = [note(2.1, 56, 101), note(2.2, 70, 101), note(9.0, 70, 69)];
        let heard = heard(&targets(&Score::quantise(&notes, Duration::from_secs(10))), &Geometry::PAPER);
        assert_eq!(heard.len(), 40);
        // The ninth picture is shown from 2.0 s to 2.25 s.
        let fresh = |seconds: f32| Some(2.0 * (-seconds / 0.3).exp() - 1.0);
        let check = |frame: usize, want: [Option<f32>; READINGS]| {
            let near = |(got, want): (&Option<f32>, &Option<f32>)| match (got, want) {
                (Some(got), Some(want)) => (got - want).abs() < 1e-5,
                _ => got == want,
            };
            assert!(zip(&heard[frame], &want).all(near), "{:?}, not {want:?}", heard[frame]);
        };
        let (loud, soft) = (Some(16.0 / 15.0), Some(-16.0 / 15.0));
        check(8, [Some(-1.0), loud, Some(0.0), Some(1.0), Some(-3.0 / 7.0), fresh(0.025)]);
        check(7, [Some(-1.0), loud, Some(0.0), Some(-1.0), Some(-5.0 / 7.0), Some(-1.0)]);
        check(20, [Some(-1.4), None, None, Some(-1.0), Some(-1.0), fresh(2.925)]);
        check(35, [Some(-1.2), soft, Some(1.0), Some(-1.0), Some(-5.0 / 7.0), Some(-1.0)]);
    }
}
