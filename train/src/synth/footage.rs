//! Real film clips in memory, to be shown in drawn films.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ndarray::{Array4, ArrayView4};

use super::canvas::{Colour, mix};
use crate::data::{Split, Splits};

/// Pictures that are kept of a second of film; at half speed, models still see others at 4 a second.
pub const RATE: f32 = 1000.0 / FRAME_MS as f32;
const FRAME_MS: u64 = 83;
/// The table of a folder of clips.
const TABLE: &str = "footage.tsv";
/// What all clips together may take in memory.
const MAX_BYTES: usize = 1 << 30;
/// No pictures are larger in memory.
const MAX_SIDE: usize = 128;
/// Pictures over which motion is averaged: a second.
const SPAN: usize = 12;
/// Changes of a pixel that are taken for noise, of 255.
const NOISE: f32 = 6.0;

/// Clips of real film, each with what moves in it.
pub struct Footage {
    pub(super) films: Vec<Film>,
    pub(super) probability: f32,
}

/// One clip.
pub(super) struct Film {
    name: String,
    /// `[pictures, height, width, 3]`.
    pixels: Vec<u8>,
    height: usize,
    width: usize,
    /// Of the second that begins with each picture.
    motion: Vec<Motion>,
}

/// What moves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Motion {
    /// How much, as a rank among all pictures of all clips: `0.0..1.0`.
    pub amount: f32,
    /// At what height: 0 is the top, 1 the bottom.
    pub y: f32,
}

impl Footage {
    /// The splits where no file says so: four fifths of the clips are for training.
    pub const SPLITS: Splits = Splits::Hashed([8, 1, 1]);

    /// Reads the clips of a `folder` that are in `split` according to `splits`: its `footage.tsv` names them (tab-separated;
    /// columns `name` and `licence` at least), each as `NAME.mp4`. Pictures are squeezed to a square that leaves room
    /// for crops in scenes that are drawn `height` pixels high.
    ///
    /// Every scene that is given this footage shows it with `probability`.
    ///
    /// # Errors
    ///
    /// If the table is missing or names a clip without licence, if no clip is in `split`, if a clip cannot be read, if
    /// all together take more than 1 GiB, or if this program was built without the feature `video`.
    pub fn open(folder: &Path, split: Split, splits: &Splits, height: usize, probability: f64) -> Result<Self> {
        let mine = Self::clips(folder, split, splits)?;
        ensure!(!mine.is_empty(), "{}: must hold clips for {split:?}, but has none", folder.display());
        let mut films = Vec::with_capacity(mine.len());
        let side = (3 * height / 2).clamp(1, MAX_SIDE);
        let mut left = MAX_BYTES;
        for name in mine {
            let path = Self::path(folder, &name);
            let pictures = read(&path, side, &mut left)?;
            films.push((name, pictures));
        }
        Self::new(films, probability)
    }

    /// Clips by name: RGB, `[pictures, 3, height, width]` at 12 pictures a second; at least one, none without pictures.
    pub fn new(clips: Vec<(String, Array4<u8>)>, probability: f64) -> Result<Self> {
        ensure!(!clips.is_empty(), "there must be at least one clip of footage, but there is none");
        ensure!((0.0..=1.0).contains(&probability), "footage: must be in 0..=1, but is {probability}");
        let film = |(name, pictures): (String, Array4<u8>)| {
            let (count, channels, height, width) = pictures.dim();
            let fits = channels == 3 && count * height * width > 0;
            ensure!(fits, "{name}: must be [pictures, 3, height, width], but is {:?}", pictures.shape());
            let motion = motion(pictures.view());
            let pixels = pictures.permuted_axes([0, 2, 3, 1]).iter().copied().collect();
            Ok(Film { name, pixels, height, width, motion })
        };
        let mut films = clips.into_iter().map(film).collect::<Result<Vec<_>>>()?;
        let mut amounts: Vec<f32> = films.iter().flat_map(|film| &film.motion).map(|motion| motion.amount).collect();
        amounts.sort_by(f32::total_cmp);
        for motion in films.iter_mut().flat_map(|film| &mut film.motion) {
            let below = amounts.partition_point(|&amount| amount < motion.amount);
            motion.amount = below as f32 / amounts.len() as f32;
        }
        Ok(Self { films, probability: probability as f32 })
    }

    /// What the clips are called.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.films.iter().map(|film| film.name.as_str())
    }

    /// The names of the clips of a `folder` that are in `split` according to `splits`.
    ///
    /// # Errors
    ///
    /// If the folder's table is missing or names a clip without licence.
    pub fn clips(folder: &Path, split: Split, splits: &Splits) -> Result<Vec<String>> {
        Ok(names(folder)?.into_iter().filter(|name| splits.split(name) == Some(split)).collect())
    }

    /// Where the clip of a `name` is.
    pub fn path(folder: &Path, name: &str) -> PathBuf {
        folder.join(format!("{name}.mp4"))
    }

    /// What the clips are called, and how much changes in the second that begins with each picture ([`RATE`] a second): as a
    /// rank among all pictures of all clips, `0.0..1.0`.
    pub fn motion(&self) -> impl Iterator<Item = (&str, Vec<f32>)> {
        let amounts = |film: &Film| film.motion.iter().map(|motion| motion.amount).collect();
        self.films.iter().map(move |film| (film.name.as_str(), amounts(film)))
    }

    /// How long all clips are together, in seconds.
    pub fn seconds(&self) -> f64 {
        self.films.iter().map(|film| film.motion.len() as f64).sum::<f64>() / f64::from(RATE)
    }
}

impl Film {
    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.motion.len()
    }

    /// What moves from picture `index` on.
    pub fn motion(&self, index: usize) -> Motion {
        self.motion[index]
    }

    /// The picture after so many others; where the film is over, it runs back and forth.
    pub fn picture(&self, place: f32) -> Picture<'_> {
        let last = self.len() - 1;
        let place = (place.max(0.0) as usize) % (2 * last).max(1);
        let index = if place > last { 2 * last - place } else { place };
        let size = 3 * self.height * self.width;
        Picture { pixels: &self.pixels[index * size..][..size], height: self.height, width: self.width }
    }
}

/// A picture of a film.
pub(super) struct Picture<'a> {
    pixels: &'a [u8],
    height: usize,
    width: usize,
}

impl Picture<'_> {
    /// Between which columns `x` is; the picture is `0.0..=1.0` wide, and mirrored at its edges.
    pub fn column(&self, x: f32) -> Between {
        Between::new(x, self.width, 3)
    }

    /// The same for rows.
    pub fn row(&self, y: f32) -> Between {
        Between::new(y, self.height, 3 * self.width)
    }

    /// The colour there, bilinear.
    pub fn colour(&self, x: &Between, y: &Between) -> Colour {
        let pixel = |place: usize| -> [f32; 3] {
            let pixel: &[u8; 3] = self.pixels[place..].first_chunk().expect("inside");
            pixel.map(|value| f32::from(value) * (1.0 / 255.0))
        };
        let line = |row: usize| mix(pixel(row + x.low), pixel(row + x.high), x.part);
        mix(line(y.low), line(y.high), y.part)
    }
}

/// A place between the pixels of two columns, or of two rows.
pub(super) struct Between {
    /// Where their bytes begin.
    low: usize,
    high: usize,
    /// How far it is from the first to the second.
    part: f32,
}

impl Between {
    fn new(place: f32, size: usize, bytes: usize) -> Self {
        let mirrored = 1.0 - (1.0 - place.abs()).abs();
        let place = (mirrored * size as f32 - 0.5).clamp(0.0, (size - 1) as f32);
        let low = place as usize;
        Self { low: low * bytes, high: (low + 1).min(size - 1) * bytes, part: place - low as f32 }
    }
}

/// The names in a folder's table.
fn names(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join(TABLE);
    let read = || -> Result<Vec<String>> {
        let text = fs::read_to_string(&path)?;
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        let column = |name: &str| {
            let place = header.iter().position(|column| *column == name);
            place.with_context(|| format!("must have a column `{name}`, but has {header:?}"))
        };
        let [name, licence] = [column("name")?, column("licence")?];
        let row = |line: &str| {
            let cells: Vec<&str> = line.split('\t').collect();
            let cell = |column: usize| cells.get(column).copied().unwrap_or_default();
            ensure!(!cell(name).is_empty() && !cell(licence).is_empty(), "`{line}`: must name a clip and its licence");
            Ok(cell(name).to_owned())
        };
        lines.filter(|line| !line.is_empty()).map(row).collect()
    };
    read().with_context(|| path.display().to_string())
}

#[cfg(feature = "video")]
fn read(path: &Path, side: usize, left: &mut usize) -> Result<Array4<u8>> {
    use ndarray::Axis;
    let geometry =
        vmt::Geometry::new(SPAN, side, side, FRAME_MS).context("a picture must have 1-4096 rows and columns")?;
    let mut pictures = Array4::zeros((0, 3, side, side));
    for window in vmt_video::Video::open(path)?.windows(geometry) {
        let clip = window?.clip;
        *left = left.checked_sub(clip.pixels().len()).with_context(|| {
            format!("{}: all footage must fit in {MAX_BYTES} bytes at {side} x {side}, but does not", path.display())
        })?;
        pictures.append(Axis(0), clip.pixels())?;
    }
    Ok(pictures)
}

#[cfg(not(feature = "video"))]
fn read(path: &Path, _: usize, _: &mut usize) -> Result<Array4<u8>> {
    anyhow::bail!("{}: footage is read by the feature `video`, which this program was built without", path.display())
}

/// For each picture: how much the pixels change in the second that begins with it, and at what height.
fn motion(pictures: ArrayView4<u8>) -> Vec<Motion> {
    let (count, _, height, width) = pictures.dim();
    // Green is most of the light.
    let green = |index: usize| pictures.slice(ndarray::s![index, 1, .., ..]).to_owned().mapv(f32::from);
    let changes: Vec<(f32, f32)> = (1..count.max(2))
        .map(|next| {
            let (mut sum, mut high) = (0.0, 0.0);
            let change = green(next.min(count - 1)) - green(next - 1);
            for ((y, _), change) in change.indexed_iter() {
                let change = (change.abs() - NOISE).max(0.0);
                sum += change;
                high += change * (y as f32 + 0.5) / height as f32;
            }
            (sum / (height * width) as f32, high / (height * width) as f32)
        })
        .collect();
    let spans = (0..count).map(|index| {
        let span = &changes[index.min(changes.len() - 1)..(index + SPAN).min(changes.len())];
        let [sum, high] = span.iter().fold([0.0; 2], |[sum, high], change| [sum + change.0, high + change.1]);
        // What hardly moves does so in the middle.
        Motion { amount: sum / span.len() as f32, y: (high + 0.05) / (sum + 0.1) }
    });
    spans.collect()
}
