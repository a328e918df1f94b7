//! The output of composing: events while it runs, in the end scores.

use std::time::Duration;

use super::ranking::Rank;
use crate::music::{Event, Score};

/// How far composing has come.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// How far into the film the music goes.
    pub time: Duration,
    /// Events so far.
    pub events: usize,
}

/// An event of a take.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Played {
    /// Which of the takes.
    pub take: usize,
    /// When in the film; of a pause, when it is over.
    pub time: Duration,
    /// The event.
    pub event: Event,
}

/// A score, and how it was composed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Composition {
    /// The music, as long as the film.
    pub score: Score,
    /// Windows that the film would fill side by side, as far as the music goes.
    pub windows: usize,
    /// Events after the primer, [`Event::End`]s among them: those that were sampled, and the few that a seam needs.
    pub events: usize,
    /// The mean natural logarithm of the model's probability of an event.
    pub log_probability: f64,
    /// The mean entropy of the distributions that events were drawn from, in nats: what `-log_probability` is to be expected.
    pub entropy: f64,
    /// Which of the takes it is, from 0.
    pub take: usize,
    /// How the takes are ranked.
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
