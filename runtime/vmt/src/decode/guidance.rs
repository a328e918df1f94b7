//! Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598): away from what is written without video.

use ndarray::{ArrayViewMut2, s};

use super::processor::LogitsProcessor;
use crate::error::Result;
use crate::model::{Engine, Session};
use crate::music::Token;
use crate::video::Clip;

/// Mixes a lane's logits `[2, 310]`, with video and without: `without + scale (with - without)`.
#[derive(Clone, Copy, Debug)]
pub struct Guidance {
    scale: f32,
}

impl Guidance {
    /// Opens `takes` lanes for each of `clips`, and behind them as many that are fed the same and have no video. At scale 1,
    /// which is the model itself, and where no clip has video, those are left out, and there is nothing to mix.
    ///
    /// # Errors
    ///
    /// As [`Engine::open_takes`].
    pub fn open(
        engine: &dyn Engine,
        mut clips: Vec<Clip>,
        takes: usize,
        scale: f32,
    ) -> Result<(Box<dyn Session + '_>, Option<Self>)> {
        if scale == 1.0 || clips.iter().all(|clip| clip.frames() == 0) {
            return Ok((engine.open_takes(&clips, takes)?, None));
        }
        let without = |clip: &Clip| Clip::without_video(&engine.geometry()).with_conditions(clip.conditions().clone());
        clips.extend(clips.iter().map(without).collect::<Vec<_>>());
        Ok((engine.open_takes(&clips, takes)?, Some(Self { scale })))
    }
}

impl LogitsProcessor for Guidance {
    fn rows(&self) -> usize {
        2
    }

    fn process(&self, mut logits: ArrayViewMut2<'_, f32>) {
        let (mut with, without) = logits.multi_slice_mut((s![0, ..], s![1, ..]));
        with.zip_mut_with(&without, |with, &without| *with = (*with - without) * self.scale + without);
    }

    fn is_model(&self) -> bool {
        true
    }

    fn accept(&mut self, _: Token) {}
}
