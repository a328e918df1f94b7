//! Events a second of 1, 4, 16 and 64 lanes that are decoded side by side, sampling and grammar included, beside what other runtimes
//! make of models of the same sizes: one table, all in one run. Weights are in four bytes, and in four bits (`int4`).
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
    // `cargo bench --bench lanes -- small 1 16` leaves the others out.
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (sizes, lanes) = (chosen(["small", "paper"], &arguments), chosen(LANES, &arguments));
    let threads = paper::threads()?;
    println!("{EVENTS} events a lane, threads: {threads} (others: 1), best of {ROUNDS} rounds: events a second");
    println!("{:28}{}", "lanes", lanes.iter().map(|lanes| format!("{lanes:>9}")).collect::<String>());
    for size in sizes {
        let folder = if size == "small" { small.clone().into() } else { paper::bundle("vmt")? };
        let mut engines = Vec::new();
        for (storage, folder) in [("", folder.clone()), (" int4", paper::int4(&folder, size)?)] {
            let named = |(name, engine)| (format!("vmt {name}{storage}"), engine);
            engines.extend(paper::engines(&folder)?.into_iter().map(named));
        }
        let mut best: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let mut add = |name: &str, rates: Vec<f64>| {
            let best = best.entry(name.into()).or_insert_with(|| vec![0.0; rates.len()]);
            best.iter_mut().zip(rates).for_each(|(best, rate)| *best = best.max(rate));
        };
        // Round by round, so that a busy moment does not fall on one of them alone.
        for _ in 0..ROUNDS {
            for (name, engine) in &engines {
                add(name, lanes.iter().map(|&lanes| rate(&**engine, lanes)).collect::<Result<_>>()?);
            }
            for (name, rates) in peers(size, &lanes)? {
                add(&name, rates);
            }
        }
        for (name, rates) in best {
            let rates: String = rates.iter().map(|rate| format!("{rate:9.0}")).collect();
            println!("{:28}{rates}", format!("{size}: {name}"));
        }
    }
    Ok(())
}

/// Those of `all` that the arguments name, or all.
fn chosen<T: ToString + Clone, const N: usize>(all: [T; N], arguments: &[String]) -> Vec<T> {
    let named: Vec<T> = all.iter().filter(|it| arguments.contains(&it.to_string())).cloned().collect();
    if named.is_empty() { all.to_vec() } else { named }
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
fn peers(size: &str, lanes: &[usize]) -> Result<Vec<(String, Vec<f64>)>> {
    let Some(python) = env::var_os("PYTHON") else { return Ok(Vec::new()) };
    let mut command = Command::new(&python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py")).args([size, &EVENTS.to_string()]);
    let output = command.args(lanes.iter().map(usize::to_string)).output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let parse = |line: &str| -> Result<(String, Vec<f64>)> {
        let (name, rates) = line.split_once('\t').with_context(|| format!("peers.py: {line:?} is no row"))?;
        Ok((name.into(), rates.split_whitespace().map(str::parse).collect::<Result<_, _>>()?))
    };
    String::from_utf8(output.stdout)?.lines().map(parse).collect()
}
