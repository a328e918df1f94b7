//! Real footage in place of a drawn set: cut, played, cropped and graded as the music is.

use std::sync::Arc;

use super::canvas::{Canvas, Colour, Point, STAGE, mix};
use super::channels::Channels;
use super::curves::{Curves, Moment};
use super::footage::{Footage, RATE};
use super::look::Shot;
use super::rng::Rng;

/// Segments that a shot's is chosen among.
const CANDIDATES: usize = 4;

/// The footage of one scene.
pub struct Montage {
    footage: Arc<Footage>,
    /// One for each shot.
    segments: Vec<Segment>,
    /// In minor and in major; the same where the mode is not shown.
    grades: [Grade; 2],
    /// Whether the dancer is in front of it; else it is the scene itself.
    pub dancer: bool,
}

/// A part of a clip.
struct Segment {
    /// Index of the clip.
    film: usize,
    /// The picture that it begins with.
    first: f32,
    /// How much of films had been played when it began, in seconds.
    played: f32,
    /// How many times larger than whole it is shown.
    zoom: f32,
    /// Where it is cropped from left (0) to right (1).
    x: f32,
    /// The height at which things move in it: 0 is the top, 1 the bottom.
    y: f32,
}

/// What is done to colours.
#[derive(Clone, Copy)]
struct Grade {
    saturation: f32,
    tint: Colour,
}

impl Montage {
    /// Each shot is another segment of the same clip or of another one. Of a few that the rng choose, it is the one in
    /// which as much moves as the music is loud.
    pub fn new(footage: &Arc<Footage>, shots: &[Shot], curves: &Curves, channels: Channels, rng: &mut Rng) -> Self {
        let films = &footage.films;
        let dancer = rng.chance(0.5);
        let warm = Grade {
            saturation: rng.between(1.0, 1.4),
            tint: [rng.between(1.06, 1.2), rng.between(0.98, 1.06), rng.between(0.66, 0.8)],
        };
        let cold = Grade {
            saturation: rng.between(0.3, 0.6),
            tint: [rng.between(0.55, 0.7), rng.between(0.72, 0.82), rng.between(0.88, 1.0)],
        };
        let any = cold.mix(&warm, rng.unit());
        let mut previous = None;
        let ends = shots.iter().skip(1).map(|shot| shot.begin).chain([curves.end()]);
        let segments = shots.iter().zip(ends).map(|(shot, end)| {
            let begin = shot.begin.max(0.0);
            let loudness = curves.at((begin + end.max(begin)) / 2.0).loudness;
            let candidates: [(usize, usize); CANDIDATES] = std::array::from_fn(|_| {
                let (stay, any) = (rng.chance(0.25), rng.below(films.len()));
                let film = previous.filter(|_| stay).unwrap_or(any);
                (film, rng.below(films[film].len()))
            });
            let miss = |&(film, first): &(usize, usize)| (films[film].motion(first).amount - loudness).abs();
            let &(film, first) = candidates.iter().min_by(|a, b| miss(a).total_cmp(&miss(b))).expect("candidates");
            previous = Some(film);
            Segment {
                film,
                first: first as f32,
                played: curves.at(begin).played,
                zoom: rng.between(1.4, 1.8),
                x: rng.unit(),
                y: films[film].motion(first).y,
            }
        });
        Self {
            segments: segments.collect(),
            footage: footage.clone(),
            grades: if channels.mode { [cold, warm] } else { [any; 2] },
            dancer,
        }
    }

    /// Fills the screen in shot `shot`, `shift` stage units from where it would be. `flash` is how bright an onset
    /// flashes.
    pub fn draw(&self, shot: usize, now: &Moment, shift: Point, flash: f32, canvas: &mut Canvas) {
        let segment = &self.segments[shot];
        let played = (now.played - segment.played) * RATE;
        let picture = self.footage.films[segment.film].picture(segment.first + played);

        // The share of the picture that is seen, and its corner: what moves is as high on the screen as a dancer is.
        let part = 1.0 / (segment.zoom * (0.8 + 0.4 * now.loudness) * (1.0 + 0.03 * now.hit));
        let height = (90.0 - 50.0 * now.register) / STAGE;
        let left = segment.x * (1.0 - part);
        let top = (segment.y - height * part).clamp(0.0, 1.0 - part);
        let scale = part / STAGE;

        let Grade { saturation, tint } = self.grades[0].mix(&self.grades[1], now.major);
        let contrast = 0.7 + 0.5 * now.loudness;
        let light = (0.85 + 0.25 * now.loudness) * (1.0 + 0.4 * flash * now.hit);
        let graded = |colour: Colour| -> Colour {
            let grey = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2];
            std::array::from_fn(|k| {
                let graded = (grey + saturation * (colour[k] - grey)) * tint[k];
                ((graded - 0.4) * contrast + 0.4) * light
            })
        };
        canvas.fill_by(
            |x| picture.column(left + (x - shift.0) * scale),
            |y| picture.row(top + (y - shift.1) * scale),
            |x, y| graded(picture.colour(x, y)),
        );
    }
}

impl Grade {
    fn mix(&self, other: &Self, part: f32) -> Self {
        Self {
            saturation: self.saturation + (other.saturation - self.saturation) * part,
            tint: mix(self.tint, other.tint, part),
        }
    }
}
