//! Initial weights, drawn on the host from one seeded generator.
//!
//! burn's own initialisers are lazy and draw from a generator that all threads share: the weights would depend on the order
//! in which threads use them.

use std::f64::consts::TAU;

use burn::module::Param;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Embedding, LayerNorm, LayerNormConfig, Linear, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use vmt::Pitch;

/// Draws parameters; the same seed gives the same parameters in the same order.
pub(crate) struct Init<'a> {
    random: ChaCha8Rng,
    /// Where the parameters go.
    pub device: &'a Device,
}

impl<'a> Init<'a> {
    pub fn new(seed: u64, device: &'a Device) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), device }
    }

    /// Uniform in `-bound..bound`.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Param<Tensor<D>> {
        self.draw(shape, |unit| (2.0 * unit() - 1.0) * bound)
    }

    /// Normal with mean 0 (Box and Muller 1958).
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], deviation: f64) -> Param<Tensor<D>> {
        // 1 - unit is never 0.
        self.draw(shape, |unit| (-2.0 * (1.0 - unit()).ln()).sqrt() * (TAU * unit()).cos() * deviation)
    }

    /// Uniform Xavier initialisation (Glorot and Bengio 2010, equation 16).
    fn xavier<const D: usize>(&mut self, shape: [usize; D], inputs: usize, outputs: usize) -> Param<Tensor<D>> {
        self.uniform(shape, (6.0 / (inputs + outputs) as f64).sqrt())
    }

    /// `input -> output` with zero bias.
    pub fn linear(&mut self, input: usize, output: usize) -> Linear {
        let weight = self.xavier([input, output], input, output);
        Linear { weight, bias: Some(self.zeros([output])) }
    }

    /// `count` matrices `hidden -> hidden` side by side, without bias, each initialised as if it stood alone.
    pub fn projections(&mut self, hidden: usize, count: usize) -> Linear {
        Linear { weight: self.xavier([hidden, count * hidden], hidden, hidden), bias: None }
    }

    /// A vector for each pitch, without bias: a quarter as long as an event's, for several are added up.
    pub fn held_notes(&mut self, hidden: usize) -> Linear {
        Linear { weight: self.normal([Pitch::COUNT, hidden], 0.25 * (hidden as f64).powf(-0.5)), bias: None }
    }

    /// A convolution that halves height and width: kernel 4, stride 2, padding 1.
    pub fn halving_conv(&mut self, input: usize, output: usize) -> Conv2d {
        let weight = self.xavier([output, input, 4, 4], input * 16, output * 16);
        Conv2d {
            weight,
            bias: Some(self.zeros([output])),
            ..Conv2dConfig::new([input, output], [4, 4])
                .with_stride([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(self.device)
        }
    }

    /// One vector of `hidden` for each of the 310 events.
    pub fn embedding(&mut self, hidden: usize, deviation: f64) -> Embedding {
        Embedding { weight: self.normal([vmt::VOCABULARY, hidden], deviation) }
    }

    /// Gain 1, bias 0, epsilon 1e-5.
    pub fn norm(&self, hidden: usize) -> LayerNorm {
        LayerNormConfig::new(hidden).init(self.device)
    }

    /// All zero.
    pub fn zeros<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_data(TensorData::zeros::<f32, _>(shape), self.device)
    }

    /// Fills `shape` with what `value` makes of numbers that are uniform in `0..1`.
    fn draw<const D: usize>(
        &mut self,
        shape: [usize; D],
        value: impl Fn(&mut dyn FnMut() -> f64) -> f64,
    ) -> Param<Tensor<D>> {
        let mut unit = || (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| value(&mut unit) as f32).collect();
        Param::from_data(TensorData::new(values, shape), self.device)
    }
}
