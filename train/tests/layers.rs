//! Layers against formulas written out in scalars.

use burn::tensor::{Device, Int, Tensor, TensorData};
use vmt_train::model::gru::{Gru, GruLayer};
use vmt_train::model::position::{TimeEmbedding, alibi, sinusoids};
use vmt_train::{Feed, Model, ModelConfig};

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// `rows` x `columns` of numbers in -1..1.
fn wave(rows: usize, columns: usize) -> Vec<Vec<f32>> {
    (0..rows).map(|i| (0..columns).map(|j| ((i * columns + j) as f32 * 1.7).sin()).collect()).collect()
}

/// One step of the paper's equation 2; all vectors of one size.
fn step(layer: &GruLayer, x: &[f32], h: &[f32]) -> Vec<f32> {
    let size = h.len();
    let affine = |linear: &burn::nn::Linear, x: &[f32]| -> Vec<f32> {
        let (weight, bias) = (values(linear.weight.val()), values(linear.bias.as_ref().unwrap().val()));
        (0..3 * size).map(|j| bias[j] + (0..size).map(|i| x[i] * weight[i * 3 * size + j]).sum::<f32>()).collect()
    };
    let (w, u) = (affine(&layer.input, x), affine(&layer.hidden, h));
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    let next = |i: usize| {
        let z = sigmoid(w[i] + u[i]);
        let r = sigmoid(w[size + i] + u[size + i]);
        let n = (w[2 * size + i] + r * u[2 * size + i]).tanh();
        (1.0 - z) * n + z * h[i]
    };
    (0..size).map(next).collect()
}

#[test]
fn the_gru_is_the_papers() {
    let yaml = include_str!("../configs/tiny-seq2seq.yaml");
    let device = Device::flex();
    let Model::Seq2Seq(model) = ModelConfig::parse(yaml).unwrap().init(1, &device) else { unreachable!() };
    let gru: Gru = model.gru;
    let (time, size, last) = (5, 32, 3);
    let (steps, starts) = (wave(time, size), wave(gru.layers.len(), size));
    let tensor = |rows: &[Vec<f32>]| {
        Tensor::<3>::from_data(TensorData::new(rows.concat(), [1, rows.len(), rows[0].len()]), &device)
    };
    let last_step = Tensor::<1, Int>::from_data([last], &device);
    let (outputs, ends) = gru.forward(tensor(&steps), tensor(&starts), last_step);

    let (mut want, mut want_ends) = (steps, Vec::new());
    for (layer, start) in gru.layers.iter().zip(starts) {
        let mut h = start;
        for x in &mut want {
            h = step(layer, x, &h);
            x.clone_from(&h);
        }
        want_ends.push(want[last].clone());
    }
    for (got, want) in [(outputs, want), (ends, want_ends)] {
        let far = values(got).iter().zip(want.concat()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 1e-6, "they differ by up to {far}");
    }
}

#[test]
fn sinusoids_are_the_papers() {
    let (hidden, places) = (32, [0, 1, 7, 1023]);
    let got = values(sinusoids(Tensor::from_data([places.map(|place| place as f32)], &Device::flex()), hidden));
    for (row, place) in places.into_iter().enumerate() {
        for i in 0..hidden / 2 {
            let angle = place as f64 * 10000f64.powf(-2.0 * i as f64 / hidden as f64);
            let column = row * hidden + 2 * i;
            // A frequency rounded to f32 is off by up to 3e-8 of itself.
            assert!((got[column] as f64 - angle.sin()).abs() < 1e-4, "sine {i} of {place}");
            assert!((got[column + 1] as f64 - angle.cos()).abs() < 1e-4, "cosine {i} of {place}");
        }
    }
}

#[test]
fn alibi_prefers_recent_events() {
    let device = Device::flex();
    // The second of five slots is empty; the last two are new.
    let real = Tensor::from_data([[true, false, true, true, true]], &device);
    let bias = values(alibi(4, Tensor::from_data([[2, 3]], &device), real));
    let of = |head: usize, query: usize| {
        let row = &bias[(head * 2 + query) * 5..][..=3 + query];
        row.iter().enumerate().filter(|(slot, _)| *slot != 1).map(|(_, score)| *score).collect::<Vec<_>>()
    };
    assert_eq!(of(0, 0), [-0.5, -0.25, 0.0]);
    assert_eq!(of(0, 1), [-0.75, -0.5, -0.25, 0.0]);
    assert_eq!(of(3, 1), [-3.0, -2.0, -1.0, 0.0].map(|back| back / 256.0));
}

#[test]
fn the_time_embedding_adds_up_time_shifts() {
    let device = Device::flex();
    let yaml = include_str!("../configs/tiny-vmt.yaml");
    let Model::Vmt(model) = ModelConfig::parse(yaml).unwrap().init(1, &device) else { unreachable!() };
    // A start token, 1 s, a note, 0.07 s.
    let feed = Feed::whole(Tensor::from_data([[0, 277, 2, 184]], &device));
    assert_eq!(feed.times.clone().into_data().iter::<i64>().collect::<Vec<_>>(), [0, 100, 100, 107]);
    let position = model.time_embedding.unwrap().frame_position(feed.times);
    // 1 s is where the fourth picture of 0.25 s ends and the fifth begins.
    assert_eq!(values(position.clone())[..3], [-0.5, 3.5, 3.5]);
    let bias = values(TimeEmbedding::cross_alibi(position, 4, 6));
    let of = |head: usize, token: usize| &bias[(head * 4 + token) * 6..][..6];
    assert_eq!(of(0, 1), [-3.5, -2.5, -1.5, -0.5, -0.5, -1.5]);
    assert_eq!(of(2, 0)[..3], [-0.5 / 16.0, -1.5 / 16.0, -2.5 / 16.0]);
}
