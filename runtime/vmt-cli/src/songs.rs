//! `--songs`: music that takes must not copy.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vmt::{Composition, Corpus, Score, SharedRun, midi};

/// The MIDI files in `folder` and the folders in it. What cannot be read is said and skipped.
pub fn read(folder: &Path) -> Result<Corpus> {
    let mut songs: Vec<(String, Score)> = Vec::new();
    for path in vmt_files::below(folder, &["mid", "midi"])? {
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        match midi::read(&bytes, midi::Sustain::Apply) {
            Ok(notes) => {
                let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                songs.push((name, Score::quantise(&notes, Duration::from_secs(24 * 3600))));
            }
            Err(error) => vmt_files::warn(format_args!("vmt: skipped: {}: {error}", path.display())),
        }
    }
    ensure!(!songs.is_empty(), "{}: must hold MIDI files, but has none that can be read", folder.display());
    Ok(Corpus::new(songs.into_iter().map(|(name, score)| (name, 0.0, score))))
}

/// A run of notes that is longer than music shares with other music by chance.
pub fn near_copy<'c>(take: &Composition, songs: &'c Corpus) -> Option<SharedRun<'c>> {
    songs.longest(&take.score).filter(|run| run.notes > Corpus::LONGEST_BY_CHANCE)
}
