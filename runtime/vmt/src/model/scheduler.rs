//! Continuous batching (Yu et al. 2022, Orca): sessions that are decoded at once, on threads of their own, share the decoder's steps.

use std::fmt;
use std::iter::zip;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ndarray::{Array2, ArrayD, ArrayView2, Axis};

use super::engine::{Engine, Session};
use super::graph::Graph;
use super::lanes::Lanes;
use super::onnx::OnnxEngine;
use crate::error::{Error, Result};
use crate::music::Token;
use crate::video::{Clip, Geometry};

/// An engine whose sessions are decoded side by side wherever they are: open and feed them on threads of their own, and what
/// is fed at about the same time is one step of one batch. What a session gets does not depend on those beside it.
///
/// The encoder, and the tokens that a session is fed first, run alone. Then its lanes join the batch, in rows that others have
/// left where there are any, and leave it when the session is dropped. A step begins when all sessions of the batch have been
/// fed; one that is late by more than the last step took is left out of it. Sessions of
/// VMT in bundles of format 2, whose caches cannot be joined, run alone.
#[derive(Debug)]
pub struct Scheduler<G: Graph> {
    engine: OnnxEngine<G>,
    max_lanes: usize,
    batch: Mutex<Batch<G::Value>>,
    /// A step was done, or a session has left.
    changed: Condvar,
}

struct Batch<V> {
    /// `None` where there is no session.
    lanes: Option<Lanes<V>>,
    rows: Vec<Row>,
    /// Sessions that have rows, and how many of them were fed.
    sessions: usize,
    fed: usize,
    /// When the first of these was fed.
    since: Instant,
    /// How long the last step took.
    took: Duration,
    /// For names of sessions.
    opened: u64,
}

/// A row of all tensors.
#[derive(Clone, Debug, Default)]
struct Row {
    /// Whose it is; `None` where its session has left.
    session: Option<u64>,
    /// What it is fed in the next step.
    tokens: Vec<Token>,
    /// Why its last step failed.
    failed: Option<String>,
}

impl<V> fmt::Debug for Batch<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("rows", &self.rows).field("sessions", &self.sessions).finish_non_exhaustive()
    }
}

impl<V> Batch<V> {
    /// The rows of a session, in the order of its lanes.
    fn of(&self, session: Option<u64>) -> Vec<usize> {
        (0..self.rows.len()).filter(|&row| self.rows[row].session == session).collect()
    }
}

impl<G: Graph> Scheduler<G> {
    /// Decodes at most `max_lanes` lanes at once, or those of one session that has more; other sessions wait until some leave.
    pub fn new(engine: OnnxEngine<G>, max_lanes: usize) -> Self {
        let (since, took) = (Instant::now(), Duration::ZERO);
        let batch = Batch { lanes: None, rows: Vec::new(), sessions: 0, fed: 0, since, took, opened: 0 };
        Self { engine, max_lanes, batch: batch.into(), changed: Condvar::new() }
    }

    /// The same where there is a number of lanes, else `engine` itself.
    #[cfg(any(feature = "tract", feature = "ort"))]
    pub(super) fn over<'e>(engine: OnnxEngine<G>, max_lanes: Option<usize>) -> Box<dyn Engine + 'e>
    where
        G: 'e,
    {
        match max_lanes {
            Some(lanes) => Box::new(Self::new(engine, lanes)),
            None => Box::new(engine),
        }
    }

    fn batch(&self) -> MutexGuard<'_, Batch<G::Value>> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `lanes` into the batch, when there is room for them; returns the session's name.
    fn join(&self, lanes: Lanes<G::Value>) -> Result<u64> {
        let full = |batch: &mut Batch<G::Value>| {
            let used = batch.rows.len() - batch.of(None).len();
            batch.sessions > 0 && used + lanes.count() > self.max_lanes
        };
        let mut batch = self.changed.wait_while(self.batch(), full).unwrap_or_else(PoisonError::into_inner);
        let session = batch.opened;
        let behind = batch.rows.len()..;
        let at: Vec<usize> = batch.of(None).into_iter().chain(behind).take(lanes.count()).collect();
        match &mut batch.lanes {
            Some(all) => all.put(&self.engine.decoder(), &at, lanes)?,
            None => batch.lanes = Some(lanes),
        }
        let rows = at.last().map_or(0, |row| row + 1).max(batch.rows.len());
        batch.rows.resize(rows, Row::default());
        at.iter().for_each(|&row| batch.rows[row] = Row { session: Some(session), ..Row::default() });
        batch.opened += 1;
        batch.sessions += 1;
        Ok(session)
    }

    /// Computes a step of all that were fed.
    fn step(&self, batch: &mut Batch<G::Value>) {
        let began = Instant::now();
        let Batch { lanes, rows, .. } = batch;
        let tokens: Vec<&[Token]> = rows.iter().map(|row| row.tokens.as_slice()).collect();
        let done = lanes.as_mut().map_or(Ok(()), |lanes| lanes.feed(&self.engine.decoder(), &tokens));
        let failed = done.err().map(|error| match error {
            Error::Engine { reason, .. } => reason,
            other => other.to_string(),
        });
        for row in rows.iter_mut().filter(|row| !row.tokens.is_empty()) {
            row.tokens.clear();
            row.failed.clone_from(&failed);
        }
        (batch.fed, batch.took) = (0, began.elapsed());
        self.changed.notify_all();
    }

    /// Feeds a session's rows with the batch's next step; returns their logits.
    fn feed(&self, session: u64, tokens: &[&[Token]]) -> Result<Array2<f32>> {
        let mut batch = self.batch();
        for (row, tokens) in zip(batch.of(Some(session)), tokens) {
            batch.rows[row].tokens = tokens.to_vec();
        }
        if batch.fed == 0 {
            batch.since = Instant::now();
        }
        batch.fed += 1;
        loop {
            // Rows may have moved.
            let rows = batch.of(Some(session));
            if rows.iter().all(|&row| batch.rows[row].tokens.is_empty()) {
                let failed = rows.iter().find_map(|&row| batch.rows[row].failed.clone());
                let logits = batch.lanes.as_ref().map(|lanes| lanes.logits().select(Axis(0), &rows));
                return match (failed, logits) {
                    (None, Some(logits)) => Ok(logits),
                    (failed, _) => Err(self.engine.error(failed.unwrap_or_default())),
                };
            }
            let patience = batch.took.saturating_sub(batch.since.elapsed());
            if batch.fed == batch.sessions || patience.is_zero() {
                self.step(&mut batch);
            } else {
                batch = self.changed.wait_timeout(batch, patience).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn leave(&self, session: u64) {
        let mut batch = self.batch();
        for row in batch.of(Some(session)) {
            batch.rows[row] = Row::default();
        }
        batch.sessions -= 1;
        let vacant = batch.of(None).len();
        // Empty rows cost a step as much as others do, but others may come into them soon, and to move rows costs, too.
        if vacant == batch.rows.len() {
            batch.lanes = None;
            batch.rows.clear();
        } else if 4 * vacant > batch.rows.len() {
            let Batch { lanes, rows, .. } = &mut *batch;
            let kept: Vec<usize> = (0..rows.len()).filter(|&row| rows[row].session.is_some()).collect();
            // If that fails, they stay where they are.
            if lanes.as_mut().is_some_and(|lanes| lanes.keep(&self.engine.decoder(), &kept).is_ok()) {
                rows.retain(|row| row.session.is_some());
            }
        }
        self.changed.notify_all();
    }
}

impl<G: Graph> Engine for Scheduler<G> {
    fn name(&self) -> String {
        self.engine.name()
    }

    fn geometry(&self) -> Geometry {
        self.engine.geometry()
    }

    fn open(&self, clips: &[Clip]) -> Result<Box<dyn Session + '_>> {
        self.open_takes(clips, 1)
    }

    fn open_takes(&self, clips: &[Clip], takes: usize) -> Result<Box<dyn Session + '_>> {
        if !self.engine.decoder().joins() {
            return self.engine.open_takes(clips, takes);
        }
        let lanes = self.engine.lanes(clips, takes)?;
        let count = lanes.count();
        Ok(Box::new(Scheduled {
            scheduler: self,
            count,
            place: Place::Alone(lanes.into()),
            logits: Array2::zeros((0, 0)),
        }))
    }

    fn context(&self, clips: &[Clip]) -> Result<Vec<ArrayD<f32>>> {
        self.engine.context(clips)
    }
}

struct Scheduled<'s, G: Graph> {
    scheduler: &'s Scheduler<G>,
    count: usize,
    place: Place<G::Value>,
    logits: Array2<f32>,
}

/// Where a session's lanes are.
enum Place<V> {
    /// Nothing was fed yet.
    Alone(Box<Lanes<V>>),
    /// In the batch, under this name.
    Joined(u64),
    /// Nowhere: they did not come into the batch.
    Lost,
}

impl<G: Graph> Session for Scheduled<'_, G> {
    fn lanes(&self) -> usize {
        self.count
    }

    fn feed(&mut self, tokens: &[&[Token]]) -> Result<ArrayView2<'_, f32>> {
        let Self { scheduler, count, place, .. } = self;
        scheduler.engine.check_rows(tokens, *count)?;
        self.logits = match mem::replace(place, Place::Lost) {
            Place::Alone(mut lanes) => {
                if let Err(error) = lanes.feed(&scheduler.engine.decoder(), tokens) {
                    *place = Place::Alone(lanes);
                    return Err(error);
                }
                let logits = lanes.logits().to_owned();
                *place = Place::Joined(scheduler.join(*lanes)?);
                logits
            }
            Place::Joined(session) => {
                *place = Place::Joined(session);
                scheduler.feed(session, tokens)?
            }
            Place::Lost => {
                let reason = "an error ended this session before".into();
                return Err(scheduler.engine.error(reason));
            }
        };
        Ok(self.logits.view())
    }
}

impl<G: Graph> Drop for Scheduled<'_, G> {
    fn drop(&mut self) {
        if let Place::Joined(session) = self.place {
            self.scheduler.leave(session);
        }
    }
}
