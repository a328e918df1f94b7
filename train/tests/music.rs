//! Songs: from MIDI files with and without what others found out about them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use vmt::{PerformedNote, Score, midi};
use vmt_train::data::song::{Mode, Song};

fn note(start: f64, end: f64, pitch: u8, velocity: u8) -> PerformedNote {
    PerformedNote { start, end, pitch, velocity }
}

/// 16 bars of chords on every beat, with a bass on the first; `third` above the tonic makes the mode.
fn march(beat: f64, third: u8) -> Vec<PerformedNote> {
    let chord = |index: u32| {
        let start = 1.0 + f64::from(index) * beat;
        let root = 60 + [0, 5, 7, 0][(index / 4 % 4) as usize];
        let bass = index.is_multiple_of(4).then(|| note(start, start + 2.0 * beat, root - 24, 90));
        let chord = [0, if root == 67 { 4 } else { third }, 7];
        let chord = chord.map(|interval| note(start, start + 0.8 * beat, root + interval, 70));
        chord.into_iter().chain(bass).collect::<Vec<_>>()
    };
    (0..64).flat_map(chord).collect()
}

/// A folder with `X/X.mid`, and other files in it.
fn folder(notes: &[PerformedNote], others: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let song = folder.path().join("X");
    fs::create_dir(&song).unwrap();
    fs::write(song.join("X.mid"), midi::write(&Score::quantise(notes, Duration::from_secs(60))).unwrap()).unwrap();
    for (name, text) in others {
        fs::write(song.join(name), text).unwrap();
    }
    let path = song.join("X.mid");
    (folder, path)
}

#[test]
fn what_others_found_is_believed() {
    let beats = "0.5 1.0 1.0\n1.1 0.0 0.0\n1.7 1.0 0.0\n2.3 0.0 0.0\n\n2.9 1.0 1.0\n";
    let (_folder, path) = folder(
        &march(0.5, 4),
        &[("beat_midi.txt", beats), ("key_audio.txt", "0.0\t20.0\tGb:min\n20.0\t60.0\tA:maj\n")],
    );
    let song = Song::read(&path).unwrap();
    assert_eq!(song.name, "X");
    assert_eq!(song.beats, [0.5, 1.1, 1.7, 2.3, 2.9]);
    assert_eq!(song.downbeats, [0.5, 2.9]);
    assert_eq!(song.modes, [(0.0, Mode::Minor), (22.0, Mode::Major)]);
}

#[test]
fn chords_outweigh_the_key_only_where_they_are_many() {
    let chords = "0 10 N\n10 12 A:min7\n12 14 C:maj\n14 30 A:min/b3\n30 50 E:7\n";
    let modes = |others: &[(&str, &str)]| {
        let (_folder, path) = folder(&march(0.5, 4), others);
        Song::read(&path).unwrap().modes
    };
    let key = ("key_audio.txt", "0.0 60.0 C:maj");
    let (major, minor) = (Mode::Major, Mode::Minor);
    assert_eq!(modes(&[key]), [(0.0, major)]);
    assert_eq!(modes(&[key, ("chord_midi.txt", chords)]), [(0.0, major), (17.0, minor), (29.0, major)]);
    assert_eq!(modes(&[("chord_midi.txt", "0 9 C:sus4\n9 30 A:dim")]), [(7.0, minor)]);
}

#[test]
fn without_others_beats_bars_and_modes_are_estimated() {
    for beat in [0.4, 0.5, 0.62, 0.75] {
        for (third, mode) in [(4, Mode::Major), (3, Mode::Minor)] {
            let (_folder, path) = folder(&march(beat, third), &[]);
            let song = Song::read(&path).unwrap();
            // The grid of 10 ms is what MIDI of ours holds.
            let near = |time: f64, wanted: f64| (time - wanted).abs() < 0.021;
            // Fast beats may be taken for halves of slow ones.
            assert!(song.beats.len() >= 30, "{beat}: {} beats", song.beats.len());
            for &time in &song.beats {
                let index = ((time - 1.0) / beat).round();
                assert!(near(time, 1.0 + index * beat), "{beat}: a beat at {time}");
            }
            assert!(song.downbeats.len() >= 7, "{beat}: {} bars", song.downbeats.len());
            for &time in &song.downbeats {
                let index = ((time - 1.0) / (4.0 * beat)).round();
                assert!(near(time, 1.0 + index * 4.0 * beat), "{beat}: a bar at {time}");
            }
            assert_eq!(song.modes.iter().map(|m| m.1).collect::<Vec<_>>(), [mode], "{beat} {:?}", song.modes);
        }
    }
}

#[test]
fn files_beside_a_song_of_another_name_are_not_about_it() {
    let (_folder, path) = folder(&march(0.5, 4), &[("beat_midi.txt", "nonsense")]);
    let other = path.with_file_name("other.mid");
    fs::rename(&path, &other).unwrap();
    assert!(Song::read(&other).unwrap().beats.len() > 40);
}

#[track_caller]
fn refused(others: &[(&str, &str)], said: &str) {
    let (_folder, path) = folder(&march(0.5, 4), others);
    let error = format!("{:#}", Song::read(&path).unwrap_err());
    assert!(error.contains(said), "{error}");
}

#[test]
fn what_is_wrong_is_named() {
    refused(&[("beat_midi.txt", "1 0 1\n2 0\n")], "beat_midi.txt, line 2: it has no three columns");
    refused(&[("beat_midi.txt", "1 0 1\nx 0 0\n")], "beat_midi.txt, line 2: `x` is no number");
    refused(&[("key_audio.txt", "1 inf C:maj\n")], "key_audio.txt, line 1: `inf` is no number");
    let (_folder, path) = folder(&[], &[]);
    assert!(format!("{:#}", Song::read(&path).unwrap_err()).ends_with("X.mid: it has no notes"));
    let endless = Song::new("X", vec![note(0.0, 1e9, 60, 50)]).unwrap_err().to_string();
    assert_eq!(endless, "it is longer than a day");
    assert!(format!("{:#}", Song::read(Path::new("/nowhere.mid")).unwrap_err()).starts_with("/nowhere.mid: "));
}

#[test]
fn notes_are_sorted_and_keys_are_struck_once() {
    let notes = vec![note(2.0, 3.0, 60, 50), note(1.0, 2.0, 64, 50), note(1.0, 2.0, 60, 50), note(1.0, 2.0, 64, 70)];
    let song = Song::new("X", notes).unwrap();
    assert_eq!(song.notes, [note(1.0, 2.0, 60, 50), note(1.0, 2.0, 64, 70), note(2.0, 3.0, 60, 50)]);
    assert_eq!(song.duration(), 3.0);
    assert_eq!(song.modes.len(), 1);
}

#[test]
fn few_notes_are_a_song() {
    for count in 1..5 {
        let notes: Vec<_> =
            (0..count).map(|index| note(f64::from(index) * 7.0, f64::from(index) * 7.0 + 0.1, 40, 9)).collect();
        assert_eq!(Song::new("X", notes).unwrap().modes, [(0.0, Mode::Major)]);
    }
}

#[test]
fn a_fragment_holds_what_begins_in_it() {
    let song = Song::new("X", vec![note(1.0, 9.0, 60, 50), note(5.0, 7.0, 62, 51), note(9.0, 30.0, 64, 52)]).unwrap();
    assert_eq!(song.fragment(4.0, 5.0).to_string(), "100-300 62@51\n");
    assert_eq!(song.fragment(4.0, 10.0).to_string(), "100-300 62@51\n500-1000 64@52\n");
    assert_eq!(song.fragment(5.0, 10.0).duration(), Duration::from_secs(10));
    assert_eq!(song.fragment(50.0, 10.0).to_string(), "");
}

#[test]
fn songs_can_be_higher_and_longer() {
    let song = Song::new("X", vec![note(1.0, 2.0, 60, 50), note(2.0, 4.0, 126, 50)]).unwrap();
    let higher = song.transposed(3);
    assert_eq!(higher.notes, [note(1.0, 2.0, 63, 50)]);
    assert_eq!((&higher.beats, &higher.modes), (&song.beats, &song.modes));
    assert_eq!(song.transposed(-61).notes, [note(2.0, 4.0, 65, 50)]);
    let longer =
        Song { beats: vec![1.0, 2.0], downbeats: vec![2.0], modes: vec![(3.0, Mode::Minor)], ..song }.stretched(1.5);
    assert_eq!(longer.notes, [note(1.5, 3.0, 60, 50), note(3.0, 6.0, 126, 50)]);
    assert_eq!((longer.beats, longer.downbeats, longer.modes), (vec![1.5, 3.0], vec![3.0], vec![(4.5, Mode::Minor)]));
}

#[test]
fn a_folder_is_read_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["b/b.mid", "a/z.MID", "a/y.midi", "c.mid", "a/._y.mid", "a/notes.txt", ".hidden/x.mid"] {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let found = Song::folder(folder.path()).unwrap();
    let found: Vec<_> = found.iter().map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
    assert_eq!(found, ["a/y.midi", "a/z.MID", "b/b.mid", "c.mid"]);
    assert!(Song::folder(&folder.path().join("nowhere")).is_err());
}
