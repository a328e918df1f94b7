//! burn's CPU tensors as ndarray's views, and back.

use burn::backend::flex::FlexTensor;
use burn::tensor::TensorData;
use ndarray::{Array, ArrayView, Dim, Dimension, IntoDimension};

pub fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.layout().shape().dims()
}

/// The values of a contiguous tensor.
pub fn view<const D: usize>(tensor: &FlexTensor) -> ArrayView<'_, f32, Dim<[usize; D]>>
where
    [usize; D]: IntoDimension<Dim = Dim<[usize; D]>>,
    Dim<[usize; D]>: Dimension,
{
    let values = tensor.as_slice().expect("contiguous");
    ArrayView::from_shape(dims::<D>(tensor), values).expect("as many values as the shape says")
}

pub fn tensor<D: Dimension>(values: Array<f32, D>) -> FlexTensor {
    let shape = values.shape().to_vec();
    let (values, _) = values.into_raw_vec_and_offset();
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// `N` equal parts of a row.
pub fn parts<const N: usize>(row: &[f32]) -> [&[f32]; N] {
    let size = row.len() / N;
    std::array::from_fn(|part| &row[part * size..][..size])
}

pub fn parts_mut<const N: usize>(row: &mut [f32]) -> [&mut [f32]; N] {
    let size = row.len() / N;
    let mut chunks = row.chunks_exact_mut(size);
    std::array::from_fn(|_| chunks.next().expect("N parts"))
}
