//! How a scene looks whatever the music does: palettes, shots, and what a camera does to pictures.

use super::canvas::{Colour, Point, hsl, mix};
use super::channels::Channels;
use super::curves::Curves;
use super::figure::Body;
use super::rng::Rng;
use crate::data::song::Song;

/// The colours of a picture.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    /// The ground's darkest and lightest.
    pub ground: [Colour; 2],
    /// The dancer's two inks.
    pub inks: [Colour; 2],
    /// Particles and flashes.
    pub spark: Colour,
}

impl Palette {
    /// Colours around a ground of this hue (degrees), saturation and lightness.
    fn new(hue: f32, saturation: f32, lightness: f32, rng: &mut Rng) -> Self {
        let (spread, drift) = (rng.between(0.08, 0.15), rng.between(-6.0, 6.0));
        let shade = |hue, part| hsl(hue, saturation, lightness + spread * part);
        let [red, green, blue] = shade(hue, 0.0);
        let dark = 0.3 * red + 0.59 * green + 0.11 * blue > 0.45;
        let ink = |rng: &mut Rng| {
            let hue = if rng.chance(0.5) { hue + rng.between(-20.0, 20.0) } else { rng.between(0.0, 360.0) };
            hsl(hue, rng.between(0.2, 0.7), if dark { rng.between(0.06, 0.26) } else { rng.between(0.8, 0.95) })
        };
        Self {
            ground: [shade(hue - drift, -1.0), shade(hue + drift, 1.0)],
            inks: [ink(rng), ink(rng)],
            spark: hsl(hue + rng.between(-12.0, 12.0), 0.5, (lightness + 0.33).min(0.93)),
        }
    }

    fn mix(&self, other: &Self, part: f32) -> Self {
        let two = |a: [Colour; 2], b: [Colour; 2]| [mix(a[0], b[0], part), mix(a[1], b[1], part)];
        Self {
            ground: two(self.ground, other.ground),
            inks: two(self.inks, other.inks),
            spark: mix(self.spark, other.spark, part),
        }
    }

    /// The same colours on a ground whose red, green and blue are multiplied by `jitter`.
    fn tinted(&self, jitter: Colour) -> Self {
        let tint = |colour: Colour| std::array::from_fn(|k| colour[k] * jitter[k]);
        Self { ground: self.ground.map(tint), ..*self }
    }
}

/// What covers the ground.
#[derive(Clone, Copy, Debug)]
enum Texture {
    Plain,
    Stripes,
    Checks,
    Dots,
    Clouds,
}

/// What is seen from one cut to the next.
#[derive(Clone, Debug)]
pub struct Shot {
    /// When it begins, in seconds.
    pub begin: f64,
    /// How close the camera is.
    pub zoom: f32,
    /// Where the camera looks, from the middle.
    pub pan: Point,
    /// Where the dancer stands, from the middle, in stage units.
    pub place: f32,
    /// 1 or -1: which hand leads.
    pub side: f32,
    /// Where particles fly, in radians.
    pub flight: f32,
    tint: Colour,
    texture: Texture,
    /// Direction, waves per stage unit and strength of the texture.
    weave: (Point, f32, f32),
    /// From dark to light.
    slope: Point,
    spot: Point,
    /// Where the floor begins.
    floor: f32,
}

impl Shot {
    fn new(begin: f64, rng: &mut Rng) -> Self {
        let mut direction = |length: f32| {
            let angle = rng.between(0.0, std::f32::consts::TAU);
            (length * angle.cos(), length * angle.sin())
        };
        let (weave, slope) = (direction(1.0), direction(0.5 / 64.0));
        let textures = [Texture::Plain, Texture::Stripes, Texture::Checks, Texture::Dots, Texture::Clouds];
        Self {
            begin,
            zoom: rng.between(0.9, 1.12),
            pan: (rng.between(-6.0, 6.0), rng.between(-2.5, 2.5)),
            place: rng.between(-18.0, 18.0),
            side: rng.sign(),
            flight: rng.between(0.0, std::f32::consts::TAU),
            tint: [rng.between(0.95, 1.05), rng.between(0.95, 1.05), rng.between(0.9, 1.1)],
            texture: textures[(rng.unit() * textures.len() as f32) as usize],
            weave: (weave, rng.between(1.0 / 34.0, 1.0 / 12.0), rng.between(0.1, 0.4)),
            slope,
            spot: (rng.between(20.0, 108.0), rng.between(10.0, 90.0)),
            floor: if rng.chance(0.6) { rng.between(88.0, 120.0) } else { 1e3 },
        }
    }

    /// The ground at a point of the set, from dark (0) to light (1).
    pub fn ground(&self, (x, y): Point) -> f32 {
        let ((wx, wy), frequency, strength) = self.weave;
        let along = (x * wx + y * wy) * frequency;
        let across = (x * wy - y * wx) * frequency;
        let pattern = match self.texture {
            Texture::Plain => 0.0,
            Texture::Stripes => (3.0 * wave(along)).clamp(-1.0, 1.0),
            Texture::Checks => (6.0 * wave(along) * wave(across)).clamp(-1.0, 1.0),
            Texture::Dots => (3.0 * (wave(along) + wave(across)) - 1.5).clamp(-1.0, 1.0),
            Texture::Clouds => wave(0.5 * along + 0.3 * wave(across)) * wave(0.37 * across + 0.2 * wave(0.7 * along)),
        };
        let (dx, dy) = (x - self.spot.0, y - self.spot.1);
        let spot = (1.0 - (dx * dx + dy * dy) / 3600.0).max(0.0);
        let floor = 0.3 * (y - self.floor + 0.5).clamp(0.0, 1.0);
        let slope = (x - 64.0) * self.slope.0 + (y - 64.0) * self.slope.1;
        (0.42 + slope + 0.35 * spot * spot + 0.5 * strength * pattern - floor).clamp(0.0, 1.0)
    }
}

/// -1 to 1 and back, once for each whole number; smooth, and cheaper than a sine.
fn wave(x: f32) -> f32 {
    let part = 2.0 * (x - x.floor()) - 1.0;
    4.0 * part * (1.0 - part.abs())
}

/// All that is random about a scene as a whole.
#[derive(Clone, Debug)]
pub struct Look {
    /// The dancers; the first one is in front.
    pub bodies: Vec<Body>,
    /// One of each pair for minor and for major; the same for both where the mode is not shown.
    palettes: [Palette; 2],
    /// Height of the bounce and width of the sway, in stage units.
    pub steps: (f32, f32),
    /// How bright an onset flashes.
    pub flash: f32,
    /// All that flies.
    pub particles: Vec<Particle>,
    /// Whether particles glow softly.
    pub soft: bool,
    /// Seconds by which the pictures come late.
    pub late: f64,
    /// Height of the black bars in stage units.
    pub letterbox: f32,
    /// Largest deviation of a pixel's light.
    pub grain: f32,
    /// Whether left and right are swapped.
    pub mirror: bool,
    /// The bytes for light from 0 to 1.
    pub curve: [u8; 1024],
    /// Width (stage units) and pace (radians per second) of the camera's drift.
    drift: [(f32, f32); 2],
}

/// Something that flies.
#[derive(Clone, Copy, Debug)]
pub struct Particle {
    /// Where it begins.
    pub from: Point,
    /// Its speed and size relative to the others.
    pub pace: f32,
    /// Its size relative to the others.
    pub size: f32,
    /// How visible it is.
    pub opacity: f32,
}

impl Look {
    pub fn new(channels: Channels, rng: &mut Rng) -> Self {
        let dancers = if rng.chance(0.25) { 3 } else { 1 };
        // Drawn in any case, so that switching a channel leaves everything else as it is.
        let any = (rng.between(0.0, 360.0), rng.between(0.2, 0.8), rng.between(0.35, 0.6));
        let major = (rng.between(34.0, 56.0), rng.between(0.6, 0.8), 0.6);
        let minor = (rng.between(206.0, 244.0), rng.between(0.2, 0.4), 0.35);
        let colours = rng.seed();
        let palette = |(hue, saturation, lightness)| Palette::new(hue, saturation, lightness, &mut Rng::new(colours));
        let particle = |rng: &mut Rng| Particle {
            from: (rng.between(0.0, 1.0), rng.between(0.0, 1.0)),
            pace: rng.between(0.75, 1.25),
            size: rng.between(0.6, 1.4),
            opacity: rng.between(0.35, 0.9),
        };
        let gamma = rng.between(0.85, 1.18);
        Self {
            bodies: (0..dancers).map(|_| Body::new(rng)).collect(),
            palettes: if channels.mode { [palette(minor), palette(major)] } else { [palette(any); 2] },
            steps: (rng.between(4.0, 6.0), rng.between(8.0, 12.0)),
            flash: rng.between(0.2, 0.7),
            particles: (0..rng.between(18.0, 44.0) as usize).map(|_| particle(rng)).collect(),
            soft: rng.chance(0.3),
            late: f64::from(rng.between(-0.05, 0.05)),
            letterbox: if rng.chance(0.3) { rng.between(6.0, 16.0) } else { 0.0 },
            grain: if rng.chance(0.6) { rng.between(0.0, 0.05) } else { 0.0 },
            mirror: rng.chance(0.5),
            curve: std::array::from_fn(|light| (255.0 * (light as f32 / 1023.0).powf(gamma)).round() as u8),
            drift: [0, 1].map(|_| (rng.between(0.0, 3.0), rng.between(0.3, 0.9))),
        }
    }

    /// The colours of a shot, in minor (0), in major (1) or between.
    pub fn palette(&self, major: f32, shot: &Shot) -> Palette {
        self.palettes[0].mix(&self.palettes[1], major).tinted(shot.tint)
    }

    /// How far the camera has drifted.
    pub fn drift(&self, time: f64) -> Point {
        let [x, y] = self.drift.map(|(width, pace)| width * (time * f64::from(pace)).sin() as f32);
        (x, 0.6 * y)
    }
}

/// The shots of a song; the first one begins before it.
///
/// Phrases are taken to begin at every fourth downbeat, where cuts are likely. Some films cut at other downbeats, too.
/// Without the channel, cuts follow random bars. With `curves`, they are as frequent as the music is loud.
pub fn shots(song: &Song, channels: Channels, curves: Option<&Curves>, rng: &mut Rng) -> Vec<Shot> {
    /// Seconds between cuts at least.
    const SHORTEST: f64 = 1.0;
    /// Share of the cuts that come at any time.
    const STRAY: f32 = 0.15;
    let pace = rng.between(0.1, 0.7);
    let (bar, offset) = (f64::from(rng.between(1.9, 4.1)), f64::from(rng.unit()));
    let mut throws = Rng::new(rng.seed());
    let mut cut = |(index, downbeat): (usize, f64)| {
        let pace = curves.map_or(pace, |curves| 0.05 + 0.9 * curves.at(downbeat).loudness);
        let likely = if index.is_multiple_of(4) { 0.8 } else { pace };
        let (cut, early) = (throws.chance(likely), f64::from(throws.between(0.0, 0.1)));
        let (stray, aside) = (throws.chance(STRAY), f64::from(throws.between(-2.0, 2.0)));
        cut.then_some(if stray { downbeat + aside } else { downbeat - early })
    };
    let mut cuts: Vec<f64> = if channels.phrase {
        song.downbeats.iter().copied().enumerate().filter_map(&mut cut).collect()
    } else {
        let count = (song.duration() / bar) as usize + 1;
        (0..count).map(|index| (index, (index as f64 + offset) * bar)).filter_map(&mut cut).collect()
    };
    cuts.sort_by(f64::total_cmp);
    let mut shots = vec![Shot::new(f64::NEG_INFINITY, rng)];
    for cut in cuts {
        if shots.last().is_none_or(|shot| cut - shot.begin >= SHORTEST) {
            shots.push(Shot::new(cut, rng));
        }
    }
    shots
}
