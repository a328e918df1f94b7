//! `vmt compose FOLDER`: one film after the other, and a table of how each went.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use vmt_render::Film;

use crate::generation::GenerationArgs;
use crate::input::InputArgs;
use crate::outputs::OutputArgs;
use crate::pipeline::Pipeline;
use crate::shard::Shard;

/// What counts as a film in a folder.
const FILMS: [&str; 16] =
    ["3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "ts", "vob", "webm", "wmv"];

/// What became of a film.
enum Outcome {
    Wrote { music: Duration, notes: usize },
    Skipped,
    Failed(anyhow::Error),
}

/// Composes for each film of `folder` that is in `shard` and not done.
pub fn run(
    folder: &Path,
    shard: Option<Shard>,
    input: &InputArgs,
    outputs: &OutputArgs,
    generation: &GenerationArgs,
) -> Result<()> {
    let out = outputs.folder()?;
    let films = films(folder)?;
    check_names(&films, |film| outputs.of(film, out).paths())?;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    vmt_files::sweep(out);
    let start = input.range()?.start;
    // What is wrong with the call is wrong with each film.
    outputs.of(&films[0], out).check(&Film::Video(films[0].clone()), start)?;
    let pipeline = Pipeline::load(input, outputs, generation)?;

    let mut rows = Vec::new();
    for (_, film) in films.iter().enumerate().filter(|(place, _)| shard.is_none_or(|shard| shard.holds(*place))) {
        let outputs = outputs.of(film, out);
        let outcome = if outputs.paths().iter().all(|output| is_newer(output, film)) {
            Outcome::Skipped
        } else {
            compose(&pipeline, film, &outputs, start).unwrap_or_else(Outcome::Failed)
        };
        rows.push((film, outcome));
    }

    let shard = shard.map(|shard| format!(", shard {shard}")).unwrap_or_default();
    println!("{} of {} films in {}{shard}", rows.len(), films.len(), folder.display());
    let width = rows.iter().map(|(film, _)| name(film).chars().count()).max().unwrap_or(0);
    for (film, outcome) in &rows {
        let outcome = match outcome {
            Outcome::Wrote { music, notes } => format!("wrote    {:.2} s, {notes} notes", music.as_secs_f64()),
            Outcome::Skipped => "skipped  it is done".into(),
            Outcome::Failed(error) => format!("failed   {error:#}"),
        };
        println!("{:width$}  {outcome}", name(film));
    }
    let failed = rows.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_))).count();
    ensure!(failed == 0, "{failed} of {} films failed", rows.len());
    Ok(())
}

fn compose(pipeline: &Pipeline, film: &Path, outputs: &OutputArgs, start: Duration) -> Result<Outcome> {
    let film = Film::Video(film.into());
    let prepared = outputs.check(&film, start)?;
    let best = pipeline.compose(film, outputs, &prepared)?.takes.swap_remove(0).score;
    Ok(Outcome::Wrote { music: best.duration(), notes: best.notes().len() })
}

/// The films of `folder` itself, in the order of their names, which is the same everywhere.
fn films(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut films = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let kind = path.extension().map(|extension| extension.to_ascii_lowercase());
        // Hidden files may be ones that another program is writing.
        let is_film =
            kind.is_some_and(|kind| FILMS.iter().any(|known| kind == *known)) && !name(&path).starts_with('.');
        if is_film && !path.is_dir() {
            films.push(path);
        }
    }
    ensure!(!films.is_empty(), "{}: must hold films ({}), but has none", folder.display(), FILMS.join(", "));
    films.sort();
    Ok(films)
}

/// An error where two films would write one file.
fn check_names(films: &[PathBuf], outputs: impl Fn(&Path) -> Vec<PathBuf>) -> Result<()> {
    let mut of = HashMap::new();
    for film in films {
        for output in outputs(film) {
            if let Some(other) = of.insert(output.clone(), film) {
                let names = [name(other), name(film)];
                bail!("{} and {} would both become {}: rename one", names[0], names[1], name(&output));
            }
        }
    }
    Ok(())
}

/// Whether `output` is there and not older than `film`. Files appear when they are complete, so it is complete.
fn is_newer(output: &Path, film: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    changed(output).zip(changed(film)).is_some_and(|(output, film)| output >= film)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
