//! Right calls, wrong calls, and what the program says of them.

use std::fs;

use super::{Place, music};
use crate::support::file;

#[test]
fn what_is_there_is_replaced() {
    let place = Place::new();
    fs::write(place.path("a.mid"), "old").unwrap();
    place.vmt("compose %tests/data/demo.mp4 -o @a.mid");
    music(&fs::read(place.path("a.mid")).unwrap(), 12_000);
    assert_eq!(place.files().len(), 1);
}

#[test]
fn outputs_that_cannot_be_written() {
    let place = Place::new();
    fs::create_dir(place.path("folder.mid")).unwrap();
    fs::write(place.path("file"), "").unwrap();
    for (output, want) in [
        ("missing/a.mid", "@missing: No such file"),
        ("file/a.mid", "@file: "),
        ("folder.mid", "@folder.mid: must be a file to write, but is a folder"),
    ] {
        // Said before the film is looked at: this one does not exist.
        place.fails(2, &format!("compose @missing.mp4 -o @{output}"), want);
    }
    let long = format!("compose @missing.mp4 -o @{}.mid", "a".repeat(300));
    place.fails(2, &long, "File name too long");
    for output in ["a.mod", "a", ".mid"] {
        place.fails(2, &format!("compose @missing.mp4 -o @{output}"), "must end in one of .mid, .midi, .wav");
    }
}

#[test]
fn options_out_of_range() {
    let place = Place::new();
    let compose = "compose %tests/data/demo.mp4 -o @a.mid";
    for (option, want) in [
        ("--top-p 0", "top_p must be above 0 and at most 1, but is 0"),
        ("--top-p 1.5", "top_p must be above 0 and at most 1, but is 1.5"),
        ("--top-p NaN", "top_p must be"),
        ("--temperature=-1", "temperature must be within 0-100, but is -1"),
        ("--temperature NaN", "temperature must be"),
        ("--temperature 1e30", "temperature must be within 0-100, but is 1"),
        ("--velocity-range 0-300", "it must be LOW-HIGH, whole numbers within 1-127"),
        ("--velocity-range 100-50", "velocity range must be within 1-127, the lower first, but is 100-50"),
        ("--max-polyphony 0", "0 is not in 1..=88"),
        ("--max-polyphony 89", "89 is not in 1..=88"),
        ("--top-k 311", "311 is not in 1..=310"),
        ("--temperature inf", "temperature must be"),
        ("--guidance 10.5", "guidance must be within 0-10, but is 10.5"),
        ("--guidance NaN", "guidance must be"),
        ("--guidance=-1", "guidance must be within 0-10, but is -1"),
        ("--tempo 1e30", "tempo must be 20-400 beats a minute, but is 1000000000000000000000000000000"),
        ("--key Am", "scale must be a key (C, F#, Bb, ...) and major, minor, "),
        ("--density 0", "density must be above 0 and at most 100 notes a second, but is 0"),
        ("--pitch-range 60-50", "pitch range must be within 21-108 (A0-C8), the lower first, but is 60-50"),
        ("--takes 0", "0 is not in 1..=1024"),
        ("--takes 5000", "5000 is not in 1..=1024"),
        ("--takes 18446744073709551615", "18446744073709551615 is not in 1..=1024"),
        ("--threads 0", "0 is not in 1..="),
        ("--threads 100000", "100000 is not in 1..="),
        ("--start=-1", "'-1' for '--start <TIME>': it must be a time from 0 on, below 1000 hours"),
        ("--start 1e30", "'1e30' for '--start <TIME>': it must be a time"),
        ("--end 1:60", "'1:60' for '--end <TIME>': it must be a time"),
        ("--start 3 --end 2", "--start must be before --end, but 3s is not before 2s"),
        ("--shard 1/2", "--shard and --shards are for a folder of films"),
        ("--shard 3/2", "where I is 1 to N, but is 3/2"),
        ("--shards 2", "--shard <I/N>"),
        ("--top-k 0", "0 is not in 1..=310"),
        ("--seed -1", "'-1'"),
        ("--temperature -1", "'-1'"),
        ("--temperature warm", "warm"),
        ("--engine gpu", "[possible values: auto, tract, ort, cuda]"),
        ("--loud", "--loud"),
    ] {
        place.fails(2, &format!("{compose} {option}"), want);
    }
    for (option, want) in [
        ("--bundle @missing", "@missing/manifest.yaml: No such file"),
        (
            "--engine cuda",
            "libonnxruntime.so is built without CUDA; a library with it is in PyPI's package onnxruntime-gpu",
        ),
    ] {
        place.fails(1, &format!("{compose} {option}"), want);
    }
    place.fails(2, "compose", "--output <FILE>");
    place.fails(2, "compose %tests/data/demo.mp4", "--output <FILE>");
    place.fails(2, "compost", "unrecognized subcommand");
    place.fails(2, "", "Usage: vmt <COMMAND>");
}

#[test]
fn help_is_no_failure() {
    let place = Place::new();
    let version = concat!("vmt ", env!("CARGO_PKG_VERSION"));
    for (call, want) in [
        ("--help", "Usage: vmt <COMMAND>"),
        ("--version", version),
        ("help compose", "Usage: vmt compose [OPTIONS]"),
        ("compose --help", "Usage: vmt compose [OPTIONS]"),
        ("tokens encode --help", "Usage: vmt tokens encode [OPTIONS] <FILE>"),
        ("inspect --version", "vmt-inspect "),
    ] {
        place.vmt(call);
        let said = vmt_cli::execute(place.arguments(call)).expect_err(call).to_string();
        assert!(said.contains(want), "{call}: {said}");
    }
}

#[test]
fn what_is_no_bundle() {
    let place = Place::new();
    place.fails(1, "inspect @", "@manifest.yaml: No such file");
    place.fails(1, "inspect %tests/data/demo.mp4", "demo.mp4/manifest.yaml: ");
}

/// The options in the help of `vmt compose` are those of the README's table, each once; -o has a table of its own.
#[test]
fn the_readme_has_every_option() {
    let help = vmt_cli::execute(["vmt", "compose", "--help"]).unwrap_err().to_string();
    let name = |text: &str| text.starts_with("--").then(|| text.split_whitespace().next().unwrap().to_owned());
    let long = |line: &str| name(line.trim_start().split_once(", ").map_or(line, |(_, long)| long).trim_start());
    let mut in_help: Vec<_> = help.lines().filter(|line| line.trim_start().starts_with('-')).filter_map(long).collect();
    in_help.retain(|option| !["--output", "--help", "--version"].contains(&option.as_str()));
    let readme = fs::read_to_string(file("README.md")).unwrap();
    let table = readme.split_once("| option |").unwrap().1.split_once("\n\n").unwrap().0;
    let options = table.lines().filter_map(|row| row.split(" | ").next());
    let mut in_readme: Vec<_> = options.flat_map(|cell| cell.split('`').filter_map(name)).collect();
    in_help.sort();
    in_readme.sort();
    assert!(in_help.len() > 20, "{help}");
    assert_eq!(in_readme, in_help);
}

#[test]
fn hints() {
    let place = Place::new();
    fs::write(place.path("film.mp4"), "").unwrap();
    place.fails(2, "@film.mp4", "is no command; to compose for it: vmt compose @film.mp4 -o @film.mid");
    place.fails(2, "compose @film.mp4 -o @a.mid,b.wav", "each file has a -o of its own, as in -o a.mid -o b.wav");
    place.fails(2, "man compost", "compost is no command of vmt");
    // A comma alone is part of a name.
    place.vmt("compose %tests/data/demo.mp4 --start 0:01 --end 0:02.5 -o @a,b.midi");
    music(&fs::read(place.path("a,b.midi")).unwrap(), 1_500);
}

#[test]
fn the_same_by_another_name() {
    let place = Place::new();
    let names = ["a.mid", "a.midi", "a.musicxml", "a.xml"].map(|name| format!("-o @{name}")).join(" ");
    place.vmt(&format!("compose %tests/data/demo.mp4 --end 2 --quiet {names}"));
    let read = |name: &str| fs::read(place.path(name)).unwrap();
    assert!(read("a.mid") == read("a.midi") && read("a.musicxml") == read("a.xml"));
}
