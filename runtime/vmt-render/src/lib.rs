//! What a [`Score`](vmt::Score) of vmt can become: sound ([`wav`]), a picture ([`PianoRoll`]), sheet music
//! ([`musicxml`]), and a [`Record`] of how it was made.
//!
//! MIDI is in [`vmt::midi`]; the film with its new soundtrack is in `vmt-video`.

mod error;
mod sound;

pub use error::{Error, Result};
pub use sound::{SampleRate, SoundFont, wav};
