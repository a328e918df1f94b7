//! `vmt compose --from`: the files of an earlier piece, rendered again from its record.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vmt_render::{Film, Provenance, Record};

use crate::image_sequence;
use crate::outputs::OutputArgs;

/// The most bytes of a record; a day of music has fewer.
const LARGEST: usize = 64 << 20;

/// Writes `outputs` from the record `file`; `film` is where the film is, if that is not where the record says.
pub fn run(file: &Path, film: Option<Film>, outputs: &OutputArgs) -> Result<()> {
    let at = || file.display().to_string();
    let record = Record::from_json(&read(file).with_context(at)?).with_context(at)?;
    let score = record.score().with_context(at)?;
    let mut provenance = record.provenance;
    if let Some(film) = film {
        provenance.film = film;
    }
    let mut outputs = outputs.clone();
    (outputs.tempo, outputs.snap) = (Some(provenance.tempo), provenance.snapped);
    if outputs.show_film() {
        check_film(&provenance, score.duration())
            .with_context(|| format!("the film of {}, which may be named: vmt compose FILM --from ...", at()))?;
    }
    let prepared = outputs.check(&provenance.film, provenance.range().start, &[file.to_owned()])?;
    let say = outputs.say();
    let Provenance { vmt, model, engine, options, .. } = &provenance;
    let made = format!("made     by vmt {vmt}: {} on {engine}, seed {}", model.name, options.sampling.seed);
    outputs.write(&prepared, &[(&score, provenance)])?;
    for path in outputs.paths() {
        say(format!("wrote    {}", path.display()))?;
    }
    say(format!("music    {:.2} s: {} notes", score.duration().as_secs_f64(), score.notes().len()))?;
    say(made)
}

fn read(file: &Path) -> Result<String> {
    let mut json = String::new();
    File::open(file)?.take(LARGEST as u64 + 1).read_to_string(&mut json)?;
    ensure!(json.len() <= LARGEST, "must be a record of at most {} MB, but is larger", LARGEST >> 20);
    Ok(json)
}

/// An error before any work where the film is missing or too short.
#[cfg_attr(not(feature = "video"), expect(unused_variables))]
fn check_film(provenance: &Provenance, music: Duration) -> Result<()> {
    match &provenance.film {
        Film::Frames { folder, .. } => image_sequence::aspect(folder).map(|_| ()),
        #[cfg(feature = "video")]
        Film::Video(path) => {
            let range = provenance.range();
            if !vmt_video::can_be_read_again(path) {
                // Refused by the outputs that need it.
                return Ok(());
            }
            let film = vmt_video::duration(path)?;
            let film = film.min(range.end).saturating_sub(range.start);
            let name = path.display();
            // Headers round, and some are a little wrong.
            let enough = film.saturating_add(Duration::from_secs(1)) > music;
            ensure!(enough, "{name}: must have {music:.1?} for the music, but has {film:.1?}");
            Ok(())
        }
        #[cfg(not(feature = "video"))]
        Film::Video(path) => anyhow::bail!("{}: this program was built without FFmpeg", path.display()),
    }
}
