//! Cuts, dissolves, fades and moments of motion, found on small pictures as they come.
//!
//! Pictures are compared by D(a, b), the mean of |a - b| over all pixels and colours, 0-255. Hue is of no use at this size:
//! in the dark it is noise, and a fade from black scores as high as a cut. The rule for cuts: D is at least 8 and three times
//! its neighbours' (the ratio of PySceneDetect's adaptive detector), and the pictures before differ from those behind, as
//! they do not where there is a flash.
//!
//! Measured on 18 minutes of real shots of 12 pictures a second, spliced, with 124 flashes: 313 of 315 cuts were found (the
//! other two changed D by less than 8) and 61 of 85 dissolves of 4 to 8 pictures; nothing else was taken for either.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Hit, HitKind, MAX_END};
use crate::music::intensity_ranks;
use crate::video::Frame;

/// Rows of a [`Thumbnail`].
pub const HEIGHT: usize = 18;
/// Columns of a [`Thumbnail`].
pub const WIDTH: usize = 32;
/// A film's picture, the whole of it squeezed to 32 x 18: RGB bytes in any order that is always the same.
pub type Thumbnail = [u8; 3 * HEIGHT * WIDTH];

/// The least change of a cut, and how many times its neighbours' mean it is.
const CUT: (f64, f64) = (8.0, 3.0);
/// Pictures on each side of a cut that must differ from those on the other.
const SIDE: usize = 4;
/// A dissolve is seen over this time, and changes this much in it.
const DISSOLVE: (Duration, f64) = (Duration::from_millis(500), 20.0);
/// The most that the picture in the middle of a dissolve differs from the mean of its ends, as a share of their difference.
const MIXED: f64 = 0.2;
/// What brightness alone does not explain of the difference of a dissolve's ends is at least this share of it.
const OTHER: f64 = 0.5;
/// A picture is dark below the first mean value, and seen again from the second.
const DARK: (f64, f64) = (8.0, 16.0);
/// Motion is strongest within this time on both sides, and so many times the mean there.
const MOTION: (Duration, f64) = (Duration::from_secs(1), 2.0);
/// A weaker hit so near a cut is a part of it.
const NEAR: Duration = Duration::from_millis(300);
/// Activity is measured in parts of the film of this length, and smoothed over so many on both sides.
const SLOT: Duration = Duration::from_millis(250);
const REACH: usize = 4;
/// Of the change from one picture to the next, at most so much counts: one cut does not outweigh the motion of a whole shot.
const COUNTED: f64 = 32.0;
/// There is an activity curve where its 90th percentile is at least so many times the 10th, and by so much a slot above it.
const VARIED: (f64, f64) = (1.2, 0.25);
/// The most pictures that are kept, whatever their times.
const RING: usize = 512;

/// What [`find_hits`] and a [`HitFinder`] find.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FilmHits {
    /// In order of time.
    pub hits: Vec<Hit>,
    /// How long the film is.
    pub duration: Duration,
    /// How much the picture changes from each step of 10 ms on, as ranks within the film, for
    /// [`Conditions::density`](crate::Conditions::density) and [`loudness`](crate::Conditions::loudness): music videos are denser and
    /// louder where more moves and cuts are nearer to each other. Empty where a film changes about as much all the time.
    pub activity: Vec<(i64, u8)>,
}

/// Finds the hits of a film, which is given as all of its frames; two seconds of them are held. A frame without a duration
/// is not shown, as those before a part of a film ([`excerpt`](crate::excerpt)).
///
/// # Errors
///
/// Those of `frames`.
pub fn find_hits<E>(frames: impl IntoIterator<Item = Result<Frame<Thumbnail>, E>>) -> Result<FilmHits, E> {
    let mut finder = HitFinder::default();
    for frame in frames {
        finder.push(&frame?);
    }
    Ok(finder.finish())
}

/// [`find_hits`] for frames that come one by one.
#[derive(Clone, Debug, Default)]
pub struct HitFinder {
    detector: Detector,
    found: FilmHits,
    /// How much the picture changes in each [`SLOT`].
    changes: Vec<f64>,
}

impl HitFinder {
    /// Takes the film's next frame.
    pub fn push(&mut self, &Frame { time, duration, ref picture }: &Frame<Thumbnail>) {
        let Self { detector, found, changes } = self;
        found.duration = time.saturating_add(duration);
        if !duration.is_zero() {
            found.hits.extend(detector.push(time, picture));
            let slot = (time.min(MAX_END).as_nanos() / SLOT.as_nanos()) as usize;
            changes.resize(changes.len().max(slot + 1), 0.0);
            changes[slot] += detector.ring.back().map_or(0.0, |last| last.change).min(COUNTED);
        }
    }

    /// The film is over.
    pub fn finish(self) -> FilmHits {
        let Self { detector, mut found, changes } = self;
        found.hits.extend(detector.finish());
        found.activity = activity(&changes);
        found
    }
}

/// The ranks of what changes in [`SLOT`]s, smoothed over two seconds, as models are told the intensity of songs.
fn activity(changes: &[f64]) -> Vec<(i64, u8)> {
    let around = |slot: usize| {
        let near = &changes[slot.saturating_sub(REACH)..(slot + REACH + 1).min(changes.len())];
        near.iter().sum::<f64>() / near.len() as f64
    };
    let smooth: Vec<f64> = (0..changes.len()).map(around).collect();
    let mut sorted = smooth.clone();
    sorted.sort_by(f64::total_cmp);
    let share = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(0.0);
    if share(0.9) < VARIED.0 * share(0.1) + VARIED.1 {
        return Vec::new();
    }
    let steps = (SLOT.as_millis() as i64) / 10;
    let mut ranks: Vec<(i64, u8)> = (0..).step_by(steps as usize).zip(intensity_ranks(&smooth)).collect();
    ranks.dedup_by_key(|(_, rank)| *rank);
    ranks
}

/// Finds hits on a film's pictures, of which it keeps those of the last two seconds, 512 at most.
///
/// ```
/// use std::time::Duration;
/// use vmt::click::{Detector, HEIGHT, HitKind, WIDTH};
///
/// let mut detector = Detector::default();
/// let mut hits = Vec::new();
/// for frame in 0..100_u32 {
///     let grey = if frame < 50 { 40 } else { 200 };
///     hits.extend(detector.push(Duration::from_millis(40) * frame, &[grey; 3 * HEIGHT * WIDTH]));
/// }
/// hits.extend(detector.finish());
/// assert_eq!((hits.len(), hits[0].kind, hits[0].time), (1, HitKind::Cut, Duration::from_secs(2)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Detector {
    ring: VecDeque<Picture>,
    dark: bool,
    /// The strongest of the dissolves that are under way: D of its ends, and its middle.
    dissolve: Option<(f64, Duration)>,
    /// Rising; not yet told, since a cut may still be found near.
    pending: VecDeque<Hit>,
}

#[derive(Clone, Debug)]
struct Picture {
    time: Duration,
    pixels: Box<Thumbnail>,
    /// D to the picture before; 0 for the first.
    change: f64,
    /// The median of five changes around, which a cut does not reach; known two pictures later.
    motion: f64,
}

impl Detector {
    /// Takes the next picture and when it appears; returns hits that are sure by now, in order of time.
    ///
    /// Every picture of the film is to be given. Times must not fall: one that does counts as that of the picture before.
    pub fn push(&mut self, time: Duration, pixels: &Thumbnail) -> Vec<Hit> {
        let time = self.ring.back().map_or(time, |last| time.max(last.time));
        let change = self.ring.back().map_or(0.0, |last| difference(&last.pixels, pixels));
        self.ring.push_back(Picture { time, pixels: Box::new(*pixels), change, motion: 0.0 });
        while self.ring.len() > RING || self.ring.front().is_some_and(|first| first.time + 2 * MOTION.0 < time) {
            // A cut is seen between as many pictures, however slowly they come.
            if self.ring.len() <= 2 * SIDE + 2 {
                break;
            }
            self.ring.pop_front();
        }
        self.find_fade();
        self.find_dissolve();
        if let Some(index) = self.ring.len().checked_sub(1 + SIDE) {
            self.find_cut(index);
        }
        self.find_motion();
        let sure = time.saturating_sub(2 * MOTION.0);
        let sure = self.pending.partition_point(|hit| hit.time < sure);
        self.pending.drain(..sure).collect()
    }

    /// The film is over: returns the hits that are left.
    pub fn finish(mut self) -> Vec<Hit> {
        // A last picture alone is no shot.
        for index in self.ring.len().saturating_sub(SIDE)..self.ring.len().saturating_sub(1) {
            self.find_cut(index);
        }
        self.end_dissolve();
        self.pending.into()
    }

    /// Adds a hit, unless it is a part of a stronger one; a cut takes the place of what is near.
    fn add(&mut self, time: Duration, kind: HitKind) {
        let near = |hit: &Hit| hit.time.abs_diff(time) <= NEAR;
        if kind == HitKind::Cut {
            self.pending.retain(|hit| hit.kind == HitKind::Cut || !near(hit));
        } else if self.pending.iter().any(|hit| near(hit) && hit.weight >= Hit::new(time, kind).weight) {
            return;
        } else {
            self.pending.retain(|hit| !near(hit));
        }
        let place = self.pending.partition_point(|hit| hit.time <= time);
        self.pending.insert(place, Hit::new(time, kind));
    }

    fn find_cut(&mut self, index: usize) {
        let ring = &self.ring;
        let change = ring[index].change;
        let neighbours = (index.saturating_sub(2)..(index + 3).min(ring.len())).filter(|&other| other != index);
        // The first picture of all has no change.
        let neighbours: Vec<f64> = neighbours.filter(|&other| other > 0).map(|other| ring[other].change).collect();
        let mean = neighbours.iter().sum::<f64>() / neighbours.len().max(1) as f64;
        if index < 2 || change < CUT.0 || change < CUT.1 * mean {
            return;
        }
        let differ = |a: usize, b: usize| difference(&ring[a].pixels, &ring[b].pixels) >= 0.5 * change;
        let mut behind = index + 1..(index + 1 + SIDE).min(ring.len());
        let mut before = (index - 1).saturating_sub(SIDE)..index - 1;
        if behind.all(|later| differ(index - 1, later)) && before.all(|earlier| differ(earlier, index)) {
            self.add(ring[index].time, HitKind::Cut);
        }
    }

    /// Where the picture comes out of black; all at once, that is a cut or a flash.
    fn find_fade(&mut self) {
        let Some(last) = self.ring.back() else { return };
        let mean = light(&last.pixels);
        if mean < DARK.0 {
            self.dark = true;
        } else if mean >= DARK.1 && std::mem::take(&mut self.dark) && last.change < DARK.1 {
            self.add(last.time, HitKind::Fade);
        }
    }

    /// The middle of two pictures, half a second apart, that differ with no cut between, where the picture in the middle is
    /// their mean, as it is not in motion.
    fn find_dissolve(&mut self) {
        let Some(last) = self.ring.back() else { return };
        let earlier = |by: Duration| self.ring.partition_point(|picture| picture.time + by <= last.time).checked_sub(1);
        let (Some(first), Some(middle)) = (earlier(DISSOLVE.0), earlier(DISSOLVE.0 / 2)) else { return };
        let (from, between) = (&self.ring[first], &self.ring[middle]);
        let apart = difference(&from.pixels, &last.pixels);
        let sudden = self.ring.range(first + 1..).any(|picture| picture.change >= 0.4 * apart);
        let dark = light(&from.pixels).min(light(&last.pixels)) < DARK.1;
        // Pictures that differ in brightness alone are no dissolve.
        let sum = |of: fn(f64, f64) -> f64| -> f64 {
            from.pixels.iter().zip(last.pixels.iter()).map(|(&a, &b)| of(a.into(), b.into())).sum()
        };
        let gain = sum(|a, b| a * b) / sum(|a, _| a * a).max(1.0);
        let scaled = |(&a, &b): (&u8, &u8)| (f64::from(b) - gain * f64::from(a)).abs();
        let other: f64 = from.pixels.iter().zip(last.pixels.iter()).map(scaled).sum();
        let unmixed: f64 = (from.pixels.iter().zip(last.pixels.iter()).zip(between.pixels.iter()))
            .map(|((&a, &b), &middle)| ((f64::from(a) + f64::from(b)) / 2.0 - f64::from(middle)).abs())
            .sum();
        let count = from.pixels.len() as f64;
        if apart < DISSOLVE.1 || sudden || dark || unmixed / count > MIXED * apart || other / count < OTHER * apart {
            self.end_dissolve();
        } else if self.dissolve.is_none_or(|(most, _)| apart > most) {
            self.dissolve = Some((apart, between.time));
        }
    }

    fn end_dissolve(&mut self) {
        if let Some((_, middle)) = self.dissolve.take() {
            self.add(middle, HitKind::Dissolve);
        }
    }

    /// The picture of a second ago, if motion was strongest there.
    fn find_motion(&mut self) {
        if let Some(index) = self.ring.len().checked_sub(5) {
            let mut changes: [f64; 5] = std::array::from_fn(|place| self.ring[index + place].change);
            changes.sort_by(f64::total_cmp);
            self.ring[index + 2].motion = changes[2];
        }
        let Some((first, last)) = self.ring.front().zip(self.ring.back()) else { return };
        let index = self.ring.partition_point(|picture| picture.time + MOTION.0 <= last.time);
        let Some(picture) = index.checked_sub(1).map(|index| &self.ring[index]) else { return };
        if picture.time < first.time + MOTION.0 * 9 / 10 {
            return;
        }
        let window = || self.ring.iter().filter(|other| other.time.abs_diff(picture.time) <= MOTION.0);
        let mean = window().map(|other| other.motion).sum::<f64>() / window().count() as f64;
        let strongest = window().all(|other| other.motion < picture.motion || other.time >= picture.time)
            && window().all(|other| other.motion <= picture.motion);
        if picture.motion >= 1.0 && picture.motion >= MOTION.1 * mean && strongest {
            self.add(picture.time, HitKind::Motion);
        }
    }
}

/// D: the mean difference of two pictures, 0-255.
fn difference(a: &Thumbnail, b: &Thumbnail) -> f64 {
    let sum: u32 = a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b))).sum();
    f64::from(sum) / a.len() as f64
}

/// The mean value of a picture, 0-255.
fn light(pixels: &Thumbnail) -> f64 {
    f64::from(pixels.iter().copied().map(u32::from).sum::<u32>()) / pixels.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(40);

    /// A picture of blocks, another for each seed, moved by `by` columns.
    fn scene(seed: u32, by: usize) -> Thumbnail {
        std::array::from_fn(|index| {
            let (place, colour) = (index / 3, index % 3);
            let block = (place / WIDTH / 3) * 97 + ((place + by) % WIDTH / 4) * 31 + colour * 7;
            (((block as u32 + 1) * (seed * 2 + 1)).wrapping_mul(2_654_435_761) >> 24) as u8
        })
    }

    fn mix(a: &Thumbnail, b: &Thumbnail, share: f64) -> Thumbnail {
        std::array::from_fn(|index| (f64::from(a[index]) * (1.0 - share) + f64::from(b[index]) * share).round() as u8)
    }

    /// The scene, moved by a part of a column.
    fn shot(seed: u32, by: f64) -> Thumbnail {
        mix(&scene(seed, by as usize), &scene(seed, by as usize + 1), by.fract())
    }

    /// The frames at which there are hits.
    fn find(pictures: impl IntoIterator<Item = Thumbnail>) -> Vec<(u32, HitKind)> {
        let mut detector = Detector::default();
        let mut hits = Vec::new();
        for (frame, picture) in pictures.into_iter().enumerate() {
            hits.extend(detector.push(FRAME * frame as u32, &picture));
            assert!(detector.ring.len() <= 52);
        }
        hits.extend(detector.finish());
        assert!(hits.is_sorted_by_key(|hit| hit.time));
        hits.iter().map(|hit| ((hit.time.as_millis() / FRAME.as_millis()) as u32, hit.kind)).collect()
    }

    #[test]
    fn spliced_shots() {
        // Shots of 5 frames and more, in which the picture pans slowly.
        let lengths = [30_i32, 5, 12, 90, 7, 40];
        let pictures = lengths
            .iter()
            .zip(0..)
            .flat_map(|(&length, seed)| (0..length).map(move |at| shot(seed, f64::from(at) * 0.02)));
        assert_eq!(find(pictures), [30, 35, 47, 137, 144].map(|frame| (frame, HitKind::Cut)));
    }

    #[test]
    fn of_a_part_of_a_film_only_what_is_shown_counts() {
        let frame = |index: u32| {
            let picture = if index < 20 { scene(1, 0) } else { scene(if index < 60 { 2 } else { 3 }, 0) };
            Ok::<_, ()>(Frame { time: FRAME * index, duration: FRAME, picture })
        };
        let all = find_hits((0..100).map(frame)).unwrap();
        assert_eq!(all.hits.iter().map(|hit| hit.time).collect::<Vec<_>>(), [FRAME * 20, FRAME * 60]);
        assert_eq!(all.duration, FRAME * 100);
        let part = find_hits(crate::excerpt((0..100).map(frame), FRAME * 20..FRAME * 90)).unwrap();
        assert_eq!(part.hits, [Hit::new(FRAME * 40, HitKind::Cut)]);
        assert_eq!(part.duration, FRAME * 70);
        assert_eq!(find_hits([frame(1), Err(())]), Err(()));
    }

    #[test]
    fn activity_is_where_the_picture_moves() {
        let moved = |frame: u32| if frame < 200 { f64::from(frame) * 0.01 } else { 2.0 + f64::from(frame - 200) * 0.2 };
        let frames = (0..400)
            .map(|index| Ok::<_, ()>(Frame { time: FRAME * index, duration: FRAME, picture: shot(5, moved(index)) }));
        let activity = find_hits(frames).unwrap().activity;
        assert_eq!((activity[0].0, activity.is_sorted_by_key(|(step, _)| *step)), (0, true));
        let at = |step: i64| activity[activity.partition_point(|&(from, _)| from <= step) - 1].1;
        assert!((1..=15).all(|second| (second < 8) == (at(second * 100) <= 8)), "{activity:?}");
        // What is always the same says nothing.
        for speed in [0.0, 0.2] {
            let same = (0..400).map(|index| {
                let picture = shot(5, f64::from(index) * speed);
                Ok::<_, ()>(Frame { time: FRAME * index, duration: FRAME, picture })
            });
            assert_eq!(find_hits(same).unwrap().activity, []);
        }
        assert_eq!(find_hits::<()>([]).unwrap().activity, []);
    }

    #[test]
    fn flashes_are_no_cuts() {
        let shot = |frame: u32| match frame {
            20 | 40..=42 | 99 => [250; _],
            _ => scene(3, 0),
        };
        assert_eq!(find((0..100).map(shot)), []);
    }

    #[test]
    fn a_dissolve_is_found_in_its_middle() {
        let (from, to) = (scene(1, 0), scene(2, 0));
        for length in [8, 12, 16] {
            let share = |frame: i32| (f64::from(frame - 50) / f64::from(length)).clamp(0.0, 1.0);
            let found = find((0..120).map(|frame| mix(&from, &to, share(frame))));
            let [(frame, HitKind::Dissolve)] = found[..] else { panic!("{length}: {found:?}") };
            assert!(frame.abs_diff(50 + length as u32 / 2) <= 3, "{length}: {frame}");
        }
    }

    #[test]
    fn a_picture_appears_out_of_black() {
        let shot = scene(4, 0);
        let share = |frame: i32| ((f64::from(frame) - 20.0) / 25.0).clamp(0.0, 1.0);
        let found = find((0..100).map(|frame| mix(&[0; _], &shot, share(frame))));
        assert!(matches!(found[..], [(22..=26, HitKind::Fade)]), "{found:?}");
        // The other way the picture changes most in between, and at once it is a cut.
        let found = find((0..100).map(|frame| mix(&shot, &[0; _], share(frame))));
        assert!(matches!(found[..], [(20..=45, HitKind::Motion)]), "{found:?}");
        assert_eq!(find((0..100).map(|frame| if frame < 50 { [0; _] } else { shot })), [(50, HitKind::Cut)]);
    }

    #[test]
    fn a_burst_of_motion() {
        let moved = |frame: i32| f64::from(frame) * 0.05 + f64::from((frame - 60).clamp(0, 10)) * 0.4;
        let found = find((0..140).map(|frame| shot(5, moved(frame))));
        assert!(matches!(found[..], [(60..=70, HitKind::Motion)]), "{found:?}");
    }

    #[test]
    fn static_and_short_films() {
        assert_eq!(find([scene(1, 0); 200]), []);
        assert_eq!(find([scene(1, 0)]), []);
        assert_eq!(find([]), []);
        // Times that fall, and that do not end.
        let mut detector = Detector::default();
        for time in [5, 3, u64::MAX / 2, 0].into_iter().chain([7; 2000]) {
            detector.push(Duration::from_secs(time), &scene(1, 0));
            assert!(detector.ring.len() <= RING);
        }
        assert_eq!(detector.finish(), []);
    }
}
