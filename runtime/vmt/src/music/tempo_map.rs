//! Beats as MIDI counts them.

use super::conditions::Beat;

/// A tempo that holds from a beat on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TempoChange {
    /// Index of the beat.
    pub beat: usize,
    /// Microseconds in a beat, as in a MIDI file's tempo event; below 2^24.
    pub micros: u32,
}

impl TempoChange {
    /// Beats a minute.
    pub fn bpm(&self) -> f64 {
        60e6 / f64::from(self.micros)
    }
}

/// The longest run of beats of one tempo: its rounding, half a microsecond a beat, stays below 0.13 ms.
const RUN: usize = 256;

/// The tempi of rising `beats`, each where it changes.
///
/// A tempo is a whole number of microseconds. What rounding leaves of one is made up for by the next, so no beat is off by
/// more than 0.13 ms, however long the film. Fewer than two beats have no tempo.
pub fn tempo_changes(beats: &[Beat]) -> Vec<TempoChange> {
    let points: Vec<(f64, f64)> = (0_u32..).zip(beats).map(|(place, beat)| (place.into(), beat.step)).collect();
    changes(&points)
}

/// The same for any rising places, as beats and steps of 10 ms; [`TempoChange::beat`] is the index of a place then.
pub(super) fn changes(points: &[(f64, f64)]) -> Vec<TempoChange> {
    let micros = |index: usize| points[index].1 * 10_000.0;
    let beats = |from: usize, to: usize| points[to].0 - points[from].0;
    let length = |index: usize| (micros(index + 1) - micros(index)) / beats(index, index + 1);
    let mut changes: Vec<TempoChange> = Vec::new();
    let (mut from, mut written) = (0, if points.is_empty() { 0.0 } else { micros(0) });
    while from + 1 < points.len() {
        let same = |&index: &usize| (length(index) - length(from)).abs() < 0.01;
        let run = (from..points.len() - 1).take(RUN).take_while(same).count().max(1);
        let beats = beats(from, from + run);
        let each = ((micros(from + run) - written) / beats).round().clamp(1.0, f64::from((1 << 24) - 1));
        written += each * beats;
        if changes.last().is_none_or(|last| last.micros != each as u32) {
            changes.push(TempoChange { beat: from, micros: each as u32 });
        }
        from += run;
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(lengths: impl IntoIterator<Item = f64>) -> Vec<Beat> {
        let ends = lengths.into_iter().scan(-30.0, |step, length| {
            *step += length;
            Some(*step)
        });
        [-30.0].into_iter().chain(ends).map(|step| Beat { step, in_bar: 0, per_bar: 0 }).collect()
    }

    #[test]
    fn a_tempo_is_written_where_it_changes() {
        let map = tempo_changes(&beats([50.0, 50.0, 50.0, 60.0, 60.0, 50.0]));
        let change = |beat, micros| TempoChange { beat, micros };
        assert_eq!(map, [change(0, 500_000), change(3, 600_000), change(5, 500_000)]);
        assert_eq!(map[1].bpm(), 100.0);
        assert_eq!([tempo_changes(&[]), tempo_changes(&beats([]))], [[], []]);
    }

    #[test]
    fn rounding_is_carried_forward() {
        // Two hours of beats that are no whole number of microseconds, in runs of odd lengths.
        let lengths = (0..10_000).map(|beat| 100.0 / (1.3 + f64::from(beat / 37 % 5) * 0.0077));
        let beats = beats(lengths);
        let mut changes = tempo_changes(&beats).into_iter().peekable();
        let (mut micros, mut written) = (0, beats[0].step * 1e4);
        for (index, beat) in beats.iter().enumerate() {
            assert!((written - beat.step * 1e4).abs() < 130.0, "beat {index} is off");
            micros = changes.next_if(|change| change.beat == index).map_or(micros, |change| change.micros);
            written += f64::from(micros);
        }
    }
}
