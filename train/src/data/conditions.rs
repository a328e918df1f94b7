//! The [`Conditions`] of a fragment, from the annotations of its song.

use std::ops::Range;

use vmt::{Beat, Conditions, PerformedNote, STEPS_PER_SECOND, intensity_ranks};

use super::notes::starting;
use super::song::Song;
use crate::random::Stream;

/// Seconds between two values of a song's intensity.
const EVERY: f64 = 0.25;
/// Half of the window that smooths it, in seconds.
const REACH: f64 = 1.0;
/// Notes this close to a beat are struck on it, in seconds.
const ON_BEAT: f64 = 0.03;
/// Hit points are at least this far apart, in seconds.
const HITS_APART: f64 = 1.0;

/// Density and loudness of a song, each as ranks within the song, one every quarter of a second from its beginning on.
#[derive(Clone, Debug, PartialEq)]
pub struct Intensity {
    density: Vec<u8>,
    loudness: Vec<u8>,
}

impl Intensity {
    /// Of notes that are sorted by their starts.
    pub fn of(song: &Song) -> Self {
        let count = (song.duration() / EVERY) as usize + 1;
        let weighted = |index: usize, value: fn(&PerformedNote) -> f64| -> f64 {
            let time = index as f64 * EVERY;
            let weight = |note: &PerformedNote| 1.0 - (note.start - time).abs() / REACH;
            starting(&song.notes, time - REACH, time + REACH).iter().map(|note| weight(note) * value(note)).sum()
        };
        let density: Vec<f64> = (0..count).map(|index| weighted(index, |_| 1.0)).collect();
        // Where nothing is struck, the last loudness holds.
        let mut loud = 64.0;
        let loudness = (0..count).map(|index| {
            if density[index] > 0.0 {
                loud = weighted(index, |note| note.velocity.into()) / density[index];
            }
            loud
        });
        Self { loudness: intensity_ranks(&loudness.collect::<Vec<_>>()), density: intensity_ranks(&density) }
    }
}

/// What can be known of the music of `song` from `start` seconds on, when it is played `stretch` times as long and
/// `semitones` higher. Hit points, within 12 s before and 24 s after `start`, are drawn from `random`.
pub fn conditions(
    song: &Song,
    intensity: &Intensity,
    start: f64,
    (semitones, stretch): (i8, f64),
    random: &mut Stream,
) -> Conditions {
    let around = start - 12.0..start + 24.0;
    let step = |time: f64| (time - start) * stretch * f64::from(STEPS_PER_SECOND);
    let whole = |time: f64| step(time).round() as i64;
    let curve = |ranks: &[u8]| {
        // Each value holds from halfway before its moment to halfway behind it.
        ranks.iter().enumerate().map(|(index, &rank)| (whole((index as f64 - 0.5) * EVERY), rank)).collect()
    };
    Conditions {
        beats: beats(song).into_iter().map(|beat| Beat { step: step(beat.step), ..beat }).collect(),
        hits: Some(hits(song, around, random).into_iter().filter_map(|time| whole(time).try_into().ok()).collect()),
        end: Some(whole(song.duration()).max(0) as u32),
        keys: song.keys.iter().map(|&(time, key)| (whole(time), key.map(|key| key.transposed(semitones)))).collect(),
        density: curve(&intensity.density),
        loudness: curve(&intensity.loudness),
    }
}

/// The beats with their places in the bars; `step` is in seconds.
fn beats(song: &Song) -> Vec<Beat> {
    let bar = |time: f64| song.downbeats.partition_point(|&downbeat| downbeat <= time + 1e-6);
    let bars: Vec<usize> = song.beats.iter().map(|&time| bar(time)).collect();
    let within =
        |index: usize, limit: usize| bars[..limit].iter().skip(index).take_while(|&&bar| bar == bars[index]).count();
    let beat = |(index, &time): (usize, &f64)| {
        let first = bars.partition_point(|&bar| bar < bars[index]);
        // Before the first downbeat, and behind the last, bars have no known length.
        let whole = bars[index] > 0 && bars[index] < song.downbeats.len();
        let [in_bar, per_bar] = [index - first + 1, within(first, bars.len())].map(|count| count.min(255) as u8);
        Beat { step: time, in_bar: if whole { in_bar } else { 0 }, per_bar: if whole { per_bar } else { 0 } }
    };
    song.beats.iter().enumerate().map(beat).collect()
}

/// What music of the length of the first `seconds` of `song` can be composed by in its place.
pub fn click_track_of_beginning(song: &Song, intensity: &Intensity, seconds: f64, random: &mut Stream) -> Conditions {
    let step = |time: f64| (time * f64::from(STEPS_PER_SECOND)).round() as u32;
    let all = hits(song, 0.0..seconds, random).into_iter().map(step).collect();
    Conditions { hits: Some(all), ..click_track(conditions(song, intensity, 0.0, (0, 1.0), random)) }
}

/// Moments of `within` at which notes are struck on a beat, for a film's cuts to be there: most downbeats that are stressed,
/// and some other beats that are.
fn hits(song: &Song, within: Range<f64>, random: &mut Stream) -> Vec<f64> {
    let struck = |beat: f64| starting(&song.notes, beat - ON_BEAT, beat + ON_BEAT);
    let stress = |beat: f64| struck(beat).iter().map(|note| f64::from(note.velocity)).sum::<f64>();
    let beats: Vec<f64> = song.beats.iter().copied().filter(|beat| within.contains(beat)).collect();
    let mut stresses: Vec<f64> = beats.iter().map(|&beat| stress(beat)).collect();
    let all = stresses.clone();
    stresses.sort_by(f64::total_cmp);
    let usual = stresses.get(stresses.len() / 2).copied().unwrap_or(0.0);
    // From dense to hardly any.
    let share = random.unit();
    let mut hits: Vec<f64> = Vec::new();
    for (&beat, stress) in beats.iter().zip(all) {
        let downbeat = song.downbeats.iter().any(|downbeat| (downbeat - beat).abs() < 1e-6);
        let drawn = random.unit() < share * if downbeat { 0.8 } else { 0.2 };
        let Some(note) = struck(beat).first().filter(|_| drawn && stress > usual) else { continue };
        if hits.last().is_none_or(|last| note.start - last >= HITS_APART) {
            hits.push(note.start);
        }
    }
    hits
}

/// Forgets what training should do without at times: everything in a tenth of the fragments, else each part by itself.
pub fn forget(conditions: Conditions, random: &mut Stream) -> Conditions {
    let mut without = |share: f64| random.unit() < share;
    if without(0.1) {
        return Conditions::default();
    }
    let [no_beats, no_bars] = [without(0.1), without(0.1)];
    let no_intensity = without(0.25);
    let Conditions { mut beats, mut hits, mut end, mut keys, mut density, mut loudness } = conditions;
    if no_beats {
        beats.clear();
    }
    if no_bars {
        beats.iter_mut().for_each(|beat| (beat.in_bar, beat.per_bar) = (0, 0));
    }
    hits.take_if(|_| without(0.5));
    end.take_if(|_| without(0.25));
    if without(0.15) {
        keys.clear();
    }
    if no_intensity || without(0.2) {
        density.clear();
    }
    if no_intensity || without(0.2) {
        loudness.clear();
    }
    Conditions { beats, hits, end, keys, density, loudness }
}

/// What the likelihood of a song is measured with: metre, end and key, but no hit points and no intensity.
pub fn written_down(conditions: Conditions) -> Conditions {
    Conditions { hits: None, ..click_track(conditions) }
}

/// What music can be composed by in the place of a song: metre, hit points, end and key, but no intensity.
pub fn click_track(conditions: Conditions) -> Conditions {
    Conditions { density: Vec::new(), loudness: Vec::new(), ..conditions }
}

#[cfg(test)]
mod tests {
    use vmt::{Condition, Key};

    use super::*;
    use crate::data::targets;

    /// A minute in A minor, 4/4 and 100 beats a minute, downbeats at the beginning and every 2.4 s; the second half has more
    /// notes, and louder ones.
    fn sixteenths() -> Song {
        let note = |number: usize| {
            let start = 0.15 * number as f64;
            let late = number >= 200;
            let struck = number.is_multiple_of(if late { 1 } else { 3 });
            let pitch = [57, 60, 64, 69][number % 4];
            struck.then_some(PerformedNote { start, end: start + 0.14, pitch, velocity: if late { 90 } else { 60 } })
        };
        let mut song = Song::new("sixteenths", (0..400).filter_map(note).collect()).unwrap();
        song.beats = (0..=100).map(|beat| 0.6 * f64::from(beat)).collect();
        song.downbeats = (0..=25).map(|bar| 2.4 * f64::from(bar)).collect();
        song.keys = vec![(0.0, Some(Key { tonic: 9, minor: true }))];
        song
    }

    fn value(conditions: &Conditions, condition: Condition, step: u32) -> u16 {
        let place = Condition::ALL.iter().position(|&other| other == condition).unwrap();
        conditions.at(step)[place]
    }

    /// However a song is augmented, its conditions fit its notes.
    #[test]
    fn onsets_are_where_the_metre_says() {
        let song = sixteenths();
        let intensity = Intensity::of(&song);
        for (start, semitones, stretch) in [(0.0, 0, 1.0), (7.3, 4, 0.93), (31.0, -5, 1.07)] {
            let mut random = Stream::new(1, "test", &[]);
            let known = conditions(&song, &intensity, start, (semitones, stretch), &mut random);
            let moved = song.excerpt(start, 60.0).transposed(semitones).stretched(stretch);
            let score = moved.fragment(0.0, 10.0);
            assert!(score.notes().len() > 20);
            for note in score.notes() {
                let position = value(&known, Condition::BeatPosition, note.start);
                assert!([1, 7, 13, 19].contains(&position), "{position} at {}", note.start);
                let next = value(&known, Condition::ToSixteenth, note.start) as u32;
                assert!(score.notes().iter().all(|other| !(note.start + 1..note.start + next).contains(&other.start)));
                let bar = (f64::from(note.start) / 100.0 / stretch + start + 0.01) % 2.4;
                assert_eq!(value(&known, Condition::BeatInBar, note.start), (bar / 0.6) as u16 + 1);
                assert_eq!(value(&known, Condition::BeatsPerBar, note.start), 4);
            }
            let key = Key { tonic: 9, minor: true }.transposed(semitones);
            assert_eq!(value(&known, Condition::Key, 500), 13 + u16::from(key.tonic));
            for hit in known.hits.as_ref().unwrap().iter().filter(|&&hit| hit < 1000) {
                assert!(score.notes().iter().any(|note| note.start == *hit), "{hit}");
            }
        }
    }

    #[test]
    fn songs_end_where_they_are_said_to() {
        let song = sixteenths();
        let start = song.duration() - 10.0;
        let known = conditions(&song, &Intensity::of(&song), start, (0, 1.0), &mut Stream::new(1, "test", &[]));
        let steps: u32 = targets(&song.fragment(start, 10.0)).iter().map(|token| token.steps()).sum();
        assert_eq!([value(&known, Condition::ToEnd, steps), value(&known, Condition::ToEnd, steps - 1)], [1, 2]);
    }

    #[test]
    fn intensity_rises_with_notes_and_velocities() {
        // The second half of the song is denser and louder.
        let Intensity { density, loudness } = Intensity::of(&sixteenths());
        let half = density.len() / 2;
        let mean = |ranks: &[u8]| ranks.iter().map(|&rank| f64::from(rank)).sum::<f64>() / ranks.len() as f64;
        for curve in [density, loudness] {
            assert!(mean(&curve[..half]) + 4.0 < mean(&curve[half..]));
        }
    }

    #[test]
    fn each_part_is_forgotten_at_times() {
        let song = sixteenths();
        let known = conditions(&song, &Intensity::of(&song), 20.0, (0, 1.0), &mut Stream::new(1, "test", &[]));
        let mut random = Stream::new(2, "test", &[]);
        let rows: Vec<_> = (0..400).map(|_| forget(known.clone(), &mut random).at(333)).collect();
        for condition in 0..Condition::ALL.len() {
            let unknown = rows.iter().filter(|row| row[condition] == 0).count();
            assert!((40..300).contains(&unknown), "{:?}: {unknown}", Condition::ALL[condition]);
        }
        assert!(rows.iter().any(|row| row.iter().all(|&value| value == 0)));
        assert!(rows.iter().any(|row| row.iter().all(|&value| value > 0)));
    }
}
