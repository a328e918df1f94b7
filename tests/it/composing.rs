//! Composing a film: lengths, seams, budgets, errors, and the model as it is.

use std::time::Duration;

use ndarray::Array1;
use proptest::prelude::*;
use vmt::{Composer, Composition, Error, Geometry, Options, Sampling, Score, Token, VOCABULARY};

use crate::scripted::{
    DOT, Scripted, check_playable, compose, compose_for, film, greedy, midi_end, random, says, scripted, unseen,
    window, with_seed,
};

fn raw() -> Options {
    Options::default().with_unconstrained(true)
}

#[test]
fn films_of_all_lengths() {
    for ms in [1, 8, 500, 10_000, 10_004, 10_040, 10_200, 12_000, 12_600, 25_000] {
        let silent = (0..3).filter(|&seed| {
            let composition = compose(random(seed, 4.0), 1024, ms, &with_seed(seed)).unwrap();
            check_playable(&composition, ms, 1024);
            composition.score.notes().is_empty()
        });
        // One pause can be as long as half a second; in less, silence is as likely as anything.
        let most = match ms {
            0..500 => 3,
            500 => 2,
            _ => 0,
        };
        assert!(silent.count() <= most, "{ms}");
    }
}

#[test]
fn music_needs_no_video() {
    for ms in [1, 500, 10_000, 12_000, 29_000] {
        let windows = unseen(ms, Options::default().hop(&DOT));
        let composition = compose_for(random(0, 4.0), 1024, windows, &with_seed(1)).unwrap();
        check_playable(&composition, ms, 1024);
        assert!(ms < 500 || !composition.score.notes().is_empty(), "{ms}");
    }
}

#[test]
fn windows_leave_nothing_out() {
    let check = |windows: Vec<u64>, options: &Options, want: Option<&str>| {
        let windows = windows.into_iter().map(|start| Ok(window(start, 10_000, 0))).collect();
        let error = compose_for(random(0, 1.0), 1024, windows, options).err().map(|error| error.to_string());
        let want = want.map(|start| {
            format!("start of a window must be where the music is to go on (see Options::hop), but is {start}")
        });
        assert_eq!(error, want);
    };
    check(vec![0, 2_500, 5_000], &Options::default(), None);
    // The first is composed up to 8.75 s.
    check(vec![0, 8_750], &Options::default(), None);
    check(vec![0, 8_760], &Options::default(), Some("8.76s"));
    check(vec![2_500], &Options::default(), Some("2.5s"));
    check(vec![0, 10_000, 20_000], &raw(), None);
    check(vec![0, 2_500], &raw(), Some("2.5s"));
}

/// A short window in which all keys go down, with hardly more tokens than that takes: the next one must still close them in
/// time.
#[test]
fn a_chord_of_all_keys_is_closed() {
    let chord: String = (21..=108).map(|pitch| format!("+{pitch} ")).collect();
    let max_tokens = 94;
    let model = says(&[&format!("{chord} >100"), ">100"]);
    let windows = vec![Ok(window(0, 2_500, 0)), Ok(window(0, 10_000, 1))];
    let composition = compose_for(model, max_tokens, windows, &Options::default()).unwrap();
    check_playable(&composition, 10_000, max_tokens);
    assert_eq!(composition.score.notes().len(), 88);
}

#[test]
fn a_budget_may_be_any() {
    let composition = compose(random(1, 4.0), usize::MAX, 12_000, &with_seed(1)).unwrap();
    assert_eq!(composition.score, compose(random(1, 4.0), 1 << 20, 12_000, &with_seed(1)).unwrap().score);
}

#[test]
fn no_film_no_music() {
    let composition = compose(random(0, 1.0), 1024, 0, &Options::default()).unwrap();
    assert_eq!((composition.windows, composition.events, composition.score), (0, 0, Score::default()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn noise_becomes_music(
        model: u64,
        spread in 0.0..60.0_f32,
        ms in prop_oneof![1..10_000_u64, 1..36_000_u64],
        spare in prop_oneof![0..8_usize, 0..500_usize],
        temperature in prop_oneof![Just(0.0), 0.1..3.0_f32],
        top_p in 0.1..=1.0_f32,
        seed: u64,
    ) {
        let max_tokens = silence(ms) + spare;
        let sampling = Sampling::default().with_temperature(temperature).with_top_p(top_p).with_seed(seed);
        let options = Options::default().with_sampling(sampling);
        let composition = compose(random(model, spread), max_tokens, ms, &options).unwrap();
        check_playable(&composition, ms, max_tokens);

        let again = compose(random(model, spread), max_tokens, ms, &options).unwrap();
        prop_assert_eq!(again.score, composition.score);
        prop_assert_eq!(again.events, composition.events);
    }

    #[test]
    fn raw_noise_is_counted(model: u64, ms in 1..36_000_u64, max_tokens in 1..200_usize) {
        let composition = compose(random(model, 4.0), max_tokens, ms, &raw()).unwrap();
        prop_assert_eq!(composition.windows, ms.div_ceil(10_000) as usize);
        prop_assert!(composition.events <= composition.windows * max_tokens);
        prop_assert!(composition.score.notes().iter().all(|note| note.start < note.end));
        prop_assert!(u64::from(midi_end(&composition.score)) >= ms);
    }
}

/// Tokens enough for silence in the longest window of a film of `ms` milliseconds: a pause a second, and the end.
pub fn silence(ms: u64) -> usize {
    // The last window may be half a picture longer than 10 s.
    ms.min(10_125).div_ceil(1000) as usize + 1
}

/// Windows of an unconstrained piece have the same logits here, but each goes on with the random numbers where the last one
/// stopped.
#[test]
fn windows_do_not_repeat() {
    let Scripted(noise, _) = random(1, 1.0);
    let model = scripted(move |_, step| {
        let mut logits = noise(0, step)?;
        logits[Token::END.index()] = f32::NEG_INFINITY;
        Ok(logits)
    });
    let options = raw();
    let composer = Composer::with_engine(Box::new(model), 50);
    let piece = composer.piece(film(20_000, DOT, 40), &options, 1.try_into().unwrap()).unwrap();
    let events: Vec<_> = piece.map(|played| played.unwrap().event).collect();
    let (first, second) = events.split_at(50);
    assert_eq!(second.len(), 50);
    let same = first.iter().zip(second).filter(|(first, second)| first == second).count();
    assert!(same < 10, "{same} of 50 events are the same");
}

#[test]
fn another_seed_is_another_piece() {
    let piece = |seed| compose(random(1, 1.0), 1024, 5_000, &with_seed(seed)).unwrap().score;
    assert_eq!(piece(1), piece(1));
    assert_ne!(piece(1), piece(2));
    assert_ne!(piece(1), piece(1 << 63));
}

#[test]
fn errors_pass_through() {
    let broken = || Error::Engine { engine: "scripted", reason: "out of order".into() };
    let model = scripted(move |_, step| if step == 4 { Err(broken()) } else { Ok(Array1::zeros(VOCABULARY)) });
    let error = compose(model, 1024, 5_000, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "scripted: out of order");

    let mut windows = film(20_000, DOT, 10);
    windows[1] = Err(broken());
    let error = compose_for(random(0, 1.0), 1024, windows, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "scripted: out of order");

    let error = compose(random(0, 1.0), 5, 5_000, &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "max_tokens must be enough for a silent window (one a second, and the end), but is 5"
    );
    let cold = Options::default().with_sampling(Sampling::default().with_temperature(-1.0));
    let error = compose(random(0, 1.0), 1024, 5_000, &cold).unwrap_err();
    assert_eq!(error.to_string(), "temperature must be within 0-100, but is -1");
}

/// Composes raw for windows of `length` ms, each as its script says, with at most 8 tokens; wants the paper's case study:
/// (events, unmatched note-offs, unclosed notes, milliseconds of length error), and the notes.
#[track_caller]
fn check_raw(length: u64, scripts: &[&str], want: (usize, usize, usize, u64), notes: &str) {
    let Scripted(script, geometry) = says(scripts);
    let model = Scripted(script, Geometry::new((length / 250) as usize, 1, 1, geometry.frame_ms()).unwrap());
    let composition = compose(model, 8, length * scripts.len() as u64, &raw()).unwrap();
    assert_eq!(composition.windows, scripts.len());
    let Composition { events, unmatched_offs, unclosed, length_error, .. } = composition;
    assert_eq!(
        (events, unmatched_offs, unclosed, length_error),
        (want.0, want.1, want.2, Duration::from_millis(want.3))
    );
    assert_eq!(composition.score.to_string(), notes);
}

#[test]
fn raw_models_are_judged() {
    check_raw(1_000, &["v20 +60 >50 -60 >50 end"], (6, 0, 0, 0), "0-50 60@77\n");
    check_raw(1_000, &["end"], (1, 0, 0, 1_000), "");
    check_raw(1_000, &["+60 +62 >100 -60 end"], (5, 0, 1, 0), "0-100 60@100\n0-100 62@100\n");
    check_raw(1_000, &["-60 +60 >100 -60 -60 end"], (6, 2, 0, 0), "0-100 60@100\n");
    check_raw(1_000, &["pad pad >90 end"], (4, 0, 0, 100), "");
    // One that never ends is stopped, and what is open then is closed there.
    check_raw(1_000, &[">100"], (8, 0, 0, 7_000), "");
    check_raw(2_000, &["+60 >100"], (8, 0, 1, 5_000), "0-700 60@100\n");
    check_raw(2_000, &["+60"], (8, 0, 8, 2_000), "");
}

#[test]
fn raw_windows_add_up() {
    let scripts = ["+60 >90 end", "-60 >100 >30 end"];
    check_raw(1_000, &scripts, (7, 1, 1, 400), "0-90 60@100\n");
    check_raw(1_000, &["end", "+60 >100 -60 end"], (5, 0, 0, 1_000), "100-200 60@100\n");
}

/// Progress is told as a moment of the film, so a model that does not stop must not make it run ahead and jump back.
#[test]
fn a_raw_model_that_runs_on_stays_in_its_window() {
    check_raw(1_000, &[">100", "+60 >100 -60 end"], (12, 0, 0, 7_000), "100-200 60@100\n");
}

/// The same models under the grammar: `script` is greedy, so it gets as much of its way as is allowed.
#[track_caller]
fn check_led(length: u64, max_tokens: usize, script: &str, notes: &str) {
    let options = Options::default().with_sampling(greedy());
    let composition = compose(says(&[script]), max_tokens, length, &options).unwrap();
    check_playable(&composition, length, max_tokens);
    assert_eq!(composition.score.to_string(), notes);
}

#[test]
fn bad_models_are_led() {
    check_led(1_000, 8, "v20 +60 >50 -60 >50 end", "0-50 60@77\n");
    check_led(1_000, 8, ">100 end", "");
    // Budgets that leave room for nothing but silence.
    check_led(1_000, 2, "+60", "");
    check_led(3_000, 4, "v20 +60", "");
    // A note takes two tokens, and the second and the end take one each.
    check_led(1_000, 4, "+60 >100 -60 end", "0-100 60@100\n");
    check_led(1_000, 3, "+60 >100 -60 end", "");
}
