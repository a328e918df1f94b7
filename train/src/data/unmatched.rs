//! Seconds of a film that have no counterpart in its score, as `vmt-train align` marks them in a MIDI file.

use vmt::{Conductor, STEPS_PER_SECOND};

/// What a marker begins with where the film has no counterpart in the score from there on.
pub const NO_COUNTERPART: &str = "no counterpart";
/// What a marker begins with where it has one.
pub const COUNTERPART: &str = "counterpart";

/// Seconds without counterpart, the last maybe without end; `None` for a score that was not aligned.
pub fn unmatched(conductor: &Conductor) -> Option<Vec<(f64, f64)>> {
    let (mut gaps, mut begun, mut is_aligned) = (Vec::new(), None, false);
    for marker in &conductor.markers {
        let time = marker.step / f64::from(STEPS_PER_SECOND);
        if marker.text.starts_with(NO_COUNTERPART) {
            begun = begun.or(Some(time));
        } else if marker.text.starts_with(COUNTERPART) {
            gaps.extend(begun.take().map(|begin| (begin, time)));
        } else {
            continue;
        }
        is_aligned = true;
    }
    gaps.extend(begun.map(|begin| (begin, f64::INFINITY)));
    is_aligned.then_some(gaps)
}

#[cfg(test)]
mod tests {
    use vmt::Marker;

    use super::*;

    #[test]
    fn gaps_end_where_the_score_goes_on() {
        let conductor = |markers: &[(f64, &str)]| {
            let markers = markers.iter().map(|&(step, text)| Marker { step, text: text.into() }).collect();
            unmatched(&Conductor { markers, ..Conductor::default() })
        };
        assert_eq!(conductor(&[(100.0, "verse")]), None);
        assert_eq!(conductor(&[(0.0, "counterpart 0:00.0")]), Some(vec![]));
        let markers = [
            (0.0, "no counterpart"),
            (5.0, "verse"),
            (810.0, "counterpart"),
            (900.0, "counterpart"),
            (2000.0, "no counterpart"),
        ];
        assert_eq!(conductor(&markers), Some(vec![(0.0, 8.1), (20.0, f64::INFINITY)]));
    }
}
