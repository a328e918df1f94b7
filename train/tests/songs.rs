//! Fragments of MIDI files with pictures drawn on the fly.

use std::fs;
use std::time::Duration;

use vmt::decode::{Grammar, LogitsProcessor as _};
use vmt::{Geometry, Note, Pitch, Score, midi};
use vmt_train::data::{Augment, Fragments, PAPER_SPLITS, Split};
use vmt_train::random::Stream;
use vmt_train::synth::Songs;

const SMALL: Geometry = Geometry::PAPER.with_size(16, 16).unwrap();

/// Half a minute of quarters.
fn song(low: u8) -> Vec<u8> {
    let note = |index: u32| Note {
        start: index * 50,
        end: index * 50 + 40,
        pitch: Pitch::new(low + (index % 12) as u8).unwrap(),
        velocity: 80,
    };
    midi::write(&Score::new((0..60).map(note).collect(), Duration::from_secs(30)).unwrap()).unwrap()
}

#[test]
fn a_folder_of_midi_is_a_dataset() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..12 {
        fs::write(folder.path().join(format!("{number}.mid")), song(40 + number)).unwrap();
    }
    fs::write(folder.path().join("broken.mid"), "no MIDI").unwrap();

    let open = |split, augment| Songs::open(folder.path(), split, &PAPER_SPLITS, SMALL, augment);
    let splits = [Split::Train, Split::Validation, Split::Test];
    let counts = splits.map(|split| open(split, Augment::NONE).map_or(0, |songs| songs.count()));
    // The last note ends before 30 s, so each song has two full fragments.
    assert_eq!(counts.iter().sum::<usize>(), 24, "{counts:?}");

    let songs = open(Split::Train, Augment { semitones: 5, tempo: 0.1 }).unwrap();
    for index in 0..songs.count() {
        let draw = |number| songs.fragment(index, &mut Stream::new(1, "test", &[number])).unwrap();
        let fragment = draw(0);
        assert_eq!(fragment, draw(0), "the same stream, the same fragment");
        assert_ne!(fragment.tokens, draw(1).tokens);
        assert_eq!(fragment.clip.unwrap().frames(), SMALL.frames());
        // What a model learns is what the runtime lets it say.
        let mut grammar = Grammar::new(1000, 1024).unwrap();
        for token in fragment.tokens {
            assert!(grammar.allowed()[token.index()], "{token:?}");
            grammar.accept(token);
        }
        assert!(grammar.stopped());
    }
}
