//! What a model is given of a window.

use std::sync::Arc;

use ndarray::{Array4, ArrayView4};

use super::geometry::Geometry;
use crate::error::Result;
use crate::music::Conditions;

/// RGB pictures in `0..=255`, shape `[frames, 3, height, width]`, none where there is no video; and what is known of the
/// music, by default nothing.
///
/// The graphs scale the bytes themselves, so that no caller can scale them differently.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    pixels: Array4<u8>,
    conditions: Arc<Conditions>,
}

impl Clip {
    /// Checks that `frames` has the shape `[1..=geometry.frames, 3, height, width]`.
    pub fn new(frames: Array4<u8>, geometry: &Geometry) -> Result<Self> {
        if frames.is_empty() {
            return Err(geometry.refuse(frames.shape()));
        }
        let clip = Self { pixels: frames, conditions: Arc::default() };
        clip.check(geometry)?;
        Ok(clip)
    }

    /// Checks that this is a clip for a model of this `geometry`: `[0..=geometry.frames, 3, height, width]`.
    pub fn check(&self, geometry: &Geometry) -> Result<()> {
        let (count, channels, height, width) = self.pixels.dim();
        if count > geometry.frames() || (channels, height, width) != (3, geometry.height(), geometry.width()) {
            return Err(geometry.refuse(self.pixels.shape()));
        }
        Ok(())
    }

    /// No video at all: the model writes as it does when it sees nothing.
    pub fn without_video(geometry: &Geometry) -> Self {
        let pixels = Array4::zeros((0, 3, geometry.height(), geometry.width()));
        Self { pixels, conditions: Arc::default() }
    }

    /// The same, with these conditions for its music, their steps counted from the window's beginning. A model that has no
    /// use for some of them does without.
    pub fn with_conditions(self, conditions: impl Into<Arc<Conditions>>) -> Self {
        Self { conditions: conditions.into(), ..self }
    }

    /// What is known of the music.
    pub fn conditions(&self) -> &Arc<Conditions> {
        &self.conditions
    }

    /// Number of pictures; 0 without video.
    pub fn frames(&self) -> usize {
        self.pixels.dim().0
    }

    /// The pictures, `[frames, 3, height, width]`.
    pub fn pixels(&self) -> ArrayView4<'_, u8> {
        self.pixels.view()
    }
}
