//! Batches: fragments as tensors.

use std::ops::Range;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use vmt::{Clip, Geometry, Token};

use super::auxiliary::auxiliary_targets;
use super::fragment::Fragment;
use crate::model::conditions::{condition_rows, condition_tensor};
use crate::model::{AUXILIARY_OUTPUTS, Feed, rows_of_pixels};

/// Fragments that are trained on together.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    rows: Vec<Fragment>,
    geometry: Geometry,
    /// Tokens of the longest row.
    longest: usize,
}

impl Batch {
    /// Rows longer than `max_tokens` are truncated.
    pub fn new(mut rows: Vec<Fragment>, geometry: &Geometry, max_tokens: usize) -> Self {
        rows.iter_mut().for_each(|row| row.tokens.truncate(max_tokens));
        let longest = rows.iter().map(|row| row.tokens.len()).max().unwrap_or(0);
        Self { rows, geometry: *geometry, longest }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Number of target tokens, over all rows.
    pub fn tokens(&self) -> usize {
        self.rows.iter().map(|row| row.tokens.len()).sum()
    }

    /// The same music without video.
    pub fn without_video(&self) -> Self {
        let row = |row: &Fragment| Fragment { clip: None, ..row.clone() };
        Self { rows: self.rows.iter().map(row).collect(), ..*self }
    }

    /// Number of pictures, over all rows.
    pub fn pictures(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.clip).map(Clip::frames).sum()
    }

    /// The target tokens of a row.
    pub fn row(&self, row: usize) -> &[Token] {
        &self.rows[row].tokens
    }

    /// The video of some rows: `[rows, frames, 3, height, width]`, and the mask `[rows, frames]` that is true where there is a
    /// picture.
    pub fn pixels(&self, rows: Range<usize>, device: &Device) -> (Tensor<5, Int>, Tensor<2, Bool>) {
        let clips: Vec<_> = self.rows[rows].iter().map(|row| row.clip.as_ref()).collect();
        rows_of_pixels(&clips, [self.geometry.height(), self.geometry.width()], device)
    }

    /// The decoder's input for some rows (teacher forcing): the [targets](Self::targets) behind a PAD, without their last.
    pub fn inputs(&self, rows: Range<usize>, device: &Device) -> Feed {
        let shifted = |tokens: &[Token]| [&[Token::PAD], &tokens[..tokens.len() - 1]].concat();
        let rows = &self.rows[rows];
        Feed { conditions: self.conditions(rows, device), ..Feed::whole(self.ids(rows, shifted, device)) }
    }

    /// The target tokens of some rows, `[rows, longest]`, PAD behind the end of each. `longest` is of the whole batch: it does not
    /// matter how the rows are divided among threads.
    pub fn targets(&self, rows: Range<usize>, device: &Device) -> Tensor<2, Int> {
        self.ids(&self.rows[rows], <[Token]>::to_vec, device)
    }

    /// The targets of the [auxiliary head](super::auxiliary) for some rows, padded to `frames`, and a mask that is 1 where there
    /// is one; both `[rows, frames, `[`AUXILIARY_OUTPUTS`]`]`.
    pub fn auxiliary(&self, rows: Range<usize>, frames: usize, device: &Device) -> (Tensor<3>, Tensor<3>) {
        let rows = &self.rows[rows];
        let row = |row: &Fragment| {
            let shown = row.clip.as_ref().map_or(0, Clip::frames);
            let mut targets = if shown > 0 { auxiliary_targets(&row.tokens, &self.geometry) } else { Vec::new() };
            targets.truncate(shown);
            targets.resize(frames, [None; AUXILIARY_OUTPUTS]);
            targets
        };
        let targets: Vec<_> = rows.iter().flat_map(row).flatten().collect();
        let tensor = |value: fn(&Option<f32>) -> f32| {
            let values: Vec<_> = targets.iter().map(value).collect();
            Tensor::from_data(TensorData::new(values, [rows.len(), frames, AUXILIARY_OUTPUTS]), device)
        };
        (tensor(|value| value.unwrap_or(0.0)), tensor(|value| value.is_some().into()))
    }

    /// What is known of the moment after each input token, `[rows, longest, conditions]`.
    fn conditions(&self, rows: &[Fragment], device: &Device) -> Tensor<3, Int> {
        // The first input is PAD, which takes no time.
        let inputs = |row: &Fragment| [&[Token::PAD], row.tokens.as_slice()].concat();
        let known = |row: &Fragment| condition_rows(&row.conditions, 0, &inputs(row), self.longest);
        condition_tensor(rows.iter().flat_map(known).collect(), [rows.len(), self.longest], device)
    }

    /// `[rows, longest]`, padded on the right.
    fn ids(&self, rows: &[Fragment], tokens: impl Fn(&[Token]) -> Vec<Token>, device: &Device) -> Tensor<2, Int> {
        let mut ids = Vec::with_capacity(rows.len() * self.longest);
        for (index, row) in rows.iter().enumerate() {
            ids.extend(tokens(&row.tokens).iter().map(|token| i64::from(token.id())));
            ids.resize((index + 1) * self.longest, Token::PAD.id().into());
        }
        Tensor::from_data(TensorData::new(ids, [rows.len(), self.longest]), device)
    }
}
