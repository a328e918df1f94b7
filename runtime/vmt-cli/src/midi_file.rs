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
    warnings.iter().for_each(|warning| vmt_files::warn(format_args!("vmt: {}: {warning}", name())));
    let score = Score::quantise(&notes, duration);
    if score.notes().is_empty() {
        let first = notes.iter().map(|note| note.start).min_by(f64::total_cmp);
        let first = first.map_or("it has none at all".to_owned(), |first| format!("the first begins at {first:.1} s"));
        vmt_files::warn(format_args!("vmt: {}: has no note in the first {duration:.1?}: {first}", name()));
    }
    Ok(score)
}
