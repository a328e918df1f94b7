//! `vmt compose FOLDER`: one film after the other, and a table of how each went.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vmt_render::Film;

use crate::generation::GenerationArgs;
use crate::input::InputArgs;
use crate::outputs::{self, OutputArgs};
use crate::pipeline::{Pipeline, Progress};
use crate::shard::Shard;
use crate::usage;

/// What counts as a film in a folder.
const FILMS: [&str; 30] = [
    "3g2", "3gp", "amv", "asf", "avi", "divx", "dv", "f4v", "flv", "gif", "m2ts", "m2v", "m4v", "mjpeg", "mkv", "mod",
    "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ogm", "ogv", "rm", "rmvb", "ts", "vob", "webm", "wmv",
];

/// The most names of files that are no films in a message.
const SHOWN: usize = 5;

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
    let (mut films, others) = films(folder)?;
    // What an earlier call wrote lies here, or beside the film that it was made of. A film that cannot be read is told of later.
    let mut stems = HashMap::new();
    films.iter().for_each(|film| *stems.entry(film.with_extension("")).or_insert(0) += 1);
    let here = vmt_files::is_same(folder, out);
    films.retain(|film| {
        let may_be_ours = here || stems.get(&film.with_extension("")).is_some_and(|count| *count > 1);
        !(may_be_ours && vmt_video::Video::open(film).is_ok_and(|video| video.has_our_music()))
    });
    ensure!(!films.is_empty(), "{}: must hold films, but has only ones that have our music", folder.display());
    check_names(&films, |film| outputs.of(film, out).paths())?;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    vmt_files::sweep(out);
    let start = input.range()?.start;
    // What is wrong with the call is wrong with each film.
    let inputs = generation.inputs();
    outputs.of(&films[0], out).check_call(&Film::Video(films[0].clone()), start, &inputs)?;
    let (model, options) = generation.load(outputs.snap)?;
    let pipeline = Pipeline::new(input, outputs, generation, &model, options)?;

    let mut rows = Vec::new();
    for (_, film) in films.iter().enumerate().filter(|(place, _)| shard.is_none_or(|shard| shard.holds(*place))) {
        let outputs = outputs.of(film, out);
        let outcome = if outputs.paths().iter().all(|output| is_newer(output, film)) {
            Outcome::Skipped
        } else {
            compose(&pipeline, film, &outputs, start, &inputs).unwrap_or_else(Outcome::Failed)
        };
        rows.push((film, outcome));
    }

    let say = outputs.say();
    let shard = shard.map(|shard| format!(", shard {shard}")).unwrap_or_default();
    say(format!("{} of {} films in {}{shard}", rows.len(), films.len(), folder.display()))?;
    let width = rows.iter().map(|(film, _)| name(film).chars().count()).max().unwrap_or(0);
    for (film, outcome) in &rows {
        let outcome = match outcome {
            Outcome::Wrote { music, notes } => format!("wrote    {:.2} s, {notes} notes", music.as_secs_f64()),
            Outcome::Skipped => "skipped  it is done".into(),
            Outcome::Failed(error) => {
                // The error of a wrong call has a form of its own.
                let error = format!("{error:#}");
                let error = error.trim_start_matches("error: ").trim_end();
                if outputs.quiet {
                    vmt_files::warn(format_args!("vmt: {}: {error}", name(film)));
                    continue;
                }
                format!("failed   {error}")
            }
        };
        say(format!("{:width$}  {outcome}", name(film)))?;
    }
    if !others.is_empty() {
        let shown: Vec<_> = others.iter().take(SHOWN).map(|other| name(other)).collect();
        let more = if others.len() > SHOWN { ", ..." } else { "" };
        say(format!("passed over, as no films by their names: {}{more}", shown.join(", ")))?;
    }
    let failed = rows.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_))).count();
    ensure!(failed == 0, "{failed} of {} films failed", rows.len());
    Ok(())
}

fn compose(
    pipeline: &Pipeline,
    film: &Path,
    outputs: &OutputArgs,
    start: Duration,
    inputs: &[PathBuf],
) -> Result<Outcome> {
    let video = Film::Video(film.into());
    let prepared = outputs.check(&video, start, inputs)?;
    let mut progress = Progress::default();
    let mut composed = pipeline.compose(video, outputs, &prepared, |played, length| progress.heard(played, length))?;
    drop(progress);
    if let Some(run) = &composed.copies[0] {
        vmt_files::warn(format_args!("vmt: {}: its music has {run}", film.display()));
    }
    let best = composed.takes.swap_remove(0).score;
    Ok(Outcome::Wrote { music: best.duration(), notes: best.notes().len() })
}

/// The films of `folder` itself, in the order of their names, which is the same everywhere, and what else is there, but for
/// folders and what we write.
fn films(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut films, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        // Hidden files may be ones that another program is writing.
        if name(&path).starts_with('.') || path.is_dir() {
            continue;
        }
        let kind = path.extension().unwrap_or_default();
        if FILMS.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
            films.push(path);
        } else if !outputs::is_output(&path) {
            others.push(path);
        }
    }
    ensure!(!films.is_empty(), "{}: must hold films ({}), but has none", folder.display(), FILMS.join(", "));
    films.sort();
    others.sort();
    Ok((films, others))
}

/// An error where two films would write one file, or one would replace another film.
fn check_names(films: &[PathBuf], outputs: impl Fn(&Path) -> Vec<PathBuf>) -> Result<()> {
    let mut of = HashMap::new();
    let places: HashSet<_> = films.iter().filter_map(|film| film.canonicalize().ok()).collect();
    for film in films {
        for output in outputs(film) {
            if let Some(other) = of.insert(output.clone(), film) {
                let names = [name(other), name(film)];
                let both = format!("{} and {} would both become {}: rename one", names[0], names[1], name(&output));
                return Err(usage::wrong(both).into());
            }
            let replaced = output.canonicalize().is_ok_and(|place| places.contains(&place));
            let becomes = format!("{} would become {}, which is a film here: ", name(film), name(&output));
            usage::ensure(!replaced, becomes + "write to another folder, or another --format")?;
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
