//! Statistics: correlation, bootstrap intervals, and pairings of a permutation test.

use std::collections::BTreeMap;
use std::iter::zip;

use crate::random::Stream;

/// The mean of at least one value.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count)
}

/// The value that a `share` of `values` (at least one) lies below, between two of them where need be (Hyndman and Fan
/// 1996, type 7).
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// Spearman's rank correlation, -1 to 1; values that are equal share their rank. `None` where one side is all equal.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    // Ranks always have this mean.
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| zip(a, b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    let spread = (product(&a, &a) * product(&b, &b)).sqrt();
    (spread > 0.0).then(|| product(&a, &b) / spread)
}

/// From 0.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let equal = values.iter().filter(|other| *other == value).count();
        below as f64 + (equal as f64 - 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

/// What one fragment adds to a mean: the mean is the sum of sums over the sum of weights.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Fragments of one song are not independent of each other.
    pub song: usize,
    /// Of the fragment's values.
    pub sum: f64,
    /// Number of values.
    pub weight: f64,
}

/// How often songs are drawn for an interval.
pub const BOOTSTRAPS: usize = 2000;

/// The mean of `samples` (at least one), and the interval that holds 95 % of the means of as many songs drawn with
/// replacement (Efron 1979, the percentile method), 2,000 times.
pub fn bootstrap(samples: &[Sample], random: &mut Stream) -> (f64, [f64; 2]) {
    let mut songs = BTreeMap::new();
    for Sample { song, sum, weight } in samples {
        let total = songs.entry(song).or_insert((0.0, 0.0));
        *total = (total.0 + sum, total.1 + weight);
    }
    let songs: Vec<(f64, f64)> = songs.into_values().collect();
    let ratio = |totals: &mut dyn Iterator<Item = (f64, f64)>| {
        let (sum, weight) = totals.fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
        sum / weight
    };
    let drawn = |_| ratio(&mut (0..songs.len()).map(|_| songs[random.below(songs.len())]));
    let means: Vec<f64> = (0..BOOTSTRAPS).map(drawn).collect();
    (ratio(&mut songs.iter().copied()), [quantile(&means, 0.025), quantile(&means, 0.975)])
}

/// For each fragment another one, of another song; each is taken once. `songs` says whose the fragments are. `None`
/// where one song has more than half of them.
///
/// Songs and their fragments are put into a random order, and each fragment meets the one that comes so many later; so
/// many are at least as many as any song has.
pub fn mismatch(songs: &[usize], random: &mut Stream) -> Option<Vec<usize>> {
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    songs.iter().enumerate().for_each(|(place, &song)| groups.entry(song).or_default().push(place));
    let mut groups: Vec<_> = groups.into_values().collect();
    let longest = groups.iter().map(Vec::len).max()?;
    let room = (songs.len() + 1).checked_sub(2 * longest).filter(|&room| room > 0)?;

    random.shuffle(&mut groups);
    groups.iter_mut().for_each(|group| random.shuffle(group));
    let order = groups.concat();
    let later = longest + random.below(room);
    let mut others = vec![0; songs.len()];
    for (index, &place) in order.iter().enumerate() {
        others[place] = order[(index + later) % order.len()];
    }
    Some(others)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-12, "{got}, not {want}");
    }

    #[test]
    fn quantiles_lie_between_values() {
        let values = [4.0, 1.0, 3.0, 2.0, 5.0];
        for (share, want) in [(0.0, 1.0), (0.05, 1.2), (0.5, 3.0), (0.95, 4.8), (1.0, 5.0)] {
            near(quantile(&values, share), want);
        }
    }

    #[test]
    fn ranks_correlate() {
        let check = |a: &[f64], b: &[f64], want: Option<f64>| match (spearman(a, b), want) {
            (Some(got), Some(want)) => near(got, want),
            (got, want) => assert_eq!(got, want),
        };
        check(&[1.0, 2.0, 3.0], &[10.0, 100.0, 1000.0], Some(1.0));
        check(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0], Some(-1.0));
        // 1 - 6 * 194 / (10 * 99): the textbook's hours of television and intelligence.
        let (tests, hours) = (
            [106.0, 100.0, 86.0, 101.0, 99.0, 103.0, 97.0, 113.0, 112.0, 110.0],
            [7.0, 27.0, 2.0, 50.0, 28.0, 29.0, 20.0, 12.0, 6.0, 17.0],
        );
        check(&tests, &hours, Some(-29.0 / 165.0));
        // Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3.
        check(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0], Some(4.5 / (4.5f64 * 5.0).sqrt()));
        check(&[1.0, 1.0], &[1.0, 2.0], None);
        check(&[], &[], None);
    }

    #[test]
    fn intervals_of_constants_are_the_constant() {
        let sample =
            |index: usize| Sample { song: index % 7, sum: 1.5 * (index + 1) as f64, weight: (index + 1) as f64 };
        let samples: Vec<_> = (0..40).map(sample).collect();
        let (mean, interval) = bootstrap(&samples, &mut Stream::new(1, "test", &[]));
        assert_eq!((mean, interval), (1.5, [1.5, 1.5]));
    }

    #[test]
    fn intervals_are_those_of_independent_songs() {
        // 100 songs of 5 equal fragments, half 0 and half 1: the mean's standard deviation is 0.05, as of 100 values.
        let samples: Vec<_> =
            (0..500).map(|index| Sample { song: index / 5, sum: (index / 5 % 2) as f64, weight: 1.0 }).collect();
        let (mean, [low, high]) = bootstrap(&samples, &mut Stream::new(1, "test", &[]));
        assert_eq!(mean, 0.5);
        assert!((low - 0.402).abs() < 0.015 && (high - 0.598).abs() < 0.015, "{low} {high}");
    }

    #[test]
    fn the_mismatched_are_of_other_songs_and_all_are_taken() {
        let songs = [0, 0, 0, 1, 1, 2, 3, 3, 3, 3];
        let mut seen = vec![BTreeSet::new(); songs.len()];
        for number in 0..500 {
            let others = mismatch(&songs, &mut Stream::new(1, "test", &[number])).unwrap();
            assert_eq!(others.iter().collect::<BTreeSet<_>>().len(), songs.len());
            for (place, other) in others.into_iter().enumerate() {
                assert_ne!(songs[place], songs[other]);
                seen[place].insert(other);
            }
        }
        for (place, seen) in seen.iter().enumerate() {
            let others = songs.iter().filter(|&&song| song != songs[place]).count();
            assert_eq!(seen.len(), others, "everybody of another song is met");
        }
        for too_many in [&[0, 0, 1][..], &[0, 0], &[0], &[]] {
            assert_eq!(mismatch(too_many, &mut Stream::new(1, "test", &[])), None);
        }
    }
}
