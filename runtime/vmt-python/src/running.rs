//! A piece while it is composed, together with the model and the film that it borrows.

use std::sync::Arc;

use pyo3::prelude::*;
use self_cell::self_cell;
use vmt::{Options, Piece, Played, Tempo, Window};
use vmt_render::{HitPoint, Provenance};

use crate::composer::Model;
use crate::composition::Composition;
use crate::error::Failure;
use crate::film::Film;
use crate::options::Wanted;
use crate::signals::Signals;

type Windows<'a> = Box<dyn Iterator<Item = Result<Window, Failure>> + Send + 'a>;

/// `None` when it is over.
struct Held<'a>(Option<Piece<'a, Windows<'a>>>);

struct Owner {
    model: Arc<Model>,
    film: Film,
}

self_cell!(
    struct Borrowing {
        owner: Owner,
        #[not_covariant]
        dependent: Held,
    }
);

/// A piece while it is composed.
pub struct Running {
    piece: Borrowing,
    options: Options,
    provenance: Provenance,
    signals: Signals,
}

impl Running {
    /// Begins a piece for a film, of which nothing has been read yet but pictures.
    pub fn new(model: Arc<Model>, film: Film, wanted: &Wanted, mut signals: Signals) -> Result<Self, Failure> {
        let geometry = model.composer.engine().geometry();
        let found = film.hits(wanted.reads_film(model.conditioned), &mut signals)?;
        let length = match &found {
            Some(found) => Some(found.duration),
            None => film.duration()?,
        };
        let set = wanted.hits(&film, length)?;
        let click = wanted.choice.click(found, set, length, model.conditioned)?;
        let options = wanted.options(&click, model.conditioned);
        let provenance = Provenance {
            vmt: env!("CARGO_PKG_VERSION").to_owned(),
            model: model.name.clone(),
            engine: model.composer.engine().name(),
            film: film.name(),
            start: wanted.start,
            end: wanted.end,
            options: options.clone(),
            takes: wanted.takes.get(),
            take: 0,
            tempo: click.bpm.unwrap_or(120.0),
            snapped: wanted.snap,
            hits: HitPoint::all(&click),
        };
        let piece = Borrowing::try_new(Owner { model, film }, |owner| {
            let windows = owner.film.windows(geometry, options.hop(&geometry))?;
            let piece = owner.model.composer.piece(windows, &options, wanted.takes)?;
            Ok::<_, Failure>(Held(Some(piece)))
        })?;
        Ok(Self { piece, options, provenance, signals })
    }

    /// The next event; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Played>, Failure> {
        self.signals.check()?;
        self.piece.with_dependent_mut(|_, Held(piece)| piece.as_mut().and_then(Iterator::next)).transpose()
    }

    /// The takes as they are now, the best first; at least one.
    pub fn finish(mut self) -> Result<Vec<Composition>, Failure> {
        let mut takes =
            self.piece.with_dependent_mut(|_, Held(piece)| piece.take().map_or_else(Vec::new, Piece::finish));
        if takes.iter().all(|take| take.complete && take.windows == 0) {
            let (name, start) = (self.provenance.film.path().display(), self.provenance.start);
            return Err(Failure::value(format!("{name}: must have a frame from start on, but ends before {start} s")));
        }
        if self.provenance.snapped {
            let tempo = Tempo::new(self.provenance.tempo)?.snapped();
            takes.iter_mut().for_each(|take| take.score.snap(tempo));
        }
        let length = takes[0].score.duration();
        self.options.conditions.end_beats(length);
        let provenance = Provenance { options: self.options, ..self.provenance };
        Ok(takes.into_iter().map(|take| Composition::new(take, &provenance)).collect())
    }
}

/// Composes to the end, while Python's other threads go on.
pub fn compose(py: Python<'_>, model: Arc<Model>, film: Film, wanted: &Wanted) -> Result<Vec<Composition>, Failure> {
    py.detach(|| {
        let mut running = Running::new(model, film, wanted, Signals::default())?;
        while running.next()?.is_some() {}
        running.finish()
    })
}
