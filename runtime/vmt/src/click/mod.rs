//! The click track of a film: a tempo, a metre and beats that its hit points fall on.
//!
//! Film composers fix these before they write a note. A film gives [`Hit`]s: cuts, dissolves, fades and moments of motion,
//! which a [`Detector`] finds on small pictures, and markers that an editor set, which [`read_markers`] reads.
//! [`ClickTrack::fit`] chooses the beats, and [`tempo_changes`] writes them as MIDI does. [`ClickTrack::conditions`] tells
//! them to a model that was trained with conditions.
//!
//! From a film's pictures to options to compose with:
//!
//! ```
//! use std::time::Duration;
//! use vmt::click::{self, ClickTrack, HEIGHT, WIDTH, find_hits};
//! use vmt::{Error, Frame, Options};
//!
//! // Three shots at 25 frames a second; `vmt_video::Video::thumbnails` reads a file.
//! let each = Duration::from_millis(40);
//! let grey = |index: u32| if (113..300).contains(&index) { 200 } else { 40 };
//! let frames = (0..500).map(|index| {
//!     Ok::<_, Error>(Frame { time: each * index, duration: each, picture: [grey(index); 3 * HEIGHT * WIDTH] })
//! });
//! let film = find_hits(frames)?;
//! let track = ClickTrack::fit(&film.hits, film.duration, &click::Options::default())?;
//! println!("{:.1} beats a minute in {}/4; {} hits", track.bpm, track.beats_per_bar, track.hits.len());
//! // These options are for `Composer::compose`, which reads the film's windows.
//! let options = Options::default().with_conditions(track.conditions()).with_quantize(true);
//! assert_eq!(options.conditions.hits, Some(vec![452, 1200]));
//! # Ok::<_, Error>(())
//! ```
//!
//! From hits that are known:
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

mod choice;
mod cuts;
mod fit;
mod markers;
mod path;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::music::{TempoChange, tempo_changes};
/// Beats a minute where nothing says how many: near the geometric mean of POP909's tempi, 78.9.
pub const STEADY_BPM: f64 = 80.0;

pub use choice::{Choice, Click, TempoChoice};
pub use cuts::{Detector, FilmHits, HEIGHT, HitFinder, Thumbnail, WIDTH, find_hits};
pub use fit::{ClickTrack, MAX_END, Options, PlacedHit};
pub use markers::{FrameRate, Marker, Markers, Timeline, read_markers};

/// What a [`Hit`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

impl HitKind {
    /// Whether somebody set it, rather than that it was found in the film.
    pub fn is_set(self) -> bool {
        matches!(self, Self::Marker | Self::Downbeat)
    }
}

/// In a word, such as `cut`.
impl fmt::Display for HitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cut => "cut",
            Self::Dissolve => "dissolve",
            Self::Fade => "fade",
            Self::Motion => "motion",
            Self::Marker => "marker",
            Self::Downbeat => "downbeat",
        })
    }
}

/// A hit point: a moment of the film that the music should mark.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
