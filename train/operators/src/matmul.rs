//! Matrix products in place, by the crate that burn's CPU backend uses: the one use of `unsafe`.

use gemm::Parallelism;
use ndarray::{ArrayView2, ArrayViewMut2};

/// `out = a b`.
pub fn matmul(out: ArrayViewMut2<f32>, a: ArrayView2<f32>, b: ArrayView2<f32>) {
    multiply(out, a, b, false);
}

/// `out += a b`.
pub fn matmul_add(out: ArrayViewMut2<f32>, a: ArrayView2<f32>, b: ArrayView2<f32>) {
    multiply(out, a, b, true);
}

#[allow(unsafe_code)]
fn multiply(mut out: ArrayViewMut2<f32>, a: ArrayView2<f32>, b: ArrayView2<f32>, add: bool) {
    let ((rows, inner), (again, columns)) = (a.dim(), b.dim());
    assert!(inner == again && out.dim() == (rows, columns), "{:?} times {:?}", a.dim(), b.dim());
    let strides = [out.strides(), a.strides(), b.strides()].map(|strides| [strides[0], strides[1]]);
    let [[out_row, out_column], [a_row, a_column], [b_row, b_column]] = strides;
    // SAFETY: each pointer and its strides are those of a view with the number of rows and columns that gemm is told.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            out_column,
            out_row,
            add,
            a.as_ptr(),
            a_column,
            a_row,
            b.as_ptr(),
            b_column,
            b_row,
            if add { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn products_of_any_layout() {
        let (a, b) = (array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], array![[1.0, -1.0], [0.0, 2.0], [3.0, 0.5]]);
        let mut out = Array2::from_elem([2, 2], 100.0);
        matmul(out.view_mut(), a.view(), b.view());
        assert_eq!(out, array![[10.0, 4.5], [22.0, 9.0]]);
        matmul_add(out.view_mut(), a.view(), b.view());
        assert_eq!(out, array![[20.0, 9.0], [44.0, 18.0]]);
        // The transposed product, into a transposed view.
        matmul(out.view_mut().reversed_axes(), b.t(), a.t());
        assert_eq!(out, array![[10.0, 4.5], [22.0, 9.0]]);
    }

    #[test]
    #[should_panic(expected = "(2, 3) times (2, 3)")]
    fn shapes_must_fit() {
        let a = Array2::zeros([2, 3]);
        matmul(Array2::zeros([2, 3]).view_mut(), a.view(), a.view());
    }
}
