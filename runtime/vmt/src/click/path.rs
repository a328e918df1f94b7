//! The best way through hits at one tempo: dynamic programming.
//!
//! Between two hits that the beats meet, the tempo is constant. A path through hits has the score
//!
//! J(j) = max over i of J(i) + gain(j) - cost(d_ij) - 50 (d_ij - d_prev)^2,
//!
//! where d is the logarithm of how much longer than nominal the beats from hit i to hit j are. That is Ellis 2007 ("Beat
//! tracking by dynamic programming") over hits instead of onset strengths, as visbeat (Davis and Agrawala 2018) does for
//! video. A hit may be passed over, or fall on an eighth. The bounds on d follow what is heard: one displaced tone from
//! 2.5 % of a beat on (Friberg and Sundberg 1995), a step of tempo from about 2 % on.

use std::time::Duration;

use super::{Hit, HitKind};
use crate::music::Beat;

/// What a hit of weight 1 gains on a downbeat, on another beat and on an eighth.
const GAIN: [f64; 3] = [1.0, 0.8, 0.25];
/// What the square of a deviation costs: of a tempo from nominal, of a tempo from nominal beyond 2.5 %, and of a tempo from
/// the one before. At 5 % that is 0.375 and 0.125: half of what a beat gains.
const COST: [f64; 3] = [50.0, 400.0, 50.0];
/// What a hit that somebody set gains beyond that on any beat: more than everything else costs.
const SET: f64 = 100.0;
/// What is lost where a bar must have another number of beats.
const ODD_BAR: f64 = 2.0;
/// Weight of the film's beginning as a downbeat.
const BEGINNING: f64 = 0.5;

/// Of hits that follow each other faster, one shapes the beats.
const CLOSE: Duration = Duration::from_millis(200);

/// Classes of deviation by which paths are told apart, and one more for a path that has no tempo yet.
const CLASSES: usize = 6;

/// A moment that a path may go through: a hit, the film's beginning or its end.
pub(super) struct Anchor {
    time: f64,
    /// On a downbeat, on another beat, on an eighth.
    gain: [f64; 3],
    /// A bar may begin here whatever the metre says.
    may_begin_bar: bool,
}

/// The anchors of hits that rise: the film's beginning first, its end last. If `bound`, hits that somebody set are to be
/// met whatever it costs.
pub(super) fn anchors(hits: &[Hit], end: f64, bound: bool) -> Vec<Anchor> {
    let scaled = |weight: f64| GAIN.map(|gain| gain * weight);
    let mut apart: Vec<Hit> = Vec::new();
    for hit in hits {
        match apart.last_mut() {
            Some(last) if hit.time - last.time < CLOSE => {
                if rank(hit) > rank(last) {
                    *last = *hit;
                }
            }
            _ => apart.push(*hit),
        }
    }
    let mut anchors = vec![Anchor { time: 0.0, gain: scaled(BEGINNING), may_begin_bar: false }];
    anchors.extend(apart.into_iter().map(|hit| {
        let mut gain = scaled(hit.weight);
        let asked = bound && hit.kind == HitKind::Downbeat;
        if bound && hit.kind.is_set() {
            gain[0] += SET + if asked { 2.0 * ODD_BAR } else { 0.0 };
            gain[1] += SET;
        }
        Anchor { time: hit.time.as_secs_f64(), gain, may_begin_bar: asked }
    }));
    let never = f64::NEG_INFINITY;
    anchors.push(Anchor { time: end, gain: [0.0, never, never], may_begin_bar: true });
    anchors
}

pub(super) fn rank(hit: &Hit) -> f64 {
    hit.weight + if hit.kind.is_set() { SET } else { 0.0 }
}

/// Under what tempo and metre paths are sought.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// Nominal seconds in a beat.
    pub(super) period: f64,
    pub(super) per_bar: usize,
    /// The most that the logarithm of a beat's length may deviate from nominal, and from the beat before.
    pub(super) bound: f64,
}

/// The best way to an anchor, for each phase and class of deviation.
#[derive(Clone, Copy)]
struct State {
    /// Minus infinity if there is no way.
    score: f64,
    /// Logarithm of the last beats' length over the nominal one; `None` where the path begins here.
    deviation: Option<f64>,
    /// Index of the state before; its own where the path begins here.
    from: usize,
    /// Eighths from the anchor before.
    eighths: usize,
}

/// Anchors that are met, in order: index, phase in eighths from the downbeat, eighths from the anchor before.
pub(super) struct Path {
    pub(super) score: f64,
    anchors: Vec<(usize, usize, usize)>,
}

impl Rule {
    /// Eighths in a bar.
    fn phases(&self) -> usize {
        2 * self.per_bar
    }

    fn cost(deviation: f64) -> f64 {
        let beyond = (deviation.abs() - 0.025).max(0.0);
        COST[0] * deviation * deviation + COST[1] * beyond * beyond
    }

    fn class(&self, deviation: f64) -> usize {
        let share = (deviation / self.bound.max(1e-9) + 1.0) / 2.0;
        ((share * (CLASSES - 1) as f64) as usize).min(CLASSES - 2)
    }

    fn gain(&self, anchor: &Anchor, phase: usize) -> f64 {
        anchor.gain[if phase == 0 { 0 } else { 1 + phase % 2 }]
    }

    /// The eighths that may be in so many seconds, each with the deviation of their length.
    ///
    /// A beat at least: so at most one tempo begins inside of a beat, and neighbouring beats differ by no more than
    /// neighbouring tempi.
    fn spans(&self, seconds: f64) -> impl Iterator<Item = (usize, f64)> {
        let nominal = 2.0 * seconds / self.period;
        let bar = self.phases() as f64;
        let fewest = (nominal * (-self.bound).exp()).ceil().max(2.0).max(nominal.round() - bar);
        let most = (nominal * self.bound.exp()).floor().min(nominal.round() + bar);
        (fewest as usize..=most as usize).map(move |eighths| (eighths, (nominal / eighths as f64).ln()))
    }

    /// As what phases an anchor may count that is at `phase`, and what each gains.
    fn arrivals(&self, anchor: &Anchor, phase: usize) -> impl Iterator<Item = (usize, f64)> {
        let begins_bar = anchor.may_begin_bar && phase.is_multiple_of(2) && phase != 0;
        let regular = (phase, self.gain(anchor, phase));
        std::iter::once(regular).chain(begins_bar.then_some((0, anchor.gain[0] - ODD_BAR)))
    }

    /// The path of the highest score that ends at the last anchor.
    pub(super) fn best_path(&self, anchors: &[Anchor]) -> Path {
        let phases = self.phases();
        let index = |anchor: usize, phase: usize, class: usize| (anchor * phases + phase) * CLASSES + class;
        let unreached = State { score: f64::NEG_INFINITY, deviation: None, from: 0, eighths: 0 };
        let mut states = vec![unreached; anchors.len() * phases * CLASSES];
        // So many seconds are a whole number of eighths of some allowed length, whatever the anchors.
        let reach = self.period * (2.0 + 1.0 / self.bound.max(1e-3));
        for (to, anchor) in anchors.iter().enumerate() {
            for phase in 0..phases {
                let own = index(to, phase, CLASSES - 1);
                states[own] = State { score: self.gain(anchor, phase), from: own, ..unreached };
            }
            for from in (0..to).rev() {
                let distance = anchor.time - anchors[from].time;
                for (eighths, deviation) in self.spans(distance) {
                    for phase in 0..phases {
                        let Some((source, score)) = self.best_step(&states, index(from, phase, 0), deviation) else {
                            continue;
                        };
                        for (phase, gain) in self.arrivals(anchor, (phase + eighths) % phases) {
                            let state = &mut states[index(to, phase, self.class(deviation))];
                            if score + gain > state.score {
                                let deviation = Some(deviation);
                                *state = State { score: score + gain, deviation, from: source, eighths };
                            }
                        }
                    }
                }
                if distance > reach {
                    break;
                }
            }
        }
        let ends = states.len() - phases * CLASSES..states.len();
        let mut state = ends.max_by(|&a, &b| states[a].score.total_cmp(&states[b].score)).expect("there are states");
        let score = states[state].score;
        let mut path = Vec::new();
        loop {
            let State { from, eighths, .. } = states[state];
            path.push((state / CLASSES / phases, state / CLASSES % phases, eighths));
            if from == state {
                break;
            }
            state = from;
        }
        path.reverse();
        Path { score, anchors: path }
    }

    /// From which of the states of an anchor and phase, the first of which is given, it is best to go on with a deviation,
    /// and the score then.
    fn best_step(&self, states: &[State], first: usize, deviation: f64) -> Option<(usize, f64)> {
        let score = |source: usize| {
            let State { score, deviation: before, .. } = states[source];
            let step = before.map_or(0.0, |before| deviation - before);
            let allowed = score > f64::NEG_INFINITY && step.abs() <= self.bound + 1e-12;
            allowed.then_some((source, score - COST[2] * step * step))
        };
        let best = (first..first + CLASSES).filter_map(score).max_by(|a, b| a.1.total_cmp(&b.1));
        best.map(|(source, score)| (source, score - Self::cost(deviation)))
    }

    /// The beats of a path, from at or before 0 to one behind the last anchor.
    pub(super) fn beats(&self, anchors: &[Anchor], path: &Path) -> Vec<Beat> {
        let mut points: Vec<Point> = Vec::new();
        for &(anchor, phase, eighths) in &path.anchors {
            let place = points.last().map_or(phase as i64, |before| before.place + eighths as i64);
            points.push(Point { place, time: anchors[anchor].time, phase, set: anchors[anchor].may_begin_bar });
        }
        let length = |pair: &[Point]| (pair[1].time - pair[0].time) / (pair[1].place - pair[0].place) as f64;
        let (first, last) = (&points[0], &points[points.len() - 1]);
        let opening = points.get(..2).map_or(self.period / 2.0, length);
        let closing = points.len().checked_sub(2).map_or(self.period / 2.0, |from| length(&points[from..]));
        // The last beat at or before the film's beginning.
        let beginning = ((first.place as f64 - first.time / opening) / 2.0 + 1e-9).floor() as i64 * 2;

        let (mut beats, mut bars) = (Vec::new(), Vec::new());
        let mut segment = 0;
        for eighth in (beginning..=last.place + 2).step_by(2) {
            while points.get(segment + 1).is_some_and(|next| next.place <= eighth) {
                segment += 1;
            }
            let point = &points[segment];
            let behind = eighth - point.place;
            let each = match points.get(segment..segment + 2) {
                _ if behind < 0 => opening,
                Some(pair) => length(pair),
                None => closing,
            };
            let phase = (behind + point.phase as i64).rem_euclid(self.phases() as i64);
            if phase == 0 {
                bars.push((beats.len(), behind == 0 && point.set));
            }
            let step = (point.time + behind as f64 * each) * 100.0;
            beats.push(Beat { step, in_bar: 1 + phase as u8 / 2, per_bar: self.per_bar as u8 });
        }
        number_bars(&mut beats, bars, self.per_bar);
        beats
    }
}

/// An anchor that the beats meet.
struct Point {
    /// Eighths from the downbeat that is at or before the first one.
    place: i64,
    time: f64,
    /// Eighths from the downbeat at or before this one.
    phase: usize,
    /// Somebody asked for a bar to begin here.
    set: bool,
}

/// Numbers the beats of `bars` that were cut short, each given by its first beat and whether somebody asked for that. A bar
/// of a single beat becomes the last beat of the bar before.
fn number_bars(beats: &mut [Beat], mut bars: Vec<(usize, bool)>, per_bar: usize) {
    for bar in (1..bars.len().saturating_sub(1)).rev() {
        let beats = |bar: usize| bars[bar + 1].0 - bars[bar].0;
        if beats(bar) == 1 && !bars[bar].1 && beats(bar - 1) <= per_bar {
            bars.remove(bar);
        }
    }
    for bar in bars.windows(2) {
        let length = bar[1].0 - bar[0].0;
        for (index, beat) in beats[bar[0].0..bar[1].0].iter_mut().enumerate() {
            (beat.in_bar, beat.per_bar) = (index as u8 + 1, length as u8);
        }
    }
}
