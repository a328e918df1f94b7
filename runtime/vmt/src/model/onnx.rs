//! An engine over any library that runs ONNX graphs: the manifest names the tensors, so no model is known here.
//!
//! tract and ONNX Runtime are behind features. Another library takes an implementation of [`Graph`] and a function that loads one:
//! `tests/it/rten.rs` has one of rten.

use std::iter::{repeat_n, zip};
use std::sync::Arc;
use std::{panic, thread};

use ndarray::{
    Array, Array2, Array3, ArrayD, ArrayView, ArrayView2, ArrayViewD, ArrayViewMutD, Axis, Ix3, RemoveAxis, Slice, s,
};

use super::bundle::Bundle;
use super::engine::{Engine, Session, check_takes};
use super::manifest::{First, Manifest};
use crate::error::{Error, Result};
use crate::music::{Conditions, Token, VOCABULARY};
use crate::video::{Clip, Geometry};

/// What goes into a graph.
#[derive(Clone, Debug)]
pub enum Tensor {
    /// Pixels.
    U8(ArrayD<u8>),
    /// Tokens, positions, times, masks and conditions.
    I64(ArrayD<i64>),
    /// States and the encoder's outputs.
    F32(ArrayD<f32>),
}

/// A loaded graph. Its inputs and outputs are in the order of the names it was loaded with.
pub trait Graph: Send + Sync {
    /// A tensor in the library's own form, wherever the library wants it.
    type Value: Send;

    /// A tensor as the library wants it.
    ///
    /// # Errors
    ///
    /// What the library says.
    fn value(&self, tensor: Tensor) -> Result<Self::Value>;

    /// Computes the outputs.
    ///
    /// # Errors
    ///
    /// What the library says.
    fn run(&self, inputs: &[&Self::Value]) -> Result<Vec<Self::Value>>;

    /// The numbers of an output or a state.
    ///
    /// # Errors
    ///
    /// If it holds others.
    fn floats<'v>(&self, value: &'v Self::Value) -> Result<ArrayViewD<'v, f32>>;

    /// Changes the numbers of a state in place.
    ///
    /// # Errors
    ///
    /// If it holds others.
    fn write(&self, value: &mut Self::Value, change: impl FnOnce(ArrayViewMutD<f32>)) -> Result<()>;
}

/// Caches grow by so many slots: between two copies of them lie as many steps, and as many slots at most are computed in vain.
const GROWTH: usize = 64;

/// Both graphs of a bundle, ready to run.
#[derive(Debug)]
pub struct OnnxEngine<G> {
    library: &'static str,
    manifest: Manifest,
    encoder: G,
    decoder: G,
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
        let mut inputs: Vec<&str> = decoder.inputs().map(String::as_str).collect();
        inputs.extend(context.iter().map(|context| context.to.as_str()));
        inputs.extend(state.iter().map(|state| state.to.as_str()));
        let mut outputs = vec![decoder.logits.as_str()];
        outputs.extend(state.iter().map(|state| state.from.as_str()));

        let load_encoder = || load(&encoder.file, &bundle.encoder, &[&encoder.pixels, &encoder.frame_mask], &encoded);
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

        let engine = Self { library, manifest, encoder, decoder };
        let geometry = engine.geometry();
        let blank = Clip::new(ndarray::Array4::zeros((1, 3, geometry.height(), geometry.width())), &geometry)?;
        let clips = [blank, Clip::without_video(&geometry)];
        let lanes = if engine.needs_video() { 1 } else { 2 };
        let mut session = engine.open_onnx(&clips[..lanes])?;
        session.step(&[Token::PAD; 2][..lanes])?;
        session.step(&[Token::PAD; 2][..lanes])?;
        drop(session);
        Ok(engine)
    }

    fn error(&self, reason: String) -> Error {
        Error::Engine { engine: self.library, reason }
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
        let mut pixels = ndarray::Array5::zeros((clips.len(), longest, 3, want.height(), want.width()));
        let mut mask = Array2::zeros((clips.len(), longest));
        for (lane, clip) in clips.iter().enumerate() {
            let frames = clip.pixels();
            clip.check(&want)?;
            if self.needs_video() && clip.frames() == 0 {
                let reason =
                    "a bundle of format 1 cannot compose without video, nor with guidance, which needs that too";
                return Err(self.error(reason.into()));
            }
            pixels.slice_mut(s![lane, ..clip.frames(), .., .., ..]).assign(&frames);
            mask.slice_mut(s![lane, ..clip.frames()]).fill(1);
        }
        let pixels = self.encoder.value(Tensor::U8(pixels.into_dyn()))?;
        let frame_mask = self.encoder.value(Tensor::I64(mask.clone().into_dyn()))?;
        let outputs = self.encoder.run(&[&pixels, &frame_mask]).map_err(in_file(&self.manifest.encoder.file))?;
        Ok((mask, outputs))
    }

    fn open_onnx(&self, clips: &[Clip]) -> Result<OnnxSession<'_, G>> {
        let (mask, context) = self.encode(clips)?;
        self.open_encoded(clips, 1, mask, context)
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

    fn open_encoded(
        &self,
        clips: &[Clip],
        takes: usize,
        mask: Array2<i64>,
        mut context: Vec<G::Value>,
    ) -> Result<OnnxSession<'_, G>> {
        let lanes = clips.len() * takes;
        let mut encoded = context.split_off(self.manifest.context.len()).into_iter();
        if self.manifest.decoder.frame_mask.is_some() {
            context.insert(0, self.decoder.value(Tensor::I64(mask.into_dyn()))?);
        }
        let state = self.manifest.state.iter().map(|state| match &state.first {
            First::Encoder(_) => encoded.next().ok_or_else(|| self.error("the encoder gave too few outputs".into())),
            First::Empty(shape) => {
                let shape: Vec<usize> = std::iter::once(lanes).chain(shape.iter().copied()).collect();
                let zeros = ArrayD::from_shape_vec(shape, Vec::new())
                    .map_err(|_| self.error(format!("the empty state of `{}` must have a 0 in its shape", state.to)))?;
                self.decoder.value(Tensor::F32(zeros))
            }
        });
        Ok(OnnxSession {
            state: state.collect::<Result<_>>()?,
            engine: self,
            context,
            conditions: clips.iter().flat_map(|clip| repeat_n(clip.conditions().clone(), takes)).collect(),
            mask: Array2::zeros((lanes, 0)),
            slots: 0,
            fed: vec![0; lanes],
            elapsed: vec![0; lanes],
            logits: Array2::zeros((lanes, VOCABULARY)),
        })
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
        Ok(Box::new(self.open_onnx(clips)?))
    }

    fn open_takes(&self, clips: &[Clip], takes: usize) -> Result<Box<dyn Session + '_>> {
        check_takes(takes)?;
        let lanes = clips.len() * takes;
        if lanes < 2 {
            return self.open(&clips[..lanes]);
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
            self.decoder.value(Tensor::F32(self.side_by_side(&rows, takes)?))
        };
        let context = (0..outputs).map(join).collect::<Result<_>>()?;
        Ok(Box::new(self.open_encoded(clips, takes, mask, context)?))
    }

    fn context(&self, clips: &[Clip]) -> Result<Vec<ArrayD<f32>>> {
        let (_, outputs) = self.encode(clips)?;
        outputs.iter().map(|value| Ok(self.encoder.floats(value)?.to_owned())).collect()
    }
}

struct OnnxSession<'e, G: Graph> {
    engine: &'e OnnxEngine<G>,
    /// The frame mask where the decoder reads it, then the context.
    context: Vec<G::Value>,
    state: Vec<G::Value>,
    /// What is known of each lane's music.
    conditions: Vec<Arc<Conditions>>,
    /// `[lanes, past]`, 1 where a slot holds a real token. Where states append, the last slots may be empty.
    mask: Array2<i64>,
    /// Slots that have been filled.
    slots: usize,
    /// Real tokens of each lane so far.
    fed: Vec<i64>,
    /// Steps of 10 ms that have passed in each lane.
    elapsed: Vec<i64>,
    /// `[lanes, vocabulary]`, what follows the last token.
    logits: Array2<f32>,
}

impl<G: Graph> Session for OnnxSession<'_, G> {
    fn lanes(&self) -> usize {
        self.fed.len()
    }

    fn feed(&mut self, tokens: &[&[Token]]) -> Result<ArrayView2<'_, f32>> {
        let (engine, lanes) = (self.engine, self.lanes());
        let new = tokens.iter().map(|row| row.len()).max().unwrap_or(0);
        if tokens.len() != lanes || tokens.iter().any(|row| row.is_empty()) {
            let got: Vec<usize> = tokens.iter().map(|row| row.len()).collect();
            return Err(
                engine.error(format!("each of {lanes} lanes must be fed at least one token, but they got {got:?}"))
            );
        }
        let mut ids = Array2::from_elem((lanes, new), i64::from(Token::PAD.id()));
        let mut positions = Array2::zeros((lanes, new));
        let mut times = Array2::zeros((lanes, new));
        let mut elapsed = self.elapsed.clone();
        let mut mask = Array2::zeros((lanes, new));
        let columns = engine.manifest.decoder.conditions.as_ref().map_or(&[][..], |conditions| &conditions.columns);
        let mut conditions = Array3::zeros((lanes, new, columns.len()));
        for (lane, row) in tokens.iter().enumerate() {
            for (slot, token) in row.iter().enumerate() {
                ids[[lane, slot]] = token.id().into();
                positions[[lane, slot]] = self.fed[lane] + slot as i64;
                elapsed[lane] += i64::from(token.steps());
                times[[lane, slot]] = elapsed[lane];
                mask[[lane, slot]] = 1;
                if !columns.is_empty() {
                    let known = self.conditions[lane].at(elapsed[lane] as u32);
                    zip(conditions.slice_mut(s![lane, slot, ..]), columns)
                        .for_each(|(value, &condition)| *value = known[condition as usize].into());
                }
            }
        }
        let all = ndarray::concatenate![Axis(1), self.mask, mask];

        let graph = &engine.manifest.decoder;
        let mut inputs = vec![engine.decoder.value(Tensor::I64(ids.into_dyn()))?];
        let given = [(&graph.positions, positions), (&graph.times, times), (&graph.token_mask, all)];
        for (name, numbers) in given {
            if name.is_some() {
                inputs.push(engine.decoder.value(Tensor::I64(numbers.into_dyn()))?);
            }
        }
        if graph.conditions.is_some() {
            inputs.push(engine.decoder.value(Tensor::I64(conditions.into_dyn()))?);
        }
        let inputs: Vec<&G::Value> = inputs.iter().chain(&self.context).chain(&self.state).collect();
        let mut outputs = engine.decoder.run(&inputs).map_err(in_file(&graph.file))?;

        let update = outputs.split_off(1);
        let logits = engine.decoder.floats(&outputs[0]).map_err(in_file(&graph.file))?;
        let got = logits.shape().to_vec();
        let want = [lanes, new, VOCABULARY];
        let wrong = || {
            let reason = format!("`{}` must be {want:?} (lanes, new, vocabulary), but is {got:?}", graph.logits);
            in_file(&graph.file)(engine.error(reason))
        };
        let logits = logits.into_dimensionality::<Ix3>().map_err(|_| wrong())?;
        if logits.shape() != want {
            return Err(wrong());
        }
        for (lane, row) in tokens.iter().enumerate() {
            self.logits.row_mut(lane).assign(&logits.slice(s![lane, row.len() - 1, ..]));
            self.fed[lane] += row.len() as i64;
        }
        self.elapsed = elapsed;
        self.remember(update, &mask)?;
        Ok(self.logits.view())
    }
}

impl<G: Graph> OnnxSession<'_, G> {
    /// Puts what a step gave behind what is known, where it appends, else in its place.
    fn remember(&mut self, update: Vec<G::Value>, mask: &Array2<i64>) -> Result<()> {
        let OnnxEngine { decoder, manifest, .. } = self.engine;
        let filled = self.slots..self.slots + mask.ncols();
        let appends = manifest.state.iter().any(|state| state.append);
        let capacity = if appends { filled.end.next_multiple_of(GROWTH) } else { filled.end };
        let grows = capacity > self.mask.ncols();
        if grows {
            let more = Array2::zeros((self.lanes(), capacity - self.mask.ncols()));
            self.mask = ndarray::concatenate![Axis(1), self.mask, more];
        }
        self.mask.slice_mut(s![.., filled.clone()]).assign(mask);
        for ((value, new), state) in zip(&mut self.state, update).zip(&manifest.state) {
            let Some(axis) = state.appended_axis().map(Axis) else {
                *value = new;
                continue;
            };
            if grows {
                let old = decoder.floats(value)?;
                let mut shape = old.raw_dim();
                shape[axis.index()] = capacity;
                let mut whole = ArrayD::zeros(shape);
                whole.slice_axis_mut(axis, Slice::from(..old.len_of(axis))).assign(&old);
                *value = decoder.value(Tensor::F32(whole))?;
            }
            let new = decoder.floats(&new)?;
            let mut fits = false;
            decoder.write(value, |mut whole| {
                let mut place = whole.slice_axis_mut(axis, Slice::from(filled.clone()));
                fits = place.shape() == new.shape();
                if fits {
                    place.assign(&new);
                }
            })?;
            if !fits {
                let reason =
                    format!("`{}` must be what {} tokens add, but is {:?}", state.from, mask.ncols(), new.shape());
                return Err(in_file(&manifest.decoder.file)(self.engine.error(reason)));
            }
        }
        self.slots = filled.end;
        Ok(())
    }
}

/// Names the graph that an engine's complaint is about.
fn in_file(file: &str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Engine { engine, reason } => Error::Engine { engine, reason: format!("{file}: {reason}") },
        other => other,
    }
}
