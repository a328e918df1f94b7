//! An engine over any library that runs ONNX graphs: the manifest names the tensors, so no model is known here.
//!
//! tract and ONNX Runtime are behind features. Another library takes an implementation of [`Graph`] and a function that loads one:
//! `tests/it/rten.rs` has one of rten.

use std::iter::{repeat_n, zip};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{mem, panic, thread};

use ndarray::{Array, Array2, ArrayD, ArrayView, ArrayView2, Axis, RemoveAxis, s};

use super::bundle::Bundle;
use super::engine::{Engine, Session, check_takes};
use super::frame_features::FrameFeatures;
use super::graph::in_file;
pub use super::graph::{Graph, Tensor};
use super::lanes::{Decoder, Lanes};
use super::manifest::{Features, First, Manifest};
use crate::error::{Error, Result};
use crate::music::Token;
use crate::video::{Clip, Geometry};

/// Both graphs of a bundle, ready to run.
#[derive(Debug)]
pub struct OnnxEngine<G> {
    library: &'static str,
    manifest: Manifest,
    encoder: G,
    decoder: G,
    /// What is known of pictures, by all sessions.
    features: Mutex<FrameFeatures>,
}

impl<G: Graph> OnnxEngine<G> {
    /// Loads both graphs with `load` (bytes, input names, output names), at once on two threads, for libraries optimise a graph
    /// on one. Then tries two tokens with one picture and without video, so that a graph that does not fit its manifest is
    /// refused here and not in the middle of a film. `library` is the engine's [name](Engine::name).
    ///
    /// # Errors
    ///
    /// What `load` says, or if a graph does not fit.
    pub fn load(
        bundle: &Bundle,
        library: &'static str,
        load: impl Fn(&[u8], &[&str], &[&str]) -> Result<G> + Sync,
    ) -> Result<Self> {
        let manifest = bundle.manifest.clone();
        let Manifest { encoder, decoder, context, state, .. } = &manifest;
        let load = |file: &str, bytes: &[u8], inputs: &[&str], outputs: &[&str]| {
            load(bytes, inputs, outputs).map_err(in_file(file))
        };

        let mut encoded: Vec<&str> = context.iter().map(|context| context.from.as_str()).collect();
        encoded.extend(state.iter().filter_map(|state| match &state.first {
            First::Encoder(from) => Some(from.as_str()),
            First::Empty(_) => None,
        }));
        encoded.extend(encoder.features.iter().map(|features| features.new.as_str()));
        let pictures: Vec<&str> = encoder.inputs().map(String::as_str).collect();
        let mut inputs: Vec<&str> = decoder.inputs().map(String::as_str).collect();
        inputs.extend(context.iter().map(|context| context.to.as_str()));
        inputs.extend(state.iter().map(|state| state.to.as_str()));
        let mut outputs = vec![decoder.logits.as_str()];
        outputs.extend(state.iter().map(|state| state.from.as_str()));

        let load_encoder = || load(&encoder.file, &bundle.encoder, &pictures, &encoded);
        let (encoder, decoder) = thread::scope(|scope| {
            let beside = thread::Builder::new().spawn_scoped(scope, load_encoder);
            let decoder = load(&decoder.file, &bundle.decoder, &inputs, &outputs);
            let encoder = match beside {
                Ok(thread) => thread.join().unwrap_or_else(|cause| panic::resume_unwind(cause)),
                // No thread to be had.
                Err(_) => load_encoder(),
            };
            (encoder, decoder)
        });
        let (encoder, decoder) = (encoder?, decoder?);

        let engine = Self { library, manifest, encoder, decoder, features: Mutex::default() };
        let geometry = engine.geometry();
        let blank = Clip::new(ndarray::Array4::zeros((1, 3, geometry.height(), geometry.width())), &geometry)?;
        let clips = [blank, Clip::without_video(&geometry)];
        let lanes = if engine.needs_video() { 1 } else { 2 };
        let mut session = engine.session(&clips[..lanes])?;
        session.step(&[Token::PAD; 2][..lanes])?;
        session.step(&[Token::PAD; 2][..lanes])?;
        drop(session);
        Ok(engine)
    }

    pub(super) fn error(&self, reason: String) -> Error {
        Error::Engine { engine: self.library, reason }
    }

    /// Checks that each of `lanes` lanes is fed something.
    pub(super) fn check_rows(&self, tokens: &[&[Token]], lanes: usize) -> Result<()> {
        if tokens.len() == lanes && tokens.iter().all(|row| !row.is_empty()) {
            return Ok(());
        }
        let got: Vec<usize> = tokens.iter().map(|row| row.len()).collect();
        Err(self.error(format!("each of {lanes} lanes must be fed at least one token, but they got {got:?}")))
    }

    /// A lane without a picture has no meaning to a bundle of format 1.
    fn needs_video(&self) -> bool {
        self.manifest.format == 1
    }

    /// Runs the encoder; returns the frame mask, the context and the first state.
    fn encode(&self, clips: &[Clip]) -> Result<(Array2<i64>, Vec<G::Value>)> {
        let want = self.geometry();
        let longest = clips.iter().map(Clip::frames).max().ok_or_else(|| self.error("no clip to encode".into()))?;
        // Without any video there is a slot for what stands in for it.
        let longest = longest.max(1);
        let mut mask = Array2::zeros((clips.len(), longest));
        for (lane, clip) in clips.iter().enumerate() {
            clip.check(&want)?;
            if self.needs_video() && clip.frames() == 0 {
                let reason =
                    "a bundle of format 1 cannot compose without video, nor with guidance, which needs that too";
                return Err(self.error(reason.into()));
            }
            mask.slice_mut(s![lane, ..clip.frames()]).fill(1);
        }
        let in_file = in_file(&self.manifest.encoder.file);
        let value = |tensor| self.encoder.value(tensor);
        let frame_mask = value(Tensor::I64(mask.clone().into_dyn()))?;
        let Some(Features { size, new, .. }) = &self.manifest.encoder.features else {
            let mut pixels = ndarray::Array5::zeros((clips.len(), longest, 3, want.height(), want.width()));
            for (lane, clip) in clips.iter().enumerate() {
                pixels.slice_mut(s![lane, ..clip.frames(), .., .., ..]).assign(&clip.pixels());
            }
            let pixels = value(Tensor::U8(pixels.into_dyn()))?;
            return Ok((mask, self.encoder.run(&[&pixels, &frame_mask]).map_err(in_file)?));
        };
        let mut feed = self.features().feed(clips, longest, &want, *size);
        let pictures = feed.pixels.len_of(Axis(0));
        let pixels = value(Tensor::U8(mem::take(&mut feed.pixels).into_dyn()))?;
        let known = value(Tensor::F32(mem::take(&mut feed.known).into_dyn()))?;
        let indices = value(Tensor::I64(mem::take(&mut feed.indices).into_dyn()))?;
        let mut outputs = self.encoder.run(&[&pixels, &frame_mask, &known, &indices]).map_err(&in_file)?;
        let got = outputs.pop().ok_or_else(|| self.error("the encoder gave too few outputs".into()))?;
        let got = self.encoder.floats(&got).map_err(&in_file)?;
        if got.shape() != [pictures, *size] {
            let reason = format!("`{new}` must be {:?} (pictures, size), but is {:?}", [pictures, *size], got.shape());
            return Err(in_file(self.error(reason)));
        }
        let rows = got.view().into_dimensionality().map_err(|error| self.error(error.to_string()))?;
        self.features().keep(&feed, rows, &want);
        Ok((mask, outputs))
    }

    fn features(&self) -> MutexGuard<'_, FrameFeatures> {
        self.features.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self, clips: &[Clip]) -> Result<OnnxSession<'_, G>> {
        let (mask, context) = self.encode(clips)?;
        Ok(OnnxSession { engine: self, lanes: self.encoded(clips, 1, mask, context)? })
    }

    /// `takes` lanes for each of `clips`, encoded.
    pub(super) fn lanes(&self, clips: &[Clip], takes: usize) -> Result<Lanes<G::Value>> {
        check_takes(takes)?;
        if clips.len() * takes < 2 {
            return Ok(self.session(&clips[..clips.len() * takes])?.lanes);
        }
        // Each alone: beside a clip, a lane without video would cost the encoder as much as that.
        let encoded: Vec<_> =
            clips.iter().map(|clip| self.encode(std::slice::from_ref(clip))).collect::<Result<_>>()?;
        let masks: Vec<_> = encoded.iter().map(|(mask, _)| mask.view()).collect();
        let mask = self.side_by_side(&masks, takes)?;
        let outputs = encoded.first().map_or(0, |(_, outputs)| outputs.len());
        let join = |output: usize| {
            let rows: Vec<_> =
                encoded.iter().map(|(_, outputs)| self.encoder.floats(&outputs[output])).collect::<Result<_>>()?;
            let rows: Vec<_> = rows.iter().map(|row| row.view()).collect();
            self.decoder.value(Tensor::F32(self.side_by_side(&rows, takes)?))
        };
        let context = (0..outputs).map(join).collect::<Result<_>>()?;
        self.encoded(clips, takes, mask, context)
    }

    /// What the decoder needs of the bundle.
    pub(super) fn decoder(&self) -> Decoder<'_, G> {
        Decoder { graph: &self.decoder, manifest: &self.manifest, library: self.library }
    }

    /// Rows `[1, ...]` as `[rows x takes, ...]`, each so many times. A smaller one has zeros behind it, which the frame mask
    /// hides.
    fn side_by_side<T: Copy + Default, D: RemoveAxis>(
        &self,
        rows: &[ArrayView<T, D>],
        takes: usize,
    ) -> Result<Array<T, D>> {
        let mut shape = rows.first().map(ArrayView::raw_dim).unwrap_or_default();
        for row in rows {
            if row.ndim() != shape.ndim() || !row.shape().starts_with(&[1]) {
                return Err(self.error(format!("an encoder output must be [1, ...] (lanes), but is {:?}", row.shape())));
            }
            zip(shape.slice_mut(), row.shape()).for_each(|(most, &size)| *most = size.max(*most));
        }
        shape.slice_mut()[0] = rows.len() * takes;
        let mut lanes = Array::default(shape);
        for (lane, mut slots) in lanes.outer_iter_mut().enumerate() {
            let row = rows[lane / takes].index_axis(Axis(0), 0);
            slots.slice_each_axis_mut(|axis| (..row.len_of(axis.axis)).into()).assign(&row);
        }
        Ok(lanes)
    }

    fn encoded(
        &self,
        clips: &[Clip],
        takes: usize,
        mask: Array2<i64>,
        mut context: Vec<G::Value>,
    ) -> Result<Lanes<G::Value>> {
        let lanes = clips.len() * takes;
        let mut encoded = context.split_off(self.manifest.context.len()).into_iter();
        let state = self.manifest.state.iter().map(|state| match &state.first {
            First::Encoder(_) => encoded.next().ok_or_else(|| self.error("the encoder gave too few outputs".into())),
            First::Empty(shape) => {
                let shape: Vec<usize> = std::iter::once(lanes).chain(shape.iter().copied()).collect();
                let zeros = ArrayD::from_shape_vec(shape, Vec::new())
                    .map_err(|_| self.error(format!("the empty state of `{}` must have a 0 in its shape", state.to)))?;
                self.decoder.value(Tensor::F32(zeros))
            }
        });
        let conditions = clips.iter().flat_map(|clip| repeat_n(clip.conditions().clone(), takes)).collect();
        Ok(Lanes::new(mask, context, state.collect::<Result<_>>()?, conditions))
    }
}

impl<G: Graph> Engine for OnnxEngine<G> {
    fn name(&self) -> String {
        self.library.into()
    }

    fn geometry(&self) -> Geometry {
        self.manifest.geometry
    }

    fn open(&self, clips: &[Clip]) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(self.session(clips)?))
    }

    fn open_takes(&self, clips: &[Clip], takes: usize) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(OnnxSession { engine: self, lanes: self.lanes(clips, takes)? }))
    }

    fn context(&self, clips: &[Clip]) -> Result<Vec<ArrayD<f32>>> {
        let (_, outputs) = self.encode(clips)?;
        outputs.iter().map(|value| Ok(self.encoder.floats(value)?.into_owned())).collect()
    }
}

struct OnnxSession<'e, G: Graph> {
    engine: &'e OnnxEngine<G>,
    lanes: Lanes<G::Value>,
}

impl<G: Graph> Session for OnnxSession<'_, G> {
    fn lanes(&self) -> usize {
        self.lanes.count()
    }

    fn feed(&mut self, tokens: &[&[Token]]) -> Result<ArrayView2<'_, f32>> {
        self.engine.check_rows(tokens, self.lanes())?;
        self.lanes.feed(&self.engine.decoder(), tokens)?;
        Ok(self.lanes.logits())
    }
}
