//! `vmt compose --plan`: the click track of a film in words, which the summary of a piece has too.

use anyhow::Result;
use vmt::click::{Click, ClickTrack, tempo_changes};
use vmt::{Beat, STEPS_PER_SECOND, Score};
use vmt_files::print;
use vmt_render::{Film, HitPoint};

use crate::generation::GenerationArgs;
use crate::input::InputArgs;

/// Hits of a film that are listed one by one; those that somebody set always are.
const LISTED: usize = 40;

/// Prints the click track.
pub fn run(input: &InputArgs, film: &Film, generation: &GenerationArgs) -> Result<()> {
    let range = input.range()?;
    let bundle = generation.bundle()?;
    generation.click.check(true, false)?;
    let length = input.length(film, &range)?;
    let found = if generation.click.wants_hits(true, false) { input.find_hits(film, &range)? } else { None };
    let click = generation.click.click(input, film, &range, (length, found), true, false)?;
    lines(&click, None).iter().try_for_each(print)?;
    if let Some(track) = &click.track {
        tempo_lines(track).iter().try_for_each(print)?;
    }
    if bundle.manifest().decoder.conditions.is_none() {
        let name = &bundle.manifest().name;
        print(format_args!(
            "model    {name} plays to no beats: compose with one that has conditions, such as --bundle onnx/vmt-beat"
        ))?;
    }
    Ok(())
}

/// Tempo, hits and how they are met: by beats, and by the notes of `score`.
pub fn lines(click: &Click, score: Option<&Score>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(track) = &click.track {
        let tempi = || tempo_changes(&track.beats).into_iter().map(|change| change.bpm());
        let [slowest, fastest] = [tempi().fold(f64::INFINITY, f64::min), tempi().fold(0.0, f64::max)];
        let tempi =
            if fastest - slowest < 0.1 { format!("{slowest:.1}") } else { format!("{slowest:.1}-{fastest:.1}") };
        lines.push(format!("tempo    {tempi} beats a minute, {}/4", track.beats_per_bar));
    } else if let (Some(bpm), Some(beat)) = (click.bpm, click.conditions.beats.first()) {
        lines.push(format!("tempo    {bpm} beats a minute, {}/4, steady", beat.per_bar));
    }
    let mut left = LISTED;
    for hit in &HitPoint::all(click) {
        if hit.kind.is_set() {
            lines.push(line(hit, click, score));
        } else if left > 0 {
            lines.push(line(hit, click, score));
            left -= 1;
        }
    }
    let hidden = click.hits.len() - lines.iter().filter(|line| line.starts_with("hit ")).count();
    if hidden > 0 {
        lines.push(format!("         and {hidden} more that were found in the film"));
    }
    if let Some((met, track)) = click.track.as_ref().and_then(|track| track.met().zip(Some(track))) {
        let chance = track.chance.map(|chance| format!("; chance meets {:.0} %", 100.0 * chance)).unwrap_or_default();
        lines.push(format!(
            "met      {:.0} % of {} hits by a beat within 10 ms, counted by weight{chance}",
            100.0 * met,
            track.hits.len()
        ));
    }
    lines
}

fn line(hit: &HitPoint, click: &Click, score: Option<&Score>) -> String {
    let HitPoint { time, kind, label, beat_miss_ms } = hit;
    let mut line = format!("hit      {time:9.3} s  {kind:8}");
    if let Some(miss) = beat_miss_ms {
        line += &format!("  {:14}  beat {miss:+.0} ms", place(*time, &click.conditions.beats));
    }
    if let Some(score) = score {
        let late = |step: u32| 1000.0 * (f64::from(step) / f64::from(STEPS_PER_SECOND) - time);
        let nearest = score.notes().iter().map(|note| late(note.start)).min_by(|a, b| a.abs().total_cmp(&b.abs()));
        line += &nearest.map_or("  no note".to_owned(), |miss| format!("  note {miss:+.0} ms"));
    }
    if !label.is_empty() {
        line += &format!("  {label}");
    }
    line
}

/// Bar and beat of a moment, as a MIDI file counts them: the bar in which the film begins is number 1.
fn place(time: f64, beats: &[Beat]) -> String {
    let steps = time * f64::from(STEPS_PER_SECOND);
    let Some(from) = beats.partition_point(|beat| beat.step <= steps).checked_sub(1) else { return String::new() };
    let quarters =
        beats.get(from + 1).map_or(0.0, |to| 4.0 * (steps - beats[from].step) / (to.step - beats[from].step));
    let beat = if quarters < 3.0 { from } else { from + 1 };
    let bar = 1 + beats[..=beat].iter().filter(|beat| beat.in_bar == 1 && beat.step > 0.05).count();
    let eighth = if (1.0..3.0).contains(&quarters) { "+" } else { "" };
    format!("bar {bar} beat {}{eighth}", beats[beat].in_bar)
}

/// Where each tempo begins.
fn tempo_lines(track: &ClickTrack) -> Vec<String> {
    let line = |change: &vmt::click::TempoChange| {
        let seconds = track.beats[change.beat].step / f64::from(STEPS_PER_SECOND);
        let place = place(seconds, &track.beats);
        format!("from     {:9.3} s  {place:14}  {:.2} beats a minute", seconds.max(0.0), change.bpm())
    };
    tempo_changes(&track.beats).iter().map(line).collect()
}
