//! Pieces that are longer than a window: the beginnings of songs, and what models compose in their place.

use anyhow::Result;
use vmt::{Composer, Conditions, Melody, Score, Window, windows};

use super::evaluation::{Candidate, Evaluation, spread};
use super::held_out::HeldOut;
use super::report::Unit;
use super::statistics::Sample;
use super::tables::{Outcome, Table};
use super::{keys, motifs};
use crate::random::Stream;

/// Notes of the motifs that are looked for: so many are a turn of phrase, and a theme.
const MOTIFS: [usize; 2] = [4, 7];

/// The beginning of a song.
pub struct Excerpt {
    /// The song's number and name.
    pub song: usize,
    pub name: String,
    /// Its music.
    pub score: Score,
    /// Its beats, key and hit points.
    annotated: Conditions,
}

impl Excerpt {
    /// Of `count` songs, spread evenly, `seconds` each or as long as they are; none where video is not rendered.
    pub fn of(held_out: &HeldOut, count: usize, seconds: f64, seed: u64) -> Vec<Self> {
        let HeldOut::Songs(songs) = held_out else { return Vec::new() };
        let excerpt = |song: usize| {
            let mut random = Stream::new(seed, "excerpt", &[song as u64]);
            let (name, score, annotated) = songs.beginning(song, seconds, &mut random);
            Self { song, name: name.to_owned(), score, annotated }
        };
        spread(songs.songs(), count).into_iter().map(excerpt).collect()
    }

    fn seconds(&self) -> f64 {
        self.score.duration().as_secs_f64()
    }
}

/// What the piece of a number, of all pieces of a model, adds to a mean, and its weight there.
type Part<'a> = &'a dyn Fn(&[&Score], usize) -> (f64, f64);

impl Evaluation<'_> {
    /// Composes for the film of excerpt `number` as `vmt compose` does.
    pub fn compose_excerpt(&self, composer: &Composer, candidate: &Candidate, number: usize) -> Result<Score> {
        let excerpt = &self.excerpts[number];
        let seed = Stream::new(self.options.seed, "long music", &[excerpt.song as u64]).number();
        let told = self.told_of(&excerpt.annotated, excerpt.score.duration());
        let options = self.composing(candidate, seed, &told).with_cadence(true);
        let geometry = candidate.geometry;
        let hop = options.hop(&geometry);
        let film: Box<dyn Iterator<Item = Result<Window, vmt::Error>>> = match self.held_out {
            HeldOut::Songs(songs) if !candidate.blind => {
                let seed = Stream::new(self.options.seed, "long scene", &[excerpt.song as u64]).number();
                let frames = songs.film(excerpt.song, excerpt.seconds(), seed, geometry);
                Box::new(windows(frames, geometry, hop, |picture| Ok(picture.clone())))
            }
            _ => Box::new(Window::without_video(excerpt.score.duration(), geometry, hop)),
        };
        Ok(composer.compose(film, &options, |_| {})?.score)
    }

    /// Keys and motifs of the excerpts.
    pub fn long_pieces(&self, outcomes: &[Outcome], table: &mut Table) {
        let systems = || outcomes.iter().map(|outcome| outcome.excerpts.iter().collect::<Vec<&Score>>());
        let originals: Vec<&Score> = self.excerpts.iter().map(|excerpt| &excerpt.score).collect();
        let mut add = |id: String, unit, doc: &str, part: Part| {
            let value = |scores: Vec<&Score>| {
                let sample = |(number, excerpt): (usize, &Excerpt)| {
                    let (sum, weight) = part(&scores, number);
                    Sample { song: excerpt.song, sum, weight }
                };
                self.interval(self.excerpts.iter().enumerate().map(sample))
            };
            table.add(&id, unit, doc, systems().map(value), value(originals.clone()));
        };
        let length = self.options.song_seconds;
        let signature = |key: vmt::Key| key.fifths();
        add(
            format!("key.kept.{length}s"),
            Unit::Share,
            "Windows of 10 s, side by side, whose key is that of the whole piece: the nearest profile of pitch classes \
             (Albrecht and Shanahan 2013).",
            &|scores, number| {
                let whole = keys::of(scores[number]);
                let windows = keys::of_windows(scores[number]);
                let same = windows.iter().filter(|(_, key)| Some(*key) == whole);
                (same.count() as f64, windows.len() as f64)
            },
        );
        add(
            format!("key.kept.signature.{length}s"),
            Unit::Share,
            "The same, where a relative major or minor counts as the same: the key signature is kept.",
            &|scores, number| {
                let whole = keys::of(scores[number]).map(signature);
                let windows = keys::of_windows(scores[number]);
                let same = windows.iter().filter(|(_, key)| Some(signature(*key)) == whole);
                (same.count() as f64, windows.len() as f64)
            },
        );
        add(
            format!("key.annotated.signature.{length}s"),
            Unit::Share,
            "The same with the key signature that the song is annotated with at the window's middle, which models with \
             conditions are told unless they play to steady beats; where there is one.",
            &|scores, number| {
                let annotated = &self.excerpts[number].annotated.keys;
                let told = |step: u32| {
                    let last = annotated.iter().rfind(|(from, _)| *from <= i64::from(step));
                    last.and_then(|(_, key)| *key).map(signature)
                };
                let windows = keys::of_windows(scores[number]);
                let known = windows.iter().filter_map(|&(middle, key)| Some((told(middle)?, signature(key))));
                known.fold((0.0, 0.0), |(same, all), (told, key)| (same + f64::from(told == key), all + 1.0))
            },
        );
        let melodies = |scores: &[&Score]| scores.iter().map(|score| Melody::of(score)).collect::<Vec<_>>();
        for notes in MOTIFS {
            add(
                format!("motifs.{notes}notes.{length}s"),
                Unit::Share,
                "Motifs that come back: runs of so many notes of the melody (the highest note of each onset), of those later \
                 than 10 s, that began at least 10 s before too, in any key and tempo.",
                &|scores, number| {
                    let melody = Melody::of(scores[number]);
                    let [found, all] = motifs::come_back(&melody, &melody, notes);
                    (found as f64, all as f64)
                },
            );
            add(
                format!("motifs.control.{notes}notes.{length}s"),
                Unit::Share,
                "The same where they began at least 10 s before in a piece for another song, mean over these pieces.",
                &|scores, number| {
                    let melodies = melodies(scores);
                    let others = melodies.iter().enumerate().filter(|(other, _)| *other != number);
                    others.fold((0.0, 0.0), |(sum, weight), (_, memory)| {
                        let [found, all] = motifs::come_back(&melodies[number], memory, notes);
                        (sum + found as f64, weight + all as f64)
                    })
                },
            );
        }
    }
}
