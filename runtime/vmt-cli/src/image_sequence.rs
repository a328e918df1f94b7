//! A folder of images or a stream of raw frames as a video, without FFmpeg.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, iter};

use anyhow::{Context, Result, ensure};
use image::{DynamicImage, ImageReader, Limits, RgbImage};
use vmt::click::Thumbnail;
use vmt::pictures::{MAX_SIDE, pixels, thumbnail};
use vmt::{Frame, Geometry, Window};

/// Reads the PNG and JPEG files of `folder`, `rate` of them per second, in the natural order of their names (9 before
/// 10), in windows that each begin `hop` frames after the one before.
pub fn windows(
    folder: &Path,
    rate: f64,
    range: Range<Duration>,
    geometry: Geometry,
    hop: usize,
) -> Result<impl Iterator<Item = Result<Window>> + use<>> {
    check_rate(rate)?;
    let frames = timed(files(folder)?.into_iter().map(Ok), rate);
    Ok(vmt::windows(vmt::excerpt(frames, range), geometry, hop, move |path: &PathBuf| {
        Ok(pixels(&read(path)?, &geometry))
    }))
}

/// Every image of `folder` in `range`, squeezed for [`vmt::click::find_hits`].
pub fn thumbnails(
    folder: &Path,
    rate: f64,
    range: Range<Duration>,
) -> Result<impl Iterator<Item = Result<Frame<Thumbnail>>> + use<>> {
    check_rate(rate)?;
    let frames = timed(files(folder)?.into_iter().map(Ok), rate);
    Ok(vmt::excerpt(frames, range).map(|frame| {
        let Frame { time, duration, picture: path } = frame?;
        // Images before the part are not shown.
        let picture = if duration.is_zero() { [0; _] } else { thumbnail(&read(&path)?) };
        Ok(Frame { time, duration, picture })
    }))
}

/// Width over height of the first image.
pub fn aspect(folder: &Path) -> Result<f64> {
    let first = &files(folder)?[0];
    let dimensions = open(first).and_then(|image| Ok(image.into_dimensions()?));
    let (width, height) = dimensions.with_context(|| first.display().to_string())?;
    Ok(f64::from(width) / f64::from(height))
}

fn read(path: &Path) -> Result<DynamicImage> {
    open(path).and_then(|image| Ok(image.decode()?)).with_context(|| path.display().to_string())
}

/// What an image is shows in its first bytes, whatever it is called.
fn open(path: &Path) -> Result<ImageReader<BufReader<File>>> {
    let mut image = ImageReader::open(path)?.with_guessed_format()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    image.limits(limits);
    Ok(image)
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

/// Reads raw frames, 3 bytes a pixel (RGB), `rate` of them per second, until `stream` ends, in windows that each begin
/// `hop` frames after the one before.
pub fn raw(
    mut stream: impl Read,
    [width, height]: [u32; 2],
    rate: f64,
    range: Range<Duration>,
    geometry: Geometry,
    hop: usize,
) -> Result<impl Iterator<Item = Result<Window>>> {
    check_rate(rate)?;
    let bytes = 3 * width as usize * height as usize;
    let pictures = iter::from_fn(move || {
        let mut picture = vec![0; bytes];
        match fill(&mut stream, &mut picture) {
            Ok(0) => None,
            Ok(got) if got < bytes => {
                Some(Err(anyhow::anyhow!("the last frame must have {bytes} bytes, but {got} came")))
            }
            Ok(_) => RgbImage::from_raw(width, height, picture).map(Ok),
            Err(error) => Some(Err(error).context("reading frames")),
        }
    });
    let squeezed = move |picture: &RgbImage| Ok(pixels(&DynamicImage::ImageRgb8(picture.clone()), &geometry));
    Ok(vmt::windows(vmt::excerpt(timed(pictures, rate), range), geometry, hop, squeezed))
}

/// Reads until `bytes` are full or nothing more comes; returns how many came.
fn fill(stream: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match stream.read(&mut bytes[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// An error unless `rate` is a possible number of frames per second.
pub fn check_rate(rate: f64) -> Result<()> {
    ensure!((0.001..=1000.0).contains(&rate), "frames per second must be 0.001-1000, but are {rate}");
    Ok(())
}

/// Each frame ends where the next begins, in whole nanoseconds.
fn timed<P>(pictures: impl Iterator<Item = Result<P>>, rate: f64) -> impl Iterator<Item = Result<Frame<P>>> {
    let time = move |index: usize| Duration::from_secs_f64(index as f64 / rate);
    pictures.enumerate().map(move |(index, picture)| {
        picture.map(|picture| Frame { time: time(index), duration: time(index + 1) - time(index), picture })
    })
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

    const ALL: Range<Duration> = Duration::ZERO..Duration::MAX;

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
            let path = folder.path().join(format!("frame{index}.png"));
            picture.save(&path).unwrap();
            if index == 2 {
                fs::rename(&path, path.with_extension("jpg")).unwrap();
            }
        }
        fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
        let windows: Vec<_> = windows(folder.path(), 4.0, ALL, Geometry::PAPER, Geometry::PAPER.frames())
            .unwrap()
            .collect::<Result<_>>()
            .unwrap();
        let got: Vec<_> =
            windows.iter().map(|window| (window.start.as_secs(), window.duration.as_secs_f64())).collect();
        assert_eq!(got, [(0, 10.0), (10, 2.0)]);
        let clips: Vec<_> = windows.iter().map(|window| window.clip.pixels()).collect();
        for (index, picture) in clips.iter().flat_map(|clip| clip.outer_iter()).enumerate() {
            let corner = |x| [0, 1, 2].map(|channel| picture[[channel, 127, x]]);
            assert_eq!((corner(0), corner(127)), ([index as u8 * 5, 0, 0], [index as u8 * 5, 255, 0]));
        }
    }

    /// Gives a stream in pieces of seven bytes, as a pipe may.
    struct Pipe<'a>(&'a [u8]);

    impl Read for Pipe<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            let most = bytes.len().min(7);
            self.0.read(&mut bytes[..most])
        }
    }

    #[test]
    fn a_stream_is_a_video() {
        // Twelve seconds of grey pictures, four a second, each brighter than the one before.
        let bytes: Vec<u8> = (0..48).flat_map(|index| [index * 5; 3 * 20 * 10]).collect();
        let read = |bytes, range| {
            raw(Pipe(bytes), [20, 10], 4.0, range, Geometry::PAPER, Geometry::PAPER.frames())
                .unwrap()
                .collect::<Result<Vec<_>>>()
        };
        let all = read(&bytes, ALL).unwrap();
        let brightness = |windows: &[Window]| -> Vec<u8> {
            windows
                .iter()
                .flat_map(|window| window.clip.pixels().outer_iter().map(|it| it[[0, 64, 64]]).collect::<Vec<_>>())
                .collect()
        };
        assert_eq!(brightness(&all), (0..48).map(|index| index * 5).collect::<Vec<u8>>());
        assert_eq!(all[1].duration, Duration::from_secs(2));

        let part = read(&bytes, Duration::from_secs(2)..Duration::from_secs(3)).unwrap();
        assert_eq!((brightness(&part), part[0].duration), (vec![40, 45, 50, 55], Duration::from_secs(1)));

        assert_eq!(read(&[], ALL).unwrap(), []);
        let error = read(&bytes[..2 * 600 + 17], ALL).unwrap_err().to_string();
        assert_eq!(error, "the last frame must have 600 bytes, but 17 came");
    }

    #[test]
    fn bad_folders() {
        let check = |folder: &Path, rate, want: &str| {
            let read =
                || windows(folder, rate, ALL, Geometry::PAPER, Geometry::PAPER.frames())?.collect::<Result<Vec<_>>>();
            let error = format!("{:#}", read().unwrap_err());
            assert!(error.contains(want), "{error}, not {want}");
        };
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), 4.0, "must hold PNG or JPEG files, but has none");
        check(&folder.path().join("missing"), 4.0, "missing: No such file");
        fs::write(folder.path().join("a.png"), "no picture").unwrap();
        check(folder.path(), 4.0, "a.png");
        // A JPEG that would take half a minute: 26212 x 16724 pixels, of which none is there.
        let mut jpeg = std::io::Cursor::new(Vec::new());
        image::GrayImage::new(8, 8).write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
        let mut jpeg = jpeg.into_inner();
        let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0x66, 0x64, 0x41, 0x54]);
        fs::write(folder.path().join("a.png"), jpeg).unwrap();
        check(folder.path(), 4.0, "a.png: ");
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            check(folder.path(), rate, "frames per second must be");
        }
    }
}
