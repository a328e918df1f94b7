//! Which tempo, metre and beats meet a film's hits best.
//!
//! Each tempo and metre has a best path through the hits, and the path a score. Fast tempi and short bars meet more hits by
//! chance. So from each score is subtracted what the same rule reaches, on the average, on hits at random distances, and
//! what is left is counted in standard deviations of that, so that it stands beside the prior however many hits there are.

use std::time::Duration;

use super::path::{Rule, anchors, rank};
use super::{Hit, HitKind};
use crate::error::{Error, Result};
use crate::music::{Beat, Conditions, STEPS_PER_SECOND, steps};

/// The longest film.
pub const MAX_END: Duration = Duration::from_secs(24 * 3600);

/// Geometric mean of POP909's tempi in beats a minute (its labelled beats), and their standard deviation in octaves.
const PRIOR: (f64, f64) = (78.9, 0.355);
/// How much less likely 3/4 is than 4/4, as a logarithm: 29 of POP909's songs against 880.
const THREE: f64 = 3.41;
/// The slowest and the fastest nominal tempo, in beats a minute: what a beat lasts is within 30-240 a minute.
const TEMPI: (f64, f64) = (40.0, 200.0);
/// Ratio of neighbouring tempi that are tried.
const TEMPO_STEP: f64 = 1.02;

/// How often hits are moved at random to learn what chance gives.
const CHANCE_RUNS: usize = 8;
/// Hits by which the tempo is chosen (the first ones), and hits that beats may be stretched for (the heaviest).
const MAX_HITS: [usize; 2] = [256, 4096];

/// So many milliseconds from a beat, a hit is met: a step.
const MET: f64 = 10.0;
/// A cut that no beat meets is struck if no other hit is so near, in steps.
const ALONE: u32 = STEPS_PER_SECOND;

/// How to fit.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Nominal beats a minute, 40-200; `None` chooses them. The prior is log-normal: geometric mean 78.9, standard
    /// deviation 0.355 octave (POP909).
    pub bpm: Option<f64>,
    /// Beats in a bar, 2-6; `None` chooses 4, or 3 where that is clearly better.
    pub beats_per_bar: Option<u8>,
    /// How far a beat may be from the nominal length and from the beat before it, as a share, 0-0.08: 0.025 is hardly
    /// heard, 0.05 is normal. 0 keeps one tempo throughout, and meets a hit by luck alone.
    pub stretch: f64,
}

/// Any tempo, 4/4 or 3/4, and a stretch of 5 %.
impl Default for Options {
    fn default() -> Self {
        Self { bpm: None, beats_per_bar: None, stretch: 0.05 }
    }
}

impl Options {
    /// The same, with this [`bpm`](Self::bpm).
    pub fn with_bpm(self, bpm: impl Into<Option<f64>>) -> Self {
        Self { bpm: bpm.into(), ..self }
    }

    /// The same, with these [`beats_per_bar`](Self::beats_per_bar).
    pub fn with_beats_per_bar(self, beats: impl Into<Option<u8>>) -> Self {
        Self { beats_per_bar: beats.into(), ..self }
    }

    /// The same, with this [`stretch`](Self::stretch).
    pub fn with_stretch(self, stretch: f64) -> Self {
        Self { stretch, ..self }
    }

    /// Checks that all of them are in their ranges.
    pub fn validate(&self) -> Result<()> {
        let refuse = |option, want, got| Err(Error::Option { option, want, got });
        if let Some(bpm) = self.bpm.filter(|bpm| !(TEMPI.0..=TEMPI.1).contains(bpm)) {
            return refuse("bpm", "40-200 beats a minute", bpm.to_string());
        }
        if let Some(beats) = self.beats_per_bar.filter(|beats| !(2..=6).contains(beats)) {
            return refuse("beats_per_bar", "2-6", beats.to_string());
        }
        if !(0.0..=0.08).contains(&self.stretch) {
            return refuse("stretch", "within 0-0.08", self.stretch.to_string());
        }
        Ok(())
    }
}

/// A hit and the beat or eighth that is nearest to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlacedHit {
    /// The hit.
    pub hit: Hit,
    /// Number of the nearest beat in its bar, from 1 on; where `eighth`, of the beat before it.
    pub in_bar: u8,
    /// The middle between two beats is nearer than they are.
    pub eighth: bool,
    /// Milliseconds from the hit to that place: positive where the music is late.
    pub miss_ms: f64,
}

impl PlacedHit {
    /// A beat is within a step (10 ms) of the hit.
    pub fn met(&self) -> bool {
        !self.eighth && self.miss_ms.abs() <= MET
    }
}

/// The beats of a film.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClickTrack {
    /// Rising, from at or before the film's beginning to one beat beyond the end, where there is a downbeat.
    pub beats: Vec<Beat>,
    /// The nominal tempo: beats a minute. Each beat is within the stretch of it.
    pub bpm: f64,
    /// Beats in a bar, but for a first bar that begins before the film and a bar before a hit that had to be a downbeat.
    pub beats_per_bar: u8,
    /// All hits in order, met or not.
    pub hits: Vec<PlacedHit>,
    /// What [`met`](Self::met) is where the distances between hits are changed at random and all is fitted anew: what it is
    /// to be compared with. `None` without hits.
    pub chance: Option<f64>,
}

impl ClickTrack {
    /// Chooses tempo, metre and beats for the `hits` of a film, in any order, such that its last downbeat is at `end`.
    ///
    /// Without hits the tempo is constant and near the prior, and the film is a whole number of bars where the stretch
    /// allows that. Of hits closer than 200 ms the heaviest shapes the beats, of more than 4096 the heaviest do, and the first
    /// 256 choose tempo and metre; all are placed. The same input has the same beats.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for an option out of its range, an end beyond [`MAX_END`], a hit beyond the end, or a weight
    /// outside of 0-1.
    pub fn fit(hits: &[Hit], end: Duration, options: &Options) -> Result<Self> {
        options.validate()?;
        let refuse = |option, want, got| Err(Error::Option { option, want, got });
        if end > MAX_END {
            return refuse("end", "at most 24 hours", format!("{end:?}"));
        }
        for hit in hits {
            if hit.time > end {
                return refuse("hit", "at most the film's end", format!("at {:?}, beyond {end:?}", hit.time));
            }
            if !(0.0..=1.0).contains(&hit.weight) {
                return refuse("weight of a hit", "within 0-1", hit.weight.to_string());
            }
        }
        let mut sorted = hits.to_vec();
        sorted.sort_by_key(|hit| hit.time);

        let (rule, chance) = choose(&sorted, end.as_secs_f64(), options);
        let anchors = anchors(&heaviest(&sorted), end.as_secs_f64(), true);
        let beats = rule.beats(&anchors, &rule.best_path(&anchors));
        let hits: Vec<_> = sorted.iter().map(|&hit| place(hit, &beats)).collect();
        let chance = chance.filter(|_| !hits.is_empty());
        Ok(Self { beats, bpm: 60.0 / rule.period, beats_per_bar: rule.per_bar as u8, hits, chance })
    }

    /// The share of hits, 0-1, that are [met](PlacedHit::met), each counted by its weight; `None` without hits.
    pub fn met(&self) -> Option<f64> {
        share_met(&self.hits)
    }

    /// The hits at which a note is to be struck, in steps of 10 ms, rising, each once: those that somebody set, those that
    /// fall on a beat or an eighth, and cuts that are a second or more from all of these and from each other.
    ///
    /// Other hits would break the beat, and are left to chance, as is one at the film's end.
    pub fn hit_steps(&self) -> Vec<u32> {
        let step = |placed: &PlacedHit| steps(placed.hit.time);
        let struck = |placed: &&PlacedHit| placed.hit.kind.is_set() || placed.miss_ms.abs() <= MET;
        let mut all: Vec<u32> = self.hits.iter().filter(struck).map(step).collect();
        for cut in self.hits.iter().filter(|placed| placed.hit.kind == HitKind::Cut).map(step) {
            let place = all.partition_point(|&hit| hit < cut);
            let near = |hit: Option<&u32>| hit.is_some_and(|hit| hit.abs_diff(cut) < ALONE);
            if !near(place.checked_sub(1).map(|before| &all[before])) && !near(all.get(place)) {
                all.insert(place, cut);
            }
        }
        all.dedup();
        let end = self.end_step();
        all.retain(|&hit| hit < end);
        all
    }

    /// The film's end, in steps.
    fn end_step(&self) -> u32 {
        self.beats.iter().rev().nth(1).map_or(0, |last| last.step.round().max(0.0) as u32)
    }

    /// What [`Options::conditions`](crate::Options::conditions) are to be, so that the music keeps to these beats, strikes a
    /// note at [`hit_steps`](Self::hit_steps), and knows where it ends.
    pub fn conditions(&self) -> Conditions {
        Conditions {
            beats: self.beats.clone(),
            hits: Some(self.hit_steps()),
            end: Some(self.end_step()),
            ..Conditions::default()
        }
    }
}

/// The hits that shape the beats of a very long film, in order of time: those that somebody set, then the heaviest, then
/// the first.
fn heaviest(sorted: &[Hit]) -> Vec<Hit> {
    let mut order: Vec<usize> = (0..sorted.len()).collect();
    order.sort_by(|&a, &b| rank(&sorted[b]).total_cmp(&rank(&sorted[a])).then(a.cmp(&b)));
    order.truncate(MAX_HITS[1]);
    order.sort_unstable();
    order.into_iter().map(|index| sorted[index]).collect()
}

/// The share of hits, by weight, that are met; `None` if nothing has a weight.
fn share_met(hits: &[PlacedHit]) -> Option<f64> {
    let weight = |met: bool| -> f64 { hits.iter().filter(|hit| !met || hit.met()).map(|hit| hit.hit.weight).sum() };
    (weight(false) > 0.0).then(|| weight(true) / weight(false))
}

/// The tempo and metre whose score is highest, less what chance gives and by the prior; and the share of hits that chance
/// meets.
fn choose(sorted: &[Hit], end: f64, options: &Options) -> (Rule, Option<f64>) {
    let metres = options.beats_per_bar.map_or(vec![4, 3], |beats| vec![beats.into()]);
    let count = ((TEMPI.1 / TEMPI.0).ln() / TEMPO_STEP.ln()).floor() as i32;
    let tempi =
        options.bpm.map_or_else(|| (0..=count).map(|k| TEMPI.0 * TEMPO_STEP.powi(k)).collect(), |bpm| vec![bpm]);
    let rules: Vec<Rule> = metres
        .iter()
        .flat_map(|&per_bar| {
            tempi.iter().map(move |bpm| Rule { period: 60.0 / bpm, per_bar, bound: options.stretch.ln_1p() })
        })
        .collect();

    // A longer film is judged by its first hits, and as if it ended behind them.
    let first = &sorted[..sorted.len().min(MAX_HITS[0])];
    let end = sorted.get(first.len()).map_or(end, |next| next.time.as_secs_f64());
    let real = anchors(first, end, true);
    let runs = if first.is_empty() { 0 } else { CHANCE_RUNS };
    let moved: Vec<Vec<Hit>> = (0..runs).map(|run| moved(first, end, run).collect()).collect();
    let moved_anchors: Vec<_> = moved.iter().map(|hits| anchors(hits, end, false)).collect();
    let moved_scores: Vec<Vec<f64>> =
        rules.iter().map(|rule| moved_anchors.iter().map(|anchors| rule.best_path(anchors).score).collect()).collect();
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len().max(1) as f64;
    let variance = |scores: &[f64]| {
        let mean = mean(scores);
        scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / (CHANCE_RUNS - 1) as f64
    };
    let deviation = mean(&moved_scores.iter().map(|scores| variance(scores)).collect::<Vec<_>>()).sqrt().max(1.0);
    let worth = |score: f64, index: usize| {
        let octaves = (60.0 / rules[index].period / PRIOR.0).log2() / PRIOR.1;
        let metre = if metres.len() > 1 && rules[index].per_bar == 3 { THREE } else { 0.0 };
        (score - mean(&moved_scores[index])) / deviation - 0.5 * octaves * octaves - metre
    };
    let best = |score: &dyn Fn(usize) -> f64| -> Rule {
        let worths: Vec<f64> = (0..rules.len()).map(|index| worth(score(index), index)).collect();
        let best = (0..rules.len()).max_by(|&a, &b| worths[a].total_cmp(&worths[b])).expect("there are rules");
        rules[best]
    };
    let met = |run: usize| {
        let rule = best(&|index| moved_scores[index][run]);
        let beats = rule.beats(&moved_anchors[run], &rule.best_path(&moved_anchors[run]));
        share_met(&moved[run].iter().map(|&hit| place(hit, &beats)).collect::<Vec<_>>()).unwrap_or(0.0)
    };
    let chance = (runs > 0).then(|| (0..runs).map(met).sum::<f64>() / runs as f64);
    (best(&|index| rules[index].best_path(&real).score), chance)
}

/// Hits that are moved: each distance between two, and to the film's beginning and end, is made longer or shorter by up to
/// half, and all together such that they fill the film.
fn moved(hits: &[Hit], end: f64, run: usize) -> impl Iterator<Item = Hit> {
    // Multiples of the golden ratio and of the root of 2 are spread evenly.
    let share = move |index: usize| (index as f64 * 0.618_033_988_75 + (run + 1) as f64 * 0.414_213_562_37).fract();
    let time = |index: usize| hits.get(index).map_or(end, |hit| hit.time.as_secs_f64());
    let gap = |index: usize| time(index) - index.checked_sub(1).map_or(0.0, time);
    let gaps: Vec<f64> = (0..=hits.len()).map(|index| gap(index) * (1.2 * share(index) - 0.6).exp2()).collect();
    let scale = end / gaps.iter().sum::<f64>().max(1e-9);
    hits.iter().zip(gaps).scan(0.0, move |time, (hit, gap)| {
        *time += gap * scale;
        let kind = if hit.kind.is_set() { HitKind::Cut } else { hit.kind };
        Some(Hit { time: Duration::from_secs_f64(time.min(end)), kind, ..*hit })
    })
}

/// The place nearest to a moment in seconds, as a beat's index and whether it is the eighth behind it, and the seconds
/// from the moment to it.
fn nearest(time: f64, beats: &[Beat]) -> ((usize, bool), f64) {
    let next = beats.partition_point(|beat| beat.step <= time * 100.0).clamp(1, beats.len() - 1);
    let (from, to) = (beats[next - 1].step, beats[next].step);
    let places = [((next - 1, false), from), ((next - 1, true), (from + to) / 2.0), ((next, false), to)];
    let miss = |step: f64| step / 100.0 - time;
    let nearest = places.into_iter().min_by(|a, b| miss(a.1).abs().total_cmp(&miss(b.1).abs()));
    nearest.map(|(place, step)| (place, miss(step))).expect("there are three")
}

fn place(hit: Hit, beats: &[Beat]) -> PlacedHit {
    let ((beat, eighth), miss) = nearest(hit.time.as_secs_f64(), beats);
    PlacedHit { hit, in_bar: beats[beat].in_bar, eighth, miss_ms: miss * 1000.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hits(kind: HitKind, seconds: &[f64]) -> Vec<Hit> {
        seconds.iter().map(|&time| Hit::new(Duration::from_secs_f64(time), kind)).collect()
    }

    fn fit(hits: &[Hit], end: f64, options: &Options) -> ClickTrack {
        let track = ClickTrack::fit(hits, Duration::from_secs_f64(end), options).unwrap();
        let [beats @ .., last, beyond] = &track.beats[..] else { panic!("{track:?}") };
        assert!((last.step - end * 100.0).abs() < 1e-6 && last.in_bar == 1, "ends on {last:?}");
        assert!(beats.first().unwrap_or(last).step < 1e-5 && beyond.step > last.step);
        let lengths: Vec<f64> = track.beats.windows(2).map(|pair| pair[1].step - pair[0].step).collect();
        let within = |ratio: f64| ratio.ln().abs() <= options.stretch.ln_1p() + 1e-6;
        for length in &lengths {
            assert!((25.0..=200.0).contains(length) && within(length * track.bpm / 6000.0), "{length} steps");
        }
        assert!(lengths.windows(2).all(|pair| within(pair[1] / pair[0])), "{lengths:?}");
        for pair in track.beats.windows(2) {
            let next = if pair[0].in_bar == pair[0].per_bar { 1 } else { pair[0].in_bar + 1 };
            assert!(pair[1].in_bar == next || pair[1].in_bar == 1 && pair[0].step < 0.0 || beats.len() < 9, "{pair:?}");
        }
        assert_eq!(track.hits.len(), hits.len());
        for placed in track.hits.iter().filter(|hit| hit.met()) {
            let step = placed.hit.time.as_secs_f64() * 100.0;
            let on = track.beats.iter().find(|beat| (beat.step - step).abs() <= 1.0 + 1e-6).expect("a beat is near");
            assert_eq!(on.in_bar, placed.in_bar);
        }
        track
    }

    fn any_hits() -> impl Strategy<Value = (Vec<Hit>, f64)> {
        let kinds = [HitKind::Cut, HitKind::Dissolve, HitKind::Motion, HitKind::Marker, HitKind::Downbeat];
        let hit = (0.0..=1.0_f64, proptest::sample::select(kinds.to_vec()), 0.0..=1.0_f64);
        (proptest::collection::vec(hit, 0..12), 0.0..=60.0_f64).prop_map(|(hits, end)| {
            let time = |share: f64| Duration::from_secs_f64(share * end).min(Duration::from_secs_f64(end));
            (hits.into_iter().map(|(at, kind, weight)| Hit { time: time(at), kind, weight }).collect(), end)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn beats_keep_to_their_bounds(
            (hits, end) in any_hits(),
            bpm in proptest::option::of(TEMPI.0..=TEMPI.1),
            beats_per_bar in proptest::option::of(2..=6_u8),
            stretch in 0.0..=0.08,
        ) {
            let options = Options { bpm, beats_per_bar, stretch };
            let track = fit(&hits, end, &options);
            prop_assert!(bpm.is_none_or(|bpm| (bpm - track.bpm).abs() < 1e-9));
            prop_assert!(beats_per_bar.is_none_or(|beats| beats == track.beats_per_bar));
            prop_assert_eq!(fit(&hits, end, &options), track);
        }

        #[test]
        fn a_downbeat_that_is_asked_for_is_one(at in 0.0..=1.0_f64, end in 3.0..=200.0_f64, bars in proptest::bool::ANY) {
            // A beat before the end there may be one.
            let time = at * (end - 1.0);
            let options = if bars { Options::default().with_bpm(100.0) } else { Options::default() };
            let track = fit(&hits(HitKind::Downbeat, &[time]), end, &options);
            let placed = track.hits[0];
            if !bars || end - time > 20.0 {
                prop_assert!(placed.met() && placed.in_bar == 1, "{placed:?} {:?}", track.beats);
            }
        }
    }

    #[test]
    fn without_hits_the_film_is_whole_bars() {
        for (end, bars) in [(12.0, 4), (30.0, 10), (61.7, 20), (7200.0, 2353)] {
            let track = fit(&[], end, &Options::default());
            assert!(track.beats[0].step.abs() < 1e-5, "{end}: {:?}", track.beats[0]);
            assert_eq!((track.beats.len() - 2) / 4, bars, "{end}");
            let lengths = track.beats.windows(2).map(|pair| pair[1].step - pair[0].step);
            assert!(lengths.into_iter().all(|length| (length - end * 25.0 / bars as f64).abs() < 1e-6));
            assert_eq!((track.met(), track.chance, track.hit_steps()), (None, None, vec![]));
        }
        // Of a film that is shorter than a beat, the end alone is a downbeat.
        assert_eq!(fit(&[], 0.04, &Options::default()).beats.len(), 3);
        assert_eq!(fit(&[], 0.0, &Options::default()).beats[0].in_bar, 1);
    }

    /// Downbeats at 93 beats a minute, each moved by up to 60 ms.
    fn regular(per_bar: u32) -> Vec<Hit> {
        let time = |bar: u32| f64::from(bar * per_bar) * 60.0 / 93.0 + f64::from(bar * 7 % 13) * 0.01 - 0.06;
        hits(HitKind::Cut, &[2, 3, 5, 8, 9, 11, 14, 15].map(time))
    }

    #[test]
    fn cuts_that_lie_on_downbeats_are_met_there() {
        for (per_bar, bars) in [(4, 18), (3, 20)] {
            let end = f64::from(per_bar * bars) * 60.0 / 93.0;
            let options = Options::default().with_beats_per_bar(per_bar as u8);
            let track = fit(&regular(per_bar), end, &options);
            assert!((91.0..95.0).contains(&track.bpm), "{}", track.bpm);
            assert_eq!(track.met(), Some(1.0));
            assert!(track.hits.iter().all(|placed| placed.in_bar == 1), "{:?}", track.hits);
            assert!(track.chance.unwrap() < 0.9);
        }
    }

    #[test]
    fn hits_count_by_their_weight() {
        let placed = |weight, miss_ms| {
            let hit = Hit { weight, ..Hit::new(Duration::ZERO, HitKind::Cut) };
            PlacedHit { hit, in_bar: 1, eighth: false, miss_ms }
        };
        assert_eq!(
            share_met(&[placed(1.0, 0.0), placed(0.5, -10.0), placed(0.25, 60.0), placed(0.25, 11.0)]),
            Some(0.75)
        );
        assert_eq!(share_met(&[placed(0.0, 0.0)]), None);
    }

    #[test]
    fn close_hits_are_placed_but_not_all_met() {
        let track = fit(&hits(HitKind::Cut, &[6.0, 6.05, 6.3]), 12.0, &Options::default());
        assert_eq!(track.hits.iter().filter(|placed| placed.met()).count(), 1);
        assert!(track.hits.iter().all(|placed| placed.miss_ms.abs() < 200.0));
        // Only that one is struck.
        let met = track.hits.iter().find(|placed| placed.met()).unwrap();
        assert_eq!(track.hit_steps(), [(met.hit.time.as_secs_f64() * 100.0).round() as u32]);
        let set = fit(&hits(HitKind::Marker, &[6.0, 6.05, 6.3, 12.0]), 12.0, &Options::default());
        assert_eq!(set.hit_steps(), [600, 605, 630], "what somebody set is struck, but not at the end");
    }

    #[test]
    fn conditions_are_those_of_the_track() {
        // One tempo throughout: no beat or eighth is near these hits.
        let options = Options::default().with_bpm(60.0).with_stretch(0.0);
        let track = fit(&hits(HitKind::Cut, &[3.2, 4.5, 4.8, 8.3, 9.2]), 12.0, &options);
        let conditions = track.conditions();
        assert_eq!((conditions.end, &conditions.beats), (Some(1200), &track.beats));
        // An eighth, and cuts that are alone.
        assert_eq!(conditions.hits, Some(vec![320, 450, 830]));
        let motion = fit(&hits(HitKind::Motion, &[3.2, 4.5]), 12.0, &options);
        assert_eq!(motion.conditions().hits, Some(vec![450]));
    }

    #[test]
    fn one_tempo_throughout() {
        let track = fit(&hits(HitKind::Cut, &[4.0, 9.1]), 20.0, &Options::default().with_bpm(90.0).with_stretch(0.0));
        assert!(track.beats.windows(2).all(|pair| (pair[1].step - pair[0].step - 200.0 / 3.0).abs() < 1e-9));
        let misses: Vec<i32> = track.hits.iter().map(|placed| placed.miss_ms.round() as i32).collect();
        assert_eq!(misses, [0, -100]);
    }

    #[test]
    fn a_long_film_ends_in_time() {
        let many: Vec<f64> = (0..20_000).map(|index| f64::from(index) * 0.05).collect();
        let track = fit(&hits(HitKind::Cut, &many), 7200.0, &Options::default());
        assert!(track.hits[..1000].iter().any(|placed| placed.met()));
    }

    #[test]
    fn what_is_out_of_range_is_an_error() {
        let cut = hits(HitKind::Cut, &[1.0]);
        let heavy = |weight| [Hit { weight, ..cut[0] }];
        let options = Options::default;
        for (hits, end, options, want) in [
            (&cut[..], 0.5, options(), "hit must be at most the film's end, but is at 1s, beyond 500ms"),
            (&cut, 1e6, options(), "end must be at most 24 hours, but is 1000000s"),
            (&heavy(f64::NAN), 9.0, options(), "weight of a hit must be within 0-1, but is NaN"),
            (&heavy(-1.0), 9.0, options(), "weight of a hit must be within 0-1, but is -1"),
            (&cut, 9.0, options().with_bpm(f64::NAN), "bpm must be 40-200 beats a minute, but is NaN"),
            (&cut, 9.0, options().with_bpm(201.0), "bpm must be 40-200 beats a minute, but is 201"),
            (&cut, 9.0, options().with_beats_per_bar(7), "beats_per_bar must be 2-6, but is 7"),
            (&cut, 9.0, options().with_stretch(0.09), "stretch must be within 0-0.08, but is 0.09"),
        ] {
            let error = ClickTrack::fit(hits, Duration::from_secs_f64(end), &options).unwrap_err();
            assert_eq!(error.to_string(), want);
        }
    }
}
