//! What all models are measured on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vmt::{Clip, Conditions, Decoded, Geometry, Sampling, Score, Tempo};

use super::excerpts::Excerpt;
use super::films::Film;
use super::held_out::HeldOut;
use super::statistics::mismatch;
use crate::data::Split;
use crate::fit::on_threads;
use crate::model::Model;
use crate::random::Stream;
use crate::synth::Channels;

/// Clips of other songs that each fragment's music is scored with.
pub const SWAPS: u64 = 3;

/// A model to compare.
pub struct Candidate {
    /// Its name in the report.
    pub name: String,
    /// The model.
    pub model: Model,
    /// The clips it sees.
    pub geometry: Geometry,
    /// It was trained without video, and is shown none.
    pub blind: bool,
}

/// What is measured, and how much of it.
#[derive(Clone, Copy, Debug)]
pub struct EvalOptions {
    /// The split that the fragments are of.
    pub split: Split,
    /// Fragments, spread evenly; all if there are fewer.
    pub fragments: usize,
    /// Fragments among them that each model generates music for.
    pub pieces: usize,
    /// Songs, spread evenly, whose beginning each model composes music for as a whole, where video is rendered.
    pub songs: usize,
    /// How long these beginnings are, in seconds.
    pub song_seconds: u32,
    /// How the pieces with grammar are sampled, with a seed for each; without grammar it is the model's own distribution, as
    /// in the authors' code.
    pub sampling: Sampling,
    /// Scale of classifier-free guidance ([`vmt::decode::Guidance`]) in generation, `0.0..=10.0`; 1 is the model itself.
    pub guidance: f32,
    /// Models with conditions compose to steady beats in 4/4 of this tempo, not to the song's own beats, key and hit points.
    pub tempo: Option<Tempo>,
    /// With grammar, models with conditions begin notes on the sixteenths of their beats only ([`vmt::Options::quantize`]).
    pub quantize: bool,
    /// Of rendered video, swaps, music and intervals.
    pub seed: u64,
    /// Threads that share the work; they do not change results.
    pub threads: usize,
}

impl EvalOptions {
    /// One fragment of a split and one piece, on one thread; no long pieces.
    pub fn fragments_of(split: Split) -> Self {
        Self {
            split,
            fragments: 1,
            pieces: 1,
            songs: 0,
            song_seconds: 60,
            sampling: Sampling::default(),
            guidance: 1.0,
            tempo: None,
            quantize: true,
            seed: 1,
            threads: 1,
        }
    }
}

/// Told what is being done, how much of it is done, and how much there is.
pub type Progress<'a> = &'a (dyn Fn(&str, usize, usize) + Sync);

/// What all models are measured on. A fragment's place is its index in `fragments`.
pub struct Evaluation<'a> {
    pub held_out: &'a HeldOut,
    pub candidates: &'a [Candidate],
    pub options: &'a EvalOptions,
    pub window: Duration,
    /// Indices in `held_out`.
    pub fragments: Vec<usize>,
    /// The song of each.
    pub songs: Vec<usize>,
    /// For each, places of fragments of other songs; [`SWAPS`] times.
    pub swaps: Vec<Vec<usize>>,
    /// Their music.
    pub originals: Vec<Decoded>,
    /// Their own beats, keys and hit points, where they are known.
    pub annotated: Vec<Conditions>,
    /// What models with conditions are told when they compose for them.
    pub told: Vec<Conditions>,
    /// Places of the fragments that music is generated for.
    pub pieces: Vec<usize>,
    /// Beginnings of songs.
    pub excerpts: Vec<Excerpt>,
    /// Films that are held out from training.
    pub films: &'a [Film],
    pub progress: Progress<'a>,
}

impl<'a> Evaluation<'a> {
    /// Chooses fragments, swaps and pieces.
    pub fn new(
        held_out: &'a HeldOut,
        films: &'a [Film],
        candidates: &'a [Candidate],
        options: &'a EvalOptions,
        progress: Progress<'a>,
    ) -> Result<Self> {
        ensure!(options.fragments > 0 && options.pieces > 0, "there must be at least one fragment and one piece");
        options.sampling.validate()?;
        let guidance = options.guidance;
        ensure!((0.0..=10.0).contains(&guidance), "guidance: must be within 0-10, but is {guidance}");
        let fragments = spread(held_out.count(), options.fragments);
        let mut songs = BTreeMap::new();
        let song = |&index: &usize| {
            let next = songs.len();
            *songs.entry(held_out.place(index).0).or_insert(next)
        };
        let songs: Vec<usize> = fragments.iter().map(song).collect();
        let swap = |number| mismatch(&songs, &mut Stream::new(options.seed, "swap", &[number]));
        let swaps = (0..SWAPS).map(swap).collect::<Option<_>>().context(
            "fragments are compared with those of other songs, so no song may have more than half of them; \
             take more songs",
        )?;
        let window = candidates[0].geometry.window();
        let decoded = |index: &usize| Score::decode(held_out.music(*index), window);
        let originals = fragments.iter().map(decoded).collect();
        let hits = |index: usize| Stream::new(options.seed, "hits", &[index as u64]);
        let annotated: Vec<_> = fragments.iter().map(|&index| held_out.click_track(index, &mut hits(index))).collect();
        let told = annotated.iter().map(|annotated| told(options, annotated, window)).collect();
        let pieces = spread(fragments.len(), options.pieces);
        Ok(Self {
            held_out,
            candidates,
            options,
            window,
            fragments,
            songs,
            swaps,
            originals,
            annotated,
            told,
            pieces,
            excerpts: Excerpt::of(held_out, options.songs, options.song_seconds.into(), options.seed),
            films,
            progress,
        })
    }

    /// Does `work` for each number below `count`, divided among threads.
    pub fn each<T: Send>(&self, count: usize, what: &str, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
        let done = AtomicUsize::new(0);
        let one = |number| {
            let result = work(number)?;
            (self.progress)(what, done.fetch_add(1, Ordering::Relaxed) + 1, count);
            Ok(result)
        };
        let parts = on_threads(count, self.options.threads, |range| range.map(one).collect::<Result<Vec<_>>>());
        Ok(parts.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// The video of the fragment at `place`; rendered from the same seed every time.
    pub fn clip(&self, place: usize, channels: Channels, geometry: &Geometry) -> Result<Clip> {
        let index = self.fragments[place];
        let seed = Stream::new(self.options.seed, "scene", &[index as u64]).number();
        self.held_out.clip(index, seed, channels, geometry)
    }

    /// What models with conditions are told for music of this `duration` that this click track is for.
    pub fn told_of(&self, click: &Conditions, duration: Duration) -> Conditions {
        told(self.options, click, duration)
    }

    /// What the piece by `who` for fragment `index` is called.
    pub fn piece_name(&self, index: usize, who: &str) -> String {
        let (song, start) = self.held_out.place(index);
        format!("{song}-{start:03.0}s.{who}")
    }

    /// The length of a window, in seconds.
    pub fn seconds(&self) -> f64 {
        self.window.as_secs_f64()
    }
}

/// What models with conditions are told instead of `annotated`: steady beats in 4/4, where that is asked, and its intensity.
fn told(options: &EvalOptions, annotated: &Conditions, duration: Duration) -> Conditions {
    let Some(tempo) = options.tempo else { return annotated.clone() };
    Conditions {
        beats: Conditions::steady_beats(tempo, 4, duration),
        density: annotated.density.clone(),
        loudness: annotated.loudness.clone(),
        ..Conditions::default()
    }
}

/// So many of `0..count`, evenly spread; all if there are fewer.
pub fn spread(count: usize, wanted: usize) -> Vec<usize> {
    let wanted = wanted.min(count);
    (0..wanted).map(|i| i * count / wanted).collect()
}
