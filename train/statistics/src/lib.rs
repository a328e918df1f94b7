//! Random streams, and statistics of evaluations and listening studies.
//!
//! | module | what is there |
//! |---|---|
//! | [`random`] | streams of random numbers by seed and name |
//! | [`summary`] | means, quantiles, rank correlation, bootstrap intervals over songs, pairings of a permutation test |
//! | [`crossed`] | ratings of people times items: bootstrap intervals over both, agreement |
//! | [`paired`] | Wilcoxon's signed-rank test, Holm's correction, and how many pairs a difference needs |

pub mod crossed;
pub mod paired;
pub mod random;
pub mod summary;
