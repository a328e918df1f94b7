//! Events a second of pieces that are decoded side by side, on each of some engines; fails where their greedy tokens are not those
//! of the first.
//!
//! ```sh
//! cargo run --release --workspace --example lanes -- ort,cuda onnx/vmt-beat
//! ```
//!
//! Lanes share a film of stripes, and each begins with a token of its own. The time is that of the steps alone, after a session to
//! warm up. `THREADS` is the number of threads for the CPU, or 1.

use std::{env, error::Error, num::NonZeroUsize, time::Instant};

use vmt::ndarray::{Array4, ArrayView1};
use vmt::{Backend, Bundle, Clip, Engine, Token};

const LANES: [usize; 3] = [1, 8, 64];
const STEPS: usize = 128;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let names = arguments.next().ok_or("lanes ENGINE,... BUNDLE...")?;
    let threads: NonZeroUsize = env::var("THREADS").map_or(Ok(NonZeroUsize::MIN), |threads| threads.parse())?;
    let mut differs = false;
    println!("{:16}{:8}{:>6}{:>10}  greedy tokens", "bundle", "engine", "lanes", "events/s");
    for folder in arguments {
        let bundle = Bundle::open(&folder)?;
        let mut first = Vec::new();
        for name in names.split(',') {
            let engine = backend(name)?.load(&bundle, Some(threads))?;
            decode(&*engine, 1)?;
            for (index, lanes) in LANES.into_iter().enumerate() {
                let (tokens, seconds) = decode(&*engine, lanes)?;
                let rate = (lanes * STEPS) as f64 / seconds;
                if first.len() == index {
                    first.push(tokens.clone());
                }
                let other = tokens.iter().zip(&first[index]).position(|(step, want)| step != want);
                differs |= other.is_some();
                let verdict = other.map_or("agree".to_owned(), |step| format!("differ from step {step} on"));
                println!("{:16}{name:8}{lanes:6}{rate:10.0}  {verdict}", bundle.manifest().name);
            }
        }
    }
    if differs { Err("greedy tokens differ".into()) } else { Ok(()) }
}

fn backend(name: &str) -> Result<Backend, String> {
    Ok(match name {
        "tract" => Backend::Tract,
        "ort" => Backend::Ort,
        "cuda" => Backend::Cuda,
        _ => return Err(format!("an engine must be tract, ort or cuda, but is {name}")),
    })
}

/// The most probable tokens, `[steps, lanes]`, and the seconds that they took.
fn decode(engine: &dyn Engine, lanes: usize) -> vmt::Result<(Vec<Vec<Token>>, f64)> {
    let geometry = engine.geometry();
    let shape = (geometry.frames(), 3, geometry.height(), geometry.width());
    let stripes =
        Array4::from_shape_fn(shape, |(frame, channel, row, column)| (frame * 7 + channel * 50 + row + column) as u8);
    let mut session = engine.open_takes(&[Clip::new(stripes, &geometry)?], lanes)?;
    let mut tokens: Vec<Token> = Token::all().skip(1).take(lanes).collect();
    let mut steps = Vec::with_capacity(STEPS);
    let began = Instant::now();
    for _ in 0..STEPS {
        let best = |row: ArrayView1<f32>| {
            Token::all().max_by(|a, b| row[a.index()].total_cmp(&row[b.index()])).unwrap_or(Token::PAD)
        };
        tokens = session.step(&tokens)?.outer_iter().map(best).collect();
        steps.push(tokens.clone());
    }
    Ok((steps, began.elapsed().as_secs_f64()))
}
