//! Seconds of a forward and a backward pass through each of `vmt-operators`, fused and composed of burn's operations, on one
//! thread's share of a training step of the small models.

use std::hint::black_box;
use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use vmt_operators::composed;

/// Fragments that each of two threads has of a batch of four.
const ROWS: usize = 2;
/// Pictures of a fragment.
const FRAMES: usize = 40;
/// A long fragment of POP909 (95 of 100 are shorter).
const TOKENS: usize = 384;
const ROUNDS: usize = 10;

fn main() {
    println!("{ROWS} fragments of {FRAMES} pictures and {TOKENS} events, best of {ROUNDS} rounds");
    println!("{:28}{:>12}{:>14}{:>8}", "", "fused, ms", "composed, ms", "gain");
    // Filters and feature maps of small-vmt; the first layer sees the change of the light as a fourth channel.
    for (channels, filters, side) in [(4, 16, 64), (16, 32, 32), (32, 128, 16)] {
        let x = input([ROWS * FRAMES, channels, side, side]);
        let weight = input([filters, channels, 4, 4]);
        let [bias, gain, offset] = [0; 3].map(|_| input([filters]));
        let time = |conv_norm: fn(_, _, _, _, _) -> Tensor<4>| {
            seconds(|| conv_norm(x.clone(), weight.clone(), bias.clone(), gain.clone(), offset.clone()))
        };
        show(&format!("conv_norm {channels} -> {filters}, {side} x {side}"), || {
            [time(vmt_operators::conv_norm), time(composed::conv_norm)]
        });
    }
    // Self-attention of small-vmt: 4 heads of 48, a bias for each head, no dropout.
    let [query, key, value] = [0; 3].map(|_| input([ROWS, 4, TOKENS, 48]));
    let bias = Tensor::zeros([ROWS, 4, TOKENS, TOKENS], &Device::flex().autodiff());
    let time = |sdpa: fn(_, _, _, _, _) -> Tensor<4>| {
        seconds(|| sdpa(query.clone(), key.clone(), value.clone(), bias.clone(), None))
    };
    show("sdpa 4 x 48", || [time(vmt_operators::sdpa), time(composed::sdpa)]);
    // A layer of small-seq2seq.
    let (gates, state) = (input([ROWS, TOKENS, 3 * 256]), input([ROWS, 256]));
    let (weight, bias) = (input([256, 3 * 256]), input([3 * 256]));
    let time =
        |gru: fn(_, _, _, _) -> Tensor<3>| seconds(|| gru(gates.clone(), state.clone(), weight.clone(), bias.clone()));
    show("gru 256", || [time(vmt_operators::gru), time(composed::gru)]);
}

/// Normal numbers that want a gradient; of a standard deviation with which no gate saturates.
fn input<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 0.1), &Device::flex().autodiff()).require_grad()
}

fn seconds<const D: usize>(forward: impl Fn() -> Tensor<D>) -> f64 {
    let start = Instant::now();
    black_box(forward().sum().backward());
    start.elapsed().as_secs_f64()
}

/// The best of each over all rounds, which take turns so that a busy moment does not fall on one of them alone.
fn show(name: &str, round: impl Fn() -> [f64; 2]) {
    let best = |a: [f64; 2], b: [f64; 2]| [a[0].min(b[0]), a[1].min(b[1])];
    let [fused, composed] = (0..ROUNDS).map(|_| round()).reduce(best).unwrap_or_default();
    println!("{name:28}{:12.2}{:14.2}{:8.1}", 1e3 * fused, 1e3 * composed, composed / fused);
}
