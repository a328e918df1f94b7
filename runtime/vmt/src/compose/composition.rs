//! What composing gives: what is played, and in the end a score and how it came about.

use std::time::Duration;

use super::ranking::Rank;
use crate::music::{Event, Score};

/// How far composing has come.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// The moment of the film that has its music.
    pub time: Duration,
    /// Events so far.
    pub events: usize,
}

/// Something that was just played.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Played {
    /// Which of the takes.
    pub take: usize,
    /// When in the film; of a pause, when it is over.
    pub time: Duration,
    /// What.
    pub event: Event,
}

/// A score and how it came about.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Composition {
    /// The music, as long as the film.
    pub score: Score,
    /// Windows of the film that the music was composed for.
    pub windows: usize,
    /// Events after the primer, [`Event::End`]s among them: what the model said, and the few that a seam needs.
    pub events: usize,
    /// The model's natural logarithmic probability of an event, on average.
    pub log_probability: f64,
    /// Which of the takes it is, from 0.
    pub take: usize,
    /// How good a take it is.
    pub rank: Rank,
    /// Whether the film's end was reached; if not, the music is as long as it had become.
    pub complete: bool,
    /// Note-offs of keys that were not down (paper section 4.3); 0 unless unconstrained.
    pub unmatched_offs: usize,
    /// Notes that the model left open (paper section 4.3); 0 unless unconstrained or stopped.
    pub unclosed: usize,
    /// Sum over windows of how far the music's end was from the window's, either way; 0 unless unconstrained.
    pub length_error: Duration,
    /// The time it took.
    pub timings: Timings,
}

/// Time spent in each stage.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Timings {
    /// Waiting for pictures.
    pub video: Duration,
    /// In the encoder.
    pub encode: Duration,
    /// In the decoder, sampling included.
    pub decode: Duration,
}
