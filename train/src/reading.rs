//! What pictures say of the music around them: a second task that teaches the encoder to see.
//!
//! The likelihood of events alone teaches a small encoder slowly: after 10,000 fragments the decoder still did as well
//! without any pictures. So a linear layer on the encoder's output is asked what is heard where each picture is shown,
//! and its mean squared error is added to the loss, `recipe.reading` times. The layer is not exported.

use vmt::{Geometry, STEPS_PER_SECOND, Score, Token};

/// Numbers for each picture, all about `-1..=1`:
/// notes that begin within half a second, mean velocity and mean pitch of those within a second, and whether one begins
/// while the picture is shown.
pub const READINGS: usize = 4;

/// What is heard around each picture of a full window, and whether it can be told: in a silence there is no velocity and
/// no pitch.
pub fn heard(tokens: &[Token], geometry: &Geometry) -> Vec<[Option<f32>; READINGS]> {
    let window = geometry.window();
    let notes = Score::decode(tokens.iter().copied(), window).score.notes;
    let at = |note: &vmt::Note| f64::from(note.start) / f64::from(STEPS_PER_SECOND);
    let half = window.as_secs_f64() / geometry.frames as f64 / 2.0;
    let picture = |frame: usize| {
        let time = geometry.time(frame).as_secs_f64();
        let within = |seconds: f64| notes.iter().filter(move |note| (at(note) - time).abs() < seconds);
        let mean = |value: fn(&vmt::Note) -> u8| {
            let values: Vec<_> = within(1.0).map(|note| f32::from(value(note))).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f32>() / values.len() as f32)
        };
        [
            Some((within(0.5).count() as f32 - 7.0) / 5.0),
            mean(|note| note.velocity).map(|velocity| (velocity - 85.0) / 15.0),
            mean(|note| note.pitch.get()).map(|pitch| (pitch - 63.0) / 7.0),
            Some(if within(half).next().is_some() { 1.0 } else { -1.0 }),
        ]
    };
    (0..geometry.frames).map(picture).collect()
}

#[cfg(test)]
mod tests {
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
        assert_eq!(heard[8], [Some(-1.0), Some(16.0 / 15.0), Some(0.0), Some(1.0)]);
        assert_eq!(heard[7], [Some(-1.0), Some(16.0 / 15.0), Some(0.0), Some(-1.0)]);
        assert_eq!(heard[20], [Some(-1.4), None, None, Some(-1.0)]);
        assert_eq!(heard[35], [Some(-1.2), Some(-16.0 / 15.0), Some(1.0), Some(-1.0)]);
    }
}
