//! Paired comparisons: Wilcoxon's signed-rank test, Holm's correction for several tests, and the size of a study.

use statrs::distribution::{ContinuousCDF, Normal};

/// Up to so many differences the test is exact, beyond by the normal distribution.
pub const EXACT: usize = 50;

/// The result of [`wilcoxon`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRank {
    /// Differences that are not zero.
    pub count: usize,
    /// The smaller of the sums of ranks of positive and of negative differences.
    pub statistic: f64,
    /// Two-sided p-value.
    pub p: f64,
}

/// Wilcoxon's signed-rank test (1945) of paired `differences`, two-sided. Differences of zero are left out, and equal ones share
/// their rank. With at most [`EXACT`] the p-value is exact, ties included (all signs are equally likely); with more it is that of
/// the normal distribution with the variance corrected for ties and a correction for continuity. `None` where all differences
/// are zero.
pub fn wilcoxon(differences: &[f64]) -> Option<SignedRank> {
    let mut left: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    left.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let count = left.len();
    if count == 0 {
        return None;
    }
    let ranks = doubled_ranks(&left);
    let total: usize = ranks.iter().sum();
    let signed = left.iter().zip(&ranks);
    let positive: usize = signed.filter(|(difference, _)| **difference > 0.0).map(|(_, rank)| rank).sum();
    let smaller = positive.min(total - positive);
    let p = if count <= EXACT { exact(&ranks, smaller) } else { normal(&ranks, smaller) };
    Some(SignedRank { count, statistic: smaller as f64 / 2.0, p: p.min(1.0) })
}

/// Twice the ranks of the magnitudes of sorted differences: whole numbers with ties, too.
fn doubled_ranks(sorted: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(sorted.len());
    // Means of ratings that are equal differ in their last bits.
    for equal in sorted.chunk_by(|a, b| (b.abs() - a.abs()) <= 1e-9) {
        let first = ranks.len() + 1;
        ranks.extend(equal.iter().map(|_| 2 * first + equal.len() - 1));
    }
    ranks
}

/// The same as [`exact`] by the normal distribution. The variance of a sum of ranks with random signs is a quarter of the sum of
/// their squares, ties or not.
fn normal(ranks: &[usize], statistic: usize) -> f64 {
    let (total, squares) = ranks.iter().fold((0.0, 0.0), |(total, squares), &rank| {
        let rank = rank as f64 / 2.0;
        (total + rank, squares + rank * rank)
    });
    let distance = (total / 2.0 - statistic as f64 / 2.0 - 0.5).max(0.0);
    2.0 * Normal::standard().sf(distance / (squares / 4.0).sqrt())
}

/// Twice the share of all choices of signs whose sum of doubled `ranks` is at most `statistic`.
fn exact(ranks: &[usize], statistic: usize) -> f64 {
    // The probability of each sum up to the statistic.
    let mut sums = vec![0.0; statistic + 1];
    sums[0] = 1.0;
    for &rank in ranks {
        for sum in (0..=statistic).rev() {
            let with = sum.checked_sub(rank).map_or(0.0, |before| sums[before]);
            sums[sum] = (sums[sum] + with) / 2.0;
        }
    }
    2.0 * sums.iter().sum::<f64>()
}

/// The p-values adjusted for there being several (Holm 1979): each is to be compared with the level of all.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (place, &index) in order.iter().enumerate() {
        largest = largest.max((p_values.len() - place) as f64 * p_values[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

/// How many independent pairs a two-sided test at the level of 5 % needs to find a mean `difference` four times in five (power
/// 80 %), where differences have this standard `deviation`: by the normal distribution, and a twentieth more, since the
/// signed-rank test has 95.5 % of the efficiency of the t-test on normal differences (Lehmann 1975). At least 6: with fewer no
/// outcome of the exact test is significant.
pub fn pairs_needed(difference: f64, deviation: f64) -> u64 {
    let quantile = |share| Normal::standard().inverse_cdf(share);
    let ratio = (quantile(0.975) + quantile(0.8)) * deviation / difference;
    ((ratio * ratio / 0.955).ceil() as u64).max(6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Stream;

    #[track_caller]
    fn near(got: f64, want: f64, within: f64) {
        assert!((got - want).abs() < within, "{got}, not {want}");
    }

    #[test]
    fn plants_of_darwin() {
        // Wilcoxon's own example, Darwin's maize: T = 24, and SciPy's exact p is 0.041259765625.
        let heights = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75].map(f64::from);
        let test = wilcoxon(&heights).unwrap();
        assert_eq!((test.count, test.statistic), (15, 24.0));
        near(test.p, 0.041_259_765_625, 1e-12);
    }

    #[test]
    fn few_pairs_are_counted_by_hand() {
        // All of five on one side: 2 of 32 choices of signs.
        near(wilcoxon(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap().p, 2.0 / 32.0, 1e-12);
        // Ranks 1.5, 1.5, 3, of which 1.5 is negative: sums 0, 1.5 (twice) of 8 are as small.
        near(wilcoxon(&[1.0, -1.0, 2.0]).unwrap().p, 2.0 * 3.0 / 8.0, 1e-12);
        assert_eq!(wilcoxon(&[1.0, -1.0]).unwrap().p, 1.0);
        assert_eq!(wilcoxon(&[0.0, 1.0, 0.0]).unwrap().count, 1);
        assert_eq!(wilcoxon(&[0.0, 0.0]), None);
        assert_eq!(wilcoxon(&[]), None);
    }

    /// Where the normal distribution takes over, both say nearly the same, with ties, too.
    #[test]
    fn exact_and_normal_agree() {
        let mut random = Stream::new(1, "test", &[]);
        for number in 0..50 {
            let mut magnitudes: Vec<f64> = (0..EXACT).map(|_| 1.0 + random.below(5 + number) as f64).collect();
            magnitudes.sort_by(f64::total_cmp);
            let ranks = doubled_ranks(&magnitudes);
            let total: usize = ranks.iter().sum();
            for share in [0.3, 0.35, 0.4, 0.45] {
                let statistic = (share * total as f64) as usize;
                near(exact(&ranks, statistic), normal(&ranks, statistic), 0.01);
            }
        }
    }

    /// Four ties of three: the variance of the textbook, n (n + 1) (2n + 1) / 24 less a 48th of the sum of t^3 - t.
    #[test]
    fn the_variance_is_corrected_for_ties() {
        let sorted: Vec<f64> = (0..12).map(|index| f64::from(index / 3 + 1)).collect();
        let ranks = doubled_ranks(&sorted);
        assert_eq!(ranks, [4, 4, 4, 10, 10, 10, 16, 16, 16, 22, 22, 22]);
        let variance: f64 = 12.0 * 13.0 * 25.0 / 24.0 - 4.0 * 24.0 / 48.0;
        let want = 2.0 * Normal::standard().sf((39.0 - 10.0 - 0.5) / variance.sqrt());
        near(normal(&ranks, 20), want, 1e-12);
    }

    #[test]
    fn holm_of_a_textbook() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (got, want) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            near(*got, want, 1e-12);
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }

    /// As many pairs as it says find the difference four times in five.
    #[test]
    fn as_many_as_are_needed() {
        let (difference, deviation) = (0.2, 1.0);
        let count = pairs_needed(difference, deviation);
        assert_eq!(count, 206);
        let mut random = Stream::new(1, "test", &[]);
        let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
        let found = (0..1000).filter(|_| {
            let drawn: Vec<f64> = (0..count).map(|_| difference + deviation * normal()).collect();
            wilcoxon(&drawn).unwrap().p < 0.05
        });
        near(found.count() as f64 / 1000.0, 0.8, 0.04);
        assert_eq!(pairs_needed(0.2, 0.0), 6);
    }

    proptest! {
        #[test]
        fn sides_are_alike(differences in prop::collection::vec(-5_i8..=5, 0..70)) {
            let differences: Vec<f64> = differences.into_iter().map(f64::from).collect();
            let turned: Vec<f64> = differences.iter().map(|difference| -difference).collect();
            prop_assert_eq!(wilcoxon(&differences), wilcoxon(&turned));
            if let Some(test) = wilcoxon(&differences) {
                prop_assert!(test.p > 0.0 && test.p <= 1.0);
            }
        }

        #[test]
        fn adjusted_values_keep_their_order(p_values in prop::collection::vec(0.0..1.0_f64, 0..12)) {
            let adjusted = holm(&p_values);
            for (a, pa) in p_values.iter().zip(&adjusted) {
                prop_assert!(pa >= a && *pa <= 1.0);
                for (b, pb) in p_values.iter().zip(&adjusted) {
                    prop_assert!(a > b || pa <= pb);
                }
            }
        }
    }
}
