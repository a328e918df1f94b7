//! Renders a [`Score`](vmt::Score) as sound ([`wav`]), piano roll ([`piano_roll_svg`], [`piano_roll_png`]), sheet music
//! ([`musicxml`]), and a [`Record`] of how it was made.
//!
//! MIDI is in [`vmt::midi`]; films with a new soundtrack are in `vmt-video`.

mod error;
mod lettering;
mod notation;
mod phrases;
mod record;
mod roll;
mod sound;

pub use error::{Error, Result};
pub use notation::{hands, musicxml, musicxml_with, mxl};
pub use phrases::{Phrase, phrases};
pub use record::{Film, HitPoint, Model, Provenance, Record};
pub use roll::{piano_roll_png, piano_roll_svg, thumbnails};
pub use sound::{SoundFont, stem, wav};
