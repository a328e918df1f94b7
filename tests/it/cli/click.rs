//! Click tracks: cuts and hits of a film, and the music that meets them. The demo has cuts at 4 and 8 s.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use vmt::{Note, Pitch, Score, midi};

use super::{Place, music};
use crate::support::midi_text;

/// A model that is told beats.
const BEAT: &str = "--bundle %onnx/vmt-beat";

/// The record of a piece for the demo.
fn record(place: &Place, options: &str) -> Value {
    place.vmt(&format!("compose %tests/data/demo.mp4 -o @a.json {options}"));
    serde_json::from_slice(&fs::read(place.path("a.json")).unwrap()).unwrap()
}

/// Numbers of the objects at `pointer`.
fn numbers(record: &Value, pointer: &str, name: &str) -> Vec<f64> {
    let list = record.pointer(pointer).map(|list| list.as_array().unwrap().clone()).unwrap_or_default();
    list.iter().map(|item| item[name].as_f64().unwrap()).collect()
}

fn beats(record: &Value, name: &str) -> Vec<f64> {
    numbers(record, "/provenance/options/conditions/beats", name)
}

/// The number in its bar of the beat that is at this moment.
#[track_caller]
fn beat_at(record: &Value, seconds: f64) -> f64 {
    let place = beats(record, "step").iter().position(|step| (step / 100.0 - seconds).abs() < 1e-6);
    beats(record, "in_bar")[place.unwrap_or_else(|| panic!("no beat at {seconds} s"))]
}

#[track_caller]
fn struck(record: &Value, seconds: f64) {
    let starts = numbers(record, "/notes", "start");
    assert!(starts.iter().any(|start| (start - seconds).abs() < 1e-9), "no note at {seconds} s: {starts:?}");
}

#[test]
fn a_films_cuts_are_met() {
    let place = Place::new();
    for seed in 0..3 {
        let record = record(&place, &format!("{BEAT} --seed {seed}"));
        let hits = &record["provenance"]["hits"];
        assert_eq!((hits[0]["kind"].as_str(), hits[0]["time"].as_f64()), (Some("cut"), Some(4.0)));
        assert_eq!((hits[1]["kind"].as_str(), hits[1]["time"].as_f64()), (Some("cut"), Some(8.0)));
        for cut in [4.0, 8.0] {
            beat_at(&record, cut);
            struck(&record, cut);
        }
        assert_eq!(beat_at(&record, 12.0), 1.0, "the end is a downbeat");
        assert_eq!(record["provenance"]["options"]["conditions"]["end"], 1200);
        // Written again, it is the same.
        fs::rename(place.path("a.json"), place.path("b.json")).unwrap();
        place.vmt("compose --from @b.json -o @a.json");
        assert_eq!(fs::read(place.path("a.json")).unwrap(), fs::read(place.path("b.json")).unwrap());
    }
    // A part of the film has its own time.
    let record = record(&place, &format!("{BEAT} --start 3.5 --end 10"));
    for cut in [0.5, 4.5] {
        struck(&record, cut);
    }
    assert_eq!(beat_at(&record, 6.5), 1.0);
}

#[test]
fn a_hit_is_a_downbeat() {
    let place = Place::new();
    for (hit, options) in
        [(5.3, ""), (1.17, "--seed 2"), (9.99, "--no-quantize"), (6.2, "--tempo 100"), (3.3, "--meter 3/4")]
    {
        let record = record(&place, &format!("{BEAT} --hit {hit} {options}"));
        assert_eq!(beat_at(&record, hit), 1.0);
        struck(&record, hit);
        let hits = record["provenance"]["hits"].as_array().unwrap().clone();
        let set = hits.iter().find(|hit| hit["kind"] == "downbeat").unwrap();
        assert_eq!((set["time"].as_f64(), set["beat_miss_ms"].as_f64().map(f64::abs)), (Some(hit), Some(0.0)));
        if options.starts_with("--tempo") {
            assert_eq!(hits.len(), 1, "with a tempo, cuts are not looked for");
            assert_eq!(record["provenance"]["tempo"], 100.0);
        }
    }
    // A model without conditions strikes a note all the same.
    for options in ["", "--tempo 90"] {
        let record = record(&place, &format!("--bundle %onnx/tiny-vmt --hit 5.3 --hit 7 {options}"));
        struck(&record, 5.3);
        struck(&record, 7.0);
        assert!(beats(&record, "step").is_empty());
    }
}

#[test]
fn a_list_of_markers() {
    let place = Place::new();
    fs::write(place.path("hits.txt"), "2.5 the door\n0:06.5\n").unwrap();
    // The demo has 25 frames a second.
    let edl = "TITLE: x\nFCM: NON-DROP FRAME\n001 001 V C 01:00:02:12 01:00:02:13 01:00:02:12 01:00:02:13\n \
               |C:ResolveColorBlue |M:the door |D:1\n* LOC: 01:00:06:13 RED\n";
    fs::write(place.path("hits.edl"), edl).unwrap();
    for (file, times) in [("hits.txt", [2.5, 6.5]), ("hits.edl", [2.48, 6.52])] {
        let record = record(&place, &format!("{BEAT} --hits @{file}"));
        for time in times {
            beat_at(&record, time);
            struck(&record, time);
        }
        let hits = record["provenance"]["hits"].as_array().unwrap().clone();
        assert!(hits.iter().any(|hit| hit["kind"] == "marker" && hit["label"] == "the door"), "{hits:?}");
    }
    // Times are the film's, also for a part of it.
    let record = record(&place, &format!("{BEAT} --hits @hits.txt --start 4 --end 9"));
    struck(&record, 2.5);
    assert_eq!(
        record["provenance"]["hits"].as_array().unwrap().iter().filter(|hit| hit["kind"] == "marker").count(),
        1
    );
    fs::remove_file(place.path("a.json")).unwrap();
    fs::write(place.path("late.txt"), "13\n").unwrap();
    fs::write(place.path("none.txt"), "# none\n").unwrap();
    let compose = format!("compose %tests/data/demo.mp4 -o @b.mid {BEAT}");
    for (file, want) in [
        ("late.txt", "@late.txt: markers, line 1: must be within the film, but is \"13\""),
        ("none.txt", "@none.txt: must have a marker in the film, but has none"),
        ("missing.txt", "@missing.txt: No such file"),
    ] {
        place.fails(1, &format!("{compose} --hits @{file}"), want);
    }
}

/// Pieces that are to be soft and sparse, then loud and dense.
#[test]
fn intensity_is_followed() {
    let place = Place::new();
    let (mut velocities, mut counts) = ([0.0; 2], [0.0; 2]);
    fs::write(place.path("curve.txt"), "0 0.1\n5.8 0.1\n6.2 0.9\n").unwrap();
    for (seed, curve) in [(1, "0:0.1,5.8:0.1,6.2:0.9"), (2, "@curve.txt"), (3, "@curve.txt")] {
        let record = record(&place, &format!("{BEAT} --seed {seed} --intensity {curve}"));
        let notes = record["notes"].as_array().unwrap();
        for note in notes {
            let half = usize::from(note["start"].as_f64().unwrap() >= 6.0);
            velocities[half] += note["velocity"].as_f64().unwrap();
            counts[half] += 1.0;
        }
    }
    let [soft, loud] = [0, 1].map(|half: usize| velocities[half] / counts[half]);
    println!("velocity {soft:.0} and {loud:.0}, notes {counts:?}");
    assert!(soft + 4.0 < loud && counts[0] < counts[1], "velocity {soft} and {loud}, notes {counts:?}");
}

/// By default, what is drawn by hand is kept to more closely than the model does by itself.
#[test]
fn intensity_is_guided() {
    let place = Place::new();
    let piece = |options: &str| place.demo(&format!("{BEAT} --intensity 0:0.1,6:0.9 {options}"));
    assert!(piece("") == piece("--intensity-guidance 6") && piece("") != piece("--intensity-guidance 1"));
    assert!(piece("--intensity-guidance 6 --guidance 2") != piece(""), "both at once");
    let untold = |options: &str| place.demo(&format!("{BEAT} {options}"));
    assert!(untold("") == untold("--intensity-guidance 1") && untold("") != untold("--intensity-guidance 3"));
    assert_ne!(untold("--intensity-guidance 0 --intensity auto"), untold(""));
}

/// A key is drawn by the seed, or is that of the primer, and told to the model; `off` tells none.
#[test]
fn a_key_is_chosen() {
    let place = Place::new();
    let key = |options: &str| {
        let record = record(&place, &format!("{BEAT} {options}"));
        let key = &record["provenance"]["options"]["conditions"]["keys"][0][1];
        key["tonic"].as_u64().map(|tonic| (tonic, key["minor"].as_bool().unwrap()))
    };
    let drawn: Vec<_> = (0..4).map(|seed| key(&format!("--seed {seed}")).unwrap()).collect();
    assert!(drawn.iter().any(|key| *key != drawn[0]), "{drawn:?}");
    assert_eq!(key("--seed 2 --key auto"), Some(drawn[2]));
    assert_eq!([key("--key off"), key("--key C --scale dorian")], [None; 2]);
    assert_eq!(key("--key Bb --scale minor"), Some((10, true)));
    let chord = [62, 66, 69].map(|pitch| Note { start: 0, end: 200, pitch: Pitch::new(pitch).unwrap(), velocity: 80 });
    let primer = Score::new(chord.to_vec(), Duration::from_secs(2)).unwrap();
    fs::write(place.path("primer.mid"), midi::write(&primer).unwrap()).unwrap();
    assert_eq!(key("--primer @primer.mid"), Some((2, false)));
}

#[test]
fn a_film_is_followed_unless_that_is_off() {
    let place = Place::new();
    let curve = |options: &str| {
        let record = record(&place, options);
        let conditions = &record["provenance"]["options"]["conditions"];
        assert_eq!(conditions["density"], conditions["loudness"], "{options}");
        conditions["density"].as_array().unwrap().len()
    };
    for options in ["", "--intensity auto", "--tempo 90", "--tempo off"] {
        assert!(curve(options) > 10, "{options}");
    }
    assert_eq!([curve("--intensity off"), curve("--intensity 0:0.5")], [0, 1]);
    let plain = "--bundle %onnx/vmt-small";
    assert_eq!(place.demo(plain), place.demo(&format!("{plain} --intensity off")));
}

/// Of a piece whose key is set and of one whose key is not, the last bar is one chord, held to the end.
#[test]
fn a_piece_ends_on_the_tonic() {
    let place = Place::new();
    for (seed, key, chord) in [
        (1, "--key D", Some([2, 6, 9])),
        (2, "--key G --scale minor", Some([7, 10, 2])),
        (3, "", None),
        (4, "--tempo 90 --key D", Some([2, 6, 9])),
    ] {
        let record = record(&place, &format!("{BEAT} --seed {seed} {key}"));
        let (steps, in_bar) = (beats(&record, "step"), beats(&record, "in_bar"));
        let last = steps.iter().zip(&in_bar).rfind(|(step, in_bar)| **in_bar == 1.0 && **step < 1150.0);
        let last = last.unwrap().0.round() / 100.0;
        let notes = record["notes"].as_array().unwrap();
        let of_bar = |note: &&Value| note["end"].as_f64().unwrap() > last + 0.005;
        let bar: Vec<_> = notes.iter().filter(of_bar).collect();
        let classes: Vec<u64> = bar.iter().map(|note| note["pitch"].as_u64().unwrap() % 12).collect();
        assert!(bar.iter().any(|note| (note["start"].as_f64().unwrap() - last).abs() < 1e-9), "{seed}: {bar:?}");
        let newest = bar.iter().filter(|note| note["start"].as_f64().unwrap() > last - 0.005);
        for note in newest {
            assert!((note["end"].as_f64().unwrap() - 12.0).abs() < 1e-9, "{seed}: {note} is held");
        }
        match chord {
            Some(chord) => assert!(classes.iter().all(|class| chord.contains(class)), "{seed}: {classes:?}"),
            None => {
                let mut classes = classes.clone();
                classes.sort_unstable();
                classes.dedup();
                assert!(classes.len() <= 3, "{seed}: {classes:?}");
            }
        }
    }
}

/// Bars, key and hit points are in the file, and its notes are where they were.
#[test]
fn a_midi_file_has_the_click_track() {
    let place = Place::new();
    let outputs = "-o @a.json -o @a.mid";
    place.vmt(&format!("compose %tests/data/demo.mp4 {BEAT} --hit 5.3 --key A --scale minor {outputs}"));
    let record: Value = serde_json::from_slice(&fs::read(place.path("a.json")).unwrap()).unwrap();
    let bytes = fs::read(place.path("a.mid")).unwrap();
    let text = midi_text(&bytes);
    assert!(text.contains("format: Parallel") && text.contains("0 Meta(KeySignature(0, true))"), "{text}");
    for (marker, times) in [("cut", 2), ("downbeat", 1)] {
        let marker = format!("Meta(Marker({:?}))", marker.as_bytes());
        assert_eq!(text.matches(&marker).count(), times, "{text}");
    }
    let starts = numbers(&record, "/notes", "start");
    let read: Vec<_> = music(&bytes, 12_000).notes().iter().map(|note| f64::from(note.start) / 100.0).collect();
    assert_eq!(read, starts);

    // Two hands have all notes, and no more.
    place.vmt("compose --from @a.json --hands -o @b.mid");
    let hands = fs::read(place.path("b.mid")).unwrap();
    let text = midi_text(&hands);
    assert!(["Right hand", "Left hand"].iter().all(|hand| text.contains(&format!("{:?}", hand.as_bytes()))), "{text}");
    let mut both: Vec<_> = music(&hands, 12_000).notes().to_vec();
    let mut one: Vec<_> = music(&bytes, 12_000).notes().to_vec();
    both.sort_by_key(|note| (note.start, note.pitch));
    one.sort_by_key(|note| (note.start, note.pitch));
    assert_eq!(both, one);
    let below = |track: usize| {
        let smf = midly::Smf::parse(&hands).unwrap();
        let pitch = |event: &midly::TrackEvent| match event.kind {
            midly::TrackEventKind::Midi { message: midly::MidiMessage::NoteOn { key, .. }, .. } => Some(key.as_int()),
            _ => None,
        };
        smf.tracks[track].iter().filter_map(pitch).map(f64::from).fold((0.0, 0.0), |(sum, n), key| (sum + key, n + 1.0))
    };
    let [(right, n), (left, m)] = [below(1), below(2)];
    assert!(right / n > left / m);
}

#[test]
fn a_steady_tempo_and_none() {
    let place = Place::new();
    let steady = record(&place, &format!("{BEAT} --tempo 90 --meter 3/4"));
    let steps = beats(&steady, "step");
    assert!(steps.windows(2).all(|pair| (pair[1] - pair[0] - 200.0 / 3.0).abs() < 1e-3) && steps[0] == 0.0);
    assert_eq!(beats(&steady, "in_bar")[..4], [1.0, 2.0, 3.0, 1.0]);
    assert_eq!(steady["provenance"]["hits"], Value::Null);
    let free = record(&place, &format!("{BEAT} --tempo off --hit 5"));
    assert!(beats(&free, "step").is_empty());
    struck(&free, 5.0);
}

#[test]
fn frames_that_can_be_read_twice_are() {
    let place = Place::new();
    fs::create_dir(place.path("pictures")).unwrap();
    place.ffmpeg("-i %tests/data/demo.mp4 -t 6 @pictures/?.png");
    place.vmt(&format!("compose --frames @pictures --fps 25 {BEAT} -o @a.json"));
    let record: Value = serde_json::from_slice(&fs::read(place.path("a.json")).unwrap()).unwrap();
    beat_at(&record, 4.0);
    struck(&record, 4.0);
    assert_eq!(beat_at(&record, 6.0), 1.0);
}

#[test]
fn what_can_do_nothing_is_refused() {
    let place = Place::new();
    let compose = "compose %tests/data/demo.mp4 -o @a.mid";
    let plain = "--bundle %onnx/tiny-vmt";
    for (options, want) in [
        (format!("{plain} --tempo auto"), "--tempo auto and off: this model plays to no beats"),
        (format!("{plain} --tempo off"), "--tempo auto and off: this model plays to no beats"),
        (format!("{plain} --meter 3/4"), "--meter: this model plays to no beats"),
        (format!("{plain} --hit 99"), "hit must be within the film, but is at 99s"),
        (format!("{BEAT} --tempo off --meter 3/4"), "--meter: there are no beats with --tempo off"),
        (format!("{BEAT} --snap"), "--snap: needs steady beats, --tempo BPM"),
        (format!("{BEAT} --tempo 90 --hit 3 --snap"), "--snap: needs steady beats, --tempo BPM"),
        (format!("{BEAT} --tempo 300 --hit 3"), "bpm must be 40-200 beats a minute, but is 300"),
        (format!("{BEAT} --hit 12.5"), "hit must be at most the film's end"),
        (format!("{BEAT} --hit 1 --unconstrained"), "cannot be used with"),
        (format!("{BEAT} --plan"), "cannot be used with"),
        (format!("{plain} --intensity 0:1"), "--intensity: this model is told none"),
        (format!("{plain} --intensity-guidance 2"), "--intensity-guidance: there is no --intensity to keep to"),
        (format!("{BEAT} --intensity off --intensity-guidance 2"), "--intensity-guidance: there is no --intensity"),
        (format!("{BEAT} --intensity-guidance 11"), "intensity guidance must be within 0-10, but is 11"),
        (format!("{plain} --key auto"), "--key auto: this model is told no key"),
        (format!("{BEAT} --key off --scale minor"), "--scale: needs a tonic, such as --key C"),
        (format!("{plain} --intensity auto"), "--intensity: this model is told none"),
        (format!("{BEAT} --intensity 0:1,2:3"), "must be seconds, 0-86400, and a value, 0-1, but is \"2:3\""),
        ("--tempo fast".into(), "it must be auto, beats a minute or off"),
        ("--meter 5/4".into(), "[possible values: 4/4, 3/4]"),
    ] {
        place.fails(2, &format!("{compose} {options}"), want);
    }
    fs::create_dir(place.path("films")).unwrap();
    fs::copy(crate::support::file("tests/data/demo.mp4"), place.path("films/a.mp4")).unwrap();
    place.fails(2, "compose @films --plan", "--plan is for one film");
}
