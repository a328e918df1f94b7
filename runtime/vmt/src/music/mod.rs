//! Events, notes, and their way to MIDI and back.

mod bars;
mod conditions;
mod corpus;
mod event;
mod melody;
pub mod midi;
mod note;
mod player;
mod scale;
pub(crate) mod score;
mod tempo;
mod tempo_map;

pub use bars::{BarLines, Conductor, Marker};
pub use conditions::{
    Beat, Condition, ConditionRow, Conditions, INTENSITY_RANKS, Key, UNKNOWN, intensity_curve, intensity_ranks,
};
pub use corpus::{Corpus, SharedRun};
pub use event::steps;
pub(crate) use event::time;
pub use event::{Event, Pitch, STEPS_PER_SECOND, Shift, Token, VOCABULARY, VelocityBin};
pub use note::{Note, PerformedNote};
pub(crate) use player::Player;
pub use scale::Scale;
pub(crate) use score::tokens_up_to;
pub use score::{Decoded, Score};
pub use tempo::Tempo;
pub use tempo_map::{TempoChange, tempo_changes};
#[cfg_attr(not(feature = "training"), expect(unused_imports))]
pub use {melody::Melody, score::onsets};
