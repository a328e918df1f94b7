//! Dropout (Srivastava et al. 2014) whose masks are drawn from one random stream for each row of a batch.
//!
//! burn's own draws from one generator that all threads share, so that with two threads no run is reproducible.

use std::cell::RefCell;

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use vmt_operators::on_cpu;

use crate::random::Stream;

thread_local! {
    /// A stream for each row of the batch that this thread trains on; none outside of training.
    static ROWS: RefCell<Option<Vec<Stream>>> = const { RefCell::new(None) };
}

/// Runs `train` with dropout switched on in this thread: the mask of row `i` of each tensor is drawn from `rows[i]`.
///
/// On the CPU, masks are drawn from these streams. Other devices draw from their own generator, seeded by the first row's
/// stream: copying masks there would take longer than a step.
pub fn with<T>(mut rows: Vec<Stream>, device: &Device, train: impl FnOnce() -> T) -> T {
    if !on_cpu(device) {
        device.seed(rows[0].number());
    }
    let before = ROWS.replace(Some(rows));
    let result = train();
    ROWS.set(before);
    result
}

/// Sets a share of values to zero and scales the others, so that the expected value stays; the identity outside of [`with`].
#[derive(Module, Debug)]
pub struct Dropout {
    /// The probability of a zero, `0.0..1.0`.
    pub rate: f64,
}

impl Dropout {
    pub(crate) fn new(rate: f64) -> Self {
        Self { rate }
    }

    /// `x` and the result: `[batch, ..]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self.mask(x.dims(), &x.device()) {
            Some(mask) => x * mask,
            None => x,
        }
    }

    /// A mask to multiply values of this shape with: 0 or `1 / (1 - rate)`. `None` where it would be 1 throughout.
    pub fn mask<const D: usize>(&self, dims: [usize; D], device: &Device) -> Option<Tensor<D>> {
        let keep = 1.0 - self.rate;
        let device = device.clone().inner();
        ROWS.with_borrow_mut(|rows| {
            let rows = rows.as_mut().filter(|_| self.rate > 0.0)?;
            Some(Tensor::from_inner(if on_cpu(&device) {
                Tensor::from_data(draw(rows, dims, self.rate), &device)
            } else {
                Tensor::random(dims, Distribution::Bernoulli(keep), &device) / keep
            }))
        })
    }
}

/// 0 or `1 / (1 - rate)`, for `dims[0]` rows.
fn draw<const D: usize>(rows: &mut [Stream], dims: [usize; D], rate: f64) -> TensorData {
    assert_eq!(rows.len(), dims[0], "dropout needs a random stream for each row of the batch");
    // Sixteen random bits decide over a value: the rate is exact to 1 / 65536.
    let dropped = (rate * 65536.0).round() as u16;
    let kept = (1.0 / (1.0 - rate)) as f32;
    let row: usize = dims[1..].iter().product();
    let mut values = Vec::with_capacity(rows.len() * row);
    let mut bits = vec![0; 2 * row];
    for stream in rows {
        stream.fill(&mut bits);
        let keeps = |bits: &[u8; 2]| if u16::from_le_bytes(*bits) < dropped { 0.0 } else { kept };
        values.extend(bits.as_chunks().0.iter().map(keeps));
    }
    TensorData::new(values, dims)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(rows: std::ops::Range<u64>) -> Vec<Stream> {
        rows.map(|row| Stream::new(1, "dropout", &[row])).collect()
    }

    fn dropped(rows: std::ops::Range<u64>) -> Vec<f32> {
        let device = Device::flex();
        let x = Tensor::<3>::ones([rows.clone().count(), 50, 20], &device);
        with(streams(rows), &device, || Dropout::new(0.1).forward(x)).into_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_share_is_dropped_and_the_mean_stays() {
        let values = dropped(0..4);
        let zeros = values.iter().filter(|&&value| value == 0.0).count() as f32 / 4000.0;
        assert!((zeros - 0.1).abs() < 0.02, "{zeros}");
        assert!(values.iter().all(|&value| value == 0.0 || (value - 1.0 / 0.9).abs() < 1e-6));
    }

    #[test]
    fn a_row_does_not_know_its_batch() {
        assert_eq!(dropped(0..4)[2000..], dropped(2..4));
    }

    #[test]
    fn nothing_is_dropped_outside() {
        let x = Tensor::<2>::ones([3, 5], &Device::flex());
        assert_eq!(Dropout::new(0.9).forward(x.clone()).into_data(), x.into_data());
    }
}
