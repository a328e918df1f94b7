//! Beats on top of real time: the music is composed in seconds, and a tempo only says how they are counted.

use super::event::STEPS_PER_SECOND;
use crate::error::{Error, Result};

/// Microseconds in a step.
const STEP: u32 = 1_000_000 / STEPS_PER_SECOND;

/// How fast beats (quarter notes) follow each other in a MIDI file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tempo {
    /// Microseconds in a beat, which is how MIDI says it.
    micros: u32,
    /// Onsets are on sixteenths.
    snapped: bool,
}

/// 120 beats a minute.
impl Default for Tempo {
    fn default() -> Self {
        Self { micros: 500_000, snapped: false }
    }
}

impl Tempo {
    /// So many beats a minute, to the microsecond of a beat.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] outside 20-400.
    pub fn new(bpm: f64) -> Result<Self> {
        if !(20.0..=400.0).contains(&bpm) {
            return Err(Error::Option { option: "tempo", want: "20-400 beats a minute", got: bpm.to_string() });
        }
        Ok(Self { micros: (60e6 / bpm).round() as u32, snapped: false })
    }

    /// The same, for a score whose onsets were [snapped](crate::Score::snap) to its sixteenths.
    pub fn snapped(self) -> Self {
        Self { snapped: true, ..self }
    }

    /// Microseconds in a beat.
    pub fn micros(&self) -> u32 {
        self.micros
    }

    /// MIDI ticks in a beat, and whole ones in a sixteenth: the fewest from 480 of which a step is a whole number too, or
    /// 9600 where that takes more.
    pub(crate) fn ticks(&self) -> u16 {
        let whole = self.micros / gcd(self.micros, STEP);
        let whole = 4 * whole / gcd(whole, 4);
        (480_u32.div_ceil(whole) * whole).min(9600) as u16
    }

    /// The tick nearest to a moment in nanoseconds; halves go up.
    pub(crate) fn tick(&self, nanos: u128) -> u64 {
        let beat = u128::from(self.micros) * 1000;
        u64::try_from((nanos * u128::from(self.ticks()) + beat / 2) / beat).unwrap_or(u64::MAX)
    }

    /// The tick of a step. On a snapped score, a step that stands for a sixteenth is exactly there.
    pub(crate) fn tick_of(&self, step: u32) -> u64 {
        let sixteenth = self.nearest(step);
        if self.snapped && self.sixteenth(sixteenth) == step {
            return u64::from(sixteenth) * u64::from(self.ticks()) / 4;
        }
        self.tick(u128::from(step) * u128::from(STEP) * 1000)
    }

    /// The sixteenth nearest to a step; halves go up.
    pub(crate) fn nearest(&self, step: u32) -> u32 {
        let (twice, sixteenth) = (u64::from(step) * u64::from(STEP) * 8, u64::from(self.micros));
        ((twice + sixteenth) / (2 * sixteenth)) as u32
    }

    /// The step nearest to a sixteenth; halves go up.
    pub(crate) fn sixteenth(&self, number: u32) -> u32 {
        let quarters = u64::from(number) * u64::from(self.micros);
        u32::try_from((quarters + 2 * u64::from(STEP)) / (4 * u64::from(STEP))).unwrap_or(u32::MAX)
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_whole_ticks_where_that_fits() {
        for (bpm, ticks, step) in [(120.0, 500, 10), (60.0, 500, 5), (100.0, 480, 8), (96.0, 500, 8), (75.0, 480, 6)] {
            let tempo = Tempo::new(bpm).unwrap();
            assert_eq!((tempo.ticks(), tempo.tick_of(1), tempo.tick_of(1000)), (ticks, step, step * 1000), "{bpm}");
        }
        assert_eq!(Tempo::new(120.0).unwrap(), Tempo::default());
    }

    #[test]
    fn no_moment_is_off_by_more_than_half_a_tick() {
        for bpm in 20..=400 {
            let tempo = Tempo::new(bpm.into()).unwrap();
            let tick = f64::from(tempo.micros()) / f64::from(tempo.ticks());
            assert!(
                tick / 2.0 <= 157.0
                    || tempo.tick_of(1) * u64::from(tempo.micros()) == 10_000 * u64::from(tempo.ticks())
            );
            for step in [1, 2, 3, 999, 12_345, 359_999] {
                let off = tempo.tick_of(step) as f64 * tick - f64::from(step) * 10_000.0;
                assert!(off.abs() <= tick / 2.0 + 1e-3, "{bpm}: step {step} is off by {off} us");
            }
        }
    }

    #[test]
    fn sixteenths() {
        // At 90 beats a minute a sixteenth lasts 166.7 ms.
        let tempo = Tempo::new(90.0).unwrap();
        assert_eq!([0, 8, 9, 16, 17, 25, 26, 1000].map(|step| tempo.nearest(step)), [0, 0, 1, 1, 1, 1, 2, 60]);
        assert_eq!([0, 1, 2, 3, 60].map(|number| tempo.sixteenth(number)), [0, 17, 33, 50, 1000]);
        let snapped = tempo.snapped();
        assert_eq!([17, 33, 50].map(|step| snapped.tick_of(step)), [2400, 4800, 7200]);
        assert_eq!(snapped.tick_of(20), tempo.tick_of(20));
    }

    #[test]
    fn tempi_have_a_range() {
        for bpm in [19.9, 400.1, f64::NAN, -120.0] {
            let want = format!("tempo must be 20-400 beats a minute, but is {bpm}");
            assert_eq!(Tempo::new(bpm).unwrap_err().to_string(), want);
        }
    }
}
