//! Beats, hit points and intensity of a film's music: what people chose, and what is found in the film.

use std::time::Duration;

use super::{ClickTrack, FilmHits, Hit, MAX_END, Options, STEADY_BPM};
use crate::error::{Error, Result};
use crate::music::{Conditions, Tempo, steps};

/// Which beats the music is written to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum TempoChoice {
    /// Tempo and beats such that hits fall on beats, and the film's end on a downbeat.
    #[default]
    Auto,
    /// So many beats a minute, 20-400: steady from the film's beginning, or, where hits are set, such that these fall on beats
    /// (40-200).
    Bpm(f64),
    /// None.
    Off,
}

/// What people chose.
///
/// ```
/// use std::time::Duration;
/// use vmt::click::{Choice, Hit, HitKind, TempoChoice};
///
/// let choice = Choice { tempo: TempoChoice::Bpm(100.0), ..Choice::default() };
/// let minute = Some(Duration::from_secs(60));
/// assert!(choice.click(None, Vec::new(), minute, true)?.conditions.beats.len() > 100);
/// let door = (Hit::new(Duration::from_millis(4520), HitKind::Marker), "the door".to_owned());
/// assert_eq!(choice.click(None, vec![door], minute, true)?.conditions.hits, Some(vec![452]));
/// # Ok::<_, vmt::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// The beats.
    pub tempo: TempoChoice,
    /// Beats in a bar; `None` is 4, or 3 where the tempo is chosen too and meets clearly more hits so.
    pub beats_per_bar: Option<u8>,
    /// Whether density and loudness follow how much the picture changes.
    pub follow_film: bool,
}

/// The beats and hit points of a film's music.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Click {
    /// Beats, struck hits, the end, and density and loudness.
    pub conditions: Conditions,
    /// All hits in order, struck or not, what an editor called them, and milliseconds from each to the nearest beat or eighth,
    /// where beats were chosen for them.
    pub hits: Vec<(Hit, String, Option<f64>)>,
    /// Beats a minute, nominally.
    pub bpm: Option<f64>,
    /// The fitted track, if beats are not steady.
    pub track: Option<ClickTrack>,
}

impl Choice {
    /// How the beats are fitted.
    pub fn options(&self) -> Options {
        Options::default().with_bpm(self.bpm()).with_beats_per_bar(self.beats_per_bar)
    }

    /// Beats a minute, if they are chosen.
    pub fn bpm(&self) -> Option<f64> {
        match self.tempo {
            TempoChoice::Bpm(bpm) => Some(bpm),
            TempoChoice::Auto | TempoChoice::Off => None,
        }
    }

    /// Whether beats are to be fitted to hits, those of the film or, where `hits` are set, of an editor: then
    /// [`click`](Self::click) wants what is found in the film, for its length.
    pub fn fits(&self, hits: bool) -> bool {
        match self.tempo {
            TempoChoice::Auto => true,
            TempoChoice::Bpm(_) => hits,
            TempoChoice::Off => false,
        }
    }

    /// The click track: of what is `found` in the film, where that is known and no longer than [`MAX_END`], the hits that were
    /// `set`, in order, and the film's length, as far as it is known. `conditioned`: whether the model plays to beats.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for a tempo, a metre or hits that are out of range.
    pub fn click(
        &self,
        found: Option<FilmHits>,
        set: Vec<(Hit, String)>,
        length: Option<Duration>,
        conditioned: bool,
    ) -> Result<Click> {
        let mut found = found.filter(|found| found.duration <= MAX_END);
        let activity = found.as_mut().filter(|_| conditioned && self.follow_film);
        let activity = activity.map_or_else(Vec::new, |found| std::mem::take(&mut found.activity));
        let mut click = match found.filter(|_| conditioned && self.fits(!set.is_empty())) {
            Some(found) => self.fit(found, set)?,
            None => self.unfitted(set, length, conditioned)?,
        };
        (click.conditions.density, click.conditions.loudness) = (activity.clone(), activity);
        Ok(click)
    }

    /// Beats that do not depend on the film.
    fn unfitted(&self, set: Vec<(Hit, String)>, length: Option<Duration>, conditioned: bool) -> Result<Click> {
        // A header may be a little wrong.
        let end = length.map_or(Duration::MAX, |length| length.saturating_add(Duration::from_secs(1)));
        if let Some((hit, _)) = set.iter().find(|(hit, _)| hit.time > end) {
            let got = format!("at {:?}, beyond {end:?}", hit.time);
            return Err(Error::Option { option: "hit", want: "within the film", got });
        }
        let mut struck: Vec<u32> = set.iter().map(|(hit, _)| steps(hit.time)).collect();
        struck.dedup();
        let mut conditions = Conditions { hits: (!struck.is_empty()).then_some(struck), ..Conditions::default() };
        let mut bpm = self.bpm();
        if conditioned && self.tempo != TempoChoice::Off {
            let tempo = Tempo::new(*bpm.get_or_insert(STEADY_BPM))?;
            let per_bar = self.beats_per_bar.unwrap_or(4);
            conditions.beats = Conditions::steady_beats(tempo, per_bar, length.unwrap_or(Duration::MAX));
            conditions.end = length.map(steps);
        }
        let hits = set.into_iter().map(|(hit, label)| (hit, label, None)).collect();
        Ok(Click { conditions, hits, bpm, track: None })
    }

    /// A click track for the hits that were set and, unless the tempo is chosen, those that were found.
    fn fit(&self, found: FilmHits, set: Vec<(Hit, String)>) -> Result<Click> {
        let found_hits = if self.bpm().is_none() { found.hits } else { Vec::new() };
        let mut all: Vec<(Hit, String)> = found_hits.into_iter().map(|hit| (hit, String::new())).chain(set).collect();
        all.sort_by_key(|(hit, _)| hit.time);
        let hits: Vec<Hit> = all.iter().map(|(hit, _)| *hit).collect();
        let track = ClickTrack::fit(&hits, found.duration, &self.options())?;
        let placed = all.into_iter().zip(&track.hits);
        let hits = placed.map(|((hit, label), placed)| (hit, label, Some(placed.miss_ms))).collect();
        Ok(Click { conditions: track.conditions(), hits, bpm: Some(track.bpm), track: Some(track) })
    }
}
