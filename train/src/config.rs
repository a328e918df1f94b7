//! What a model looks like, as a YAML file (`train/configs`).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use vmt::Geometry;

use crate::{Model, Seq2Seq, Vmt};

/// Sizes of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// `seq2seq`, or `vmt` with its sizes.
    #[serde(with = "serde_yaml::with::singleton_map")]
    pub model: Architecture,
    /// The clips it sees.
    pub geometry: Geometry,
    /// Filters of the three convolutions.
    pub filters: [usize; 3],
    /// The last feature map is averaged in `cells x cells` parts, which are seen side by side. The paper averages over
    /// all of it, `1` (the default): then a picture's vector does not know where in the picture things are.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub cells: usize,
    /// Whether a picture is seen beside the one before it ([`ConvEncoder`](crate::frames::ConvEncoder)). In the paper it is
    /// seen alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub motion: bool,
    /// Whether the decoder is told of metre, hit points, key and intensity ([`vmt::Condition`]). In the paper it is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conditions: bool,
    /// Size of the vector of a picture or event.
    pub hidden: usize,
    /// Layers of the encoder and of the decoder; the GRU's layers, which serve as both.
    pub layers: usize,
    /// Share of values dropped in training, `0..1`.
    pub dropout: f64,
}

/// Which model, and what only that model has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Architecture {
    /// The transformer, [`Vmt`].
    Vmt {
        /// Attention heads.
        heads: usize,
        /// Inner size of the feed-forward layers.
        feed_forward: usize,
        /// Whether the decoder knows how much time its events have taken, and looks first at what is shown then
        /// ([`Clock`](crate::vmt::Clock)). In the paper it does not.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        clock: bool,
        /// Whether the decoder knows which keys are down ([`keys`](crate::Vmt::keys)). In the paper it does not.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keys: bool,
        /// Whether the decoder looks first at what was just played ([`recency`](crate::vmt::recency)). In the paper it does
        /// not.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        recency: bool,
    },
    /// The recurrent baseline, [`Seq2Seq`].
    Seq2Seq,
}

fn one() -> usize {
    1
}

fn is_one(cells: &usize) -> bool {
    *cells == 1
}

impl ModelConfig {
    /// Reads and checks a file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let read = || Self::parse(&fs::read_to_string(path)?);
        read().with_context(|| path.display().to_string())
    }

    /// Reads and checks YAML.
    pub fn parse(yaml: &str) -> Result<Self> {
        let config: Self = serde_yaml::from_str(yaml)?;
        config.check()?;
        Ok(config)
    }

    /// The model with its first weights: the same `seed` gives the same weights on every device.
    pub fn init(&self, seed: u64, device: &Device) -> Model {
        match self.model {
            Architecture::Vmt { heads, feed_forward, clock, keys, recency } => {
                let parts = [clock, keys, recency, self.conditions];
                Model::Vmt(Vmt::new(self, [heads, feed_forward], parts, seed, device))
            }
            Architecture::Seq2Seq => Model::Seq2Seq(Seq2Seq::new(self, seed, device)),
        }
    }

    fn check(&self) -> Result<()> {
        let Self { geometry, filters, cells, hidden, layers, dropout, .. } = self;
        let at_least_one = |name: &str, value: usize| {
            ensure!(value > 0, "{name}: must be at least 1, but is 0");
            Ok(())
        };
        at_least_one("cells", *cells)?;
        at_least_one("geometry.frames", geometry.frames())?;
        at_least_one("geometry.frame_ms", geometry.frame_ms() as usize)?;
        for (name, side) in [("geometry.height", geometry.height()), ("geometry.width", geometry.width())] {
            at_least_one(name, side)?;
            ensure!(
                side.is_multiple_of(8),
                "{name}: must be a multiple of 8 (it is halved three times), but is {side}"
            );
            ensure!(
                (side / 8).is_multiple_of(*cells),
                "cells: must divide the last feature map, an eighth of {name} = {side}, but is {cells}"
            );
        }
        for &count in filters {
            at_least_one("filters", count)?;
        }
        at_least_one("hidden", *hidden)?;
        at_least_one("layers", *layers)?;
        ensure!((0.0..1.0).contains(dropout), "dropout: must be in 0..1, but is {dropout}");
        if let Architecture::Vmt { heads, feed_forward, .. } = self.model {
            at_least_one("model.vmt.heads", heads)?;
            at_least_one("model.vmt.feed_forward", feed_forward)?;
            ensure!(hidden.is_multiple_of(2), "hidden: must be even (sines and cosines), but is {hidden}");
            ensure!(hidden.is_multiple_of(heads), "hidden: must be a multiple of {heads} heads, but is {hidden}");
        }
        Ok(())
    }
}
