//! Records: `--from`.

use std::time::Duration;

use vmt::click::HitKind;
use vmt::{Controls, Note, Options, Pitch, Sampling, Score, Tempo, midi};
use vmt_render::{Film, HitPoint, Model, Provenance, Record, musicxml, musicxml_with, piano_roll_svg};

/// A record that is read is written and read again, and its score can be rendered.
pub fn run(bytes: &[u8]) {
    let Some(record) = std::str::from_utf8(bytes).ok().and_then(|json| Record::from_json(json).ok()) else { return };
    let json = record.to_json().expect("what was read must be written");
    let again = Record::from_json(&json).expect("what was written must be read");
    assert_eq!(again, record);
    assert_eq!(again.to_json().unwrap(), json);
    assert!(!record.provenance.range().is_empty());
    let tempo = Tempo::new(record.provenance.tempo).expect("a record's tempo was checked");
    let _ = record.provenance.options.validate(vmt::Geometry::PAPER);
    let Ok(score) = record.score() else { return };
    let remade = Record::new(&score, record.provenance.clone());
    assert_eq!(remade.score().expect("a record of a score must have it"), score);
    // What is longer only takes longer.
    if score.duration() <= Duration::from_secs(60) && score.notes().iter().all(|note| note.end <= 6000) {
        crate::midi::check(&score, tempo);
        musicxml(&score, record.provenance.tempo);
        let conductor = record.provenance.conductor();
        piano_roll_svg(&score, None, conductor.as_ref()).unwrap();
        if let Some(conductor) = &conductor {
            musicxml_with(&score, conductor);
            let bytes = midi::write_parts(&[("", &score)], conductor).unwrap();
            midi::read(&bytes, midi::Sustain::Apply).expect("what was written must be read");
        }
    }
}

/// A record of nothing, and one of a few notes with every option.
pub fn seeds() -> Vec<Vec<u8>> {
    let note = |start, end, pitch| Note { start, end, pitch: Pitch::new(pitch).unwrap(), velocity: 77 };
    let controls = Controls::default()
        .with_pitches(48..=84)
        .with_velocities(1..=100)
        .with_polyphony(std::num::NonZeroUsize::new(4))
        .with_scale("F# dorian".parse::<vmt::Scale>().unwrap())
        .with_density(2.5);
    let sampling =
        Sampling::default().with_temperature(0.9).with_top_k(std::num::NonZeroUsize::new(40)).with_top_p(0.95);
    let options = Options::default()
        .with_sampling(sampling)
        .with_guidance(2.5)
        .with_controls(controls)
        .with_primer(Score::default().beginning(25));
    let provenance = |film, options| Provenance {
        vmt: "0.1.0".to_owned(),
        model: Model { name: "tiny".to_owned(), encoder_sha256: "a".repeat(64), decoder_sha256: "b".repeat(64) },
        engine: "tract".to_owned(),
        film,
        start: 0.5,
        end: Some(10.25),
        options,
        hits: vec![HitPoint { time: 1.5, kind: HitKind::Cut, label: "door".to_owned(), beat_miss_ms: None }],
        takes: 4,
        take: 3,
        tempo: 90.0,
        snapped: true,
    };
    let some = Score::new(vec![note(0, 29, 60), note(7, 100, 67)], Duration::from_millis(1001)).unwrap();
    let frames = Film::Frames { folder: "pictures".into(), fps: 29.97 };
    [
        Record::new(&some, provenance(Film::Video("a.mp4".into()), options)),
        Record::new(&Score::default(), provenance(frames, Options::default())),
    ]
    .map(|record| record.to_json().unwrap().into_bytes())
    .to_vec()
}

/// Keys and numbers.
pub fn words() -> Vec<Vec<u8>> {
    crate::words(&[
        "\"notes\"",
        "\"events\"",
        "\"seconds\"",
        "\"start\"",
        "\"end\"",
        "\"pitch\"",
        "\"velocity\"",
        "\"conditions\"",
        "\"beats\"",
        "\"hits\"",
        "\"quantize\"",
        "null",
        "1e308",
        "-0.0",
        "86400",
        "0.005",
        "[]",
        "{}",
        "309",
        "65535",
    ])
}
