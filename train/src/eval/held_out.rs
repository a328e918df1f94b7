//! The data set that models are compared on.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use vmt::{Clip, Conditions, Geometry, Token};

use crate::data::prepared::{DATASET, Prepared};
use crate::data::{Augment, Fragments, Split, Splits};
use crate::random::Stream;
use crate::synth::{Channels, Footage, Songs};

/// The fragments of one split, without augmentation.
pub enum HeldOut {
    /// Video is rendered on the fly.
    Songs(Songs),
    /// Video from disk.
    Prepared(Prepared),
}

impl HeldOut {
    /// Opens what `vmt-train run` takes as data, for models of these geometries (at least one), which must have windows
    /// of one length: the music is to be the same for all.
    pub fn open(data: &Path, split: Split, splits: &Splits, geometries: &[Geometry]) -> Result<Self> {
        let first = geometries[0];
        for other in geometries {
            let (want, got) = (first.window(), other.window());
            ensure!(want == got, "all models must have windows of {want:?}, as the first has, but one has {got:?}");
        }
        let held_out = if data.join(DATASET).exists() {
            let prepared = Prepared::open(data, split, Augment::NONE)?;
            Self::Prepared(geometries.iter().try_fold(prepared, |prepared, &geometry| prepared.fitting(geometry))?)
        } else {
            Self::Songs(Songs::open(data, split, splits, first, Augment::NONE)?)
        };
        ensure!(held_out.count() > 0, "{}: must hold fragments for {split:?}, but has none", data.display());
        Ok(held_out)
    }

    /// The same, whose drawn pictures show footage, too ([`crate::synth::Scene::with_footage`]).
    pub fn with_footage(self, footage: Option<Arc<Footage>>) -> Self {
        match self {
            Self::Songs(songs) => Self::Songs(songs.with_footage(footage)),
            Self::Prepared(prepared) => Self::Prepared(prepared),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Songs(songs) => songs.count(),
            Self::Prepared(prepared) => prepared.count(),
        }
    }

    /// The name of the song that fragment `index` is of, and where it begins there, in seconds.
    pub fn place(&self, index: usize) -> (&str, f64) {
        match self {
            Self::Songs(songs) => songs.place(index),
            Self::Prepared(prepared) => prepared.place(index),
        }
    }

    /// The music of fragment `index`.
    pub fn music(&self, index: usize) -> Vec<Token> {
        match self {
            Self::Songs(songs) => songs.music(index),
            Self::Prepared(prepared) => prepared.music(index).to_vec(),
        }
    }

    /// The conditions of fragment `index`: metre, key and end of the music, where they are known.
    pub fn conditions(&self, index: usize) -> Conditions {
        match self {
            Self::Songs(songs) => songs.conditions(index),
            Self::Prepared(_) => Conditions::default(),
        }
    }

    /// What music for the video of fragment `index` can be composed by: the song's beats, key, end and hit points, where they are
    /// known; `random` draws hit points.
    pub fn click_track(&self, index: usize, random: &mut Stream) -> Conditions {
        match self {
            Self::Songs(songs) => songs.click_track(index, random),
            Self::Prepared(_) => Conditions::default(),
        }
    }

    /// Whether video is rendered, so that channels can be left out.
    pub fn rendered(&self) -> bool {
        matches!(self, Self::Songs(_))
    }

    /// The video of fragment `index`; `seed` and `channels` are for what is rendered.
    pub fn clip(&self, index: usize, seed: u64, channels: Channels, geometry: &Geometry) -> Result<Clip> {
        match self {
            Self::Songs(songs) => Ok(songs.clip(index, seed, channels, geometry)),
            Self::Prepared(prepared) => prepared.clip(index),
        }
    }
}
