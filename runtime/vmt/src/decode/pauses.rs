//! How surely pauses are chosen.

use ndarray::{ArrayViewMut2, s};

use super::processor::{LogitsProcessor, log_sum};
use crate::music::{Event, Shift, Token};

/// Draws pauses at a temperature of their own: whether a pause comes is as likely as it was, and how long it is follows
/// `p^(1 / temperature)`. Below 1, notes keep closer to the beat, and pitches and velocities are as free as before.
///
/// A softmax temperature (Ackley, Hinton and Sejnowski 1985) for one kind of events.
#[derive(Clone, Debug)]
pub struct PauseTemperature {
    temperature: f32,
}

impl PauseTemperature {
    /// The usual one for music that knows its beats and is not held to them. With it the pulse of `onnx/vmt-beat` is 0.56 above chance,
    /// without it 0.51; that of real music is 0.55 (measured in its card).
    pub const USUAL: f32 = 0.85;

    /// `temperature` must be above 0; 1 changes nothing.
    pub fn new(temperature: f32) -> Self {
        Self { temperature }
    }
}

impl LogitsProcessor for PauseTemperature {
    fn process(&self, mut logits: ArrayViewMut2<'_, f32>) {
        let index = |shift: Shift| Token::from(Event::TimeShift(shift)).index();
        let mut pauses = logits.slice_mut(s![0, index(Shift::MIN)..=index(Shift::MAX)]);
        let before = log_sum(pauses.view());
        if before.is_finite() {
            pauses /= self.temperature;
            let after = log_sum(pauses.view());
            pauses += before - after;
        }
    }

    fn accept(&mut self, _: Token) {}
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::music::VOCABULARY;

    fn probabilities(temperature: f32, mut logits: Array2<f32>) -> Vec<f32> {
        PauseTemperature::new(temperature).process(logits.view_mut());
        let exp = logits.mapv(f32::exp);
        let sum = exp.sum();
        exp.iter().map(|weight| weight / sum).collect()
    }

    fn is_pause(id: usize) -> bool {
        Token::all().nth(id).is_some_and(|token| token.steps() > 0)
    }

    proptest! {
        #[test]
        fn pauses_alone_are_surer(temperature in 0.5_f32..1.0, values in proptest::collection::vec(-8.0_f32..8.0, VOCABULARY)) {
            let logits = Array2::from_shape_vec((1, VOCABULARY), values).unwrap();
            let (before, after) = (probabilities(1.0, logits.clone()), probabilities(temperature, logits));
            let share = |of: &[f32]| (0..VOCABULARY).filter(|&id| is_pause(id)).map(|id| of[id]).sum::<f32>();
            prop_assert!((share(&before) - share(&after)).abs() < 1e-4, "a pause is as likely");
            let best = (0..VOCABULARY).filter(|&id| is_pause(id)).max_by(|&a, &b| before[a].total_cmp(&before[b])).unwrap();
            prop_assert!(after[best] >= before[best] - 1e-5, "the likeliest is likelier");
            for id in (0..VOCABULARY).filter(|&id| !is_pause(id)) {
                prop_assert!((before[id] - after[id]).abs() < 1e-5, "{id} is as likely");
            }
        }
    }

    #[test]
    fn what_is_masked_stays_masked() {
        let pauses = || (0..VOCABULARY).filter(|&id| is_pause(id));
        let mut logits = Array2::zeros((1, VOCABULARY));
        pauses().for_each(|id| logits[[0, id]] = f32::NEG_INFINITY);
        let none = logits.clone();
        PauseTemperature::new(0.5).process(logits.view_mut());
        assert_eq!(logits, none, "there is no pause to choose");
        let two: Vec<usize> = pauses().take(2).collect();
        (logits[[0, two[0]]], logits[[0, two[1]]]) = (2.0_f32.ln(), 0.0);
        PauseTemperature::new(0.5).process(logits.view_mut());
        // 2 : 1 becomes 4 : 1, of 3.
        assert!((logits[[0, two[0]]].exp() - 2.4).abs() < 1e-5 && (logits[[0, two[1]]].exp() - 0.6).abs() < 1e-5);
        assert!(pauses().skip(2).all(|id| logits[[0, id]] == f32::NEG_INFINITY));
    }
}
