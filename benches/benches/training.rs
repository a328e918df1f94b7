//! Seconds that a step of training the small models takes, beside the same step in PyTorch eager on the same CPU.
//!
//! `PYTHON` names a Python with torch and PyYAML.

use std::{env, path::Path, process::Command, thread, time::Instant};

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use ndarray::Array4;
use vmt::{Clip, Conditions, Token};
use vmt_train::ModelConfig;
use vmt_train::data::{Batch, Fragment};
use vmt_train::fit::{Learner, Objective};

/// What the paper trains with, and a long fragment of POP909 (95 of 100 are shorter).
const BATCH: usize = 4;
const TOKENS: usize = 384;
const STEPS: u64 = 8;
const ROUNDS: usize = 3;

fn main() -> Result<()> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    println!("{BATCH} fragments of {TOKENS} events, {threads} thread(s), best of {ROUNDS} rounds of {STEPS} steps");
    println!("{:16}{:>12}{:>12}{:>8}", "", "burn, s", "PyTorch, s", "ratio");
    for name in ["small-vmt", "small-seq2seq"] {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../train/configs/{name}.yaml"));
        let [mut burn, mut torch] = [f64::INFINITY; 2];
        // Round by round, so that a busy moment does not fall on one of them alone.
        for _ in 0..ROUNDS {
            burn = burn.min(ours(&config, threads)?);
            torch = torch.min(python(&config, threads)?.unwrap_or(f64::INFINITY));
        }
        if torch.is_finite() {
            println!("{name:16}{burn:12.3}{torch:12.3}{:8.2}", torch / burn);
        } else {
            println!("{name:16}{burn:12.3}  PyTorch was not measured (set PYTHON to one with torch)");
        }
    }
    Ok(())
}

/// The fastest step of burn, in seconds.
fn ours(config: &Path, threads: usize) -> Result<f64> {
    let config = ModelConfig::load(config)?;
    let geometry = config.geometry;
    let shape = (geometry.frames(), 3, geometry.height(), geometry.width());
    let row = |row: usize| -> Result<Fragment> {
        let pixels = Array4::from_shape_fn(shape, |(f, c, y, x)| (f * 7 + c * 50 + y * x + row * 31) as u8);
        let token = |index| Token::new((2 + (index * 37 + row * 101) % 308) as u16).expect("a token's id");
        Ok(Fragment {
            clip: Some(Clip::new(pixels, &geometry)?),
            tokens: (0..TOKENS).map(token).collect(),
            conditions: Conditions::default(),
        })
    };
    let batch = Batch::new((0..BATCH).map(row).collect::<Result<_>>()?, &geometry, TOKENS);
    let mut learner = Learner::new(config.init(1, &Device::flex().autodiff()), 1, Objective::LIKELIHOOD, threads);
    let mut best = f64::INFINITY;
    for step in 1..=STEPS {
        let start = Instant::now();
        learner.step(step, 1e-4, &batch)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// The fastest step of PyTorch, in seconds; `None` without `PYTHON`.
fn python(config: &Path, threads: usize) -> Result<Option<f64>> {
    let Some(python) = env::var_os("PYTHON") else { return Ok(None) };
    let mut command = Command::new(&python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/training_step.py")).arg(config);
    for (name, value) in [("--batch", BATCH), ("--tokens", TOKENS), ("--steps", STEPS as usize), ("--threads", threads)]
    {
        command.args([name, &value.to_string()]);
    }
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let seconds = text.split("\"seconds\":").nth(1).context("training_step.py printed no seconds")?;
    Ok(Some(seconds.trim().trim_end_matches('}').parse()?))
}
