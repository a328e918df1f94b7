//! The likelihood of held-out music under a model, with its own video and with others.

use anyhow::{Result, bail};
use vmt::{Clip, Conditions, Geometry};

use super::evaluation::{Candidate, Evaluation, spread};
use super::held_out::HeldOut;
use crate::data::{Batch, Fragment, MAX_TOKENS};
use crate::fit::{on_threads, row_losses};
use crate::model::Model;
use crate::synth::Channels;

/// Clips of a fragment that go through a model at once: what memory has room for at the paper's size.
const VIEWS: usize = 7;

/// Negative log-likelihoods of the music of one fragment, in nats, summed over its events.
pub struct Likelihood {
    pub song: usize,
    pub events: usize,
    /// Events that were the most likely ones.
    pub hits: usize,
    /// With the fragment's own video, or without any for a blind model.
    pub own: f64,
    pub no_video: f64,
    /// With its own video, or without any for a blind model, and nothing known of its metre, key and end; none for a model without
    /// conditions.
    pub nothing_known: Option<f64>,
    /// With videos of other songs; none for a blind model.
    pub swapped: Vec<f64>,
    /// With its own video rendered without one channel, as in [`Channels::all_but_one`]; none for a blind model.
    pub without: Vec<f64>,
}

/// The negative log-likelihood of the music of so many fragments, spread evenly over `held_out`, with their own videos and conditions: a
/// mean over their events, in nats.
pub fn mean_nll(
    model: &Model,
    geometry: &Geometry,
    held_out: &HeldOut,
    fragments: usize,
    threads: usize,
) -> Result<f64> {
    let places = spread(held_out.count(), fragments);
    let one = |place: usize| -> Result<(f64, usize)> {
        let index = places[place];
        let clip = held_out.clip(index, index as u64, Channels::all(), geometry)?;
        let tokens = held_out.music(index);
        let events = tokens.len().min(MAX_TOKENS);
        let row = Fragment { clip: Some(clip), tokens, conditions: held_out.conditions(index) };
        let losses = row_losses(&Batch::new(vec![row], geometry, MAX_TOKENS), model);
        Ok((losses[0].0, events))
    };
    let parts = on_threads(places.len(), threads, |range| range.map(one).collect::<Result<Vec<_>>>());
    let rows = parts.into_iter().collect::<Result<Vec<_>>>()?.concat();
    Ok(rows.iter().map(|row| row.0).sum::<f64>() / rows.iter().map(|row| row.1).sum::<usize>() as f64)
}

impl Evaluation<'_> {
    /// Scores the fragment at `place`.
    pub fn likelihood(
        &self,
        Candidate { name, model, geometry, blind }: &Candidate,
        place: usize,
    ) -> Result<Likelihood> {
        let mut clips = vec![None];
        if !blind {
            let own = |channels| self.clip(place, channels, geometry).map(Some);
            clips.push(own(Channels::all())?);
            for swap in &self.swaps {
                clips.push(Some(self.clip(swap[place], Channels::all(), geometry)?));
            }
            if self.held_out.rendered() {
                for (_, channels) in Channels::all_but_one() {
                    clips.push(own(channels)?);
                }
            }
        }
        let tokens = self.held_out.music(self.fragments[place]);
        let conditions = self.held_out.conditions(self.fragments[place]);
        let row = |clip: Option<Clip>| Fragment { clip, tokens: tokens.clone(), conditions: conditions.clone() };
        let mut rows: Vec<_> = clips.into_iter().map(row).collect();
        if model.has_conditions() {
            let own = rows.get(1).unwrap_or(&rows[0]).clone();
            rows.push(Fragment { conditions: Conditions::default(), ..own });
        }
        let losses = |rows: &[Fragment]| row_losses(&Batch::new(rows.to_vec(), geometry, MAX_TOKENS), model);
        let mut losses: Vec<(f64, usize)> = rows.chunks(VIEWS).flat_map(losses).collect();
        if let Some((loss, _)) = losses.iter().find(|(loss, _)| !loss.is_finite()) {
            bail!("{name}: the likelihood of a fragment is {loss}; its weights are broken");
        }
        let nothing_known = model.has_conditions().then(|| losses.pop()).flatten().map(|(loss, _)| loss);
        let (no_video, shown) = (losses[0], &losses[1..]);
        let (own_video, hits) = *shown.first().unwrap_or(&no_video);
        let mut rest = shown.iter().skip(1).map(|&(loss, _)| loss);
        Ok(Likelihood {
            song: self.songs[place],
            events: tokens.len().min(MAX_TOKENS),
            hits,
            own: own_video,
            no_video: no_video.0,
            nothing_known,
            swapped: rest.by_ref().take(self.swaps.len()).collect(),
            without: rest.collect(),
        })
    }
}
