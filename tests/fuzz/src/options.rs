//! The command line, and what options are made of.

use std::collections::HashSet;

use vmt::{Pitch, Scale};

/// Each line is an argument of `vmt compose`, which ends at a bundle that is not there, and of other commands.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let given: Vec<&str> = text.lines().collect();
    // Devices never end.
    if given.iter().any(|argument| argument.contains("/dev") || argument.contains("/proc")) {
        return;
    }
    let missing = ["--bundle", "missing"];
    for call in [
        [&["vmt", "compose", "missing.mp4"][..], &given, &missing].concat(),
        [&["vmt", "compose", "--frames", ".", "--fps", "4"][..], &given, &missing].concat(),
        [&["vmt", "tokens", "encode", "missing.mid"][..], &given].concat(),
        [&["vmt"][..], &given, &missing].concat(),
    ] {
        let error = vmt_cli::execute(call.iter().copied()).expect_err("no call may get as far as a result");
        match error.downcast::<clap::Error>() {
            Ok(error) => assert!([0, 2].contains(&error.exit_code()) && !error.to_string().is_empty()),
            Err(error) => assert_eq!(format!("{error:#}").lines().count(), 1, "{error:#}"),
        }
    }
    for argument in given {
        if let Ok(scale) = argument.parse::<Scale>() {
            assert_eq!(scale.to_string().parse::<Scale>().unwrap(), scale);
        }
        if let Ok(pitch) = argument.parse::<Pitch>() {
            assert!((21..=108).contains(&pitch.get()));
        }
    }
}

/// Calls that are right, and some that are not.
pub fn seeds() -> Vec<Vec<u8>> {
    let calls = [
        "-o a.mid --seed 7 --temperature 0.9 --top-k 40 --top-p 0.95 --guidance 2",
        "-o a.mid -o b.json --pitch-range C3-C6 --velocity-range 1-127 --max-polyphony 4",
        "-o a.mid --key F# --scale dorian --density 2.5",
        "-o a.mid --start 1.5 --end 10 --tempo 90 --snap --takes 4 --keep-takes --threads 1",
        "-o out/ --format mid,wav --shard 1/2",
        "-o - --events --hit 4.5 --hit 0 --no-quantize --intensity 0:0.2,1.5:1",
        "-o a.png --thumbnails --size 320x180 --fps 29.97",
        "-o a.mp4 --original-volume 0.5 --soundfont a.sf2",
        "--seconds 1e9 --no-sustain",
        "--help",
        "doctor --engine tract",
        "inspect missing",
        "tokens decode a.json -o a.mid",
        "compose a.mp4 --primer a.mid --unconstrained --engine auto",
    ];
    calls.map(|call| call.replace(' ', "\n").into_bytes()).to_vec()
}

/// The options, as the help names them, and values.
pub fn words() -> Vec<Vec<u8>> {
    let help = |command: &[&str]| vmt_cli::execute([&["vmt"], command, &["--help"]].concat()).unwrap_err().to_string();
    let help = [help(&["compose"]), help(&["tokens", "encode"]), help(&["tokens", "decode"]), help(&[])].concat();
    let option = |word: &str| {
        word.strip_prefix("--")
            .map(|name| format!("\n--{}\n", name.trim_end_matches(|end: char| !end.is_ascii_alphabetic())))
    };
    let options: HashSet<String> = help.split_whitespace().filter_map(option).collect();
    let mut words: Vec<Vec<u8>> = options.into_iter().map(String::into_bytes).collect();
    words.sort();
    words.extend(crate::words(&[
        "-1",
        "1e400",
        "NaN",
        "inf",
        "0x10",
        "18446744073709551616",
        "\n--\n",
        "=",
        "-o",
        "..",
        ".mid",
        "1/3",
    ]));
    words.extend(crate::words(&["Cb", "B#9", "minor-pentatonic", "-C8", "1:23.5", "é", "A05555", "C-32768"]));
    words
}
