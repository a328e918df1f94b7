//! Events as they are decoded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use vmt::Played;

use crate::composer::Model;
use crate::composition::{Composition, seconds, step_seconds};
use crate::error::Failure;
use crate::film::Film;
use crate::options::Wanted;
use crate::running::Running;
use crate::signals::Signals;

/// An event of a piece.
#[pyclass(frozen, eq, module = "vmt")]
#[derive(PartialEq)]
pub struct Event {
    /// When in the film, in seconds; of a pause, when it is over.
    #[pyo3(get)]
    time: f64,
    /// "note_on", "note_off", "time_shift", "velocity", "end" (of a window) or "pad".
    #[pyo3(get)]
    kind: &'static str,
    /// Of a note, its MIDI number; of a velocity, that of MIDI; of a pause, its seconds; else 0.
    #[pyo3(get)]
    value: Value,
}

/// What Python has as a number of either type.
#[derive(Clone, Copy, IntoPyObject, PartialEq)]
enum Value {
    Whole(u8),
    Seconds(f64),
}

impl From<Played> for Event {
    fn from(played: Played) -> Self {
        let (kind, value) = match played.event {
            vmt::Event::NoteOn(pitch) => ("note_on", Value::Whole(pitch.get())),
            vmt::Event::NoteOff(pitch) => ("note_off", Value::Whole(pitch.get())),
            vmt::Event::TimeShift(shift) => ("time_shift", Value::Seconds(step_seconds(shift.get().into()))),
            vmt::Event::Velocity(bin) => ("velocity", Value::Whole(bin.velocity())),
            vmt::Event::End => ("end", Value::Whole(0)),
            vmt::Event::Pad => ("pad", Value::Whole(0)),
        };
        Self { time: seconds(played.time), kind, value }
    }
}

#[pymethods]
impl Event {
    fn __repr__(&self) -> String {
        let value = match self.value {
            Value::Whole(value) => value.to_string(),
            Value::Seconds(value) => format!("{value:?}"),
        };
        format!("Event(time={:?}, kind='{}', value={value})", self.time, self.kind)
    }
}

/// A piece while it is composed: an iterator of events, each decoded when it is asked for.
#[pyclass(frozen, module = "vmt")]
pub struct Stream(Mutex<State>);

enum State {
    Running(Box<Running>),
    Over(Box<Composition>),
    /// An error came.
    Failed,
}

impl Stream {
    pub fn new(py: Python<'_>, model: Arc<Model>, film: Film, wanted: &Wanted) -> Result<Self, Failure> {
        let running = py.detach(|| Running::new(model, film, wanted, Signals::default()))?;
        Ok(Self(Mutex::new(State::Running(Box::new(running)))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the piece as far as it is.
    fn over(state: &mut State) -> Result<(), Failure> {
        if let State::Running(running) = std::mem::replace(state, State::Failed)
            && let Some(best) = running.finish()?.into_iter().next()
        {
            *state = State::Over(Box::new(best));
        }
        Ok(())
    }
}

#[pymethods]
impl Stream {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> Result<Option<Event>, Failure> {
        // Whoever waits for another thread's event keeps nobody from Python.
        py.detach(|| {
            let mut state = self.state();
            let State::Running(running) = &mut *state else { return Ok(None) };
            let played = running.next();
            match played {
                Ok(Some(played)) => return Ok(Some(played.into())),
                Ok(None) => Self::over(&mut state)?,
                Err(_) => *state = State::Failed,
            }
            played.map(|_| None)
        })
    }

    /// Stops, if the film's end is not reached yet, and returns the music so far.
    fn finish(&self, py: Python<'_>) -> Result<Composition, Failure> {
        py.detach(|| {
            let mut state = self.state();
            if matches!(&*state, State::Running(_)) {
                Self::over(&mut state)?;
            }
            match &*state {
                State::Over(music) => Ok(Composition::clone(music)),
                State::Running(_) | State::Failed => Err(Failure::other("there is no music: composing failed")),
            }
        })
    }
}
