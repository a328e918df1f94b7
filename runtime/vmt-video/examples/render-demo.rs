//! Draws the demonstration film: twelve calm seconds with motion, a beat, two cuts and three palettes.
//!
//! ```sh
//! cargo run --release -p vmt-video --example render-demo -- tests/data/demo.mp4
//! ```

use std::f32::consts::{PI, TAU};
use std::io::{self, Write};
use std::process::{Command, Stdio};

const WIDTH: usize = 640;
const HEIGHT: usize = 360;
const FRAMES_PER_SECOND: usize = 25;
const SECONDS: usize = 12;

fn main() -> io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "demo.mp4".to_owned());
    let raw = format!("-v error -y -f rawvideo -pix_fmt rgb24 -s {WIDTH}x{HEIGHT} -r {FRAMES_PER_SECOND} -i -");
    // One thread and no version, so that every machine with the same encoder writes the same bytes.
    let film = "-c:v libx264 -preset veryslow -tune animation -crf 20 -threads 1 -pix_fmt yuv420p \
                -bitexact -movflags faststart";
    let arguments = raw.split_whitespace().chain(film.split_whitespace());
    let mut ffmpeg = Command::new("ffmpeg").args(arguments).arg(path).stdin(Stdio::piped()).spawn()?;
    if let Some(mut film) = ffmpeg.stdin.take() {
        for index in 0..SECONDS * FRAMES_PER_SECOND {
            film.write_all(&draw(index as f32 / FRAMES_PER_SECOND as f32).bytes())?;
        }
    }
    let status = ffmpeg.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("ffmpeg: {status}"))) }
}

/// The picture at `time`: three scenes of four seconds.
fn draw(time: f32) -> Picture {
    match time {
        ..4.0 => morning(time),
        4.0..8.0 => night(time - 4.0),
        _ => meadow(time - 8.0),
    }
}

fn morning(time: f32) -> Picture {
    let mut picture = Picture::sky(0xF2A27E, 0xFDE9C4);
    let sun = (446.0, 178.0 - 14.0 * time);
    picture.glow(sun, 190.0, 0xFFF0BE, 0.8);
    picture.disc(sun, 46.0, 0xFFF8E1);
    for (index, x) in [0.0, 34.0, 62.0].into_iter().enumerate() {
        let flap = 6.0 * (TAU * (1.25 * time + 0.3 * index as f32)).sin();
        let (x, y) = (150.0 + x + 26.0 * time, 84.0 + 0.4 * (x - 40.0).abs() - 3.0 * time);
        picture.line((x, y), (x - 11.0, y - flap), 1.4, 0x8A4B5C);
        picture.line((x, y), (x + 11.0, y - flap), 1.4, 0x8A4B5C);
    }
    picture.below(0xE8987A, |x| 232.0 + 20.0 * ((x + 6.0 * time) / 88.0).sin() + 8.0 * (x / 35.0 + 1.0).sin());
    picture.below(0xC96F6D, |x| 262.0 + 16.0 * ((x + 14.0 * time) / 71.0 + 2.0).sin() + 6.0 * (x / 29.0).sin());
    let ground = |x: f32| 304.0 + 12.0 * (x / 120.0 + 0.6).sin();
    picture.below(0x6D3A55, ground);

    let beat = (time / 0.8).fract();
    let x = 60.0 + 125.0 * time;
    picture.ball((x, ground(x)), 19.0, 118.0, beat);
    picture
}

fn night(time: f32) -> Picture {
    let mut picture = Picture::sky(0x0B1437, 0x3A5F92);
    for star in 0..70 {
        let (x, y) = (WIDTH as f32 * scatter(star, 1), 205.0 * scatter(star, 2));
        let light = 0.55 + 0.45 * (TAU * (0.5 * time + scatter(star, 3))).sin();
        picture.glow((x, y), 1.6 + 1.8 * scatter(star, 4), 0xFFF6DA, light);
    }
    let moon = (168.0, 92.0);
    picture.glow(moon, 130.0, 0xB9CCF0, 0.45);
    picture.disc(moon, 36.0, 0xF6F0D8);
    for (x, y, radius) in [(-12.0, -8.0, 7.0), (10.0, 6.0, 9.0), (-4.0, 17.0, 4.0)] {
        picture.disc((moon.0 + x, moon.1 + y), radius, 0xE6DEC2);
    }

    let wave = |layer: f32, x: f32| {
        let pace = time * (0.9 + 0.35 * layer);
        226.0 + 34.0 * layer + (4.0 + 2.0 * layer) * (x / (44.0 + 14.0 * layer) + pace + 2.1 * layer).sin()
    };
    picture.below(0x2C5081, |x| wave(0.0, x));
    for ripple in 0..9 {
        let (y, sway) = (236.0 + 11.0 * ripple as f32, (2.6 * time + 1.7 * ripple as f32).sin());
        let half = 30.0 - 1.4 * ripple as f32 + 9.0 * sway;
        picture.line((moon.0 - half + 5.0 * sway, y), (moon.0 + half + 5.0 * sway, y), 1.3, 0xBFD0E8);
    }
    picture.below(0x21406D, |x| wave(1.0, x));

    // A boat, tilting about the water under it.
    let x = 372.0 + 13.0 * time;
    let (turn, water) = (0.1 * (PI * time).sin(), wave(1.5, x) + 4.0);
    let at = |dx: f32, dy: f32| (x + dx * turn.cos() - dy * turn.sin(), water + dx * turn.sin() + dy * turn.cos());
    picture.line(at(0.0, -10.0), at(0.0, -104.0), 1.8, 0x5A3A35);
    picture.triangle([at(5.0, -102.0), at(5.0, -26.0), at(58.0, -26.0)], 0xF7E7C6);
    picture.triangle([at(-5.0, -92.0), at(-38.0, -26.0), at(-5.0, -26.0)], 0xE9CFA3);
    picture.triangle([at(-50.0, -18.0), at(54.0, -18.0), at(34.0, 4.0)], 0xD2505C);
    picture.triangle([at(-50.0, -18.0), at(34.0, 4.0), at(-32.0, 4.0)], 0xD2505C);
    picture.line(at(-48.0, -17.5), at(33.0, 3.5), 0.6, 0xD2505C);
    picture.below(0x18325A, |x| wave(2.0, x));
    picture.below(0x102344, |x| wave(3.0, x));
    picture
}

fn meadow(time: f32) -> Picture {
    // Day turns to evening.
    let evening = smooth((time - 1.6) / 1.2);
    let turn = |day, dusk| mix(rgb(day), rgb(dusk), evening);
    let mut picture = Picture::sky(turn(0x8FCBD9, 0x6F5A9E), turn(0xF3F3CF, 0xF7B7A6));
    let sun = (150.0, 96.0 + 60.0 * evening);
    picture.glow(sun, 150.0, turn(0xFFF9D6, 0xFFD9A0), 0.8);
    picture.disc(sun, 34.0, turn(0xFFFBE6, 0xFFE7B8));
    picture.below(turn(0xA9CF9B, 0xA7799F), |x| 238.0 + 18.0 * (x / 96.0 + 0.8).sin());
    picture.below(turn(0x7DB77E, 0x7B5A8C), |x| 270.0 + 13.0 * (x / 77.0 + 3.1).sin());

    for flower in 0..9 {
        let root = (58.0 + 66.0 * flower as f32 + 16.0 * (scatter(flower, 5) - 0.5), 350.0);
        let tall = 105.0 + 80.0 * scatter(flower, 6);
        let sway = 20.0 * (PI * time + 0.55 * flower as f32).sin();
        let bend = |part: f32| (root.0 + sway * part * part, root.1 - tall * part);
        for step in 0..12 {
            picture.line(bend(step as f32 / 12.0), bend((step + 1) as f32 / 12.0), 2.2, turn(0x3F7D52, 0x4B3A6B));
        }
        let petals = [(0xE8574E, 0xF08A7C), (0xF6C445, 0xFFD27A), (0xFFFFFF, 0xF7D9E8)][flower as usize % 3];
        let (head, size) = (bend(1.0), 9.0 + 4.0 * scatter(flower, 7));
        for petal in 0..6 {
            let (sin, cos) = (TAU * petal as f32 / 6.0 + 0.02 * sway).sin_cos();
            picture.disc((head.0 + size * cos, head.1 + size * sin), 0.62 * size, turn(petals.0, petals.1));
        }
        picture.disc(head, 0.6 * size, turn(0xFFE9A8, 0xFFF1C9));
    }
    let ground = |x: f32| 322.0 + 6.0 * (x / 90.0).sin();
    picture.below(turn(0x4F9564, 0x4A3B6E), ground);
    for seed in 0..26 {
        let drift = time * (18.0 + 22.0 * scatter(seed, 8));
        let x = (WIDTH as f32 * scatter(seed, 9) + drift) % WIDTH as f32;
        let y = 300.0 * scatter(seed, 10) + 9.0 * (1.7 * time + TAU * scatter(seed, 11)).sin() - 0.3 * drift;
        picture.glow((x, y), 3.0, 0xFFFFFF, 0.7);
    }

    // Each bounce is shorter and lower than the one before; then the ball rolls on a little.
    let (mut begin, mut length) = (-0.4, 0.8);
    while time >= begin + length && length > 0.1 {
        (begin, length) = (begin + length, 0.8 * length);
    }
    let beat = ((time - begin) / length).min(1.0);
    let x = 640.0 - 350.0 * (1.0 - (1.0 - time / 4.0).powi(2));
    picture.ball((x, ground(x)), 22.0, 230.0 * length * length, beat);
    picture.fade(smooth((time - 3.3) / 0.7));
    picture
}

type Point = (f32, f32);
type Colour = [f32; 3];

/// A colour as `0xRRGGBB` or as numbers.
trait Paint {
    fn colour(self) -> Colour;
}

impl Paint for u32 {
    fn colour(self) -> Colour {
        rgb(self)
    }
}

impl Paint for Colour {
    fn colour(self) -> Colour {
        self
    }
}

fn rgb(hex: u32) -> Colour {
    [16, 8, 0].map(|shift| (hex >> shift & 0xFF) as f32)
}

fn mix(a: Colour, b: Colour, part: f32) -> Colour {
    std::array::from_fn(|channel| a[channel] + (b[channel] - a[channel]) * part)
}

/// From 0 to 1 with gentle ends.
fn smooth(part: f32) -> f32 {
    let part = part.clamp(0.0, 1.0);
    part * part * (3.0 - 2.0 * part)
}

/// A number in `0.0..1.0` that looks random.
fn scatter(index: u32, salt: u32) -> f32 {
    let mixed = (index.wrapping_mul(0x9E37_79B1) ^ salt.wrapping_mul(0x85EB_CA77)).wrapping_mul(0xC2B2_AE3D);
    (mixed ^ mixed >> 15).wrapping_mul(0x27D4_EB2F) as f32 / (u32::MAX as f32 + 1.0)
}

/// Colours in `0.0..=255.0`, row by row.
struct Picture(Vec<Colour>);

impl Picture {
    fn sky(top: impl Paint, bottom: impl Paint) -> Self {
        let (top, bottom) = (top.colour(), bottom.colour());
        let row = |y| mix(top, bottom, smooth(y as f32 / (0.8 * HEIGHT as f32)));
        Self((0..WIDTH * HEIGHT).map(|index| row(index / WIDTH)).collect())
    }

    /// Paints as thick as `cover` says, 0 to 1, within `reach` of the centre.
    fn paint(&mut self, (x, y): Point, reach: f32, colour: impl Paint, cover: impl Fn(Point) -> f32) {
        let colour = colour.colour();
        let range =
            |centre: f32, end| (centre - reach).max(0.0) as usize..((centre + reach + 2.0).max(0.0) as usize).min(end);
        for row in range(y, HEIGHT) {
            for column in range(x, WIDTH) {
                let pixel = &mut self.0[row * WIDTH + column];
                *pixel = mix(*pixel, colour, cover((column as f32, row as f32)).clamp(0.0, 1.0));
            }
        }
    }

    fn disc(&mut self, centre: Point, radius: f32, colour: impl Paint) {
        self.paint(centre, radius, colour, |point| radius + 0.5 - distance(point, centre));
    }

    fn glow(&mut self, centre: Point, radius: f32, colour: impl Paint, light: f32) {
        self.paint(centre, radius, colour, |point| light * (1.0 - distance(point, centre) / radius).max(0.0).powi(2));
    }

    fn line(&mut self, from: Point, to: Point, half_width: f32, colour: impl Paint) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = distance(from, to);
        let nearest = |(x, y): Point| {
            let along = (((x - from.0) * dx + (y - from.1) * dy) / (length * length)).clamp(0.0, 1.0);
            (from.0 + along * dx, from.1 + along * dy)
        };
        let centre = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
        let cover = |point| half_width + 0.5 - distance(point, nearest(point));
        self.paint(centre, length / 2.0 + half_width, colour, cover);
    }

    /// Corners in clockwise or counter-clockwise order.
    fn triangle(&mut self, [a, b, c]: [Point; 3], colour: impl Paint) {
        let side = |(px, py): Point, (qx, qy): Point, (x, y): Point| {
            ((qx - px) * (y - py) - (qy - py) * (x - px)) / distance((px, py), (qx, qy))
        };
        let hand = side(a, b, c).signum();
        let inside = |point| [side(a, b, point), side(b, c, point), side(c, a, point)].map(|depth| depth * hand);
        let centre = ((a.0 + b.0 + c.0) / 3.0, (a.1 + b.1 + c.1) / 3.0);
        let reach = [a, b, c].map(|corner| distance(centre, corner)).into_iter().fold(0.0, f32::max);
        self.paint(centre, reach, colour, |point| 0.5 + inside(point).into_iter().fold(f32::MAX, f32::min));
    }

    /// Fills all that lies below a line.
    fn below(&mut self, colour: impl Paint, line: impl Fn(f32) -> f32) {
        self.paint((0.0, 0.0), WIDTH as f32, colour, |(x, y)| y + 0.5 - line(x));
    }

    /// A ball and its shadow, at `beat` (0 to 1) of a bounce to `height`; it is squeezed where it hits the ground.
    fn ball(&mut self, ground: Point, radius: f32, height: f32, beat: f32) {
        let high = height * 4.0 * beat * (1.0 - beat);
        let squeeze = 0.002 * height * (-high / 9.0).exp();
        let (wide, tall) = (radius * (1.0 + squeeze), radius * (1.0 - squeeze));
        let near = 1.0 / (1.0 + high / 60.0);
        let shadow = |(x, y): Point| {
            let away = ((x - ground.0) / (1.5 * radius)).hypot((y - ground.1 - 3.0) / (0.35 * radius));
            0.45 * near * (1.0 - away).max(0.0).sqrt()
        };
        self.paint(ground, 2.0 * radius, 0x000000, shadow);
        let centre = (ground.0, ground.1 - tall - high);
        let round = |(x, y): Point| 0.5 + radius * (1.0 - ((x - centre.0) / wide).hypot((y - centre.1) / tall));
        self.paint(centre, 1.5 * radius, 0xE2413B, round);
        let light = (centre.0 - 0.3 * wide, centre.1 - 0.35 * tall);
        self.paint(light, 1.4 * radius, 0xFFFFFF, |point| {
            round(point).min(1.0) * 0.55 * (1.0 - distance(point, light) / radius).max(0.0).powi(2)
        });
    }

    fn fade(&mut self, part: f32) {
        self.0.iter_mut().for_each(|pixel| *pixel = mix(*pixel, [0.0; 3], part));
    }

    /// Red, green, blue, row by row.
    fn bytes(&self) -> Vec<u8> {
        self.0.iter().flatten().map(|value| value.round() as u8).collect()
    }
}

fn distance(a: Point, b: Point) -> f32 {
    (a.0 - b.0).hypot(a.1 - b.1)
}
