//! Drawing the next token: temperature, top-k (Fan et al. 2018) and nucleus sampling (Holtzman et al. 2020).

use std::num::NonZeroUsize;

use ndarray::ArrayView1;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::music::Token;

/// How the next token is drawn from logits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Sampling {
    /// The softmax temperature, which divides the logits, 0-100; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Draws among this many of the likeliest tokens only (Fan et al. 2018).
    pub top_k: Option<NonZeroUsize>,
    /// Draws among the fewest tokens that are this likely together, in `0.0..=1.0` without 0 (nucleus sampling, Holtzman et
    /// al. 2020).
    pub top_p: f32,
    /// Seeds the random numbers (ChaCha8): another seed gives another piece, the same one the same.
    pub seed: u64,
}

/// Nucleus sampling: what is left out is what most of all falls off the beat and out of the key (measured in the card of
/// `onnx/vmt-beat`).
impl Default for Sampling {
    fn default() -> Self {
        Self::untruncated().with_top_p(0.9)
    }
}

impl Sampling {
    /// The model's own distribution, as in the paper.
    pub fn untruncated() -> Self {
        Self { temperature: 1.0, top_k: None, top_p: 1.0, seed: 0 }
    }

    /// The same, with this [`temperature`](Self::temperature).
    pub fn with_temperature(self, temperature: f32) -> Self {
        Self { temperature, ..self }
    }

    /// The same, with this [`top_k`](Self::top_k).
    pub fn with_top_k(self, top_k: impl Into<Option<NonZeroUsize>>) -> Self {
        Self { top_k: top_k.into(), ..self }
    }

    /// The same, with this [`top_p`](Self::top_p).
    pub fn with_top_p(self, top_p: f32) -> Self {
        Self { top_p, ..self }
    }

    /// The same, with this [`seed`](Self::seed).
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Checks that every number is in its range.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for the first that is not.
    pub fn validate(&self) -> Result<()> {
        if !(0.0..=100.0).contains(&self.temperature) {
            let (want, got) = ("within 0-100", self.temperature.to_string());
            return Err(Error::Option { option: "temperature", want, got });
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            let (want, got) = ("above 0 and at most 1", self.top_p.to_string());
            return Err(Error::Option { option: "top_p", want, got });
        }
        Ok(())
    }

    /// Draws a token by its `logits`, `[310]`, where minus infinity rules one out.
    ///
    /// The draw depends on the seed, `lane` and `step` alone, not on what was drawn before or beside it.
    ///
    /// # Errors
    ///
    /// If an option is out of its range, or a logit is NaN or plus infinity, or all are minus infinity.
    pub fn sample(&self, logits: ArrayView1<f32>, lane: usize, step: u64) -> Result<Token> {
        self.validate()?;
        check(logits, lane)?;
        let most = logits.fold(f32::NEG_INFINITY, |most, &logit| most.max(logit));
        // The lower id among equals.
        let best = Token::all().find(|token| logits[token.index()] == most).filter(|_| most > f32::NEG_INFINITY);
        let Some(best) = best else { return Err(Error::NoToken { lane }) };
        if self.temperature == 0.0 {
            return Ok(best);
        }

        // Weights, the best one's being 1: nothing can overflow.
        let weight = |logit: f32| ((f64::from(logit) - f64::from(most)) / f64::from(self.temperature)).exp();
        let open = Token::all().filter(|token| logits[token.index()] > f32::NEG_INFINITY);
        let mut choices: Vec<_> = open.map(|token| (token, weight(logits[token.index()]))).collect();
        let by_weight = |a: &(Token, f64), b: &(Token, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if let Some(k) = self.top_k.filter(|k| k.get() < choices.len()) {
            choices.select_nth_unstable_by(k.get(), by_weight);
            choices.truncate(k.get());
        }
        if self.top_p < 1.0 {
            let (all, top_p) = (total(&choices), f64::from(self.top_p));
            // What is less likely than an even share of what may be left out is left out: few are to be sorted.
            let least = (1.0 - top_p) * all / choices.len() as f64;
            choices.retain(|&(_, weight)| weight >= least);
            choices.sort_unstable_by(by_weight);
            let mut mass = 0.0;
            let short = choices.iter().take_while(|(_, weight)| {
                mass += weight;
                mass < top_p * all
            });
            let keep = short.count() + 1;
            choices.truncate(keep);
        }

        // In the order of ids, so that two tokens that are about as likely do not swap places between engines.
        choices.sort_unstable_by_key(|&(token, _)| token);
        let mut mass = 0.0;
        let drawn = uniform(self.seed, lane as u64, step) * total(&choices);
        let reached = choices.iter().find(|(_, weight)| {
            mass += weight;
            mass > drawn
        });
        Ok(reached.map_or(best, |&(token, _)| token))
    }
}

/// Checks that a model's `logits`, `[310]`, are numbers or minus infinity.
pub(crate) fn check(logits: ArrayView1<f32>, lane: usize) -> Result<()> {
    let broken = logits.iter().position(|&logit| logit.is_nan() || logit == f32::INFINITY);
    broken.map_or(Ok(()), |token| Err(Error::Logits { lane, token, value: logits[token] }))
}

/// The natural logarithm of the probability that `logits`, `[310]`, give `token`, and the entropy of their distribution in nats.
pub(crate) fn log_probability(logits: ArrayView1<f32>, token: Token) -> (f64, f64) {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut sum, mut weighted) = (0.0, 0.0);
    for logit in logits.iter().map(|&logit| f64::from(logit - most)).filter(|&logit| logit > f64::NEG_INFINITY) {
        let weight = logit.exp();
        sum += weight;
        weighted += logit * weight;
    }
    (f64::from(logits[token.index()] - most) - sum.ln(), sum.ln() - weighted / sum)
}

fn total(choices: &[(Token, f64)]) -> f64 {
    choices.iter().map(|(_, weight)| weight).sum()
}

/// A number in `0.0..1.0`: draw `step` of ChaCha8 with this seed, on stream `lane`.
fn uniform(seed: u64, lane: u64, step: u64) -> f64 {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(lane);
    generator.set_word_pos(2 * u128::from(step));
    (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;
    use proptest::prelude::*;

    use super::*;
    use crate::music::VOCABULARY;

    /// Logits that are `rest` but for a few.
    fn logits(rest: f32, few: &[(u16, f32)]) -> Array1<f32> {
        let mut logits = Array1::from_elem(VOCABULARY, rest);
        for &(id, logit) in few {
            logits[usize::from(id)] = logit;
        }
        logits
    }

    /// The same logits, but all tokens except those of `ids` are masked.
    fn only(ids: &[u16], mut logits: Array1<f32>) -> Array1<f32> {
        logits.indexed_iter_mut().filter(|(id, _)| !ids.contains(&(*id as u16))).for_each(|(_, logit)| *logit = NEVER);
        logits
    }

    /// How often each id comes in 4000 draws.
    fn counts(sampling: Sampling, logits: &Array1<f32>) -> [usize; VOCABULARY] {
        let mut counts = [0; VOCABULARY];
        for step in 0..4000 {
            counts[sampling.sample(logits.view(), 0, step).unwrap().index()] += 1;
        }
        counts
    }

    const NEVER: f32 = f32::NEG_INFINITY;

    #[test]
    fn draws_follow_the_softmax() {
        let (half, quarter) = (0.5_f32.ln(), 0.25_f32.ln());
        let counts = counts(Sampling::default(), &logits(NEVER, &[(3, quarter), (7, half), (300, quarter)]));
        assert_eq!(counts[3] + counts[7] + counts[300], 4000);
        assert!((1900..2100).contains(&counts[7]), "{}", counts[7]);
        assert!((900..1100).contains(&counts[3]), "{}", counts[3]);
    }

    #[test]
    fn temperature_sharpens() {
        let logits = logits(NEVER, &[(3, 0.0), (7, 1.0)]);
        let share = |temperature| counts(Sampling { temperature, ..Sampling::default() }, &logits)[7];
        assert!((2780..3060).contains(&share(1.0)), "{}", share(1.0));
        assert!((3400..3640).contains(&share(0.5)), "{}", share(0.5));
        assert_eq!(share(f32::from_bits(1)), 4000);
        assert!((1900..2100).contains(&share(100.0)), "{}", share(100.0));
    }

    #[test]
    fn the_mask_is_kept() {
        let counts = counts(Sampling::default(), &only(&[5, 6], logits(0.0, &[(1, 50.0)])));
        assert_eq!(counts[5] + counts[6], 4000);
        assert!(counts[5] > 1800 && counts[6] > 1800);
    }

    #[test]
    fn top_k_and_top_p_keep_the_likeliest() {
        let logits = logits(NEVER, &[(3, 0.4_f32.ln()), (7, 0.3_f32.ln()), (9, 0.2_f32.ln()), (11, 0.1_f32.ln())]);
        let drawn = |top_k, top_p| {
            let counts = counts(Sampling { top_k: NonZeroUsize::new(top_k), top_p, ..Sampling::default() }, &logits);
            Vec::from_iter((0..VOCABULARY).filter(|&id| counts[id] > 0))
        };
        assert_eq!(drawn(0, 1.0), [3, 7, 9, 11]);
        assert_eq!(drawn(2, 1.0), [3, 7]);
        assert_eq!(drawn(1000, 1.0), [3, 7, 9, 11]);
        assert_eq!(drawn(0, 0.1), [3]);
        assert_eq!(drawn(0, 0.65), [3, 7]);
        assert_eq!(drawn(0, 0.75), [3, 7, 9]);
        assert_eq!(drawn(2, 0.5), [3]);
    }

    #[test]
    fn greedy_takes_the_lowest_of_equals() {
        let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
        let logits = logits(0.0, &[(9, 2.0), (4, 2.0)]);
        assert_eq!(greedy.sample(logits.view(), 0, 0).unwrap().id(), 4);
        assert_eq!(greedy.sample(only(&[9, 10], logits).view(), 0, 0).unwrap().id(), 9);
    }

    #[test]
    fn a_token_has_a_probability_among_others() {
        let (half, quarter) = (0.5_f32.ln(), 0.25_f32.ln());
        let (probability, entropy) =
            log_probability(logits(NEVER, &[(3, quarter), (7, half), (9, quarter)]).view(), Token::new(3).unwrap());
        assert!((probability - 0.25_f64.ln()).abs() < 1e-6 && (entropy - 1.5 * 2_f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn the_draw_is_named() {
        // ChaCha8, 64-bit seed 7, stream 2, 64-bit words 0, 1 and 1000. Other numbers would be other music.
        let drawn = [0, 1, 1000].map(|step| (uniform(7, 2, step) * 1e6) as u32);
        assert_eq!(drawn, [300_128, 377_544, 89_314]);
    }

    #[track_caller]
    fn refused(sampling: Sampling, logits: Array1<f32>, message: &str) {
        assert_eq!(sampling.sample(logits.view(), 2, 0).unwrap_err().to_string(), message);
    }

    #[test]
    fn broken_logits_are_errors() {
        let of = |value, token| {
            format!(
                "the model gave {value} as the logit of token {token} in lane 2: its weights or its input are broken"
            )
        };
        refused(Sampling::default(), logits(0.0, &[(300, f32::NAN)]), &of("NaN", 300));
        refused(Sampling::default(), logits(0.0, &[(5, f32::INFINITY)]), &of("inf", 5));
        let want = "no token can follow in lane 2: the model gave minus infinity to all that may";
        refused(Sampling::default(), logits(NEVER, &[]), want);
    }

    #[test]
    fn options_have_ranges() {
        let with = |temperature, top_p| Sampling { temperature, top_p, ..Sampling::default() };
        let zeros = || logits(0.0, &[]);
        refused(with(-0.5, 1.0), zeros(), "temperature must be within 0-100, but is -0.5");
        refused(with(f32::NAN, 1.0), zeros(), "temperature must be within 0-100, but is NaN");
        refused(with(f32::INFINITY, 1.0), zeros(), "temperature must be within 0-100, but is inf");
        refused(with(1.0, 0.0), zeros(), "top_p must be above 0 and at most 1, but is 0");
        refused(with(1.0, 1.5), zeros(), "top_p must be above 0 and at most 1, but is 1.5");
        refused(with(1.0, f32::NAN), zeros(), "top_p must be above 0 and at most 1, but is NaN");
        assert!(with(0.0, 1.0).validate().is_ok());
    }

    proptest! {
        #[test]
        fn one_key_is_one_token(seed: u64, lane: usize, step: u64, values in proptest::collection::vec(-1e30_f32..1e30, VOCABULARY)) {
            let logits = Array1::from_vec(values);
            let sampling = Sampling { seed, ..Sampling::default() };
            let token = sampling.sample(logits.view(), lane, step).unwrap();
            prop_assert_eq!(sampling.sample(logits.view(), lane, step).unwrap(), token);

            let greedy = Sampling { temperature: 0.0, ..sampling }.sample(logits.view(), lane, step).unwrap();
            let one = Sampling { top_k: NonZeroUsize::new(1), ..sampling }.sample(logits.view(), lane, step).unwrap();
            prop_assert_eq!(one, greedy);
        }
    }
}
