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
    // Twice the rank, a whole number with ties, too.
    let mut ranks = Vec::with_capacity(count);
    let mut ties = 0.0;
    // Means of ratings that are equal differ in their last bits.
    for equal in left.chunk_by(|a, b| (b.abs() - a.abs()) <= 1e-9) {
        let first = ranks.len() + 1;
        ranks.extend(equal.iter().map(|_| 2 * first + equal.len() - 1));
        ties += (equal.len() as f64).powi(3) - equal.len() as f64;
    }
    let total: usize = ranks.iter().sum();
    let positive: usize =
        left.iter().zip(&ranks).filter(|(difference, _)| **difference > 0.0).map(|(_, rank)| rank).sum();
    let smaller = positive.min(total - positive);
    let p = if count <= EXACT {
        exact(&ranks, smaller)
    } else {
        let n = count as f64;
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
        let distance = (total as f64 / 4.0 - smaller as f64 / 2.0 - 0.5).max(0.0);
        2.0 * Normal::standard().sf(distance / variance.sqrt())
    };
    Some(SignedRank { count, statistic: smaller as f64 / 2.0, p: p.min(1.0) })
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
            let drawn: Vec<f64> =
                (0..EXACT).map(|_| random.below(11) as f64 - 5.0 + 0.02 * f64::from(number) + 0.013).collect();
            let exact = wilcoxon(&drawn).unwrap();
            // One more of the smallest rank hardly matters.
            let more: Vec<f64> = drawn.iter().copied().chain([1e-6, -1e-6]).collect();
            let normal = wilcoxon(&more).unwrap();
            assert!(normal.count > EXACT);
            near(exact.p, normal.p, 0.03);
        }
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
