//! What steers the music: controls, guidance and primers.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use proptest::prelude::*;
use vmt::{
    Composer, Composition, Conditions, Controls, Error, Event, Options, Played, Result, Scale, Score, Tempo, Token,
};

use crate::composing::silence;
use crate::scripted::{DOT, Scripted, UNSEEN, check_playable, compose, film, random, scripted, unseen, with_seed};
use crate::support::parse;
use crate::takes::{Listening, takes};

fn controlled(controls: Controls) -> Options {
    with_seed(1).with_controls(controls)
}

/// The most keys that are down at once.
fn polyphony(score: &Score) -> usize {
    let at = |step| score.notes().iter().filter(|note| note.start <= step && step < note.end).count();
    score.notes().iter().map(|note| at(note.start)).max().unwrap_or(0)
}

/// Half a minute of noise.
fn half_a_minute(options: &Options) -> Score {
    let composition = compose(random(3, 2.0), 1024, 30_000, options).unwrap();
    check_playable(&composition, 30_000, 1024);
    assert!(!composition.score.notes().is_empty());
    composition.score
}

#[test]
fn controls_are_kept_to() {
    let free = half_a_minute(&with_seed(1));
    let check = |controls: Controls, keeps: &dyn Fn(&Score) -> bool| {
        assert!(!keeps(&free), "{controls:?} must say something");
        assert!(keeps(&half_a_minute(&controlled(controls.clone()))), "{controls:?}");
    };
    let every = |keeps: fn(&vmt::Note) -> bool| move |score: &Score| score.notes().iter().all(keeps);
    let none = Controls::default;
    check(none().with_pitches(48..=59), &every(|note| (48..=59).contains(&note.pitch.get())));
    check(none().with_pitches(60..=60), &every(|note| note.pitch.get() == 60));
    check(none().with_velocities(30..=50), &every(|note| (30..=50).contains(&note.velocity)));
    check(none().with_velocities(100..=101), &every(|note| note.velocity == 101));
    check(none().with_polyphony(NonZeroUsize::new(3)), &|score| polyphony(score) <= 3);
    check(none().with_polyphony(NonZeroUsize::new(1)), &|score| polyphony(score) <= 1);
    let white = |note: &vmt::Note| [0, 2, 4, 5, 7, 9, 11].contains(&(note.pitch.get() % 12));
    check(none().with_scale("A minor".parse::<Scale>().unwrap()), &every(white));
}

/// Half a minute of beats, 90 a minute.
fn beats() -> Conditions {
    let mut conditions = Conditions::default();
    conditions.beats.extend(Conditions::steady_beats(Tempo::new(90.0).unwrap(), 4, Duration::from_secs(30)));
    conditions
}

#[test]
fn quantized_notes_are_on_sixteenths() {
    let off = |note: &vmt::Note| {
        let sixteenth = 50.0 / 3.0;
        let nearest = ((f64::from(note.start) / sixteenth).round() * sixteenth).round() as u32;
        nearest.abs_diff(note.start)
    };
    for seed in 1..=5 {
        let free = half_a_minute(&with_seed(seed).with_conditions(beats()));
        assert!(free.notes().iter().map(off).max() > Some(5));
        let quantized = half_a_minute(&with_seed(seed).with_conditions(beats()).with_quantize(true));
        assert!(quantized.notes().iter().map(off).max() <= Some(1), "seed {seed}");
        assert!(quantized.notes().len() * 2 > free.notes().len());
    }
    // Without beats there is nothing to hold to.
    let unknown = half_a_minute(&with_seed(1).with_quantize(true));
    assert_eq!(unknown, half_a_minute(&with_seed(1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_note_is_struck_at_each_hit(
        seed in 0..1000_u64,
        gaps in proptest::collection::vec(30..700_u32, 1..20),
        quantize: bool,
        polyphony in 1..5_usize,
    ) {
        let hits: Vec<u32> = gaps.iter().scan(0, |step, gap| { *step += gap; Some(*step) }).collect();
        let hits: Vec<u32> = hits.into_iter().filter(|&hit| hit < 3000).collect();
        let mut conditions = beats();
        conditions.hits = Some(hits.clone());
        let controls = Controls::default().with_polyphony(NonZeroUsize::new(polyphony));
        let options = with_seed(seed).with_conditions(conditions).with_quantize(quantize).with_controls(controls);
        let score = half_a_minute(&options);
        for hit in hits {
            prop_assert!(score.notes().iter().any(|note| note.start == hit), "nothing at {hit}");
        }
    }
}

#[test]
fn a_density_is_aimed_at() {
    for density in [0.5, 1.0, 2.0, 5.0, 10.0, 20.0] {
        // Keys must come up to be struck again.
        let Scripted(noise, _) = random(3, 1.0);
        let lifting = scripted(move |colour, step| {
            let mut logits = noise(colour, step)?;
            let ups = Token::all().filter(|&token| matches!(token.into(), Event::NoteOff(_)));
            ups.for_each(|token| logits[token.index()] += 4.0);
            Ok(logits)
        });
        let options = controlled(Controls::default().with_density(density));
        let score = compose(lifting, 4096, 60_000, &options).unwrap().score;
        let got = score.notes().len() as f64 / 60.0;
        println!("{density}: {got:.2}");
        assert!((got / density - 1.0).abs() < 0.25, "{got} notes a second, not {density}");
    }
}

#[test]
fn controls_without_the_grammar_are_refused() {
    let refused = |options: Options, want: &str| {
        let error = compose(random(0, 1.0), 1024, 5_000, &options).unwrap_err();
        assert_eq!(error.to_string(), want);
    };
    let want = "unconstrained must be off where there are controls or a primer, which need the grammar, but is on";
    let raw = || Options::default().with_unconstrained(true);
    refused(raw().with_controls(Controls::default().with_density(1.0)), want);
    refused(raw().with_primer(parse(">5")), want);
    refused(
        controlled(Controls::default().with_density(0.0)),
        "density must be above 0 and at most 100 notes a second, but is 0",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn noise_under_controls_becomes_music(
        model: u64,
        ms in prop_oneof![1..10_000_u64, 1..36_000_u64],
        spare in prop_oneof![0..8_usize, 0..500_usize],
        keys in (21..=108_u8, 12..60_u8),
        velocities in (1..=120_u8, 3..=60_u8),
        polyphony in prop::option::of(1..=5_usize),
        density in prop::option::of(0.1..50.0_f64),
        seed: u64,
    ) {
        let max_tokens = silence(ms) + spare;
        let controls = Controls::default()
            .with_pitches(keys.0.min(97)..=(keys.0.saturating_add(keys.1)).min(108))
            .with_velocities(velocities.0..=(velocities.0 + velocities.1).min(127))
            .with_polyphony(polyphony.and_then(NonZeroUsize::new))
            .with_scale("F# pentatonic".parse::<Scale>().unwrap())
            .with_density(density);
        let options = with_seed(seed).with_controls(controls.clone());
        let composition = compose(random(model, 3.0), max_tokens, ms, &options).unwrap();
        check_playable(&composition, ms, max_tokens);
        for note in composition.score.notes() {
            prop_assert!(controls.pitches.clone().unwrap().contains(&note.pitch.get()), "{:?}", note);
            prop_assert!([1, 3, 6, 8, 10].contains(&(note.pitch.get() % 12)), "{:?}", note);
            prop_assert!(controls.velocities.clone().unwrap().contains(&note.velocity), "{:?}", note);
        }
        prop_assert!(polyphony.is_none_or(|most| self::polyphony(&composition.score) <= most));
    }
}

/// What takes are, but for the time they took.
fn told(takes: &[Composition]) -> String {
    let tell = |take: &Composition| format!("{take:?}").split("timings: Timings").next().unwrap().to_owned();
    takes.iter().map(tell).collect()
}

#[test]
fn guidance_0_is_without_video() {
    let drawn = with_seed(1);
    let primed = with_seed(2).with_primer(parse("v20 +60 >100 -60 +64 >80"));
    let controls = Controls::default().with_polyphony(NonZeroUsize::new(2)).with_density(3.0);
    let raw = Options::default().with_unconstrained(true);
    for options in [drawn, primed, controlled(controls), raw] {
        let hop = options.hop(&DOT);
        for count in [1, 3] {
            let write = |windows, guidance| {
                told(&takes(random(3, 2.0), count, windows, &options.clone().with_guidance(guidance)))
            };
            let free = write(unseen(24_000, hop), 1.0);
            assert_eq!(write(film(24_000, DOT, hop), 0.0), free);
            assert_ne!(write(film(24_000, DOT, hop), 1.0), free);
            assert_eq!(write(unseen(24_000, hop), 7.0), free, "nothing to follow");
        }
    }
}

#[test]
fn guidance_1_needs_no_other_lane() {
    let Scripted(noise, _) = random(3, 2.0);
    let seeing = || {
        let noise = Arc::clone(&noise);
        scripted(move |colour, step| {
            let blind = Error::Engine { engine: "scripted", reason: "nothing to see".into() };
            if colour == UNSEEN { Err(blind) } else { noise(colour, step) }
        })
    };
    let compose = |guidance| compose(seeing(), 1024, 5_000, &with_seed(1).with_guidance(guidance));
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
        let score = compose(model(), 1024, 60_000, &with_seed(1).with_guidance(guidance)).unwrap().score;
        score.notes().iter().map(|note| f64::from(note.pitch.get())).sum::<f64>() / score.notes().len() as f64
    };
    let heights = [0.0, 1.0, 2.0, 4.0].map(height);
    println!("{heights:?}");
    assert!(heights.windows(2).all(|pair| pair[0] + 2.0 < pair[1]), "{heights:?}");
}

#[test]
fn takes_are_guided_one_by_one() {
    let options = with_seed(1).with_guidance(2.5);
    let alone = takes(random(3, 2.0), 1, film(10_000, DOT, 10), &options);
    let mut together = takes(random(3, 2.0), 4, film(10_000, DOT, 10), &options);
    together.sort_by_key(|take| take.take);
    assert!(together[0].score == alone[0].score && together[0].rank == alone[0].rank);
    assert!(together.windows(2).all(|pair| pair[0].score != pair[1].score));
    together.iter().for_each(|take| check_playable(take, 10_000, 1024));
}

#[test]
fn guidance_has_a_range() {
    for guidance in [-0.1, 10.1, f32::NAN, f32::INFINITY] {
        let options = Options::default().with_guidance(guidance);
        let error = compose(random(0, 1.0), 1024, 5_000, &options).unwrap_err();
        assert_eq!(error.to_string(), format!("guidance must be within 0-10, but is {guidance}"));
    }
    for guidance in [0.0, 10.0] {
        assert!(Options::default().with_guidance(guidance).validate(DOT).is_ok());
    }
}

#[test]
fn a_piece_continues_its_primer() {
    let primer = parse("v20 +60 >100 -60 +64 >80 v25 +67 >20");
    for ms in [20_000, 10_000, 3_500] {
        let options = with_seed(1).with_primer(primer.clone());
        let composition = compose_primed(ms, &options);
        let of_the_start = |score: &Score| -> Vec<_> {
            score
                .notes()
                .iter()
                .filter(|note| note.start < 200)
                .map(|note| (note.start, note.pitch.get(), note.velocity))
                .collect()
        };
        assert_eq!(of_the_start(&composition.score), [(0, 60, 77), (100, 64, 77), (180, 67, 97)]);
        assert!(composition.score.notes().iter().any(|note| note.start >= 200));
        assert_eq!(composition.score.notes()[0].end, 100);
        let held = &composition.score.notes()[1..3];
        assert!(held.iter().all(|note| note.end >= 200), "{held:?} were down when the primer ended");
    }
    // A film that is shorter ends before its primer does.
    let options = with_seed(1).with_primer(primer);
    assert_eq!(compose_primed(1_500, &options).score.to_string(), "0-100 60@77\n100-150 64@77\n");
    assert_eq!(compose_primed(1_800, &options).score.to_string(), "0-100 60@77\n100-180 64@77\n");
}

/// Composes with a primer, which is among what is played, but not among the events that are counted.
fn compose_primed(ms: u64, options: &Options) -> Composition {
    let composer = Composer::with_engine(Box::new(random(3, 2.0)), 1024);
    let mut piece = composer.piece(film(ms, DOT, 10), options, NonZeroUsize::MIN).unwrap();
    let played: Vec<Played> = piece.by_ref().collect::<Result<_>>().unwrap();
    let composition = piece.finish().swap_remove(0);
    check_playable(&composition, ms, 1024);
    let tokens = played.iter().map(|played| Token::from(played.event)).filter(|&token| token != Token::END);
    assert_eq!(Score::decode(tokens, composition.score.duration()).score, composition.score);
    composition
}

#[test]
fn a_primer_is_what_the_model_hears() {
    let primer = parse("v20 +60 >100 -60 +64 >50");
    let want = primer.clone();
    let fed = Arc::new(AtomicUsize::new(0));
    let model = Listening(random(3, 2.0), Arc::clone(&fed), want);
    let options = with_seed(1).with_primer(primer);
    Composer::with_engine(Box::new(model), 1024).compose(film(10_000, DOT, 10), &options, |_| {}).unwrap();
    assert!(fed.load(Ordering::Relaxed) > 1);
}

#[test]
fn primers_that_are_none_are_refused() {
    let refused = |primer: &str, want: &str| {
        let options = Options::default().with_primer(parse(primer));
        let error = compose(random(0, 1.0), 1024, 5_000, &options).unwrap_err();
        assert_eq!(error.to_string(), want);
    };
    refused("+60 >100 >100 >100 >100 >100 >1", "primer must be at most half a window, but is over 5s");
    refused("+60 +60", "primer must be playable from token to token, but is NoteOn(Pitch(60)) at place 1");
    refused(">1 end", "primer must be playable from token to token, but is End at place 1");
    let whole = Options::default().with_primer(parse("v20 +60 >100 >100 >100 >100 >100 -60"));
    compose_primed(10_000, &whole);
}
