//! A model that composes: from windows of a film to a score.

use std::fmt;
use std::num::NonZeroUsize;

use super::composition::{Composition, Progress};
use super::options::Options;
use super::piece::Piece;
use crate::error::{Error, Result};
use crate::model::{Backend, Bundle, Engine};
use crate::video::Window;

/// A model that composes. It is `Send` and `Sync`, and one can serve many threads.
///
#[cfg_attr(feature = "tract", doc = "```")]
#[cfg_attr(not(feature = "tract"), doc = "```no_run")]
/// use std::time::Duration;
/// use vmt::ndarray::Array3;
/// use vmt::{Backend, Bundle, Composer, Error, Frame, Options, midi, windows};
///
/// let composer = Composer::new(&Bundle::open("../../onnx/tiny-vmt")?, Backend::Tract, None)?;
/// let (options, geometry) = (Options::default(), composer.engine().geometry());
///
/// // Two seconds of film at 25 frames a second, from grey to white.
/// let each = Duration::from_millis(40);
/// let frames = (0..50).map(|index| Ok::<_, Error>(Frame { time: each * index, duration: each, picture: 200 + index as u8 }));
/// let film = windows(frames, geometry, options.hop(&geometry), |&grey| {
///     Ok(Array3::from_elem((3, geometry.height(), geometry.width()), grey))
/// });
///
/// let composition = composer.compose(film, &options, |progress| eprintln!("{:?}", progress.time))?;
/// assert_eq!(composition.score.duration(), Duration::from_secs(2));
/// let bytes = midi::write(&composition.score)?;
/// assert!(bytes.starts_with(b"MThd"));
/// # Ok::<_, Error>(())
/// ```
pub struct Composer {
    engine: Box<dyn Engine>,
    max_tokens: usize,
}

impl Composer {
    /// Loads `bundle` with an engine of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`Backend::load`].
    pub fn new(bundle: &Bundle, backend: Backend, threads: Option<NonZeroUsize>) -> Result<Self> {
        Ok(Self::with_engine(backend.load(bundle, threads)?, bundle.manifest().max_tokens))
    }

    /// Composes with any engine; at most `max_tokens` tokens for a window.
    pub fn with_engine(engine: Box<dyn Engine>, max_tokens: usize) -> Self {
        Self { engine, max_tokens }
    }

    /// The engine at work.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Composes one piece for a film, however long, and calls `progress` after every event. The windows are those of
    /// [`windows`](crate::windows) with the hop of [`Options::hop`], or without a film those of [`Window::without_video`].
    ///
    /// The score is as long as the film. Unless [`Options::unconstrained`], every note is closed, and the music ends with
    /// the film. See [`Piece`] for how windows are joined, and for how to stop.
    ///
    /// # Errors
    ///
    /// As [`piece`](Self::piece) and [`Piece::next`].
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
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for options that are out of their ranges or do not go together ([`Options::validate`]), and for
    /// more takes than [`MAX_TAKES`](crate::MAX_TAKES).
    pub fn piece<E: From<Error>, W: IntoIterator<Item = Result<Window, E>>>(
        &self,
        windows: W,
        options: &Options,
        takes: NonZeroUsize,
    ) -> Result<Piece<'_, W::IntoIter>> {
        Piece::new(self.engine(), self.max_tokens, windows, options, takes)
    }
}

impl fmt::Debug for Composer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, max_tokens } = self;
        f.debug_struct("Composer").field("engine", &engine.name()).field("max_tokens", max_tokens).finish()
    }
}
