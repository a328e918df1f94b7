//! The runtime's engine over a burn model: the reference that exported graphs are compared with.

use std::iter::zip;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use ndarray::{Array2, ArrayD, ArrayView2, ArrayView3};
use vmt::{Clip, Condition, Conditions, Engine, Error, Geometry, Result, Session, Token, VOCABULARY};

use super::architectures::Model;
use super::conditions::{condition_rows, condition_tensor};
use super::encoder_decoder::{EncoderDecoder, Feed};
use super::pixels::pixels;

/// Decodes with a [`Model`].
pub struct BurnEngine {
    model: Model,
    device: Device,
    geometry: Geometry,
    cached: bool,
}

impl BurnEngine {
    /// An engine whose sessions cache keys, values and states of earlier tokens.
    pub fn new(model: Model, geometry: Geometry) -> Self {
        let model = model.valid();
        Self { device: model.device().inner(), model, geometry, cached: true }
    }

    /// An engine whose sessions cache nothing: slow, and the reference of the cached one.
    pub fn uncached(model: Model, geometry: Geometry) -> Self {
        Self { cached: false, ..Self::new(model, geometry) }
    }

    fn session<'a, M: EncoderDecoder + Sync>(&'a self, model: &'a M, clips: &[Clip]) -> Box<dyn Session + 'a> {
        let (pixels, frames) = pixels(clips, &self.device);
        let memory = model.encode(pixels, frames);
        let logits = Array2::zeros((clips.len(), VOCABULARY));
        let device = &self.device;
        if self.cached {
            let state = model.initial_state(&memory);
            Box::new(Cached {
                model,
                device,
                memory,
                state,
                real: vec![Vec::new(); clips.len()],
                elapsed: vec![0; clips.len()],
                conditions: known(clips),
                logits,
            })
        } else {
            let fed = vec![Vec::new(); clips.len()];
            Box::new(Uncached { model, device, memory, fed, conditions: known(clips), logits })
        }
    }

    fn check(&self, clips: &[Clip]) -> Result<()> {
        clips.iter().try_for_each(|clip| clip.check(&self.geometry))?;
        if clips.is_empty() {
            return Err(error("a session needs at least one clip, but got none"));
        }
        Ok(())
    }
}

impl Engine for BurnEngine {
    fn name(&self) -> String {
        if self.cached { "burn".into() } else { "burn (uncached)".into() }
    }

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn open(&self, clips: &[Clip]) -> Result<Box<dyn Session + '_>> {
        self.check(clips)?;
        Ok(match &self.model {
            Model::Vmt(model) => self.session(model, clips),
            Model::Seq2Seq(model) => self.session(model, clips),
        })
    }

    fn context(&self, clips: &[Clip]) -> Result<Vec<ArrayD<f32>>> {
        self.check(clips)?;
        let (pixels, frames) = pixels(clips, &self.device);
        let encoded = match &self.model {
            Model::Vmt(model) => model.export_outputs(&model.encode(pixels, frames)),
            Model::Seq2Seq(model) => model.export_outputs(&model.encode(pixels, frames)),
        };
        let array = |data: TensorData| {
            let shape = data.shape().to_vec();
            let values = data.try_into_vec().map_err(|e| error(e.to_string()))?;
            ArrayD::from_shape_vec(shape, values).map_err(|e| error(e.to_string()))
        };
        encoded.into_iter().map(array).collect()
    }
}

/// Feeds the new tokens alone.
struct Cached<'a, M: EncoderDecoder> {
    model: &'a M,
    device: &'a Device,
    memory: M::Memory,
    state: M::State,
    /// Which slots hold a real token, `[lanes, past]`.
    real: Vec<Vec<bool>>,
    /// Steps of 10 ms that have passed in each lane.
    elapsed: Vec<i64>,
    /// What is known of each lane's music.
    conditions: Vec<Arc<Conditions>>,
    logits: Array2<f32>,
}

impl<M: EncoderDecoder + Sync> Session for Cached<'_, M> {
    fn lanes(&self) -> usize {
        self.real.len()
    }

    fn feed(&mut self, tokens: &[&[Token]]) -> Result<ArrayView2<'_, f32>> {
        check(tokens, self.lanes())?;
        let new = longest(tokens);
        let mut positions = Vec::with_capacity(tokens.len() * new);
        let mut times = Vec::with_capacity(tokens.len() * new);
        let mut known = Vec::with_capacity(tokens.len() * new * Condition::ALL.len());
        let lanes = zip(zip(&mut self.real, &mut self.elapsed), &self.conditions);
        for (((real, elapsed), conditions), row) in zip(lanes, tokens) {
            known.extend(condition_rows(conditions, *elapsed as u32, row, new));
            let past = real.iter().filter(|&&real| real).count();
            positions.extend((past..past + new).map(|place| place as i64));
            real.extend((0..new).map(|i| i < row.len()));
            times.extend((0..new).map(|i| {
                *elapsed += row.get(i).map_or(0, |token| i64::from(token.steps()));
                *elapsed
            }));
        }
        let real = TensorData::new(self.real.concat(), [tokens.len(), self.real[0].len()]);
        let feed = Feed {
            tokens: ids(tokens, self.device),
            positions: Tensor::from_data(TensorData::new(positions, [tokens.len(), new]), self.device),
            times: Tensor::from_data(TensorData::new(times, [tokens.len(), new]), self.device),
            real: Tensor::from_data(real, self.device),
            conditions: condition_tensor(known, [tokens.len(), new], self.device),
        };
        let (logits, state) = self.model.decode_step(feed, &self.memory, &self.state);
        self.state = state;
        self.logits = last_of_each(logits, tokens)?;
        Ok(self.logits.view())
    }
}

/// Feeds all tokens, every time.
struct Uncached<'a, M: EncoderDecoder> {
    model: &'a M,
    device: &'a Device,
    memory: M::Memory,
    /// All tokens of each lane.
    fed: Vec<Vec<Token>>,
    /// What is known of each lane's music.
    conditions: Vec<Arc<Conditions>>,
    logits: Array2<f32>,
}

impl<M: EncoderDecoder + Sync> Session for Uncached<'_, M> {
    fn lanes(&self) -> usize {
        self.fed.len()
    }

    fn feed(&mut self, tokens: &[&[Token]]) -> Result<ArrayView2<'_, f32>> {
        check(tokens, self.lanes())?;
        for (fed, row) in zip(&mut self.fed, tokens) {
            fed.extend_from_slice(row);
        }
        let fed: Vec<&[Token]> = self.fed.iter().map(Vec::as_slice).collect();
        let longest = longest(&fed);
        let known = zip(&self.conditions, &fed)
            .flat_map(|(conditions, row)| condition_rows(conditions, 0, row, longest))
            .collect();
        let conditions = condition_tensor(known, [fed.len(), longest], self.device);
        let feed = Feed { conditions, ..Feed::whole(ids(&fed, self.device)) };
        let logits = self.model.decode(feed, &self.memory);
        self.logits = last_of_each(logits, &fed)?;
        Ok(self.logits.view())
    }
}

fn known(clips: &[Clip]) -> Vec<Arc<Conditions>> {
    clips.iter().map(|clip| clip.conditions().clone()).collect()
}

fn check(tokens: &[&[Token]], lanes: usize) -> Result<()> {
    if tokens.len() != lanes {
        return Err(error(format!("tokens for {lanes} lanes are wanted, but {} came", tokens.len())));
    }
    match tokens.iter().position(|row| row.is_empty()) {
        Some(lane) => Err(error(format!("at least one token a lane is wanted, but lane {lane} got none"))),
        None => Ok(()),
    }
}

fn longest(rows: &[&[Token]]) -> usize {
    rows.iter().map(|row| row.len()).max().unwrap_or(0)
}

/// `[rows, longest]`, padded on the right.
fn ids(rows: &[&[Token]], device: &Device) -> Tensor<2, Int> {
    let longest = longest(rows);
    let padded = |row: &&[Token]| (0..longest).map(|i| i64::from(row.get(i).unwrap_or(&Token::PAD).id())).collect();
    let ids: Vec<Vec<i64>> = rows.iter().map(padded).collect();
    Tensor::from_data(TensorData::new(ids.concat(), [rows.len(), longest]), device)
}

/// What follows the last token of each row: `[rows, slots, 310]` to `[rows, 310]`.
fn last_of_each(logits: Tensor<3>, rows: &[&[Token]]) -> Result<Array2<f32>> {
    let dims = logits.dims();
    let values = logits.try_into_vec_as::<f32>().map_err(|e| error(e.to_string()))?;
    let logits = ArrayView3::from_shape(dims, &values).expect("as many values as the shape says");
    Ok(Array2::from_shape_fn((rows.len(), VOCABULARY), |(row, event)| logits[[row, rows[row].len() - 1, event]]))
}

fn error(reason: impl Into<String>) -> Error {
    Error::Engine { engine: "burn", reason: reason.into() }
}
