//! The 21 cases that were made with Magenta: files, notes and tokens.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use vmt::{Score, Token, midi};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/codec");

fn numbers(value: &Value) -> Vec<u16> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as u16).collect()
}

/// As `[start, end, pitch, velocity]`, sorted, as the list does not keep the order of playing.
fn sorted(score: &Score) -> Vec<Vec<u16>> {
    let row =
        |note: &vmt::Note| vec![note.start as u16, note.end as u16, note.pitch.get().into(), note.velocity.into()];
    let mut rows: Vec<_> = score.notes().iter().map(row).collect();
    rows.sort();
    rows
}

fn rows(value: &Value) -> Vec<Vec<u16>> {
    let mut rows: Vec<_> = value.as_array().unwrap().iter().map(numbers).collect();
    rows.sort();
    rows
}

fn ids(score: &Score) -> Vec<u16> {
    score.tokens().into_iter().map(Token::id).collect()
}

#[test]
fn magentas_cases() {
    let golden = fs::read_to_string(format!("{FOLDER}/golden.json")).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let cases = golden["items"].as_array().unwrap();
    assert_eq!(cases.len(), 21);
    for case in cases {
        let file = case["file"].as_str().unwrap();
        let bytes = fs::read(format!("{FOLDER}/{file}")).unwrap();
        let window = Duration::from_secs(10);
        let [dry, held] = [midi::Sustain::Ignore, midi::Sustain::Apply]
            .map(|sustain| Score::quantise(&midi::read(&bytes, sustain).unwrap(), window));
        assert_eq!(ids(&dry), numbers(&case["ids_nosustain"]), "{file} without sustain");
        assert_eq!(ids(&held), numbers(&case["ids_sustain"]), "{file} with sustain");
        assert_eq!(sorted(&held), rows(&case["quantized_notes"]), "{file} on the grid");

        let decoded = Score::decode(held.tokens(), window);
        assert!(decoded.ended && decoded.unmatched_offs == 0 && decoded.unclosed == 0, "{file}");
        assert_eq!(sorted(&decoded.score), rows(&case["decoded_notes"]), "{file} decoded");
        let again = if case["reencoded_equal"] == true { "ids_sustain" } else { "reencoded_ids" };
        assert_eq!(ids(&decoded.score), numbers(&case[again]), "{file} encoded again");
    }
}

#[test]
fn a_cut_file_is_an_error_or_said() {
    let mut files = 0;
    for entry in fs::read_dir(FOLDER).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "mid") {
            let bytes = fs::read(&path).unwrap();
            for length in 0..bytes.len() {
                let said = match midi::read_with_warnings(&bytes[..length], midi::Sustain::Apply) {
                    Ok((_, warnings)) => warnings.concat(),
                    Err(error) => error.to_string(),
                };
                let reasons = ["has no header", "header is cut short", "has no tracks", "is cut short", "are missing"];
                let cut = reasons.iter().any(|reason| said.contains(reason));
                assert!(cut, "{length} bytes of {}: {said}", path.display());
            }
            files += 1;
        }
    }
    assert_eq!(files, 21);
}
