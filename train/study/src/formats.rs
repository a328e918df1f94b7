//! The three files of a study: what the page holds, the key that its maker keeps, and the answers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The version of the files.
pub const FORMAT: u32 = 1;
/// The highest rating.
pub const HIGHEST: u8 = 5;
/// Films in a study, at most.
pub const FILMS: usize = 200;

/// What the page knows: nothing that tells which system a piece is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// [`FORMAT`].
    pub format: u32,
    /// The study's id.
    pub study: String,
    /// The heading.
    pub title: String,
    /// What is said to raters besides, a paragraph each.
    pub intro: Vec<String>,
    /// How many films each rater hears.
    pub per_rater: usize,
    /// All films.
    pub films: Vec<PageFilm>,
    /// Orders of the films, by index.
    pub orders: Vec<Vec<usize>>,
    /// The training example: a piece for piano, and one with beeps.
    pub training: Vec<String>,
    /// Pieces with beeps; which number of them is right, the page does not know.
    pub checks: Vec<String>,
}

/// A film on the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageFilm {
    /// Its id.
    pub id: String,
    /// Its length.
    pub seconds: f64,
    /// The ids of its pieces, in the order of these ids; `media/ID.mp4` is the film with the piece.
    pub pieces: Vec<String>,
    /// Orders of the pieces, by index.
    pub orders: Vec<Vec<usize>>,
}

/// What a study's maker keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// [`FORMAT`].
    pub format: u32,
    /// The study's id.
    pub study: String,
    /// The heading.
    pub title: String,
    /// Of ids, orders, checks and music.
    pub seed: u64,
    /// The systems, in the order in which they were named.
    pub systems: Vec<String>,
    /// How many films each rater hears.
    pub per_rater: usize,
    /// All films.
    pub films: Vec<KeyFilm>,
    /// How many beeps each check has.
    pub checks: BTreeMap<String, u8>,
}

/// A film in the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFilm {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// By id.
    pub pieces: BTreeMap<String, KeyPiece>,
}

/// A piece in the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPiece {
    /// Which of the systems it is of, by index.
    pub system: usize,
    /// Its loudness in LUFS (ITU-R BS.1770) as it is played; `None` for silence.
    pub lufs: Option<f64>,
}

/// What a rater's session gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// [`FORMAT`].
    pub format: u32,
    /// The study's id.
    pub study: String,
    /// The rater's number, which orders follow from.
    pub rater: u64,
    /// Random hexadecimal digits, which tell two raters with one number apart.
    pub session: String,
    /// When it began and ended (ISO 8601).
    pub started: String,
    #[serde(default)]
    #[allow(missing_docs)]
    pub finished: String,
    /// Whether all films were heard or skipped.
    pub complete: bool,
    /// For each film that was heard or skipped.
    pub films: Vec<FilmAnswer>,
    /// For each check.
    pub checks: Vec<Rated>,
    /// What the rater wanted to say.
    #[serde(default)]
    pub comment: String,
}

/// What a rater said of a film.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilmAnswer {
    /// The film's id.
    pub film: String,
    /// "I know this song or music video. Skip!"
    #[serde(default)]
    pub skipped: bool,
    /// One for each piece, in the order in which they were heard; none if skipped.
    #[serde(default)]
    pub ratings: Vec<Rated>,
}

/// The ratings of a piece.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rated {
    /// Its id.
    pub piece: String,
    /// 0 to [`HIGHEST`].
    pub smoothness: u8,
    /// 0 to [`HIGHEST`].
    pub relevance: u8,
    /// How many times it was played from its beginning.
    #[serde(default)]
    pub plays: u32,
}

/// Whether `text` is an id as this program and the page make them.
fn is_id(text: &str) -> bool {
    (8..=32).contains(&text.len())
        && text.bytes().all(|letter| letter.is_ascii_digit() || (b'a'..=b'f').contains(&letter))
}

impl Answers {
    /// What the collector can check without the key.
    ///
    /// # Errors
    /// What is wrong, as the end of a line that begins with the file's name.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        // Of another version before anything else that follows from that.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let not = |error: serde_json::Error| format!("must be answers of a study, but: {error}");
        let Version { format } = serde_json::from_slice(json).map_err(not)?;
        if format != FORMAT {
            return Err(format!("must have format {FORMAT}, but has {format}"));
        }
        let answers: Self = serde_json::from_slice(json).map_err(not)?;
        if !is_id(&answers.session) {
            return Err(format!("`session` must be 8 to 32 hexadecimal digits, but is {:?}", answers.session));
        }
        let rated = answers.films.iter().flat_map(|film| &film.ratings).chain(&answers.checks);
        for Rated { piece, smoothness, relevance, .. } in rated {
            for (name, rating) in [("smoothness", smoothness), ("relevance", relevance)] {
                if *rating > HIGHEST {
                    return Err(format!("{name} of piece {piece:?} must be 0 to {HIGHEST}, but is {rating}"));
                }
            }
        }
        Ok(answers)
    }

    /// Whether they are answers of the study that `key` is of.
    ///
    /// # Errors
    /// What is wrong, as the end of a line that begins with the file's name.
    pub fn check(&self, key: &Key) -> Result<(), String> {
        let Key { study, films, checks, .. } = key;
        if self.study != *study {
            return Err(format!("must be of study {study:?}, but is of {:?}", self.study));
        }
        let mut seen = BTreeSet::new();
        for FilmAnswer { film, skipped, ratings } in &self.films {
            let known = films.iter().find(|known| known.id == *film);
            let known = known.ok_or_else(|| format!("film {film:?} is not in the study"))?;
            if !seen.insert(film) {
                return Err(format!("film {film:?} must be there once, but is there twice"));
            }
            let mut rated: Vec<&String> = ratings.iter().map(|rated| &rated.piece).collect();
            rated.sort();
            if *skipped && !rated.is_empty() {
                return Err(format!("film {film:?} is skipped, so it must have no rating, but has {}", rated.len()));
            }
            if !*skipped && !rated.iter().copied().eq(known.pieces.keys()) {
                let (want, got) = (known.pieces.len(), rated.len());
                return Err(format!(
                    "film {film:?} must have a rating for each of its {want} pieces, but has other {got}"
                ));
            }
        }
        let mut seen = BTreeSet::new();
        for Rated { piece, .. } in &self.checks {
            if !checks.contains_key(piece) {
                return Err(format!("check {piece:?} is not in the study"));
            }
            if !seen.insert(piece) {
                return Err(format!("check {piece:?} must be there once, but is there twice"));
            }
        }
        Ok(())
    }

    /// Right checks, and all.
    pub fn checked(&self, key: &Key) -> (usize, usize) {
        let right = |check: &&Rated| {
            let beeps = key.checks.get(&check.piece);
            beeps.is_some_and(|&beeps| (check.smoothness, check.relevance) == (beeps, beeps))
        };
        (self.checks.iter().filter(right).count(), self.checks.len())
    }

    /// Whether the rater cannot have listened: at least half of the checks are wrong.
    pub fn failed(&self, key: &Key) -> bool {
        let (right, all) = self.checked(key);
        all > 0 && 2 * (all - right) >= all
    }

    /// What the rater is called.
    pub fn name(&self) -> String {
        format!("rater {} ({})", self.rater, self.session)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simulation::Preferences;

    proptest! {
        /// Whatever is sent: what is taken for answers can be written, read again and checked.
        #[test]
        fn no_bytes_make_it_panic(place in 0_usize..900, with in prop::collection::vec(any::<u8>(), 0..6), cut in 0_usize..6) {
            let study = Preferences::paper().simulate(1, 3, 2, 1);
            let mut json = serde_json::to_vec(&study.answers[0]).unwrap();
            prop_assert_eq!(Answers::parse(&json).unwrap(), study.answers[0].clone());
            let end = (place + cut).min(json.len());
            json.splice(place.min(end)..end, with);
            match Answers::parse(&json) {
                Ok(answers) => {
                    let again = serde_json::to_vec(&answers).unwrap();
                    prop_assert_eq!(Answers::parse(&again).unwrap(), answers.clone());
                    let _ = (answers.check(&study.key), answers.failed(&study.key), answers.name());
                }
                Err(fault) => prop_assert!(!fault.contains('\n'), "{}", fault),
            }
        }
    }
}
