//! Clips as tensors.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use vmt::Clip;

/// The pictures of `clips` (at least one) as `[clips, frames, 3, height, width]`, padded with black to the longest clip, and the
/// mask `[clips, frames]` that is true where there is a picture. All clips must be of one size.
pub fn pixels(clips: &[Clip], device: &Device) -> (Tensor<5, Int>, Tensor<2, Bool>) {
    let (_, _, height, width) = clips[0].pixels().dim();
    let rows: Vec<_> = clips.iter().map(Some).collect();
    rows_of_pixels(&rows, [height, width], device)
}

/// As [`pixels`], where `None` is a row without video; all clips must be of `[height, width]`.
pub fn rows_of_pixels(
    clips: &[Option<&Clip>],
    [height, width]: [usize; 2],
    device: &Device,
) -> (Tensor<5, Int>, Tensor<2, Bool>) {
    let counts: Vec<usize> = clips.iter().map(|clip| clip.map_or(0, Clip::frames)).collect();
    let frames = counts.iter().copied().fold(1, usize::max);
    let size = 3 * height * width;
    let mut bytes = Vec::with_capacity(clips.len() * frames * size);
    for (row, clip) in clips.iter().enumerate() {
        if let Some(clip) = clip {
            bytes.extend(clip.pixels());
        }
        bytes.resize((row + 1) * frames * size, 0u8);
    }
    let real: Vec<bool> = counts.iter().flat_map(|&count| (0..frames).map(move |frame| frame < count)).collect();
    (
        Tensor::from_data(TensorData::new(bytes, [clips.len(), frames, 3, height, width]), device),
        Tensor::from_data(TensorData::new(real, [clips.len(), frames]), device),
    )
}
