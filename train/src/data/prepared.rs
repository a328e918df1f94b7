//! Fragments on disk, as `vmt-train prepare` leaves them.
//!
//! ```text
//! DATA/dataset.yaml      geometry, and the songs with their split and what they hold
//! DATA/NAME.frames       u8 [fragments, frames, 3, height, width], 1 byte a value: 0.7 GB an hour at 128 x 128
//! DATA/NAME.tokens       u16, little-endian: the fragments' tokens one after the other, each ends with 1 (the end)
//! ```

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ndarray::Array4;
use serde::{Deserialize, Serialize};
use vmt::{Clip, Conditions, Geometry, Token};

use super::fragment::{Augment, Fragment, Fragments};
use super::split::Split;
use super::targets::transposed;
use crate::random::Stream;

/// The name of the index file.
pub const DATASET: &str = "dataset.yaml";

/// The version of this file format.
pub const FORMAT: u32 = 1;

/// The index file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// [`FORMAT`].
    pub format: u32,
    /// The clips.
    pub geometry: Geometry,
    /// By name.
    pub songs: Vec<PreparedSong>,
}

/// A song on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparedSong {
    /// The name that its video and its MIDI file share.
    pub name: String,
    /// Which part of the data set it is in; the file format calls it `share`.
    #[serde(rename(serialize = "share"), alias = "share")]
    pub split: Split,
    /// Windows of full length with at least one note.
    pub fragments: usize,
    /// Over all fragments.
    pub notes: usize,
}

impl Dataset {
    /// Reads a folder's index.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(DATASET);
        let read = || -> Result<Self> {
            let dataset: Self = serde_yaml::from_str(&fs::read_to_string(&path)?)?;
            ensure!(dataset.format == FORMAT, "format: must be {FORMAT}, but is {}", dataset.format);
            Ok(dataset)
        };
        read().with_context(|| path.display().to_string())
    }
}

/// The fragments of one split.
pub struct Prepared {
    folder: PathBuf,
    geometry: Geometry,
    augment: Augment,
    fragments: Vec<Place>,
}

/// The place of a fragment on disk.
struct Place {
    song: String,
    /// Among the song's.
    index: usize,
    tokens: Vec<Token>,
}

impl Prepared {
    /// Opens a folder. `augment` transposes alone: the tempo is the video's.
    pub fn open(folder: impl AsRef<Path>, split: Split, augment: Augment) -> Result<Self> {
        let folder = folder.as_ref();
        let Dataset { geometry, songs, .. } = Dataset::load(folder)?;
        let mut fragments = Vec::new();
        for song in songs.into_iter().filter(|song| song.split == split) {
            let path = tokens_path(folder, &song.name);
            let read = || -> Result<_> {
                let tokens = split_fragments(&fs::read(&path)?)?;
                ensure!(
                    tokens.len() == song.fragments,
                    "must hold {} fragments, but holds {}",
                    song.fragments,
                    tokens.len()
                );
                Ok(tokens)
            };
            let tokens = read().with_context(|| path.display().to_string())?;
            let place = |(index, tokens)| Place { song: song.name.clone(), index, tokens };
            fragments.extend(tokens.into_iter().enumerate().map(place));
        }
        Ok(Self { folder: folder.to_owned(), geometry, augment, fragments })
    }

    /// Itself, if its clips are of the geometry that a model `want`s.
    pub fn fitting(self, want: Geometry) -> Result<Self> {
        let folder = self.folder.display();
        ensure!(want == self.geometry, "{folder}: must hold clips of {want:?}, but they are of {:?}", self.geometry);
        Ok(self)
    }

    /// The name of the song that fragment `index` is of, and where it begins there, in seconds.
    pub fn place(&self, index: usize) -> (&str, f64) {
        let Place { song, index, .. } = &self.fragments[index];
        (song, *index as f64 * self.geometry.window().as_secs_f64())
    }

    /// How long a fragment is.
    pub fn window(&self) -> Duration {
        self.geometry.window()
    }

    /// The music of fragment `index`, as it is.
    pub fn music(&self, index: usize) -> &[Token] {
        &self.fragments[index].tokens
    }

    /// The video of fragment `index`.
    pub fn clip(&self, index: usize) -> Result<Clip> {
        let Place { song, index, .. } = &self.fragments[index];
        let (frames, height, width) = (self.geometry.frames(), self.geometry.height(), self.geometry.width());
        let path = frames_path(&self.folder, song);
        let read = || -> Result<Clip> {
            let mut bytes = vec![0; frames * 3 * height * width];
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start((index * bytes.len()) as u64))?;
            file.read_exact(&mut bytes)?;
            Ok(Clip::new(Array4::from_shape_vec((frames, 3, height, width), bytes)?, &self.geometry)?)
        };
        read().with_context(|| format!("{}: fragment {index}", path.display()))
    }
}

impl Fragments for Prepared {
    fn count(&self) -> usize {
        self.fragments.len()
    }

    fn tokens(&self, index: usize) -> usize {
        self.fragments[index].tokens.len()
    }

    fn fragment(&self, index: usize, random: &mut Stream) -> Result<Fragment> {
        let (semitones, _) = self.augment.draw(random);
        let tokens = transposed(self.music(index), semitones);
        Ok(Fragment { clip: Some(self.clip(index)?), tokens, conditions: Conditions::default() })
    }
}

pub(crate) fn frames_path(folder: &Path, song: &str) -> PathBuf {
    folder.join(format!("{song}.frames"))
}

pub(crate) fn tokens_path(folder: &Path, song: &str) -> PathBuf {
    folder.join(format!("{song}.tokens"))
}

/// A song's tokens from bytes.
fn split_fragments(bytes: &[u8]) -> Result<Vec<Vec<Token>>> {
    let (ids, rest) = bytes.as_chunks();
    ensure!(rest.is_empty(), "must hold two bytes a token, but its length is odd");
    let token = |&id: &[u8; 2]| match Token::new(u16::from_le_bytes(id)) {
        Some(token) => Ok(token),
        None => bail!("{} is no token", u16::from_le_bytes(id)),
    };
    let tokens = ids.iter().map(token).collect::<Result<Vec<_>>>()?;
    let fragments: Vec<_> = tokens.split_inclusive(|&token| token == Token::END).map(<[_]>::to_vec).collect();
    ensure!(tokens.last().is_none_or(|&token| token == Token::END), "its last fragment does not end");
    Ok(fragments)
}
