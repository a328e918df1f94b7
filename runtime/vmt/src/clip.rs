//! Pictures as the models see them.

use std::time::Duration;

use ndarray::{Array4, ArrayView4};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What a model expects to see: `frames` pictures of `height` x `width`, one every `frame_ms` milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// Pictures in a full window; a shorter window holds fewer.
    pub frames: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Milliseconds that each picture stands for.
    pub frame_ms: u64,
}

impl Geometry {
    /// The paper's clip (section 2): 40 pictures of 128 x 128 in 10 s.
    pub const PAPER: Self = Self { frames: 40, height: 128, width: 128, frame_ms: 250 };

    /// The length of a full window.
    pub fn window(&self) -> Duration {
        Duration::from_millis(self.frame_ms * self.frames as u64)
    }

    /// The moment that picture `frame` of a window shows, from the window's start: the middle of its share of time.
    pub fn time(&self, frame: usize) -> Duration {
        Duration::from_micros(self.frame_ms * (2 * frame as u64 + 1) * 500)
    }
}

/// RGB pictures in `0..=255`, shape `[frames, 3, height, width]`.
///
/// The graphs scale the bytes themselves, so that no caller can scale them differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip(Array4<u8>);

impl Clip {
    /// Checks that `frames` has the shape `[1..=geometry.frames, 3, height, width]`.
    pub fn new(frames: Array4<u8>, geometry: &Geometry) -> Result<Self> {
        let (count, channels, height, width) = frames.dim();
        let fits = (1..=geometry.frames).contains(&count);
        if !fits || (channels, height, width) != (3, geometry.height, geometry.width) {
            return Err(Error::ClipShape { got: frames.shape().to_vec(), want: *geometry });
        }
        Ok(Self(frames))
    }

    /// Number of pictures.
    pub fn frames(&self) -> usize {
        self.0.dim().0
    }

    /// The pictures, `[frames, 3, height, width]`.
    pub fn pixels(&self) -> ArrayView4<'_, u8> {
        self.0.view()
    }
}
