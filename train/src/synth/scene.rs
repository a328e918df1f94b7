//! A scene: what renders pictures of a song.

use std::array;
use std::sync::Arc;

use ndarray::{Array3, Array4, ArrayViewMut3};
use vmt::{Clip, Geometry};

use super::canvas::{self, Canvas, Development, Point, STAGE, Stroke, mix};
use super::channels::Channels;
use super::curves::{Curves, Moment};
use super::figure;
use super::footage::Footage;
use super::look::{Look, Palette, Shot, shots};
use super::montage::Montage;
use super::rng::Rng;
use crate::data::song::Song;

/// How long the shutter is open for one picture, in seconds: [`Geometry::PAPER`]'s whole frame.
const SHUTTER: f64 = 0.25;
/// Positions of the dancer that are laid over each other while the shutter is open.
const EXPOSURES: usize = 6;
/// How far a camera shakes at most, in stage units.
const SHAKE: f32 = 3.0;
/// How far footage bounces and sways, of what a dancer does: all of the picture moves, which hides what moves in it.
const DANCE: f32 = 0.3;

/// A song as video. The same song, seed and channels give the same pictures.
pub struct Scene {
    curves: Curves,
    shots: Vec<Shot>,
    look: Look,
    montage: Option<Montage>,
    /// Radians per second and phase of the camera's shake from side to side, and up and down.
    shake: Option<[(f64, f64); 2]>,
}

impl Scene {
    /// `seed` chooses all that the music does not.
    pub fn new(song: &Song, seed: u64, channels: Channels) -> Self {
        Self::with_footage(song, seed, channels, None)
    }

    /// With footage, some scenes show it, as the scene itself or behind the dancer. In all others too, the camera then
    /// shakes more and cuts come sooner where the music is loud; without footage they are those of [`Scene::new`].
    pub fn with_footage(song: &Song, seed: u64, channels: Channels, footage: Option<&Arc<Footage>>) -> Self {
        let mut rng = Rng::new(seed);
        // Each has its own generator, so that none depends on how often another one draws.
        let mut own = || Rng::new(rng.seed());
        let look = Look::new(channels, &mut own());
        let curves = Curves::new(song, channels, &mut own());
        let shots = shots(song, channels, footage.map(|_| &curves), &mut own());
        let mut rng = own();
        let shake =
            footage.map(|_| [0, 1].map(|_| (f64::from(rng.between(5.0, 9.0)), f64::from(rng.between(0.0, 6.3)))));
        let montage = footage
            .filter(|footage| rng.chance(footage.probability))
            .map(|footage| Montage::new(footage, &shots, &curves, channels, &mut own()));
        Self { look, curves, shots, montage, shake }
    }

    /// A full window from `start` seconds of the song on: picture k shows `start` plus [`Geometry::time`] of k.
    pub fn clip(&self, start: f64, geometry: &Geometry) -> Clip {
        let mut pictures = Array4::zeros((geometry.frames(), 3, geometry.height(), geometry.width()));
        let mut canvas = Canvas::new(geometry.height(), geometry.width());
        for (frame, picture) in pictures.outer_iter_mut().enumerate() {
            self.draw(start + geometry.time(frame).as_secs_f64(), &mut canvas, picture);
        }
        Clip::new(pictures, geometry).expect("the geometry's own shape")
    }

    /// The picture at `time` seconds of the song: RGB, `[3, height, width]`.
    pub fn picture(&self, time: f64, height: usize, width: usize) -> Array3<u8> {
        let mut picture = Array3::zeros((3, height, width));
        self.draw(time, &mut Canvas::new(height, width), picture.view_mut());
        picture
    }

    fn draw(&self, time: f64, canvas: &mut Canvas, picture: ArrayViewMut3<u8>) {
        let time = time - self.look.late;
        let now = self.curves.at(time);
        let index = self.shots.partition_point(|shot| shot.begin <= time).saturating_sub(1);
        let shot = &self.shots[index];
        let palette = self.look.palette(now.major, shot);
        let (drift, shake) = (self.look.drift(time), self.shake(time, &now));
        let camera = Camera::new(shot, (drift.0 + shake.0, drift.1 + shake.1));

        if let Some(montage) = &self.montage {
            let dance = if montage.dancer {
                (0.0, 0.0)
            } else {
                (DANCE * self.look.steps.1 * now.sway, DANCE * self.look.steps.0 * now.bounce)
            };
            let shift = (camera.shift.0 + dance.0, camera.shift.1 + dance.1);
            montage.draw(index, &now, shift, self.look.flash, canvas);
        } else {
            let [dark, light] = palette.ground;
            canvas.fill(|point| mix(dark, light, shot.ground(camera.set(point))));
        }
        if self.montage.as_ref().is_none_or(|montage| montage.dancer) {
            self.particles(time, shot, palette.spark, canvas);
            self.dancers(time, &now, shot, &camera, &palette, canvas);
        }

        let how = Development {
            light: 1.0 - 0.6 * now.still,
            grain: self.look.grain,
            grain_seed: Rng::new((time * 1000.0).round() as i64 as u64).seed() as u32,
            letterbox: self.look.letterbox,
            mirror: self.look.mirror,
        };
        canvas.develop(&how, &self.look.curve, picture);
    }

    /// How far the hand that holds the camera moves it: more where the music is louder.
    fn shake(&self, time: f64, now: &Moment) -> Point {
        let width = SHAKE * now.loudness * (1.0 - now.still);
        let [x, y] = self.shake.map_or([0.0; 2], |waves| waves.map(|(pace, phase)| (time * pace + phase).sin() as f32));
        (width * x, width * y)
    }

    fn dancers(&self, time: f64, now: &Moment, shot: &Shot, camera: &Camera, palette: &Palette, canvas: &mut Canvas) {
        let body = |now: &Moment| {
            let (bounce, sway) = self.look.steps;
            let height = 90.0 - 50.0 * now.register;
            (64.0 + shot.place + sway * now.sway, height + bounce * now.bounce)
        };
        let size = 0.7 + 0.55 * now.loudness;
        let centre = camera.screen(body(now));
        canvas.glow(centre, 46.0 * size * camera.zoom, palette.spark, self.look.flash * now.hit);

        let open: [Moment; EXPOSURES] = array::from_fn(|exposure| {
            let part = (exposure as f64 + 0.5) / EXPOSURES as f64 - 0.5;
            self.curves.at(time + part * SHUTTER)
        });
        let opacity = 0.5 + 0.5 * now.loudness;
        for (index, dancer) in self.look.bodies.iter().enumerate().rev() {
            // Those behind are smaller, paler and to the sides.
            let (aside, smaller, paler) = [(0.0, 1.0, 1.0), (36.0, 0.6, 0.6), (-36.0, 0.6, 0.6)][index % 3];
            let exposures = open.map(|now| -> [Stroke; figure::STROKES] {
                let (x, y) = body(&now);
                let size = smaller * camera.zoom * (0.7 + 0.55 * now.loudness);
                dancer.strokes(&now, camera.screen((x + aside, y)), size, shot.side)
            });
            canvas.exposures(&exposures, palette.inks, opacity * paler);
        }
    }

    /// Streaks as long as the way that a particle flies while the shutter is open.
    fn particles(&self, time: f64, shot: &Shot, spark: canvas::Colour, canvas: &mut Canvas) {
        /// Particles that leave the picture come back on the other side; unseen, for they are smaller than this.
        const MARGIN: f32 = 12.0;
        let [before, now, after] = [-0.5, 0.0, 0.5].map(|part| self.curves.at(time + part * SHUTTER));
        let (sin, cos) = shot.flight.sin_cos();
        for particle in &self.look.particles {
            let place = |from: f32, way: f32| {
                let round = STAGE + 2.0 * MARGIN;
                (from * round + way * particle.pace * now.travel).rem_euclid(round) - MARGIN
            };
            let middle = (place(particle.from.0, cos), place(particle.from.1, sin));
            let end = |moment: &Moment| {
                let way = particle.pace * (moment.travel - now.travel);
                (middle.0 + cos * way, middle.1 + sin * way)
            };
            let (from, to) = (end(&before), end(&after));
            let radius = particle.size * (2.6 - 1.5 * now.register);
            let length = particle.pace * (after.travel - before.travel);
            // Paler where it is spread over more pixels, but not as much as it should be: speed must be seen.
            let opacity = particle.opacity * (4.0 * radius / (4.0 * radius + length)).powf(0.25);
            if self.look.soft {
                canvas.glow(middle, 4.0 * radius, spark, 0.5 * particle.opacity);
            }
            canvas.stroke(&Stroke { from, to, radius, ink: 0 }, spark, opacity);
        }
    }
}

/// From the set to the screen and back.
struct Camera {
    zoom: f32,
    shift: Point,
}

impl Camera {
    fn new(shot: &Shot, drift: Point) -> Self {
        Self { zoom: shot.zoom, shift: (shot.pan.0 + drift.0, shot.pan.1 + drift.1) }
    }

    fn screen(&self, (x, y): Point) -> Point {
        (64.0 + (x - 64.0) * self.zoom + self.shift.0, 64.0 + (y - 64.0) * self.zoom + self.shift.1)
    }

    fn set(&self, (x, y): Point) -> Point {
        (64.0 + (x - 64.0 - self.shift.0) / self.zoom, 64.0 + (y - 64.0 - self.shift.1) / self.zoom)
    }
}
