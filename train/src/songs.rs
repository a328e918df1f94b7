//! Fragments of songs, with pictures that are drawn as they are asked for: all that training needs is a folder of MIDI.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use vmt::{Clip, Conditions, Geometry, Token};

use crate::conditions::{Intensity, conditions, forget, written_down};
use crate::data::{Augment, Fragment, Fragments, targets};
use crate::music::Song;
use crate::prepared::{Share, Split};
use crate::random::Stream;
use crate::synth::{Channels, Footage, Scene};

/// Seconds before and after a fragment that its pictures may tell of: beats, phrases, what was heard last.
const AROUND: f64 = 6.0;

/// The full fragments, with at least one note each, of the songs of one share.
pub struct Songs {
    songs: Vec<(Song, Intensity)>,
    places: Vec<Place>,
    geometry: Geometry,
    augment: Augment,
    footage: Option<Arc<Footage>>,
}

/// Where a fragment is.
struct Place {
    song: usize,
    /// In seconds.
    start: f64,
    /// Number of tokens.
    tokens: usize,
}

impl Songs {
    /// Reads all MIDI files below `folder` that `split` gives to `share`. With any augmentation, fragments also begin
    /// up to half a fragment sooner or later than their place.
    pub fn open(folder: &Path, share: Share, split: &Split, geometry: Geometry, augment: Augment) -> Result<Self> {
        let mut all = Self { songs: Vec::new(), places: Vec::new(), geometry, augment, footage: None };
        for path in Song::folder(folder)? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            if split.share(&name) != Some(share) {
                continue;
            }
            match Song::read(&path) {
                Ok(song) => all.add(song),
                Err(error) => eprintln!("passed over: {error:#}"),
            }
        }
        ensure!(!all.places.is_empty(), "{}: must hold MIDI files for {share:?}, but has none", folder.display());
        Ok(all)
    }

    /// The same, whose pictures show footage, too ([`Scene::with_footage`]).
    pub fn with_footage(self, footage: Option<Arc<Footage>>) -> Self {
        Self { footage, ..self }
    }

    fn add(&mut self, song: Song) {
        let seconds = self.seconds();
        for number in 0..(song.duration() / seconds) as usize {
            let start = number as f64 * seconds;
            let score = song.fragment(start, seconds);
            if !score.notes().is_empty() {
                self.places.push(Place { song: self.songs.len(), start, tokens: targets(&score).len() });
            }
        }
        // How songs end is learned too. What a model is held to stays as it is.
        let start = song.duration() - seconds;
        if self.augment != Augment::NONE && start > 0.0 {
            let tokens = targets(&song.fragment(start, seconds)).len();
            self.places.push(Place { song: self.songs.len(), start, tokens });
        }
        let intensity = Intensity::of(&song);
        self.songs.push((song, intensity));
    }

    /// The name of the song that fragment `index` is of, and where it begins there, in seconds.
    pub fn place(&self, index: usize) -> (&str, f64) {
        let Place { song, start, .. } = self.places[index];
        (&self.songs[song].0.name, start)
    }

    /// The music of fragment `index`, as it is.
    pub fn music(&self, index: usize) -> Vec<Token> {
        let Place { song, start, .. } = self.places[index];
        targets(&self.songs[song].0.fragment(start, self.seconds()))
    }

    /// What a model is held to know of fragment `index`: its metre, key and end.
    pub fn conditions(&self, index: usize) -> Conditions {
        let Place { song, start, .. } = self.places[index];
        let (song, intensity) = &self.songs[song];
        written_down(conditions(song, intensity, start, (0, 1.0), &mut Stream::new(0, "hits", &[])))
    }

    /// The pictures of fragment `index` as it is, for a model of this `geometry`; `seed` chooses all that the music
    /// does not. The same seed with other channels changes nothing else.
    pub fn clip(&self, index: usize, seed: u64, channels: Channels, geometry: &Geometry) -> Clip {
        let Place { song, start, .. } = self.places[index];
        let (around, start) = self.around(song, start);
        Scene::with_footage(&around, seed, channels, self.footage.as_ref()).clip(start, geometry)
    }

    /// What the pictures of a fragment may tell of, and where the fragment begins in it.
    fn around(&self, song: usize, start: f64) -> (Song, f64) {
        let from = (start - AROUND).max(0.0);
        (self.songs[song].0.excerpt(from, start + self.seconds() + AROUND), start - from)
    }

    fn seconds(&self) -> f64 {
        self.geometry.window().as_secs_f64()
    }
}

impl Fragments for Songs {
    fn count(&self) -> usize {
        self.places.len()
    }

    fn tokens(&self, index: usize) -> usize {
        self.places[index].tokens
    }

    fn fragment(&self, index: usize, random: &mut Stream) -> Result<Fragment> {
        let Place { song, start, .. } = self.places[index];
        let seconds = self.seconds();
        let (semitones, tempo) = self.augment.draw(random);
        let moved = if self.augment == Augment::NONE { 0.0 } else { seconds * (random.unit() - 0.5) };
        // Not past the song's end, which is where its film ends.
        let begin = (start + moved).min(self.songs[song].0.duration() - seconds).max(0.0);
        let (around, start) = self.around(song, begin);
        let (around, start) = (around.transposed(semitones).stretched(tempo), start * tempo);
        let channels = Channels::drawn(random.number());
        let scene = Scene::with_footage(&around, random.number(), channels, self.footage.as_ref());
        let tokens = targets(&around.fragment(start, seconds));
        let clip = Some(scene.clip(start, &self.geometry));
        let (song, intensity) = &self.songs[song];
        let known = conditions(song, intensity, begin, (semitones, tempo), random);
        let conditions = if self.augment == Augment::NONE { written_down(known) } else { forget(known, random) };
        Ok(Fragment { clip, tokens, conditions })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use vmt::{Key, PerformedNote};

    use super::*;

    /// A minute in A minor, 4/4 and 100 beats a minute, downbeats at the beginning and every 2.4 s; the second half has more
    /// notes, and louder ones.
    pub fn sixteenths() -> Song {
        let note = |number: usize| {
            let start = 0.15 * number as f64;
            let late = number >= 200;
            let struck = number.is_multiple_of(if late { 1 } else { 3 });
            let pitch = [57, 60, 64, 69][number % 4];
            struck.then_some(PerformedNote { start, end: start + 0.14, pitch, velocity: if late { 90 } else { 60 } })
        };
        let mut song = Song::new("sixteenths", (0..400).filter_map(note).collect()).unwrap();
        song.beats = (0..=100).map(|beat| 0.6 * f64::from(beat)).collect();
        song.downbeats = (0..=25).map(|bar| 2.4 * f64::from(bar)).collect();
        song.keys = vec![(0.0, Some(Key { tonic: 9, minor: true }))];
        song
    }
}
