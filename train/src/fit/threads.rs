//! Rows divided among threads.

use std::ops::Range;
use std::thread;

/// Divides `rows` among at most so many threads; results come in the order of the rows, none without a row.
pub(crate) fn on_threads<T: Send>(rows: usize, threads: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    let count = threads.max(1).min(rows);
    let bound = |thread: usize| thread * rows / count;
    thread::scope(|scope| {
        let work = &work;
        let run = |thread| work(bound(thread)..bound(thread + 1));
        let others: Vec<_> = (1..count).map(|thread| scope.spawn(move || run(thread))).collect();
        let first = (count > 0).then(|| run(0));
        let join = |other: thread::ScopedJoinHandle<_>| other.join().expect("a training thread panicked");
        first.into_iter().chain(others.into_iter().map(join)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_worked_on_once() {
        for (rows, threads, want) in
            [(0, 2, vec![]), (1, 0, vec![(0, 1)]), (2, 5, vec![(0, 1), (1, 2)]), (5, 2, vec![(0, 2), (2, 5)])]
        {
            assert_eq!(
                on_threads(rows, threads, |range| (range.start, range.end)),
                want,
                "{rows} rows on {threads} threads"
            );
        }
    }
}
