//! Conditions of the decoder at each moment of the music: metre, hit points, key and intensity.
//!
//! A film composer knows these before writing the first note. For each token the decoder gets one row, `[conditions]`,
//! of small whole numbers ([`Condition`]); each number has a learned vector, and the vectors of a row are added to the
//! token's. 0 means unknown, and models learn with each of them unknown at times, so one model does with and without.
//!
//! Distances to coming events, as numbers of steps, are what a decoder turns into TIME_SHIFTs. That a dense grid inside
//! the bar helps rhythm is known from Li, Li and Fazekas 2023 (arXiv 2301.13383); offsets to the next scene boundary are
//! those of EMSYNC (arXiv 2502.10154).

use std::ops::Range;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::event::STEPS_PER_SECOND;
use super::score::Score;
use super::tempo::Tempo;
use crate::error::{Error, Result};

/// One condition: an input of the decoder at a moment. The order is a file format: see [`Condition::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Condition {
    /// Place between two beats, in 24ths: 1 on the beat.
    BeatPosition,
    /// Number of the beat in its bar: 1 on the downbeat, 6 at most.
    BeatInBar,
    /// Beats of the bar, 6 at most.
    BeatsPerBar,
    /// Length of the beat, in twelfths of an octave from 0.25 s on: 1 is 0.25 s, 13 is 0.5 s.
    BeatLength,
    /// Steps of 10 ms to the next sixteenth, 60 at most.
    ToSixteenth,
    /// Steps to the next eighth, 110 at most.
    ToEighth,
    /// Steps to the next beat, 210 at most.
    ToBeat,
    /// Steps to the next hit point: 1 at a hit, then one value for each step up to 100, for each 25 up to 1000, and one for
    /// all that is further, or nothing at all.
    ToHit,
    /// Steps to the end of the music, in the same way.
    ToEnd,
    /// The key: 1 + tonic for major, 13 + tonic for minor, where C is 0.
    Key,
    /// Notes a second around the moment, as one of 16 ranks within the piece: 1 is the sparsest.
    Density,
    /// Velocity around the moment, as one of 16 ranks within the piece: 1 is the softest.
    Loudness,
}

/// Ranks of [`Condition::Density`] and [`Condition::Loudness`].
pub const INTENSITY_RANKS: u8 = 16;

impl Condition {
    /// All of them, in the order in which a row holds them.
    pub const ALL: [Self; 12] = [
        Self::BeatPosition,
        Self::BeatInBar,
        Self::BeatsPerBar,
        Self::BeatLength,
        Self::ToSixteenth,
        Self::ToEighth,
        Self::ToBeat,
        Self::ToHit,
        Self::ToEnd,
        Self::Key,
        Self::Density,
        Self::Loudness,
    ];

    /// How many values it has, 0 (unknown) among them.
    pub const fn values(self) -> usize {
        1 + match self {
            Self::BeatPosition => 24,
            Self::BeatInBar | Self::BeatsPerBar => 6,
            Self::BeatLength => 37,
            Self::ToSixteenth => 60,
            Self::ToEighth => 110,
            Self::ToBeat => 210,
            Self::ToHit | Self::ToEnd => DISTANCES,
            Self::Key => 24,
            Self::Density | Self::Loudness => INTENSITY_RANKS as usize,
        }
    }

    /// Where the values of each condition begin in one table of all values, and how many rows that table has.
    pub fn offsets() -> ([usize; Self::ALL.len()], usize) {
        let mut rows = 0;
        let offsets = Self::ALL.map(|condition| {
            let offset = rows;
            rows += condition.values();
            offset
        });
        (offsets, rows)
    }
}

/// The conditions of one moment, in the order of [`Condition::ALL`].
pub type ConditionRow = [u16; Condition::ALL.len()];

/// Nothing is known.
pub const UNKNOWN: ConditionRow = [0; Condition::ALL.len()];

/// The rank of each value among all, in `1..=`[`INTENSITY_RANKS`]; equal values share their middle one. So curves of intensity are
/// told to models, each within its piece.
pub fn intensity_ranks(values: &[f64]) -> Vec<u8> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = |value: &f64| {
        let [below, up_to] = [
            sorted.partition_point(|other| other.total_cmp(value).is_lt()),
            sorted.partition_point(|other| other.total_cmp(value).is_le()),
        ];
        let share = (below + up_to) as f64 / (2 * sorted.len()) as f64;
        ((share * f64::from(INTENSITY_RANKS)) as u8 + 1).min(INTENSITY_RANKS)
    };
    values.iter().map(rank).collect()
}

/// Steps between two values of [`intensity_curve`]: models were trained with curves that are smoothed over a second.
const APART: u32 = STEPS_PER_SECOND / 4;

/// A curve of intensity as ranks from each step on, for [`Conditions::density`] and [`Conditions::loudness`], from points in time: seconds,
/// 0-86400, and a value, 0-1 of what models know. Values lie on straight lines between the points, and stay as they are before
/// the first and behind the last.
///
/// # Errors
///
/// [`Error::Option`] where there is no point, one is out of range, or times do not rise.
pub fn intensity_curve(points: &[(f64, f64)]) -> Result<Vec<(i64, u8)>> {
    let refuse = |want, got| Err(Error::Option { option: "intensity", want, got });
    let known = |&&(time, value): &&(f64, f64)| (0.0..=86400.0).contains(&time) && (0.0..=1.0).contains(&value);
    if let Some((time, value)) = points.iter().find(|point| !known(point)) {
        return refuse("seconds, 0-86400, and a value, 0-1", format!("{time} and {value}"));
    }
    if let Some(pair) = points.windows(2).find(|pair| pair[1].0 <= pair[0].0) {
        return refuse("in rising order of time", format!("{} behind {}", pair[1].0, pair[0].0));
    }
    let Some(&(last, _)) = points.last() else { return refuse("points of seconds and a value", "none".into()) };
    let mut ranks: Vec<(i64, u8)> = Vec::new();
    for step in (0..=(last * f64::from(STEPS_PER_SECOND)) as u32 + APART).step_by(APART as usize) {
        let time = f64::from(step) / f64::from(STEPS_PER_SECOND);
        let next = points.partition_point(|&(at, _)| at <= time);
        let value = match (next.checked_sub(1).map(|before| points[before]), points.get(next)) {
            (Some((from, low)), Some(&(to, high))) => low + (high - low) * (time - from) / (to - from),
            (Some((_, value)), None) | (None, Some(&(_, value))) => value,
            (None, None) => 0.0,
        };
        let rank = 1 + (value * f64::from(INTENSITY_RANKS)).min(f64::from(INTENSITY_RANKS - 1)) as u8;
        if ranks.last().is_none_or(|&(_, before)| before != rank) {
            ranks.push((step.into(), rank));
        }
    }
    Ok(ranks)
}

/// Steps that are distinguished one by one, and the most that are distinguished at all.
const NEAR: u32 = 100;
const FAR: u32 = 1000;
/// Beyond [`NEAR`], so many steps are one value.
const COARSE: u32 = 25;
/// Values of [`distance`].
const DISTANCES: usize = (1 + NEAR + (FAR - NEAR) / COARSE + 1) as usize;

/// A distance of `steps` as a value: 1 for none, one for each step up to 100 (one second), then one for each 25 steps up to
/// 1000, then one for all that is further, or nothing at all.
fn distance(steps: u32) -> u16 {
    1 + (match steps {
        0..=NEAR => steps,
        _ if steps <= FAR => NEAR + (steps - NEAR).div_ceil(COARSE),
        _ => DISTANCES as u32 - 1,
    }) as u16
}

/// A beat of the music.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beat {
    /// When it is, in steps of 10 ms; may be before 0.
    pub step: f64,
    /// Its number in the bar, from 1 on; 0 if that is not known.
    pub in_bar: u8,
    /// How many beats its bar has; 0 if that is not known.
    pub per_bar: u8,
}

/// A key: its tonic, and whether it is minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Pitch class of the tonic, `0..12` from C.
    pub tonic: u8,
    /// Minor rather than major.
    pub minor: bool,
}

/// How much of the time each pitch class sounds in pieces in C major and C minor (Albrecht and Shanahan 2013).
const KEY_PROFILES: [[f64; 12]; 2] = [
    [0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081],
    [0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052],
];

impl Key {
    /// A key that `seed` (of ChaCha8) draws: any tonic, and minor as often as in POP909, 43 of 100 times.
    pub fn drawn(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(u64::MAX);
        Self { tonic: random.random_range(0..12), minor: random.random_bool(0.43) }
    }

    /// The key of a piece that begins with this music, or, where that is silent, one that is [drawn](Self::drawn).
    pub fn of_beginning(primer: &Score, seed: u64) -> Self {
        let notes = primer.notes().iter();
        let sounding = notes.map(|note| (note.pitch.get(), f64::from(note.end - note.start)));
        Self::of_pitches(sounding).unwrap_or_else(|| Self::drawn(seed))
    }

    /// The key whose profile is nearest to how long each pitch class sounds (Euclidean distance of shares), from pitches and how
    /// long each of them does; `None` where nothing sounds.
    pub fn of_pitches(pitches: impl IntoIterator<Item = (u8, f64)>) -> Option<Self> {
        let mut sounding = [0.0; 12];
        pitches.into_iter().for_each(|(pitch, length)| sounding[usize::from(pitch % 12)] += length);
        Self::nearest(sounding)
    }

    /// Of how long each pitch class, from C on, sounds.
    fn nearest(sounding: [f64; 12]) -> Option<Self> {
        let sum: f64 = sounding.iter().sum();
        let distance = |key: &Self| -> f64 {
            let profile = KEY_PROFILES[usize::from(key.minor)];
            let share = |class: usize| sounding[(class + usize::from(key.tonic)) % 12] / sum;
            (0..12).map(|class| (share(class) - profile[class]).powi(2)).sum()
        };
        let keys = (0..24).map(|key| Self { tonic: key % 12, minor: key >= 12 });
        keys.min_by(|a, b| distance(a).total_cmp(&distance(b))).filter(|_| sum > 0.0)
    }

    /// Sharps of its key signature, flats below 0: -5 to 6.
    pub fn fifths(self) -> i8 {
        let major = self.tonic % 12 + if self.minor { 3 } else { 0 };
        ((major * 7 + 5) % 12) as i8 - 5
    }

    /// The key with this key signature: sharps, or flats below 0.
    pub(super) fn of_fifths(fifths: i8, minor: bool) -> Self {
        let tonic = (i16::from(fifths) * 7 + if minor { 9 } else { 0 }).rem_euclid(12) as u8;
        Self { tonic, minor }
    }

    /// The key, higher by so many semitones.
    pub fn transposed(self, semitones: i8) -> Self {
        Self { tonic: (i16::from(self.tonic) + i16::from(semitones)).rem_euclid(12) as u8, ..self }
    }
}

/// What is known of a piece of music before it is written. Times are in steps of 10 ms from its beginning; what is before
/// 0 counts too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// Rising; fewer than two say nothing.
    pub beats: Vec<Beat>,
    /// Moments at which a note is struck for sure, rising. `None`: it is not known whether there are any.
    pub hits: Option<Vec<u32>>,
    /// Where the music ends.
    pub end: Option<u32>,
    /// When each key begins, rising; nothing is known before the first.
    pub keys: Vec<(i64, Option<Key>)>,
    /// Density from each moment on, rising, as ranks in `1..=INTENSITY_RANKS`, 0 where not known.
    pub density: Vec<(i64, u8)>,
    /// Loudness, in the same way.
    pub loudness: Vec<(i64, u8)>,
}

impl Conditions {
    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Whether density or loudness is known of some moment.
    pub fn tell_intensity(&self) -> bool {
        self.density.iter().chain(&self.loudness).any(|&(_, rank)| rank > 0)
    }

    /// The same, but for density and loudness, which are not known.
    pub fn without_intensity(&self) -> Self {
        Self { density: Vec::new(), loudness: Vec::new(), ..self.clone() }
    }

    /// Drops the beats behind the first that is at the end of music of this `duration` or later: they say nothing.
    pub fn end_beats(&mut self, duration: Duration) {
        let end = duration.as_secs_f64() * f64::from(STEPS_PER_SECOND);
        self.beats.truncate(self.beats.partition_point(|beat| beat.step < end) + 1);
    }

    /// The conditions at `step`, when all that happens up to and at it is known.
    pub fn at(&self, step: u32) -> ConditionRow {
        let now = i64::from(step);
        let [position, in_bar, per_bar, length, sixteenth, eighth, beat] = self.metre(now).unwrap_or_default();
        let hit = self.hits.as_ref().map_or(0, |hits| {
            let next = hits.get(hits.partition_point(|&hit| hit < step));
            distance(next.map_or(u32::MAX, |&hit| hit - step))
        });
        let end = self.end.map_or(0, |end| distance(end.saturating_sub(step)));
        let key = last_before(&self.keys, now)
            .flatten()
            .map_or(0, |Key { tonic, minor }| 1 + u16::from(tonic % 12) + if minor { 12 } else { 0 });
        let rank = |curve| last_before::<u8>(curve, now).unwrap_or(0).min(INTENSITY_RANKS).into();
        let (density, loudness) = (rank(&self.density), rank(&self.loudness));
        [position, in_bar, per_bar, length, sixteenth, eighth, beat, hit, end, key, density, loudness]
    }

    /// Beats of a constant tempo for music of this `duration`, in bars of `per_bar` beats from step 0 on; the last beat is at its
    /// end or behind. At most a day of them.
    pub fn steady_beats(tempo: Tempo, per_bar: u8, duration: Duration) -> Vec<Beat> {
        const LONGEST: Duration = Duration::from_secs(24 * 3600);
        let length = f64::from(tempo.micros()) * f64::from(STEPS_PER_SECOND) / 1e6;
        let count = (duration.min(LONGEST).as_secs_f64() * f64::from(STEPS_PER_SECOND) / length).ceil() as u64;
        let in_bar = |number: u64| (number % u64::from(per_bar.max(1))) as u8 + 1;
        (0..=count).map(|number| Beat { step: number as f64 * length, in_bar: in_bar(number), per_bar }).collect()
    }

    /// The sixteenth nearest to `step`, which is `step` itself outside the beats.
    pub fn nearest_sixteenth(&self, step: u32) -> u32 {
        let now = i64::from(step);
        let Some((from, to)) = self.beat_around(now) else { return step };
        let sixteenths = (0..=4).map(|quarters| from.step + (to.step - from.step) * f64::from(quarters) / 4.0);
        let nearest = sixteenths.map(|step| step.round() as i64).min_by_key(|sixteenth| sixteenth.abs_diff(now));
        nearest.map_or(step, |nearest| nearest.max(0) as u32)
    }

    /// The first sixteenth behind `step`, or the next step outside the beats.
    pub fn next_sixteenth(&self, step: u32) -> u32 {
        let ahead = self.metre(step.into()).map_or(1, |metre| metre[4]);
        step.saturating_add(ahead.into())
    }

    /// The beat that `now` is on or behind, and the next.
    fn beat_around(&self, now: i64) -> Option<(&Beat, &Beat)> {
        let next = self.beats.partition_point(|beat| beat.step.round() as i64 <= now);
        Some((self.beats.get(next.checked_sub(1)?)?, self.beats.get(next)?))
    }

    /// The first seven conditions, `None` outside the beats.
    fn metre(&self, now: i64) -> Option<[u16; 7]> {
        let (from, to) = self.beat_around(now)?;
        let length = to.step - from.step;
        let part = |quarters: u32| (from.step + length * f64::from(quarters) / 4.0).round() as i64;
        // The sixteenth that `now` is on or behind. Of very short beats, some fall on one step.
        let current = (0..4).rev().find(|&quarters| part(quarters) <= now).unwrap_or(0);
        let (begin, end) = (part(current), part(current + 1));
        let inside = (now - begin) as f64 / (end - begin).max(1) as f64;
        let position = 1 + 6 * current + (6.0 * inside).min(5.0) as u32;
        let octaves = (length / 25.0).log2().clamp(0.0, 3.0);
        let to = |quarters: u32, most: i64| (part(quarters) - now).clamp(1, most) as u16;
        Some([
            position as u16,
            u16::from(from.in_bar.min(6)),
            u16::from(from.per_bar.min(6)),
            1 + (12.0 * octaves).round() as u16,
            to(current + 1, 60),
            to(current / 2 * 2 + 2, 110),
            to(4, 210),
        ])
    }

    /// What is known of a window of `steps` that begins at step `start`, which becomes step 0.
    pub fn window(&self, start: u32, steps: u32) -> Self {
        let (from, to) = (i64::from(start), i64::from(start) + i64::from(steps));
        let step = |beat: &Beat| beat.step.round() as i64;
        let beats = &self.beats[part(&self.beats, step, from, to + 1)];
        let near = |hit: &u32| hit.checked_sub(start).filter(|&hit| hit <= steps.saturating_add(FAR));
        Self {
            beats: beats.iter().map(|beat| Beat { step: beat.step - from as f64, ..*beat }).collect(),
            hits: self.hits.as_ref().map(|hits| hits.iter().filter_map(near).collect()),
            end: self.end.map(|end| end.saturating_sub(start)),
            keys: moved(&self.keys, from, to),
            density: moved(&self.density, from, to),
            loudness: moved(&self.loudness, from, to),
        }
    }
}

/// Those of `items` that decide about `from..to`: the last by `from`, those up to `to`, and the next one.
fn part<T>(items: &[T], step: impl Fn(&T) -> i64, from: i64, to: i64) -> Range<usize> {
    let first = items.partition_point(|item| step(item) <= from).saturating_sub(1);
    let last = items.partition_point(|item| step(item) < to);
    first..(last + 1).min(items.len()).max(first)
}

/// What holds in `from..to` of a curve, `from` becoming step 0.
fn moved<T: Copy>(curve: &[(i64, T)], from: i64, to: i64) -> Vec<(i64, T)> {
    curve[part(curve, |&(time, _)| time, from, to)].iter().map(|&(time, value)| (time - from, value)).collect()
}

/// The value that holds at `now`.
fn last_before<T: Copy>(curve: &[(i64, T)], now: i64) -> Option<T> {
    let next = curve.partition_point(|&(time, _)| time <= now);
    Some(curve.get(next.checked_sub(1)?)?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 90 beats a minute in 4/4 from step 10 on: a beat lasts 66.7 steps.
    fn conditions() -> Conditions {
        let beat =
            |number: u8| Beat { step: 10.0 + f64::from(number) * 200.0 / 3.0, in_bar: number % 4 + 1, per_bar: 4 };
        Conditions {
            beats: (0..10).map(beat).collect(),
            hits: Some(vec![77, 300]),
            end: Some(1000),
            keys: vec![(0, Some(Key { tonic: 9, minor: true })), (500, None)],
            density: vec![(-20, 3), (100, 16)],
            loudness: Vec::new(),
        }
    }

    #[test]
    fn a_row_says_what_comes() {
        let conditions = conditions();
        // Before the first beat the metre is not known.
        assert_eq!(conditions.at(9), [0, 0, 0, 0, 0, 0, 0, 69, 137, 22, 3, 0]);
        // On the first beat. Sixteenths are at 10, 27, 43, 60, 77.
        assert_eq!(conditions.at(10), [1, 1, 4, 18, 17, 33, 67, 68, 137, 22, 3, 0]);
        assert_eq!(conditions.at(26)[..7], [6, 1, 4, 18, 1, 17, 51]);
        assert_eq!(conditions.at(27)[..7], [7, 1, 4, 18, 16, 16, 50]);
        assert_eq!(conditions.at(76)[..8], [24, 1, 4, 18, 1, 1, 1, 2]);
        // On a hit, then behind it.
        assert_eq!(conditions.at(77)[..8], [1, 2, 4, 18, 16, 33, 66, 1]);
        assert_eq!(conditions.at(78)[7], 106);
        // No hit follows: as far as can be.
        assert_eq!([conditions.at(300)[7], conditions.at(301)[7]], [1, 138]);
        assert_eq!(conditions.at(500)[9..], [0, 16, 0]);
        // Behind the last beat.
        assert_eq!(conditions.at(620)[..7], [0; 7]);
    }

    #[test]
    fn ranks_rise_with_what_they_rank() {
        assert_eq!(intensity_ranks(&[1.0, 1.0, 1.0]), [9; 3]);
        assert!(intensity_ranks(&[]).is_empty());
        let ranks = intensity_ranks(&(0..160).map(f64::from).collect::<Vec<_>>());
        assert!(ranks.is_sorted() && ranks[0] == 1 && ranks[159] == INTENSITY_RANKS);
    }

    #[test]
    fn nothing_known_is_all_zero() {
        for step in [0, 1, 999, u32::MAX] {
            assert_eq!(Conditions::default().at(step), UNKNOWN);
        }
    }

    #[test]
    fn a_later_beginning_tells_the_same() {
        let conditions = conditions();
        for start in [0, 10, 77, 250] {
            let later = conditions.window(start, 400);
            for step in 0..=400 {
                assert_eq!(later.at(step), conditions.at(start + step), "{start} + {step}");
            }
        }
    }

    #[test]
    fn every_value_has_a_place() {
        let (offsets, rows) = Condition::offsets();
        let mut conditions = conditions();
        // From 30 to 3000 beats a minute.
        let lengths = [200.0, 3.0, 2.0, 1.0, 250.0, 400.0];
        conditions.beats = lengths
            .iter()
            .scan(0.0, |step, length| {
                let beat = Beat { step: *step, in_bar: 9, per_bar: 9 };
                *step += length;
                Some(beat)
            })
            .collect();
        for step in 0..1100 {
            let row = conditions.at(step);
            for ((value, condition), offset) in row.into_iter().zip(Condition::ALL).zip(offsets) {
                assert!(usize::from(value) < condition.values(), "{condition:?} is {value} at {step}");
                assert!(offset + usize::from(value) < rows);
            }
        }
    }

    #[test]
    fn keys_are_found_and_moved() {
        for tonic in 0..12 {
            for minor in [false, true] {
                let sounding = std::array::from_fn(|class| KEY_PROFILES[usize::from(minor)][(class + 12 - tonic) % 12]);
                assert_eq!(Key::nearest(sounding), Some(Key { tonic: tonic as u8, minor }));
            }
        }
        assert_eq!(Key::nearest([0.0; 12]), None);
        for (tonic, minor, fifths) in
            [(0, false, 0), (9, true, 0), (7, false, 1), (6, false, 6), (1, false, -5), (10, true, -5)]
        {
            assert_eq!(Key { tonic, minor }.fifths(), fifths);
        }
        let key = Key { tonic: 11, minor: true };
        assert_eq!([1, -12, 0].map(|semitones| key.transposed(semitones).tonic), [0, 11, 11]);
    }

    #[test]
    fn distances_grow_coarse() {
        assert_eq!(
            [0, 1, 100, 101, 125, 126, 1000, 1001, u32::MAX].map(distance),
            [1, 2, 101, 102, 102, 103, 137, 138, 138]
        );
    }
}
