//! What the cache saves, and how far decoding is from the limit, at the paper's size: one table, all in one run.
//!
//! The limit: a step reads every weight of the decoder once, so it takes at least their bytes over the memory's
//! bandwidth. `PYTHON` names a Python with onnxruntime, which decodes over the same graph beside us.

mod paper;

use std::{env, fs, hint::black_box, process::Command, time::Instant};

use anyhow::{Context, Result, ensure};
use vmt::{Engine, Event, Shift, Token};

const EVENTS: usize = 300;
/// Recomputing is timed for every so many events.
const STRIDE: usize = 20;
const ROUNDS: usize = 3;

fn main() -> Result<()> {
    let bandwidth = bandwidth();
    println!("{EVENTS} greedy events, batch 1, {} thread(s), {ROUNDS} rounds, best of each", paper::threads()?);
    println!("memory read by one thread: {:.1} GB/s", bandwidth / 1e9);
    println!("{:24}{:>14}{:>14}{:>8}{:>10}", "", "events/s", "recomputed/s", "ratio", "of limit");
    for model in ["vmt", "seq2seq"] {
        let folder = paper::bundle(model)?;
        let limit = bandwidth / fs::metadata(folder.join("decoder.onnx"))?.len() as f64;
        let engines = paper::engines(&folder)?;
        let mut best = vec![0.0f64; engines.len() + 1];
        // Round by round, so that a busy moment does not fall on one of them alone.
        for _ in 0..ROUNDS {
            for (best, (_, engine)) in best.iter_mut().zip(&engines) {
                *best = best.max(cached(&**engine)?);
            }
            best[engines.len()] = best[engines.len()].max(python(&folder)?.unwrap_or(0.0));
        }
        for ((name, engine), &cached) in engines.iter().zip(&best) {
            let recomputed = recomputed(&**engine)?;
            let (ratio, share) = (cached / recomputed, 100.0 * cached / limit);
            println!("{:24}{cached:14.1}{recomputed:14.2}{ratio:8.1}{share:9.0}%", format!("paper-{model} {name}"));
        }
        match best[engines.len()] {
            0.0 => println!("paper-{model} Python: not measured (set PYTHON to one with onnxruntime)"),
            python => {
                println!("{:24}{python:14.1}{:>22}{:9.0}%", format!("paper-{model} Python"), "", 100.0 * python / limit)
            }
        }
    }
    Ok(())
}

/// Events a second, each step fed one token.
fn cached(engine: &dyn Engine) -> Result<f64> {
    let clip = paper::clip(&engine.geometry())?;
    let mut session = engine.open(&[clip])?;
    let mut token = Token::PAD;
    let began = Instant::now();
    for _ in 0..EVENTS {
        let logits = session.step(&[token])?;
        token = Token::all().max_by(|a, b| logits[[0, a.index()]].total_cmp(&logits[[0, b.index()]])).unwrap_or(token);
    }
    Ok(EVENTS as f64 / began.elapsed().as_secs_f64())
}

/// Events a second if each step were fed all tokens so far.
fn recomputed(engine: &dyn Engine) -> Result<f64> {
    let clip = paper::clip(&engine.geometry())?;
    let tokens = [Token::from(Event::TimeShift(Shift::MIN)); EVENTS];
    let mut seconds = 0.0;
    let lengths = (STRIDE / 2..EVENTS).step_by(STRIDE);
    for length in lengths.clone() {
        let mut session = engine.open(std::slice::from_ref(&clip))?;
        let began = Instant::now();
        session.feed(&[&tokens[..length]])?;
        seconds += began.elapsed().as_secs_f64();
    }
    Ok(lengths.count() as f64 / seconds)
}

/// Events a second of Python's onnxruntime over the same graph; `None` without `PYTHON`.
fn python(bundle: &std::path::Path) -> Result<Option<f64>> {
    let Some(python) = env::var_os("PYTHON") else { return Ok(None) };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python_loop.py");
    let mut command = Command::new(&python);
    command.arg(script).arg(bundle);
    command.args(["--tokens", &EVENTS.to_string(), "--threads", &paper::threads()?.to_string()]);
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let rate = text.split("\"tokens_per_second\":").nth(1).and_then(|rest| rest.trim().split([',', '}']).next());
    Ok(Some(rate.context("python_loop.py printed no tokens_per_second")?.trim().parse()?))
}

/// Bytes a second that one thread reads from memory.
fn bandwidth() -> f64 {
    let memory = vec![1u64; 1 << 26];
    let read = |_| {
        let began = Instant::now();
        black_box(memory.iter().fold(0u64, |sum, value| sum.wrapping_add(*value)));
        began.elapsed().as_secs_f64()
    };
    let best = (0..5).map(read).fold(f64::INFINITY, f64::min);
    size_of_val(&memory[..]) as f64 / best
}
