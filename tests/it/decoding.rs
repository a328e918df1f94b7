//! The decode loop over models whose every logit is scripted.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ndarray::{Array1, Array2, Array4, ArrayD, ArrayView2};
use proptest::prelude::*;
use vmt::{
    Clip, Composer, Composition, Controls, Decoding, Engine, Error, Event, Geometry, Grammar, Options, Played,
    Progress, Rank, Result, Rules, Sampling, Score, Session, Token, VOCABULARY, Window, midi,
};

use crate::support::{milliseconds, noise, parse};

const DOT: Geometry = Geometry { height: 1, width: 1, ..Geometry::PAPER };

/// What stands for the colour of a clip without video.
const UNSEEN: u8 = 255;

/// The logits after `step` tokens (from 0) of the lane whose clip is of this `colour`.
type Script = Arc<dyn Fn(u8, usize) -> Result<Array1<f32>> + Send + Sync>;

/// An engine that says what its script says, whatever it is fed.
struct Scripted(Script);

/// Also checks that it is fed what the loop promises.
struct ScriptedSession<'e> {
    script: &'e Script,
    colours: Vec<u8>,
    step: usize,
    logits: Array2<f32>,
}

impl Engine for Scripted {
    fn name(&self) -> String {
        "scripted".into()
    }

    fn geometry(&self) -> Geometry {
        DOT
    }

    fn open(&self, clips: &[Clip]) -> Result<Box<dyn Session + '_>> {
        // The last picture is the newest: a window that goes on shows what was before first.
        let colour = |clip: &Clip| clip.frames().checked_sub(1).map_or(UNSEEN, |last| clip.pixels()[[last, 0, 0, 0]]);
        let colours: Vec<u8> = clips.iter().map(colour).collect();
        let logits = Array2::zeros((clips.len(), VOCABULARY));
        Ok(Box::new(ScriptedSession { script: &self.0, colours, step: 0, logits }))
    }

    fn context(&self, _: &[Clip]) -> Result<Vec<ArrayD<f32>>> {
        Ok(Vec::new())
    }
}

impl Session for ScriptedSession<'_> {
    fn lanes(&self) -> usize {
        self.colours.len()
    }

    fn feed(&mut self, tokens: &[&[Token]]) -> Result<ArrayView2<'_, f32>> {
        let first = self.step == 0;
        assert!(tokens.len() == self.lanes() && tokens.iter().all(|row| row.len() == 1 || first));
        assert!(!first || tokens.iter().all(|row| row[0] == Token::PAD), "the first token fed is PAD");
        let seen = self.colours.iter().take_while(|&&colour| colour != UNSEEN).count();
        assert!(seen == 0 || seen == tokens.len() || tokens[..seen] == tokens[seen..], "twins are fed the same");
        for (mut row, &colour) in self.logits.rows_mut().into_iter().zip(&self.colours) {
            row.assign(&(self.script)(colour, self.step)?);
        }
        self.step += 1;
        Ok(self.logits.view())
    }
}

fn scripted(script: impl Fn(u8, usize) -> Result<Array1<f32>> + Send + Sync + 'static) -> Scripted {
    Scripted(Arc::new(script))
}

/// Logits in `-spread..spread`.
fn random(seed: u64, spread: f32) -> Scripted {
    scripted(move |colour, step| {
        let mut noise = noise(seed ^ (u64::from(colour) << 32) ^ ((step as u64) << 40));
        let unit = |bits: u64| (bits >> 40) as f32 / (1 << 24) as f32;
        Ok(Array1::from_shape_simple_fn(VOCABULARY, || (2.0 * unit(noise()) - 1.0) * spread))
    })
}

/// Logits that leave no doubt: the script's events (that of the clip's colour), the last of them again and again.
fn says(scripts: &[&str]) -> Scripted {
    let scripts: Vec<_> = scripts.iter().map(|events| parse(events)).collect();
    scripted(move |colour, step| {
        let script = &scripts[usize::from(colour)];
        let mut logits = Array1::from_elem(VOCABULARY, -1000.0);
        logits[script[step.min(script.len() - 1)].index()] = 1000.0;
        Ok(logits)
    })
}

fn clip(colour: u8) -> Clip {
    clip_of(1, colour)
}

fn clip_of(pictures: usize, colour: u8) -> Clip {
    Clip::new(Array4::from_elem((pictures, 3, 1, 1), colour), &DOT).unwrap()
}

/// Windows of these lengths in milliseconds, one after the other; the first is of colour 0, the next of colour 1, ...
fn film(lengths: &[u64]) -> Vec<Result<Window>> {
    let mut start = Duration::ZERO;
    let window = |(colour, &length): (u8, &u64)| {
        let duration = Duration::from_millis(length);
        let window = Window { start, duration, clip: clip_of(DOT.pictures(duration), colour) };
        start += window.duration;
        Ok(window)
    };
    (0..).zip(lengths).map(window).collect()
}

/// Composes for a film of `windows`; wants progress to go one way only.
fn compose(model: Scripted, max_tokens: usize, windows: Vec<Result<Window>>, options: &Options) -> Result<Composition> {
    let length = windows.iter().flatten().map(|window| window.start + window.duration).max().unwrap_or_default();
    let mut last = Progress { time: Duration::ZERO, events: 0 };
    let composition = Composer::with_engine(Box::new(model), max_tokens).compose(windows, options, |progress| {
        assert!(progress.time >= last.time && progress.events == last.events + 1, "{progress:?} after {last:?}");
        assert!(progress.time <= length, "{progress:?} of {length:?}");
        last = progress;
    })?;
    assert_eq!(last.events, composition.events);
    Ok(composition)
}

fn with_seed(seed: u64) -> Options {
    Options { sampling: Sampling { seed, ..Sampling::default() }, ..Options::default() }
}

fn raw() -> Options {
    Options { unconstrained: true, ..Options::default() }
}

/// The step nearest to `ms` milliseconds; halves go up.
fn step(ms: u64) -> u32 {
    ((ms + 5) / 10) as u32
}

/// What the grammar promises of any model.
#[track_caller]
fn check_playable(composition: &Composition, lengths: &[u64], max_tokens: usize) {
    let Composition { score, windows, events, unmatched_offs, unclosed, length_error, .. } = composition;
    assert_eq!((*windows, *unmatched_offs, *unclosed), (lengths.len(), 0, 0));
    assert_eq!(*length_error, Duration::ZERO);
    // A window comes in four parts at most. What was left to a part is beyond its budget: of each key a pause and an off,
    // and three pauses.
    assert!(*events >= 1 && *events <= 4 * lengths.len() * (max_tokens + 2 * 88 + 3));
    let total: u64 = lengths.iter().sum();
    assert_eq!(score.duration, Duration::from_millis(total));
    let end = midi_end(score);
    assert!(u64::from(end).abs_diff(total) <= 5, "{end} ms of MIDI for a film of {total} ms");

    // Every note lies within the film, and no key is struck while it is down.
    for (index, note) in score.notes.iter().enumerate() {
        assert!(note.start < note.end && note.end <= step(total), "{note:?} in a film of {total} ms");
        let next = score.notes[index + 1..].iter().find(|next| next.pitch == note.pitch);
        assert!(next.is_none_or(|next| next.start >= note.end), "{note:?} and {next:?}");
    }
}

fn midi_end(score: &Score) -> u32 {
    milliseconds(&midi::write(score))
}

#[test]
fn films_of_all_lengths() {
    for lengths in [
        [500].as_slice(),
        &[10_000],
        &[12_000],
        &[25_000],
        &[10_000, 2_000],
        &[10_000, 10_000, 5_000],
        &[1],
        &[4, 4],
        &[10_000, 40],
    ] {
        let silent = (0..3).filter(|&seed| {
            let composition = compose(random(seed, 4.0), 1024, film(lengths), &with_seed(seed)).unwrap();
            check_playable(&composition, lengths, 1024);
            composition.score.notes.is_empty()
        });
        // One pause can be as long as half a second; in less, silence is as likely as anything.
        let most = match lengths.iter().sum() {
            0..500 => 3,
            500 => 2,
            _ => 0,
        };
        assert!(silent.count() <= most, "{lengths:?}");
    }
}

/// A short window in which all keys go down, with hardly more tokens than that takes: the next one must still close them in
/// time.
#[test]
fn a_chord_of_all_keys_is_closed() {
    let chord: String = (21..=108).map(|pitch| format!("+{pitch} ")).collect();
    let (lengths, max_tokens) = ([2_500, 12_000], 94);
    let model = says(&[&format!("{chord} >100"), ">100"]);
    let composition = compose(model, max_tokens, film(&lengths), &Options::default()).unwrap();
    check_playable(&composition, &lengths, max_tokens);
    assert_eq!(composition.score.notes.len(), 88);
}

#[test]
fn no_film_no_music() {
    let composition = compose(random(0, 1.0), 1024, Vec::new(), &Options::default()).unwrap();
    assert_eq!((composition.windows, composition.events, composition.score), (0, 0, Score::default()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn noise_becomes_music(
        model: u64,
        spread in 0.0..60.0_f32,
        lengths in proptest::collection::vec(1..12_000_u64, 1..4),
        spare in prop_oneof![0..8_usize, 0..500_usize],
        temperature in prop_oneof![Just(0.0), 0.1..3.0_f32],
        top_p in 0.1..=1.0_f32,
        seed: u64,
    ) {
        // Enough for silence in the longest window, rounded up.
        let max_tokens = (lengths.iter().max().unwrap() / 1000) as usize + 2 + spare;
        let sampling = Sampling { temperature, top_p, seed, ..Sampling::default() };
        let options = Options { sampling, ..Options::default() };
        let composition = compose(random(model, spread), max_tokens, film(&lengths), &options).unwrap();
        check_playable(&composition, &lengths, max_tokens);

        let again = compose(random(model, spread), max_tokens, film(&lengths), &options).unwrap();
        prop_assert_eq!(again.score, composition.score);
        prop_assert_eq!(again.events, composition.events);
    }

    #[test]
    fn raw_noise_is_counted(model: u64, lengths in proptest::collection::vec(1..12_000_u64, 1..4), max_tokens in 1..200_usize) {
        let composition = compose(random(model, 4.0), max_tokens, film(&lengths), &raw()).unwrap();
        prop_assert!(composition.events <= lengths.len() * max_tokens);
        prop_assert!(composition.score.notes.iter().all(|note| note.start < note.end));
        prop_assert!(u64::from(midi_end(&composition.score)) >= lengths.iter().sum());
    }
}

/// A scripted model hears nothing of what was before, but each window goes on with the random numbers where the last one
/// stopped.
#[test]
fn windows_do_not_repeat() {
    let mut windows = film(&[5_000, 5_000]);
    windows[1].as_mut().unwrap().clip = clip(0);
    let score = compose(random(1, 1.0), 1024, windows, &with_seed(1)).unwrap().score;
    let half = score.notes.partition_point(|note| note.start < 500);
    let second = score.notes[half..].iter().map(|note| (note.start - 500, note.pitch));
    assert!(!score.notes[..half].iter().map(|note| (note.start, note.pitch)).eq(second));
}

#[test]
fn another_seed_is_another_piece() {
    let piece = |seed| compose(random(1, 1.0), 1024, film(&[5_000]), &with_seed(seed)).unwrap().score;
    assert_eq!(piece(1), piece(1));
    assert_ne!(piece(1), piece(2));
    assert_ne!(piece(1), piece(1 << 63));
}

/// What each lane says, one lane for each of `colours`.
fn lanes(model: &Scripted, colours: &[u8], sampling: &Sampling, rules: &[Rules]) -> Vec<Vec<Token>> {
    let clips: Vec<_> = colours.iter().copied().map(clip).collect();
    let mut said = vec![Vec::new(); clips.len()];
    let begin = rules.iter().map(|rules| (Vec::new(), rules.clone()));
    for step in Decoding::new(model.open(&clips).unwrap(), *sampling, 0, begin) {
        let step = step.unwrap();
        assert_eq!(step.len(), said.len());
        for (lane, token) in said.iter_mut().zip(step) {
            assert!(token.is_none() || lane.last() != Some(&Token::END), "nothing follows END");
            lane.extend(token.map(|said| said.token));
        }
    }
    said
}

fn grammar(steps: u32) -> Rules {
    Rules::Grammar(Grammar::new(steps, 1024).unwrap())
}

#[test]
fn lanes_are_one_by_one() {
    let model = random(5, 2.0);
    let rules = [grammar(300), Rules::Raw(40), grammar(1000)];
    // Where nothing is drawn, the number of the lane does not matter.
    let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
    let together = lanes(&model, &[1, 2, 3], &greedy, &rules);
    for (index, rules) in rules.iter().enumerate() {
        let alone = lanes(&model, &[index as u8 + 1], &greedy, std::slice::from_ref(rules));
        assert_eq!(together[index], alone[0]);
    }
    // Where it is drawn, what a lane says depends on its place, but not on who is beside it.
    let drawn = Sampling { seed: 9, ..Sampling::default() };
    let together = lanes(&model, &[1, 2, 3], &drawn, &rules);
    assert_eq!(together[..1], lanes(&model, &[1], &drawn, &rules[..1]));
    assert_eq!(together[..2], lanes(&model, &[1, 2], &drawn, &rules[..2]));
    let other = lanes(&model, &[7, 8, 3], &drawn, &[Rules::Raw(1), grammar(50), grammar(1000)]);
    assert_eq!(together[2], other[2]);
}

#[test]
fn lanes_of_one_clip_differ() {
    let said = lanes(&random(5, 1.0), &[1, 1, 1], &Sampling::default(), &[grammar(300), grammar(300), grammar(300)]);
    assert!(said[0] != said[1] && said[1] != said[2] && said[0] != said[2]);
}

#[test]
fn logits_that_are_no_numbers_are_errors() {
    for (value, token) in [(f32::NAN, 17), (f32::INFINITY, 309)] {
        let broken = |colour, at| {
            scripted(move |lane, step| {
                let mut logits = Array1::zeros(VOCABULARY);
                if (lane, step) == (colour, at) {
                    logits[token] = value;
                }
                Ok(logits)
            })
        };
        let model = broken(2, 3);
        let session = model.open(&[clip(1), clip(2)]).unwrap();
        let rules = [Rules::Raw(100), grammar(300)].map(|rules| (Vec::new(), rules));
        let mut steps = Decoding::new(session, Sampling { temperature: 0.0, ..Sampling::default() }, 0, rules);
        for _ in 0..3 {
            assert!(steps.next().unwrap().is_ok());
        }
        let error = steps.next().unwrap().unwrap_err();
        assert!(matches!(error, Error::Logits { lane: 1, token: t, .. } if t == token), "{error}");
        assert!(steps.next().is_none(), "an error is the last step");

        let error = compose(broken(1, 2), 1024, film(&[5_000, 5_000]), &Options::default()).unwrap_err();
        let want = format!("the model gave {value} as the logit of token {token} in lane 0");
        assert!(error.to_string().starts_with(&want), "{error}");
    }
}

#[test]
fn errors_pass_through() {
    let broken = || Error::Engine { engine: "scripted", reason: "out of order".into() };
    let model = scripted(move |_, step| if step == 4 { Err(broken()) } else { Ok(Array1::zeros(VOCABULARY)) });
    let error = compose(model, 1024, film(&[5_000]), &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "scripted: out of order");

    let mut windows = film(&[1_000, 1_000]);
    windows[1] = Err(broken());
    let error = compose(random(0, 1.0), 1024, windows, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "scripted: out of order");

    let error = compose(random(0, 1.0), 5, film(&[5_000]), &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "max_tokens must be enough for a silent window (one a second, and the end), but is 5"
    );
    let cold = Options { sampling: Sampling { temperature: -1.0, ..Sampling::default() }, ..Options::default() };
    let error = compose(random(0, 1.0), 1024, film(&[5_000]), &cold).unwrap_err();
    assert_eq!(error.to_string(), "temperature must be a number of at least 0, but is -1");
}

/// Composes raw for windows of `lengths`, each as its script says, with at most 8 tokens; wants the paper's case study:
/// (events, unmatched note-offs, unclosed notes, milliseconds of length error), and the notes.
#[track_caller]
fn check_raw(lengths: &[u64], scripts: &[&str], want: (usize, usize, usize, u64), notes: &str) {
    let composition = compose(says(scripts), 8, film(lengths), &raw()).unwrap();
    let Composition { events, unmatched_offs, unclosed, length_error, .. } = composition;
    assert_eq!(
        (events, unmatched_offs, unclosed, length_error),
        (want.0, want.1, want.2, Duration::from_millis(want.3))
    );
    assert_eq!(composition.score.to_string(), notes);
}

#[test]
fn raw_models_are_judged() {
    check_raw(&[1_000], &["v20 +60 >50 -60 >50 end"], (6, 0, 0, 0), "0-50 60@77\n");
    check_raw(&[1_000], &["end"], (1, 0, 0, 1_000), "");
    check_raw(&[1_000], &["+60 +62 >100 -60 end"], (5, 0, 1, 0), "0-100 60@100\n0-100 62@100\n");
    check_raw(&[1_000], &["-60 +60 >100 -60 -60 end"], (6, 2, 0, 0), "0-100 60@100\n");
    check_raw(&[1_000], &["pad pad >90 end"], (4, 0, 0, 100), "");
    // One that never ends is stopped, and what is open then is closed there.
    check_raw(&[1_000], &[">100"], (8, 0, 0, 7_000), "");
    check_raw(&[2_000], &["+60 >100"], (8, 0, 1, 5_000), "0-700 60@100\n");
    check_raw(&[2_000], &["+60"], (8, 0, 8, 2_000), "");
}

#[test]
fn raw_windows_add_up() {
    let scripts = ["+60 >90 end", "-60 >100 >30 end"];
    check_raw(&[1_000, 1_000], &scripts, (7, 1, 1, 400), "0-90 60@100\n");
    check_raw(&[1_000, 1_000], &["end", "+60 >100 -60 end"], (5, 0, 0, 1_000), "100-200 60@100\n");
}

/// Progress is told as a moment of the film, so a model that does not stop must not make it run ahead and jump back.
#[test]
fn a_raw_model_that_runs_on_stays_in_its_window() {
    check_raw(&[1_000, 1_000], &[">100", "+60 >100 -60 end"], (12, 0, 0, 7_000), "100-200 60@100\n");
}

/// The same models under the grammar: `script` is greedy, so it gets as much of its way as is allowed.
#[track_caller]
fn check_led(length: u64, max_tokens: usize, script: &str, notes: &str) {
    let greedy = Options { sampling: Sampling { temperature: 0.0, ..Sampling::default() }, ..Options::default() };
    let composition = compose(says(&[script]), max_tokens, film(&[length]), &greedy).unwrap();
    check_playable(&composition, &[length], max_tokens);
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

fn controlled(controls: Controls) -> Options {
    Options { controls, ..with_seed(1) }
}

/// The most keys that are down at once.
fn polyphony(score: &Score) -> usize {
    let at = |step| score.notes.iter().filter(|note| note.start <= step && step < note.end).count();
    score.notes.iter().map(|note| at(note.start)).max().unwrap_or(0)
}

/// Half a minute of noise in three windows.
fn half_a_minute(options: &Options) -> Score {
    let lengths = [10_000, 10_000, 10_000];
    let composition = compose(random(3, 2.0), 1024, film(&lengths), options).unwrap();
    check_playable(&composition, &lengths, 1024);
    assert!(!composition.score.notes.is_empty());
    composition.score
}

#[test]
fn controls_are_kept_to() {
    let free = half_a_minute(&with_seed(1));
    let check = |controls: Controls, keeps: &dyn Fn(&Score) -> bool| {
        assert!(!keeps(&free), "{controls:?} must say something");
        assert!(keeps(&half_a_minute(&controlled(controls.clone()))), "{controls:?}");
    };
    let every = |keeps: fn(&vmt::Note) -> bool| move |score: &Score| score.notes.iter().all(keeps);
    let none = Controls::default;
    check(Controls { pitches: Some(48..=59), ..none() }, &every(|note| (48..=59).contains(&note.pitch.get())));
    check(Controls { pitches: Some(60..=60), ..none() }, &every(|note| note.pitch.get() == 60));
    check(Controls { velocities: Some(30..=50), ..none() }, &every(|note| (30..=50).contains(&note.velocity)));
    check(Controls { velocities: Some(100..=101), ..none() }, &every(|note| note.velocity == 101));
    check(Controls { polyphony: NonZeroUsize::new(3), ..none() }, &|score| polyphony(score) <= 3);
    check(Controls { polyphony: NonZeroUsize::new(1), ..none() }, &|score| polyphony(score) <= 1);
    let white = |note: &vmt::Note| [0, 2, 4, 5, 7, 9, 11].contains(&(note.pitch.get() % 12));
    check(Controls { scale: Some("A minor".parse().unwrap()), ..none() }, &every(white));
}

#[test]
fn a_density_is_aimed_at() {
    let lengths = [10_000; 6];
    for density in [0.5, 1.0, 2.0, 5.0, 10.0, 20.0] {
        // Keys must come up to be struck again.
        let Scripted(noise) = random(3, 1.0);
        let lifting = scripted(move |colour, step| {
            let mut logits = noise(colour, step)?;
            let ups = Token::all().filter(|&token| matches!(token.into(), Event::NoteOff(_)));
            ups.for_each(|token| logits[token.index()] += 4.0);
            Ok(logits)
        });
        let options = controlled(Controls { density: Some(density), ..Controls::default() });
        let score = compose(lifting, 4096, film(&lengths), &options).unwrap().score;
        let got = score.notes.len() as f64 / 60.0;
        println!("{density}: {got:.2}");
        assert!((got / density - 1.0).abs() < 0.25, "{got} notes a second, not {density}");
    }
}

#[test]
fn controls_without_the_grammar_are_refused() {
    let refused = |options: Options, want: &str| {
        let error = compose(random(0, 1.0), 1024, film(&[5_000]), &options).unwrap_err();
        assert_eq!(error.to_string(), want);
    };
    let want = "unconstrained must be off where there are controls or a primer, which need the grammar, but is on";
    let density = Controls { density: Some(1.0), ..Controls::default() };
    refused(Options { controls: density, ..raw() }, want);
    refused(Options { primer: parse(">5"), ..raw() }, want);
    refused(
        controlled(Controls { density: Some(0.0), ..Controls::default() }),
        "density must be above 0 and at most 100 notes a second, but is 0",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn noise_under_controls_becomes_music(
        model: u64,
        lengths in proptest::collection::vec(1..12_000_u64, 1..4),
        spare in prop_oneof![0..8_usize, 0..500_usize],
        keys in (21..=108_u8, 12..60_u8),
        velocities in (1..=120_u8, 3..=60_u8),
        polyphony in prop::option::of(1..=5_usize),
        density in prop::option::of(0.1..50.0_f64),
        seed: u64,
    ) {
        let max_tokens = (lengths.iter().max().unwrap() / 1000) as usize + 2 + spare;
        let controls = Controls {
            pitches: Some(keys.0.min(97)..=(keys.0.saturating_add(keys.1)).min(108)),
            velocities: Some(velocities.0..=(velocities.0 + velocities.1).min(127)),
            polyphony: polyphony.and_then(NonZeroUsize::new),
            scale: Some("F# pentatonic".parse().unwrap()),
            density,
        };
        let options = Options { controls: controls.clone(), ..with_seed(seed) };
        let composition = compose(random(model, 3.0), max_tokens, film(&lengths), &options).unwrap();
        check_playable(&composition, &lengths, max_tokens);
        for note in &composition.score.notes {
            prop_assert!(controls.pitches.clone().unwrap().contains(&note.pitch.get()), "{:?}", note);
            prop_assert!([1, 3, 6, 8, 10].contains(&(note.pitch.get() % 12)), "{:?}", note);
            prop_assert!(controls.velocities.clone().unwrap().contains(&note.velocity), "{:?}", note);
        }
        prop_assert!(polyphony.is_none_or(|most| self::polyphony(&composition.score) <= most));
    }
}

/// Composes takes to the end; wants every event of every take.
fn takes(model: Scripted, takes: usize, windows: Vec<Result<Window>>, options: &Options) -> Vec<Composition> {
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
    let compositions = takes(random(3, 2.0), 4, film(&[10_000, 10_000]), &with_seed(1));
    let mut numbers: Vec<_> = compositions.iter().map(|composition| composition.take).collect();
    for pair in compositions.windows(2) {
        assert!(pair[0].rank.total() >= pair[1].rank.total() && pair[0].score != pair[1].score);
    }
    for composition in &compositions {
        check_playable(composition, &[10_000, 10_000], 1024);
        assert_eq!(composition.rank, Rank::new(&composition.score, composition.log_probability, None));
    }
    numbers.sort();
    assert_eq!(numbers, [0, 1, 2, 3]);
    // In a film of one window, the first take is what is composed alone.
    let alone = takes(random(3, 2.0), 1, film(&[10_000]), &with_seed(1)).swap_remove(0);
    let together = takes(random(3, 2.0), 4, film(&[10_000]), &with_seed(1));
    let first = together.iter().find(|composition| composition.take == 0).unwrap();
    assert!(alone.score == first.score && alone.rank == first.rank);
}

/// As [`film`], with as many pictures as windows have.
fn watched(lengths: &[u64]) -> Vec<Result<Window>> {
    let pictures = |window: Window| {
        let colour = window.clip.pixels()[[0, 0, 0, 0]];
        let clip = Clip::new(Array4::from_elem((DOT.pictures(window.duration), 3, 1, 1), colour), &DOT)?;
        Ok(Window { clip, ..window })
    };
    film(lengths).into_iter().map(|window| pictures(window?)).collect()
}

/// The windows of no film.
fn unseen(ms: u64) -> Vec<Result<Window>> {
    Window::without_video(Duration::from_millis(ms), DOT).map(Ok).collect()
}

#[test]
fn music_needs_no_video() {
    for lengths in [[500].as_slice(), &[10_000], &[10_000, 2_000], &[10_000, 10_000, 9_000], &[1]] {
        let composition = compose(random(0, 4.0), 1024, unseen(lengths.iter().sum()), &with_seed(1)).unwrap();
        check_playable(&composition, lengths, 1024);
        assert!(lengths[0] < 500 || !composition.score.notes.is_empty(), "{lengths:?}");
    }
}

/// What takes are, but for the time they took.
fn told(takes: &[Composition]) -> String {
    let tell = |take: &Composition| format!("{take:?}").split("seconds: Stages").next().unwrap().to_owned();
    takes.iter().map(tell).collect()
}

#[test]
fn guidance_0_does_not_look() {
    let drawn = with_seed(1);
    let primed = Options { primer: parse("v20 +60 >100 -60 +64 >80"), ..with_seed(2) };
    let controls = Controls { polyphony: NonZeroUsize::new(2), density: Some(3.0), ..Controls::default() };
    for options in [drawn, primed, controlled(controls), raw()] {
        for count in [1, 3] {
            let write = |windows, guidance| {
                told(&takes(random(3, 2.0), count, windows, &Options { guidance, ..options.clone() }))
            };
            let lengths = [10_000, 10_000, 4_000];
            let free = write(unseen(24_000), 1.0);
            assert_eq!(write(watched(&lengths), 0.0), free);
            assert_ne!(write(watched(&lengths), 1.0), free);
            assert_eq!(write(unseen(24_000), 7.0), free, "nothing to follow");
        }
    }
}

#[test]
fn guidance_1_needs_no_twin() {
    let Scripted(noise) = random(3, 2.0);
    let seeing = || {
        let noise = Arc::clone(&noise);
        scripted(move |colour, step| {
            let blind = Error::Engine { engine: "scripted", reason: "nothing to see".into() };
            if colour == UNSEEN { Err(blind) } else { noise(colour, step) }
        })
    };
    let compose = |guidance| compose(seeing(), 1024, film(&[5_000]), &Options { guidance, ..with_seed(1) });
    assert!(compose(1.0).is_ok() && Options::default().guidance == 1.0);
    assert_eq!(compose(1.1).unwrap_err().to_string(), "scripted: nothing to see");
}

#[test]
fn guidance_exaggerates() {
    // The film is for high keys; without it, all are alike.
    let model = || {
        scripted(|colour, _| {
            let logit = |token: Token| match token.into() {
                Event::NoteOn(pitch) if colour != UNSEEN => (f32::from(pitch.get()) - 64.0) / 44.0,
                // Keys must come up to be struck again.
                Event::NoteOff(_) => 4.0,
                _ => 0.0,
            };
            Ok(Token::all().map(logit).collect())
        })
    };
    let height = |guidance| {
        let score = compose(model(), 1024, film(&[10_000; 6]), &Options { guidance, ..with_seed(1) }).unwrap().score;
        score.notes.iter().map(|note| f64::from(note.pitch.get())).sum::<f64>() / score.notes.len() as f64
    };
    let heights = [0.0, 1.0, 2.0, 4.0].map(height);
    println!("{heights:?}");
    assert!(heights.windows(2).all(|pair| pair[0] + 2.0 < pair[1]), "{heights:?}");
}

#[test]
fn takes_are_guided_one_by_one() {
    let options = Options { guidance: 2.5, ..with_seed(1) };
    let alone = takes(random(3, 2.0), 1, film(&[10_000]), &options);
    let mut together = takes(random(3, 2.0), 4, film(&[10_000]), &options);
    together.sort_by_key(|take| take.take);
    assert!(together[0].score == alone[0].score && together[0].rank == alone[0].rank);
    assert!(together.windows(2).all(|pair| pair[0].score != pair[1].score));
    together.iter().for_each(|take| check_playable(take, &[10_000], 1024));
}

#[test]
fn guidance_has_a_range() {
    for guidance in [-0.1, 10.1, f32::NAN, f32::INFINITY] {
        let options = Options { guidance, ..Options::default() };
        let error = compose(random(0, 1.0), 1024, film(&[5_000]), &options).unwrap_err();
        assert_eq!(error.to_string(), format!("guidance must be within 0-10, but is {guidance}"));
    }
    for guidance in [0.0, 10.0] {
        assert!(Options { guidance, ..Options::default() }.validate(DOT).is_ok());
    }
}

#[test]
fn a_piece_continues_its_primer() {
    let primer = parse("v20 +60 >100 -60 +64 >80 v25 +67 >20");
    for lengths in [[10_000, 10_000].as_slice(), &[10_000], &[3_000, 500]] {
        let options = Options { primer: primer.clone(), ..with_seed(1) };
        let composition = compose_primed(lengths, &options);
        let of_the_start = |score: &Score| -> Vec<_> {
            score
                .notes
                .iter()
                .filter(|note| note.start < 200)
                .map(|note| (note.start, note.pitch.get(), note.velocity))
                .collect()
        };
        assert_eq!(of_the_start(&composition.score), [(0, 60, 77), (100, 64, 77), (180, 67, 97)]);
        assert!(composition.score.notes.iter().any(|note| note.start >= 200));
        assert_eq!(composition.score.notes[0].end, 100);
        let held = &composition.score.notes[1..3];
        assert!(held.iter().all(|note| note.end >= 200), "{held:?} were down when the primer ended");
    }
    // A film that is shorter ends before its primer does.
    let options = Options { primer, ..with_seed(1) };
    assert_eq!(compose_primed(&[1_500], &options).score.to_string(), "0-100 60@77\n100-150 64@77\n");
    assert_eq!(compose_primed(&[1_800], &options).score.to_string(), "0-100 60@77\n100-180 64@77\n");
}

/// Composes with a primer, which is among what is played, but not among what the model says.
fn compose_primed(lengths: &[u64], options: &Options) -> Composition {
    let composer = Composer::with_engine(Box::new(random(3, 2.0)), 1024);
    let mut piece = composer.piece(film(lengths), options, NonZeroUsize::MIN).unwrap();
    let played: Vec<Played> = piece.by_ref().collect::<Result<_>>().unwrap();
    let composition = piece.finish().swap_remove(0);
    check_playable(&composition, lengths, 1024);
    let tokens = played.iter().map(|played| Token::from(played.event)).filter(|&token| token != Token::END);
    assert_eq!(Score::decode(tokens, composition.score.duration).score, composition.score);
    composition
}

#[test]
fn a_primer_is_what_the_model_hears() {
    let primer = parse("v20 +60 >100 -60 +64 >50");
    let want = primer.clone();
    let fed = Arc::new(AtomicUsize::new(0));
    let model = Listening(random(3, 2.0), Arc::clone(&fed), want);
    let options = Options { primer, ..with_seed(1) };
    Composer::with_engine(Box::new(model), 1024).compose(film(&[10_000]), &options, |_| {}).unwrap();
    assert!(fed.load(Ordering::Relaxed) > 1);
}

#[test]
fn primers_that_are_none_are_refused() {
    let refused = |primer: &str, want: &str| {
        let options = Options { primer: parse(primer), ..Options::default() };
        let error = compose(random(0, 1.0), 1024, film(&[5_000]), &options).unwrap_err();
        assert_eq!(error.to_string(), want);
    };
    refused("+60 >100 >100 >100 >100 >100 >1", "primer must be at most half a window, but is over 5s");
    refused("+60 +60", "primer must be playable from token to token, but is NoteOn(Pitch(60)) at place 1");
    refused(">1 end", "primer must be playable from token to token, but is End at place 1");
    let whole = Options { primer: parse("v20 +60 >100 >100 >100 >100 >100 -60"), ..Options::default() };
    compose_primed(&[10_000], &whole);
}

/// Counts how often it is fed, and wants to be fed this first.
struct Listening(Scripted, Arc<AtomicUsize>, Vec<Token>);

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
        let options = Options { guidance, ..with_seed(1) };
        let mut piece = composer.piece(film(&[10_000, 10_000]), &options, NonZeroUsize::new(2).unwrap()).unwrap();
        let played: Vec<Played> = piece.by_ref().take(2 * stop).collect::<Result<_>>().unwrap();
        assert_eq!(fed.load(Ordering::Relaxed), stop);

        for composition in piece.finish() {
            let last = played.iter().rfind(|played| played.take == composition.take).unwrap();
            assert!(!composition.complete && composition.events == stop);
            assert_eq!(composition.score.duration, last.time);
            let end = (last.time.as_millis() / 10) as u32;
            assert!(composition.score.notes.iter().all(|note| note.start < note.end && note.end <= end));
            assert_eq!(u128::from(midi_end(&composition.score)), last.time.as_millis());
        }
        assert_eq!(fed.load(Ordering::Relaxed), stop);
    }
}

#[test]
fn a_piece_that_failed_is_not_complete() {
    let mut windows = film(&[10_000, 10_000]);
    windows[1] = Err(Error::Midi("a window that is none".into()));
    let composer = Composer::with_engine(Box::new(random(3, 2.0)), 1024);
    let options = with_seed(1);
    let mut piece = composer.piece(windows, &options, NonZeroUsize::MIN).unwrap();
    assert!(piece.by_ref().any(|played| played.is_err()));
    assert!(piece.next().is_none());
    let composition = piece.finish().swap_remove(0);
    // The last eighth, and a pause of up to a second before it, was left to the window that failed.
    let got = composition.score.duration.as_secs_f64();
    assert!(!composition.complete && 7.75 < got && got <= 8.75, "{got}");
    assert!(!composition.score.notes.is_empty());
}
