//! Notes: as they were performed, and on the grid.

use super::event::Pitch;

/// A note as it was played, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerformedNote {
    /// When the key goes down.
    pub start: f64,
    /// When the sound ends.
    pub end: f64,
    /// MIDI note number.
    pub pitch: u8,
    /// MIDI velocity, `1..=127`.
    pub velocity: u8,
}

/// A note on the grid; `start < end`, in steps of 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The step at which the key goes down.
    pub start: u32,
    /// The step at which it comes up.
    pub end: u32,
    /// The key.
    pub pitch: Pitch,
    /// MIDI velocity, `1..=127`.
    pub velocity: u8,
}
