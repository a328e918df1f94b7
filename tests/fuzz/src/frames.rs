//! Raw frames on standard input: `--frames -`.

use std::io::Read;
use std::time::Duration;

use vmt::{Geometry, Window};
use vmt_cli::image_sequence;

const RATES: [f64; 6] = [0.001, 1.0, 4.0, 25.0, 30_000.0 / 1001.0, 1000.0];

/// Six bytes choose the size, the rate, the part of the film and how much comes at once, the rest is the stream.
pub fn run(bytes: &[u8]) {
    let [width, height, rate, start, length, pipe, stream @ ..] = bytes else { return };
    let size = [width, height].map(|side| 1 + u32::from(side % 16));
    let rate = RATES[usize::from(*rate) % RATES.len()];
    // About two pictures of the model for each of the film.
    let geometry = Geometry::new(8, 4, 5, (500.0 / rate).max(1.0) as u64).unwrap();
    let frame = (3 * size[0] * size[1]) as usize;
    let film = Duration::from_secs_f64((stream.len() / frame) as f64 / rate);
    let start = film.mul_f64(f64::from(*start) / 200.0);
    let end = if *length == 255 { Duration::MAX } else { start + film.mul_f64(f64::from(*length) / 200.0) };
    let pipe = Pipe { stream, most: 1 + usize::from(*pipe) };
    let windows = image_sequence::raw(pipe, size, rate, start..end, geometry, 2).expect("the rate is in range");
    let windows = match windows.collect::<Result<Vec<Window>, _>>() {
        Ok(windows) => windows,
        Err(error) => {
            assert!(!stream.len().is_multiple_of(frame), "{error:#}");
            return;
        }
    };
    // What comes behind the part is not read.
    assert!(stream.len().is_multiple_of(frame) || end <= film, "an incomplete frame must be an error");
    let length = windows.last().map_or(Duration::ZERO, |last| last.start + last.duration);
    let want = end.min(film).saturating_sub(start);
    assert!(length.abs_diff(want) <= Duration::from_millis(1), "{length:?} of {want:?}");
    for (index, window) in windows.iter().enumerate() {
        assert_eq!(window.start, geometry.window() * index as u32 / 4);
        assert_eq!(window.clip.pixels().shape()[1..], [3, 4, 5]);
    }
}

/// A stream that gives so many bytes at most at once.
struct Pipe<'a> {
    stream: &'a [u8],
    most: usize,
}

impl Read for Pipe<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let most = bytes.len().min(self.most);
        self.stream.read(&mut bytes[..most])
    }
}

/// Streams of grey pictures.
pub fn seeds() -> Vec<Vec<u8>> {
    let seed = |head: [u8; 6], pictures: usize| {
        let size = 3 * (1 + usize::from(head[0])) * (1 + usize::from(head[1]));
        head.into_iter().chain((0..pictures).flat_map(|index| vec![index as u8; size])).collect()
    };
    vec![
        seed([3, 2, 2, 0, 255, 6], 40),
        seed([1, 1, 3, 20, 100, 255], 60),
        seed([0, 0, 0, 0, 255, 0], 5),
        seed([4, 4, 5, 100, 50, 30], 11),
        seed([15, 15, 4, 0, 0, 255], 0),
    ]
}

/// A row of pixels.
pub fn words() -> Vec<Vec<u8>> {
    vec![vec![128; 48]]
}
