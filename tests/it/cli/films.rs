//! From a film to its music.

use std::fs;

use vmt::midi;

use super::{Place, music};
use crate::support::{file, milliseconds};

#[test]
fn a_film_becomes_music() {
    let place = Place::new();
    for bundle in ["tiny-vmt", "tiny-seq2seq"] {
        let pieces = ["tract", "ort", "auto"].map(|engine| {
            music(&place.demo(&format!("--bundle %onnx/{bundle} --max-polyphony 88 --engine {engine}")), 12_000)
        });
        for score in &pieces {
            assert!(score.notes().len() > 20, "{} notes", score.notes().len());
        }
        assert_eq!(pieces[1], pieces[2], "auto is ort where it is there");
    }
    assert!(place.files().is_empty());
}

#[test]
fn the_built_in_bundle_is_vmt_beat() {
    let place = Place::new();
    assert_eq!(place.demo("--engine tract"), place.demo("--engine tract --bundle %onnx/vmt-beat"));
}

#[test]
fn the_same_call_is_the_same_file() {
    let place = Place::new();
    for engine in ["tract", "ort"] {
        let piece = |options: &str| place.demo(&format!("--engine {engine} {options}"));
        let one = piece("--seed 1");
        for same in ["--seed 1", "--seed 1 --threads 1", "--seed 1 --threads 2", "--seed=1 --temperature 1 --top-p 0.9"]
        {
            assert!(piece(same) == one, "{engine} {same}");
        }
        assert!(piece("") == piece("--seed 0"));
        for other in ["--seed 2", "--seed 1 --temperature 0.5", "--seed 1 --top-k 3", "--seed 1 --top-p 0.5"] {
            assert!(piece(other) != one, "{engine} {other}");
        }
        // But for the key, which the seed draws.
        let greedy = "--temperature 0 --key C";
        assert!(piece(&format!("{greedy} --seed 1")) == piece(&format!("{greedy} --seed 2")));
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
    assert!(midi::read(&raw, midi::Sustain::Apply).is_ok() && milliseconds(&raw) >= 12_000);
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
    place.fails(2, "compose --frames @pictures --fps 0 -o @b.mid", "frames per second must be 0.001-1000, but are 0");
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
        ("cut.mp4", "is cut off: its header says 25.0s"),
    ] {
        let (call, want) = (format!("compose @{film} -o @out.mid"), format!("@{film}: {want}"));
        place.fails(1, &call, &want);
        fs::write(place.path("out.mid"), "precious").unwrap();
        place.fails(1, &call, &want);
        fs::remove_file(place.path("out.mid")).unwrap();
    }
}

/// Its header comes first, and promises what has been cut off.
#[test]
fn every_cut_of_the_demo_is_refused() {
    let place = Place::new();
    let demo = fs::read(file("tests/data/demo.mp4")).unwrap();
    for tenths in 1..10 {
        fs::write(place.path("cut.mp4"), &demo[..demo.len() * tenths / 10]).unwrap();
        let want = "@cut.mp4: is cut off: its header says 12.0s, but its frames end at ";
        place.fails(1, "compose @cut.mp4 -o @cut.mid --unconstrained", want);
    }
}

#[test]
fn a_part_of_a_film_has_its_music() {
    let place = Place::new();
    place.vmt("compose %tests/data/demo.mp4 --start 3.25 --end 8 -o @a.mp4 -o @a.mid");
    music(&fs::read(place.path("a.mid")).unwrap(), 4_750);
    let film = vmt_video::Video::open(place.path("a.mp4")).unwrap().claimed_duration().unwrap();
    assert_eq!(film.as_millis(), 4_750);
    place.vmt("compose %tests/data/demo.mp4 --end 3 -o @a.mkv");
    place.ffmpeg("-i %tests/data/demo.mp4 -c:v mpeg2video -g 50 @film.mpg");
    place.vmt("compose @film.mpg --start 3.3 -o @b.mov");
    let film = vmt_video::duration(&place.path("b.mov")).unwrap();
    assert!((8_690..=8_710).contains(&film.as_millis()), "{film:?}");
    let want = "b.mkv: only an .mp4 can begin at any frame; give no --start, or write .mp4";
    place.fails(2, "compose %tests/data/demo.mp4 --start 1 -o @b.mkv", want);
    let want = "demo.mp4: must have a frame from --start on, but ends before 99s";
    place.fails(1, "compose %tests/data/demo.mp4 --start 99 -o @b.mid", want);
}

/// Known before any work, so that no other output is lost.
#[test]
fn what_a_container_cannot_hold_is_a_wrong_call() {
    let place = Place::new();
    place.ffmpeg("-i %tests/data/demo.mp4 -t 1 -c:v libvpx -deadline realtime @film.webm");
    let want = "@film.webm: cannot be copied into .mp4, which cannot hold its pictures: ";
    place.fails(2, "compose @film.webm -o @a.mid -o @a.mp4", want);
    place.vmt("compose @film.webm -o @a.mid -o @a.mkv");

    // In a folder, it is no reason to pass over the other films.
    fs::create_dir(place.path("many")).unwrap();
    fs::rename(place.path("film.webm"), place.path("many/a.webm")).unwrap();
    place.ffmpeg("-i %tests/data/demo.mp4 -t 1 -c copy @many/b.mp4");
    let error = vmt_cli::execute(place.arguments("compose @many -o @out/ --format mp4")).unwrap_err();
    assert_eq!(error.to_string(), "1 of 2 films failed");
    assert!(place.path("out/b.mp4").exists());
}
