//! What `vmt compose` prints when it is done.

use std::time::Duration;

use anyhow::Result;
use vmt::Composition;

use crate::generation::Model;
use crate::outputs::OutputArgs;
use crate::pipeline::{Composed, Pipeline};
use crate::plan;

/// Prints how it went with one film, whose takes are given, the best first.
pub fn print(outputs: &OutputArgs, Composed { takes, copies, click }: &Composed, pipeline: &Pipeline) -> Result<()> {
    let Pipeline { model: Model { bundle, composer, no_ort, threads }, options, .. } = pipeline;
    let Composition { score, windows, events, unmatched_offs, unclosed, length_error, timings, .. } = &takes[0];
    let time = |time: &Duration| time.as_secs_f64();
    let say = outputs.say();
    if score.notes().is_empty() {
        vmt_files::warn("vmt: the music has not one note: another --seed or fewer limits may help");
    }
    for path in outputs.paths() {
        say(format!("wrote    {}", path.display()))?;
    }
    say(format!(
        "music    {:.2} s: {events} events, {} notes, {windows} {}",
        time(&score.duration()),
        score.notes().len(),
        if *windows == 1 { "window" } else { "windows" }
    ))?;
    plan::lines(click, Some(score)).into_iter().try_for_each(&say)?;
    if takes.len() > 1 {
        say("takes    score = typicality (nats an event) - penalties for repetition, silence and density".into())?;
        for (place, Composition { take, rank, .. }) in takes.iter().enumerate() {
            say(format!(
                "         {}. {:.3} = {:.3} - {:.3} - {:.3} - {:.3} (lane {take})",
                place + 1,
                rank.total(),
                rank.typicality,
                rank.repetition,
                rank.silence,
                rank.density
            ))?;
        }
    }
    for (place, run) in copies.iter().enumerate().filter_map(|(place, copy)| Some((place, copy.as_ref()?))) {
        say(format!("copies   {}. has {run}", place + 1))?;
    }
    say(format!("model    {}", bundle.manifest().name))?;
    let not_ort = no_ort.as_ref().map(|reason| format!(", not {reason}")).unwrap_or_default();
    say(format!("engine   {}{not_ort}", composer.engine().name()))?;
    say(format!("seed     {}", options.sampling.seed))?;
    if outputs.verbose {
        #[cfg(feature = "ort")]
        if let Ok(library) = vmt::ort::library() {
            say(format!("library  {} ({})", library.path.display(), library.build))?;
        }
        say(format!("threads  {threads}"))?;
        say(format!("options  {}", serde_json::to_string(options)?))?;
    }
    say(format!(
        "time     video {:.2} s, encoder {:.2} s, decoder {:.2} s ({:.0} events a second)",
        time(&timings.video),
        time(&timings.encode),
        time(&timings.decode),
        takes.iter().map(|take| take.events).sum::<usize>() as f64 / time(&timings.decode).max(1e-9)
    ))?;
    if options.unconstrained {
        let mean = time(length_error) / *windows as f64;
        say(format!(
            "raw      {unmatched_offs} unmatched note-offs, {unclosed} unclosed notes, length off by {mean:.2} s a window"
        ))?;
    }
    Ok(())
}
