//! Events a second of 1, 4, 16 and 64 lanes that are decoded side by side, sampling and grammar included, beside what other runtimes
//! make of models of the same sizes: one table, all in one run.
//!
//! `PYTHON` names a Python with ctranslate2, for `peers.py`; `VMT_BUNDLE` another small bundle.

mod paper;

use std::{collections::BTreeMap, env, process::Command, time::Instant};

use anyhow::{Context, Result, ensure};
use vmt::decode::{Generator, Grammar, Lane, LogitsProcessor};
use vmt::{Engine, Sampling};

const EVENTS: usize = 250;
const LANES: [usize; 4] = [1, 4, 16, 64];
const ROUNDS: usize = 3;

fn main() -> Result<()> {
    let small =
        env::var("VMT_BUNDLE").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../onnx/vmt-beat").into());
    // `cargo bench --bench lanes -- small` leaves the other out.
    let chosen: Vec<String> = env::args().filter(|argument| ["small", "paper"].contains(&argument.as_str())).collect();
    let threads = paper::threads()?;
    println!("{EVENTS} events a lane, threads: {threads} (others: 1), best of {ROUNDS} rounds: events a second");
    println!("{:28}{}", "lanes", LANES.map(|lanes| format!("{lanes:>9}")).concat());
    for (size, folder) in [("small", small.into()), ("paper", paper::bundle("vmt")?)] {
        if !chosen.is_empty() && chosen.iter().all(|chosen| chosen != size) {
            continue;
        }
        let engines = paper::engines(&folder)?;
        let mut best: BTreeMap<String, [f64; LANES.len()]> = BTreeMap::new();
        // Round by round, so that a busy moment does not fall on one of them alone.
        for _ in 0..ROUNDS {
            for (name, engine) in &engines {
                for (best, lanes) in best.entry(format!("vmt {name}")).or_default().iter_mut().zip(LANES) {
                    *best = best.max(rate(&**engine, lanes)?);
                }
            }
            for (name, rates) in peers(size)? {
                best.entry(name).or_default().iter_mut().zip(rates).for_each(|(best, rate)| *best = best.max(rate));
            }
        }
        for (name, rates) in best {
            println!("{:28}{}", format!("{size}: {name}"), rates.map(|rate| format!("{rate:9.0}")).concat());
        }
    }
    Ok(())
}

/// Events a second of `lanes` lanes of one clip.
fn rate(engine: &dyn Engine, lanes: usize) -> Result<f64> {
    let session = engine.open_takes(&[paper::clip(&engine.geometry())?], lanes)?;
    let lane = |_| -> Result<Lane> {
        // Longer than so many events can be.
        let grammar: Box<dyn LogitsProcessor> = Box::new(Grammar::new(u32::MAX / 2, usize::MAX)?);
        Ok(Lane::new(Vec::new(), vec![grammar]))
    };
    let lanes = (0..lanes).map(lane).collect::<Result<Vec<_>>>()?;
    let began = Instant::now();
    let mut events = 0;
    for step in Generator::new(session, Sampling::default(), 0, lanes).take(EVENTS) {
        events += step?.into_iter().flatten().count();
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

/// Events a second of each other runtime that `PYTHON` has.
fn peers(size: &str) -> Result<Vec<(String, Vec<f64>)>> {
    let Some(python) = env::var_os("PYTHON") else { return Ok(Vec::new()) };
    let mut command = Command::new(&python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py")).args([size, &EVENTS.to_string()]);
    let output = command.args(LANES.map(|lanes| lanes.to_string())).output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let parse = |line: &str| -> Result<(String, Vec<f64>)> {
        let (name, rates) = line.split_once('\t').with_context(|| format!("peers.py: {line:?} is no row"))?;
        Ok((name.into(), rates.split_whitespace().map(str::parse).collect::<Result<_, _>>()?))
    };
    String::from_utf8(output.stdout)?.lines().map(parse).collect()
}
