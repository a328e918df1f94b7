//! Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598): away from what is written without video, or without
//! knowing how dense and loud the music is to be.

use ndarray::{ArrayViewMut2, Axis};

use super::processor::LogitsProcessor;
use crate::error::Result;
use crate::model::{Engine, Session};
use crate::music::Token;
use crate::video::Clip;

/// How much it counts what the decoder is told; 1 is the model itself, 0 as if that were not told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Of the video.
    pub video: f32,
    /// Of density and loudness in the [`Conditions`](crate::Conditions).
    pub intensity: f32,
}

/// Mixes a lane's logits `[rows, 310]`. The first row is told all, each other not one thing, and for each of these counts
/// `(scale - 1) (first - other)` more.
#[derive(Clone, Debug)]
pub struct Guidance {
    /// Of each row but the first.
    scales: Vec<f32>,
}

impl Guidance {
    /// Opens `takes` lanes for each of `clips`; behind them as many that are fed the same and see no video, if that is to be
    /// scaled and there is any; and in the same way as many that are not told the intensity. With neither there is nothing to mix.
    ///
    /// # Errors
    ///
    /// As [`Engine::open_takes`].
    pub fn open(
        engine: &dyn Engine,
        mut clips: Vec<Clip>,
        takes: usize,
        scales: Scales,
    ) -> Result<(Box<dyn Session + '_>, Option<Self>)> {
        let blind = |clip: &Clip| Clip::without_video(&engine.geometry()).with_conditions(clip.conditions().clone());
        let level = |clip: &Clip| clip.clone().with_conditions(clip.conditions().without_intensity());
        let sees = |clip: &Clip| clip.frames() > 0;
        let told = clips.len();
        let mut used = Vec::new();
        if scales.video != 1.0 && clips.iter().any(sees) {
            clips.extend(clips.iter().map(blind).collect::<Vec<_>>());
            used.push(scales.video);
        }
        if scales.intensity != 1.0 && clips[..told].iter().any(|clip| clip.conditions().tell_intensity()) {
            clips.extend(clips[..told].iter().map(level).collect::<Vec<_>>());
            used.push(scales.intensity);
        }
        let guidance = (!used.is_empty()).then_some(Self { scales: used });
        Ok((engine.open_takes(&clips, takes)?, guidance))
    }
}

impl LogitsProcessor for Guidance {
    fn rows(&self) -> usize {
        1 + self.scales.len()
    }

    fn process(&self, logits: ArrayViewMut2<'_, f32>) {
        let (mut first, others) = logits.split_at(Axis(0), 1);
        let mut first = first.row_mut(0);
        let all = 1.0 + self.scales.iter().map(|scale| scale - 1.0).sum::<f32>();
        first *= all;
        for (scale, other) in self.scales.iter().zip(others.outer_iter()) {
            first.scaled_add(1.0 - scale, &other);
        }
    }

    fn is_model(&self) -> bool {
        true
    }

    fn accept(&mut self, _: Token) {}
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn each_row_counts_by_its_scale() {
        let mix = |scales: &[f32]| {
            let mut logits = array![[3.0, 1.0], [1.0, 2.0], [2.0, 0.0]];
            Guidance { scales: scales.to_vec() }.process(logits.view_mut());
            logits.row(0).to_vec()
        };
        assert_eq!(mix(&[1.0, 1.0]), [3.0, 1.0], "the model itself");
        assert_eq!(mix(&[0.0, 1.0]), [1.0, 2.0], "as without the first");
        assert_eq!(mix(&[1.0, 0.0]), [2.0, 0.0], "as without the second");
        assert_eq!(mix(&[3.0, 2.0]), [3.0 + 2.0 * 2.0 + 1.0, 1.0 - 2.0 + 1.0]);
    }
}
