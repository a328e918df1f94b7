//! The configuration of a model, as a YAML file (`train/configs`).
//!
//! Where serde writes another name than it reads, that name is part of the format of released bundles.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use vmt::Geometry;

/// The sizes of a model, and its parts that are not the paper's.
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
    /// The last feature map is average-pooled to `pool_grid x pool_grid` parts. The paper pools all of it, `1` (the default),
    /// which loses where in the picture things are.
    #[serde(rename(serialize = "cells"), alias = "cells", default = "one", skip_serializing_if = "is_one")]
    pub pool_grid: usize,
    /// Whether the change of luminance since the picture before is an input too ([`ConvEncoder`](super::conv_encoder)). In the
    /// paper each picture is encoded alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub motion: bool,
    /// Whether the decoder has [conditions](super::conditions) such as metre, key and intensity as inputs. Not in the paper.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conditions: bool,
    /// Size of the hidden state of a picture or event.
    pub hidden: usize,
    /// Layers of the encoder and of the decoder each; of SEQ2SEQ's GRU, which is both.
    pub layers: usize,
    /// Dropout rate in training, `0..1`.
    pub dropout: f64,
}

/// Which model, and what only that model has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Architecture {
    /// The transformer, [`Vmt`](super::Vmt).
    Vmt {
        /// Attention heads.
        heads: usize,
        /// Inner size of the feed-forward layers.
        feed_forward: usize,
        /// Whether events have an embedding of their time in the video, and cross-attention a bias towards the pictures of that
        /// time ([`TimeEmbedding`](super::position::TimeEmbedding)). Not in the paper.
        #[serde(rename(serialize = "clock"), alias = "clock", default, skip_serializing_if = "std::ops::Not::not")]
        time_embedding: bool,
        /// Whether the decoder is given the notes that sound ([`held_notes`](super::held_notes)). Not in the paper.
        #[serde(rename(serialize = "keys"), alias = "keys", default, skip_serializing_if = "std::ops::Not::not")]
        held_notes: bool,
        /// Whether the decoder's self-attention has a bias towards recent events ([`alibi`](super::position::alibi)). Not in
        /// the paper.
        #[serde(rename(serialize = "recency"), alias = "recency", default, skip_serializing_if = "std::ops::Not::not")]
        alibi: bool,
    },
    /// The recurrent baseline, [`Seq2Seq`](super::Seq2Seq).
    Seq2Seq,
}

fn one() -> usize {
    1
}

fn is_one(pool_grid: &usize) -> bool {
    *pool_grid == 1
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

    fn check(&self) -> Result<()> {
        let Self { geometry, filters, pool_grid, hidden, layers, dropout, .. } = self;
        let at_least_one = |name: &str, value: usize| {
            ensure!(value > 0, "{name}: must be at least 1, but is 0");
            Ok(())
        };
        at_least_one("pool_grid", *pool_grid)?;
        at_least_one("geometry.frames", geometry.frames())?;
        at_least_one("geometry.frame_ms", geometry.frame_ms() as usize)?;
        for (name, side) in [("geometry.height", geometry.height()), ("geometry.width", geometry.width())] {
            at_least_one(name, side)?;
            ensure!(
                side.is_multiple_of(8),
                "{name}: must be a multiple of 8 (it is halved three times), but is {side}"
            );
            ensure!(
                (side / 8).is_multiple_of(*pool_grid),
                "pool_grid: must divide the last feature map, an eighth of {name} = {side}, but is {pool_grid}"
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
