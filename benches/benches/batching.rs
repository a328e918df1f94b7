//! What continuous batching gains: pieces of ten seconds without video, one after the other and all at once on as many threads,
//! in turns and in one run.

use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context, Result};
use vmt::{Backend, Bundle, Composer, Options, Sampling, Window};

const ROUNDS: usize = 3;

fn main() -> Result<()> {
    let bundle =
        env::var("VMT_BUNDLE").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../onnx/vmt-beat").into());
    let bundle = Bundle::open(&bundle)?;
    let max_tokens = bundle.manifest().max_tokens;
    println!("{}, one thread in the engine, best of {ROUNDS}: events a second", bundle.manifest().name);
    println!("{:8}{:>8}{:>14}{:>10}{:>8}", "", "pieces", "in sequence", "at once", "ratio");
    for (name, backend) in [("ort", Backend::Ort), ("tract", Backend::Tract)] {
        let alone = Composer::with_engine(backend.load(&bundle, None)?, max_tokens);
        for pieces in [1, 4, 8, 16] {
            let lanes = pieces.try_into().context("no pieces")?;
            let together = Composer::with_engine(backend.load_batched(&bundle, None, lanes)?, max_tokens);
            let (mut sequence, mut at_once) = (0.0f64, 0.0f64);
            for _ in 0..ROUNDS {
                sequence = sequence.max(rate(|| (0..pieces).map(|seed| compose(&alone, seed)).sum())?);
                at_once = at_once.max(rate(|| {
                    thread::scope(|scope| {
                        let together = &together;
                        let threads: Vec<_> =
                            (0..pieces).map(|seed| scope.spawn(move || compose(together, seed))).collect();
                        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Ok(0))).sum()
                    })
                })?);
            }
            println!("{name:8}{pieces:8}{sequence:14.0}{at_once:10.0}{:8.2}", at_once / sequence);
        }
    }
    Ok(())
}

/// Events a second.
fn rate(run: impl FnOnce() -> Result<usize>) -> Result<f64> {
    let began = Instant::now();
    let events = run()?;
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

/// Composes a piece and returns its number of events.
fn compose(composer: &Composer, seed: usize) -> Result<usize> {
    let options = Options::default().with_sampling(Sampling::default().with_seed(seed as u64));
    let geometry = composer.engine().geometry();
    let windows = Window::without_video(Duration::from_secs(10), geometry, options.hop(&geometry));
    Ok(composer.compose(windows, &options, |_| ())?.events)
}
