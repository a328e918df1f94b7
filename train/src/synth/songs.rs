//! A data set of MIDI files, whose video is rendered on the fly.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use ndarray::Array3;
use vmt::{Clip, Conditions, Frame, Geometry, Score, Token};

use super::channels::Channels;
use super::footage::Footage;
use super::scene::Scene;
use crate::data::conditions::{Intensity, click_track, click_track_of_beginning, conditions, forget, written_down};
use crate::data::song::Song;
use crate::data::{Augment, Fragment, Fragments, Split, Splits, targets};
use crate::random::Stream;

/// Seconds before and after a fragment that its pictures depend on: beats, phrases, what sounded last.
const AROUND: f64 = 6.0;

/// The full fragments, with at least one note each, of the songs of one split.
pub struct Songs {
    songs: Vec<(Song, Intensity)>,
    places: Vec<Place>,
    geometry: Geometry,
    augment: Augment,
    footage: Option<Arc<Footage>>,
}

/// The place of a fragment.
struct Place {
    song: usize,
    /// In seconds.
    start: f64,
    /// Number of tokens.
    tokens: usize,
}

impl Songs {
    /// Reads all MIDI files below `folder` that are in `split` according to `splits`. With any augmentation, fragments also begin
    /// up to half a fragment sooner or later than their place.
    pub fn open(folder: &Path, split: Split, splits: &Splits, geometry: Geometry, augment: Augment) -> Result<Self> {
        let mut all = Self { songs: Vec::new(), places: Vec::new(), geometry, augment, footage: None };
        for path in Song::folder(folder)? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            if splits.split(&name) != Some(split) {
                continue;
            }
            match Song::read(&path) {
                Ok(song) => all.add(song),
                Err(error) => vmt_files::warn(format_args!("skipped: {error:#}")),
            }
        }
        ensure!(!all.places.is_empty(), "{}: must hold MIDI files for {split:?}, but has none", folder.display());
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

    /// The music of fragment `index` without augmentation.
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

    /// What music for the film of fragment `index` can be composed by: the song's metre, end and key, and hit points, which are
    /// drawn from `random`: stressed notes on its beats.
    pub fn click_track(&self, index: usize, random: &mut Stream) -> Conditions {
        let Place { song, start, .. } = self.places[index];
        let (song, intensity) = &self.songs[song];
        click_track(conditions(song, intensity, start, (0, 1.0), random))
    }

    /// How many songs there are.
    pub fn songs(&self) -> usize {
        self.songs.len()
    }

    /// The beginning of song `number`, `seconds` long or as long as the song is: its name, its music, and what other music of that
    /// length can be composed by, as in [`Self::click_track`].
    pub fn beginning(&self, number: usize, seconds: f64, random: &mut Stream) -> (&str, Score, Conditions) {
        let (song, intensity) = &self.songs[number];
        let seconds = seconds.min(song.duration());
        let click = click_track_of_beginning(song, intensity, seconds, random);
        (&song.name, song.fragment(0.0, seconds), click)
    }

    /// The film of the first `seconds` of song `number`, for a model of this `geometry`.
    pub fn film(
        &self,
        number: usize,
        seconds: f64,
        seed: u64,
        geometry: Geometry,
    ) -> impl Iterator<Item = Result<Frame<Array3<u8>>, vmt::Error>> {
        let song = self.songs[number].0.excerpt(0.0, seconds + AROUND);
        let scene = Scene::with_footage(&song, seed, Channels::all(), self.footage.as_ref());
        let each = Duration::from_millis(geometry.frame_ms());
        let end = Duration::from_secs_f64(seconds);
        (0..).map_while(move |index| {
            let time = each * index;
            let picture = || {
                let time = geometry.time(index as usize).as_secs_f64();
                scene.picture(time, geometry.height(), geometry.width())
            };
            (time < end).then(|| Ok(Frame { time, duration: each.min(end - time), picture: picture() }))
        })
    }

    /// The video of fragment `index` without augmentation, for a model of this `geometry`. The same seed with other channels
    /// changes nothing else.
    pub fn clip(&self, index: usize, seed: u64, channels: Channels, geometry: &Geometry) -> Clip {
        let Place { song, start, .. } = self.places[index];
        let (around, start) = self.around(song, start);
        Scene::with_footage(&around, seed, channels, self.footage.as_ref()).clip(start, geometry)
    }

    /// What the pictures of a fragment depend on, and where the fragment begins in it.
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
