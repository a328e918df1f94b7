//! Videos that the `ffmpeg` command makes and music that we write, through `vmt-train prepare` and back.
#![cfg(feature = "video")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use vmt::{Geometry, PerformedNote, Score, midi};
use vmt_train::data::prepare::{PrepareOptions, PrepareReport, prepare};
use vmt_train::data::prepared::{Prepared, PreparedSong};
use vmt_train::data::{Augment, Fragments, PAPER_SPLITS, Split, Splits, targets, transposed};
use vmt_train::random::Stream;
use vmt_video::Video;

const GEOMETRY: Geometry = Geometry::PAPER.with_size(16, 16).unwrap();

/// A folder of pairs, and one for what comes of them.
struct Pairs(TempDir);

impl Pairs {
    fn new() -> Self {
        let pairs = Self(tempfile::tempdir().unwrap());
        fs::create_dir(pairs.folder()).unwrap();
        pairs
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("pairs")
    }

    fn out(&self) -> PathBuf {
        self.0.path().join("out")
    }

    #[track_caller]
    fn video(&self, name: &str, seconds: u32) {
        let input = format!("testsrc2=size=64x48:rate=8:duration={seconds}");
        let arguments = ["-v", "error", "-f", "lavfi", "-i", &input, "-pix_fmt", "yuv420p", name];
        let status = Command::new("ffmpeg").args(arguments).current_dir(self.folder()).status();
        assert!(status.expect("these tests need `ffmpeg`").success());
    }

    /// A note each half second within `from..to`.
    fn music(&self, name: &str, from: f64, to: f64) {
        fs::write(self.folder().join(name), midi::write(&score(from, to)).unwrap()).unwrap();
    }

    fn prepare(&self, splits: Splits) -> anyhow::Result<PrepareReport> {
        let options = PrepareOptions { geometry: GEOMETRY, splits, sustain: true, tolerance: 3.0 };
        prepare(&self.folder(), &self.folder(), &self.out(), &options, |_, _, _| {})
    }
}

fn score(from: f64, to: f64) -> Score {
    let note = |i: u32| {
        let start = from + f64::from(i) * 0.5;
        PerformedNote { start, end: start + 0.45, pitch: 60 + (i % 12) as u8, velocity: 61 }
    };
    let notes: Vec<_> = (0..((to - from) * 2.0) as u32).map(note).collect();
    Score::quantise(&notes, Duration::from_secs_f64(to))
}

/// The part of `score` that begins `start` seconds in, as a piece of ten seconds.
fn window(score: &Score, start: u32) -> Score {
    let (from, to) = (start * 100, start * 100 + 1000);
    let inside = score.notes().iter().filter(|note| (from..to).contains(&note.start));
    let shifted = inside.map(|note| vmt::Note { start: note.start - from, end: note.end.min(to) - from, ..*note });
    Score::new(shifted.collect(), Duration::from_secs(10)).unwrap()
}

#[track_caller]
fn fragments(folder: &Path, augment: Augment) -> Vec<vmt_train::data::Fragment> {
    let prepared = Prepared::open(folder, Split::Train, augment).unwrap();
    let fragment = |index| prepared.fragment(index, &mut Stream::new(1, "test", &[index as u64])).unwrap();
    (0..prepared.count()).map(fragment).collect()
}

#[test]
fn what_goes_in_comes_out() {
    let pairs = Pairs::new();
    pairs.video("a song.mp4", 22);
    pairs.music("a song.mid", 0.25, 20.25);
    pairs.video("late.mkv", 20);
    pairs.music("late.midi", 12.0, 20.0);
    let report = pairs.prepare(Splits::Hashed([1, 0, 0])).unwrap();

    let song = |name: &str, fragments, notes| PreparedSong { name: name.into(), split: Split::Train, fragments, notes };
    assert_eq!(report.dataset.songs, [song("a song", 2, 40), song("late", 1, 16)]);
    assert_eq!((report.silent, report.rests, report.skipped), (1, 1, vec![]));

    let clips = |name: &str| {
        let windows = Video::open(pairs.folder().join(name)).unwrap().windows(GEOMETRY);
        windows.map(|window| window.unwrap().clip).collect::<Vec<_>>()
    };
    let (first, late) = (clips("a song.mp4"), clips("late.mkv"));
    let (music, late_music) = (score(0.25, 20.25), score(12.0, 20.0));
    let want = [(&first[0], window(&music, 0)), (&first[1], window(&music, 10)), (&late[1], window(&late_music, 10))];
    let found = fragments(&pairs.out(), Augment::NONE);
    assert_eq!(found.len(), want.len());
    for (fragment, (clip, score)) in found.iter().zip(&want) {
        assert_eq!(fragment.clip.as_ref(), Some(*clip));
        assert_eq!(fragment.tokens, targets(score));
    }

    let augment = Augment { semitones: 5, tempo: 0.0 };
    let found = fragments(&pairs.out(), augment);
    assert_eq!(found.len(), want.len());
    for (index, (fragment, (_, score))) in found.iter().zip(&want).enumerate() {
        let (semitones, _) = augment.draw(&mut Stream::new(1, "test", &[index as u64]));
        assert_eq!(fragment.tokens, transposed(&targets(score), semitones));
    }
}

#[test]
fn bad_pairs_are_skipped() {
    let pairs = Pairs::new();
    pairs.video("good.webm", 10);
    pairs.music("good.mid", 0.0, 10.0);
    pairs.video("mute.mp4", 10);
    pairs.music("blind.mid", 0.0, 10.0);
    pairs.video("silent.mp4", 10);
    pairs.music("silent.mid", 0.0, 0.0);
    pairs.video("long.mp4", 20);
    pairs.music("long.mid", 0.0, 10.0);
    pairs.video("short.mp4", 8);
    pairs.music("short.mid", 0.0, 8.0);
    pairs.video("noise.mp4", 10);
    fs::write(pairs.folder().join("noise.mid"), "no music").unwrap();
    fs::write(pairs.folder().join("broken.mov"), "no video").unwrap();
    pairs.music("broken.mid", 0.0, 10.0);
    pairs.video("twice.mp4", 10);
    pairs.video("twice.mkv", 10);
    pairs.music("twice.mid", 0.0, 10.0);
    fs::write(pairs.folder().join("notes.txt"), "of no concern").unwrap();

    let report = pairs.prepare(PAPER_SPLITS).unwrap();
    assert_eq!(report.dataset.songs.iter().map(|song| song.name.as_str()).collect::<Vec<_>>(), ["good"]);
    let reasons: BTreeMap<_, _> = report.skipped.iter().map(|(name, reason)| (name.as_str(), reason)).collect();
    for (name, reason) in [
        ("mute", "there is no MIDI file of that name"),
        ("blind", "there is no video of that name"),
        ("silent", "its MIDI file holds no notes"),
        ("long", "the video must be as long as its music to 3 s, but is 20.0 s for 10.0 s of music"),
        ("short", "it has no full window with a note"),
        ("noise", "not a readable MIDI file: it has no header"),
        ("broken", "must be a video that FFmpeg can read"),
        ("twice", "there must be one video of that name, but there are 2"),
    ] {
        assert!(reasons[name].contains(reason), "{name}: {}", reasons[name]);
    }
    assert_eq!(reasons.len(), 8);
    let mut files: Vec<_> =
        fs::read_dir(pairs.out()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, ["dataset.yaml", "good.frames", "good.tokens"]);
    assert!(report.to_string().contains("all                1           1    0.00              0.0\n"), "{report}");
    assert!(report.to_string().contains("\nskipped mute: there is no MIDI file of that name\n"), "{report}");

    let given = Splits::Listed([("other".to_owned(), Split::Test)].into());
    let error = pairs.prepare(given).unwrap_err().to_string();
    assert!(error.contains("not one song could be prepared"), "{error}");
    assert!(error.contains("skipped good: the split does not name it"), "{error}");
}

#[test]
fn a_split_can_be_given() {
    let pairs = Pairs::new();
    let path = pairs.0.path().join("split.yaml");
    fs::write(&path, "train: [a, b]\ntest: [c]\n").unwrap();
    let Splits::Listed(splits) = Splits::load(&path).unwrap() else { panic!("it is a list") };
    assert_eq!(
        splits.into_iter().collect::<Vec<_>>(),
        [("a".to_owned(), Split::Train), ("b".to_owned(), Split::Train), ("c".to_owned(), Split::Test)]
    );
    fs::write(&path, "train: [a]\ntest: [a]\n").unwrap();
    assert!(format!("{:#}", Splits::load(&path).unwrap_err()).contains("`a` must be named once"));
}

#[test]
fn hashed_splits_are_as_large_as_the_papers() {
    let mut counts = [0; 3];
    for number in 0..12_800 {
        counts[PAPER_SPLITS.split(&number.to_string()).unwrap() as usize] += 1;
    }
    for (count, want) in counts.into_iter().zip([9_000_i32, 1_000, 2_800]) {
        assert!((count - want).abs() < 150, "{counts:?}");
    }
    // A song keeps its split in every version.
    for (name, split) in [("001", Split::Train), ("24", Split::Validation), ("2", Split::Test)] {
        assert_eq!(PAPER_SPLITS.split(name), Some(split));
    }
}
