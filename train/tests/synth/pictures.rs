//! What can be measured in pictures, and how sure one can be of it.

use ndarray::{Array2, ArrayView3};
use vmt_train::synth::Scene;

use crate::songs::SMALL;

/// `[height, width]`, 0 to 255.
pub fn light(picture: ArrayView3<u8>) -> Array2<f64> {
    let (_, height, width) = picture.dim();
    Array2::from_shape_fn((height, width), |(y, x)| {
        (0..3).map(|channel| f64::from(picture[[channel, y, x]])).sum::<f64>() / 3.0
    })
}

pub fn change(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).mapv(f64::abs).mean().unwrap()
}

/// What moves in a picture.
pub struct Motion {
    /// How much of it there is.
    pub amount: f64,
    /// Its middle, 0 to 1.
    pub x: f64,
    /// Its middle, 0 to 1; downwards.
    pub y: f64,
    /// The part of the picture that it takes, 0 to 1.
    pub share: f64,
}

/// One of the numbers of a [`Motion`].
pub type Get = fn(&Motion) -> f64;

/// What moves in pictures of one shot.
pub fn moving(pictures: &[Array2<f64>]) -> Vec<Motion> {
    let (height, width) = pictures[0].dim();
    let ground = Array2::from_shape_fn((height, width), |place| {
        let mut values: Vec<f64> = pictures.iter().map(|picture| picture[place]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    });
    let one = |picture: &Array2<f64>| {
        let (mut sum, mut sum_x, mut sum_y, mut count) = (1e-9, 0.0, 0.0, 0.0);
        for ((y, x), value) in (picture - &ground).indexed_iter() {
            // Noise is small, a dancer is not.
            let weight = (value.abs() - 12.0).max(0.0);
            count += f64::from(value.abs() > 12.0);
            (sum, sum_x, sum_y) = (sum + weight, sum_x + weight * x as f64, sum_y + weight * y as f64);
        }
        let pixels = (height * width) as f64;
        let (x, y) = (sum_x / sum / width as f64, sum_y / sum / height as f64);
        Motion { amount: sum / pixels, x, y, share: count / pixels }
    };
    pictures.iter().map(one).collect()
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

pub fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// Mean over its standard error.
pub fn certainty(values: &[f64]) -> f64 {
    mean(values) / (deviation(values) / (values.len() as f64).sqrt()).max(1e-9)
}

pub fn look(scene: &Scene, time: f64) -> Array2<f64> {
    light(scene.picture(time, SMALL.height(), SMALL.width()).view())
}
