//! The command: from a film to a file, and what it says of bad calls and bad films.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use tempfile::TempDir;
use vmt::{Score, Token, midi};

use crate::support::{file, milliseconds};

/// A folder to work in.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The arguments that are in `call`, parted by spaces: `@` stands for this folder, `%` for the repository and `?` for
    /// a picture's number (FFmpeg's `%d`).
    fn arguments(&self, call: &str) -> Vec<String> {
        let (here, repository) = (format!("{}/", self.0.path().display()), format!("{}/", file("").display()));
        let place = |word: &str| word.replace('@', &here).replace('%', &repository).replace('?', "%d");
        ["vmt"].into_iter().chain(call.split_whitespace()).map(place).collect()
    }

    /// Runs the command, which must succeed.
    #[track_caller]
    fn vmt(&self, call: &str) {
        assert_eq!(exit_code(vmt_cli::run(self.arguments(call))), exit_code(ExitCode::SUCCESS), "vmt {call}");
    }

    /// Composes for the demo; returns the file's bytes.
    #[track_caller]
    fn demo(&self, options: &str) -> Vec<u8> {
        self.vmt(&format!("compose %tests/data/demo.mp4 -o @demo.mid {options}"));
        let bytes = fs::read(self.path("demo.mid")).unwrap();
        fs::remove_file(self.path("demo.mid")).unwrap();
        bytes
    }

    /// Runs the command, which must fail with `code` and say `want`, and leave every file as it is.
    #[track_caller]
    fn fails(&self, code: u8, call: &str, want: &str) {
        let before = self.files();
        let error = format!("{:#}", vmt_cli::execute(self.arguments(call)).expect_err(call));
        assert!(error.contains(&want.replace('@', &format!("{}/", self.0.path().display()))), "{error}, not {want}");
        assert_eq!(exit_code(vmt_cli::run(self.arguments(call))), exit_code(ExitCode::from(code)), "vmt {call}");
        assert!(self.files() == before, "vmt {call} has left something behind");
    }

    /// Every file, hidden ones too, and what is in it.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.map(|path| (path.clone(), fs::read(path).unwrap_or_default())).collect();
        files.sort();
        files
    }

    #[track_caller]
    fn ffmpeg(&self, call: &str) {
        let status = Command::new("ffmpeg").args(["-v", "error"]).args(&self.arguments(call)[1..]).status();
        let status = status.unwrap_or_else(|error| panic!("these tests need `ffmpeg`: run `make setup`. {error}"));
        assert!(status.success(), "ffmpeg {call}");
    }
}

/// An exit code in a form that can be compared.
fn exit_code(code: ExitCode) -> String {
    format!("{code:?}")
}

/// The music of a file of ours, which must end after `ms` milliseconds, with every note that begins in it.
#[track_caller]
fn music(bytes: &[u8], ms: u32) -> Score {
    assert!(milliseconds(bytes).abs_diff(ms) <= 10, "{} ms, not {ms}", milliseconds(bytes));
    let smf = midly::Smf::parse(bytes).unwrap();
    let (mut down, mut struck) = ([0_usize; 128], 0);
    for event in &smf.tracks[0] {
        match event.kind {
            midly::TrackEventKind::Midi { message: midly::MidiMessage::NoteOn { key, .. }, .. } => {
                down[usize::from(key.as_int())] += 1;
                struck += 1;
                assert_eq!(down[usize::from(key.as_int())], 1, "key {key} is struck while it is down");
            }
            midly::TrackEventKind::Midi { message: midly::MidiMessage::NoteOff { key, .. }, .. } => {
                let key = &mut down[usize::from(key.as_int())];
                *key = key.checked_sub(1).expect("no note-off without its note-on");
            }
            _ => {}
        }
    }
    assert_eq!(down, [0; 128], "no key stays down");
    let score = Score::quantise(&midi::read(bytes, true).unwrap(), Duration::from_millis(ms.into()));
    assert_eq!(score.notes.len(), struck);
    score
}

#[test]
fn a_film_becomes_music() {
    let place = Place::new();
    for bundle in ["tiny-vmt", "tiny-seq2seq"] {
        let pieces = ["tract", "ort", "auto"].map(|engine| {
            music(&place.demo(&format!("--bundle %onnx/{bundle} --max-polyphony 88 --engine {engine}")), 12_000)
        });
        for score in &pieces {
            assert!(score.notes.len() > 20, "{} notes", score.notes.len());
        }
        assert_eq!(pieces[1], pieces[2], "auto is ort where it is there");
    }
    assert!(place.files().is_empty());
}

#[test]
fn the_built_in_bundle_is_vmt_small() {
    let place = Place::new();
    assert_eq!(place.demo("--engine tract"), place.demo("--engine tract --bundle %onnx/vmt-small"));
}

#[test]
fn the_same_call_is_the_same_file() {
    let place = Place::new();
    for engine in ["tract", "ort"] {
        let piece = |options: &str| place.demo(&format!("--engine {engine} {options}"));
        let one = piece("--seed 1");
        for same in ["--seed 1", "--seed 1 --threads 1", "--seed 1 --threads 2", "--seed=1 --temperature 1 --top-p 1"] {
            assert!(piece(same) == one, "{engine} {same}");
        }
        assert!(piece("") == piece("--seed 0"));
        for other in ["--seed 2", "--seed 1 --temperature 0.5", "--seed 1 --top-k 3", "--seed 1 --top-p 0.5"] {
            assert!(piece(other) != one, "{engine} {other}");
        }
        assert!(piece("--temperature 0 --seed 1") == piece("--temperature 0 --seed 2"));
    }
}

#[test]
fn guidance_steers_and_is_recorded() {
    let place = Place::new();
    for engine in ["tract", "ort"] {
        let piece = |guidance: &str| place.demo(&format!("--engine {engine} {guidance}"));
        let model = piece("");
        assert!(piece("--guidance 1") == model);
        for guidance in ["--guidance 0", "--guidance 4", "--guidance 4 --takes 3"] {
            let steered = piece(guidance);
            music(&steered, 12_000);
            assert!(steered != model && steered == piece(guidance), "{engine} {guidance}");
        }
    }
    place.vmt("compose %tests/data/demo.mp4 -o @a.json --guidance 2.5");
    let record: serde_json::Value = serde_json::from_slice(&fs::read(place.path("a.json")).unwrap()).unwrap();
    assert_eq!(record["provenance"]["options"]["guidance"], 2.5);
}

#[test]
fn a_raw_model_is_written_too() {
    let place = Place::new();
    let raw = place.demo("--unconstrained");
    assert!(midi::read(&raw, true).is_ok() && milliseconds(&raw) >= 12_000);
    assert!(raw != place.demo(""));
}

#[test]
fn a_folder_of_pictures_is_a_film() {
    let place = Place::new();
    fs::create_dir(place.path("pictures")).unwrap();
    place.ffmpeg("-i %tests/data/demo.mp4 -t 3 -r 10 @pictures/frame-?.png");
    assert_eq!(fs::read_dir(place.path("pictures")).unwrap().count(), 30);
    for (fps, ms) in [("10", 3_000), ("2.5", 12_000), ("60", 500), ("1000", 30)] {
        place.vmt(&format!("compose --frames @pictures --fps {fps} -o @a.MID"));
        music(&fs::read(place.path("a.MID")).unwrap(), ms);
    }
    place.fails(2, "compose --frames @pictures -o @b.mid", "--fps");
    place.fails(2, "compose %tests/data/demo.mp4 --fps 3 -o @b.mid", "cannot be used with");
    place.fails(2, "compose %tests/data/demo.mp4 --frames @pictures --fps 3 -o @b.mid", "cannot be used with");
    place.fails(1, "compose --frames @pictures --fps 0 -o @b.mid", "pictures a second must be 0.001..=1000, but are 0");
    place.fails(1, "compose --frames @missing --fps 1 -o @b.mid", "@missing: No such file");
    place.fails(1, "compose --frames @ --fps 1 -o @b.mid", "must hold PNG or JPEG files, but has none");
}

#[test]
fn a_film_of_one_picture() {
    let place = Place::new();
    place.ffmpeg("-f lavfi -i testsrc2=s=64x48:r=25:d=0.04 @short.mp4");
    place.vmt("compose @short.mp4 -o @short.mid");
    music(&fs::read(place.path("short.mid")).unwrap(), 40);
}

#[test]
fn what_is_there_is_replaced() {
    let place = Place::new();
    fs::write(place.path("a.mid"), "old").unwrap();
    place.vmt("compose %tests/data/demo.mp4 -o @a.mid");
    music(&fs::read(place.path("a.mid")).unwrap(), 12_000);
    assert_eq!(place.files().len(), 1);
}

#[test]
fn films_that_cannot_be_read() {
    let place = Place::new();
    let demo = fs::read(file("tests/data/demo.mp4")).unwrap();
    fs::write(place.path("empty.mp4"), "").unwrap();
    fs::write(place.path("text.mp4"), "This is not a film.\n".repeat(100)).unwrap();
    fs::write(place.path("start.mp4"), &demo[..demo.len() / 20]).unwrap();
    place.ffmpeg("-f lavfi -i sine=d=1 -c:a aac @sound.m4a");
    place.ffmpeg("-f lavfi -i testsrc2=s=160x120:d=25 -movflags faststart @cut.mp4");
    let film = fs::read(place.path("cut.mp4")).unwrap();
    // The first windows are whole, so the film breaks off after minutes of work.
    fs::write(place.path("cut.mp4"), &film[..film.len() * 7 / 10]).unwrap();

    for (film, want) in [
        ("missing.mp4", "No such file"),
        ("empty.mp4", "must be a video that FFmpeg can read, but it is empty"),
        ("text.mp4", "must be a video that FFmpeg can read, but FFmpeg says: "),
        ("start.mp4", ""),
        ("sound.m4a", "must be a video that FFmpeg can read, but it has no video stream"),
        ("cut.mp4", "is cut off: its header promises 25.0s"),
    ] {
        let (call, want) = (format!("compose @{film} -o @out.mid"), format!("@{film}: {want}"));
        place.fails(1, &call, &want);
        fs::write(place.path("out.mid"), "precious").unwrap();
        place.fails(1, &call, &want);
        fs::remove_file(place.path("out.mid")).unwrap();
    }
}

#[test]
fn every_cut_of_the_demo_is_refused_or_composed() {
    let place = Place::new();
    let demo = fs::read(file("tests/data/demo.mp4")).unwrap();
    for tenths in 1..10 {
        fs::write(place.path("cut.mp4"), &demo[..demo.len() * tenths / 10]).unwrap();
        let call = "compose @cut.mp4 -o @cut.mid --unconstrained";
        let done = vmt_cli::execute(place.arguments(call));
        assert_eq!(done.is_ok(), place.path("cut.mid").exists(), "{tenths} tenths: {done:?}");
        let _ = fs::remove_file(place.path("cut.mid"));
    }
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
        place.fails(1, &format!("compose @missing.mp4 -o @{output}"), want);
    }
    for output in ["a.midi", "a", ".mid"] {
        place.fails(2, &format!("compose @missing.mp4 -o @{output}"), "must end in one of .mid, .wav");
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
        ("--temperature=-1", "temperature must be a number of at least 0, but is -1"),
        ("--temperature NaN", "temperature must be"),
        ("--temperature inf", "temperature must be"),
        ("--guidance 10.5", "guidance must be within 0-10, but is 10.5"),
        ("--guidance NaN", "guidance must be"),
        ("--guidance=-1", "guidance must be within 0-10, but is -1"),
        ("--bundle @missing", "@missing/manifest.yaml: No such file"),
        ("--engine cuda", "cuda: not in this program; build it with vmt's feature of this name"),
    ] {
        place.fails(1, &format!("{compose} {option}"), want);
    }
    for (option, want) in [
        ("--top-k 0", "--top-k"),
        ("--threads 0", "--threads"),
        ("--seed -1", "'-1'"),
        ("--temperature -1", "'-1'"),
        ("--temperature warm", "warm"),
        ("--engine gpu", "[possible values: auto, tract, ort, cuda]"),
        ("--loud", "--loud"),
    ] {
        place.fails(2, &format!("{compose} {option}"), want);
    }
    place.fails(2, "compose", "--output <FILE>");
    place.fails(2, "compose %tests/data/demo.mp4", "--output <FILE>");
    place.fails(2, "compost", "unrecognized subcommand");
    place.fails(2, "", "Usage: vmt <COMMAND>");
}

#[test]
fn help_is_no_failure() {
    let place = Place::new();
    for call in ["--help", "--version", "help compose", "compose --help", "tokens encode --help", "inspect --version"] {
        place.vmt(call);
    }
}

#[test]
fn inspect_and_doctor() {
    let place = Place::new();
    for call in ["inspect", "inspect %onnx/tiny-vmt", "inspect %onnx/tiny-seq2seq", "doctor"] {
        place.vmt(call);
    }
    place.fails(1, "inspect @", "@manifest.yaml: No such file");
    place.fails(1, "inspect %tests/data/demo.mp4", "demo.mp4/manifest.yaml: ");
}

/// The ids of each of Magenta's files, as `tokens encode` prints them, become MIDI that has them again.
#[test]
fn tokens_to_midi_and_back() {
    let place = Place::new();
    let codec = file("tests/data/codec");
    let golden: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(codec.join("golden.json")).unwrap()).unwrap();
    for case in golden["items"].as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        place.vmt(&format!("tokens encode %tests/data/codec/{name}"));
        place.vmt(&format!("tokens encode %tests/data/codec/{name} --no-sustain --seconds 0.5"));

        fs::write(place.path("ids.json"), format!("{{\"ids\": {}}}", case["ids_sustain"])).unwrap();
        place.vmt("tokens decode @ids.json -o @back.mid");
        let want = if case["reencoded_equal"] == true { &case["ids_sustain"] } else { &case["reencoded_ids"] };
        assert_eq!(ids(&place.path("back.mid")), *want, "{name}");
    }
}

fn ids(midi: &Path) -> serde_json::Value {
    let notes = midi::read(&fs::read(midi).unwrap(), true).unwrap();
    Score::quantise(&notes, Duration::from_secs(20)).tokens().into_iter().map(Token::id).collect()
}

#[test]
fn tokens_that_are_none() {
    let place = Place::new();
    for (json, want) in [
        (r#"{"ids": [1, 310]}"#, "@ids.json: ids[1] must be 0..=309, but is 310"),
        (r#"{"ids": [-1]}"#, "@ids.json: "),
        (r#"{"ids": [1], "more": 2}"#, "@ids.json: unknown field `more`"),
        (r#"[1]"#, "@ids.json: "),
        ("", "@ids.json: "),
    ] {
        fs::write(place.path("ids.json"), json).unwrap();
        place.fails(1, "tokens decode @ids.json -o @out.mid", want);
    }
    fs::write(place.path("ids.json"), r#"{"ids": []}"#).unwrap();
    place.fails(1, "tokens decode @ids.json -o @missing/out.mid", "@missing: No such file");
    place.fails(1, "tokens decode @missing.json -o @out.mid", "@missing.json: No such file");
    place.vmt("tokens decode @ids.json -o @out.mid");
    assert_eq!(milliseconds(&fs::read(place.path("out.mid")).unwrap()), 0);

    place.fails(1, "tokens encode @ids.json", "@ids.json: not a readable MIDI file: it has no header");
    place.fails(1, "tokens encode @missing.mid", "@missing.mid: No such file");
    for seconds in ["0", "NaN", "inf", "1e9"] {
        let want = "--seconds must be above 0 and at most 86400, but is";
        place.fails(1, &format!("tokens encode @out.mid --seconds {seconds}"), want);
    }
}

/// What each kind of output has, from the film and from the record alone.
#[test]
fn a_record_is_written_again() {
    const ALL: [&str; 7] = ["json", "mid", "wav", "mp4", "png", "svg", "musicxml"];
    let place = Place::new();
    let outputs =
        |name: &str, kinds: &[&str]| -> String { kinds.iter().map(|kind| format!(" -o @{name}.{kind}")).collect() };
    let film = "%tests/data/demo.mp4";
    let pretty = "--thumbnails --original-volume 0.5";
    let with_mkv = [&ALL[..], &["mkv"]].concat();
    for (options, kinds) in [
        ("--seed 3 --takes 2 --keep-takes --tempo 97 --snap --key D --primer @primer.mid", &with_mkv[..]),
        ("--start 2.3 --end 7.05 --tempo 61.5 --top-p 0.95", &ALL),
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
    place.fails(2, "compose --from @a.json -o @folder/", "must end in one of .mid, .wav");
    place.fails(2, "compose --from @a.json -o @b.mid --soundfont x.sf2", "--soundfont: there is no .wav");
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
    let score = Score { notes: (0..100_000).map(note).collect(), duration: Duration::from_secs(24 * 3600) };
    let seconds = |step: u32| f64::from(step) / 100.0;
    record["notes"] = score
        .notes
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
    let again = midi::read(&fs::read(place.path("b.mid")).unwrap(), true).unwrap();
    assert_eq!(again.len(), 100_000);
    let files = ["b.mid", "b.svg", "b.png", "b.musicxml"].map(|name| fs::remove_file(place.path(name)));
    assert!(files.iter().all(Result::is_ok));
    place.fails(
        1,
        "compose --from @b.json -o @b.wav",
        "a WAV file holds 6 hours at most, but the music is 86400.0s long",
    );
}

#[test]
fn a_part_of_a_film_has_its_music() {
    let place = Place::new();
    place.vmt("compose %tests/data/demo.mp4 --start 3.25 --end 8 -o @a.mp4 -o @a.mid");
    music(&fs::read(place.path("a.mid")).unwrap(), 4_750);
    let film = vmt_video::Video::open(place.path("a.mp4")).unwrap().claimed_duration().unwrap();
    assert!((4_750..=5_000).contains(&film.as_millis()), "{film:?}");
    place.vmt("compose %tests/data/demo.mp4 --end 3 -o @a.mkv");
    place.ffmpeg("-i %tests/data/demo.mp4 -c:v mpeg2video -g 50 @film.mpg");
    let want = "@film.mpg: ffmpeg finds no picture to begin with at 3.3s";
    place.fails(1, "compose @film.mpg --start 3.3 -o @b.mp4 -o @b.mid", want);
    let want = "b.mkv: only an .mp4 can begin at any picture; give no --start, or write .mp4";
    place.fails(2, "compose %tests/data/demo.mp4 --start 1 -o @b.mkv", want);
    let want = "demo.mp4: must have a picture from --start on, but ends before 99s";
    place.fails(1, "compose %tests/data/demo.mp4 --start 99 -o @b.mid", want);
}

/// The options in the help of `vmt compose` are those of the README's table, each once; -o has a table of its own.
#[test]
fn the_readme_has_every_option() {
    let help = vmt_cli::execute(["vmt", "compose", "--help"]).unwrap_err().to_string();
    let name = |text: &str| text.starts_with("--").then(|| text.split_whitespace().next().unwrap().to_owned());
    let mut in_help: Vec<_> = help.lines().filter_map(|line| name(line.trim_start())).collect();
    let readme = fs::read_to_string(file("README.md")).unwrap();
    let table = readme.split_once("| option |").unwrap().1.split_once("\n\n").unwrap().0;
    let options = table.lines().filter_map(|row| row.split(" | ").next());
    let mut in_readme: Vec<_> = options.flat_map(|cell| cell.split('`').filter_map(name)).collect();
    in_help.sort();
    in_readme.sort();
    assert!(in_help.len() > 20, "{help}");
    assert_eq!(in_readme, in_help);
}
