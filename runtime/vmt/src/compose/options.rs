//! How to compose.

use serde::{Deserialize, Serialize};

use crate::decode::{Controls, Grammar, LogitsProcessor as _, Sampling};
use crate::error::{Error, Result};
use crate::music::{Conditions, Event, Token, time};
use crate::video::Geometry;

/// How to compose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Options {
    /// How tokens are drawn from the logits.
    pub sampling: Sampling,
    /// The scale of classifier-free guidance (Ho & Salimans 2022), `0.0..=10.0`: how much of the difference that the video
    /// makes in the logits counts. 0 composes as without video, 1 is the model, more exaggerates. Other than 1 takes twice
    /// the lanes.
    pub guidance: f32,
    /// The same for density and loudness in [`conditions`](Self::conditions): more than 1 keeps the music closer to them, and a
    /// [`cadence`](Self::cadence) too.
    #[serde(default = "unguided", skip_serializing_if = "is_unguided")]
    pub intensity_guidance: f32,
    /// Takes whatever the model gives, playable or not, instead of keeping to the grammar; each window on its own.
    pub unconstrained: bool,
    /// What the music must keep to.
    pub controls: Controls,
    /// What is known of the music before it is written, its steps counted from the film's beginning; by default nothing. A
    /// model that was not trained with [conditions](crate::Condition) does without.
    #[serde(default, skip_serializing_if = "Conditions::is_unknown")]
    pub conditions: Conditions,
    /// Notes begin only on the sixteenths and the triplets of the beats in [`conditions`](Self::conditions). If not, and there are
    /// beats, how long pauses last is drawn at a temperature of 0.85 times that of [`sampling`](Self::sampling).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quantize: bool,
    /// A note is struck at each hit point in [`conditions`](Self::conditions). If not, the model is told of them all the same.
    #[serde(default = "struck", skip_serializing_if = "Clone::clone")]
    pub strike_hits: bool,
    /// The music ends on the tonic chord, struck on the last downbeat before the [`end`](Conditions::end) and held to it; with
    /// [`intensity_guidance`](Self::intensity_guidance) above 1, where it is to be dense there, played on to the last beat.
    /// Without a key in [`conditions`](Self::conditions), the key is that of the last seconds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cadence: bool,
    /// What the piece begins with and continues, such as [`Score::beginning`](crate::Score::beginning); at most half a
    /// window. It takes the place of music for the film's first seconds.
    pub primer: Vec<Token>,
}

/// Guidance of records that do not say.
fn unguided() -> f32 {
    1.0
}

fn is_unguided(scale: &f32) -> bool {
    *scale == unguided()
}

/// Hit points of records that do not say.
fn struck() -> bool {
    true
}

/// The model under the grammar, and nothing else.
impl Default for Options {
    fn default() -> Self {
        Self {
            sampling: Sampling::default(),
            guidance: 1.0,
            intensity_guidance: unguided(),
            unconstrained: false,
            controls: Controls::default(),
            primer: Vec::new(),
            conditions: Conditions::default(),
            quantize: false,
            strike_hits: struck(),
            cadence: false,
        }
    }
}

impl Options {
    /// The usual [`intensity_guidance`](Self::intensity_guidance) for curves that were drawn by hand, which are meant: with it (and a
    /// [`cadence`](Self::cadence) that follows) the rank correlations of density and loudness with such curves are .89 and .93.
    pub const BY_HAND_INTENSITY_GUIDANCE: f32 = 6.0;

    /// The same, with this [`sampling`](Self::sampling).
    pub fn with_sampling(self, sampling: Sampling) -> Self {
        Self { sampling, ..self }
    }

    /// The same, with this [`guidance`](Self::guidance).
    pub fn with_guidance(self, guidance: f32) -> Self {
        Self { guidance, ..self }
    }

    /// The same, with this [`intensity_guidance`](Self::intensity_guidance).
    pub fn with_intensity_guidance(self, intensity_guidance: f32) -> Self {
        Self { intensity_guidance, ..self }
    }

    /// The same, with this [`unconstrained`](Self::unconstrained).
    pub fn with_unconstrained(self, unconstrained: bool) -> Self {
        Self { unconstrained, ..self }
    }

    /// The same, with this [`controls`](Self::controls).
    pub fn with_controls(self, controls: Controls) -> Self {
        Self { controls, ..self }
    }

    /// The same, with these [`conditions`](Self::conditions).
    pub fn with_conditions(self, conditions: Conditions) -> Self {
        Self { conditions, ..self }
    }

    /// The same, with this [`quantize`](Self::quantize).
    pub fn with_quantize(self, quantize: bool) -> Self {
        Self { quantize, ..self }
    }

    /// The same, with this [`strike_hits`](Self::strike_hits).
    pub fn with_strike_hits(self, strike_hits: bool) -> Self {
        Self { strike_hits, ..self }
    }

    /// The same, with this [`cadence`](Self::cadence).
    pub fn with_cadence(self, cadence: bool) -> Self {
        Self { cadence, ..self }
    }

    /// The same, with this [`primer`](Self::primer).
    pub fn with_primer(self, primer: Vec<Token>) -> Self {
        Self { primer, ..self }
    }

    /// How many pictures each window must begin behind the one before, for a model of this `geometry`: a quarter of a window,
    /// or a whole one where the piece is unconstrained.
    pub fn hop(&self, geometry: &Geometry) -> usize {
        if self.unconstrained { geometry.frames() } else { geometry.hop() }
    }

    /// Checks that all of them are in their ranges and go together, for a model of this `geometry`.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for the first that is not.
    pub fn validate(&self, geometry: Geometry) -> Result<()> {
        self.sampling.validate()?;
        self.controls.validate()?;
        for (option, scale) in [("guidance", self.guidance), ("intensity guidance", self.intensity_guidance)] {
            if !(0.0..=10.0).contains(&scale) {
                return Err(Error::Option { option, want: "within 0-10", got: scale.to_string() });
            }
        }
        if self.unconstrained && (self.controls != Controls::default() || !self.primer.is_empty()) {
            let want = "off where there are controls or a primer, which need the grammar";
            return Err(Error::Option { option: "unconstrained", want, got: "on".into() });
        }
        self.check_primer(geometry)
    }

    fn check_primer(&self, geometry: Geometry) -> Result<()> {
        let refuse = |want, got| Err(Error::Option { option: "primer", want, got });
        let most = geometry.max_primer_steps();
        // A step more, so that keys may come up at the end.
        let mut grammar = Grammar::new(most + 1, usize::MAX)?.open_ended();
        for (place, &token) in self.primer.iter().enumerate() {
            if token.steps() >= grammar.rest() {
                return refuse("at most half a window", format!("over {:?}", time(most)));
            }
            if !grammar.allowed()[token.index()] {
                return refuse("playable from token to token", format!("{:?} at place {place}", Event::from(token)));
            }
            grammar.accept(token);
        }
        Ok(())
    }
}
