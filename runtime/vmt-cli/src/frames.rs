//! A folder of pictures as a video: no FFmpeg needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use image::imageops::FilterType;
use ndarray::{Array3, ArrayView3};
use vmt::{Frame, Geometry, Window};

/// Reads the PNG and JPEG files of `folder`, `rate` of them a second, in the natural order of their names: 9 before 10.
pub fn windows(folder: &Path, rate: f64, geometry: Geometry) -> Result<impl Iterator<Item = Result<Window>> + use<>> {
    ensure!((0.001..=1000.0).contains(&rate), "pictures a second must be 0.001..=1000, but are {rate}");
    let files = files(folder)?;

    // Each ends where the next begins, in whole nanoseconds.
    let time = move |index: usize| Duration::from_secs_f64(index as f64 / rate);
    let frames = files
        .into_iter()
        .enumerate()
        .map(move |(index, picture)| Ok(Frame { time: time(index), duration: time(index + 1) - time(index), picture }));
    Ok(vmt::windows(frames, geometry, move |path: &PathBuf| pixels(path, geometry)))
}

/// How many times as wide as high the first picture is.
pub fn aspect(folder: &Path) -> Result<f64> {
    let first = &files(folder)?[0];
    let (width, height) = image::image_dimensions(first).with_context(|| first.display().to_string())?;
    Ok(f64::from(width) / f64::from(height))
}

/// At least one.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let kind = path.extension().map(|extension| extension.to_ascii_lowercase());
        if kind.is_some_and(|kind| ["png", "jpg", "jpeg"].iter().any(|known| kind == *known)) {
            files.push(path);
        }
    }
    ensure!(!files.is_empty(), "{}: must hold PNG or JPEG files, but has none", folder.display());
    files.sort();
    files.sort_by_cached_key(|path| natural(path));
    Ok(files)
}

fn pixels(path: &Path, geometry: Geometry) -> Result<Array3<u8>> {
    let picture = image::open(path).with_context(|| path.display().to_string())?;
    let Geometry { width, height, .. } = geometry;
    // Downwards, a triangle weighs all pixels that a smaller one covers.
    let picture = picture.resize_exact(width.try_into()?, height.try_into()?, FilterType::Triangle).into_rgb8();
    Ok(ArrayView3::from_shape((height, width, 3), &picture)?.permuted_axes([2, 0, 1]).to_owned())
}

/// Sorts runs of digits by their value, and before other text.
fn natural(path: &Path) -> Vec<(usize, Vec<u8>)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let parts = name.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    let key = |part: &[u8]| {
        let zeros = part.iter().take_while(|&&byte| byte == b'0').count();
        let digits = &part[zeros..];
        if part[0].is_ascii_digit() { (digits.len(), digits.to_vec()) } else { (usize::MAX, part.to_vec()) }
    };
    parts.map(key).collect()
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    #[test]
    fn names_sort_as_people_count() {
        let mut names = ["b1.png", "a10.png", "a9.png", "a010.png", "a.png", "2.png", "10.png"];
        names.sort();
        names.sort_by_cached_key(|name| natural(name.as_ref()));
        assert_eq!(names, ["2.png", "10.png", "a9.png", "a010.png", "a10.png", "a.png", "b1.png"]);
    }

    #[test]
    fn a_folder_is_a_video() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..48_u8 {
            let picture = RgbImage::from_fn(300, 200, |x, _| [index * 5, if x < 150 { 0 } else { 255 }, 0].into());
            picture.save(folder.path().join(format!("frame{index}.png"))).unwrap();
        }
        fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
        let windows: Vec<_> = windows(folder.path(), 4.0, Geometry::PAPER).unwrap().collect::<Result<_>>().unwrap();
        let got: Vec<_> =
            windows.iter().map(|window| (window.start.as_secs(), window.duration.as_secs_f64())).collect();
        assert_eq!(got, [(0, 10.0), (10, 2.0)]);
        let clips: Vec<_> = windows.iter().map(|window| window.clip.pixels()).collect();
        for (index, picture) in clips.iter().flat_map(|clip| clip.outer_iter()).enumerate() {
            let corner = |x| [0, 1, 2].map(|channel| picture[[channel, 127, x]]);
            assert_eq!((corner(0), corner(127)), ([index as u8 * 5, 0, 0], [index as u8 * 5, 255, 0]));
        }
    }

    #[test]
    fn bad_folders() {
        let check = |folder: &Path, rate, want: &str| {
            let read = || windows(folder, rate, Geometry::PAPER)?.collect::<Result<Vec<_>>>();
            let error = format!("{:#}", read().unwrap_err());
            assert!(error.contains(want), "{error}, not {want}");
        };
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), 4.0, "must hold PNG or JPEG files, but has none");
        check(&folder.path().join("missing"), 4.0, "missing: No such file");
        fs::write(folder.path().join("a.png"), "no picture").unwrap();
        check(folder.path(), 4.0, "a.png");
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            check(folder.path(), rate, "pictures a second must be");
        }
    }
}
