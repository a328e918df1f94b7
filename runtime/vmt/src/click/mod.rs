//! The click track of a film: a tempo, a metre and beats that its hit points fall on.
//!
//! Film composers fix these before they write a note. A film gives [`Hit`]s: cuts, dissolves, fades and moments of motion,
//! which a [`Detector`] finds on small pictures, and markers that an editor set, which [`read_markers`] reads.
//! [`ClickTrack::fit`] chooses the beats, and [`tempo_changes`] writes them as MIDI does.
//!
//! ```
//! use std::time::Duration;
//! use vmt::click::{ClickTrack, Hit, HitKind, Options};
//!
//! // Cuts at 4.5 s and 12 s of a film of 20 s.
//! let hits = [4.5, 12.0].map(|time| Hit::new(Duration::from_secs_f64(time), HitKind::Cut));
//! let track = ClickTrack::fit(&hits, Duration::from_secs(20), &Options::default())?;
//! for met in &track.hits {
//!     println!("{:?}: beat {}, off by {} ms", met.hit.time, met.in_bar, met.miss_ms);
//! }
//! assert!(track.hits.iter().all(|hit| hit.met()));
//! # Ok::<_, vmt::Error>(())
//! ```

mod cuts;
mod fit;
mod markers;
mod path;
mod tempo;

use std::time::Duration;

pub use cuts::{Detector, HEIGHT, Thumbnail, WIDTH};
pub use fit::{ClickTrack, MAX_END, Options, PlacedHit};
pub use markers::{FrameRate, Marker, Markers, Timeline, read_markers};
pub use tempo::{TempoChange, tempo_changes};

/// What a [`Hit`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HitKind {
    /// One picture is followed by quite another.
    Cut,
    /// The middle of a dissolve.
    Dissolve,
    /// A picture appears out of black.
    Fade,
    /// The picture changes most, without a cut.
    Motion,
    /// Somebody set a marker: it is on a beat if any tempo allows that, on a downbeat if that costs little.
    Marker,
    /// Somebody asked for a downbeat: as a marker, and the bar before it may have fewer beats than the others, or one more.
    /// Less than 0.3 s before the end, which is a downbeat too, it cannot be one.
    Downbeat,
}

/// A hit point: a moment of the film that the music should mark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// When it is, from the film's beginning.
    pub time: Duration,
    /// What it is.
    pub kind: HitKind,
    /// How much it counts beside others, within 0-1: a cut 1.
    pub weight: f64,
}

impl Hit {
    /// A hit that counts as much as is usual for its kind.
    pub fn new(time: Duration, kind: HitKind) -> Self {
        let weight = match kind {
            HitKind::Cut | HitKind::Marker | HitKind::Downbeat => 1.0,
            HitKind::Fade => 0.5,
            HitKind::Dissolve => 0.4,
            HitKind::Motion => 0.15,
        };
        Self { time, kind, weight }
    }
}
