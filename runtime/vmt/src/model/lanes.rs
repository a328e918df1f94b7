//! Lanes that are decoded side by side, and the memory of each: lanes join, rest for a step, and leave.

use std::iter::zip;
use std::sync::Arc;

use ndarray::{Array, Array2, Array3, ArrayView, ArrayView2, ArrayViewD, Axis, Dimension, Ix2, Ix3, IxDyn, s};

use super::graph::{Graph, Tensor, in_file};
use super::manifest::Manifest;
use crate::error::{Error, Result};
use crate::music::{Conditions, Token, VOCABULARY};

/// Caches grow by so many slots: between two copies of them lie as many steps, and as many slots at most are computed in vain.
const GROWTH: usize = 64;

/// The decoder's graph, and what its inputs and outputs are.
pub(super) struct Decoder<'e, G> {
    pub graph: &'e G,
    pub manifest: &'e Manifest,
    pub library: &'static str,
}

impl<G: Graph> Decoder<'_, G> {
    fn error(&self, reason: String) -> Error {
        in_file(&self.manifest.decoder.file)(Error::Engine { engine: self.library, reason })
    }

    /// Whether each lane's slots are its own, so that lanes can join others. Where the graph returns whole caches (VMT in bundles of
    /// format 2), all lanes have as many slots, and each step adds some to all.
    pub(super) fn joins(&self) -> bool {
        self.manifest.state.iter().all(|state| state.append || state.has_one_size())
    }

    /// `value` with `lanes` lanes and at least the room that `rows` need, which are copied into the lanes `at`.
    fn put(&self, value: &mut G::Value, lanes: usize, at: &[usize], rows: ArrayViewD<f32>) -> Result<()> {
        let old = self.graph.floats(value)?;
        let mut shape = old.raw_dim();
        zip(shape.slice_mut(), rows.shape()).for_each(|(most, &size)| *most = size.max(*most));
        shape[0] = lanes;
        if shape != old.raw_dim() {
            *value = self.graph.value(Tensor::F32(enlarged(&old.view(), shape)))?;
        }
        self.graph.write(value, |mut whole| {
            for (&lane, row) in zip(at, rows.outer_iter()) {
                let mut slots = whole.index_axis_mut(Axis(0), lane);
                slots.slice_each_axis_mut(|axis| (..row.len_of(axis.axis)).into()).assign(&row);
            }
        })
    }

    /// `value` with these lanes alone.
    fn select(&self, value: &mut G::Value, lanes: &[usize]) -> Result<()> {
        let kept = self.graph.floats(value)?.select(Axis(0), lanes);
        *value = self.graph.value(Tensor::F32(kept))?;
        Ok(())
    }
}

/// Lanes, in the order of the rows of all tensors.
pub(super) struct Lanes<V> {
    /// `[lanes, frames]`, 1 where there is a picture.
    frame_mask: Array2<i64>,
    /// What the encoder gave.
    context: Vec<V>,
    state: Vec<V>,
    /// What is known of each lane's music.
    conditions: Vec<Arc<Conditions>>,
    /// `[lanes, past]`, 1 where a slot holds a real token. Each lane's last slots may be empty.
    mask: Array2<i64>,
    /// Slots of each lane that have been filled.
    filled: Vec<usize>,
    /// Real tokens of each lane so far.
    fed: Vec<i64>,
    /// Steps of 10 ms that have passed in each lane.
    elapsed: Vec<i64>,
    /// `[lanes, vocabulary]`, what follows the last token.
    logits: Array2<f32>,
}

impl<V> Lanes<V> {
    pub fn new(frame_mask: Array2<i64>, context: Vec<V>, state: Vec<V>, conditions: Vec<Arc<Conditions>>) -> Self {
        let lanes = conditions.len();
        Self {
            frame_mask,
            context,
            state,
            conditions,
            mask: Array2::zeros((lanes, 0)),
            filled: vec![0; lanes],
            fed: vec![0; lanes],
            elapsed: vec![0; lanes],
            logits: Array2::zeros((lanes, VOCABULARY)),
        }
    }

    pub fn count(&self) -> usize {
        self.fed.len()
    }

    /// `[lanes, vocabulary]`, what follows the last token of each.
    pub fn logits(&self) -> ArrayView2<'_, f32> {
        self.logits.view()
    }

    /// Feeds tokens to each lane; one that gets none rests: nothing of it changes.
    pub fn feed<G: Graph<Value = V>>(&mut self, decoder: &Decoder<G>, tokens: &[&[Token]]) -> Result<()> {
        let Decoder { graph, manifest, .. } = decoder;
        let (names, lanes) = (&manifest.decoder, self.count());
        let new = tokens.iter().map(|row| row.len()).max().unwrap_or(0);
        let mut ids = Array2::from_elem((lanes, new), i64::from(Token::PAD.id()));
        let mut positions = Array2::zeros((lanes, new));
        let mut times = Array2::zeros((lanes, new));
        let mut elapsed = self.elapsed.clone();
        let mut mask = Array2::zeros((lanes, new));
        let columns = names.conditions.as_ref().map_or(&[][..], |conditions| &conditions.columns);
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
            if row.is_empty() {
                // A row without any token is more than some libraries take: it is fed padding, which is forgotten.
                mask[[lane, 0]] = 1;
            }
        }
        let all = ndarray::concatenate![Axis(1), self.mask, mask];

        let mut inputs = vec![graph.value(Tensor::I64(ids.into_dyn()))?];
        for (name, numbers) in [(&names.positions, positions), (&names.times, times), (&names.token_mask, all)] {
            if name.is_some() {
                inputs.push(graph.value(Tensor::I64(numbers.into_dyn()))?);
            }
        }
        if names.conditions.is_some() {
            inputs.push(graph.value(Tensor::I64(conditions.into_dyn()))?);
        }
        if names.frame_mask.is_some() {
            inputs.push(graph.value(Tensor::I64(self.frame_mask.clone().into_dyn()))?);
        }
        let inputs: Vec<&G::Value> = inputs.iter().chain(&self.context).chain(&self.state).collect();
        let mut outputs = graph.run(&inputs).map_err(in_file(&names.file))?;

        let update = outputs.split_off(1);
        let logits = graph.floats(&outputs[0]).map_err(in_file(&names.file))?;
        let got = logits.shape().to_vec();
        let want = [lanes, new, VOCABULARY];
        let wrong = || {
            let reason = format!("`{}` must be {want:?} (lanes, new, vocabulary), but is {got:?}", names.logits);
            decoder.error(reason)
        };
        let logits = logits.view().into_dimensionality::<Ix3>().map_err(|_| wrong())?;
        if logits.shape() != want {
            return Err(wrong());
        }
        for (lane, row) in tokens.iter().enumerate().filter(|(_, row)| !row.is_empty()) {
            self.logits.row_mut(lane).assign(&logits.slice(s![lane, row.len() - 1, ..]));
            self.fed[lane] += row.len() as i64;
        }
        self.elapsed = elapsed;
        let fed: Vec<usize> = tokens.iter().map(|row| row.len()).collect();
        self.remember(decoder, update, &fed, new)
    }

    /// Puts what a step gave behind what is known, where it appends, else in its place. `fed` are the tokens of each lane.
    fn remember<G: Graph<Value = V>>(
        &mut self,
        decoder: &Decoder<G>,
        update: Vec<V>,
        fed: &[usize],
        new: usize,
    ) -> Result<()> {
        let Decoder { graph, manifest, .. } = decoder;
        let own = decoder.joins();
        let starts = if own { self.filled.clone() } else { vec![self.mask.ncols(); fed.len()] };
        let ends: Vec<usize> = zip(&starts, fed).map(|(start, &fed)| start + if own { fed } else { new }).collect();
        // Room for all that is new, of any lane.
        let most = starts.iter().copied().max().unwrap_or(0) + new;
        let capacity = if own { most.next_multiple_of(GROWTH) } else { most };
        if capacity > self.mask.ncols() {
            self.mask = enlarged(&self.mask.view(), Ix2(fed.len(), capacity));
        }
        for (lane, (&start, &fed)) in zip(&starts, fed).enumerate() {
            self.mask.slice_mut(s![lane, start..start + fed]).fill(1);
        }
        for ((value, mut new_value), state) in zip(&mut self.state, update).zip(&manifest.state) {
            let Some(axis) = state.appended_axis() else {
                for (lane, _) in fed.iter().enumerate().filter(|(_, fed)| **fed == 0) {
                    let old = graph.floats(value)?.index_axis(Axis(0), lane).to_owned();
                    graph.write(&mut new_value, |mut new| new.index_axis_mut(Axis(0), lane).assign(&old))?;
                }
                *value = new_value;
                continue;
            };
            let (mut want, got) = (graph.shape(value)?, graph.shape(&new_value)?);
            if want[axis] < capacity {
                want[axis] = capacity;
                *value = graph.value(Tensor::F32(enlarged(&graph.floats(value)?.view(), IxDyn(&want))))?;
            }
            want[axis] = new;
            if got != want {
                let reason = format!("`{}` must be what {new} tokens add, but is {got:?}", state.from);
                return Err(decoder.error(reason));
            }
            graph.append(value, axis, &new_value, &starts, fed)?;
        }
        self.filled = ends;
        Ok(())
    }

    /// Copies each lane of `others` to its index in `at`: over the lane that is there, or behind the last one. Only if
    /// [`Decoder::joins`].
    pub fn put<G: Graph<Value = V>>(&mut self, decoder: &Decoder<G>, at: &[usize], others: Self) -> Result<()> {
        let lanes = at.iter().map(|lane| lane + 1).max().unwrap_or(0).max(self.count());
        for (value, other) in zip(&mut self.context, &others.context).chain(zip(&mut self.state, &others.state)) {
            decoder.put(value, lanes, at, decoder.graph.floats(other)?.view())?;
        }
        for (mask, other) in [(&mut self.frame_mask, &others.frame_mask), (&mut self.mask, &others.mask)] {
            *mask = enlarged(&mask.view(), Ix2(lanes, mask.ncols().max(other.ncols())));
        }
        self.logits = enlarged(&self.logits.view(), Ix2(lanes, VOCABULARY));
        self.filled.resize(lanes, 0);
        self.fed.resize(lanes, 0);
        self.elapsed.resize(lanes, 0);
        self.conditions.resize(lanes, Arc::default());
        for (from, &to) in at.iter().enumerate() {
            for (mask, other) in [(&mut self.frame_mask, &others.frame_mask), (&mut self.mask, &others.mask)] {
                mask.row_mut(to).fill(0);
                mask.slice_mut(s![to, ..other.ncols()]).assign(&other.row(from));
            }
            self.logits.row_mut(to).assign(&others.logits.row(from));
            self.filled[to] = others.filled[from];
            self.fed[to] = others.fed[from];
            self.elapsed[to] = others.elapsed[from];
            self.conditions[to] = others.conditions[from].clone();
        }
        Ok(())
    }

    /// Keeps these lanes alone, in this order.
    pub fn keep<G: Graph<Value = V>>(&mut self, decoder: &Decoder<G>, lanes: &[usize]) -> Result<()> {
        for value in self.context.iter_mut().chain(&mut self.state) {
            decoder.select(value, lanes)?;
        }
        for mask in [&mut self.frame_mask, &mut self.mask] {
            *mask = mask.select(Axis(0), lanes);
        }
        self.logits = self.logits.select(Axis(0), lanes);
        for counts in [&mut self.fed, &mut self.elapsed] {
            *counts = lanes.iter().map(|&lane| counts[lane]).collect();
        }
        self.filled = lanes.iter().map(|&lane| self.filled[lane]).collect();
        self.conditions = lanes.iter().map(|&lane| self.conditions[lane].clone()).collect();
        Ok(())
    }
}

/// `old` with zeros behind it on each axis.
fn enlarged<T: Copy + Default, D: Dimension>(old: &ArrayView<T, D>, shape: D) -> Array<T, D> {
    let mut whole = Array::default(shape);
    whole.slice_each_axis_mut(|axis| (..old.len_of(axis.axis)).into()).assign(old);
    whole
}
