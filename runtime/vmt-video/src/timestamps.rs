//! From a file's timestamps to presentation times counted from the first frame.

use std::time::Duration;

use ffmpeg_next::{Rational, Rescale};

/// A timestamp further back than this, in seconds, is the start of a new count: recordings that were joined have them.
const BACK: i64 = 1;

/// So is a timestamp further ahead than this, in seconds. A still frame may last that long.
const AHEAD: i64 = 3600;

/// Counts in the file's own ticks, so that rounding errors do not add up.
pub struct Timestamps {
    /// Seconds in a tick.
    tick: Rational,
    /// Ticks of a frame whose packet has no duration.
    usual: i64,
    /// The first frame's timestamp, and the one that is zero in the current count.
    first: Option<i64>,
    zero: i64,
    /// Start and end of the last frame.
    last: (i64, i64),
}

impl Timestamps {
    /// For timestamps in units of `tick` seconds and, if known, `rate` frames per second.
    pub fn new(tick: Rational, rate: Rational) -> Self {
        Self { tick, usual: 1.rescale(rate.invert(), tick), first: None, zero: 0, last: (0, 0) }
    }

    /// Start and duration of the next frame, from its timestamp and the duration of its packet (0 if unknown).
    pub fn frame(&mut self, timestamp: Option<i64>, duration: i64) -> (Duration, Duration) {
        let (start, end) = self.last;
        let timestamp = timestamp.unwrap_or(self.zero.saturating_add(end));
        if self.first.is_none() {
            self.first = Some(timestamp);
            self.zero = timestamp;
        }
        let continues = start - self.ticks(BACK)..=start.saturating_add(self.ticks(AHEAD));
        let mut time = timestamp.saturating_sub(self.zero);
        if !continues.contains(&time) {
            self.zero = timestamp.saturating_sub(end);
            time = end;
        }
        time = time.max(start);
        let lasts = [duration, self.usual, time - start].into_iter().find(|&ticks| ticks > 0).unwrap_or(1);
        self.last = (time, time.saturating_add(lasts));
        (self.seconds(time), self.end().saturating_sub(self.seconds(time)))
    }

    /// The first frame's timestamp, once there was a frame.
    pub fn first(&self) -> Option<i64> {
        self.first
    }

    /// The end of the last frame.
    pub fn end(&self) -> Duration {
        self.seconds(self.last.1)
    }

    /// Zero if negative or too large.
    pub fn seconds(&self, ticks: i64) -> Duration {
        Duration::from_nanos(ticks.rescale(self.tick, (1, 1_000_000_000)).try_into().unwrap_or(0))
    }

    fn ticks(&self, seconds: i64) -> i64 {
        seconds.rescale((1, 1), self.tick).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames as (timestamp, duration) in milliseconds, at 25 frames a second; wants (time, duration).
    #[track_caller]
    fn check(frames: &[(Option<i64>, i64)], want: &[(u64, u64)]) {
        let mut timestamps = Timestamps::new(Rational(1, 1000), Rational(25, 1));
        let got: Vec<_> = frames.iter().map(|&(timestamp, duration)| timestamps.frame(timestamp, duration)).collect();
        let ms = Duration::from_millis;
        assert_eq!(got, want.iter().map(|&(time, duration)| (ms(time), ms(duration))).collect::<Vec<_>>());
    }

    #[test]
    fn counts_from_the_first_frame() {
        check(&[(Some(-80), 30), (Some(-40), 30), (Some(7), 5)], &[(0, 30), (40, 30), (87, 5)]);
        check(&[(Some(5_000_000_000), 40)], &[(0, 40)]);
    }

    #[test]
    fn what_the_file_leaves_out() {
        check(&[(None, 0), (None, 30), (None, 30)], &[(0, 40), (40, 30), (70, 30)]);
        check(&[(Some(500), 40), (None, 40), (Some(580), 40)], &[(0, 40), (40, 40), (80, 40)]);
        let mut no_rate = Timestamps::new(Rational(1, 1000), Rational(0, 0));
        assert_eq!(no_rate.frame(Some(0), 0), (Duration::ZERO, Duration::from_millis(1)));
        assert_eq!(no_rate.frame(Some(50), 0), (Duration::from_millis(50), Duration::from_millis(50)));
    }

    #[test]
    fn time_never_runs_back() {
        check(&[(Some(0), 40), (Some(900), 40), (Some(500), 40)], &[(0, 40), (900, 40), (900, 40)]);
    }

    #[test]
    fn a_new_count_goes_on_from_the_last_frame() {
        check(&[(Some(9_000), 40), (Some(0), 40), (Some(40), 40)], &[(0, 40), (40, 40), (80, 40)]);
        check(&[(Some(0), 40), (Some(3_600_000), 40)], &[(0, 40), (3_600_000, 40)]);
        check(&[(Some(0), 40), (Some(3_600_001), 40), (Some(3_600_041), 40)], &[(0, 40), (40, 40), (80, 40)]);
        check(&[(Some(i64::MIN + 1), 40), (Some(i64::MAX), 40)], &[(0, 40), (40, 40)]);
        check(&[(Some(i64::MAX), i64::MAX), (None, 40), (Some(0), 40)], &[(0, 0), (0, 40), (40, 40)]);
    }
}
