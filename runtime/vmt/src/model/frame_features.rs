//! What the encoder has computed of pictures: windows that share some do not compute them again.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::iter::zip;

use ndarray::{Array1, Array2, Array5, ArrayView2, s};

use crate::video::{Clip, Geometry};

/// The pictures of so many windows are remembered: those of several films that are read at once.
const WINDOWS: usize = 16;

/// A picture and the one before it, by two keyed hashes (SipHash) of their bytes: 128 bits.
type Key = [u64; 2];

/// Features of the pictures that were encoded last.
#[derive(Debug, Default)]
pub(super) struct FrameFeatures {
    hashers: [RandomState; 2],
    rows: HashMap<Key, Row>,
    /// Counts what was encoded.
    clock: u64,
}

#[derive(Debug)]
struct Row {
    features: Array1<f32>,
    used: u64,
}

/// What the encoder is fed.
pub(super) struct Feed {
    /// u8 `[pictures, 2, 3, height, width]`: those that are not known, at least one; each behind the picture before it, the first
    /// of a window behind itself.
    pub pixels: Array5<u8>,
    /// f32 `[known, size]`.
    pub known: Array2<f32>,
    /// i64 `[lanes, frames]`: each slot's row, counting the known ones first; 0 behind a lane's pictures.
    pub indices: Array2<i64>,
    new: Vec<Key>,
}

impl FrameFeatures {
    /// What to feed for `clips`, the longest of which has at most `frames` pictures, to an encoder with `size` features of a picture.
    pub fn feed(&mut self, clips: &[Clip], frames: usize, geometry: &Geometry, size: usize) -> Feed {
        self.clock += 1;
        let (mut known, mut new, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
        // Of each picture, whether it is known, and which of those.
        let mut places = HashMap::new();
        let mut slots = Array2::from_elem((clips.len(), frames), None);
        for (clip, mut slots) in zip(clips, slots.outer_iter_mut()) {
            for frame in 0..clip.frames() {
                let pair = clip.pixels().slice_move(s![frame.saturating_sub(1)..=frame, .., .., ..]);
                let bytes = pair.as_standard_layout();
                let key = self.hashers.each_ref().map(|hasher| hasher.hash_one(bytes.as_slice()));
                slots[frame] = Some(key);
                if places.contains_key(&key) {
                    continue;
                }
                if let Some(row) = self.rows.get_mut(&key) {
                    row.used = self.clock;
                    places.insert(key, (true, known.len()));
                    known.push(key);
                } else {
                    places.insert(key, (false, new.len()));
                    new.push(key);
                    pictures.push(pair);
                }
            }
        }
        // Black, where all are known: there must be one.
        let mut pixels = Array5::zeros((pictures.len().max(1), 2, 3, geometry.height(), geometry.width()));
        // The first picture of a window is alone and stands in both places.
        zip(pixels.outer_iter_mut(), pictures).for_each(|(mut both, pair)| both.assign(&pair));
        let place = |key: &Option<Key>| {
            let (is_known, place) = key.map_or((true, 0), |key| places[&key]);
            (if is_known { place } else { known.len() + place }) as i64
        };
        let mut rows = Array2::zeros((known.len(), size));
        zip(rows.outer_iter_mut(), &known).for_each(|(mut row, key)| row.assign(&self.rows[key].features));
        Feed { pixels, known: rows, indices: slots.map(place), new }
    }

    /// Keeps what the encoder gave for `feed`: `[pictures, size]`.
    pub fn keep(&mut self, feed: &Feed, features: ArrayView2<f32>, geometry: &Geometry) {
        for (&key, features) in zip(&feed.new, features.outer_iter()) {
            self.rows.insert(key, Row { features: features.to_owned(), used: self.clock });
        }
        if let Some(excess) = self.rows.len().checked_sub(WINDOWS * geometry.frames()).filter(|&excess| excess > 0) {
            let mut used: Vec<u64> = self.rows.values().map(|row| row.used).collect();
            let (_, &mut oldest, _) = used.select_nth_unstable(excess - 1);
            self.rows.retain(|_, row| row.used > oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, Axis, concatenate};

    use super::*;

    const SIZE: usize = 3;

    fn clip(numbers: impl IntoIterator<Item = u8>, geometry: &Geometry) -> Clip {
        let pictures: Vec<_> = numbers
            .into_iter()
            .map(|number| Array4::from_elem((1, 3, geometry.height(), geometry.width()), number))
            .collect();
        let pictures: Vec<_> = pictures.iter().map(|picture| picture.view()).collect();
        Clip::new(concatenate(Axis(0), &pictures).unwrap(), geometry).unwrap()
    }

    /// What stands in each slot: the picture before and the picture, as an encoder would see them that gives just these.
    fn slots(features: &mut FrameFeatures, clips: &[Clip], geometry: &Geometry) -> (usize, Vec<Vec<[f32; SIZE]>>) {
        let feed = features.feed(clips, geometry.frames(), geometry, SIZE);
        let seen = feed.pixels.outer_iter().map(|pair| [0, 1, 1].map(|part| f32::from(pair[[part, 0, 0, 0]])));
        let seen = Array2::from(seen.collect::<Vec<_>>());
        features.keep(&feed, seen.view(), geometry);
        let all = concatenate![Axis(0), feed.known, seen];
        let row = |&index: &i64| std::array::from_fn(|column| all[[index as usize, column]]);
        (feed.new.len(), feed.indices.outer_iter().map(|lane| lane.iter().map(row).collect()).collect())
    }

    #[test]
    fn each_picture_is_encoded_once() {
        let geometry = Geometry::new(4, 8, 8, 250).unwrap();
        let mut features = FrameFeatures::default();
        let mut check = |clips: &[&[u8]], new| {
            let made: Vec<_> = clips.iter().map(|numbers| clip(numbers.iter().copied(), &geometry)).collect();
            let (encoded, got) = slots(&mut features, &made, &geometry);
            assert_eq!(encoded, new, "{clips:?}");
            for (numbers, lane) in zip(clips, got) {
                for (index, &number) in numbers.iter().enumerate() {
                    let before = numbers[index.saturating_sub(1)];
                    assert_eq!(lane[index], [before, number, number].map(f32::from), "{clips:?}");
                }
            }
        };
        check(&[&[1, 2, 3, 4]], 4);
        check(&[&[1, 2, 3, 4]], 0);
        // The first has not moved: it is another picture than behind 1.
        check(&[&[2, 3, 4, 5]], 2);
        check(&[&[1, 2], &[9, 2, 3], &[1, 2]], 2);
        // A still is one picture: moved or not, it has not changed.
        check(&[&[7, 7, 7, 7]], 2);
        assert_eq!(slots(&mut features, &[Clip::without_video(&geometry)], &geometry).0, 0);
    }

    #[test]
    fn those_used_last_are_kept() {
        let geometry = Geometry::new(4, 8, 8, 250).unwrap();
        let mut features = FrameFeatures::default();
        for number in 0..50 {
            slots(&mut features, &[clip([100, 101, 102, 103], &geometry)], &geometry);
            slots(&mut features, &[clip([number; 1], &geometry)], &geometry);
            assert!(features.rows.len() <= WINDOWS * geometry.frames());
        }
        for number in 50..100 {
            slots(&mut features, &[clip([number; 4], &geometry)], &geometry);
            assert!(features.rows.len() <= WINDOWS * geometry.frames());
        }
        assert_eq!(slots(&mut features, &[clip([99; 4], &geometry)], &geometry).0, 0);
        assert_eq!(slots(&mut features, &[clip([100, 101, 102, 103], &geometry)], &geometry).0, 4);
    }
}
