//! Takes: composed side by side, ranked, and stopped.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ndarray::{ArrayD, ArrayView2};
use vmt::{
    Clip, Composer, Composition, Engine, Error, Geometry, MAX_TAKES, Options, Played, Rank, Result, Session, Token,
    Window,
};

use crate::scripted::{DOT, Scripted, check_playable, film, midi_end, random, with_seed};

/// Composes takes to the end; wants every event of every take.
pub fn takes(model: Scripted, takes: usize, windows: Vec<Result<Window>>, options: &Options) -> Vec<Composition> {
    let composer = Composer::with_engine(Box::new(model), 1024);
    let mut piece = composer.piece(windows, options, NonZeroUsize::new(takes).unwrap()).unwrap();
    let played: Vec<Played> = piece.by_ref().collect::<Result<_>>().unwrap();
    let compositions = piece.finish();
    assert_eq!(compositions.len(), takes);
    for composition in &compositions {
        let of_take = played.iter().filter(|played| played.take == composition.take).count();
        assert!(composition.complete && options.primer.len() + composition.events == of_take);
    }
    compositions
}

#[test]
fn takes_are_ranked() {
    let compositions = takes(random(3, 2.0), 4, film(20_000, DOT, 10), &with_seed(1));
    let mut numbers: Vec<_> = compositions.iter().map(|composition| composition.take).collect();
    for pair in compositions.windows(2) {
        assert!(pair[0].rank.total() >= pair[1].rank.total() && pair[0].score != pair[1].score);
    }
    for composition in &compositions {
        check_playable(composition, 20_000, 1024);
        assert_eq!(
            composition.rank,
            Rank::new(&composition.score, composition.log_probability, composition.entropy, None)
        );
    }
    numbers.sort();
    assert_eq!(numbers, [0, 1, 2, 3]);
    // In a film of one window, the first take is what is composed alone.
    let alone = takes(random(3, 2.0), 1, film(10_000, DOT, 10), &with_seed(1)).swap_remove(0);
    let together = takes(random(3, 2.0), 4, film(10_000, DOT, 10), &with_seed(1));
    let first = together.iter().find(|composition| composition.take == 0).unwrap();
    assert!(alone.score == first.score && alone.rank == first.rank);
}

/// Counts how often it is fed, and wants to be fed this first.
pub struct Listening(pub Scripted, pub Arc<AtomicUsize>, pub Vec<Token>);

struct ListeningSession<'e>(Box<dyn Session + 'e>, &'e Listening);

impl Engine for Listening {
    fn name(&self) -> String {
        self.0.name()
    }

    fn geometry(&self) -> Geometry {
        DOT
    }

    fn open(&self, clips: &[Clip]) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(ListeningSession(self.0.open(clips)?, self)))
    }

    fn context(&self, clips: &[Clip]) -> Result<Vec<ArrayD<f32>>> {
        self.0.context(clips)
    }
}

impl Session for ListeningSession<'_> {
    fn lanes(&self) -> usize {
        self.0.lanes()
    }

    fn feed(&mut self, tokens: &[&[Token]]) -> Result<ArrayView2<'_, f32>> {
        if self.1.1.fetch_add(1, Ordering::Relaxed) == 0 {
            assert_eq!(tokens[0][1..], self.1.2);
        }
        self.0.feed(tokens)
    }
}

/// The model runs when the next event is asked for, and not before.
#[test]
fn a_piece_stops_within_a_step() {
    for (stop, guidance) in [(1, 1.0), (2, 1.0), (17, 1.0), (60, 1.0), (17, 3.0)] {
        let fed = Arc::new(AtomicUsize::new(0));
        let composer = Composer::with_engine(Box::new(Listening(random(3, 2.0), Arc::clone(&fed), Vec::new())), 1024);
        let options = with_seed(1).with_guidance(guidance);
        let mut piece = composer.piece(film(20_000, DOT, 10), &options, NonZeroUsize::new(2).unwrap()).unwrap();
        let played: Vec<Played> = piece.by_ref().take(2 * stop).collect::<Result<_>>().unwrap();
        assert_eq!(fed.load(Ordering::Relaxed), stop);

        for composition in piece.finish() {
            let last = played.iter().rfind(|played| played.take == composition.take).unwrap();
            assert!(!composition.complete && composition.events == stop);
            assert_eq!(composition.score.duration(), last.time);
            let end = (last.time.as_millis() / 10) as u32;
            assert!(composition.score.notes().iter().all(|note| note.start < note.end && note.end <= end));
            assert_eq!(u128::from(midi_end(&composition.score)), last.time.as_millis());
        }
        assert_eq!(fed.load(Ordering::Relaxed), stop);
    }
}

#[test]
fn a_piece_that_failed_is_not_complete() {
    let mut windows = film(20_000, DOT, 10);
    windows[1] = Err(Error::Midi("a window that is none".into()));
    let composer = Composer::with_engine(Box::new(random(3, 2.0)), 1024);
    let options = with_seed(1);
    let mut piece = composer.piece(windows, &options, NonZeroUsize::MIN).unwrap();
    assert!(piece.by_ref().any(|played| played.is_err()));
    assert!(piece.next().is_none());
    let composition = piece.finish().swap_remove(0);
    // The last eighth, and a pause of up to a second before it, was left to the window that failed.
    let got = composition.score.duration().as_secs_f64();
    assert!(!composition.complete && 7.75 < got && got <= 8.75, "{got}");
    assert!(!composition.score.notes().is_empty());
}

#[test]
fn takes_have_a_bound() {
    let composer = Composer::with_engine(Box::new(random(3, 2.0)), 1024);
    let open = |takes: usize| {
        let takes = NonZeroUsize::new(takes).unwrap();
        composer.piece(film(1_000, DOT, 10), &with_seed(1), takes).map(|piece| piece.finish().len())
    };
    assert_eq!(open(MAX_TAKES).unwrap(), 1024);
    for takes in [MAX_TAKES + 1, usize::MAX] {
        assert_eq!(open(takes).unwrap_err().to_string(), format!("takes must be at most 1024, but is {takes}"));
    }
}
