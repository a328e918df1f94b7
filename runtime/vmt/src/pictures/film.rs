//! A film that is handed over frame by frame.

use std::time::Duration;

use image::{DynamicImage, RgbImage};
use ndarray::Array3;

use super::resize::{pixels, thumbnail};
use crate::click::{FilmHits, HitFinder};
use crate::error::{Error, Result};
use crate::video::{Frame, Geometry, Window, windows};

/// The most rows and columns of a [`Picture`].
pub const MAX_SIDE: u32 = 1 << 14;

/// A picture of 8-bit RGB, row by row from the top.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'p> {
    /// The bytes: of row y those from `stride * y` on, three to a pixel.
    pub bytes: &'p [u8],
    /// Pixels in a row, 1-16384.
    pub width: u32,
    /// Rows, 1-16384.
    pub height: u32,
    /// Bytes from the beginning of a row to that of the next, at least `3 * width`.
    pub stride: usize,
}

impl Picture<'_> {
    fn copy(&self) -> Result<RgbImage> {
        let Self { bytes, width, height, stride } = *self;
        let refuse = |option, want, got| Err(Error::Option { option, want, got });
        if ![width, height].iter().all(|side| (1..=MAX_SIDE).contains(side)) {
            return refuse("size of a picture", "1-16384 columns and rows", format!("{width} x {height}"));
        }
        let row = 3 * width as usize;
        if stride < row {
            return refuse("stride of a picture", "at least 3 bytes for each column", stride.to_string());
        }
        let needed = stride.checked_mul(height as usize - 1).and_then(|bytes| bytes.checked_add(row));
        if needed.is_none_or(|needed| bytes.len() < needed) {
            let want = "enough for all rows: stride * (height - 1) + 3 * width";
            return refuse("bytes of a picture", want, bytes.len().to_string());
        }
        let packed: Vec<u8> =
            bytes.chunks(stride).take(height as usize).flat_map(|chunk| &chunk[..row]).copied().collect();
        let wrong = || Error::Option { option: "bytes of a picture", want: "enough", got: bytes.len().to_string() };
        RgbImage::from_raw(width, height, packed).ok_or_else(wrong)
    }
}

/// A film that is handed over frame by frame. It keeps the pictures that a model of one [`Geometry`] will see (of the paper's four
/// a second, at its size), and finds hit points on the others as they come.
///
/// ```
/// use std::time::Duration;
/// use vmt::Geometry;
/// use vmt::pictures::{Film, Picture};
///
/// let mut film = Film::new(Geometry::PAPER, true);
/// let each = Duration::from_millis(40);
/// for index in 0..50 {
///     let grey = [if index < 20 { 40 } else { 200 }; 3 * 320 * 180];
///     let picture = Picture { bytes: &grey, width: 320, height: 180, stride: 3 * 320 };
///     film.push(each * index, each, &picture)?;
/// }
/// assert_eq!(film.hits().unwrap().hits[0].time, Duration::from_millis(800));
/// // These are for `Composer::compose`, with the hop of `Options::hop`.
/// assert_eq!(film.windows(10).count(), 1);
/// # Ok::<_, vmt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Film {
    geometry: Geometry,
    finder: Option<HitFinder>,
    /// The frames that are on screen when the model looks, in order.
    seen: Vec<Frame<Array3<u8>>>,
    /// The newest frame: whether it is on screen then depends on the next.
    last: Option<Frame<DynamicImage>>,
}

impl Film {
    /// An empty film for a model of this `geometry`. `find_hits`: whether [`hits`](Self::hits) are to be found, which looks at every
    /// frame.
    pub fn new(geometry: Geometry, find_hits: bool) -> Self {
        Self { geometry, finder: find_hits.then(HitFinder::default), seen: Vec::new(), last: None }
    }

    /// Adds the next frame, of any size: when it appears, counted from the film's beginning, and how long it stays. The next frame
    /// ends it anyway; the last frame's duration ends the film.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for a picture whose size, stride and bytes do not agree, and for a time that is not behind the time of
    /// the frame before. The film is as it was then.
    pub fn push(&mut self, time: Duration, duration: Duration, picture: &Picture) -> Result<()> {
        if let Some(last) = self.last.as_ref().filter(|last| last.time >= time) {
            let got = format!("{time:?} behind {:?}", last.time);
            return Err(Error::Option { option: "time of a frame", want: "later than that of the frame before", got });
        }
        let picture = DynamicImage::ImageRgb8(picture.copy()?);
        if let Some(finder) = &mut self.finder {
            finder.push(&Frame { time, duration, picture: thumbnail(&picture) });
        }
        if let Some(last) = self.last.replace(Frame { time, duration, picture })
            && (self.seen.is_empty() || self.is_seen(last.time, time))
        {
            self.seen.push(self.squeeze(&last));
        }
        Ok(())
    }

    /// Whether the model looks while a frame is on screen.
    fn is_seen(&self, from: Duration, to: Duration) -> bool {
        let share = u128::from(self.geometry.frame_ms()) * 1_000_000;
        // Picture k shows the moment in the middle of its share: the first that is not before `from`.
        let next = (from.as_nanos() + share / 2) / share;
        [next.saturating_sub(1), next].iter().any(|&picture| {
            let moment = usize::try_from(picture).map_or(Duration::MAX, |picture| self.geometry.time(picture));
            (from..to).contains(&moment)
        })
    }

    fn squeeze(&self, &Frame { time, duration, ref picture }: &Frame<DynamicImage>) -> Frame<Array3<u8>> {
        Frame { time, duration, picture: pixels(picture, &self.geometry) }
    }

    /// How long it is.
    pub fn duration(&self) -> Duration {
        self.last.as_ref().map_or(Duration::ZERO, |last| last.time.saturating_add(last.duration))
    }

    /// The shape of the model that it is for.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Its hit points, those near the end included; `None` where they were not to be found.
    pub fn hits(&self) -> Option<FilmHits> {
        self.finder.clone().map(HitFinder::finish)
    }

    /// Its [`windows`], `hop` pictures apart.
    pub fn windows(&self, hop: usize) -> impl Iterator<Item = Result<Window>> + use<'_> {
        let last = self.last.as_ref().map(|last| self.squeeze(last));
        let frames = self.seen.iter().cloned().chain(last).map(Ok);
        windows(frames, self.geometry, hop, |picture| Ok(picture.clone()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::click::{HEIGHT, WIDTH, find_hits};

    const TINY: Geometry = Geometry::PAPER.with_size(4, 5).unwrap();

    fn picture(bytes: &[u8], [width, height]: [u32; 2], stride: usize) -> Picture<'_> {
        Picture { bytes, width, height, stride }
    }

    proptest! {
        /// What is kept of a film looks to a model as all of it.
        #[test]
        fn a_film_has_the_windows_of_all_its_frames(gaps in prop::collection::vec((1_u64..2000, any::<u8>()), 1..80)) {
            let mut film = Film::new(TINY, true);
            let (mut time, mut frames, mut small) = (Duration::ZERO, Vec::new(), Vec::new());
            for (gap, grey) in gaps {
                let duration = Duration::from_millis(gap);
                film.push(time, duration, &picture(&[grey; 75], [5, 5], 15)).unwrap();
                frames.push(Ok::<_, Error>(Frame { time, duration, picture: grey }));
                small.push(Ok::<_, Error>(Frame { time, duration, picture: [grey; 3 * HEIGHT * WIDTH] }));
                time += duration;
            }
            let want = windows(frames, TINY, 10, |&grey| Ok(Array3::from_elem((3, 4, 5), grey)));
            prop_assert!(film.windows(10).map(Result::unwrap).eq(want.map(Result::unwrap)));
            prop_assert_eq!(film.duration(), time);
            prop_assert_eq!(film.hits(), find_hits(small).ok());
        }
    }

    #[test]
    fn rows_are_found_by_their_stride() {
        let bytes: Vec<u8> = (0..4).flat_map(|row| [[10 * row; 15].as_slice(), &[255; 3]].concat()).collect();
        let mut film = Film::new(TINY, false);
        film.push(Duration::ZERO, Duration::from_secs(1), &picture(&bytes[..69], [5, 4], 18)).unwrap();
        let window = film.windows(40).next().unwrap().unwrap();
        assert!(window.clip.pixels().indexed_iter().all(|((_, _, row, _), &grey)| usize::from(grey) == 10 * row));
    }

    #[test]
    fn pictures_that_do_not_agree_are_refused() {
        let mut film = Film::new(TINY, false);
        let second = Duration::from_secs(1);
        film.push(second, second, &picture(&[0; 75], [5, 5], 15)).unwrap();
        for (time, bad, want) in [
            (1, picture(&[0; 75], [5, 5], 15), "time of a frame must be later"),
            (2, picture(&[0; 74], [5, 5], 15), "bytes of a picture must be enough"),
            (2, picture(&[0; 75], [5, 5], 14), "stride of a picture must be at least"),
            (2, picture(&[0; 75], [5, 5], usize::MAX), "bytes of a picture must be enough"),
            (2, picture(&[0; 75], [0, 5], 15), "size of a picture must be 1-16384"),
            (2, picture(&[0; 75], [5, 16385], 15), "size of a picture must be 1-16384"),
        ] {
            let error = film.push(second * time, second, &bad).unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
        }
        assert_eq!((film.duration(), film.hits()), (2 * second, None));
    }
}
