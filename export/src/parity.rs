//! Compares the ONNX graphs on every engine with burn.

use std::collections::BTreeMap;
use std::slice;

use anyhow::{Result, anyhow, ensure};
use burn::tensor::{Int, Tensor, TensorData};
use ndarray::{Array2, Array3, Array4, ArrayView1, ArrayViewD, Axis};

use vmt::{Backend, Beat, Bundle, Clip, Conditions, Engine, Geometry, Key, Token, manifest::Parity};
use vmt_train::model::conditions::{condition_rows, condition_tensor};
use vmt_train::{BurnEngine, Feed, Model};

/// The largest difference of an encoder output or a logit that is taken for rounding.
pub const TOLERANCE: f32 = 1e-4;

/// Events compared, one decoder step each.
const EVENTS: usize = 256;

/// Worst absolute differences of one engine to burn.
#[derive(Clone, Copy, Debug)]
pub struct Worst {
    /// Over all encoder outputs.
    pub encoder: f32,
    /// Over the logits of every step.
    pub logits: f32,
}

impl Worst {
    /// As the manifest has it: coarse enough to be the same on every processor.
    pub(crate) fn rounded(self) -> Parity {
        let up = |worst: f32| 10f32.powi(worst.max(1e-5).log10().ceil() as i32);
        Parity { encoder: up(self.encoder), logits: up(self.logits), tokens: EVENTS }
    }
}

/// Runs `bundle` on tract and on ONNX Runtime beside `model`; an error if one of them differs.
pub(crate) fn compare(model: &Model, geometry: Geometry, bundle: &Bundle) -> Result<BTreeMap<&'static str, Worst>> {
    let clips = clips(&geometry)?;
    let burn = BurnEngine::new(model.clone(), geometry);
    // Each alone: what stands behind a shorter clip is not compared.
    let context = |engine: &dyn Engine| {
        let encoded = clips.iter().map(|clip| engine.context(slice::from_ref(clip)));
        Ok::<Vec<_>, vmt::Error>(encoded.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    };
    let encoded = context(&burn)?;
    let mut worsts = BTreeMap::new();
    for (name, backend) in [("tract", Backend::Tract), ("ort", Backend::Ort)] {
        let engine = backend.load(bundle, None)?;
        let mut encoder = 0.0;
        for (got, want) in context(&*engine)?.iter().zip(&encoded) {
            encoder = worse(name, "an encoder output", encoder, got.view(), want.view())?;
        }

        // The engine's greedy tokens, cached, step by step; then burn's logits for them, uncached, at once.
        let (tokens, steps) = decode_greedily(&*engine, &clips)?;
        let want = forward(model, &clips, &tokens)?;
        let mut logits = 0.0;
        for (step, got) in steps.iter().enumerate() {
            let want = want.index_axis(Axis(1), step);
            logits = worse(name, &format!("a logit of step {step}"), logits, got.view().into_dyn(), want.into_dyn())?;
            let (chosen, wanted) = (tokens.column(step + 1), want.map_axis(Axis(1), greedy));
            ensure!(chosen == wanted, "{name}: greedy tokens at step {step} are {chosen:?}, but burn's {wanted:?}");
        }
        worsts.insert(name, Worst { encoder, logits });
    }
    Ok(worsts)
}

/// Greedy tokens `[clips, 1 + EVENTS]`, decoded with the cache, and the logits `[clips, 310]` of each step.
pub(crate) fn decode_greedily(engine: &dyn Engine, clips: &[Clip]) -> Result<(Array2<Token>, Vec<Array2<f32>>)> {
    let mut session = engine.open(clips)?;
    let mut tokens = Array2::from_elem((clips.len(), 1), Token::PAD);
    let mut steps = Vec::with_capacity(EVENTS);
    for _ in 0..EVENTS {
        let last = tokens.index_axis(Axis(1), tokens.ncols() - 1).to_vec();
        let logits = session.step(&last)?.to_owned();
        tokens.push_column(logits.map_axis(Axis(1), greedy).view())?;
        steps.push(logits);
    }
    Ok((tokens, steps))
}

/// The larger of `worst` and the largest difference between `got` and `want`; an error above [`TOLERANCE`].
fn worse(engine: &str, what: &str, worst: f32, got: ArrayViewD<f32>, want: ArrayViewD<f32>) -> Result<f32> {
    ensure!(got.shape() == want.shape(), "{engine}: {what} is {:?}, but burn's {:?}", got.shape(), want.shape());
    let worst =
        got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(worst, |a, b| if b <= a { a } else { b });
    // NaN is not within the tolerance either.
    ensure!(
        worst <= TOLERANCE,
        "{engine} does not agree with burn: {what} differs by {worst:e}, more than {TOLERANCE:e}"
    );
    Ok(worst)
}

/// Two lanes of noise, one shorter than the other, and one without video.
pub(crate) fn clips(geometry: &Geometry) -> Result<Vec<Clip>> {
    let lengths = [geometry.frames(), geometry.frames().div_ceil(2)];
    let noise = |frames| {
        // The high byte of a linear congruential generator (Knuth's MMIX).
        let mut state = frames as u64;
        let mut byte = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        };
        Array4::from_shape_simple_fn((frames, 3, geometry.height(), geometry.width()), &mut byte)
    };
    let seen = lengths.into_iter().map(|frames| Ok(Clip::new(noise(frames), geometry)?.with_conditions(known())));
    seen.chain([Ok(Clip::without_video(geometry))]).collect()
}

/// All conditions known.
fn known() -> Conditions {
    let beat = |number: u8| Beat { step: 61.3 * f64::from(number), in_bar: number % 4 + 1, per_bar: 4 };
    Conditions {
        beats: (0..=20).map(beat).collect(),
        hits: Some(vec![123, 490]),
        end: Some(1000),
        keys: vec![(0, Some(Key { tonic: 7, minor: false }))],
        density: vec![(0, 3), (500, 12)],
        loudness: vec![(0, 14), (250, 5)],
    }
}

/// burn's logits `[lanes, tokens, 310]`, without a cache.
fn forward(model: &Model, clips: &[Clip], tokens: &Array2<Token>) -> Result<Array3<f32>> {
    let device = model.device();
    let (pixels, frame_mask) = vmt_train::model::pixels(clips, &device);
    let ids: Vec<i64> = tokens.iter().map(|token| token.id().into()).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [tokens.nrows(), tokens.ncols()]), &device);
    let conditions = clips.iter().zip(tokens.outer_iter());
    let conditions =
        conditions.flat_map(|(clip, row)| condition_rows(clip.conditions(), 0, &row.to_vec(), row.len())).collect();
    let conditions = condition_tensor(conditions, [tokens.nrows(), tokens.ncols()], &device);
    let feed = Feed { conditions, ..Feed::whole(ids) };
    let (logits, _) = model.forward_train(pixels, frame_mask, feed);
    let shape = logits.dims();
    let values = logits.into_data().try_into_vec().map_err(|error| anyhow!("burn's logits: {error:?}"))?;
    Ok(Array3::from_shape_vec(shape, values)?)
}

fn greedy(logits: ArrayView1<f32>) -> Token {
    let best = Token::all().max_by(|a, b| logits[a.index()].total_cmp(&logits[b.index()]).then(b.cmp(a)));
    best.unwrap_or(Token::PAD)
}
