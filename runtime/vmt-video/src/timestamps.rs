//! From a file's timestamps to one count of time that never jumps.

use ffmpeg_next::{Rational, Rescale};

/// A timestamp further back than this, in milliseconds, is the start of a new count.
const BACK: i64 = 1000;

/// So is a timestamp further ahead than this. A still picture may last that long.
const AHEAD: i64 = 3_600_000;

/// The same two where recordings can be joined byte by byte, as `ffmpeg` has them.
const JOINED_BACK: i64 = 100;
const JOINED_AHEAD: i64 = 10_000;

/// FFmpeg's names of the containers where they can.
const JOINED: [&str; 5] = ["mpegts", "mpeg", "ogg", "nut", "hls"];

/// Follows the packets of a stream in the order of decoding. Where their clock jumps, time goes on from the end of the
/// last picture. It counts in the file's own ticks, so that rounding errors do not add up.
#[derive(Clone)]
pub struct Clock {
    /// How far behind or before the timestamp before one may be, in ticks: decoding times, presentation times, both.
    back: i64,
    presentation_back: i64,
    ahead: i64,
    /// Whether `ahead` counts from the end of the packet before, as in `ffmpeg`.
    from_end: bool,
    /// Ticks of a packet that has no duration.
    usual: i64,
    /// What is added to timestamps in the current count.
    offset: i64,
    /// The last timestamp as it is in the file, whether it is a decoding time, and the latest that may follow.
    last: Option<(i64, bool, i64)>,
    /// The latest end of a packet, in the new count.
    end: i64,
    /// How long after it is decoded a picture is shown that is not shown at once.
    delay: i64,
}

impl Clock {
    /// For timestamps in units of `tick` seconds in FFmpeg's format of this name and, if known, `rate` frames per second.
    pub fn new(tick: Rational, rate: Rational, format: &str) -> Self {
        let joined = format.split(',').any(|name| JOINED.contains(&name));
        let (back, ahead) = if joined { (JOINED_BACK, JOINED_AHEAD) } else { (BACK, AHEAD) };
        // MP4 stores durations, so its clock cannot jump; where its edit list cuts, decoding times run back.
        let adds_up = format.contains("mp4");
        let ticks = |milliseconds: i64| {
            if adds_up { i64::MAX } else { milliseconds.rescale((1, 1000), tick).max(1) }
        };
        let usual = 1.rescale(rate.invert(), tick).max(1);
        let presentation_back = ticks(BACK);
        Self {
            back: ticks(back),
            presentation_back,
            ahead: ticks(ahead),
            from_end: joined,
            usual,
            offset: 0,
            last: None,
            end: 0,
            delay: 0,
        }
    }

    /// How far the presentation time of the next packet is wrong. Where a container has none, FFmpeg takes the decoding time
    /// of a later packet, which may be behind a jump.
    pub fn error(&mut self, presentation: Option<i64>, decoding: Option<i64>) -> i64 {
        let Some((presentation, decoding)) = presentation.zip(decoding) else { return 0 };
        let delay = presentation.saturating_sub(decoding);
        if !(-self.back..=self.ahead).contains(&delay) {
            return delay.saturating_sub(self.delay);
        }
        if delay > 0 {
            self.delay = delay;
        }
        0
    }

    /// What is to be added to the timestamps of the next packet, whose duration is 0 if unknown.
    pub fn offset(&mut self, presentation: Option<i64>, decoding: Option<i64>, duration: i64) -> i64 {
        let duration = if duration > 0 { duration } else { self.usual };
        if let Some(now) = decoding.or(presentation) {
            let begins = presentation.or(decoding).unwrap_or(now);
            let jumps = self.last.is_some_and(|(last, was_decoding, latest)| {
                // Presentation times run back a little wherever pictures are stored out of order.
                let back = if decoding.is_some() && was_decoding { self.back } else { self.presentation_back };
                now < last.saturating_sub(back) || now > latest
            });
            if jumps {
                self.offset = self.end.saturating_sub(begins);
            }
            let end = begins.saturating_add(self.offset).saturating_add(duration);
            self.end = if self.last.is_none() { end } else { self.end.max(end) };
            let from = if self.from_end { now.saturating_add(duration) } else { now };
            self.last = Some((now, decoding.is_some(), from.saturating_add(self.ahead)));
        }
        self.offset
    }

    /// Ticks of a packet without a duration.
    pub fn usual(&self) -> i64 {
        self.usual
    }

    /// What was to be added to the last packet's timestamps.
    pub fn current_offset(&self) -> i64 {
        self.offset
    }

    /// The latest end of a packet, in the new count.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Whether the clock has jumped.
    pub fn has_jumped(&self) -> bool {
        self.offset != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets as (presentation, decoding) in milliseconds, 40 long; wants the presentation times in the new count.
    #[track_caller]
    fn check(format: &str, packets: &[(i64, i64)], want: &[i64]) {
        let mut clock = Clock::new(Rational(1, 1000), Rational(25, 1), format);
        let offset = |&(presentation, decoding)| presentation + clock.offset(Some(presentation), Some(decoding), 40);
        assert_eq!(packets.iter().map(offset).collect::<Vec<_>>(), want);
    }

    #[test]
    fn recordings_that_were_joined() {
        for (next, is_new) in
            [(13_040, false), (13_080, true), (2_960, false), (2_860, true), (0, true), (-9_000, true)]
        {
            let want = if is_new { 3_040 } else { next };
            check("mpegts", &[(3_000, 3_000), (next, next), (next + 40, next + 40)], &[3_000, want, want + 40]);
        }
        // Pictures that are stored out of order, in both.
        let part = [(80, 0), (200, 40), (120, 80), (160, 120)];
        let both: Vec<_> = part.into_iter().chain(part).collect();
        check("mpegts", &both, &[80, 200, 120, 160, 240, 360, 280, 320]);
    }

    #[test]
    fn still_pictures_elsewhere() {
        check("matroska,webm", &[(0, 0), (3_600_000, 3_600_000)], &[0, 3_600_000]);
        check("matroska,webm", &[(0, 0), (3_600_001, 3_600_001)], &[0, 40]);
        check("matroska,webm", &[(900, 900), (500, 500)], &[900, 500]);
        check("matroska,webm", &[(9_000, 9_000), (0, 0), (40, 40)], &[9_000, 9_040, 9_080]);
        check("mov,mp4,m4a", &[(9_000, 9_000), (0, 0), (9_000_000, 9_000_000)], &[9_000, 0, 9_000_000]);
    }

    #[test]
    fn presentation_times_from_behind_a_jump() {
        let mut clock = Clock::new(Rational(1, 1000), Rational(25, 1), "mpeg");
        assert_eq!(clock.error(Some(3_160), Some(3_040)), 0);
        assert_eq!(clock.error(Some(3_080), Some(3_080)), 0);
        assert_eq!(clock.error(Some(39_960), Some(3_160)), 39_960 - 3_280);
        assert_eq!(clock.error(None, Some(3_160)), 0);
    }

    #[test]
    fn what_the_file_leaves_out() {
        let mut clock = Clock::new(Rational(1, 1000), Rational(25, 1), "mpegts");
        assert_eq!(clock.offset(Some(1000), None, 0), 0);
        assert_eq!(clock.offset(None, None, 0), 0);
        assert_eq!(clock.offset(Some(900), None, 0), 0, "a presentation time may run back");
        assert_eq!(clock.offset(None, Some(99_000), 0), 1040 - 99_000);
        let mut no_rate = Clock::new(Rational(1, 1000), Rational(0, 0), "mpegts");
        assert_eq!((no_rate.offset(Some(5000), None, 0), no_rate.usual()), (0, 1));
    }

    #[test]
    fn no_timestamp_is_too_large() {
        let mut clock = Clock::new(Rational(1, 1000), Rational(25, 1), "mpegts");
        for timestamp in [i64::MIN + 1, i64::MAX, 0, i64::MIN + 1] {
            clock.offset(Some(timestamp), Some(timestamp), i64::MAX);
        }
    }
}
