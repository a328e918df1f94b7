//! What must hold for both models, on the tiny configurations.

use std::iter::zip;
use std::thread;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use ndarray::{Array2, Array4};
use vmt::{Clip, Conditions, Engine, Geometry, Token, VOCABULARY};
use vmt_train::data::{Batch, Fragment};
use vmt_train::fit::Objective;
use vmt_train::model::{dropout, pixels, rows_of_pixels};
use vmt_train::random::Stream;
use vmt_train::{BurnEngine, Model, ModelConfig};

const TINY: [&str; 2] = ["tiny-vmt", "tiny-seq2seq"];

fn config(name: &str) -> ModelConfig {
    ModelConfig::load(format!("{}/configs/{name}.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Numbers that look random, `0..2^31`.
fn noise(seed: u32) -> impl Iterator<Item = u32> {
    (0..).scan(seed, |state, _: u32| {
        *state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        Some(*state >> 1)
    })
}

fn clip(geometry: &Geometry, frames: usize, seed: u32) -> Clip {
    let mut noise = noise(seed);
    let shape = (frames, 3, geometry.height(), geometry.width());
    Clip::new(Array4::from_shape_simple_fn(shape, || (noise.next().unwrap() >> 20) as u8), geometry).unwrap()
}

fn tokens(count: usize, seed: u32) -> Vec<Token> {
    noise(seed).map(|n| Token::new((n >> 8) as u16 % VOCABULARY as u16).unwrap()).take(count).collect()
}

/// `[rows, tokens]`; all rows must be of one length.
fn ids(rows: &[Vec<Token>], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i64> = rows.iter().flatten().map(|token| token.id().into()).collect();
    Tensor::from_data(TensorData::new(ids, [rows.len(), rows[0].len()]), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

#[track_caller]
fn assert_close(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    let far = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far <= tolerance, "they differ by up to {far}");
}

/// Collects every parameter.
struct Parameters(Vec<Vec<f32>>);

impl ModuleVisitor for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(values(param.val()));
    }
}

#[test]
fn a_seed_is_a_model() {
    for name in TINY {
        let build = move |seed| {
            let mut parameters = Parameters(Vec::new());
            config(name).init(seed, &Device::flex()).visit(&mut parameters);
            parameters.0
        };
        let threads: Vec<_> = (0..4).map(|i| thread::spawn(move || build(i / 2))).collect();
        let built: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(built[0] == built[1] && built[2] == built[3] && built[0] != built[2]);
    }
}

#[test]
fn parameter_counts() {
    for (name, count) in [
        ("paper-vmt", 45_450_822),
        ("paper-seq2seq", 6_758_780),
        ("small-vmt", 4_881_238),
        ("small-seq2seq", 2_280_012),
        ("tiny-vmt", 59_546),
        ("tiny-seq2seq", 38_512),
    ] {
        assert_eq!(config(name).init(0, &Device::flex()).num_params(), count, "{name}");
    }
}

/// Feeds `pieces`, of which each holds the tokens of every lane; returns the logits after each.
fn play(engine: &BurnEngine, clips: &[Clip], pieces: &[Vec<Vec<Token>>]) -> Vec<Array2<f32>> {
    let mut session = engine.open(clips).unwrap();
    let feed = |piece: &Vec<Vec<Token>>| {
        let rows: Vec<&[Token]> = piece.iter().map(Vec::as_slice).collect();
        session.feed(&rows).unwrap().to_owned()
    };
    pieces.iter().map(feed).collect()
}

/// Two lanes with different clips and different numbers of tokens in each of four feeds.
fn uneven(geometry: &Geometry) -> (Vec<Clip>, Vec<Vec<Vec<Token>>>) {
    let clips = vec![clip(geometry, 3, 1), clip(geometry, 7, 2)];
    let lengths = [[1, 4], [3, 1], [1, 1], [2, 5]];
    let pieces = lengths.iter().zip(0..).map(|(lengths, i)| lengths.map(|n| tokens(n, 10 * i + n as u32)).to_vec());
    (clips, pieces.collect())
}

#[test]
fn the_cache_changes_nothing() {
    for name in TINY {
        let config = config(name);
        let model = config.init(1, &Device::flex());
        let (clips, pieces) = uneven(&config.geometry);
        let cached = play(&BurnEngine::new(model.clone(), config.geometry), &clips, &pieces);
        let uncached = play(&BurnEngine::uncached(model, config.geometry), &clips, &pieces);
        for (a, b) in cached.iter().zip(&uncached) {
            assert_close(a.as_slice().unwrap(), b.as_slice().unwrap(), 1e-5);
        }
    }
}

#[test]
fn a_lane_does_not_see_its_neighbour() {
    for name in TINY {
        let config = config(name);
        let engine = BurnEngine::new(config.init(1, &Device::flex()), config.geometry);
        let (clips, pieces) = uneven(&config.geometry);
        let together = play(&engine, &clips, &pieces);
        for lane in 0..clips.len() {
            let own: Vec<_> = pieces.iter().map(|piece| vec![piece[lane].clone()]).collect();
            let alone = play(&engine, &clips[lane..=lane], &own);
            for (together, alone) in together.iter().zip(&alone) {
                assert_close(together.row(lane).as_slice().unwrap(), alone.as_slice().unwrap(), 1e-5);
            }
        }
    }
}

#[test]
fn tokens_at_once_or_one_by_one() {
    for name in TINY {
        let config = config(name);
        let engine = BurnEngine::new(config.init(1, &Device::flex()), config.geometry);
        let (clips, tokens) = ([clip(&config.geometry, 5, 1)], tokens(9, 1));
        let at_once = play(&engine, &clips, &[vec![tokens.clone()]]);
        let mut session = engine.open(&clips).unwrap();
        let one_by_one = tokens.iter().map(|&token| session.step(&[token]).unwrap().to_owned()).last().unwrap();
        assert_close(at_once[0].as_slice().unwrap(), one_by_one.as_slice().unwrap(), 1e-5);
    }
}

#[test]
fn a_session_refuses_what_it_cannot_feed() {
    let config = config("tiny-vmt");
    let engine = BurnEngine::new(config.init(1, &Device::flex()), config.geometry);
    let other = config.geometry.with_size(64, config.geometry.width()).unwrap();
    assert!(engine.open(&[]).is_err());
    assert!(engine.open(&[clip(&other, 1, 1)]).is_err());
    let mut session = engine.open(&[clip(&config.geometry, 1, 1)]).unwrap();
    assert!(session.feed(&[]).is_err());
    assert!(session.feed(&[&[]]).is_err());
}

/// Logits `[clips, tokens, 310]`; all rows of `tokens` must be of one length.
fn logits(model: &Model, clips: &[Clip], tokens: &[Vec<Token>]) -> Tensor<3> {
    let device = model.device();
    let (pixels, frames) = pixels(clips, &device);
    model.forward(pixels, frames, ids(tokens, &device))
}

#[test]
fn a_row_without_video_sees_one_learned_vector() {
    for name in TINY {
        let config = config(name);
        let model = config.init(1, &Device::flex());
        let (clips, tokens) = batch(&config.geometry);
        let logits = |rows: &[Option<&Clip>]| {
            let (pixels, frames) = rows_of_pixels(rows, [32, 32], &model.device());
            let logits = model.forward(pixels, frames, ids(&tokens[..rows.len()], &model.device()));
            logits.iter_dim(0).map(values).collect::<Vec<_>>()
        };
        let [seen, blind] = [logits(&[Some(&clips[0])]).remove(0), logits(&[None]).remove(0)];
        assert_ne!(seen, blind);
        let beside_another = logits(&[None, Some(&clips[1])]);
        assert_close(&beside_another[0], &blind, 1e-5);
    }
}

#[test]
fn the_past_does_not_see_the_future() {
    for name in TINY {
        let config = config(name);
        let model = config.init(1, &Device::flex());
        let clips = [clip(&config.geometry, 5, 1)];
        let (a, mut b) = (tokens(9, 1), tokens(9, 1));
        b[6..].copy_from_slice(&tokens(3, 2));
        let [a, b] = [a, b].map(|tokens| values(logits(&model, &clips, &[tokens])));
        let (past, future) = (..6 * VOCABULARY, 6 * VOCABULARY..);
        assert_close(&a[past], &b[past], 1e-6);
        assert_ne!(a[future.clone()], b[future]);
    }
}

/// Over a batch of which the second row has no video, without dropout: the mean negative log-likelihood, and the auxiliary
/// error.
fn losses(model: &Model, clips: &[Clip], tokens: &[Vec<Token>]) -> [Tensor<1>; 2] {
    let rows = zip(clips, tokens).enumerate();
    let rows = rows.map(|(row, (clip, tokens))| Fragment {
        clip: (row == 0).then(|| clip.clone()),
        tokens: tokens.clone(),
        conditions: Conditions::default(),
    });
    let (_, _, height, width) = clips[0].pixels().dim();
    let batch = Batch::new(rows.collect(), &Geometry::PAPER.with_size(height, width).unwrap(), 1024);
    let (loss, auxiliary) = Objective::LIKELIHOOD.losses(&batch, 0..2, model);
    [loss.unwrap() / batch.tokens() as f64, auxiliary / batch.pictures() as f64]
}

/// Two clips of different lengths with 50 tokens each.
fn batch(geometry: &Geometry) -> (Vec<Clip>, Vec<Vec<Token>>) {
    (vec![clip(geometry, 3, 1), clip(geometry, 7, 2)], vec![tokens(50, 3), tokens(50, 4)])
}

#[test]
fn an_untrained_model_knows_nothing() {
    // VMT starts higher, because input and output share an embedding of unit length: logits of variance 1 cost half a
    // nat, and the token just fed looks likely.
    for (name, above) in [("tiny-vmt", 0.8), ("small-vmt", 1.2), ("tiny-seq2seq", 0.1), ("small-seq2seq", 0.1)] {
        let config = config(name);
        let (clips, tokens) = batch(&config.geometry);
        let [loss, _] = losses(&config.init(1, &Device::flex()), &clips, &tokens).map(Tensor::into_scalar::<f32>);
        let chance = (VOCABULARY as f32).ln();
        assert!((chance - 0.1..chance + above).contains(&loss), "{name}: {loss}");
    }
}

/// Names the parameters without a gradient.
struct Lifeless<'a> {
    gradients: &'a Gradients,
    path: Vec<String>,
    found: Vec<String>,
}

impl ModuleVisitor for Lifeless<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.gradients);
        if gradient.is_none_or(|gradient| gradient.abs().max().into_scalar::<f32>() == 0.0) {
            self.found.push(self.path.join("."));
        }
    }
}

/// Moves each parameter against its gradient.
struct Descend<'a>(&'a Gradients);

impl ModuleMapper for Descend<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|value| {
            let gradient = value.grad(self.0).unwrap();
            Tensor::from_inner(value.inner() - gradient * 0.01).require_grad()
        })
    }
}

#[test]
fn every_parameter_learns() {
    for name in TINY {
        let config = ModelConfig { dropout: 0.0, ..config(name) };
        let (clips, tokens) = batch(&config.geometry);
        let model = config.init(1, &Device::flex().autodiff());
        let loss = |model: &Model| losses(model, &clips, &tokens).into_iter().reduce(|a, b| a + b).unwrap();
        let before = loss(&model);
        let gradients = before.backward();

        let mut lifeless = Lifeless { gradients: &gradients, path: Vec::new(), found: Vec::new() };
        model.visit(&mut lifeless);
        assert_eq!(lifeless.found, Vec::<String>::new(), "{name}");

        let model = model.map(&mut Descend(&gradients));
        let (before, after): (f32, f32) = (before.into_scalar(), loss(&model).into_scalar());
        assert!(after < before, "{name}: {before} became {after}");
    }
}

#[test]
fn dropout_acts_in_training_only() {
    for name in TINY {
        let config = config(name);
        let (clips, tokens) = batch(&config.geometry);
        let model = config.init(1, &Device::flex().autodiff());
        let run = || values(logits(&model, &clips, &tokens));
        let train = |seed| {
            let rows = (0..2).map(|row| Stream::new(seed, "dropout", &[row])).collect();
            dropout::with(rows, &model.device(), run)
        };
        assert_eq!(run(), run());
        assert_ne!(run(), train(1));
        assert_ne!(train(1), train(2));
        assert_eq!(train(1), train(1));
    }
}
