//! MIDI files that a call names.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use vmt::{Score, midi};

/// The first `duration` of a MIDI file. What could not be read of it is printed on standard error.
pub fn read(file: &Path, sustain: midi::Sustain, duration: Duration) -> Result<Score> {
    let name = || file.display().to_string();
    let bytes = fs::read(file).with_context(name)?;
    let (notes, warnings) = midi::read_with_warnings(&bytes, sustain).with_context(name)?;
    warnings.iter().for_each(|warning| eprintln!("vmt: {}: {warning}", name()));
    Ok(Score::quantise(&notes, duration))
}
