//! Pictures as the models see them.

use ndarray::{Array4, ArrayView4};

use super::geometry::Geometry;
use crate::error::Result;

/// RGB pictures in `0..=255`, shape `[frames, 3, height, width]`; none where there is no video.
///
/// The graphs scale the bytes themselves, so that no caller can scale them differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip(Array4<u8>);

impl Clip {
    /// Checks that `frames` has the shape `[1..=geometry.frames, 3, height, width]`.
    pub fn new(frames: Array4<u8>, geometry: &Geometry) -> Result<Self> {
        if frames.is_empty() {
            return Err(geometry.refuse(frames.shape()));
        }
        let clip = Self(frames);
        clip.check(geometry)?;
        Ok(clip)
    }

    /// Checks that this is a clip for a model of this `geometry`: `[0..=geometry.frames, 3, height, width]`.
    pub fn check(&self, geometry: &Geometry) -> Result<()> {
        let (count, channels, height, width) = self.0.dim();
        if count > geometry.frames || (channels, height, width) != (3, geometry.height, geometry.width) {
            return Err(geometry.refuse(self.0.shape()));
        }
        Ok(())
    }

    /// No video at all: the model writes as it does when it sees nothing.
    pub fn without_video(geometry: &Geometry) -> Self {
        Self(Array4::zeros((0, 3, geometry.height, geometry.width)))
    }

    /// Number of pictures; 0 without video.
    pub fn frames(&self) -> usize {
        self.0.dim().0
    }

    /// The pictures, `[frames, 3, height, width]`.
    pub fn pixels(&self) -> ArrayView4<'_, u8> {
        self.0.view()
    }
}
