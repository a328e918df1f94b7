//! The shape of what a model sees.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::music::{STEPS_PER_SECOND, Score, Token, steps};

/// The shape of a model's input: windows of `frames` pictures of `height` x `width`, one every `frame_ms` milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Geometry {
    frames: usize,
    height: usize,
    width: usize,
    frame_ms: u64,
}

/// As it is written in files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    frames: usize,
    height: usize,
    width: usize,
    frame_ms: u64,
}

impl TryFrom<Fields> for Geometry {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let Fields { frames, height, width, frame_ms } = fields;
        Self::new(frames, height, width, frame_ms).ok_or_else(|| {
            let want = "1-4096 frames, rows and columns, and 1-86400000 ms (a day) a frame";
            format!("`geometry` must be {want}, but is {frames} frames of {height} x {width}, {frame_ms} ms each")
        })
    }
}

impl Geometry {
    /// The paper's clip (section 2): 40 pictures of 128 x 128 in 10 s.
    pub const PAPER: Self = Self { frames: 40, height: 128, width: 128, frame_ms: 250 };

    /// `None` unless `frames`, `height` and `width` are 1-4096, and `frame_ms` is 1-86,400,000 (a day).
    pub const fn new(frames: usize, height: usize, width: usize, frame_ms: u64) -> Option<Self> {
        const fn fits(count: usize) -> bool {
            1 <= count && count <= 4096
        }
        if fits(frames) && fits(height) && fits(width) && 1 <= frame_ms && frame_ms <= 86_400_000 {
            Some(Self { frames, height, width, frame_ms })
        } else {
            None
        }
    }

    /// The same for pictures of another size; `None` where that is out of range.
    pub const fn with_size(self, height: usize, width: usize) -> Option<Self> {
        Self::new(self.frames, height, width, self.frame_ms)
    }

    /// Pictures in a full window; a film's last window may hold fewer.
    pub const fn frames(&self) -> usize {
        self.frames
    }

    /// Rows of a picture.
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Columns of a picture.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Milliseconds that each picture stands for.
    pub const fn frame_ms(&self) -> u64 {
        self.frame_ms
    }

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
        Duration::from_millis(self.frame_ms.saturating_mul(frames as u64))
    }

    /// The moment that picture `frame` shows, from the first one's start: the middle of its share of time.
    pub fn time(&self, frame: usize) -> Duration {
        self.lasts(frame).saturating_add(Duration::from_micros(self.frame_ms * 500))
    }

    /// How many pictures a window of a composed piece begins behind the one before: a quarter of a window.
    pub(crate) fn hop(&self) -> usize {
        self.frames.div_ceil(4)
    }

    /// How many pictures of a window's end are left to the next: near the end of a fragment, models close notes that were
    /// cut there.
    pub(crate) fn lookahead(&self) -> usize {
        self.frames / 8
    }

    /// The most steps that a note of a composed piece lasts, at least 1: of a full window, what is shared with the next and
    /// composed, less a second (5.25 s of 10).
    ///
    /// Models learn from fragments, which leave out notes that are held from before. So there may be none: all that are held
    /// at a seam have begun within the music that the next window is fed. How long the last pause before a seam is, up to a
    /// second, is decided by the next window.
    pub fn max_note_steps(&self) -> u32 {
        let shared = self.frames - self.lookahead() - self.hop();
        steps(self.lasts(shared)).saturating_sub(STEPS_PER_SECOND).max(1)
    }

    /// The most steps of [`Options::primer`](crate::Options::primer): half a window.
    pub fn max_primer_steps(&self) -> u32 {
        steps(self.lasts(self.frames / 2))
    }

    /// The beginning of `music`, of at most [so many](Self::max_primer_steps) steps, as [`Options::primer`](crate::Options::primer).
    ///
    /// # Errors
    ///
    /// [`Error::Option`] if nothing sounds there.
    pub fn primer(&self, music: &Score) -> Result<Vec<Token>> {
        let most = self.max_primer_steps();
        let ends = music.notes().iter().filter(|note| note.start < most).map(|note| note.end.min(most));
        let silent = || Error::Option {
            option: "primer",
            want: "music with a note in the first half of a window",
            got: "silent there".into(),
        };
        Ok(music.beginning(ends.max().ok_or_else(silent)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometries_have_ranges() {
        for (frames, height, width, frame_ms) in [(1, 1, 1, 1), (4096, 4096, 4096, 86_400_000), (40, 128, 128, 250)] {
            let geometry = Geometry::new(frames, height, width, frame_ms).unwrap();
            assert_eq!(geometry.window(), Duration::from_millis(frames as u64 * frame_ms));
            assert!((1..=frames).contains(&geometry.hop()) && geometry.max_note_steps() > 0);
        }
        for (frames, height, width, frame_ms) in
            [(0, 1, 1, 1), (4097, 1, 1, 1), (1, 0, 1, 1), (1, 4097, 1, 1), (1, 1, 0, 1), (1, 1, usize::MAX, 1)]
                .into_iter()
                .chain([(1, 1, 1, 0), (1, 1, 1, 86_400_001), (1, 1, 1, u64::MAX)])
        {
            assert_eq!(Geometry::new(frames, height, width, frame_ms), None);
            let fields = Fields { frames, height, width, frame_ms };
            let want = format!("but is {frames} frames of {height} x {width}, {frame_ms} ms each");
            assert!(Geometry::try_from(fields).unwrap_err().ends_with(&want));
        }
    }

    #[test]
    fn no_picture_is_too_late_for_the_clock() {
        let slow = Geometry::new(4096, 1, 1, 86_400_000).unwrap();
        assert!(slow.time(usize::MAX) >= slow.lasts(usize::MAX) && slow.lasts(usize::MAX) > slow.window());
    }
}
