//! A model that composes.

use std::num::NonZeroUsize;

use super::composition::{Composition, Progress};
use super::options::Options;
use super::piece::Piece;
use crate::error::{Error, Result};
use crate::model::{Backend, Bundle, Engine};
use crate::video::Window;

/// A model that composes.
pub struct Composer {
    engine: Box<dyn Engine>,
    max_tokens: usize,
}

impl Composer {
    /// Loads `bundle` with an engine of the caller's choice; see [`Backend::load`].
    pub fn new(bundle: &Bundle, backend: Backend, threads: Option<NonZeroUsize>) -> Result<Self> {
        Ok(Self::with_engine(backend.load(bundle, threads)?, bundle.manifest().max_tokens))
    }

    /// Composes with any engine; at most `max_tokens` tokens at a time.
    pub fn with_engine(engine: Box<dyn Engine>, max_tokens: usize) -> Self {
        Self { engine, max_tokens }
    }

    /// The engine at work.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Composes one piece for a film, however long, and tells `progress` after every event. For music without a film, the
    /// windows are [`Window::without_video`].
    ///
    /// The score is as long as the windows together. Unless [`Options::unconstrained`], every note is closed, and the
    /// music ends with the film. See [`Piece`] for how windows are joined.
    pub fn compose<E: From<Error>>(
        &self,
        windows: impl IntoIterator<Item = Result<Window, E>>,
        options: &Options,
        mut progress: impl FnMut(Progress),
    ) -> Result<Composition, E> {
        let mut piece = self.piece(windows, options, NonZeroUsize::MIN)?;
        let mut events = 0;
        while let Some(played) = piece.next().transpose()? {
            events += 1;
            progress(Progress { time: played.time, events });
        }
        Ok(piece.finish().swap_remove(0))
    }

    /// Begins a piece in so many `takes`, decoded side by side.
    pub fn piece<E: From<Error>, W: IntoIterator<Item = Result<Window, E>>>(
        &self,
        windows: W,
        options: &Options,
        takes: NonZeroUsize,
    ) -> Result<Piece<'_, W::IntoIter>> {
        Piece::new(self.engine(), self.max_tokens, windows, options, takes)
    }
}
