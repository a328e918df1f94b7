//! A bundle that composes for films, as `vmt compose` does by default.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use vmt::click::{Choice, find_hits};
use vmt::{Backend, Bundle, Composer, Composition, Conditions, Controls, Event, Key, Options, Sampling};
use vmt_video::Video;

/// A loaded bundle.
pub struct Model {
    composer: Composer,
    has_conditions: bool,
}

impl Model {
    /// Loads the bundle in `folder`.
    ///
    /// # Errors
    /// Where it is none, or no engine takes it.
    pub fn load(folder: &Path) -> Result<Self> {
        let load = || -> Result<Self> {
            let bundle = Bundle::open(folder)?;
            let has_conditions = bundle.manifest().decoder.conditions.is_some();
            Ok(Self { composer: Composer::new(&bundle, Backend::Auto, None)?, has_conditions })
        };
        load().with_context(|| folder.display().to_string())
    }

    /// The length of a window.
    pub fn window(&self) -> Duration {
        self.composer.engine().geometry().window()
    }

    /// The music for a part of a film, and the events that it was decoded from. `unconstrained`: without grammar, as in the paper;
    /// else with all that `vmt compose` does by default.
    ///
    /// # Errors
    /// Where the film cannot be read or the engine fails.
    pub fn compose(
        &self,
        film: &Path,
        range: Range<Duration>,
        seed: u64,
        unconstrained: bool,
    ) -> Result<(Composition, Vec<Event>)> {
        let geometry = self.composer.engine().geometry();
        let mut conditions = Conditions::default();
        if self.has_conditions {
            let found = find_hits(Video::open(film)?.thumbnails(range.clone()))?;
            let length = found.duration;
            let choice = Choice { follow_film: true, ..Choice::default() };
            conditions = choice.click(Some(found), Vec::new(), Some(length), true)?.conditions;
            conditions.keys = vec![(0, Some(Key::drawn(seed)))];
        }
        let polyphony = (!unconstrained).then_some(Controls::USUAL_POLYPHONY);
        // The paper's authors sample from the whole distribution.
        let sampling = if unconstrained { Sampling::untruncated() } else { Sampling::default() };
        let options = Options::default()
            .with_sampling(sampling.with_seed(seed))
            .with_controls(Controls::default().with_polyphony(polyphony))
            .with_quantize(self.has_conditions && !unconstrained)
            .with_cadence(!conditions.beats.is_empty() && !unconstrained)
            .with_conditions(conditions)
            .with_unconstrained(unconstrained);
        let windows = Video::open(film)?.windows_between(range, geometry, options.hop(&geometry));
        let windows = windows.map(|window| Ok::<_, anyhow::Error>(window?));
        let mut piece = self.composer.piece(windows, &options, NonZeroUsize::MIN)?;
        let mut events = Vec::new();
        while let Some(played) = piece.next().transpose()? {
            events.push(played.event);
        }
        Ok((piece.finish().swap_remove(0), events))
    }
}
