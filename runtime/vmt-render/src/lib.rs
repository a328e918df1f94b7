//! Renders a [`Score`](vmt::Score) as sound ([`wav`]), piano roll ([`piano_roll_svg`], [`piano_roll_png`]), sheet music
//! ([`musicxml`]), and a [`Record`] of how it was made; several piano rolls side by side are a [`case_study`], and an alignment
//! of a score to a film is a picture, too ([`warping_svg`]).
//!
//! MIDI is in [`vmt::midi`]; films with a new soundtrack are in `vmt-video`.

mod case_study;
mod error;
mod lettering;
mod notation;
mod phrases;
mod record;
mod roll;
mod sound;
mod warping;

pub use case_study::{Column, case_study, case_study_png};
pub use error::{Error, Result};
pub use lettering::{text, width as text_width};
pub use notation::{hands, musicxml, musicxml_with, mxl};
pub use phrases::{Phrase, phrases};
pub use record::{Film, HitPoint, Model, Provenance, Record};
pub use roll::{piano_roll_png, piano_roll_svg, png, thumbnails};
pub use sound::{SoundFont, stem, wav};
pub use warping::{Warping, WarpingSection, warping_png, warping_svg};
