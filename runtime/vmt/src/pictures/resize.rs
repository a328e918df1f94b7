//! From pictures of any size to those that a model and the search for cuts see.

use image::DynamicImage;
use image::imageops::FilterType;
use ndarray::Array3;

use crate::click::{HEIGHT, Thumbnail, WIDTH};
use crate::video::Geometry;

/// When scaling down, the triangle filter covers all pixels of the larger picture.
const FILTER: FilterType = FilterType::Triangle;

/// The RGB pixels that a model of this `geometry` sees, `[3, height, width]`: the whole picture, squeezed.
pub fn pixels(picture: &DynamicImage, geometry: &Geometry) -> Array3<u8> {
    // A geometry has at most 4096 rows and columns.
    let (width, height) = (geometry.width() as u32, geometry.height() as u32);
    let picture = picture.resize_exact(width, height, FILTER).into_rgb8();
    Array3::from_shape_fn((3, geometry.height(), geometry.width()), |(channel, y, x)| {
        picture[(x as u32, y as u32)].0[channel]
    })
}

/// The same for [`find_hits`](crate::click::find_hits).
pub fn thumbnail(picture: &DynamicImage) -> Thumbnail {
    let mut thumbnail: Thumbnail = [0; _];
    thumbnail.copy_from_slice(&picture.resize_exact(WIDTH as u32, HEIGHT as u32, FILTER).into_rgb8());
    thumbnail
}
