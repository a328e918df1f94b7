//! Pairs of a film and its music, as files.

use std::fs;
use std::path::Path;
use std::time::Duration;

use vmt::{Geometry, Score, midi};
use vmt_train::data::prepare::{PrepareOptions, prepare};
use vmt_train::data::prepared::Prepared;
use vmt_train::data::song::Song;
use vmt_train::data::{Augment, Fragments, Split, Splits, targets};
use vmt_train::random::Stream;
use vmt_train::synth::{Channels, PairOptions, Scene, write_pairs};
use vmt_video::Video;

use crate::pictures::{change, light, mean};
use crate::songs::{SMALL, song};

/// A folder with a song for each name, 12 s long.
fn folder_of(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (seed, name) in (10..).zip(names) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, midi::write(&song(seed).fragment(0.0, 12.0)).unwrap()).unwrap();
    }
    folder
}

#[test]
fn pairs_are_what_the_scene_shows() {
    let (songs, out) = (folder_of(&["a/a.mid"]), tempfile::tempdir().unwrap());
    // Four pictures a second are those of the clip; the codec is given large ones, which blur less when shrunk.
    let options = PairOptions { rate: 4, side: 128, channels: Some(Channels::all()), ..PairOptions::default() };
    write_pairs(songs.path(), out.path(), &options, |_| {}).unwrap();

    let song = Song::read(&songs.path().join("a/a.mid")).unwrap();
    let written = midi::read(&fs::read(out.path().join("a.mid")).unwrap(), midi::Sustain::Apply).unwrap();
    let length = Duration::from_secs(20);
    assert_eq!(Score::quantise(&written, length).notes(), Score::quantise(&song.notes, length).notes());

    let windows: Vec<_> =
        Video::open(out.path().join("a.mp4")).unwrap().windows(Geometry::PAPER).collect::<Result<_, _>>().unwrap();
    assert_eq!(windows[0].clip.frames(), 40);
    assert!(windows.len() <= 2);
    let film = windows[0].clip.pixels();
    // How far the film is from a scene.
    let distance = |seed| {
        let clip = Scene::new(&song, seed, Channels::all()).clip(0.0, &Geometry::PAPER);
        let pairs = clip
            .pixels()
            .outer_iter()
            .zip(film.outer_iter())
            .map(|(a, b)| change(&light(a), &light(b)))
            .collect::<Vec<_>>();
        mean(&pairs)
    };
    assert!(distance(options.seed_of("a")) < 6.0, "{}", distance(options.seed_of("a")));
    assert!(distance(99) > 12.0);
}

#[test]
fn what_is_drawn_can_be_prepared() {
    let (songs, out, data) =
        (folder_of(&["x.mid", "y.mid"]), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let options = PairOptions { rate: 8, side: 64, ..PairOptions::default() };
    write_pairs(songs.path(), out.path(), &options, |_| {}).unwrap();
    let how = PrepareOptions { geometry: SMALL, splits: Splits::Hashed([1, 0, 0]), sustain: true, tolerance: 10.0 };
    let report = prepare(out.path(), out.path(), data.path(), &how, |_, _, _| {}).unwrap();
    assert_eq!((report.skipped.len(), report.dataset.songs.len()), (0, 2));

    let prepared = Prepared::open(data.path(), Split::Train, Augment::NONE).unwrap();
    assert_eq!(prepared.count(), 2);
    for (index, name) in ["x", "y"].iter().enumerate() {
        let song = Song::read(&songs.path().join(format!("{name}.mid"))).unwrap();
        let fragment = prepared.fragment(index, &mut Stream::new(1, "test", &[])).unwrap();
        assert_eq!(fragment.tokens, targets(&song.fragment(0.0, 10.0)), "{name}");
    }
}

#[test]
fn finished_pairs_are_left_alone() {
    let (songs, out) = (folder_of(&["b/b.mid", "c.midi", "d/e.MID", "d/notes.txt"]), tempfile::tempdir().unwrap());
    let options = PairOptions { rate: 5, side: 32, seconds: Some(1.0), jobs: 2, ..PairOptions::default() };
    let run = || {
        let mut told = Vec::new();
        write_pairs(songs.path(), out.path(), &options, |p| told.push((p.name.to_owned(), p.skipped, p.done, p.total)))
            .unwrap();
        told
    };
    let mut first = run();
    assert_eq!(
        first.iter().map(|told| (told.1, told.2, told.3)).collect::<Vec<_>>(),
        [(false, 1, 3), (false, 2, 3), (false, 3, 3)]
    );
    first.sort();
    assert_eq!(first.iter().map(|told| told.0.as_str()).collect::<Vec<_>>(), ["b", "c", "d-e"]);
    fs::remove_file(out.path().join("c.mp4")).unwrap();
    let mut second: Vec<_> = run().into_iter().map(|told| (told.0, told.1)).collect();
    second.sort();
    assert_eq!(second, [("b".to_owned(), true), ("c".to_owned(), false), ("d-e".to_owned(), true)]);
    let mut files: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["b.mid", "b.mp4", "c.mid", "c.mp4", "d-e.mid", "d-e.mp4"]);
}

#[test]
fn what_cannot_be_written_is_named() {
    let out = tempfile::tempdir().unwrap();
    let refused = |songs: &Path, options: PairOptions, said: &str| {
        let error = format!("{:#}", write_pairs(songs, out.path(), &options, |_| {}).unwrap_err());
        assert!(error.contains(said), "{error}");
    };
    let songs = folder_of(&["x/y.mid", "x-y.mid"]);
    refused(songs.path(), PairOptions::default(), "would both be written as x-y.mid");
    refused(out.path(), PairOptions::default(), "there is no MIDI file below it");
    refused(songs.path(), PairOptions { side: 33, ..PairOptions::default() }, "must be even and at least 2, but is 33");
    refused(
        songs.path(),
        PairOptions { rate: 0, ..PairOptions::default() },
        "must be at least 1 picture a second, but is 0",
    );
    refused(
        songs.path(),
        PairOptions { seconds: Some(-1.0), ..PairOptions::default() },
        "must be above 0 s, but is -1",
    );
    fs::write(songs.path().join("x-y.mid"), "ID3").unwrap();
    fs::remove_dir_all(songs.path().join("x")).unwrap();
    refused(songs.path(), PairOptions::default(), "x-y.mid: not a readable MIDI file: it has no header");
}
