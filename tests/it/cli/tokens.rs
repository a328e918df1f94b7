//! `vmt tokens`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use vmt::{Score, Token, midi};

use super::Place;
use crate::support::{file, milliseconds};

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
    let notes = midi::read(&fs::read(midi).unwrap(), midi::Sustain::Apply).unwrap();
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
    place.fails(2, "tokens decode @ids.json -o @missing/out.mid", "@missing: No such file");
    place.fails(1, "tokens decode @missing.json -o @out.mid", "@missing.json: No such file");
    place.vmt("tokens decode @ids.json -o @out.mid");
    assert_eq!(milliseconds(&fs::read(place.path("out.mid")).unwrap()), 0);

    place.fails(1, "tokens encode @ids.json", "@ids.json: not a readable MIDI file: it has no header");
    place.fails(1, "tokens encode @missing.mid", "@missing.mid: No such file");
    let range = "--seconds must be above 0 and at most 86400, but is";
    for (seconds, want) in [("0", range), ("86401", range), ("NaN", "it must be a time"), ("1e9", "it must be a time")]
    {
        place.fails(2, &format!("tokens encode @out.mid --seconds {seconds}"), want);
    }
}
