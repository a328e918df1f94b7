//! `vmt compose FOLDER`: the music of many films.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use vmt_render::Film;

use crate::compose::{Args, Studio};
use crate::shard::Shard;
use crate::{output, outputs};

/// What counts as a film in a folder.
const FILMS: [&str; 16] =
    ["3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "ts", "vob", "webm", "wmv"];

/// How it went with a film.
enum Outcome {
    Wrote { music: Duration, notes: usize },
    Skipped,
    Failed(anyhow::Error),
}

/// Composes for each film of `folder` that is in this process's shard and not done.
pub fn run(args: &Args, folder: &Path) -> Result<()> {
    let out = args.outputs.folder()?;
    let from_environment = || Shard::from_environment(args.shards, |name| env::var(name).ok());
    let shard = args.shard.map_or_else(from_environment, |shard| Ok(Some(shard)))?;
    let films = films(folder)?;
    check_names(&films, |film| args.outputs.of(film, out).paths())?;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    output::sweep(out);
    // What is wrong with the call is wrong with each film.
    args.check(&args.outputs.of(&films[0], out), &Film::Video(films[0].clone()))?;
    let studio = Studio::new(args)?;

    let mut rows = Vec::new();
    for (_, film) in films.iter().enumerate().filter(|(place, _)| shard.is_none_or(|shard| shard.holds(*place))) {
        let outputs = args.outputs.of(film, out);
        let outcome = if outputs.paths().iter().all(|output| is_newer(output, film)) {
            Outcome::Skipped
        } else {
            compose(args, &studio, film, &outputs).unwrap_or_else(Outcome::Failed)
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

fn compose(args: &Args, studio: &Studio, film: &Path, outputs: &outputs::Args) -> Result<Outcome> {
    let video = Film::Video(film.into());
    let prepared = args.check(outputs, &video)?;
    let best = args.compose(studio, video, outputs, &prepared)?.swap_remove(0).score;
    Ok(Outcome::Wrote { music: best.duration, notes: best.notes.len() })
}

/// The films of `folder` itself, in the order of their names, which is the same everywhere.
fn films(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut films = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let kind = path.extension().map(|extension| extension.to_ascii_lowercase());
        // What is hidden may be a film that another process is writing.
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
