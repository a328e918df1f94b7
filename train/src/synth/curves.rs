//! What the picture shows of the music, moment by moment.

use std::f32::consts::TAU;

use super::channels::Channels;
use super::rng::Rng;
use crate::data::song::{Mode, Song};
use crate::data::starting;

/// Seconds from one stored moment to the next; between them, values are mixed.
const STEP: f64 = 0.02;
/// Seconds after which a hit has faded to 1/e.
const HIT: f64 = 0.30;
/// Onsets this close are one, in seconds.
const CHORD: f64 = 0.03;
/// Half of the window for loudness and register, in seconds.
const SLOW: f64 = 1.0;
/// Half of the window for density, in seconds.
const FAST: f64 = 0.25;
/// A silence this long is seen, in seconds.
const SILENCE: f64 = 0.8;
/// Beats above this rate, per second, are bounced to in half tempo: 4 pictures a second show no more than 2.
const FASTEST_BEAT: f64 = 1.8;

/// What is seen at one moment; `0..=1` unless said otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// How fresh and how strong the last onset is.
    pub hit: f32,
    /// Where the last onset throws arms, elbows, legs and trunk; each `-1..=1`.
    pub pose: [f32; 4],
    /// How far things have moved so far, in stage units.
    pub travel: f32,
    /// How much of a film has been played so far, in seconds of its own.
    pub played: f32,
    /// From soft to loud.
    pub loudness: f32,
    /// From low to high.
    pub register: f32,
    /// The top voice above the mean pitch.
    pub melody: f32,
    /// The bass below the mean pitch.
    pub bass: f32,
    /// 0 in minor, 1 in major.
    pub major: f32,
    /// Down on the beat: -1 is highest, 1 is lowest.
    pub bounce: f32,
    /// From side to side once in a bar, `-1..=1`.
    pub sway: f32,
    /// 1 in a silence.
    pub still: f32,
}

impl Moment {
    fn mix(&self, next: &Self, part: f32) -> Self {
        let mix = |value: fn(&Self) -> f32| value(self) + (value(next) - value(self)) * part;
        Self {
            hit: mix(|m| m.hit),
            pose: std::array::from_fn(|joint| self.pose[joint] + (next.pose[joint] - self.pose[joint]) * part),
            travel: mix(|m| m.travel),
            played: mix(|m| m.played),
            loudness: mix(|m| m.loudness),
            register: mix(|m| m.register),
            melody: mix(|m| m.melody),
            bass: mix(|m| m.bass),
            major: mix(|m| m.major),
            bounce: mix(|m| m.bounce),
            sway: mix(|m| m.sway),
            still: mix(|m| m.still),
        }
    }
}

/// The moments of a song, one each [`STEP`].
pub struct Curves(Vec<Moment>);

impl Curves {
    /// What a channel does not show stays at a random level.
    pub fn new(song: &Song, channels: Channels, rng: &mut Rng) -> Self {
        let mut chosen = || rng.unit();
        let fixed =
            Moment { loudness: chosen(), register: chosen(), melody: chosen(), bass: chosen(), ..Moment::default() };
        let fixed_speed = chosen();
        let mut poses = Rng::new(rng.seed());

        let chords = chords(song);
        let silences = silences(song);
        let beats = bounces(&song.beats);
        let (mut next_chord, mut next_mode, mut travel) = (0, 0, 0.0);
        let (mut thrown, mut struck) = ([0.0; 4], f64::NEG_INFINITY);
        let mut moment = fixed;
        let first = song.notes.first().map_or(0.0, |note| note.start);
        let steps = ((song.duration() + 2.0 * SLOW) / STEP) as usize;
        let at = |step: usize| step as f64 * STEP;
        let moments = (0..steps).map(|step| {
            let time = at(step);

            // In a pause, what was last heard holds; before the first note, what is to come.
            let heard = starting(&song.notes, time.max(first) - SLOW, time.max(first) + SLOW);
            if !heard.is_empty() {
                let mean = |value: fn(&vmt::PerformedNote) -> u8| {
                    heard.iter().map(|note| f32::from(value(note))).sum::<f32>() / heard.len() as f32
                };
                if channels.loudness {
                    moment.loudness = place(mean(|note| note.velocity), 68.0, 102.0);
                }
                if channels.register {
                    let pitch = mean(|note| note.pitch);
                    moment.register = place(pitch, 57.0, 69.0);
                    let (top, bottom) = chords[..next_chord.max(1)].last().map_or((pitch, pitch), |chord| chord.ends);
                    moment.melody = near(place(top - pitch, 0.0, 20.0), moment.melody, 0.12);
                    moment.bass = near(place(pitch - bottom, 0.0, 24.0), moment.bass, 0.12);
                }
            }

            while let Some(chord) = chords.get(next_chord).filter(|chord| chord.time <= time) {
                let strength = place(f32::from(chord.velocity), 30.0, 110.0).max(0.15);
                if channels.onset {
                    moment.hit = moment.hit.max(strength);
                    thrown = std::array::from_fn(|_| poses.sign() * poses.between(0.6, 1.0) * strength);
                    struck = chord.time;
                }
                next_chord += 1;
            }
            let fade = (-(time - struck) / HIT).exp() as f32;
            // Limbs are not thrown at once, but within some 50 ms.
            moment.pose = std::array::from_fn(|joint| near(thrown[joint] * fade, moment.pose[joint], 0.05));

            moment.still = if channels.silence { stillness(&silences, time) } else { 0.0 };
            let notes = starting(&song.notes, time - FAST, time + FAST).len() as f32 / (2.0 * FAST) as f32;
            let speed = if channels.density { place(notes, 2.0, 12.0) } else { fixed_speed };
            // 2 to 14 units in a picture's quarter of a second.
            travel += (8.0 + 48.0 * speed) * (1.0 - moment.still) * STEP as f32;
            moment.travel = travel;
            // 0.2 to 2.8 times as fast as it was: 2.6 notes a second more double the speed.
            moment.played += 0.2 * 14_f32.powf(speed) * (1.0 - moment.still) * STEP as f32;

            while song.modes.get(next_mode).is_some_and(|&(begin, _)| begin <= time) {
                next_mode += 1;
            }
            let mode = song.modes.get(next_mode.saturating_sub(1)).map(|&(_, mode)| mode);
            let major = if mode == Some(Mode::Major) { 1.0 } else { 0.0 };
            // A second from one palette to the other.
            let fade = if step == 0 { 1.0 } else { STEP as f32 };
            moment.major += (major - moment.major).clamp(-fade, fade);

            let moving = 1.0 - moment.still;
            let wave =
                |shown: bool, times: &[f64]| shown.then(|| phase(times, time)).flatten().map(|phase| TAU * phase);
            moment.bounce = moving * wave(channels.beat, &beats).map_or(0.0, f32::cos);
            moment.sway = moving * wave(channels.bar, &song.downbeats).map_or(0.0, f32::sin);

            let now = moment;
            moment.hit *= (-STEP / HIT).exp() as f32;
            now
        });
        Self(moments.collect())
    }

    /// When the last moment is, in seconds.
    pub fn end(&self) -> f64 {
        self.0.len().saturating_sub(1) as f64 * STEP
    }

    /// Before the first moment the first one holds, after the last one the last.
    pub fn at(&self, time: f64) -> Moment {
        let place = (time / STEP).max(0.0);
        let Some(last) = self.0.len().checked_sub(1) else { return Moment::default() };
        let index = (place as usize).min(last);
        self.0[index].mix(&self.0[(index + 1).min(last)], (place - index as f64).min(1.0) as f32)
    }
}

/// Where `value` lies between `low` (0) and `high` (1).
fn place(value: f32, low: f32, high: f32) -> f32 {
    ((value - low) / (high - low)).clamp(0.0, 1.0)
}

/// `from`, one step later on its way `to` where it mostly is after `seconds`.
fn near(to: f32, from: f32, seconds: f64) -> f32 {
    from + (to - from) * (STEP / seconds) as f32
}

/// Notes that begin together.
struct Chord {
    time: f64,
    /// The loudest.
    velocity: u8,
    /// Highest and lowest pitch.
    ends: (f32, f32),
}

fn chords(song: &Song) -> Vec<Chord> {
    let mut chords: Vec<Chord> = Vec::new();
    for note in &song.notes {
        let pitch = f32::from(note.pitch);
        match chords.last_mut().filter(|chord| note.start < chord.time + CHORD) {
            Some(chord) => {
                chord.velocity = chord.velocity.max(note.velocity);
                chord.ends = (chord.ends.0.max(pitch), chord.ends.1.min(pitch));
            }
            None => chords.push(Chord { time: note.start, velocity: note.velocity, ends: (pitch, pitch) }),
        }
    }
    chords
}

/// Stretches of [`SILENCE`] or more in which nothing sounds, as (from, to); the last one never ends.
fn silences(song: &Song) -> Vec<(f64, f64)> {
    let mut silences = Vec::new();
    let mut sounded = f64::NEG_INFINITY;
    for note in &song.notes {
        if note.start - sounded >= SILENCE {
            silences.push((sounded, note.start));
        }
        sounded = sounded.max(note.end);
    }
    silences.push((sounded, f64::INFINITY));
    silences
}

/// Comes within 0.3 s of a silence's beginning and is gone at its end.
fn stillness(silences: &[(f64, f64)], time: f64) -> f32 {
    let next = silences.partition_point(|&(_, to)| to <= time);
    silences.get(next).map_or(0.0, |&(from, to)| ((time - from) / 0.3).min((to - time) / 0.1).clamp(0.0, 1.0) as f32)
}

/// All beats, or every other one where they are too fast to be seen.
fn bounces(beats: &[f64]) -> Vec<f64> {
    let mut distances: Vec<f64> = beats.windows(2).map(|pair| pair[1] - pair[0]).collect();
    distances.sort_by(f64::total_cmp);
    let fast = distances.get(distances.len() / 2).is_some_and(|&median| median < 1.0 / FASTEST_BEAT);
    beats.iter().copied().step_by(if fast { 2 } else { 1 }).collect()
}

/// How far it is from the last of `times` to the next, `0..1`.
fn phase(times: &[f64], time: f64) -> Option<f32> {
    let next = times.partition_point(|&other| other <= time);
    let (from, to) = (*times.get(next.checked_sub(1)?)?, *times.get(next)?);
    Some(((time - from) / (to - from)) as f32)
}
