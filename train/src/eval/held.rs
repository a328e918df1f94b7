//! Fragments that no model has learned from.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use vmt::{Clip, Conditions, Geometry, Token};

use crate::data::{Augment, Fragments};
use crate::prepared::{DATASET, Prepared, Share, Split};
use crate::songs::Songs;
use crate::synth::{Channels, Footage};

/// The fragments of one share, as they are.
pub enum Held {
    /// Pictures are drawn as they are asked for.
    Songs(Songs),
    /// Pictures are as `prepare` left them.
    Prepared(Prepared),
}

impl Held {
    /// Opens what `vmt-train run` takes as data, for models of these geometries (at least one), which must have windows
    /// of one length: the music is to be the same for all.
    pub fn open(data: &Path, share: Share, split: &Split, geometries: &[Geometry]) -> Result<Self> {
        let first = geometries[0];
        for other in geometries {
            let (want, got) = (first.window(), other.window());
            ensure!(want == got, "all models must have windows of {want:?}, as the first has, but one has {got:?}");
        }
        let held = if data.join(DATASET).exists() {
            let prepared = Prepared::open(data, share, Augment::NONE)?;
            Self::Prepared(geometries.iter().try_fold(prepared, |prepared, &geometry| prepared.fitting(geometry))?)
        } else {
            Self::Songs(Songs::open(data, share, split, first, Augment::NONE)?)
        };
        ensure!(held.count() > 0, "{}: must hold fragments for {share:?}, but has none", data.display());
        Ok(held)
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

    /// What models are told of fragment `index`: metre, key and end of the music, where they are known.
    pub fn conditions(&self, index: usize) -> Conditions {
        match self {
            Self::Songs(songs) => songs.conditions(index),
            Self::Prepared(_) => Conditions::default(),
        }
    }

    /// Whether it can leave channels out.
    pub fn draws(&self) -> bool {
        matches!(self, Self::Songs(_))
    }

    /// The pictures of fragment `index`. Where they are drawn, `seed` chooses all that the music does not.
    pub fn clip(&self, index: usize, seed: u64, channels: Channels, geometry: &Geometry) -> Result<Clip> {
        match self {
            Self::Songs(songs) => Ok(songs.clip(index, seed, channels, geometry)),
            Self::Prepared(prepared) => prepared.clip(index),
        }
    }
}
