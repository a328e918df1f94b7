//! Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598): away from what is written without video.

use ndarray::{Array2, ArrayView2, Axis};

use crate::error::Result;
use crate::model::{Engine, Session};
use crate::music::Token;
use crate::video::Clip;

/// Opens so many `takes` of each of `clips`, whose logits are `free + guidance (seen - free)`: `seen` are the model's, `free` those of
/// a twin that is fed the same and sees no video. At 1, which is the model itself, and without any video there are no twins.
pub fn open<'e>(
    engine: &'e dyn Engine,
    mut clips: Vec<Clip>,
    takes: usize,
    guidance: f32,
) -> Result<Box<dyn Session + 'e>> {
    if guidance == 1.0 || clips.iter().all(|clip| clip.frames() == 0) {
        return engine.open_takes(&clips, takes);
    }
    clips.resize(2 * clips.len(), Clip::without_video(&engine.geometry()));
    let twins = engine.open_takes(&clips, takes)?;
    Ok(Box::new(Guided { twins, guidance, logits: Array2::default((0, 0)) }))
}

/// Lanes that see the video, and behind them as many twins that do not.
struct Guided<'e> {
    twins: Box<dyn Session + 'e>,
    guidance: f32,
    logits: Array2<f32>,
}

impl Session for Guided<'_> {
    fn lanes(&self) -> usize {
        self.twins.lanes() / 2
    }

    fn feed(&mut self, tokens: &[&[Token]]) -> Result<ArrayView2<'_, f32>> {
        let (seen, free) = self.twins.feed(&[tokens, tokens].concat())?.split_at(Axis(0), tokens.len());
        self.logits = (&seen - &free) * self.guidance + free;
        Ok(self.logits.view())
    }
}
