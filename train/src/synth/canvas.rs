//! A small software rasteriser: soft-edged strokes over a filled ground.
//!
//! Places and lengths are in stage units: the picture is 128 units high and `(64, 64)` is its middle, whatever its
//! resolution. `y` points down.

use ndarray::ArrayViewMut3;

/// `(x, y)` in stage units.
pub type Point = (f32, f32);

/// Red, green, blue in `0.0..=1.0`.
pub type Colour = [f32; 3];

/// The height of the stage, in its own units.
pub const STAGE: f32 = 128.0;

/// A thick line with round ends; a disc where the ends meet.
#[derive(Clone, Copy, Debug)]
pub struct Stroke {
    pub from: Point,
    pub to: Point,
    pub radius: f32,
    /// Which of two colours.
    pub ink: usize,
}

/// What happens to a picture after it is drawn.
#[derive(Clone, Debug)]
pub struct Development {
    /// 1 leaves the light as it is, 0 is darkness.
    pub light: f32,
    /// Largest deviation of a pixel's light.
    pub grain: f32,
    /// Different for each picture.
    pub grain_seed: u32,
    /// Height of the black bars above and below, in stage units.
    pub letterbox: f32,
    /// Whether left becomes right.
    pub mirror: bool,
}

/// A picture in the making.
pub struct Canvas {
    height: usize,
    width: usize,
    /// Pixels per stage unit.
    scale: f32,
    pixels: Vec<Colour>,
    /// Cover of both inks for one exposure, and summed over all.
    exposure: Vec<[f32; 2]>,
    sum: Vec<[f32; 2]>,
}

/// Pixels `left..right`, `top..bottom`.
#[derive(Clone, Copy)]
struct Area {
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
}

impl Canvas {
    pub fn new(height: usize, width: usize) -> Self {
        let size = height * width;
        Self {
            height,
            width,
            scale: height as f32 / STAGE,
            pixels: vec![[0.0; 3]; size],
            exposure: vec![[0.0; 2]; size],
            sum: vec![[0.0; 2]; size],
        }
    }

    /// Paints every pixel.
    pub fn fill(&mut self, colour: impl Fn(Point) -> Colour) {
        self.fill_by(|x| x, |y| y, |&x, &y| colour((x, y)));
    }

    /// Paints every pixel by what its column and its row are turned into.
    pub fn fill_by<X, Y>(&mut self, x: impl Fn(f32) -> X, y: impl Fn(f32) -> Y, colour: impl Fn(&X, &Y) -> Colour) {
        let unit = 1.0 / self.scale;
        let left = (STAGE - self.width as f32 * unit) / 2.0;
        let columns: Vec<X> = (0..self.width).map(|column| x(left + (column as f32 + 0.5) * unit)).collect();
        for (row, pixels) in self.pixels.chunks_exact_mut(self.width).enumerate() {
            let y = y((row as f32 + 0.5) * unit);
            for (x, pixel) in columns.iter().zip(pixels) {
                *pixel = colour(x, &y);
            }
        }
    }

    /// A round light that fades towards its `radius`.
    pub fn glow(&mut self, centre: Point, radius: f32, colour: Colour, opacity: f32) {
        let (centre, radius) = (self.pixel(centre), radius * self.scale);
        let area = self.area(centre, centre, radius);
        let squeeze = 1.0 / (radius * radius);
        for row in area.top..area.bottom {
            let dy = row as f32 + 0.5 - centre.1;
            for column in area.left..area.right {
                let dx = column as f32 + 0.5 - centre.0;
                let near = (1.0 - (dx * dx + dy * dy) * squeeze).max(0.0);
                let pixel = &mut self.pixels[row * self.width + column];
                *pixel = mix(*pixel, colour, opacity * near * near);
            }
        }
    }

    /// One stroke.
    pub fn stroke(&mut self, stroke: &Stroke, colour: Colour, opacity: f32) {
        let capsule = Capsule::new(self, stroke);
        for row in capsule.area.top..capsule.area.bottom {
            let pixels = &mut self.pixels[row * self.width..][capsule.area.left..capsule.area.right];
            for (column, pixel) in pixels.iter_mut().enumerate() {
                *pixel = mix(*pixel, colour, opacity * capsule.cover(capsule.area.left + column, row));
            }
        }
    }

    /// Strokes that move while the shutter is open: each exposure has the same share of the time. Within one, later
    /// strokes hide earlier ones.
    pub fn exposures<const N: usize>(&mut self, exposures: &[[Stroke; N]], inks: [Colour; 2], opacity: f32) {
        let mut whole = Area { left: self.width, right: 0, top: self.height, bottom: 0 };
        let mut capsules = Vec::with_capacity(N * exposures.len());
        for stroke in exposures.iter().flatten() {
            let capsule = Capsule::new(self, stroke);
            let Area { left, right, top, bottom } = capsule.area;
            whole.left = whole.left.min(left);
            whole.right = whole.right.max(right);
            whole.top = whole.top.min(top);
            whole.bottom = whole.bottom.max(bottom);
            capsules.push((capsule, stroke.ink));
        }
        let (columns, width) = (whole.left.min(whole.right)..whole.right, self.width);
        let rows = whole.top.min(whole.bottom)..whole.bottom;
        for row in rows.clone() {
            self.sum[row * width..][columns.clone()].fill([0.0; 2]);
        }
        for exposure in capsules.chunks_exact(N) {
            for row in rows.clone() {
                self.exposure[row * width..][columns.clone()].fill([0.0; 2]);
            }
            for (capsule, ink) in exposure {
                capsule.expose(&mut self.exposure, width, *ink);
            }
            for row in rows.clone() {
                let (sums, covers) = (&mut self.sum[row * width..], &self.exposure[row * width..]);
                for (sum, cover) in sums[columns.clone()].iter_mut().zip(&covers[columns.clone()]) {
                    *sum = [sum[0] + cover[0], sum[1] + cover[1]];
                }
            }
        }
        let share = opacity / exposures.len() as f32;
        for row in rows {
            let (pixels, sums) = (&mut self.pixels[row * width..], &self.sum[row * width..]);
            for (pixel, sum) in pixels[columns.clone()].iter_mut().zip(&sums[columns.clone()]) {
                let [a, b] = [sum[0] * share, sum[1] * share];
                *pixel = std::array::from_fn(|k| pixel[k] * (1.0 - a - b) + inks[0][k] * a + inks[1][k] * b);
            }
        }
    }

    /// The finished picture, `[3, height, width]`. `curve` holds the bytes for light from 0 to 1.
    pub fn develop(&self, how: &Development, curve: &[u8; 1024], mut picture: ArrayViewMut3<u8>) {
        let bar = how.letterbox * self.scale;
        for (row, pixels) in self.pixels.chunks_exact(self.width).enumerate() {
            let from_edge = row.min(self.height - 1 - row) as f32 + 1.0;
            let light = how.light * (from_edge - bar).clamp(0.0, 1.0);
            for (column, pixel) in pixels.iter().enumerate() {
                let x = if how.mirror { self.width - 1 - column } else { column };
                let grain = how.grain * rough(how.grain_seed, (row * self.width + column) as u32);
                for (channel, value) in pixel.iter().enumerate() {
                    // A cast from a negative number gives 0.
                    let index = ((value + grain) * light * 1023.0 + 0.5) as usize;
                    picture[[channel, row, x]] = curve[index.min(1023)];
                }
            }
        }
    }

    fn pixel(&self, (x, y): Point) -> Point {
        ((x - STAGE / 2.0) * self.scale + self.width as f32 / 2.0, y * self.scale)
    }

    /// The pixels within `reach` of the box around two points, all in pixels.
    fn area(&self, a: Point, b: Point, reach: f32) -> Area {
        let low = |a: f32, b: f32| (a.min(b) - reach - 0.5).max(0.0) as usize;
        let high = |a: f32, b: f32, end| ((a.max(b) + reach + 1.5).max(0.0) as usize).min(end);
        let (right, bottom) = (high(a.0, b.0, self.width), high(a.1, b.1, self.height));
        Area { left: low(a.0, b.0).min(right), right, top: low(a.1, b.1).min(bottom), bottom }
    }
}

/// A stroke in pixels.
struct Capsule {
    from: Point,
    along: Point,
    /// 1 over the squared length.
    squeeze: f32,
    radius: f32,
    /// A stroke thinner than a pixel covers none wholly.
    most: f32,
    area: Area,
}

impl Capsule {
    fn new(canvas: &Canvas, stroke: &Stroke) -> Self {
        let (from, to, radius) = (canvas.pixel(stroke.from), canvas.pixel(stroke.to), stroke.radius * canvas.scale);
        let along = (to.0 - from.0, to.1 - from.1);
        let squeeze = 1.0 / (along.0 * along.0 + along.1 * along.1).max(1e-6);
        Self { from, along, squeeze, radius, most: (2.0 * radius).min(1.0), area: canvas.area(from, to, radius) }
    }

    /// How much of a pixel is covered, 0 to 1.
    fn cover(&self, column: usize, row: usize) -> f32 {
        let (x, y) = (column as f32 + 0.5 - self.from.0, row as f32 + 0.5 - self.from.1);
        let part = ((x * self.along.0 + y * self.along.1) * self.squeeze).clamp(0.0, 1.0);
        let (dx, dy) = (x - part * self.along.0, y - part * self.along.1);
        (self.radius + 0.5 - (dx * dx + dy * dy).sqrt()).clamp(0.0, self.most)
    }

    fn expose(&self, covers: &mut [[f32; 2]], width: usize, ink: usize) {
        for row in self.area.top..self.area.bottom {
            let covers = &mut covers[row * width..][self.area.left..self.area.right];
            for (column, covered) in covers.iter_mut().enumerate() {
                let cover = self.cover(self.area.left + column, row);
                covered[ink] = covered[ink].max(cover);
                covered[1 - ink] *= 1.0 - cover;
            }
        }
    }
}

/// `a` at 0, `b` at 1.
pub fn mix(a: Colour, b: Colour, part: f32) -> Colour {
    std::array::from_fn(|k| a[k] + (b[k] - a[k]) * part)
}

/// A colour by hue in degrees, saturation and lightness in `0.0..=1.0`.
pub fn hsl(hue: f32, saturation: f32, lightness: f32) -> Colour {
    let chroma = saturation * lightness.min(1.0 - lightness);
    [0.0, 8.0, 4.0].map(|sector| {
        let k = (sector + hue.rem_euclid(360.0) / 30.0) % 12.0;
        lightness - chroma * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0)
    })
}

/// A number in -1..1 that looks random.
fn rough(seed: u32, index: u32) -> f32 {
    let mixed = (index ^ seed).wrapping_mul(0x9E37_79B1);
    let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x85EB_CA77);
    (mixed ^ mixed >> 13) as i32 as f32 / -(i32::MIN as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    fn light(canvas: &Canvas) -> f32 {
        canvas.pixels.iter().map(|pixel| pixel[0]).sum::<f32>() / (canvas.scale * canvas.scale)
    }

    #[test]
    fn a_disc_covers_its_area_at_any_resolution() {
        for side in [32, 64, 128] {
            let mut canvas = Canvas::new(side, side);
            let disc = Stroke { from: (50.0, 60.0), to: (50.0, 60.0), radius: 20.0, ink: 0 };
            canvas.exposures(&[[disc], [disc]], [[1.0; 3], [0.0; 3]], 1.0);
            assert!((light(&canvas) - std::f32::consts::PI * 400.0).abs() < 10.0, "{side}: {}", light(&canvas));
        }
    }

    #[test]
    fn a_moving_stroke_is_spread_not_multiplied() {
        let mut canvas = Canvas::new(64, 64);
        let disc = |x| [Stroke { from: (x, 60.0), to: (x, 60.0), radius: 8.0, ink: 1 }];
        canvas.exposures(&[disc(40.0), disc(90.0)], [[0.0; 3], [1.0; 3]], 1.0);
        assert!((light(&canvas) - std::f32::consts::PI * 64.0).abs() < 5.0);
        assert!((canvas.pixels[30 * 64 + 20][0] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn what_is_outside_is_not_drawn() {
        let mut canvas = Canvas::new(32, 32);
        for (x, y) in [(-500.0, 60.0), (60.0, 900.0), (900.0, -900.0)] {
            let stroke = Stroke { from: (x, y), to: (x, y), radius: 5.0, ink: 0 };
            canvas.stroke(&stroke, [1.0; 3], 1.0);
            canvas.exposures(&[[stroke]], [[1.0; 3]; 2], 1.0);
            canvas.glow((x, y), 9.0, [1.0; 3], 1.0);
        }
        assert_eq!(light(&canvas), 0.0);
    }

    #[test]
    fn hues() {
        let bytes = |hue, saturation, lightness| hsl(hue, saturation, lightness).map(|value| (value * 255.0).round());
        assert_eq!(bytes(0.0, 1.0, 0.5), [255.0, 0.0, 0.0]);
        assert_eq!(bytes(-240.0, 1.0, 0.5), [0.0, 255.0, 0.0]);
        assert_eq!(bytes(60.0, 1.0, 0.5), [255.0, 255.0, 0.0]);
        assert_eq!(bytes(77.0, 0.0, 0.6), [153.0; 3]);
    }

    #[test]
    fn a_mirror_changes_sides() {
        let mut canvas = Canvas::new(2, 4);
        canvas.fill(|(x, _)| [x / STAGE; 3]);
        let curve = std::array::from_fn(|index| (index / 4) as u8);
        let how = Development { light: 1.0, grain: 0.0, grain_seed: 0, letterbox: 0.0, mirror: true };
        let (mut there, mut back) = (Array3::zeros((3, 2, 4)), Array3::zeros((3, 2, 4)));
        canvas.develop(&how, &curve, there.view_mut());
        canvas.develop(&Development { mirror: false, ..how }, &curve, back.view_mut());
        assert_eq!(there.slice(ndarray::s![.., .., ..;-1]), back);
        assert!(there[[0, 0, 0]] > there[[0, 0, 3]]);
    }
}
