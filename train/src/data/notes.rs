//! Notes sorted by their starts.

use vmt::PerformedNote;

/// The notes that begin in `from..to`, of `notes` sorted by start.
pub fn starting(notes: &[PerformedNote], from: f64, to: f64) -> &[PerformedNote] {
    let first = notes.partition_point(|note| note.start < from);
    let count = notes[first..].partition_point(|note| note.start < to);
    &notes[first..first + count]
}
