//! One suite, run on every engine with both models.

use std::{iter::zip, slice, thread};

use ndarray::{Array2, Array4, ArrayBase, ArrayView1, ArrayView2, Data, Dimension, s};
use vmt::decode::{Generator, Lane, Unconstrained};
use vmt::{Clip, Engine, Geometry, Sampling, Session, Token};

use crate::support::{BUNDLES, TINY, batched_ort, batched_tract, burn, clip, ort, rten, text, tokens, tract, uncached};

const TOLERANCE: f32 = 1e-4;

macro_rules! on_every_engine {
    ($($test:ident)*) => {
        mod on_burn { $(#[test] fn $test() { super::with_both_models(super::burn, super::$test) })* }
        mod on_tract { $(#[test] fn $test() { super::with_both_models(super::tract, super::$test) })* }
        mod on_rten { $(#[test] fn $test() { super::with_both_models(super::rten, super::$test) })* }
        mod on_batched_tract { $(#[test] fn $test() { super::with_both_models(super::batched_tract, super::$test) })* }
        mod on_batched_ort { $(#[test] fn $test() { super::with_both_models(super::batched_ort, super::$test) })* }
        mod on_ort { $(#[test] fn $test() { super::with_both_models(super::ort, super::$test) })* }
    };
}

on_every_engine! {
    cached_is_uncached
    prefill_is_steps
    lanes_are_one_by_one
    takes_are_lanes
    no_video_is_no_picture
    known_pictures_change_nothing
    a_long_piece
    sessions_do_not_meet
    sessions_move_between_threads
    unfit_logits_are_refused
    wrong_clips_are_refused
    a_session_survives_wrong_tokens
}

/// 200 greedy tokens, with a film of noise and without video.
#[test]
fn trained_bundles_choose_the_same_tokens_on_every_engine() {
    for bundle in ["vmt-beat", "vmt-small", "seq2seq-small"] {
        let greedy = |engine: Box<dyn Engine>| {
            let geometry = engine.geometry();
            let clips = [clip(geometry, geometry.frames(), 1), Clip::without_video(&geometry)];
            let mut session = engine.open(&clips).unwrap();
            let mut tokens = vec![vec![Token::PAD; clips.len()]];
            for step in 0..200 {
                let logits = session.step(&tokens[step]).unwrap();
                let best = |row: ArrayView1<f32>| {
                    Token::all().max_by(|a, b| row[a.index()].total_cmp(&row[b.index()])).unwrap()
                };
                tokens.push(logits.outer_iter().map(best).collect());
            }
            tokens
        };
        let want = greedy(ort(bundle));
        for other in [tract, rten] {
            let engine = other(bundle);
            let name = engine.name();
            assert_eq!(greedy(engine), want, "{bundle} on {name}");
        }
    }
}

fn with_both_models(load: fn(&str) -> Box<dyn Engine>, test: fn(&str, &dyn Engine)) {
    for bundle in BUNDLES {
        test(bundle, &*load(bundle));
    }
}

#[track_caller]
fn assert_close<S: Data<Elem = f32>, D: Dimension>(got: &ArrayBase<S, D>, want: &ArrayBase<S, D>) {
    assert_eq!(got.shape(), want.shape());
    // NaN is not close.
    let far = zip(got, want).find(|(got, want)| !(0.0..=TOLERANCE).contains(&(*got - *want).abs()));
    assert!(far.is_none(), "{far:?}");
}

/// Two clips, one of them full, and one without video.
fn clips() -> [Clip; 3] {
    [clip(TINY, 40, 1), clip(TINY, 17, 2), Clip::without_video(&TINY)]
}

/// Feeds each of `pieces`, which hold the tokens of every lane; returns the logits after each.
fn play<'p>(session: &mut dyn Session, pieces: impl IntoIterator<Item = &'p Vec<Vec<Token>>>) -> Vec<Array2<f32>> {
    let feed = |piece: &Vec<Vec<Token>>| {
        let rows: Vec<&[Token]> = piece.iter().map(Vec::as_slice).collect();
        session.feed(&rows).unwrap().to_owned()
    };
    pieces.into_iter().map(feed).collect()
}

/// `count` pieces of one token for each of `lanes`.
fn steps(lanes: usize, count: usize) -> Vec<Vec<Vec<Token>>> {
    let rows: Vec<_> = (0..lanes).map(|lane| tokens(count, lane as u64)).collect();
    (0..count).map(|step| rows.iter().map(|row| vec![row[step]]).collect()).collect()
}

fn cached_is_uncached(bundle: &str, engine: &dyn Engine) {
    let pieces = steps(3, 100);
    let got = play(&mut *engine.open(&clips()).unwrap(), &pieces);
    let want = play(&mut *uncached(bundle).open(&clips()).unwrap(), &pieces);
    zip(&got, &want).for_each(|(got, want)| assert_close(got, want));
}

fn prefill_is_steps(_: &str, engine: &dyn Engine) {
    let rows = [tokens(60, 1), tokens(60, 2), tokens(60, 3)];
    let last = |lengths: &[usize]| {
        let mut start = 0;
        let piece = |&length: &usize| {
            start += length;
            rows.iter().map(|row| row[start - length..start].to_vec()).collect()
        };
        let pieces: Vec<_> = lengths.iter().map(piece).collect();
        assert_eq!(start, 60);
        play(&mut *engine.open(&clips()).unwrap(), &pieces).pop().unwrap()
    };
    let step_by_step = last(&[1; 60]);
    for lengths in [[60].as_slice(), &[1, 59], &[59, 1], &[20, 1, 30, 9]] {
        assert_close(&last(lengths), &step_by_step);
    }
}

fn lanes_are_one_by_one(_: &str, engine: &dyn Engine) {
    let clips = [clip(TINY, 40, 1), clip(TINY, 1, 2), Clip::without_video(&TINY), clip(TINY, 17, 3)];
    let lengths = [[1, 12, 7, 5], [3, 1, 2, 1], [1, 1, 1, 1], [2, 2, 4, 9]];
    let mut seeds = 0..;
    let pieces = lengths.map(|lengths| lengths.map(|length| tokens(length, seeds.next().unwrap())).to_vec());
    let together = play(&mut *engine.open(&clips).unwrap(), &pieces);
    for lane in 0..clips.len() {
        let own = pieces.clone().map(|piece| vec![piece[lane].clone()]);
        let alone = play(&mut *engine.open(&clips[lane..=lane]).unwrap(), &own);
        for (together, alone) in zip(&together, &alone) {
            assert_close(&together.row(lane), &alone.row(0));
        }
    }
}

fn takes_are_lanes(_: &str, engine: &dyn Engine) {
    for takes in [1, 2] {
        let lanes: Vec<_> = clips().into_iter().flat_map(|clip| vec![clip; takes]).collect();
        let pieces = steps(lanes.len(), 10);
        let got = play(&mut *engine.open_takes(&clips(), takes).unwrap(), &pieces);
        let want = play(&mut *engine.open(&lanes).unwrap(), &pieces);
        zip(&got, &want).for_each(|(got, want)| assert_close(got, want));
    }
    assert!(text(engine.open_takes(&[], 2).map(drop)).contains("clip"));
    assert!(text(engine.open_takes(&clips(), 0).map(drop)).contains("clip"));
    for takes in [1025, usize::MAX] {
        let want = format!("takes must be at most 1024, but is {takes}");
        assert_eq!(text(engine.open_takes(&clips(), takes).map(drop)), want);
    }
}

fn no_video_is_no_picture(_: &str, engine: &dyn Engine) {
    let black = Clip::new(Array4::zeros((1, 3, 32, 32)), &TINY).unwrap();
    let [black, unseen] =
        [black, Clip::without_video(&TINY)].map(|clip| play(&mut *engine.open(&[clip]).unwrap(), &steps(1, 3)));
    for (black, unseen) in zip(&black, &unseen) {
        assert!((black - unseen).iter().any(|difference| difference.abs() > 100.0 * TOLERANCE));
    }
}

/// To the bit: else music would depend on what an engine has seen before.
fn known_pictures_change_nothing(_: &str, engine: &dyn Engine) {
    let film = clip(Geometry::new(60, 32, 32, 250).unwrap(), 60, 7);
    let window = |start| Clip::new(film.pixels().slice(s![start..start + 40, .., .., ..]).to_owned(), &TINY).unwrap();
    let encode = |clip: &Clip| engine.context(slice::from_ref(clip)).unwrap();
    // More pictures than an engine remembers.
    let forget = || (100..120).for_each(|seed| drop(encode(&clip(TINY, 40, seed))));
    let windows = [0, 10, 20].map(window);
    let want = windows.each_ref().map(|window| {
        forget();
        encode(window)
    });
    forget();
    for _ in 0..2 {
        assert!(zip(&windows, &want).all(|(window, want)| encode(window) == *want));
    }
}

fn a_long_piece(bundle: &str, engine: &dyn Engine) {
    // As many as the manifest allows; the last of them one by one.
    let row = tokens(1024, 1);
    let pieces = [vec![row[..1021].to_vec()], vec![row[1021..1022].to_vec()], vec![row[1022..].to_vec()]];
    let got = play(&mut *engine.open(&clips()[..1]).unwrap(), &pieces);
    let want = play(&mut *uncached(bundle).open(&clips()[..1]).unwrap(), &pieces);
    zip(&got, &want).for_each(|(got, want)| assert_close(got, want));
}

fn sessions_do_not_meet(_: &str, engine: &dyn Engine) {
    let [a, b, _] = clips();
    let pieces = steps(1, 20);
    let alone = [&a, &b].map(|clip| play(&mut *engine.open(std::slice::from_ref(clip)).unwrap(), &pieces));
    let mut sessions = [&a, &b].map(|clip| engine.open(std::slice::from_ref(clip)).unwrap());
    for (step, piece) in pieces.iter().enumerate() {
        for (session, alone) in zip(&mut sessions, &alone) {
            assert_close(&play(&mut **session, [piece])[0], &alone[step]);
        }
    }
}

fn sessions_move_between_threads(_: &str, engine: &dyn Engine) {
    let pieces = steps(3, 12);
    let here = play(&mut *engine.open(&clips()).unwrap(), &pieces);
    thread::scope(|scope| {
        for _ in 0..3 {
            let mut session = engine.open(&clips()).unwrap();
            let mut got = play(&mut *session, &pieces[..6]);
            let (pieces, here) = (&pieces, &here);
            scope.spawn(move || {
                got.extend(play(&mut *session, &pieces[6..]));
                zip(&got, here).for_each(|(got, want)| assert_close(got, want));
            });
        }
    });
}

/// The loop refuses logits that an engine has made unfit on the way.
fn unfit_logits_are_refused(_: &str, engine: &dyn Engine) {
    type Spoil = fn(Array2<f32>) -> Array2<f32>;
    let spoil: [(&str, Spoil); 4] = [
        ("the model gave NaN as the logit of token 0 in lane 0", |logits| logits * f32::NAN),
        ("the model gave inf as the logit of token 7 in lane 2", |mut logits| {
            logits[[2, 7]] = f32::INFINITY;
            logits
        }),
        ("logits must be [3, 310] (lanes, vocabulary), but are [2, 310]", |logits| logits.slice_move(s![..2, ..])),
        ("logits must be [3, 310] (lanes, vocabulary), but are [310, 3]", |logits| logits.reversed_axes()),
    ];
    for (want, spoil) in spoil {
        let session = Spoilt { session: engine.open(&clips()).unwrap(), spoil, logits: Array2::default((0, 0)) };
        let lane = || Lane::new(Vec::new(), vec![Box::new(Unconstrained::new(10))]);
        let lanes = vec![lane(), lane(), lane()];
        let mut generator = Generator::new(Box::new(session), Sampling::default(), 0, lanes);
        let error = text(generator.next().unwrap().map(drop));
        assert!(error.starts_with(want), "{error}, not {want}");
        assert!(generator.next().is_none(), "an error is the last step");
    }
}

/// Another session, whose logits are spoilt.
struct Spoilt<'e> {
    session: Box<dyn Session + 'e>,
    spoil: fn(Array2<f32>) -> Array2<f32>,
    logits: Array2<f32>,
}

impl Session for Spoilt<'_> {
    fn lanes(&self) -> usize {
        self.session.lanes()
    }

    fn feed(&mut self, tokens: &[&[Token]]) -> vmt::Result<ArrayView2<'_, f32>> {
        self.logits = (self.spoil)(self.session.feed(tokens)?.to_owned());
        Ok(self.logits.view())
    }
}

fn wrong_clips_are_refused(_: &str, engine: &dyn Engine) {
    assert!(text(engine.open(&[]).map(drop)).contains("clip"));
    assert!(engine.context(&[]).is_err());
    for (frames, height, width) in [(40, 64, 32), (40, 32, 8), (41, 32, 32)] {
        let wrong = Geometry::new(frames, height, width, 250).unwrap();
        let clips = [clip(TINY, 1, 1), clip(wrong, wrong.frames(), 1)];
        let wanted = "a clip must be [1..=40, 3, 32, 32] (frames, channels, height, width), but is [";
        assert!(text(engine.open(&clips).map(drop)).starts_with(wanted));
        assert!(text(engine.context(&clips)).starts_with(wanted));
    }
    assert!(engine.open(&clips()).is_ok());
}

fn a_session_survives_wrong_tokens(_: &str, engine: &dyn Engine) {
    let pieces = steps(3, 8);
    let want = play(&mut *engine.open(&clips()).unwrap(), &pieces);
    let mut session = engine.open(&clips()).unwrap();
    for (piece, want) in zip(&pieces, &want) {
        let one: &[Token] = &[Token::PAD];
        for wrong in [[].as_slice(), &[one, one], &[one; 4], &[one, one, &[]], &[&[], one, one], &[&[], &[], &[]]] {
            assert!(text(session.feed(wrong).map(drop)).contains("lane"));
        }
        assert_eq!(session.lanes(), 3);
        assert_close(&play(&mut *session, [piece])[0], want);
    }
}

#[test]
fn engines_agree() {
    for bundle in BUNDLES {
        let engines = [burn(bundle), tract(bundle), ort(bundle), rten(bundle)];
        // Each alone: what stands behind a shorter clip is not compared.
        let encode = |engine: &dyn Engine| {
            let encoded = clips().map(|clip| engine.context(&[clip]).unwrap());
            encoded.into_iter().flatten().collect::<Vec<_>>()
        };
        let encoded = engines.each_ref().map(|engine| encode(&**engine));
        let decoded = engines.each_ref().map(|engine| play(&mut *engine.open(&clips()).unwrap(), &steps(3, 100)));
        for (a, b) in [(0, 1), (0, 2), (1, 2), (0, 3)] {
            assert_eq!(encoded[a].len(), encoded[b].len());
            zip(&encoded[a], &encoded[b]).for_each(|(a, b)| assert_close(a, b));
            zip(&decoded[a], &decoded[b]).for_each(|(a, b)| assert_close(a, b));
        }
    }
}

/// The decoder of format 2 gives back all keys and values, not only the new ones, and the first of format 3 has keys as columns.
#[test]
fn older_bundles_decode_as_the_newest() {
    for (load, older) in [(tract as fn(&str) -> _, 2), (ort, 2), (tract, 3), (ort, 3)] {
        let [old, new] = [format!("../tests/data/formats/{older}/tiny-vmt"), "tiny-vmt".into()].map(|bundle| {
            let engine = load(&bundle);
            let mut session = engine.open(&clips()).unwrap();
            let prefix = [tokens(5, 7), tokens(1, 8), tokens(70, 9)].to_vec();
            play(&mut *session, &[vec![prefix], steps(3, 100)].concat())
        });
        zip(&old, &new).for_each(|(old, new)| assert_close(old, new));
    }
}

/// Made by the exporter of when each format was the newest, which rten cannot read.
#[test]
fn bundles_of_every_older_format_run() {
    for bundle in ["1/tiny-vmt", "1/tiny-seq2seq", "2/tiny-vmt", "2/tiny-seq2seq", "3/tiny-vmt"] {
        let engines = [tract, ort].map(|load| load(&format!("../tests/data/formats/{bundle}")));
        let [with_video, without] = [&clips()[..2], &clips()[2..]];
        let [a, b] = engines.each_ref().map(|engine| play(&mut *engine.open(with_video).unwrap(), &steps(2, 100)));
        zip(&a, &b).for_each(|(a, b)| assert_close(a, b));
        for engine in &engines {
            let opened = engine.open(without);
            assert_eq!(opened.is_ok(), !bundle.starts_with('1'), "{bundle}");
            if let Err(error) = opened {
                assert!(error.to_string().contains("a bundle of format 1 cannot compose without video"), "{error}");
            }
        }
    }
}

#[test]
fn engines_say_who_they_are() {
    let engines = [burn("tiny-vmt"), tract("tiny-vmt"), ort("tiny-vmt")];
    assert_eq!(engines.each_ref().map(|engine| engine.name()), ["burn", "tract", "ort"]);
    assert!(engines.iter().all(|engine| engine.geometry() == TINY));
}
