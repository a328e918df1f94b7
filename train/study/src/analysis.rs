//! What ratings say: the paper's table 2 with intervals, tests, agreement, skips and power.

use std::collections::BTreeMap;

use serde::Serialize;
use vmt_statistics::crossed::{BOOTSTRAPS, Rating, agreement, bootstrap};
use vmt_statistics::paired::{holm, pairs_needed, wilcoxon};
use vmt_statistics::random::Stream;
use vmt_statistics::summary::mean;

use crate::formats::{Answers, Key, Rated};

/// What is rated.
pub const MEASURES: [&str; 2] = ["smoothness", "relevance"];
/// The difference that a study is to find, in [`Power`].
pub const DIFFERENCE: f64 = 0.2;

/// All that `score` tells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The study's id.
    pub study: String,
    /// Its heading.
    pub title: String,
    /// People whose ratings count.
    pub people: usize,
    /// Films of which there are ratings.
    pub films: usize,
    /// Ratings by measure: people times films that they did not skip times systems.
    pub ratings: usize,
    /// People who did not hear all of their films; what they rated counts.
    pub incomplete: usize,
    /// By system, in the order of the call.
    pub systems: Vec<SystemScore>,
    /// By measure and pair of systems.
    pub comparisons: Vec<Comparison>,
    /// By measure.
    pub agreement: Vec<Agreement>,
    /// By film.
    pub skips: Vec<Skips>,
    /// By measure.
    pub power: Vec<Power>,
    /// People who are left out, since they failed the attention checks.
    pub failed: Vec<Failed>,
    /// Files that could not be used, a line each.
    pub faults: Vec<String>,
    /// What people wanted to say.
    pub comments: Vec<String>,
}

/// A row of table 2.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SystemScore {
    /// Its name.
    pub system: String,
    /// By measure.
    pub scores: Vec<Score>,
}

/// A mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Of all ratings, 0 to 5.
    pub mean: f64,
    /// Its 95 % interval over people and films; `None` with one of either.
    pub interval: Option<[f64; 2]>,
    /// The standard deviation of the ratings.
    pub deviation: f64,
}

/// Two systems compared by the same people on the same films.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What was rated.
    pub measure: &'static str,
    /// The two systems.
    pub systems: [String; 2],
    /// How much higher the first was rated, and its 95 % interval over people and films.
    pub difference: Score,
    /// Wilcoxon's test of the mean differences of people.
    pub by_people: Test,
    /// The same of films.
    pub by_films: Test,
}

/// A signed-rank test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Test {
    /// Mean differences other than zero.
    pub count: usize,
    /// Two-sided p-value; 1 where all differences are zero.
    pub p: f64,
    /// The same after Holm's correction for all pairs of this measure.
    pub holm: f64,
}

/// Whether people agree on pieces.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// What was rated.
    pub measure: &'static str,
    /// Krippendorff's alpha on an interval scale; `None` where nobody could disagree.
    pub alpha: Option<f64>,
}

/// How often a film was known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Skips {
    /// Its name.
    pub film: String,
    /// To how many people it was shown.
    pub shown: usize,
    /// How many of them skipped it.
    pub skipped: usize,
}

/// How large a study must be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Power {
    /// What was rated.
    pub measure: &'static str,
    /// The difference that is to be found: [`DIFFERENCE`].
    pub difference: f64,
    /// Standard deviation of one person's difference between two systems on one film, of the pair where it is largest.
    pub deviation: f64,
    /// Ratings of a pair of pieces that this takes, if all were independent.
    pub pairs: u64,
    /// Standard deviation of people's mean differences, of the pair where it is largest.
    pub deviation_of_people: f64,
    /// People that it takes, each with as many films as here.
    pub people: u64,
}

/// Who is left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failed {
    /// The rater's number.
    pub rater: u64,
    /// The session.
    pub session: String,
    /// Right checks.
    pub right: usize,
    /// All checks.
    pub checks: usize,
}

/// Ratings of one measure.
struct Ratings {
    /// By system.
    of: Vec<Vec<Rating>>,
}

impl Ratings {
    fn new(key: &Key, people: &[&Answers], value: impl Fn(&Rated) -> u8) -> Self {
        let mut of = vec![Vec::new(); key.systems.len()];
        for (person, answers) in people.iter().enumerate() {
            for film in &answers.films {
                let Some(item) = key.films.iter().position(|known| known.id == film.film) else { continue };
                for rated in &film.ratings {
                    if let Some(piece) = key.films[item].pieces.get(&rated.piece) {
                        of[piece.system].push(Rating { person, item, value: value(rated).into() });
                    }
                }
            }
        }
        Self { of }
    }

    /// How much higher each person rated one system than another on each film.
    fn differences(&self, one: usize, other: usize) -> Vec<Rating> {
        let others: BTreeMap<_, _> = self.of[other].iter().map(|it| ((it.person, it.item), it.value)).collect();
        let difference = |it: &Rating| {
            let other = others.get(&(it.person, it.item))?;
            Some(Rating { value: it.value - other, ..*it })
        };
        self.of[one].iter().filter_map(difference).collect()
    }

    fn agreement(&self) -> Option<f64> {
        let count = self.of.len();
        let pieces = self.of.iter().enumerate();
        let all = pieces.flat_map(|(system, ratings)| {
            ratings.iter().map(move |rating| Rating { item: rating.item * count + system, ..*rating })
        });
        agreement(&all.collect::<Vec<_>>())
    }
}

/// Means by `group`, in its order.
fn means(ratings: &[Rating], group: impl Fn(&Rating) -> usize) -> Vec<f64> {
    let mut groups: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    ratings.iter().for_each(|rating| groups.entry(group(rating)).or_default().push(rating.value));
    groups.into_values().map(mean).collect()
}

/// With one less than there are in the denominator; 0 of fewer than two.
fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let middle = mean(values.iter().copied());
    (values.iter().map(|value| (value - middle).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt()
}

fn score(ratings: &[Rating], random: &mut Stream) -> Score {
    let (mean, [low, high]) = bootstrap(ratings, BOOTSTRAPS, random);
    let values: Vec<f64> = ratings.iter().map(|rating| rating.value).collect();
    Score { mean, interval: low.is_finite().then_some([low, high]), deviation: deviation(&values) }
}

impl Report {
    /// Of the answers of a study; `None` without a rating. `seed` is that of the intervals.
    pub fn new(key: &Key, answers: &[Answers], faults: Vec<String>, seed: u64) -> Option<Self> {
        let (failed, people): (Vec<_>, Vec<_>) = answers.iter().partition(|answers| answers.failed(key));
        let smoothness = Ratings::new(key, &people, |rated| rated.smoothness);
        let relevance = Ratings::new(key, &people, |rated| rated.relevance);
        let measures = [smoothness, relevance];
        if measures[0].of.iter().any(Vec::is_empty) {
            return None;
        }
        let random = |what: &str, numbers: &[usize]| {
            Stream::new(seed, what, &numbers.iter().map(|&number| number as u64).collect::<Vec<_>>())
        };
        let system = |(number, name): (usize, &String)| {
            let scores = measures.iter().enumerate();
            let scores = scores.map(|(measure, it)| score(&it.of[number], &mut random("scores", &[number, measure])));
            SystemScore { system: name.clone(), scores: scores.collect() }
        };
        let of_people = |answers: &Answers| answers.films.iter().any(|film| !film.ratings.is_empty());
        let shown = |film: &str| people.iter().flat_map(|it| &it.films).filter(|it| it.film == film).count();
        let skipped =
            |film: &str| people.iter().flat_map(|it| &it.films).filter(|it| it.film == film && it.skipped).count();
        let comparisons = measures.iter().enumerate().flat_map(|(measure, it)| compare(key, it, measure, &random));
        let comments = answers.iter().filter(|answers| !answers.comment.trim().is_empty());
        Some(Self {
            study: key.study.clone(),
            title: key.title.clone(),
            people: people.iter().filter(|answers| of_people(answers)).count(),
            films: means(&measures[0].of[0], |rating| rating.item).len(),
            ratings: measures[0].of.iter().map(Vec::len).sum(),
            incomplete: people.iter().filter(|answers| !answers.complete).count(),
            systems: key.systems.iter().enumerate().map(system).collect(),
            comparisons: comparisons.collect(),
            agreement: MEASURES
                .iter()
                .zip(&measures)
                .map(|(measure, it)| Agreement { measure, alpha: it.agreement() })
                .collect(),
            skips: key
                .films
                .iter()
                .map(|film| Skips { film: film.name.clone(), shown: shown(&film.id), skipped: skipped(&film.id) })
                .collect(),
            power: MEASURES.iter().zip(&measures).map(|(measure, it)| power(measure, it)).collect(),
            failed: failed
                .iter()
                .map(|answers| {
                    let (right, checks) = answers.checked(key);
                    Failed { rater: answers.rater, session: answers.session.clone(), right, checks }
                })
                .collect(),
            faults,
            comments: comments.map(|answers| format!("{}: {}", answers.name(), one_line(&answers.comment))).collect(),
        })
    }
}

/// Text without line breaks and other controls.
fn one_line(text: &str) -> String {
    text.split(char::is_whitespace)
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
        .replace(char::is_control, "")
}

/// All pairs of systems.
fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |one| (one + 1..count).map(move |other| (one, other)))
}

fn compare(
    key: &Key,
    ratings: &Ratings,
    measure: usize,
    random: &impl Fn(&str, &[usize]) -> Stream,
) -> Vec<Comparison> {
    let count = key.systems.len();
    let differences: Vec<_> =
        pairs(count).map(|(one, other)| ((one, other), ratings.differences(one, other))).collect();
    let tests = |group: fn(&Rating) -> usize| {
        let tests = differences.iter().map(|(_, differences)| wilcoxon(&means(differences, group)));
        let tests: Vec<(usize, f64)> = tests.map(|test| test.map_or((0, 1.0), |test| (test.count, test.p))).collect();
        let adjusted = holm(&tests.iter().map(|test| test.1).collect::<Vec<_>>());
        tests.into_iter().zip(adjusted).map(|((count, p), holm)| Test { count, p, holm }).collect::<Vec<_>>()
    };
    let (by_people, by_films) = (tests(|rating| rating.person), tests(|rating| rating.item));
    let compared = differences.iter().zip(by_people.into_iter().zip(by_films));
    compared
        .map(|(((one, other), differences), (by_people, by_films))| Comparison {
            measure: MEASURES[measure],
            systems: [*one, *other].map(|system| key.systems[system].clone()),
            difference: score(differences, &mut random("differences", &[*one, *other, measure])),
            by_people,
            by_films,
        })
        .collect()
}

fn power(measure: &'static str, ratings: &Ratings) -> Power {
    let differences = pairs(ratings.of.len()).map(|(one, other)| ratings.differences(one, other));
    let deviations = differences.map(|differences| {
        let values: Vec<f64> = differences.iter().map(|rating| rating.value).collect();
        [deviation(&values), deviation(&means(&differences, |rating| rating.person))]
    });
    let [single, of_people] = deviations.fold([0.0_f64; 2], |[a, b], [c, d]| [a.max(c), b.max(d)]);
    Power {
        measure,
        difference: DIFFERENCE,
        deviation: single,
        pairs: pairs_needed(DIFFERENCE, single),
        deviation_of_people: of_people,
        people: pairs_needed(DIFFERENCE, of_people),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::FilmAnswer;
    use crate::simulation::Preferences;

    /// Two systems and three films; `ratings` has a row for each person, with what was given to both pieces of each film, or nothing
    /// where it was skipped.
    fn report(ratings: &[[Option<[u8; 2]>; 3]], fail: &[usize]) -> Report {
        let systems = ["A", "B"].map(|name| (name.to_owned(), [3.0; 2])).to_vec();
        let mut study = Preferences { systems, ..Preferences::paper() }.simulate(ratings.len(), 3, 3, 1);
        for (person, (answers, row)) in study.answers.iter_mut().zip(ratings).enumerate() {
            let films = study.key.films.iter().zip(row).map(|(film, given)| {
                let rate = |(piece, it): (&String, &crate::formats::KeyPiece)| {
                    given.map(|given| Rated {
                        piece: piece.clone(),
                        smoothness: given[it.system],
                        relevance: 5 - given[it.system],
                        plays: 1,
                    })
                };
                FilmAnswer {
                    film: film.id.clone(),
                    skipped: given.is_none(),
                    ratings: film.pieces.iter().filter_map(rate).collect(),
                }
            });
            answers.films = films.collect();
            if fail.contains(&person) {
                answers.checks[0].relevance += 1;
            }
        }
        Report::new(&study.key, &study.answers, Vec::new(), 1).unwrap()
    }

    #[test]
    fn a_small_study_by_hand() {
        let (s, o) = (Some, None);
        let rows = [[s([4, 2]), s([5, 1]), o], [s([3, 3]), s([4, 2]), s([5, 0])], [s([0, 5]), s([0, 5]), s([0, 5])]];
        let Report { people, films, ratings, systems, comparisons, skips, failed, agreement, .. } = report(&rows, &[2]);
        assert_eq!((people, films, ratings), (2, 3, 10));
        let mean = |system: usize, measure: usize| systems[system].scores[measure].mean;
        assert_eq!([mean(0, 0), mean(1, 0), mean(0, 1), mean(1, 1)], [21.0 / 5.0, 8.0 / 5.0, 4.0 / 5.0, 17.0 / 5.0]);
        let [smoothness, relevance] = &comparisons[..] else { panic!("one pair, two measures") };
        assert_eq!((smoothness.difference.mean, relevance.difference.mean), (13.0 / 5.0, -13.0 / 5.0));
        // Means of people: 3 and 7/3, of films: 1, 3 and 5; all above zero.
        assert_eq!((smoothness.by_people.count, smoothness.by_people.p), (2, 0.5));
        assert_eq!((smoothness.by_films.count, smoothness.by_films.p), (3, 0.25));
        let skipped: Vec<_> = skips.iter().map(|film| (film.shown, film.skipped)).collect();
        assert_eq!(skipped, [(2, 0), (2, 0), (2, 1)], "who is left out does not count");
        assert_eq!((failed.len(), failed[0].rater, failed[0].right, failed[0].checks), (1, 2, 1, 2));
        assert!(agreement[0].alpha.unwrap() > 0.5 && agreement[0].alpha == agreement[1].alpha);
    }

    #[test]
    fn comments_are_lines() {
        assert_eq!(one_line(" a\n\n# b\tc\u{7} "), "a # b c");
    }
}
