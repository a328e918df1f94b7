//! From FFmpeg's frames to RGB pixels of the model's size.

use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Error, color, filter, frame};
use ndarray::{Array3, ArrayView3, ShapeBuilder};
use vmt::Geometry;

/// Converts frames; the filter graph is kept until the format of the frames changes.
pub struct Pixels {
    geometry: Geometry,
    /// FFmpeg's filters for the display matrix.
    upright: &'static str,
    graph: Option<(Form, filter::Graph)>,
}

/// What a filter graph cannot change: format, width, height, colour matrix and range.
type Form = (Pixel, u32, u32, color::Space, color::Range);

impl Pixels {
    /// `matrix` is the file's display matrix, row by row.
    pub fn new(geometry: Geometry, matrix: Option<[i32; 9]>) -> Self {
        Self { geometry, upright: matrix.map_or("", upright), graph: None }
    }

    /// The pixels of `frame`, `[3, height, width]`.
    pub fn of(&mut self, frame: &frame::Video) -> Result<Array3<u8>, Error> {
        let form = (frame.format(), frame.width(), frame.height(), frame.color_space(), frame.color_range());
        if self.graph.as_ref().is_none_or(|(known, _)| *known != form) {
            self.graph = Some((form, self.graph(form)?));
        }
        let Some((_, graph)) = &mut self.graph else { return Err(Error::Bug) };

        let mut rgb = frame::Video::empty();
        // The graph takes its input away.
        graph.get("in").ok_or(Error::Bug)?.source().add(&frame.clone())?;
        graph.get("out").ok_or(Error::Bug)?.sink().frame(&mut rgb)?;
        let shape = (rgb.height() as usize, rgb.width() as usize, 3).strides((rgb.stride(0), 3, 1));
        let pixels = ArrayView3::from_shape(shape, rgb.data(0)).map_err(|_| Error::Bug)?;
        Ok(pixels.permuted_axes([2, 0, 1]).to_owned())
    }

    fn graph(&self, (format, width, height, ..): Form) -> Result<filter::Graph, Error> {
        let name = format.descriptor().ok_or(Error::InvalidData)?.name();
        let source = format!("video_size={width}x{height}:pix_fmt={name}:time_base=1/1");
        // `scale` reads the colour matrix and the range from the frame. `copy` makes the stride of frames that are stored
        // bottom up positive, because `stride` and `data` above cannot express a negative one.
        let (width, height) = (self.geometry.width(), self.geometry.height());
        let chain = format!("{}scale={width}:{height}:flags=area,format=rgb24,copy", self.upright);

        let mut graph = filter::Graph::new();
        graph.add(&filter::find("buffer").ok_or(Error::FilterNotFound)?, "in", &source)?;
        graph.add(&filter::find("buffersink").ok_or(Error::FilterNotFound)?, "out", "")?;
        graph.output("in", 0)?.input("out", 0)?.parse(&chain)?;
        graph.validate()?;
        Ok(graph)
    }
}

/// The filters for a display matrix of quarter turns and mirrors; none for others.
///
/// A pixel at (x, y) is to be shown at (a x + c y, b x + d y), where a and b begin the first row, c and d the second.
fn upright([a, b, _, c, d, ..]: [i32; 9]) -> &'static str {
    match [a, b, c, d].map(i32::signum) {
        [0, 1, -1, 0] => "transpose=clock,",
        [-1, 0, 0, -1] => "hflip,vflip,",
        [0, -1, 1, 0] => "transpose=cclock,",
        [-1, 0, 0, 1] => "hflip,",
        [1, 0, 0, -1] => "vflip,",
        [0, 1, 1, 0] => "transpose=cclock_flip,",
        [0, -1, -1, 0] => "transpose=clock_flip,",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows the picture `12/34` by the display matrix of `a b c d`.
    #[track_caller]
    fn check([a, b, c, d]: [i32; 4], want: [[u8; 2]; 2]) {
        let mut picture = frame::Video::new(Pixel::RGB24, 2, 2);
        let stride = picture.stride(0);
        for (row, values) in [[10, 20], [30, 40]].into_iter().enumerate() {
            let pixels = values.map(|value| [value; 3]);
            picture.data_mut(0)[row * stride..][..6].copy_from_slice(pixels.as_flattened());
        }
        let geometry = Geometry::PAPER.with_size(2, 2).unwrap();
        let matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30];
        let got = Pixels::new(geometry, Some(matrix)).of(&picture).unwrap();
        let want = want.map(|row| row.map(|value| value * 10));
        assert_eq!(got, Array3::from_shape_fn((3, 2, 2), |(_, y, x)| want[y][x]));
    }

    #[test]
    fn display_matrices() {
        check([1, 0, 0, 1], [[1, 2], [3, 4]]);
        check([0, 1, -1, 0], [[3, 1], [4, 2]]);
        check([-1, 0, 0, -1], [[4, 3], [2, 1]]);
        check([0, -1, 1, 0], [[2, 4], [1, 3]]);
        check([-1, 0, 0, 1], [[2, 1], [4, 3]]);
        check([1, 0, 0, -1], [[3, 4], [1, 2]]);
        check([0, 1, 1, 0], [[1, 3], [2, 4]]);
        check([0, -1, -1, 0], [[4, 2], [3, 1]]);
    }
}
