//! A folder of images: `--frames`.

use std::fs;
use std::io::Cursor;
use std::sync::LazyLock;
use std::time::Duration;

use image::{DynamicImage, ImageFormat};
use tempfile::TempDir;
use vmt::{Geometry, Window};
use vmt_cli::image_sequence;

/// In memory where the system has such a place.
static FOLDER: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap());

/// The first byte chooses the extension, the rest is an image.
pub fn run(bytes: &[u8]) {
    let [kind, image @ ..] = bytes else { return };
    let folder = tempfile::tempdir_in(FOLDER.path()).unwrap();
    let extension = ["png", "jpg", "JPEG"][usize::from(kind % 3)];
    fs::write(folder.path().join("a").with_extension(extension), image).unwrap();
    // What is large takes long.
    let size = image::ImageReader::new(Cursor::new(image)).with_guessed_format().unwrap().into_dimensions();
    if size.is_ok_and(|(width, height)| u64::from(width) * u64::from(height) > 1 << 20) {
        return;
    }
    let geometry = Geometry::new(4, 6, 7, 250).unwrap();
    let all = Duration::ZERO..Duration::MAX;
    let windows = image_sequence::windows(folder.path(), 2.0, all, geometry, 4).expect("there is an image");
    let Ok(windows) = windows.collect::<Result<Vec<Window>, _>>() else { return };
    assert_eq!(windows.len(), 1);
    assert_eq!(windows[0].duration, Duration::from_millis(500));
    assert_eq!(windows[0].clip.pixels().shape(), [2, 3, 6, 7]);
    let aspect = image_sequence::aspect(folder.path()).expect("an image that was read must have a size");
    assert!(aspect > 0.0 && aspect.is_finite());
}

/// Pictures of every kind of pixel, as PNG and as JPEG.
pub fn seeds() -> Vec<Vec<u8>> {
    let grey = image::GrayImage::from_fn(9, 5, |x, y| [(x * 20 + y) as u8].into());
    let grey = DynamicImage::ImageLuma8(grey);
    let pictures: [DynamicImage; 5] = [
        grey.clone(),
        grey.to_rgb8().into(),
        grey.to_rgba8().into(),
        grey.to_rgb16().into(),
        grey.to_luma_alpha16().into(),
    ];
    let seed = |kind: u8, picture: &DynamicImage, format| {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        [&[kind], &bytes.into_inner()[..]].concat()
    };
    let mut seeds: Vec<_> = pictures.iter().map(|picture| seed(0, picture, ImageFormat::Png)).collect();
    seeds.extend(pictures[..2].iter().map(|picture| seed(1, picture, ImageFormat::Jpeg)));
    seeds
}

/// Chunks and segments.
pub fn words() -> Vec<Vec<u8>> {
    let words: [&[u8]; 16] = [
        b"\x89PNG\r\n\x1a\n",
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"PLTE",
        b"tRNS",
        b"acTL",
        b"fcTL",
        b"fdAT",
        b"iCCP",
        b"zTXt",
        b"\xff\xd8",
        b"\xff\xc2",
        b"\xff\xda",
        b"\xff\xdd\0\x04",
        b"\xff\xd9",
    ];
    words.map(<[u8]>::to_vec).to_vec()
}
