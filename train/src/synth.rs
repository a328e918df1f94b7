//! Video made from music, to train on where no video of its own exists.
//!
//! A [`Scene`] shows a song as a dancer on a set. Each [channel](Channels) shows one quantity of the music that a real
//! video carries, too; which notes are played is never shown. Everything else is left to the dice, so that a model
//! learns to read motion, cuts and colours and not the way in which we draw them.
//!
//! | channel | music | picture |
//! |---|---|---|
//! | onset | notes begin | limbs are thrown, light flashes; fades in 0.30 s, stronger with velocity |
//! | density | notes in 0.5 s, 2 to 12 a second | limbs and particles move 2 to 14 units in 0.25 s |
//! | loudness | mean velocity, 68 to 102 | size 0.7 to 1.25, contrast, width of movements |
//! | register | mean pitch, 57 to 69 | `y` 90 to 40, smaller particles; melody lifts a hand, bass spreads feet |
//! | mode | minor or major | cold and dark, or warm and bright, in 1 s |
//! | beat | beats, every other one above 1.8 Hz | bounce of 4 to 6 units |
//! | bar | bars | sway of 8 to 12 units |
//! | phrase | every fourth downbeat (0.8), others at a film's own pace | cuts, up to 0.1 s early, 15 % elsewhere |
//! | silence | nothing sounds for 0.8 s | stillness and dim light |
//!
//! Given [`Footage`], a share of scenes shows real film, as the scene itself or behind the dancer:
//!
//! | channel | footage |
//! |---|---|
//! | onset | flashes, and is zoomed by 3 % |
//! | density | plays 0.2 to 2.8 times as fast |
//! | loudness | zoom 0.8 to 1.2, contrast 0.7 to 1.2, light 0.85 to 1.1; segments in which more moves |
//! | register | is cropped so that what moves is at the dancer's height |
//! | mode | graded warm and saturated, or cold, dark and grey |
//! | beat, bar | the picture bounces and sways where there is no dancer |
//! | phrase | cut to another segment of the clip or of another one |
//! | silence | stands still, dim |
//!
//! In all scenes of a renderer with footage, loudness is also how far the camera shakes and how likely a downbeat is a
//! cut (0.05 to 0.95): in 748 music videos, motion and cutting rate go with loudness (rank correlation 0.20 and 0.25,
//! chance 0.07), with note density not at all. Density remains speed, which is a choice (Di et al. 2021).
//!
//! Units are 1/128 of the picture's height. What grounds the choice: dance and cuts follow onsets; motion and density
//! (Di et al. 2021); loudness is size rather than brightness (Whiteford et al. 2018); pitch is height and inverse size
//! (Spence 2011); colour is mode (Palmer et al. 2013); bounce is the beat, sway the bar (Burger et al. 2013); cuts are
//! phrases (Prétet et al. 2021).

mod canvas;
mod curves;
mod dice;
mod figure;
mod film;
mod footage;
mod look;
mod montage;

use std::array;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Result, bail};
use ndarray::{Array3, Array4, ArrayViewMut3};
use vmt::{Clip, Geometry};

use crate::music::Song;
use canvas::{Canvas, Development, Point, STAGE, Stroke, mix};
use curves::{Curves, Moment};
use dice::Dice;
pub use film::{Options, Progress, write_pairs};
pub use footage::Footage;
use look::{Look, Palette, Shot, shots};
use montage::Montage;

/// How long the shutter is open for one picture, in seconds: [`Geometry::PAPER`]'s whole frame.
const SHUTTER: f64 = 0.25;
/// Positions of the dancer that are laid over each other while the shutter is open.
const EXPOSURES: usize = 6;
/// How far a camera shakes at most, in stage units.
const SHAKE: f32 = 3.0;
/// How far footage bounces and sways, of what a dancer does: all of the picture moves, which hides what moves in it.
const DANCE: f32 = 0.3;

/// What a scene shows of its music.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Limbs and light hit on notes.
    pub onset: bool,
    /// Speed is the number of notes.
    pub density: bool,
    /// Size and contrast are velocity.
    pub loudness: bool,
    /// Height is pitch.
    pub register: bool,
    /// Palette is mode.
    pub mode: bool,
    /// Bounce is the beat.
    pub beat: bool,
    /// Sway is the bar.
    pub bar: bool,
    /// Cuts are phrases.
    pub phrase: bool,
    /// Stillness is silence.
    pub silence: bool,
}

impl Channels {
    /// Everything.
    pub fn all() -> Self {
        Self::each(|| true)
    }

    /// Nothing: the picture says nothing of the music.
    pub fn none() -> Self {
        Self::each(|| false)
    }

    /// The name of each channel, with everything but that channel.
    pub fn all_but_one() -> [(&'static str, Self); 9] {
        let all = Self::all();
        [
            ("onset", Self { onset: false, ..all }),
            ("density", Self { density: false, ..all }),
            ("loudness", Self { loudness: false, ..all }),
            ("register", Self { register: false, ..all }),
            ("mode", Self { mode: false, ..all }),
            ("beat", Self { beat: false, ..all }),
            ("bar", Self { bar: false, ..all }),
            ("phrase", Self { phrase: false, ..all }),
            ("silence", Self { silence: false, ..all }),
        ]
    }

    /// In one case of ten nothing, else each channel with probability 3/4, so that no model relies on one.
    pub fn drawn(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        if dice.chance(0.1) { Self::none() } else { Self::each(|| dice.chance(0.75)) }
    }

    fn each(mut on: impl FnMut() -> bool) -> Self {
        Self {
            onset: on(),
            density: on(),
            loudness: on(),
            register: on(),
            mode: on(),
            beat: on(),
            bar: on(),
            phrase: on(),
            silence: on(),
        }
    }
}

/// Names of channels with commas between, or `all` or `none`.
impl FromStr for Channels {
    type Err = anyhow::Error;

    fn from_str(names: &str) -> Result<Self> {
        let mut channels = Self::none();
        for name in names.split(',') {
            let channel = match name {
                "all" => {
                    channels = Self::all();
                    continue;
                }
                "none" => continue,
                "onset" => &mut channels.onset,
                "density" => &mut channels.density,
                "loudness" => &mut channels.loudness,
                "register" => &mut channels.register,
                "mode" => &mut channels.mode,
                "beat" => &mut channels.beat,
                "bar" => &mut channels.bar,
                "phrase" => &mut channels.phrase,
                "silence" => &mut channels.silence,
                _ => bail!(
                    "must be all, none, or some of onset, density, loudness, register, mode, beat, bar, phrase and \
                     silence with commas between, but there is `{name}`"
                ),
            };
            *channel = true;
        }
        Ok(channels)
    }
}

/// A song to look at. The same song, seed and channels give the same pictures.
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
        let mut dice = Dice::new(seed);
        // Each from its own dice, so that one does not depend on how often another one throws.
        let mut own = || Dice::new(dice.seed());
        let look = Look::new(channels, &mut own());
        let curves = Curves::new(song, channels, &mut own());
        let shots = shots(song, channels, footage.map(|_| &curves), &mut own());
        let mut dice = own();
        let shake =
            footage.map(|_| [0, 1].map(|_| (f64::from(dice.between(5.0, 9.0)), f64::from(dice.between(0.0, 6.3)))));
        let montage = footage
            .filter(|footage| dice.chance(footage.probability))
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
            grain_seed: Dice::new((time * 1000.0).round() as i64 as u64).seed() as u32,
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
