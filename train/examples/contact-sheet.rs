//! Draws what a model would see of some songs, a row of pictures for each, and says how long one clip takes.
//!
//! ```sh
//! cargo run --release -p vmt-train --example contact-sheet -- sheet.png 30 all ~/music/*.mid
//! cargo run --release -p vmt-train --example contact-sheet -- sheet.png 30 all --footage ~/footage ~/music/*.mid
//! ```
//!
//! 30: the second at which the clips begin. `all`: channels, named as in `Channels`, separated by commas, or `all` or
//! `none`. With `--footage`, all rows show it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use image::{Rgb, RgbImage};
use vmt::Geometry;
use vmt_train::data::song::Song;
use vmt_train::data::{Split, Splits};
use vmt_train::synth::{Channels, Footage, Scene};

/// Pictures in a row: every second one of a clip.
const ROW: usize = 20;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [sheet, start, channels, songs @ ..] = arguments.as_slice() else {
        bail!("wanted: SHEET.png START CHANNELS [--footage DIR] SONG.mid...")
    };
    let (footage, songs) = match songs {
        [option, folder, songs @ ..] if option == "--footage" => {
            let footage = Footage::open(Path::new(folder), Split::Train, &Splits::Hashed([1, 0, 0]), 128, 1.0)?;
            (Some(Arc::new(footage)), songs)
        }
        songs => (None, songs),
    };
    let start: f64 = start.parse().with_context(|| format!("`{start}` is no number of seconds"))?;
    let channels: Channels = channels.parse()?;
    let side = Geometry::PAPER.width() as u32;
    let mut picture = RgbImage::new(side * ROW as u32, side * songs.len() as u32);
    for (row, path) in songs.iter().enumerate() {
        let song = Song::read(Path::new(path))?;
        let begin = Instant::now();
        let scene = Scene::with_footage(&song, row as u64, channels, footage.as_ref());
        let made = begin.elapsed();
        for size in [64, Geometry::PAPER.width()] {
            let geometry = Geometry::PAPER.with_size(size, size).unwrap();
            let begin = Instant::now();
            let clip = scene.clip(start, &geometry);
            println!("{}: {made:.1?} for the scene, {:.1?} for a clip at {size} x {size}", song.name, begin.elapsed());
            if size != Geometry::PAPER.width() {
                continue;
            }
            for (column, frame) in clip.pixels().outer_iter().step_by(2).enumerate() {
                for ((y, x), _) in frame.index_axis(ndarray::Axis(0), 0).indexed_iter() {
                    let place = (column as u32 * side + x as u32, row as u32 * side + y as u32);
                    picture.put_pixel(place.0, place.1, Rgb([0, 1, 2].map(|channel| frame[[channel, y, x]])));
                }
            }
        }
    }
    picture.save(sheet).with_context(|| sheet.clone())
}
