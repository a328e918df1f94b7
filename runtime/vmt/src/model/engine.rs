//! What every engine can do. Weights are shared and never change; what changes while decoding belongs to one session.

use std::iter;

use ndarray::{ArrayD, ArrayView2};

use crate::error::{Error, Result};
use crate::music::Token;
use crate::video::{Clip, Geometry};

/// The most takes of a clip that are decoded side by side.
pub const MAX_TAKES: usize = 1024;

/// Checks that `takes` is at most [`MAX_TAKES`].
pub(crate) fn check_takes(takes: usize) -> Result<()> {
    if takes > MAX_TAKES {
        return Err(Error::Option { option: "takes", want: "at most 1024", got: takes.to_string() });
    }
    Ok(())
}

/// A model that is ready to run.
pub trait Engine: Send + Sync {
    /// `tract`, `ort`, ... for people to read.
    fn name(&self) -> String;

    /// The clips that the model expects.
    fn geometry(&self) -> Geometry;

    /// Encodes `clips` (one per lane; they may differ in length, or have [no video](Clip::without_video)) and opens a
    /// session that decodes them side by side.
    ///
    /// # Errors
    ///
    /// If there is no clip, [`Error::ClipShape`] for one that the model does not take, and [`Error::Engine`] where the
    /// engine fails.
    fn open(&self, clips: &[Clip]) -> Result<Box<dyn Session + '_>>;

    /// The same with `takes` lanes for each clip, those of the first clip first; engines that can encode a clip only once.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`Error::Option`] for more takes than [`MAX_TAKES`].
    fn open_takes(&self, clips: &[Clip], takes: usize) -> Result<Box<dyn Session + '_>> {
        check_takes(takes)?;
        self.open(&clips.iter().flat_map(|clip| iter::repeat_n(clip.clone(), takes)).collect::<Vec<_>>())
    }

    /// What the encoder gives for `clips`, in the manifest's order, for comparing engines. Behind a clip that is shorter than
    /// others may stand anything.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    fn context(&self, clips: &[Clip]) -> Result<Vec<ArrayD<f32>>>;
}

/// A batch of pieces being decoded, and the memory of each.
pub trait Session: Send {
    /// Number of pieces decoded side by side.
    fn lanes(&self) -> usize;

    /// Feeds at least one token to each lane (a start token, a primer, ...; lanes may differ in number) and returns the
    /// logits `[lanes, 310]` of what follows the last token of each.
    ///
    /// # Errors
    ///
    /// If a lane is left out, which changes nothing, or the engine fails.
    fn feed(&mut self, tokens: &[&[Token]]) -> Result<ArrayView2<'_, f32>>;

    /// Feeds one token to each lane.
    ///
    /// # Errors
    ///
    /// As [`feed`](Self::feed).
    fn step(&mut self, tokens: &[Token]) -> Result<ArrayView2<'_, f32>> {
        self.feed(&tokens.iter().map(std::slice::from_ref).collect::<Vec<_>>())
    }
}
