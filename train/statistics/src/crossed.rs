//! Ratings that people gave to items: each rating shares its person with some and its item with others, so none is
//! independent of the rest.

use std::collections::BTreeMap;

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use crate::random::Stream;
use crate::summary::quantile;

/// A value that a person gave to an item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// Number of the person.
    pub person: usize,
    /// Number of the item: in a listening study the film.
    pub item: usize,
    /// The value.
    pub value: f64,
}

/// How often people and items are drawn for an interval.
pub const BOOTSTRAPS: usize = 2000;

/// The mean of `ratings` (at least one) and its interval of 95 %: both people and items are drawn with replacement, and a rating
/// counts as often as its person times its item (Owen 2007, "The pigeonhole bootstrap"). So the interval is for other people
/// and other items of the same kind.
///
/// Of few people or items, the percentile interval is too short; its percentiles are those that make it as long as that of
/// Student's t would be (Hesterberg 2015, "What teachers should know about the bootstrap", expanded percentiles), with as many
/// degrees of freedom as the fewer of people and items have. With one person or one item there is no interval: it is all numbers.
pub fn bootstrap(ratings: &[Rating], draws: usize, random: &mut Stream) -> (f64, [f64; 2]) {
    let people = numbered(ratings.iter().map(|rating| rating.person));
    let items = numbered(ratings.iter().map(|rating| rating.item));
    // Sums by item within each person.
    let mut cells: BTreeMap<(usize, usize), (f64, f64)> = BTreeMap::new();
    for Rating { person, item, value } in ratings {
        let cell = cells.entry((people[person], items[item])).or_default();
        *cell = (cell.0 + value, cell.1 + 1.0);
    }
    let cells: Vec<_> = cells.into_iter().map(|((person, item), (sum, count))| (person, item, sum, count)).collect();
    let mean = cells.iter().map(|cell| cell.2).sum::<f64>() / cells.iter().map(|cell| cell.3).sum::<f64>();
    let fewer = people.len().min(items.len());
    if fewer < 2 {
        return (mean, [f64::NEG_INFINITY, f64::INFINITY]);
    }
    let mut means = Vec::with_capacity(draws);
    while means.len() < draws {
        let (of_people, of_items) = (drawn(people.len(), random), drawn(items.len(), random));
        let (mut sum, mut count) = (0.0, 0.0);
        for &(person, item, cell_sum, cell_count) in &cells {
            let weight = of_people[person] * of_items[item];
            sum += weight * cell_sum;
            count += weight * cell_count;
        }
        // Where not everybody rated everything, those who were drawn may have rated nothing that was.
        if count > 0.0 {
            means.push(sum / count);
        }
    }
    let tail = tail(fewer);
    (mean, [quantile(&means, tail), quantile(&means, 1.0 - tail)])
}

/// The share of draws below an interval of 95 % where the fewer of people and items are so many, at least 2.
fn tail(fewer: usize) -> f64 {
    let n = fewer as f64;
    // Degrees of freedom that are positive make a distribution.
    let t = StudentsT::new(0.0, 1.0, n - 1.0).map_or(f64::INFINITY, |student| student.inverse_cdf(0.975));
    Normal::standard().cdf(-t * (n / (n - 1.0)).sqrt())
}

/// How often each of `count` is drawn in as many draws.
fn drawn(count: usize, random: &mut Stream) -> Vec<f64> {
    let mut times = vec![0.0; count];
    (0..count).for_each(|_| times[random.below(count)] += 1.0);
    times
}

/// From 0, in the order of the numbers that there are.
fn numbered(numbers: impl Iterator<Item = usize>) -> BTreeMap<usize, usize> {
    let mut places: BTreeMap<usize, usize> = numbers.map(|number| (number, 0)).collect();
    places.values_mut().enumerate().for_each(|(place, value)| *value = place);
    places
}

/// Krippendorff's alpha for values on an interval scale (Krippendorff 2011): 1 where all people give an item the same value, 0
/// where they agree as chance would have it. Items with one rating say nothing of agreement. `None` where no item has two, or all
/// values are equal.
pub fn agreement(ratings: &[Rating]) -> Option<f64> {
    let mut items: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    ratings.iter().for_each(|rating| items.entry(rating.item).or_default().push(rating.value));
    items.retain(|_, values| values.len() > 1);
    // The sum of squared differences over ordered pairs.
    let squares = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        2.0 * values.len() as f64 * values.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
    };
    let all: Vec<f64> = items.values().flatten().copied().collect();
    let count = all.len() as f64;
    let observed: f64 = items.values().map(|values| squares(values) / (values.len() as f64 - 1.0)).sum();
    let expected = squares(&all) / (count - 1.0);
    (count > 1.0 && expected > 0.0).then(|| 1.0 - observed / expected)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows are people, columns items; `None` where a person did not rate.
    fn ratings(rows: &[&[Option<i32>]]) -> Vec<Rating> {
        let row = |(person, row): (usize, &&[Option<i32>])| -> Vec<Rating> {
            let rated = row.iter().enumerate().filter_map(|(item, value)| value.map(|value| (item, value)));
            rated.map(|(item, value)| Rating { person, item, value: value.into() }).collect()
        };
        rows.iter().enumerate().flat_map(row).collect()
    }

    #[test]
    fn agreement_of_a_textbook() {
        // Krippendorff's example of three coders and fifteen units, of which twelve are rated twice or more: 0.811.
        let (o, s) = (None, Some);
        let rows: [&[Option<i32>]; 3] = [
            &[o, o, o, o, o, s(3), s(4), s(1), s(2), s(1), s(1), s(3), s(3), o, s(3)],
            &[s(1), o, s(2), s(1), s(3), s(3), s(4), s(3), o, o, o, o, o, o, o],
            &[o, o, s(2), s(1), s(3), s(4), s(4), o, s(2), s(1), s(1), s(3), s(3), o, s(4)],
        ];
        let alpha = agreement(&ratings(&rows)).unwrap();
        assert!((alpha - 0.811).abs() < 5e-4, "{alpha}");
        assert_eq!(agreement(&ratings(&[&[s(1), s(2)], &[s(1), s(2)]])), Some(1.0));
        assert_eq!(agreement(&ratings(&[&[s(1), s(1)], &[s(1), s(1)]])), None, "nothing could disagree");
        assert_eq!(agreement(&ratings(&[&[s(1), s(2), s(3)]])), None, "nobody else");
        assert_eq!(agreement(&[]), None);
    }

    #[test]
    fn agreement_by_chance_is_none() {
        let mut random = Stream::new(1, "test", &[]);
        let rating = |number: usize| Rating { person: number / 60, item: number % 60, value: random.below(6) as f64 };
        let alpha = agreement(&(0..60 * 20).map(rating).collect::<Vec<_>>()).unwrap();
        assert!(alpha.abs() < 0.03, "{alpha}");
    }

    #[test]
    fn intervals_of_constants_are_the_constant() {
        let rating = |number: usize| Rating { person: number % 7, item: number % 5, value: 2.5 };
        let ratings: Vec<_> = (0..35).map(rating).collect();
        assert_eq!(bootstrap(&ratings, 200, &mut Stream::new(1, "test", &[])), (2.5, [2.5, 2.5]));
        let alone: Vec<_> = (0..5).map(|item| Rating { person: 3, item, value: 1.0 }).collect();
        assert_eq!(bootstrap(&alone, 200, &mut Stream::new(1, "test", &[])).1, [f64::NEG_INFINITY, f64::INFINITY]);
    }

    /// How often the interval holds the mean of all people and items that there could be.
    #[track_caller]
    fn covers(people: usize, items: usize, [of_person, of_item, of_rating]: [f64; 3]) {
        let mut random = Stream::new(people as u64, "test", &[items as u64]);
        let runs = 400;
        let held = (0..runs).filter(|_| {
            let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
            let by_person: Vec<f64> = (0..people).map(|_| of_person * normal()).collect();
            let by_item: Vec<f64> = (0..items).map(|_| of_item * normal()).collect();
            let one = |number: usize| {
                let (person, item) = (number / items, number % items);
                Rating { person, item, value: 3.0 + by_person[person] + by_item[item] + of_rating * normal() }
            };
            let ratings: Vec<_> = (0..people * items).map(one).collect();
            let (_, [low, high]) = bootstrap(&ratings, 300, &mut random);
            low <= 3.0 && 3.0 <= high
        });
        let share = held.count() as f64 / f64::from(runs);
        assert!((0.93..=0.995).contains(&share), "{people} people and {items} items: {share}");
    }

    #[test]
    fn intervals_hold_what_they_say() {
        covers(23, 30, [0.5, 0.5, 0.5]);
        covers(23, 30, [0.5, 0.0, 1.0]);
        covers(10, 8, [0.5, 0.5, 0.5]);
    }

    proptest! {
        #[test]
        fn an_interval_lies_among_the_ratings(values in prop::collection::vec((0_usize..6, 0_usize..6, 0_u8..6), 1..60)) {
            let rating = |&(person, item, value): &(usize, usize, u8)| Rating { person, item, value: value.into() };
            let ratings: Vec<_> = values.iter().map(rating).collect();
            let (mean, [low, high]) = bootstrap(&ratings, 50, &mut Stream::new(1, "test", &[]));
            let values = || ratings.iter().map(|rating| rating.value);
            let [least, most] = [values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max)];
            prop_assert!((least..=most).contains(&mean));
            prop_assert!(low <= high);
            prop_assert!(low.is_infinite() || (least <= low && high <= most));
            if let Some(alpha) = agreement(&ratings) {
                prop_assert!(alpha <= 1.0);
            }
        }
    }
}
