//! Whether music follows real film that nobody trained on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use vmt::{Composer, Conditions, STEPS_PER_SECOND, Score, Window};

use super::evaluation::{Candidate, Evaluation};
use super::report::Unit;
use super::statistics::{Sample, mean, spearman};
use super::tables::{Outcome, Table};
use crate::data::{Split, Splits};
use crate::random::Stream;
use crate::synth::{FOOTAGE_RATE, Footage};

/// Pieces that each model composes for a film.
const PIECES: u64 = 3;
/// Shorter films say little of how music follows them, in seconds.
const SHORTEST: f64 = 6.0;
/// Music and film are compared so often, in seconds, over spans of twice [`REACH`].
const EVERY: f64 = 0.5;
const REACH: f64 = 1.0;

/// A film.
pub struct Film {
    name: String,
    path: PathBuf,
    duration: Duration,
    /// How much changes in the second that begins with each picture, as a rank.
    motion: Vec<f32>,
    /// The click track that meets its hit points, and its activity as intensity.
    click: Conditions,
}

impl Film {
    /// The clips of a `folder` of [`Footage`] that are for validation or for the test, of six seconds or more.
    ///
    /// # Errors
    ///
    /// As [`Footage::open`].
    pub fn open(folder: &Path, splits: &Splits) -> Result<Vec<Self>> {
        let mut films = Vec::new();
        for split in [Split::Validation, Split::Test] {
            if Footage::clips(folder, split, splits)?.is_empty() {
                continue;
            }
            let footage = Footage::open(folder, split, splits, 64, 0.0)?;
            for (name, motion) in footage.motion() {
                let path = Footage::path(folder, name);
                let (duration, click) = click_track(&path).with_context(|| path.display().to_string())?;
                films.push(Self { name: name.to_owned(), path, duration, motion, click });
            }
        }
        films.retain(|film| film.duration.as_secs_f64() >= SHORTEST);
        Ok(films)
    }
}

#[cfg(feature = "video")]
fn click_track(path: &Path) -> Result<(Duration, Conditions)> {
    use vmt::click::{ClickTrack, Options, find_hits};
    let found = find_hits(vmt_video::Video::open(path)?.thumbnails(Duration::ZERO..Duration::MAX))?;
    let track = ClickTrack::fit(&found.hits, found.duration, &Options::default())?;
    let (density, loudness) = (found.activity.clone(), found.activity);
    Ok((found.duration, Conditions { density, loudness, ..track.conditions() }))
}

#[cfg(feature = "video")]
fn windows(path: &Path, geometry: vmt::Geometry, hop: usize) -> Result<Vec<Window>> {
    let windows = vmt_video::Video::open(path)?.windows_between(Duration::ZERO..Duration::MAX, geometry, hop);
    windows.map(|window| Ok(window?)).collect()
}

#[cfg(not(feature = "video"))]
fn click_track(_: &Path) -> Result<(Duration, Conditions)> {
    anyhow::bail!("films are read by the feature `video`, which this program was built without")
}

#[cfg(not(feature = "video"))]
fn windows(path: &Path, _: vmt::Geometry, _: usize) -> Result<Vec<Window>> {
    click_track(path).map(|_| Vec::new())
}

/// A curve at moments [`EVERY`] so many seconds; where it says nothing, `None`.
type Curve = Vec<Option<f64>>;

/// From one moment to the next, as far as there is music around each.
fn moments(seconds: f64) -> impl Iterator<Item = f64> {
    let count = ((seconds - 2.0 * REACH) / EVERY).floor().max(-1.0) as i64 + 1;
    (0..count).map(|number| REACH + number as f64 * EVERY)
}

fn motion(film: &Film) -> Curve {
    let around = |moment: f64| {
        // The last of these pictures tells of the second behind the moment.
        let [from, to] = [moment - REACH, moment].map(|time| (time * f64::from(FOOTAGE_RATE)).round() as usize);
        let span = film.motion.get(from..to.min(film.motion.len()))?;
        (!span.is_empty()).then(|| mean(span.iter().map(|&amount| amount.into())))
    };
    moments(film.duration.as_secs_f64()).map(around).collect()
}

/// Notes a second, and their mean velocity.
fn music(score: &Score) -> [Curve; 2] {
    let velocities = |moment: f64| -> Vec<f64> {
        let [from, to] = [moment - REACH, moment + REACH].map(|time| time * f64::from(STEPS_PER_SECOND));
        let begins = |start: u32| (from..to).contains(&start.into());
        score.notes().iter().filter(|note| begins(note.start)).map(|note| note.velocity.into()).collect()
    };
    let around: Vec<Vec<f64>> = moments(score.duration().as_secs_f64()).map(velocities).collect();
    let density = around.iter().map(|notes| Some(notes.len() as f64 / (2.0 * REACH))).collect();
    let loudness = around.into_iter().map(|notes| (!notes.is_empty()).then(|| mean(notes))).collect();
    [density, loudness]
}

/// Rank correlation of two curves, as long as both are.
fn correlation(a: &Curve, b: &Curve) -> Option<f64> {
    let (a, b): (Vec<f64>, Vec<f64>) = a.iter().zip(b).filter_map(|(a, b)| Some(((*a)?, (*b)?))).unzip();
    spearman(&a, &b)
}

impl Evaluation<'_> {
    /// Composes for film `number` as `vmt compose` does: [`PIECES`] pieces.
    pub fn compose_film(&self, composer: &Composer, candidate: &Candidate, number: usize) -> Result<Vec<Score>> {
        let film = &self.films[number];
        let geometry = candidate.geometry;
        let told = self.told_of(&film.click, film.duration);
        let options = |seed| self.composing(candidate, seed, &told).with_cadence(true);
        let hop = options(0).hop(&geometry);
        let windows = match candidate.blind {
            true => Window::without_video(film.duration, geometry, hop).collect::<Result<_, _>>()?,
            false => windows(&film.path, geometry, hop)?,
        };
        let piece = |piece: u64| {
            let seed = Stream::new(self.options.seed, "film", &[number as u64, piece]).number();
            let windows = windows.iter().cloned().map(Ok::<_, vmt::Error>);
            Ok(composer.compose(windows, &options(seed), |_| {})?.score)
        };
        (0..PIECES).map(piece).collect::<Result<_>>().with_context(|| film.name.clone())
    }

    /// How music follows what moves in films.
    pub fn real_films(&self, outcomes: &[Outcome], table: &mut Table) {
        let motions: Vec<Curve> = self.films.iter().map(motion).collect();
        let count = motions.len();
        for (which, name) in ["density", "loudness"].into_iter().enumerate() {
            let right = format!(
                "Rank correlation (Spearman 1904) within a film of notes a second (density) or their mean velocity (loudness) \
                 with how much the picture changes, each over 2 s, twice a second; mean over {PIECES} pieces for each of {count} \
                 films of {SHORTEST} s or more that are held out from training. Intervals are over films."
            );
            let wrong = "The same with what changes in another film, mean over all others.".to_owned();
            for (id, doc, is_right) in [("", right, true), (".wrong", wrong, false)] {
                let value = |outcome: &Outcome| {
                    let sample = |(film, pieces): (usize, &Vec<Score>)| {
                        let shown = motions.iter().enumerate().filter(|&(shown, _)| (shown == film) == is_right);
                        let correlations = |(_, motion)| {
                            pieces.iter().filter_map(move |piece| correlation(&music(piece)[which], motion))
                        };
                        let all: Vec<f64> = shown.flat_map(correlations).collect();
                        (!all.is_empty()).then(|| Sample { song: film, sum: mean(all), weight: 1.0 })
                    };
                    self.interval(outcome.films.iter().enumerate().filter_map(sample))
                };
                table.add(&format!("film.{name}{id}"), Unit::Number, &doc, outcomes.iter().map(value), None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use vmt::{Note, Pitch};

    use super::*;

    /// Ten seconds in which more and more moves, and music that is ever denser and softer.
    fn film(motion: impl Fn(f32) -> f32) -> Film {
        let duration = Duration::from_secs(10);
        let motion = (0..120).map(|picture| motion(picture as f32 / 120.0)).collect();
        Film { name: "film".into(), path: "film.mp4".into(), duration, motion, click: Conditions::default() }
    }

    fn denser() -> Score {
        let note = |number: u32| {
            let start = (1000.0 * f64::from(number).sqrt() / 12.0) as u32;
            Note { start, end: start + 5, pitch: Pitch::new(60).unwrap(), velocity: 120 - (number / 2) as u8 }
        };
        Score::new((0..144).map(note).collect(), Duration::from_secs(10)).unwrap()
    }

    #[test]
    fn curves_follow_each_other() {
        let [density, loudness] = music(&denser());
        let rising = motion(&film(|time| time));
        assert_eq!((rising.len(), density.len()), (17, 17), "from 1 s to 9 s");
        assert!(correlation(&density, &rising).unwrap() > 0.95);
        assert!(correlation(&loudness, &rising).unwrap() < -0.99);
        assert!(correlation(&density, &motion(&film(|time| 1.0 - time))).unwrap() < -0.95);
        assert_eq!(correlation(&density, &motion(&film(|_| 0.5))), None, "what is all the same follows nothing");
        // Where nothing is struck, nothing is loud.
        let [density, loudness] = music(&Score::new(Vec::new(), Duration::from_secs(10)).unwrap());
        assert_eq!((density[0], loudness[0]), (Some(0.0), None));
        assert_eq!(moments(1.9).count(), 0);
    }

    #[test]
    fn motion_is_that_around_a_moment() {
        // All moves in the second from 5 s on.
        let curve = motion(&film(|time| if (0.42..0.52).contains(&time) { 1.0 } else { 0.0 }));
        let most = curve.iter().enumerate().max_by(|a, b| a.1.partial_cmp(b.1).unwrap()).unwrap().0;
        assert!((4.5..=5.5).contains(&(REACH + most as f64 * EVERY)), "{most}");
    }
}
