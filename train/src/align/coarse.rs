//! Which seconds of the score are in which seconds of the film: a Viterbi search over the frames of the film, whose states
//! are the frames of the score and one for what is not in it.

use std::ops::Range;

use super::features::{COARSE, Frame};

/// How alike two frames must be for a frame of film to be better explained by the score than by nothing.
const ALIKE: f32 = 0.25;
/// What a jump in the score costs, in seconds of frames that are perfectly alike; to leave the score or enter it costs half.
const JUMP: f32 = 1.5;
/// What each frame of film or score costs that is passed over, in frames that are perfectly alike: where the tempo is not
/// known ...
pub const FREE: f32 = 0.05;
/// ... and where it is.
pub const STEADY: f32 = 0.25;

/// Seconds of score in a second of film, unless the tempo is told.
const SLOWEST: f64 = 0.7;
const FASTEST: f64 = 1.4;

/// Film and score in one tempo that may drift.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// The first frame of the film.
    pub film: usize,
    /// The frame of the score for each frame of the film.
    pub score: Vec<usize>,
}

impl Stretch {
    pub fn film(&self) -> Range<usize> {
        self.film..self.film + self.score.len()
    }

    /// Seconds of film and of score.
    pub fn pairs(&self) -> Vec<(f64, f64)> {
        let seconds = |frame: usize| (frame as f64 + 0.5) / COARSE as f64;
        self.film().zip(&self.score).map(|(film, &score)| (seconds(film), seconds(score))).collect()
    }
}

/// Seconds of score in a second of film: the mean of the middle half over the film, within what is sought.
pub fn tempo(stretches: &[Stretch]) -> Option<f64> {
    /// Over this many frames a tempo is measured.
    const OVER: usize = 8 * COARSE;
    let windows = stretches.iter().flat_map(|stretch| stretch.score.windows(OVER));
    let mut tempi: Vec<usize> = windows.map(|window| window[OVER - 1] - window[0]).collect();
    tempi.sort_unstable();
    let middle = &tempi[tempi.len() / 4..(3 * tempi.len()).div_ceil(4)];
    let mean = middle.iter().sum::<usize>() as f64 / middle.len() as f64;
    (!middle.is_empty()).then_some((mean / (OVER - 1) as f64).clamp(SLOWEST, FASTEST))
}

/// The score, higher by `semitones`.
pub fn transposed(score: &[Frame], semitones: usize) -> Vec<Frame> {
    let higher =
        |frame: &Frame| std::array::from_fn(|index| frame[index / 12 * 12 + (index % 12 + 12 - semitones) % 12]);
    score.iter().map(higher).collect()
}

/// Every two frames as one.
pub fn halved(frames: &[Frame]) -> Vec<Frame> {
    let mean = |pair: &[Frame]| {
        std::array::from_fn(|index| pair.iter().map(|frame| frame[index]).sum::<f32>() / pair.len() as f32)
    };
    frames.chunks(2).map(mean).collect()
}

/// How alike two frames are, -1..1.
pub fn alike(film: &Frame, score: &Frame) -> f32 {
    0.5 * film.iter().zip(score).map(|(film, score)| film * score).sum::<f32>()
}

/// What it costs to miss an anchor, and how many frames off meets it.
const MISSED: f32 = 1e4;
const NEAR: usize = 3;

/// Where a cell comes from.
const DIAGONAL: u8 = 0;
const SKIP: u8 = 1;
const HOLD: u8 = 2;
const ENTER: u8 = 3;
const LEAP: u8 = 4;

/// How a search goes.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Frames a second.
    pub rate: f32,
    /// [`FREE`] or [`STEADY`].
    pub slope: f32,
    /// Frames of film and score that must be met.
    pub anchors: &'a [(usize, usize)],
}

/// The stretches of the best way through the film, which [`gain`] is the gain of.
pub fn stretches(film: &[Frame], score: &[Frame], terms: Terms) -> Vec<Stretch> {
    search(film, score, terms, true).1
}

/// How much better the best way through the film explains it than nothing.
pub fn gain(film: &[Frame], score: &[Frame], terms: Terms) -> f32 {
    search(film, score, terms, false).0
}

/// Gain and stretches; these are left empty unless they are `wanted`.
fn search(film: &[Frame], score: &[Frame], terms: Terms, wanted: bool) -> (f32, Vec<Stretch>) {
    let Terms { rate, slope, anchors } = terms;
    let (rows, columns) = (film.len(), score.len());
    let jump = JUMP * rate;
    let none = f32::NEG_INFINITY;
    let (mut now, mut before, mut earlier) = (vec![none; columns], vec![none; columns], vec![none; columns]);
    let (mut gain, mut gain_before) = (vec![0.0_f32; columns], vec![none; columns]);
    let mut from = vec![0_u8; if wanted { rows * columns } else { 0 }];
    // Of the row before: the best cell, and the score of what is not in the score.
    let (mut best, mut best_at, mut outside) = (none, 0, 0.0_f32);
    // Whether `outside` was entered from the best cell, and which that was.
    let mut left = vec![false; rows + 1];
    let mut bests = vec![0; rows + 1];
    for (row, frame) in film.iter().enumerate() {
        for (gain, other) in gain.iter_mut().zip(score) {
            *gain = alike(frame, other) - ALIKE;
        }
        let anchor = anchors.iter().find(|(film, _)| *film == row).map(|&(_, score)| score);
        if let Some(anchor) = anchor {
            // No way that misses it is the best.
            let met = anchor.saturating_sub(NEAR)..=anchor + NEAR;
            gain.iter_mut()
                .enumerate()
                .filter(|(column, _)| !met.contains(column))
                .for_each(|(_, gain)| *gain -= MISSED);
        }
        let (entry, how) =
            if outside - jump / 2.0 >= best - jump { (outside - jump / 2.0, ENTER) } else { (best - jump, LEAP) };
        for column in 0..columns {
            let (mut top, mut way) = (entry, how);
            if let Some(last) = column.checked_sub(1) {
                let candidates = [
                    (before[last], DIAGONAL),
                    (if last > 0 { before[last - 1] } else { none } - slope, SKIP),
                    (earlier[last] + gain_before[column] - slope, HOLD),
                ];
                for (value, kind) in candidates {
                    if value > top {
                        (top, way) = (value, kind);
                    }
                }
            }
            now[column] = top + gain[column];
            if wanted {
                from[row * columns + column] = way;
            }
        }
        if best - jump / 2.0 > outside {
            outside = best - jump / 2.0;
            left[row] = true;
        }
        if anchor.is_some() {
            outside -= MISSED;
        }
        bests[row] = best_at;
        (best, best_at) = (none, 0);
        for (column, &value) in now.iter().enumerate() {
            if value > best {
                (best, best_at) = (value, column);
            }
        }
        std::mem::swap(&mut earlier, &mut before);
        std::mem::swap(&mut before, &mut now);
        std::mem::swap(&mut gain, &mut gain_before);
    }
    let total = outside.max(best);
    if !wanted {
        return (total, Vec::new());
    }

    // Back from the end: pairs of film and score, and where a stretch begins.
    let mut stretches = Vec::new();
    let mut row = rows as isize - 1;
    let mut inside = (best > outside).then_some(best_at);
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let mut close = |pairs: &mut Vec<(usize, usize)>| {
        pairs.reverse();
        if let Some(&(film, _)) = pairs.first() {
            stretches.push(Stretch { film, score: pairs.iter().map(|&(_, score)| score).collect() });
        }
        pairs.clear();
    };
    while row >= 0 {
        let at = row as usize;
        let Some(column) = inside else {
            if left[at] {
                inside = Some(bests[at]);
            }
            row -= 1;
            continue;
        };
        pairs.push((at, column));
        match from[at * columns + column] {
            DIAGONAL => inside = Some(column - 1),
            SKIP => inside = Some(column - 2),
            HOLD => {
                pairs.push((at - 1, column));
                row -= 1;
                inside = Some(column - 1);
            }
            ENTER => {
                close(&mut pairs);
                inside = None;
            }
            _ => {
                close(&mut pairs);
                inside = Some(bests[at]);
            }
        }
        row -= 1;
    }
    close(&mut pairs);
    stretches.reverse();
    (total, stretches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Frames that are alike only where they are the same.
    fn frames(seed: u64, count: usize) -> Vec<Frame> {
        let mut random = Stream::new(seed, "frames", &[]);
        let mut frame = || {
            let values: Frame = std::array::from_fn(|_| random.unit() as f32 - 0.5);
            let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
            values.map(|value| value / length * 2_f32.sqrt())
        };
        (0..count).map(|_| frame()).collect()
    }

    fn terms(anchors: &[(usize, usize)]) -> Terms<'_> {
        Terms { rate: COARSE as f32, slope: STEADY, anchors }
    }

    #[test]
    fn parts_in_any_order_with_gaps() {
        let score = frames(1, 600);
        let film = [&frames(2, 50), &score[300..500], &score[100..350], &frames(3, 80), &score[0..100]].concat();
        let found = stretches(&film, &score, terms(&[]));
        let want = [(50, 300, 200), (250, 100, 250), (580, 0, 100)];
        assert_eq!(found.len(), 3, "{found:?}");
        for (stretch, (film, from, count)) in found.iter().zip(want) {
            let inside = stretch.film().zip(&stretch.score).filter(|(at, score)| **score + film == at + from);
            assert!(inside.count() >= count - 2 && stretch.score.len() <= count + 4, "{stretch:?}");
        }
        assert!(gain(&film, &score, terms(&[])) > 300.0);
        assert!(gain(&film, &frames(4, 600), terms(&[])) < 1.0);
        assert_eq!(gain(&film, &score, terms(&[])), search(&film, &score, terms(&[]), true).0);
    }

    #[test]
    fn anchors_are_met() {
        let part = frames(1, 100);
        let score = [&part[..], &frames(2, 100), &part].concat();
        for place in [30, 230] {
            let found = stretches(&part, &score, terms(&[(30, place)]));
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].score[30 - found[0].film], place);
        }
    }

    #[test]
    fn a_tempo_is_measured() {
        let score = frames(1, 900);
        for share in [0.75, 0.9, 1.0, 1.1, 1.3] {
            let film: Vec<Frame> = (0..600).map(|frame| score[(f64::from(frame) * share) as usize]).collect();
            let found = tempo(&stretches(&film, &score, Terms { slope: FREE, ..terms(&[]) })).unwrap();
            assert!((found - share).abs() < 0.02, "{found} for {share}");
        }
        assert_eq!(tempo(&[]), None);
    }

    #[test]
    fn twelve_semitones_are_none() {
        let score = frames(1, 5);
        assert_eq!(transposed(&score, 0), score);
        assert_eq!(transposed(&transposed(&score, 7), 5), score);
        assert_eq!(transposed(&score, 1)[0][1], score[0][0]);
        assert_eq!(transposed(&score, 1)[0][12], score[0][23]);
    }
}
