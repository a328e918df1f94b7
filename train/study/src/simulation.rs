//! Raters whose preferences are known: to see what a study of some size can find, and whether its numbers can be trusted.

use std::collections::BTreeMap;

use vmt_statistics::random::Stream;

use crate::design::Design;
use crate::formats::{Answers, FORMAT, FilmAnswer, HIGHEST, Key, KeyFilm, KeyPiece, Rated};

/// What people think, on the scale from 0 to 5.
#[derive(Clone, Debug)]
pub struct Preferences {
    /// For each system, what is thought of its smoothness and of its relevance.
    pub systems: Vec<(String, [f64; 2])>,
    /// Standard deviation of how people use the scale.
    pub of_people: f64,
    /// Standard deviation of how films are liked, whatever the music.
    pub of_films: f64,
    /// Standard deviation of how well a system did on a film.
    pub of_pieces: f64,
    /// Standard deviation of what is left.
    pub of_ratings: f64,
    /// How often a film is known and skipped.
    pub skips: f64,
}

/// A simulated study: its key, and the answers of so many people.
pub struct Simulated {
    /// The key.
    pub key: Key,
    /// One for each person.
    pub answers: Vec<Answers>,
}

/// From a standard normal distribution (Box and Muller 1958).
fn normal(random: &mut Stream) -> f64 {
    let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.unit()).cos()
}

impl Preferences {
    /// The paper's means (table 2), with a spread as in other listening studies of generated music.
    pub fn paper() -> Self {
        let system = |(name, means): (&str, [f64; 2])| (name.to_owned(), means);
        let systems = [("original", [3.60, 3.05]), ("VMT", [3.11, 2.36]), ("SEQ2SEQ", [2.74, 2.13])].map(system);
        let (of_people, of_films, of_pieces, of_ratings, skips) = (0.5, 0.3, 0.4, 1.0, 0.05);
        Self { systems: systems.to_vec(), of_people, of_films, of_pieces, of_ratings, skips }
    }

    /// What the mean rating of a system would be over all people and films that there could be: what is thought, rounded to the
    /// scale and kept within it.
    pub fn truth(&self, system: usize, measure: usize) -> f64 {
        let parts = [self.of_people, self.of_films, self.of_pieces, self.of_ratings];
        let deviation = parts.iter().map(|part| part * part).sum::<f64>().sqrt();
        let middle = self.systems[system].1[measure];
        // The normal distribution in steps of a thousandth of its deviation.
        let (mut sum, mut weight) = (0.0, 0.0);
        for step in -6000..=6000 {
            let z = f64::from(step) / 1000.0;
            let density = (-z * z / 2.0).exp();
            sum += density * (middle + deviation * z).round().clamp(0.0, HIGHEST.into());
            weight += density;
        }
        sum / weight
    }

    /// The key of a study of so many films.
    pub fn key(&self, films: usize, per_rater: usize, seed: u64) -> Key {
        let film = |number: usize| {
            let piece = |system: usize| (format!("{number:06x}{system:06x}"), KeyPiece { system, lufs: Some(-20.0) });
            let pieces: BTreeMap<_, _> = (0..self.systems.len()).map(piece).collect();
            KeyFilm { id: format!("{number:012x}"), name: format!("film {}", number + 1), pieces }
        };
        Key {
            format: FORMAT,
            study: "0123456789ab".into(),
            title: "Simulated".into(),
            seed,
            systems: self.systems.iter().map(|system| system.0.clone()).collect(),
            per_rater,
            films: (0..films).map(film).collect(),
            checks: BTreeMap::from([("c0".into(), 2), ("c1".into(), 4)]),
        }
    }

    /// A study with so many people and films, of which each person hears `per_rater`. People, films and pieces are drawn anew
    /// with each `seed`, and nobody fails a check.
    pub fn simulate(&self, people: usize, films: usize, per_rater: usize, seed: u64) -> Simulated {
        let key = self.key(films, per_rater, seed);
        let design = Design::new(films, self.systems.len(), seed);
        let mut random = Stream::new(seed, "simulated films", &[]);
        let mut effects = |count: usize, deviation: f64| -> Vec<[f64; 2]> {
            (0..count).map(|_| [deviation * normal(&mut random), deviation * normal(&mut random)]).collect()
        };
        let of_films = effects(films, self.of_films);
        let of_pieces = effects(films * self.systems.len(), self.of_pieces);
        let person = |person: usize| {
            let mut random = Stream::new(seed, "simulated people", &[person as u64]);
            let own = [(); 2].map(|()| self.of_people * normal(&mut random));
            let heard = design.session(person as u64).into_iter().take(per_rater);
            let films = heard.map(|(film, order)| {
                let id = key.films[film].id.clone();
                if random.unit() < self.skips {
                    return FilmAnswer { film: id, skipped: true, ratings: Vec::new() };
                }
                let mut rate = |system: usize| {
                    let piece = key.films[film].pieces.iter().find(|(_, piece)| piece.system == system);
                    let [smoothness, relevance] = [0, 1].map(|measure| {
                        let thought = self.systems[system].1[measure]
                            + own[measure]
                            + of_films[film][measure]
                            + of_pieces[film * self.systems.len() + system][measure]
                            + self.of_ratings * normal(&mut random);
                        thought.round().clamp(0.0, HIGHEST.into()) as u8
                    });
                    Rated { piece: piece.map(|it| it.0.clone()).unwrap_or_default(), smoothness, relevance, plays: 1 }
                };
                FilmAnswer { film: id, skipped: false, ratings: order.iter().map(|&system| rate(system)).collect() }
            });
            session(person, films.collect(), &key)
        };
        let answers = (0..people).map(person).collect();
        Simulated { key, answers }
    }
}

/// A person whose checks are right.
fn session(person: usize, films: Vec<FilmAnswer>, key: &Key) -> Answers {
    let check = |(piece, beeps): (&String, &u8)| Rated {
        piece: piece.clone(),
        smoothness: *beeps,
        relevance: *beeps,
        plays: 1,
    };
    Answers {
        format: FORMAT,
        study: key.study.clone(),
        rater: person as u64,
        session: format!("{person:016x}"),
        started: String::new(),
        finished: String::new(),
        complete: true,
        films,
        checks: key.checks.iter().map(check).collect(),
        comment: String::new(),
    }
}

impl Simulated {
    /// Adds a person who rates at random, and guesses the checks: `passes` says whether with luck.
    pub fn add_random_rater(&mut self, passes: bool, seed: u64) {
        let person = self.answers.len();
        let mut random = Stream::new(seed, "random rater", &[person as u64]);
        let mut rating = || random.below(usize::from(HIGHEST) + 1) as u8;
        let films = self.key.films.iter().take(self.key.per_rater).map(|film| {
            let rate =
                |piece: &String| Rated { piece: piece.clone(), smoothness: rating(), relevance: rating(), plays: 1 };
            FilmAnswer { film: film.id.clone(), skipped: false, ratings: film.pieces.keys().map(rate).collect() }
        });
        let mut answers = session(person, films.collect(), &self.key);
        if !passes {
            answers.checks.iter_mut().for_each(|check| check.smoothness = (check.smoothness + 1) % HIGHEST);
        }
        self.answers.push(answers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Report;

    /// The scores of all systems, smoothness then relevance, with their intervals.
    fn scores(report: &Report) -> Vec<(f64, [f64; 2])> {
        let scores = report.systems.iter().flat_map(|system| &system.scores);
        scores.map(|score| (score.mean, score.interval.unwrap())).collect()
    }

    #[test]
    fn known_preferences_are_found() {
        let preferences = Preferences::paper();
        let truths: Vec<f64> = (0..6).map(|index| preferences.truth(index / 2, index % 2)).collect();
        let (mut held, mut all) = (0, 0);
        for seed in 0..25 {
            let Simulated { key, answers } = preferences.simulate(60, 12, 6, seed);
            let report = Report::new(&key, &answers, Vec::new(), seed).unwrap();
            for ((_, [low, high]), truth) in scores(&report).into_iter().zip(&truths) {
                held += usize::from((low..=high).contains(truth));
                all += 1;
            }
        }
        // 95 % of 150, which are not independent.
        assert!(held * 100 >= all * 90, "{held} of {all}");
    }

    #[test]
    fn who_rates_at_random_changes_little_and_is_found_out() {
        let mut study = Preferences::paper().simulate(100, 10, 10, 1);
        let report = |study: &Simulated| Report::new(&study.key, &study.answers, Vec::new(), 1).unwrap();
        let before = report(&study);
        study.add_random_rater(false, 2);
        let found_out = report(&study);
        assert_eq!((scores(&found_out), found_out.failed.len()), (scores(&before), 1));
        study.answers.pop();
        study.add_random_rater(true, 2);
        let lucky = report(&study);
        assert!(lucky.failed.is_empty() && lucky.people == 101);
        for ((mean, _), (before, [low, high])) in scores(&lucky).into_iter().zip(scores(&before)) {
            assert!(mean != before && (low..=high).contains(&mean), "{mean} in [{low}, {high}]");
        }
    }

    #[test]
    fn differences_are_tested() {
        let Simulated { key, answers } = Preferences::paper().simulate(60, 30, 10, 3);
        let report = Report::new(&key, &answers, Vec::new(), 1).unwrap();
        assert!(report.comparisons.iter().any(|comparison| comparison.is_significant()));
        let same =
            Preferences { systems: vec![("A".into(), [3.0; 2]), ("B".into(), [3.0; 2])], ..Preferences::paper() };
        let found = (0..20).filter(|&seed| {
            let Simulated { key, answers } = same.simulate(30, 12, 6, seed);
            let report = Report::new(&key, &answers, Vec::new(), 1).unwrap();
            report.comparisons.iter().any(|comparison| comparison.is_significant())
        });
        assert!(found.count() <= 3, "systems that are alike differ seldom");
    }
}
