//! Whether a note is struck at hit points.

use vmt::{Score, steps};

/// How many of `hits` within the piece have a note that begins at most `within` steps before or after.
pub fn met(score: &Score, hits: &[u32], within: u32) -> f64 {
    let struck = |hit: &&u32| score.notes().iter().any(|note| note.start.abs_diff(**hit) <= within);
    hits.iter().filter(struck).count() as f64
}

/// The hits before the piece ends.
pub fn inside(score: &Score, hits: &[u32]) -> Vec<u32> {
    let end = steps(score.duration());
    hits.iter().copied().filter(|&hit| hit < end).collect()
}

/// The same hits (all within the piece), later by half their mean distance, or early where that is behind the end: what is met
/// then is met by chance.
pub fn shifted(score: &Score, hits: &[u32]) -> Vec<u32> {
    let end = steps(score.duration());
    let half = end / (2 * hits.len().max(1)) as u32;
    hits.iter().map(|hit| (hit + half) % end.max(1)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vmt::{Note, Pitch};

    use super::*;

    #[test]
    fn hits_are_met_within_a_tolerance() {
        let note = |start| Note { start, end: start + 10, pitch: Pitch::new(60).unwrap(), velocity: 64 };
        let score = Score::new([100, 500, 900].map(note).to_vec(), Duration::from_secs(10)).unwrap();
        let hits = inside(&score, &[96, 505, 1000, 1400]);
        assert_eq!(hits, [96, 505]);
        assert_eq!([0, 3, 4, 5].map(|within| met(&score, &hits, within)), [0.0, 0.0, 1.0, 2.0]);
        assert_eq!(met(&score, &[], 4), 0.0);
    }

    #[test]
    fn shifted_hits_are_as_many_and_within_the_piece() {
        let score = Score::new(Vec::new(), Duration::from_secs(10)).unwrap();
        assert_eq!(shifted(&score, &[96, 505]), [346, 755]);
        assert_eq!(shifted(&score, &[0, 900]), [250, 150]);
        assert_eq!(shifted(&score, &[700]), [200]);
        assert!(shifted(&score, &[]).is_empty());
    }
}
