//! When each beat of a section is in the film: a Viterbi search over beats, whose states are moments near those that the
//! coarse alignment says. Between two beats the tempo is constant, so notes keep their rhythm.

use super::coarse::{self, Stretch};
use super::features::{COARSE, Chroma, FRAMES, Features, Frame};

/// Seconds by which a beat may be off the coarse alignment.
const REACH: f64 = 0.6;
/// Seconds by which a section is followed beyond the ends that the coarse alignment says.
const BEYOND: f64 = 4.0;
/// The standard deviation of tempo from beat to beat.
const TEMPO: f64 = 0.04;
/// And how far it may go.
const FASTEST: f64 = 0.12;
/// What a second costs by which an anchor is missed.
const MISSED: f64 = 100.0;
/// Features say that a note begins so much before it does, in seconds: a window hears it first.
const EARLY: f64 = 0.01;
/// An onset that counts as one.
const ONSET: f64 = 0.2;
/// Seconds between two moments where a section may begin or end.
const CUT: f64 = 0.05;
/// How alike film and score are at least in a section.
const ENOUGH: f64 = 0.25;
/// Seconds of the coarse alignment, on both sides, that say where a beat is, and how fast the music is.
const NEAR: f64 = 5.0;
const WIDE: f64 = 12.0;

/// A part of the score that is in the film.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Beats: seconds of the score and of the film, both rising; at least two. They go beyond `film`.
    pub beats: Vec<(f64, f64)>,
    /// From where to where it is in the film, in seconds.
    pub film: (f64, f64),
    /// What is heard of it.
    pub heard: Heard,
}

/// What is heard in the film of a section's notes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Heard {
    /// How many notes it has; those of one moment and pitch class count once.
    pub notes: usize,
    /// The mean strength of onsets of their pitch class where they begin, 0..1, and 0.17 to 0.53 s beside that.
    pub onsets: f64,
    /// The same beside them.
    pub beside: f64,
    /// The share of notes that begin with an onset, 0..1, and of moments beside them that have one.
    pub share: f64,
    /// The same beside them.
    pub share_beside: f64,
    /// How alike film and score are, -1..1.
    pub alike: f64,
}

impl Heard {
    /// How much more alike film and score are than what is in no section.
    pub fn alike_by(&self) -> f64 {
        self.alike - ENOUGH
    }
}

impl Section {
    /// How sure it is that this part of the score is there: about 0.2 by chance, 0.6 and more in clear sound.
    pub fn strength(&self) -> f64 {
        let Heard { notes, onsets, beside, alike, .. } = self.heard;
        // Few notes are met by chance more easily.
        onsets - beside + alike / 2.0 - 2.0 / (notes.max(1) as f64).sqrt()
    }

    /// Seconds of the score in a second of film.
    pub fn tempo(&self) -> f64 {
        let (from, to) = self.film;
        (self.to_score(to) - self.to_score(from)) / (to - from)
    }

    /// A moment of the score in the film.
    pub fn to_film(&self, score: f64) -> f64 {
        along(&self.beats, score, |&beat| beat)
    }

    /// A moment of the film in the score.
    pub fn to_score(&self, film: f64) -> f64 {
        along(&self.beats, film, |&(score, film)| (film, score))
    }
}

/// On straight lines between points, and on along the outer ones.
fn along(beats: &[(f64, f64)], at: f64, point: impl Fn(&(f64, f64)) -> (f64, f64)) -> f64 {
    let next = beats.partition_point(|beat| point(beat).0 <= at).clamp(1, beats.len() - 1);
    let ((x, y), (to_x, to_y)) = (point(&beats[next - 1]), point(&beats[next]));
    y + (at - x) * (to_y - y) / (to_x - x)
}

/// Beats that are close enough to follow the tempo, from before the first note to behind the last.
pub fn knots(beats: &[f64], end: f64) -> Vec<f64> {
    let mut far: Vec<f64> = Vec::new();
    for &beat in beats {
        if far.last().is_none_or(|last| beat - last > 0.25) {
            far.push(beat);
        }
    }
    if far.len() < 2 {
        let first = far.first().copied().unwrap_or(0.0);
        far = vec![first, first + 0.5];
    }
    let mut kept = Vec::new();
    for pair in far.windows(2) {
        let parts = ((pair[1] - pair[0]) / 0.8).ceil().max(1.0);
        kept.extend((0..parts as usize).map(|part| pair[0] + (pair[1] - pair[0]) * part as f64 / parts));
    }
    kept.extend(far.last());
    let (first, last) = (kept[1] - kept[0], kept[kept.len() - 1] - kept[kept.len() - 2]);
    let before = (kept[0] / first).ceil().max(0.0) as usize;
    let mut all: Vec<f64> = (1..=before).rev().map(|beat| kept[0] - beat as f64 * first).collect();
    all.extend(&kept);
    while all[all.len() - 1] < end {
        all.push(all[all.len() - 1] + last);
    }
    all
}

/// A line through the points within `reach` of `at`, weighted by how near they are: its value there, and its slope. Near the
/// ends, and beyond them, it is the line of the outer points.
fn line(points: &[(f64, f64)], at: f64, reach: f64) -> (f64, f64) {
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    let centre =
        at.clamp((first + reach / 2.0).min(last), (last - reach / 2.0).max(first).max((first + reach / 2.0).min(last)));
    let from = points.partition_point(|&(x, _)| x < centre - reach);
    let to = points.partition_point(|&(x, _)| x <= centre + reach);
    let near = &points[from..to];
    let weight = |x: f64| 1.1 - (x - centre).abs() / reach;
    let total: f64 = near.iter().map(|point| weight(point.0)).sum();
    let mean = |value: &dyn Fn(&(f64, f64)) -> f64| {
        near.iter().map(|point| weight(point.0) * value(point)).sum::<f64>() / total
    };
    let (x, y) = (mean(&|point| point.0), mean(&|point| point.1));
    let spread = mean(&|point| (point.0 - x).powi(2));
    let slope = if spread > 0.1 { mean(&|point| (point.0 - x) * (point.1 - y)) / spread } else { 1.0 };
    let slope = slope.clamp(0.5, 2.0);
    (y + slope * (at - x), slope)
}

/// Where the notes of a score are sought.
pub struct Onsets<'f> {
    film: &'f Features,
    score: &'f [Frame],
    /// For each frame, how near an onset is.
    near: Vec<Chroma>,
    /// Seconds of the score, and pitch class.
    notes: Vec<(f64, usize)>,
    /// Moments that belong together: seconds of film and of score.
    anchors: Vec<(f64, f64)>,
}

impl<'f> Onsets<'f> {
    pub fn new(
        film: &'f Features,
        score: &'f [Frame],
        notes: impl Iterator<Item = (f64, usize)>,
        anchors: Vec<(f64, f64)>,
    ) -> Self {
        let frames = &film.onsets;
        let onset = |frame: i64, class: usize| frames[frame.clamp(0, frames.len() as i64 - 1) as usize][class];
        let nearest = |frame: i64, class| {
            (-3..=3_i64).map(|by| onset(frame + by, class) * (1.0 - by.abs() as f32 / 4.0)).fold(0.0, f32::max)
        };
        let near = (0..frames.len() as i64).map(|frame| std::array::from_fn(|class| nearest(frame, class))).collect();
        let mut notes: Vec<_> = notes.collect();
        notes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        notes.dedup();
        Self { film, score, near, notes, anchors }
    }

    fn at(&self, film: f64, class: usize) -> f64 {
        let frame = ((film - EARLY) * FRAMES as f64).round();
        if frame < 0.0 { 0.0 } else { self.near.get(frame as usize).map_or(0.0, |frame| f64::from(frame[class])) }
    }

    fn between(&self, from: f64, to: f64) -> &[(f64, usize)] {
        let first = self.notes.partition_point(|note| note.0 < from);
        let count = self.notes[first..].partition_point(|note| note.0 < to);
        &self.notes[first..first + count]
    }

    /// The section of a stretch. `knots` are its beats.
    pub fn follow(&self, stretch: &Stretch, knots: &[f64]) -> Section {
        let mut pairs: Vec<(f64, f64)> = stretch.pairs().into_iter().map(|(film, score)| (score, film)).collect();
        pairs.dedup_by_key(|pair| pair.0);
        let (first, last) = (pairs[0].0 - BEYOND, pairs[pairs.len() - 1].0 + BEYOND);
        let from = knots.partition_point(|&knot| knot < first);
        let to = knots.partition_point(|&knot| knot <= last);
        let knots = &knots[from.saturating_sub(1)..(to + 1).min(knots.len())];
        let guess: Vec<f64> = knots.iter().map(|&knot| line(&pairs, knot, NEAR).0).collect();

        let film = stretch.film();
        let film = (film.start as f64 / COARSE as f64, film.end as f64 / COARSE as f64);
        let near = |moment: &f64| (film.0 - 1.0..film.1 + 1.0).contains(moment);
        let step = 1.0 / FRAMES as f64;
        let reach = (REACH / step) as i64;
        let states = (2 * reach + 1) as usize;
        let mut best = vec![0.0; states];
        let mut from: Vec<Vec<usize>> = Vec::new();
        for (index, pair) in knots.windows(2).enumerate() {
            let notes = self.between(pair[0], pair[1]);
            let inside = |anchor: &&(f64, f64)| (pair[0]..pair[1]).contains(&anchor.1) && near(&anchor.0);
            let anchors: Vec<_> = self.anchors.iter().filter(inside).copied().collect();
            // How long the beat is by the tempo around it, and what the coarse alignment adds to that, in states.
            let length = (pair[1] - pair[0]) * line(&pairs, (pair[0] + pair[1]) / 2.0, WIDE).1;
            let drift = guess[index + 1] - guess[index] - length;
            let shift = (drift / step).round() as i64;
            let most = ((FASTEST * length / step).round() as i64).max(1);
            let mut next = vec![f64::NEG_INFINITY; states];
            let mut ways = vec![0; states];
            for state in 0..states as i64 {
                for before in (state + shift - most).max(0)..=(state + shift + most).min(states as i64 - 1) {
                    let change = ((state - before) as f64 * step + drift) / length;
                    let begin = guess[index] + (before - reach) as f64 * step;
                    let end = guess[index + 1] + (state - reach) as f64 * step;
                    let slope = (end - begin) / (pair[1] - pair[0]);
                    let film = |score: f64| begin + (score - pair[0]) * slope;
                    let heard: f64 = notes.iter().map(|&(time, class)| self.at(film(time), class)).sum();
                    let missed: f64 = anchors.iter().map(|anchor| (film(anchor.1) - anchor.0).abs().min(REACH)).sum();
                    let value = best[before as usize] + heard - (change / TEMPO).powi(2) / 2.0 - MISSED * missed;
                    if value > next[state as usize] {
                        (next[state as usize], ways[state as usize]) = (value, before as usize);
                    }
                }
            }
            best = next;
            from.push(ways);
        }
        let mut state = (0..states).max_by(|&a, &b| best[a].total_cmp(&best[b])).unwrap_or(0);
        let mut path = vec![state];
        for ways in from.iter().rev() {
            state = ways[state];
            path.push(state);
        }
        path.reverse();
        let moment =
            |((&knot, guess), state): ((&f64, &f64), usize)| (knot, guess + (state as i64 - reach) as f64 * step);
        let beats = knots.iter().zip(&guess).zip(path).map(moment).collect();
        let mut section = Section { beats, film, heard: Heard::default() };
        section.heard = self.heard(&section);
        section
    }

    fn heard(&self, section: &Section) -> Heard {
        const BESIDE: [f64; 8] = [-0.53, -0.41, -0.29, -0.17, 0.17, 0.29, 0.41, 0.53];
        let (from, to) = section.film;
        let notes = self.between(section.to_score(from), section.to_score(to));
        let mut heard = Heard { notes: notes.len(), ..Heard::default() };
        let is_onset = |strength: f64| f64::from(u8::from(strength > ONSET));
        for &(time, class) in notes {
            let film = section.to_film(time);
            let on = self.at(film, class);
            heard.onsets += on;
            heard.share += is_onset(on);
            for beside in BESIDE.map(|by| self.at(film + by, class)) {
                heard.beside += beside / BESIDE.len() as f64;
                heard.share_beside += is_onset(beside) / BESIDE.len() as f64;
            }
        }
        for value in [&mut heard.onsets, &mut heard.beside, &mut heard.share, &mut heard.share_beside] {
            *value /= notes.len().max(1) as f64;
        }
        let frames = (from * COARSE as f64) as usize..(to * COARSE as f64) as usize;
        let alike = frames.clone().map(|frame| self.alike(section, (frame as f64 + 0.5) / COARSE as f64));
        heard.alike = alike.sum::<f64>() / frames.len().max(1) as f64;
        heard
    }

    /// How alike film and score are at a moment of the film.
    fn alike(&self, section: &Section, film: f64) -> f64 {
        let frame = |seconds: f64| (seconds.max(0.0) * COARSE as f64) as usize;
        let pair = self.film.coarse.get(frame(film)).zip(self.score.get(frame(section.to_score(film))));
        pair.map_or(0.0, |(film, score)| f64::from(coarse::alike(film, score)))
    }

    /// Decides where sections, in the order of the film, begin and end: where one explains the film better than nothing, and
    /// better than its neighbour.
    pub fn cut(&self, sections: &mut [Section], seconds: f64) {
        let evidence: Vec<Vec<f64>> = sections.iter().map(|section| self.evidence(section, seconds)).collect();
        let middles: Vec<f64> = sections.iter().map(|section| (section.film.0 + section.film.1) / 2.0).collect();
        let ends: Vec<(f64, f64)> = sections.iter().map(|section| section.film).collect();
        for right in 0..=sections.len() {
            let left = right.checked_sub(1);
            let from = left.map_or(0.0, |left| middles[left].max(ends[left].1 - 2.0 * BEYOND));
            let to = middles.get(right).map_or(seconds, |middle| middle.min(ends[right].0 + 2.0 * BEYOND));
            let cells = (from / CUT) as usize..((to / CUT) as usize).max((from / CUT) as usize);
            let gain = |section: Option<usize>, cell: usize| {
                section.and_then(|at| evidence.get(at)?.get(cell)).copied().unwrap_or(0.0)
            };
            // For each cell up to which the left one may go: its best end, and what that gains.
            let (mut sum, mut best) = (0.0, (0.0, cells.start));
            let mut lefts = vec![best];
            for cell in cells.clone() {
                sum += gain(left, cell);
                if sum > best.0 {
                    best = (sum, cell + 1);
                }
                lefts.push(best);
            }
            let mut sum = 0.0;
            let mut cut = (best.0, best.1, cells.end);
            for (place, cell) in cells.enumerate().rev() {
                sum += gain(Some(right), cell);
                let (gained, end) = lefts[place];
                if sum + gained > cut.0 {
                    cut = (sum + gained, end, cell);
                }
            }
            if let Some(left) = left {
                sections[left].film.1 = (cut.1 as f64 * CUT).min(seconds);
            }
            if let Some(right) = sections.get_mut(right) {
                right.film.0 = cut.2 as f64 * CUT;
            }
        }
        for section in sections {
            section.heard = self.heard(section);
        }
    }

    /// How much better each [`CUT`] of the film is explained by a section than by nothing.
    fn evidence(&self, section: &Section, seconds: f64) -> Vec<f64> {
        let (first, last) = (section.beats[0], section.beats[section.beats.len() - 1]);
        let mut cells = vec![0.0; (seconds / CUT) as usize + 1];
        let worth = (section.heard.onsets + section.heard.beside) / 2.0;
        for &(time, class) in self.between(first.0, last.0) {
            let film = section.to_film(time);
            if let Some(cell) = (film >= 0.0).then(|| cells.get_mut((film / CUT) as usize)).flatten() {
                *cell += self.at(film, class) - worth;
            }
        }
        for (index, cell) in cells.iter_mut().enumerate() {
            let film = (index as f64 + 0.5) * CUT;
            let is_followed = (first.1..=last.1).contains(&film);
            *cell += if is_followed { 4.0 * CUT * (self.alike(section, film) - ENOUGH) } else { -0.5 };
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knots_reach_from_before_the_music_to_behind_it() {
        let beats: [&[f64]; 6] = [&[], &[3.0], &[1.0, 1.5, 2.0], &[0.0, 0.1, 0.2, 0.9], &[5.0, 9.0], &[0.3, 0.3]];
        for beats in beats {
            let knots = knots(beats, 12.0);
            assert!(knots[0] <= 0.0 && knots[knots.len() - 1] >= 12.0, "{knots:?}");
            assert!(knots.windows(2).all(|pair| (0.2..=0.81).contains(&(pair[1] - pair[0]))), "{knots:?}");
        }
    }

    #[test]
    fn a_line_goes_on_beyond_its_points() {
        let points: Vec<_> = (10..30).map(|index| (f64::from(index), 2.0 * f64::from(index) - 5.0)).collect();
        for at in [0.0, 10.0, 17.3, 29.0, 50.0] {
            let (value, slope) = line(&points, at, NEAR);
            assert!((value - (2.0 * at - 5.0)).abs() < 1e-6 && (slope - 2.0).abs() < 1e-9, "{value} at {at}");
        }
        assert_eq!(line(&points[..1], 12.0, NEAR), (17.0, 1.0));
    }
}
