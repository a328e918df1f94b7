//! Loops that compilers make vector instructions of, within [`pulp::Arch::dispatch`].

use std::iter::zip;

/// Partial sums that vector instructions keep side by side.
pub const LANES: usize = 16;

/// Adds `of` each value to one of the partial sums.
#[inline(always)]
pub fn add_up(sums: &mut [f32; LANES], values: &[f32], of: impl Fn(f32) -> f32) {
    let chunks = values.chunks_exact(LANES);
    zip(sums.iter_mut(), chunks.remainder()).for_each(|(sum, value)| *sum += of(*value));
    for chunk in chunks {
        zip(sums.iter_mut(), chunk).for_each(|(sum, value)| *sum += of(*value));
    }
}

/// Adds the product of each pair to one of the partial sums.
#[inline(always)]
pub fn add_products(sums: &mut [f32; LANES], a: &[f32], b: &[f32]) {
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    zip(sums.iter_mut(), zip(a.remainder(), b.remainder())).for_each(|(sum, (a, b))| *sum += a * b);
    for (a, b) in zip(a, b) {
        zip(sums.iter_mut(), zip(a, b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
}

/// The logistic function.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}

/// e to the power of `x`, with a relative error of at most 2e-7 in -87..88; below that 0, above as at 88. By additions and
/// products alone (Cody and Waite 1980; coefficients of Moshier's Cephes library).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// Added to a number, it leaves its nearest integer in the last bits.
    const ROUND: f32 = 12_582_912.0;
    // Comparisons let NaN through.
    let underflows = x < -87.0;
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    let rest = x - power * 0.693_359_4 + power * 2.121_944_4e-4;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        sum = sum * rest + coefficient;
    }
    let mantissa = sum * rest * rest + rest + 1.0;
    let scaled = mantissa * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if underflows { 0.0 } else { scaled }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials() {
        let error = |x: f32| f64::from(exp(x)) / f64::from(x).exp() - 1.0;
        let worst = (-8700..=8800).map(|x| error(x as f32 * 0.01).abs()).fold(0.0, f64::max);
        assert!(worst < 2e-7, "{worst}");
        assert!(exp(-1e9) == 0.0 && exp(f32::NEG_INFINITY) == 0.0 && exp(f32::INFINITY) > 1e38);
        assert!(exp(f32::NAN).is_nan() && exp(0.0) == 1.0);
    }

    #[test]
    fn sums_of_any_length() {
        for count in [0, 1, 15, 16, 17, 100] {
            let values: Vec<f32> = (0..count).map(|value| value as f32).collect();
            let (mut squares, mut products) = ([0.0; LANES], [0.0; LANES]);
            add_up(&mut squares, &values, |x| x * x);
            add_products(&mut products, &values, &values);
            let want: f32 = values.iter().map(|x| x * x).sum();
            assert_eq!((squares.iter().sum::<f32>(), products), (want, squares), "{count}");
        }
    }
}
