//! `manifest.yaml`: all that the runtime must know of a bundle. The one place that reads and writes it.

use std::collections::BTreeMap;
use std::iter;

use serde::{Deserialize, Serialize};

use crate::music::Condition;
use crate::video::Geometry;

/// The manifest's file name.
pub const MANIFEST: &str = "manifest.yaml";

/// The newest version of this file format, whose encoders give [`features`](EncoderGraph::features) of pictures. In version 1 each
/// lane has to have a picture. Version 2 has no [`conditions`](DecoderGraph::conditions) and no state that [appends](State::append).
pub const FORMAT: u32 = 4;

/// The oldest version that runs.
pub const OLDEST_FORMAT: u32 = 1;

/// The name of the vocabulary of [`Event`](crate::Event)s: 310 of them, 10 ms steps.
pub const PERFORMANCE_310: &str = "performance-310";

/// A bundle's table of contents. Unknown fields are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "training"), non_exhaustive)]
pub struct Manifest {
    /// [`OLDEST_FORMAT`] to [`FORMAT`].
    pub format: u32,
    /// A name for people.
    pub name: String,
    /// What the model is and what it learned from.
    pub description: String,
    /// SPDX expression for the weights.
    pub license: String,
    /// [`PERFORMANCE_310`].
    pub vocabulary: String,
    /// The clips that the model expects.
    pub geometry: Geometry,
    /// The most tokens that one window may take.
    pub max_tokens: usize,
    /// The graph that runs once per window.
    pub encoder: EncoderGraph,
    /// The graph that runs once per token.
    pub decoder: DecoderGraph,
    /// Encoder outputs that the decoder reads unchanged at every step.
    #[serde(default)]
    pub context: Vec<Context>,
    /// Tensors that the decoder hands to itself from step to step.
    pub state: Vec<State>,
    /// Per engine: how far its results were from the training library's when the bundle was made.
    #[serde(default)]
    pub parity: BTreeMap<String, Parity>,
}

/// The encoder and the names of its inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "training"), non_exhaustive)]
pub struct EncoderGraph {
    /// Its name inside the bundle's folder.
    pub file: String,
    /// SHA-256 of the file in lower-case hexadecimal.
    pub sha256: String,
    /// u8 `[pictures, 2, 3, height, width]`, at least one: each behind the picture before it, the first of a window behind itself.
    /// Without [`features`](Self::features), u8 `[lanes, frames, 3, height, width]`.
    pub pixels: String,
    /// i64 `[lanes, frames]`, 1 for a picture, 0 for padding on the right; a lane of padding alone has no video.
    pub frame_mask: String,
    /// What is computed of each picture alone, which windows that share a picture can share. From format 4 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Features>,
}

/// How features of pictures go into the encoder and come out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "training"), non_exhaustive)]
pub struct Features {
    /// How many numbers a picture has.
    pub size: usize,
    /// The input f32 `[known, size]`: features of pictures that were encoded before, or none.
    pub known: String,
    /// The input i64 `[lanes, frames]`: which row is in each slot, counting `known` first and `new` behind it.
    pub indices: String,
    /// The output f32 `[pictures, size]`: features of `pixels`.
    pub new: String,
}

impl EncoderGraph {
    /// The names of its inputs, in the order in which they are fed.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &String> {
        let features = self.features.iter().flat_map(|features| [&features.known, &features.indices]);
        [&self.pixels, &self.frame_mask].into_iter().chain(features)
    }
}

/// The decoder and the names of its inputs and its output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "training"), non_exhaustive)]
pub struct DecoderGraph {
    /// Its name inside the bundle's folder.
    pub file: String,
    /// SHA-256 of the file in lower-case hexadecimal.
    pub sha256: String,
    /// i64 `[lanes, new]`.
    pub tokens: String,
    /// i64 `[lanes, new]`: each token's place among the real tokens of its lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<String>,
    /// i64 `[lanes, new]`: steps of 10 ms from the beginning of the window to the end of each token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<String>,
    /// i64 `[lanes, past + new]`, 1 for a real token, 0 for padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_mask: Option<String>,
    /// i64 `[lanes, frames]`, as the encoder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_mask: Option<String>,
    /// What is known of the moment after each token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<ConditionsInput>,
    /// f32 `[lanes, new, 310]`.
    pub logits: String,
}

/// The decoder's input for what is known of the music.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionsInput {
    /// i64 `[lanes, new, columns]`, each in `0..`[`Condition::values`], 0 for unknown.
    pub input: String,
    /// What each column holds.
    pub columns: Vec<Condition>,
}

impl DecoderGraph {
    /// The names of its inputs but for context and state, in the order in which they are fed.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &String> {
        let Self { tokens, positions, times, token_mask, conditions, frame_mask, .. } = self;
        let conditions = conditions.as_ref().map(|conditions| &conditions.input);
        let options = [positions, times, token_mask].map(Option::as_ref).into_iter();
        iter::once(tokens).chain(options.chain([conditions, frame_mask.as_ref()]).flatten())
    }
}

/// An encoder output that is a decoder input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "training"), non_exhaustive)]
pub struct Context {
    /// The encoder's output.
    pub from: String,
    /// The decoder's input.
    pub to: String,
}

/// A decoder output that is a decoder input of the next step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "training"), non_exhaustive)]
pub struct State {
    /// The decoder's output.
    pub from: String,
    /// The decoder's input.
    pub to: String,
    /// What the input is at the first step: `empty: [heads, 0, size]` or `encoder: NAME`.
    #[serde(with = "serde_yaml::with::singleton_map")]
    pub first: First,
    /// Whether the output has only what the new tokens add (`[lanes, heads, new, size]`), and the runtime keeps the whole, which
    /// grows along the axis that is empty at first. The input may have slots behind what was added (`past` is then their
    /// number), which the token mask hides. Either all states that are [`First::Empty`] append or none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub append: bool,
}

impl State {
    /// Whether it is as large at every step.
    pub(crate) fn has_one_size(&self) -> bool {
        matches!(self.first, First::Encoder(_))
    }

    /// The axis that grows by what is appended, those of the lanes counted, if this state [appends](Self::append).
    pub(crate) fn appended_axis(&self) -> Option<usize> {
        match &self.first {
            First::Empty(shape) if self.append => shape.iter().position(|&size| size == 0).map(|axis| axis + 1),
            _ => None,
        }
    }
}

/// A state before the first step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[cfg_attr(not(feature = "training"), non_exhaustive)]
pub enum First {
    /// Nothing: f32 of this shape behind the lanes, one of them 0 (`[heads, 0, size]`).
    Empty(Vec<usize>),
    /// This output of the encoder.
    Encoder(String),
}

/// Worst absolute differences to the training library, rounded up to a power of ten, at least 1e-5.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "training"), non_exhaustive)]
pub struct Parity {
    /// Over all encoder outputs.
    pub encoder: f32,
    /// Over the logits of every step.
    pub logits: f32,
    /// Steps compared, and greedy tokens that were equal.
    pub tokens: usize,
}
