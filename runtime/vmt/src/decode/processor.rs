//! What stands between a model's logits and the sampler.

use ndarray::{ArrayView1, ArrayViewMut1, ArrayViewMut2};

use crate::music::{Event, Token};

/// A link of the chain that changes a lane's logits before a token is sampled, as in other decoders' logits processors.
///
/// The [`Generator`](super::Generator) calls [`process`](Self::process) for each step of a lane, and
/// [`accept`](Self::accept) with what was sampled. What a chain does is up to its links: [`Guidance`](super::Guidance)
/// mixes rows, a [`DensityBias`](super::DensityBias) shifts logits, a [`Grammar`](super::Grammar) masks those that may not
/// follow, and [`Unconstrained`](super::Unconstrained) only counts.
pub trait LogitsProcessor: Send {
    /// Rows of the session for each lane.
    fn rows(&self) -> usize {
        1
    }

    /// Changes `logits`, `[rows, 310]`; the first row is what goes to the next link, and in the end to the sampler.
    fn process(&self, logits: ArrayViewMut2<'_, f32>);

    /// Whether the result still is the distribution of the model, by which tokens are scored
    /// ([`SampledToken::log_probability`](super::SampledToken::log_probability)), and not a constraint upon it.
    fn is_model(&self) -> bool {
        false
    }

    /// Goes on after `token`, which is one of the prefix or was sampled.
    fn accept(&mut self, token: Token);

    /// Whether the lane stops before `token`, which then is none of its tokens.
    fn stops_before(&self, token: Token) -> bool {
        let _ = token;
        false
    }

    /// Whether no more tokens follow.
    fn stopped(&self) -> bool {
        false
    }
}

/// Minus infinity for what is `masked`, if something else is left.
pub(super) fn mask(logits: &mut ArrayViewMut1<'_, f32>, masked: impl Fn(Event) -> bool) {
    let open = |token: Token| logits[token.index()] > f32::NEG_INFINITY;
    if Token::all().any(|token| open(token) && !masked(token.into())) {
        Token::all().filter(|&token| masked(token.into())).for_each(|token| logits[token.index()] = f32::NEG_INFINITY);
    }
}

/// The logarithm of the sum of exponentials: the logit of one token in place of all these.
pub(super) fn log_sum(logits: ArrayView1<'_, f32>) -> f32 {
    let most = logits.fold(f32::NEG_INFINITY, |most, &logit| most.max(logit));
    if most.is_finite() { most + logits.mapv(|logit| (logit - most).exp()).sum().ln() } else { most }
}
