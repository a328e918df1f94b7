//! Major or minor: where a song changes between them, from labels or from its notes.

use vmt::PerformedNote;

use super::notes::starting;

/// A mode of Western music: the part of a key that can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bright.
    Major,
    /// Dark.
    Minor,
}

/// Half of the time over which a mode is judged, in seconds: two bars on each side.
const MODE_REACH: f64 = 4.0;

/// The mean label around `time`, weighted by the time it holds there.
pub fn mean_label(spans: &[(f64, f64, f64)], time: f64) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for &(from, to, label) in spans {
        let weight = overlap((from, to), time);
        sum += weight * label;
        total += weight;
    }
    if total > 0.0 { sum / total } else { 0.0 }
}

/// Seconds of `from..to` that lie within [`MODE_REACH`] of `time`.
fn overlap((from, to): (f64, f64), time: f64) -> f64 {
    (to.min(time + MODE_REACH) - from.max(time - MODE_REACH)).max(0.0)
}

/// Modes from the evidence for major (positive) or minor (negative) at each second. Evidence that is weak, or gone in
/// the next second, changes nothing.
pub fn modes(duration: f64, evidence: impl Fn(f64) -> f64) -> Vec<(f64, Mode)> {
    const ENOUGH: f64 = 0.15;
    let found = |second: u32| match evidence(f64::from(second)) {
        ENOUGH.. => Some(Mode::Major),
        balance if balance <= -ENOUGH => Some(Mode::Minor),
        _ => None,
    };
    let mut modes: Vec<(f64, Mode)> = Vec::new();
    let mut next = found(0);
    for second in 0..duration.ceil() as u32 {
        let now = std::mem::replace(&mut next, found(second + 1));
        if let Some(mode) = now.filter(|&mode| next == Some(mode) && modes.last().is_none_or(|last| last.1 != mode)) {
            modes.push((f64::from(second), mode));
        }
    }
    if modes.is_empty() {
        modes.push((0.0, Mode::Major));
    }
    modes
}

/// How well each pitch class, from the tonic, fits a major and a minor key (Krumhansl and Kessler 1982).
const PROFILES: [[f64; 12]; 2] = [
    [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
    [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],
];

/// How much better the best major key fits the notes around `time` than the best minor key does.
pub fn pitch_evidence(notes: &[PerformedNote], time: f64) -> f64 {
    let mut durations = [0.0; 12];
    // Notes that the pedal holds for longer than the reach add little.
    for note in starting(notes, time - 2.0 * MODE_REACH, time + MODE_REACH) {
        durations[usize::from(note.pitch % 12)] += overlap((note.start, note.end), time);
    }
    let fit = |profile: &[f64; 12]| {
        (0..12).map(|tonic| correlation(profile, |class| durations[(class + tonic) % 12])).fold(-1.0, f64::max)
    };
    let [major, minor] = PROFILES.each_ref().map(fit);
    2.0 * (major - minor)
}

fn correlation(a: &[f64; 12], b: impl Fn(usize) -> f64) -> f64 {
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / 12.0, (0..12).map(&b).sum::<f64>() / 12.0);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (class, a) in a.iter().enumerate() {
        let (a, b) = (a - mean_a, b(class) - mean_b);
        (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
    }
    if bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}
