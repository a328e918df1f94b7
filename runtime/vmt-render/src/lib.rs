//! What a [`Score`](vmt::Score) of vmt can become: sound ([`wav`]), a picture ([`piano_roll_svg`], [`piano_roll_png`]), sheet music
//! ([`musicxml`]), and a [`Record`] of how it was made.
//!
//! MIDI is in [`vmt::midi`]; the film with its new soundtrack is in `vmt-video`.

mod error;
mod lettering;
mod notation;
mod phrases;
mod record;
mod roll;
mod sound;

pub use error::{Error, Result};
pub use notation::musicxml;
pub use phrases::{Phrase, phrases};
pub use record::{Film, Model, Provenance, Record};
pub use roll::{piano_roll_png, piano_roll_svg, thumbnails};
pub use sound::{SoundFont, wav};
