//! The shape of what a model sees.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::music::{STEPS_PER_SECOND, steps};

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

    /// The error for a clip of another shape than `[1..=frames, 3, height, width]`.
    pub(crate) fn refuse(&self, got: &[usize]) -> Error {
        Error::ClipShape { want: [self.frames, 3, self.height, self.width], got: got.to_vec() }
    }

    /// The length of a full window.
    pub fn window(&self) -> Duration {
        self.lasts(self.frames)
    }

    /// How long so many pictures last.
    pub(crate) fn lasts(&self, frames: usize) -> Duration {
        Duration::from_millis(self.frame_ms * frames as u64)
    }

    /// The pictures of a window of this `duration`: one for each moment [`Self::time`] before its end, and at least one.
    pub fn pictures(&self, duration: Duration) -> usize {
        1 + (1..self.frames).take_while(|&frame| self.time(frame) < duration).count()
    }

    /// The moment that picture `frame` of a window shows, from the window's start: the middle of its share of time.
    pub fn time(&self, frame: usize) -> Duration {
        Duration::from_micros(self.frame_ms * (2 * frame as u64 + 1) * 500)
    }

    /// How many pictures of a window's end are left to the next: near the end of a fragment, models close notes that were
    /// cut there.
    pub(crate) fn ahead(&self) -> usize {
        self.frames / 8
    }

    /// The most steps that a note of a composed piece lasts, at least 1: what is heard again of a full window, less a
    /// second (5.25 s of 10).
    ///
    /// Models learn from fragments, which leave out what sounds on from before. So nothing may do so: all that sounds at a
    /// seam has begun in what is heard again. How long the last pause before a seam is, up to a second, is decided behind it.
    pub fn longest_note(&self) -> u32 {
        let again = self.frames - self.ahead() - self.frames.div_ceil(4);
        steps(self.lasts(again)).saturating_sub(STEPS_PER_SECOND).max(1)
    }
}
