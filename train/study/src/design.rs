//! Who hears what in which order: Williams designs, in which nobody's place and nobody's predecessor is preferred.

use vmt_statistics::random::Stream;

/// Sequences of `count` things (Williams 1949): each is at each place equally often, and each comes directly behind each other
/// one equally often. `count` sequences where that is even, else twice as many.
pub fn williams(count: usize) -> Vec<Vec<usize>> {
    // 0, 1, last, 2, last but one, ...
    let first: Vec<usize> =
        (0..count).map(|place| if place % 2 == 1 { place.div_ceil(2) } else { (count - place / 2) % count }).collect();
    let rows = || (0..count).map(|row| first.iter().map(|thing| (thing + row) % count).collect::<Vec<_>>());
    if count.is_multiple_of(2) || count == 1 {
        return rows().collect();
    }
    rows().chain(rows().map(|row| row.into_iter().rev().collect())).collect()
}

/// The orders of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    /// Orders of the films; rater `r` has number `r`, modulo how many there are.
    pub films: Vec<Vec<usize>>,
    /// For each film, orders of the systems; rater `r` has number `r`, modulo how many there are.
    pub systems: Vec<Vec<Vec<usize>>>,
}

impl Design {
    /// The orders of so many films, each heard with so many systems.
    ///
    /// Of as many raters in a row as there are orders of films, each film is at each place equally often; of as many as there are
    /// orders of systems, each film is heard in each order of its systems once. Each rater has all orders of systems about equally
    /// often over the films. The `seed` draws which orders meet.
    pub fn new(films: usize, systems: usize, seed: u64) -> Self {
        let mut rows = williams(films);
        Stream::new(seed, "orders of films", &[]).shuffle(&mut rows);
        let orders = williams(systems);
        let mut from: Vec<usize> = (0..films).collect();
        Stream::new(seed, "orders of systems", &[]).shuffle(&mut from);
        let rotated = |&from: &usize| {
            let mut orders = orders.clone();
            let by = from % orders.len();
            orders.rotate_left(by);
            orders
        };
        Self { films: rows, systems: from.iter().map(rotated).collect() }
    }

    /// What a rater hears: films, and for each the systems, in order.
    pub fn session(&self, rater: u64) -> Vec<(usize, &[usize])> {
        let of = |count: usize| (rater % count as u64) as usize;
        let films = &self.films[of(self.films.len())];
        films.iter().map(|&film| (film, &self.systems[film][of(self.systems[film].len())][..])).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::hash::Hash;

    use proptest::prelude::*;

    use super::*;

    /// Fails unless all of `possible` kinds occur, each equally often.
    #[track_caller]
    fn even<K: Hash + Eq>(kinds: impl Iterator<Item = K>, possible: usize) {
        let mut counts = HashMap::new();
        kinds.for_each(|kind| *counts.entry(kind).or_insert(0) += 1);
        let [least, most] = [counts.values().min(), counts.values().max()];
        assert!(counts.len() == possible && least == most, "{} of {possible}, {least:?} to {most:?}", counts.len());
    }

    #[test]
    fn places_and_predecessors_are_balanced() {
        for count in 1..=31 {
            let rows = williams(count);
            let placed = rows.iter().flat_map(|row| row.iter().enumerate());
            even(placed, count * count);
            let pairs = rows.iter().flat_map(|row| row.windows(2).map(|pair| (pair[0], pair[1])));
            even(pairs, count * (count - 1));
        }
        assert_eq!(williams(4)[0], [0, 1, 3, 2]);
        let mut three = williams(3);
        three.sort();
        assert_eq!(three, [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]], "all there are");
    }

    proptest! {
        /// The same for sessions: of as many raters as there are orders, and for one rater as nearly as can be.
        #[test]
        fn sessions_are_balanced(films in 1_usize..14, systems in 2_usize..7, seed in 0_u64..99, first in 0_u64..99) {
            let design = Design::new(films, systems, seed);
            let raters = |count: usize| (first..first + count as u64).map(|rater| design.session(rater));
            for session in raters(1) {
                let mut heard: Vec<usize> = session.iter().map(|(film, _)| *film).collect();
                heard.sort_unstable();
                prop_assert_eq!(heard, (0..films).collect::<Vec<_>>());
            }
            let at = raters(design.films.len()).flat_map(|it| it.into_iter().map(|heard| heard.0).enumerate().collect::<Vec<_>>());
            even(at, films * films);
            let orders = williams(systems).len();
            let heard = raters(orders).flat_map(|session| session.into_iter().map(|(film, order)| (film, order.to_vec())).collect::<Vec<_>>());
            even(heard, films * orders);
            for session in raters(1) {
                let mut counts = HashMap::new();
                session.iter().for_each(|(_, order)| *counts.entry(order.to_vec()).or_insert(0_usize) += 1);
                let most = counts.values().max().copied().unwrap_or(0);
                prop_assert!(most <= films.div_ceil(orders), "{most} times the same order");
            }
        }
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(Design::new(10, 3, 1), Design::new(10, 3, 1));
        assert_ne!(Design::new(10, 3, 1), Design::new(10, 3, 2));
    }
}
