//! Whether a listening study finds what is true: simulates studies whose raters' preferences are known, and counts how often they lie
//! within the intervals of `study score`; then prints a study of the paper's size.
//!
//! `cargo run --release --workspace --example study-simulation PEOPLE RUNS`, by default 1000 200

use vmt_statistics::crossed::{BOOTSTRAPS, Rating, bootstrap};
use vmt_statistics::random::Stream;
use vmt_study::analysis::Report;
use vmt_study::simulation::{Preferences, Simulated};

/// Films, and how many of them each person hears.
const FILMS: [usize; 2] = [30, 10];

/// The ratings of one system: smoothness and relevance.
fn ratings(study: &Simulated, system: usize) -> [Vec<Rating>; 2] {
    let mut of = [Vec::new(), Vec::new()];
    for (person, answers) in study.answers.iter().enumerate() {
        for film in &answers.films {
            let item = study.key.films.iter().position(|known| known.id == film.film).unwrap_or_default();
            let own = film.ratings.iter().filter(|it| study.key.films[item].pieces[&it.piece].system == system);
            for rated in own {
                of[0].push(Rating { person, item, value: rated.smoothness.into() });
                of[1].push(Rating { person, item, value: rated.relevance.into() });
            }
        }
    }
    of
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let (people, runs) = (numbers.next().unwrap_or(1000) as usize, numbers.next().unwrap_or(200));
    let preferences = Preferences::paper();
    let [films, each] = FILMS;
    println!("{runs} studies of {people} people, {films} films, {each} for each person");
    println!(
        "| | truth | within the interval | mean length | with one who rates at random | moved by, of half the interval |"
    );
    println!("|---|---|---|---|---|---|");
    let names = preferences.systems.iter().map(|system| &system.0);
    for (system, name) in names.enumerate() {
        let mut held = [[0, 0]; 2];
        let (mut lengths, mut moved) = ([0.0; 2], [0.0_f64; 2]);
        for seed in 0..runs {
            let mut study = preferences.simulate(people, films, each, seed);
            let before = ratings(&study, system);
            study.add_random_rater(true, seed);
            let after = ratings(&study, system);
            for measure in 0..2 {
                let truth = preferences.truth(system, measure);
                let random = || Stream::new(seed, "intervals", &[measure as u64]);
                let (mean, [low, high]) = bootstrap(&before[measure], BOOTSTRAPS, &mut random());
                let (other, [low_after, high_after]) = bootstrap(&after[measure], BOOTSTRAPS, &mut random());
                held[measure][0] += u64::from((low..=high).contains(&truth));
                held[measure][1] += u64::from((low_after..=high_after).contains(&truth));
                lengths[measure] += (high - low) / runs as f64;
                moved[measure] = moved[measure].max((other - mean).abs() / ((high - low) / 2.0));
            }
        }
        for (measure, what) in ["smoothness", "relevance"].into_iter().enumerate() {
            let truth = preferences.truth(system, measure);
            let share = |count: u64| 100.0 * count as f64 / runs as f64;
            let [without, with] = held[measure].map(share);
            let (length, moved) = (lengths[measure], 100.0 * moved[measure]);
            println!(
                "| {name}, {what} | {truth:.3} | {without:.1} % | {length:.3} | {with:.1} % | at most {moved:.1} % |"
            );
        }
    }
    let Simulated { key, answers } = preferences.simulate(23, films, each, 1);
    match Report::new(&key, &answers, Vec::new(), 1) {
        Some(report) => println!("\nA study of the paper's size, simulated:\n\n{report}"),
        None => println!("nobody rated anything"),
    }
}
