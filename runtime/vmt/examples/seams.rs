//! Says whether a long piece can be heard to be composed window by window: what happens at the seams, beside what happens
//! between them.
//!
//! ```sh
//! cargo run --release --workspace --example seams -- film-*.mid
//! ```
//!
//! A piece is composed 8.75 s at first and 2.5 s at a time then, so seams are at 8.75 s, 11.25 s, 13.75 s, ...; between them,
//! 10 s, 12.5 s, ... For each such moment, with 2.5 s before and after it:
//!
//! - held: notes that sound across it;
//! - density: change of the number of notes that begin, per second, without its sign;
//! - register: change of the mean pitch, without its sign, in semitones;
//! - key: cosine between the weights of the twelve pitch classes before and after;
//! - repetition: share of the notes after it whose pitch has begun before it.

use std::error::Error;

use vmt::{PerformedNote, midi};

/// What is looked at before and after a moment, in seconds.
const SIDE: f64 = 2.5;
/// Where the second window's own music begins, and how much each adds, in seconds.
const FIRST: f64 = 8.75;
const STEP: f64 = 2.5;

const MEASURES: [&str; 5] = ["held", "density", "register", "key", "repetition"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut found = [const { [const { Vec::new() }; MEASURES.len()] }; 2];
    for path in std::env::args().skip(1) {
        let notes = midi::read(&std::fs::read(&path)?, midi::Sustain::Ignore)?;
        let end = notes.iter().map(|note| note.end).fold(0.0, f64::max);
        for (place, first) in [FIRST, FIRST + STEP / 2.0].into_iter().enumerate() {
            let moments = (0..).map(|index| first + STEP * f64::from(index)).take_while(|moment| moment + SIDE <= end);
            for moment in moments {
                for (values, value) in found[place].iter_mut().zip(measure(&notes, moment)) {
                    values.extend(value);
                }
            }
        }
    }
    let [seams, between] = found;
    println!("{} seams\n{:12}{:>10}{:>10}{:>24}", seams[0].len(), "", "at seams", "between", "difference (95 %)");
    for ((name, seams), between) in MEASURES.iter().zip(&seams).zip(&between) {
        let ([at, at_error], [not, not_error]) = (mean(seams), mean(between));
        let (difference, error) = (at - not, 1.96 * at_error.hypot(not_error));
        println!("{name:12}{at:10.3}{not:10.3}{:>24}", format!("{difference:+.3} ± {error:.3}"));
    }
    Ok(())
}

/// Each measure at a moment, where it can be told.
fn measure(notes: &[PerformedNote], moment: f64) -> [Option<f64>; MEASURES.len()] {
    let beginning = |from: f64, to: f64| notes.iter().filter(move |note| from <= note.start && note.start < to);
    let sides = [beginning(moment - SIDE, moment), beginning(moment, moment + SIDE)];
    let [before, after] = sides.map(Iterator::collect::<Vec<_>>);
    let held = notes.iter().filter(|note| note.start < moment && moment < note.end).count();
    let change = |[a, b]: [f64; 2]| (a - b).abs();
    let density = [&before, &after].map(|side| side.len() as f64 / SIDE);
    let both = !before.is_empty() && !after.is_empty();
    let pitch = |side: &Vec<&PerformedNote>| side.iter().map(|n| f64::from(n.pitch)).sum::<f64>() / side.len() as f64;
    let again = || {
        let again = after.iter().filter(|note| before.iter().any(|other| other.pitch == note.pitch));
        again.count() as f64 / after.len() as f64
    };
    [
        Some(held as f64),
        Some(change(density)),
        both.then(|| change([pitch(&before), pitch(&after)])),
        both.then(|| cosine(classes(&before), classes(&after))),
        both.then(again),
    ]
}

/// How many notes there are of each pitch class.
fn classes(notes: &[&PerformedNote]) -> [f64; 12] {
    let mut classes = [0.0; 12];
    notes.iter().for_each(|note| classes[usize::from(note.pitch) % 12] += 1.0);
    classes
}

fn cosine(a: [f64; 12], b: [f64; 12]) -> f64 {
    let dot = |a: [f64; 12], b: [f64; 12]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The mean, and its standard error.
fn mean(values: &[f64]) -> [f64; 2] {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    [mean, (variance / count).sqrt()]
}
