//! `vmt compose --from`.

use std::fs;
use std::time::Duration;

use vmt::{Score, Token, midi};

use super::Place;
use crate::support::file;

/// What each kind of output has, from the film and from the record alone.
#[test]
fn a_record_is_written_again() {
    const ALL: [&str; 8] = ["json", "mid", "wav", "mp4", "png", "svg", "musicxml", "mxl"];
    let place = Place::new();
    let outputs =
        |name: &str, kinds: &[&str]| -> String { kinds.iter().map(|kind| format!(" -o @{name}.{kind}")).collect() };
    let film = "%tests/data/demo.mp4";
    let pretty = "--thumbnails --original-volume 0.5";
    let with_mkv = [&ALL[..], &["mkv"]].concat();
    for (options, kinds) in [
        ("--seed 3 --takes 2 --keep-takes --tempo 97 --snap --key D --primer @primer.mid", &with_mkv[..]),
        ("--start 2.3 --end 7.05 --tempo 61.5 --top-p 0.95", &ALL),
        // Beats whose steps are no short decimals.
        ("--bundle %onnx/vmt-beat --tempo 77 --start 0:01.7", &["json", "mid"]),
        ("--bundle %onnx/vmt-beat --hit 3.3333333", &["json", "mid", "musicxml"]),
        ("--unconstrained", &["json", "mid", "svg"]),
    ] {
        fs::write(place.path("primer.mid"), place.demo("--seed 9")).unwrap();
        let pretty = if kinds.contains(&"mp4") { pretty } else { "" };
        place.vmt(&format!("compose {film} {options} {pretty}{}", outputs("first", kinds)));
        for take in ["", ".2"].iter().filter(|take| place.path(&format!("first{take}.json")).exists()) {
            place.vmt(&format!("compose --from @first{take}.json {pretty}{}", outputs("again", kinds)));
            for kind in kinds {
                let read = |name: String| fs::read(place.path(&name)).unwrap();
                let same = read(format!("first{take}.{kind}")) == read(format!("again.{kind}"));
                assert!(same, "{options}: take{take}.{kind}");
            }
        }
        place.files().iter().for_each(|(path, _)| fs::remove_file(path).unwrap());
    }
}

#[test]
fn a_record_needs_its_film_for_pictures_alone() {
    let place = Place::new();
    fs::copy(file("tests/data/demo.mp4"), place.path("film.mp4")).unwrap();
    fs::create_dir(place.path("there")).unwrap();
    place.vmt("compose @film.mp4 -o @a.json -o @a.mp4 -o @a.svg");
    fs::rename(place.path("film.mp4"), place.path("there/moved.mp4")).unwrap();
    place.vmt("compose --from @a.json -o @b.wav -o @b.mid -o @b.svg");
    let read = |name| fs::read(place.path(name)).unwrap();
    assert!(read("a.svg") == read("b.svg"));
    for call in ["-o @c.mp4", "-o @c.svg --thumbnails"] {
        let want = "the film of @a.json, which may be named: vmt compose FILM --from ...: @film.mp4: No such file";
        place.fails(1, &format!("compose --from @a.json {call}"), want);
    }
    place.vmt("compose @there/moved.mp4 --from @a.json -o @b.mp4 -o @b.json");
    assert!(read("a.mp4") == read("b.mp4"));
    assert!(String::from_utf8(read("b.json")).unwrap().contains("moved.mp4"));
    place.ffmpeg("-i @there/moved.mp4 -t 5 @film.mp4");
    place.fails(1, "compose --from @a.json -o @c.mp4", "@film.mp4: must have 12.0s for the music, but has 5.0s");

    // Pictures too have a place.
    fs::create_dir(place.path("pictures")).unwrap();
    place.ffmpeg("-i @film.mp4 -t 1 -r 10 @pictures/?.png");
    place.vmt("compose --frames @pictures --fps 5 -o @p.json -o @p.svg --thumbnails");
    fs::rename(place.path("pictures"), place.path("elsewhere")).unwrap();
    place.fails(1, "compose --from @p.json -o @q.svg --thumbnails", "@pictures: No such file");
    place.vmt("compose --from @p.json --frames @elsewhere --fps 5 -o @q.svg --thumbnails");
    assert!(read("p.svg") == read("q.svg"));
    place.fails(
        2,
        "compose --from @p.json --frames @elsewhere --fps 5 -o @q.mp4",
        "needs a video to copy, not --frames",
    );
}

#[test]
fn what_makes_music_does_not_go_with_a_record() {
    let place = Place::new();
    place.vmt("compose %tests/data/demo.mp4 -o @a.json");
    for option in [
        "--seed 0",
        "--temperature 1",
        "--top-k 3",
        "--top-p 1",
        "--unconstrained",
        "--bundle %onnx/tiny-vmt",
        "--engine auto",
        "--threads 1",
        "--start 0",
        "--end 3",
        "--primer a.mid",
        "--takes 2",
        "--keep-takes",
        "--tempo 90",
        "--meter 3/4",
        "--hit 1",
        "--hits a.txt",
        "--plan",
        "--intensity 0:1",
        "--snap",
        "--events",
        "--format mid",
        "--shard 1/2",
        "--shards 2",
        "--size 2x2",
        "--pitch-range C3-C5",
        "--velocity-range 1-99",
        "--max-polyphony 3",
        "--key C",
        "--density 2",
    ] {
        let (name, _) = option.split_once(' ').unwrap_or((option, ""));
        let error = vmt_cli::execute(place.arguments(&format!("compose --from @a.json -o @b.mid {option}")));
        let error = error.expect_err(option).to_string();
        assert!(error.contains("cannot be used with") && error.contains(name), "{error}");
    }
    place.fails(
        2,
        "compose --from @a.json --seed 1 -o @b.mid",
        "'--from <FILE.json>' cannot be used with '--seed <N>'",
    );
    place.fails(2, "compose --from @a.json", "--output <FILE>");
    place.fails(2, "compose --from @a.json -o @folder/", "must end in one of .mid, .midi, .wav");
    place.fails(2, "compose --from @a.json -o @b.mid --soundfont x.sf2", "--soundfont: there is no sound");
}

#[test]
fn records_that_are_none() {
    let place = Place::new();
    place.vmt("compose %tests/data/demo.mp4 -o @a.json");
    let json = fs::read_to_string(place.path("a.json")).unwrap();
    let refused = |bytes: &[u8], want: &str| {
        fs::write(place.path("b.json"), bytes).unwrap();
        place.fails(1, "compose --from @b.json -o @b.mid -o @b.wav", &format!("@b.json: {want}"));
    };
    let record = "must be a record that vmt wrote, but ";
    refused(b"", &format!("{record}EOF while parsing"));
    refused(b"{\"ids\": [1, 2]}", &format!("{record}missing field `format`"));
    refused(&fs::read(file("tests/data/demo.mp4")).unwrap(), "stream did not contain valid UTF-8");
    refused(json.replace("\"format\": 2", "\"format\": 9").as_bytes(), &format!("{record}its format is 9, not 2"));
    for cut in 1..20 {
        refused(&json.as_bytes()[..json.len() * cut / 20], record);
    }
    refused("[".repeat(100_000).as_bytes(), record);
    refused(&vec![b' '; (64 << 20) + 1], "must be a record of at most 64 MB, but is larger");
    place.fails(1, "compose --from @ -o @b.mid", "@: Is a directory");
    place.fails(1, "compose --from @missing.json -o @b.mid", "@missing.json: No such file");
    place.fails(1, "compose --from /dev/zero -o @b.mid", "/dev/zero: must be a record of at most 64 MB");
}

/// Each number of a record in turn is one that nobody would write.
#[test]
fn hostile_numbers() {
    let place = Place::new();
    place.vmt("compose %tests/data/demo.mp4 --end 5 -o @a.json");
    let record: serde_json::Value = serde_json::from_slice(&fs::read(place.path("a.json")).unwrap()).unwrap();
    let numbers = ["-1", "0", "1e308", "1e18", "0.1", "4294967295", "18446744073709551615", "null", "\"\"", "[]"];
    let places = [
        "/format",
        "/seconds",
        "/notes/0/start",
        "/notes/1/end",
        "/notes/0/pitch",
        "/notes/0/velocity",
        "/events/0",
        "/provenance/start",
        "/provenance/end",
        "/provenance/tempo",
        "/provenance/takes",
        "/provenance/take",
        "/provenance/options/sampling/temperature",
        "/provenance/options/sampling/seed",
        "/provenance/film/video",
    ];
    for pointer in places {
        for number in numbers {
            let mut broken = record.clone();
            *broken.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = serde_json::from_str(number).unwrap();
            fs::write(place.path("b.json"), broken.to_string()).unwrap();
            let call = "compose --from @b.json -o @b.mid -o @b.wav -o @b.svg -o @b.musicxml -o @c.json";
            // Either is right; to hang, to panic or to ask for all memory is not.
            let written = vmt_cli::execute(place.arguments(call)).is_ok();
            assert_eq!(place.path("b.mid").exists(), written, "{pointer} {number}");
            if written {
                let same = fs::read(place.path("b.musicxml")).unwrap().len();
                assert!(same < 1 << 20, "{pointer} {number}");
                for name in ["b.mid", "b.wav", "b.svg", "b.musicxml", "c.json"] {
                    fs::remove_file(place.path(name)).unwrap();
                }
            }
        }
    }
}

/// A day of music with a hundred thousand notes.
#[test]
fn a_record_may_be_long() {
    const DAY: u32 = 24 * 3600 * 100;
    let place = Place::new();
    place.vmt("compose %tests/data/demo.mp4 --end 2 -o @a.json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(place.path("a.json")).unwrap()).unwrap();
    let note = |index: u32| {
        let start = index * (DAY / 100_000);
        let pitch = vmt::Pitch::new(21 + (index * 37 % 88) as u8).unwrap();
        vmt::Note { start, end: start + 50, pitch, velocity: 1 + (index % 127) as u8 }
    };
    let score = Score::new((0..100_000).map(note).collect(), Duration::from_secs(24 * 3600)).unwrap();
    let seconds = |step: u32| f64::from(step) / 100.0;
    record["notes"] = score
        .notes()
        .iter()
        .map(|note| {
            serde_json::json!({"start": seconds(note.start), "end": seconds(note.end), "pitch": note.pitch.get(),
            "velocity": note.velocity})
        })
        .collect();
    record["events"] = score.tokens().into_iter().map(Token::id).collect();
    record["seconds"] = 86_400.into();
    fs::write(place.path("b.json"), record.to_string()).unwrap();
    place.vmt("compose --from @b.json -o @b.mid -o @b.svg -o @b.png -o @b.musicxml");
    let again = midi::read(&fs::read(place.path("b.mid")).unwrap(), midi::Sustain::Apply).unwrap();
    assert_eq!(again.len(), 100_000);
    let files = ["b.mid", "b.svg", "b.png", "b.musicxml"].map(|name| fs::remove_file(place.path(name)));
    assert!(files.iter().all(Result::is_ok));
    place.fails(
        1,
        "compose --from @b.json -o @b.wav",
        "a WAV file holds 6 hours at most, but the music is 86400.0s long",
    );
}
