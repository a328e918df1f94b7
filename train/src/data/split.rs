//! Training, validation and test.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A part of a data set. All fragments of a song are in the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// For training.
    Train,
    /// To choose the best checkpoint by.
    Validation,
    /// Held out, for the final comparison.
    Test,
}

/// Which song is in which split.
#[derive(Clone, Debug)]
pub enum Splits {
    /// By a hash of each song's name, so that a song keeps its split when others come or go. Numbers: the proportions of training,
    /// validation and test.
    Hashed([u32; 3]),
    /// By name. Other songs are left out.
    Listed(BTreeMap<String, Split>),
}

/// The paper's numbers of songs (section 2, table 1).
pub const PAPER_SPLITS: Splits = Splits::Hashed([90, 10, 28]);

impl Splits {
    /// Reads a YAML file: `train: [NAME, ..]`, `validation: [..]`, `test: [..]`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let read = || -> Result<Self> {
            let lists: BTreeMap<Split, Vec<String>> = serde_yaml::from_str(&fs::read_to_string(path)?)?;
            let mut splits = BTreeMap::new();
            for (split, name) in lists.into_iter().flat_map(|(split, names)| names.into_iter().map(move |n| (split, n)))
            {
                let twice = splits.insert(name.clone(), split);
                ensure!(twice.is_none(), "`{name}` must be named once, but is named twice");
            }
            Ok(Self::Listed(splits))
        };
        read().with_context(|| path.display().to_string())
    }

    /// The split of a song; `None` leaves it out.
    pub fn split(&self, name: &str) -> Option<Split> {
        match self {
            Self::Listed(splits) => splits.get(name).copied(),
            Self::Hashed(parts) => {
                let hash = Sha256::digest(name);
                let number = u32::from_be_bytes(hash[..4].try_into().expect("four bytes"));
                let parts = parts.map(u64::from);
                let place = (u64::from(number) * parts.iter().sum::<u64>()) >> 32;
                Some(match place {
                    place if place < parts[0] => Split::Train,
                    place if place < parts[0] + parts[1] => Split::Validation,
                    _ => Split::Test,
                })
            }
        }
    }
}
