//! MIDI files.

use std::path::Path;
use std::time::Duration;

use vmt::midi::{self, Sustain};
use vmt::{Note, Score, Tempo};

/// What is read is a score, and what is written of it is read back.
pub fn run(bytes: &[u8]) {
    if let Ok(conductor) = midi::conductor(bytes) {
        assert!(conductor.beats.windows(2).all(|pair| pair[0].step < pair[1].step), "beats must rise");
    }
    let tempo = Tempo::new(20.0 + (bytes.len() % 381) as f64).unwrap();
    for sustain in [Sustain::Apply, Sustain::Ignore] {
        let Ok((performed, warnings)) = midi::read_with_warnings(bytes, sustain) else { return };
        assert!(warnings.iter().all(|warning| !warning.is_empty() && !warning.contains('\n')), "{warnings:?}");
        for note in &performed {
            assert!(0.0 <= note.start && note.start < note.end && note.end.is_finite(), "{note:?}");
            assert!((1..=127).contains(&note.velocity) && note.pitch < 128, "{note:?}");
        }
        midi::write_at(&Score::quantise(&performed, Duration::MAX), tempo).unwrap();
        for duration in [Duration::from_secs(10), Duration::from_secs(3600)] {
            let mut score = Score::quantise(&performed, duration);
            check(&score, tempo);
            score.snap(tempo);
            check(&score, tempo);
        }
    }
}

/// A score of an hour at most goes to MIDI and to tokens and back.
pub(crate) fn check(score: &Score, tempo: Tempo) {
    Score::new(score.notes().to_vec(), score.duration()).expect("a score must be in order");
    // A note may begin where the piece ends, and those of a record anywhere.
    let last = score.notes().iter().map(|note| note.end).max().unwrap_or(0);
    let longer = score.duration().max(Duration::from_millis(10) * last) + Duration::from_millis(10);
    let again = |score: &Score| {
        let bytes = midi::write_at(score, tempo).unwrap();
        let notes = midi::read(&bytes, Sustain::Apply).expect("what was written must be readable");
        Score::quantise(&notes, longer)
    };
    let written = again(score);
    if apart(score.notes()) {
        assert_eq!(written.notes().len(), score.notes().len());
        let ordered = |score: &Score| {
            let mut notes = score.notes().to_vec();
            notes.sort_by_key(|note| (note.start, note.pitch, note.end, note.velocity));
            notes
        };
        assert_eq!(ordered(&written), ordered(score), "what was written must be read back");
    }
    assert_eq!(again(&written), written, "what was read must be read again");
    let decoded = Score::decode(score.tokens(), score.duration());
    assert!(decoded.ended && decoded.unclosed == 0 && decoded.unmatched_offs == 0, "{decoded:?}");
    assert_eq!(decoded.score.notes().len(), score.notes().len());
}

/// No note begins while its key is down: only such notes are the same in MIDI.
fn apart(notes: &[Note]) -> bool {
    let mut free = [0; 128];
    notes.iter().all(|note| {
        let before = std::mem::replace(&mut free[usize::from(note.pitch.get())], note.end);
        before <= note.start
    })
}

/// The files of the tests.
pub fn seeds() -> Vec<Vec<u8>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
    let mut seeds = Vec::new();
    for folder in ["codec", "midi"] {
        for entry in std::fs::read_dir(data.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension != "json") {
                seeds.push(std::fs::read(path).unwrap());
            }
        }
    }
    seeds
}

/// Chunks, meta events, statuses and long numbers.
pub fn words() -> Vec<Vec<u8>> {
    let words: [&[u8]; 12] = [
        b"MThd\0\0\0\x06\0\x01\0\x02\x01\xe0",
        b"MTrk\0\0\0\x10",
        b"RIFF",
        b"\0\xff\x2f\0",
        b"\0\xff\x51\x03\x07\xa1\x20",
        b"\0\xc0\x05",
        b"\0\xb0\x40\x7f",
        b"\0\xb0\x40\0",
        b"\0\x90\x3c\x40",
        b"\x81\0\x80\x3c\x40",
        b"\xff\xff\xff\x7f",
        b"\0\xf0\x03\x7e\x7f\xf7",
    ];
    words.map(<[u8]>::to_vec).to_vec()
}
