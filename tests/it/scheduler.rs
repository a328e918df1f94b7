//! Sessions that share a batch get what they get alone, whoever joins and leaves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ndarray::{ArrayD, ArrayViewMutD, CowArray, IxDyn};
use vmt::onnx::{Graph, OnnxEngine, Tensor};
use vmt::{
    Backend, Clip, Composer, Engine, Error, Options, Played, Result, Sampling, Scheduler, Token, VOCABULARY, Window,
};

use crate::support::{batched, clip, load, open};

/// Events of a film of noise of `windows` windows, or of the first `events` of them.
fn compose(composer: &Composer, seed: u64, windows: usize, events: usize) -> Vec<Played> {
    let geometry = composer.engine().geometry();
    let mut options = Options::default().with_sampling(Sampling::default().with_seed(seed));
    if seed % 4 == 3 {
        options = options.with_guidance(2.0);
    }
    let hop = options.hop(&geometry);
    let film = (0..windows).map(|index| {
        Ok::<_, Error>(Window {
            clip: clip(geometry, geometry.frames(), seed + index as u64),
            start: geometry.time(hop * index) - geometry.time(0),
            duration: geometry.window(),
        })
    });
    let takes = (1 + seed as usize % 3).try_into().unwrap();
    composer.piece(film, &options, takes).unwrap().take(events).collect::<Result<_>>().unwrap()
}

/// So many pieces at once in 8 lanes: 1 to 3 takes, some with guidance, some dropped in the middle.
fn pieces_are_those_composed_alone(bundle: &str, backend: Backend, pieces: u64) {
    let max_tokens = open(bundle).manifest().max_tokens;
    let alone = Composer::with_engine(load(&open(bundle), backend).unwrap(), max_tokens);
    let together = Composer::with_engine(batched(bundle, backend), max_tokens);
    let piece = |composer: &Composer, seed: u64| {
        compose(composer, seed, 1 + seed as usize % 4, if seed % 5 == 4 { 40 } else { usize::MAX })
    };
    thread::scope(|scope| {
        let (together, piece) = (&together, &piece);
        let threads: Vec<_> = (0..pieces).map(|seed| scope.spawn(move || piece(together, seed))).collect();
        for (seed, got) in (0..).zip(threads) {
            let (got, want) = (got.join().unwrap(), piece(&alone, seed));
            assert!(got == want, "{bundle}, seed {seed}: {} events, alone {}", got.len(), want.len());
        }
    });
}

#[test]
fn trained_pieces_on_ort() {
    pieces_are_those_composed_alone("vmt-beat", Backend::Ort, 12);
}

#[test]
fn trained_pieces_on_tract() {
    pieces_are_those_composed_alone("vmt-beat", Backend::Tract, 3);
}

#[test]
fn recurrent_pieces() {
    pieces_are_those_composed_alone("seq2seq-small", Backend::Ort, 6);
}

#[test]
fn pieces_of_format_2_run_alone() {
    pieces_are_those_composed_alone("vmt-small", Backend::Ort, 3);
}

/// A session that is fed no more holds up the others by no more than a step each time.
#[test]
fn a_session_that_rests_stops_nobody() {
    let engine = batched("tiny-vmt", Backend::Tract);
    let clips = [clip(engine.geometry(), 4, 1)];
    let mut rests = engine.open(&clips).unwrap();
    let mut goes_on = engine.open(&clips).unwrap();
    let alone = load(&open("tiny-vmt"), Backend::Tract).unwrap();
    let mut want = alone.open(&clips).unwrap();
    rests.step(&[Token::PAD]).unwrap();
    for _ in 0..100 {
        goes_on.step(&[Token::PAD]).unwrap();
    }
    // It goes on where it was.
    want.step(&[Token::PAD]).unwrap();
    let want = want.step(&[Token::PAD]).unwrap().to_owned();
    drop(goes_on);
    let got = rests.step(&[Token::PAD]).unwrap();
    assert!(got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 1e-4));
}

/// Sessions wait for room, and get it when others leave; one with more lanes than there are runs by itself.
#[test]
fn sessions_wait_for_room() {
    let engine = batched("tiny-vmt", Backend::Tract);
    let clips = vec![Clip::without_video(&engine.geometry())];
    let mut first = engine.open_takes(&clips, 20).unwrap();
    first.step(&[Token::PAD; 20]).unwrap();
    thread::scope(|scope| {
        let second = scope.spawn(|| engine.open(&clips).unwrap().step(&[Token::PAD]).map(|logits| logits.to_owned()));
        thread::sleep(Duration::from_millis(100));
        assert!(!second.is_finished());
        drop(first);
        second.join().unwrap().unwrap();
    });
}

/// The graphs of `tiny-seq2seq` without any arithmetic, which remember how wide the token mask became.
struct Widest<'w>(&'w AtomicUsize);

impl Graph for Widest<'_> {
    type Value = Tensor;

    fn value(&self, tensor: Tensor) -> Result<Tensor> {
        Ok(tensor)
    }

    fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(match inputs {
            [Tensor::U8(pixels), Tensor::I64(frame_mask), Tensor::F32(features), _] => {
                let zeros = |rows: usize, others: &[usize]| Tensor::F32(ArrayD::zeros([&[rows], others].concat()));
                let encoded = zeros(frame_mask.shape()[0], &[1, 1]);
                vec![encoded.clone(), encoded, zeros(pixels.shape()[0], &features.shape()[1..])]
            }
            [Tensor::I64(ids), Tensor::I64(mask), .., state] => {
                self.0.fetch_max(mask.shape()[1], Ordering::Relaxed);
                let logits = ArrayD::zeros(vec![ids.shape()[0], ids.shape()[1], VOCABULARY]);
                vec![Tensor::F32(logits), (*state).clone()]
            }
            _ => panic!("no graph of tiny-seq2seq"),
        })
    }

    fn shape(&self, value: &Tensor) -> Result<Vec<usize>> {
        Ok(self.floats(value)?.shape().to_vec())
    }

    fn floats<'v>(&self, value: &'v Tensor) -> Result<CowArray<'v, f32, IxDyn>> {
        let Tensor::F32(numbers) = value else { panic!("floats are wanted") };
        Ok(numbers.view().into())
    }

    fn write(&self, value: &mut Tensor, change: impl FnOnce(ArrayViewMutD<f32>)) -> Result<()> {
        let Tensor::F32(numbers) = value else { panic!("floats are wanted") };
        change(numbers.view_mut());
        Ok(())
    }
}

/// A batch that is never empty does not become longer with every step of it.
#[test]
fn a_batch_is_as_long_as_its_longest_lane() {
    let widest = AtomicUsize::new(0);
    let engine = OnnxEngine::load(&open("tiny-seq2seq"), "spy", |_, _, _| Ok(Widest(&widest))).unwrap();
    let engine = Scheduler::new(engine, 8);
    let clips = [Clip::without_video(&engine.geometry())];
    let mut stays = engine.open(&clips).unwrap();
    stays.step(&[Token::PAD]).unwrap();
    for _ in 0..300 {
        let mut session = engine.open(&clips).unwrap();
        session.step(&[Token::PAD]).unwrap();
        session.step(&[Token::PAD]).unwrap();
    }
    assert_eq!(widest.load(Ordering::Relaxed), 65, "64 slots, and the new token");
}
