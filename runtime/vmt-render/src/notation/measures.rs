//! Where measures begin, and how fast they are.

use vmt::{BarLines, Conductor, STEPS_PER_SECOND, Score};

use super::WHOLE;
use super::hands::QUARTER;

/// A measure; its places are in sixteenths.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// 0 where the film begins within a bar.
    pub number: usize,
    pub start: u32,
    pub length: u32,
    /// What is missing at its beginning.
    pub missing: u32,
    /// Beats and beat type.
    pub time: (u32, u32),
    /// Quarters a minute.
    pub tempo: f64,
}

/// All measures of a piece.
pub enum Measures {
    Steady { tempo: f64, seconds: f64 },
    Bars { bars: BarLines, end: u32 },
}

impl Measures {
    pub fn steady(score: &Score, tempo: f64) -> Self {
        Self::Steady { tempo, seconds: score.duration().as_secs_f64() }
    }

    pub fn of(score: &Score, conductor: &Conductor) -> Self {
        let bars = BarLines::new(&conductor.beats);
        let end = bars.sixteenth(vmt::steps(score.duration()));
        Self::Bars { bars, end }
    }

    /// The sixteenth nearest to a step.
    pub fn sixteenth(&self, step: u32) -> u32 {
        match self {
            Self::Steady { tempo, .. } => {
                (f64::from(step) / f64::from(STEPS_PER_SECOND) * tempo / 60.0 * f64::from(QUARTER)).round() as u32
            }
            Self::Bars { bars, .. } => bars.sixteenth(step),
        }
    }

    /// The measures that the music fills, whose last note ends at sixteenth `last`; one at least.
    pub fn up_to(&self, last: u32) -> Vec<Measure> {
        match self {
            Self::Steady { tempo, seconds } => {
                // A piece that rounding makes a little longer than whole measures gets no empty one.
                let sixteenths = (seconds * tempo / 60.0 * f64::from(QUARTER) - 0.5).ceil().max(1.0) as u32;
                let measure = |index: u32| Measure {
                    number: index as usize + 1,
                    start: index * WHOLE,
                    length: WHOLE,
                    missing: 0,
                    time: (4, 4),
                    tempo: *tempo,
                };
                (0..last.max(sixteenths).div_ceil(WHOLE)).map(measure).collect()
            }
            Self::Bars { bars, end } => of_bars(bars, last.max(*end).max(1)),
        }
    }
}

fn of_bars(bars: &BarLines, end: u32) -> Vec<Measure> {
    let mut lines: Vec<u32> = bars.bars().to_vec();
    let last = lines[lines.len() - 1] - lines[lines.len() - 2];
    while lines[lines.len() - 1] < end {
        lines.push(lines[lines.len() - 1] + last);
    }
    // The first bar lacks its beginning if it is shorter than the second.
    let whole = lines.get(2).map_or(0, |third| third - lines[1]);
    let pickup = lines[1] < whole;
    let measure = |(index, pair): (usize, &[u32])| {
        let length = pair[1] - pair[0];
        let missing = if index == 0 { whole.saturating_sub(lines[1]) } else { 0 };
        let seconds = (bars.step(pair[1]) - bars.step(pair[0])) / f64::from(STEPS_PER_SECOND);
        let tempo = f64::from(length) / f64::from(QUARTER) * 60.0 / seconds;
        Measure {
            number: index + usize::from(!pickup),
            start: pair[0],
            length,
            missing,
            time: time(length + missing),
            tempo: (tempo * 1000.0).round() / 1000.0,
        }
    };
    lines.windows(2).enumerate().take_while(|(_, pair)| pair[0] < end).map(measure).collect()
}

fn time(sixteenths: u32) -> (u32, u32) {
    match sixteenths {
        _ if sixteenths.is_multiple_of(4) => (sixteenths / 4, 4),
        _ if sixteenths.is_multiple_of(2) => (sixteenths / 2, 8),
        _ => (sixteenths, 16),
    }
}
