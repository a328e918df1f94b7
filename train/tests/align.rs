//! Scores to sounds that are made here, and films with such sounds through `vmt-train align` and `prepare`.
#![cfg(feature = "video")]

use std::f64::consts::TAU;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;
use vmt::{Beat, PerformedNote, Score, midi};
use vmt_train::align::{AlignOptions, Piece, RATE, align};
use vmt_train::data::unmatched;
use vmt_train::random::Stream;

/// A melody in eighths over chords at 120 bpm, none of which comes again but by chance.
fn song(seed: u64, seconds: f64) -> Piece {
    let mut random = Stream::new(seed, "song", &[]);
    let scale = [0, 2, 4, 5, 7, 9, 11];
    let mut notes = Vec::new();
    let mut degree = 0;
    for eighth in 0..(seconds * 4.0) as usize {
        let start = eighth as f64 * 0.25;
        let mut note = |degree: usize, octave: u8, length: f64, velocity| {
            let pitch = 12 * octave + scale[degree % 7] + 12 * (degree / 7) as u8;
            notes.push(PerformedNote { start, end: start + length, pitch, velocity });
        };
        if eighth.is_multiple_of(8) {
            degree = random.below(7);
            [0, 2, 4].iter().for_each(|third| note(degree + third, 4, 1.9, 70));
        }
        if random.unit() < 0.7 {
            note(degree + random.below(7), 5, 0.24, 90);
        }
    }
    notes.sort_by(|a, b| a.start.total_cmp(&b.start).then(a.pitch.cmp(&b.pitch)));
    let beat = |index: u8| Beat { step: f64::from(index) * 50.0, in_bar: index % 4 + 1, per_bar: 4 };
    Piece { notes, beats: (0..=(seconds * 2.0) as u8).map(beat).collect() }
}

/// Notes as decaying harmonics, over a little noise.
fn sound(notes: &[PerformedNote], seconds: f64) -> Vec<f32> {
    let rate = f64::from(RATE);
    let mut random = Stream::new(1, "noise", &[]);
    let mut sound: Vec<f32> = (0..(seconds * rate) as usize).map(|_| 0.01 * (random.unit() as f32 - 0.5)).collect();
    for note in notes {
        let hertz = 440.0 * ((f64::from(note.pitch) - 69.0) / 12.0).exp2();
        let from = (note.start * rate) as usize;
        let until = ((note.end + 0.05) * rate) as usize;
        for (age, sample) in sound.iter_mut().take(until).skip(from).enumerate() {
            let time = age as f64 / rate;
            let level = f64::from(note.velocity) / 1000.0 * (time / 0.005).min(1.0) * (-3.0 * time).exp();
            let wave: f64 = (1..5).map(f64::from).map(|number| (TAU * number * hertz * time).sin() / number).sum();
            *sample += (level * wave) as f32;
        }
    }
    sound
}

/// The notes that begin in `from..to`, from `at` on, so many times faster, and higher.
fn part(piece: &Piece, (from, to): (f64, f64), at: f64, tempo: f64, semitones: i8) -> Vec<PerformedNote> {
    let inside = piece.notes.iter().filter(|note| (from..to).contains(&note.start));
    let moved = |time: f64| at + (time - from) / tempo;
    let note = |note: &PerformedNote| PerformedNote {
        start: moved(note.start),
        end: moved(note.end.min(to)),
        pitch: note.pitch.checked_add_signed(semitones).unwrap(),
        ..*note
    };
    inside.map(note).collect()
}

/// Fails unless nearly all notes of `want` are in `notes`, and hardly any others.
#[track_caller]
fn agree(notes: &[PerformedNote], want: &[PerformedNote]) {
    let near = |note: &PerformedNote, others: &[PerformedNote]| {
        others.iter().any(|other| other.pitch == note.pitch && (other.start - note.start).abs() < 0.03)
    };
    let met = want.iter().filter(|note| near(note, notes)).count();
    let extra = notes.iter().filter(|note| !near(note, want)).count();
    assert!(met * 100 >= want.len() * 95, "{met} of {} notes are met", want.len());
    assert!(extra * 100 <= want.len() * 5, "{extra} notes are not in the film");
}

#[test]
fn any_tempo_and_key() {
    let piece = song(1, 40.0);
    for (tempo, semitones) in [(0.8, -5), (0.93, 0), (1.0, 6), (1.07, -1), (1.3, 3)] {
        let film = part(&piece, (0.0, 40.0), 2.0, tempo, semitones);
        let alignment = align(&sound(&film, 3.0 + 40.0 / tempo), &piece, &AlignOptions::default()).unwrap();
        assert_eq!((alignment.semitones, alignment.sections.len()), (semitones, 1), "{alignment}");
        let found = alignment.sections[0].tempo();
        assert!((found / tempo - 1.0).abs() < 0.01, "x {found} for x {tempo}");
        agree(alignment.notes(), &film);
        assert!(alignment.strength() > 0.8, "{alignment}");
    }
}

#[test]
fn parts_are_left_out_and_repeated_and_there_is_an_intro() {
    let (piece, other) = (song(2, 80.0), song(3, 20.0));
    // Ten seconds of something else, then from 0 to 30 s of the score, 50 to 80, silence, and 20 to 50.
    let intro = part(&other, (0.0, 10.0), 0.0, 1.0, 0);
    let parts = [((0.0, 30.0), 10.0), ((50.0, 80.0), 40.0), ((20.0, 50.0), 75.0)];
    let film: Vec<_> = parts.iter().flat_map(|&(range, at)| part(&piece, range, at, 1.0, 0)).collect();
    let alignment = align(&sound(&[intro, film.clone()].concat(), 105.5), &piece, &AlignOptions::default()).unwrap();
    agree(alignment.notes(), &film);
    let ends: Vec<_> = alignment.sections.iter().map(|section| section.film).collect();
    assert_eq!(ends.len(), 3, "{alignment}");
    for ((from, to), want) in ends.into_iter().zip([(10.0, 40.0), (40.0, 70.0), (75.0, 105.0)]) {
        assert!((from - want.0).abs() < 0.6 && (to - want.1).abs() < 0.6, "{alignment}");
    }
    let gaps = alignment.gaps();
    assert_eq!(gaps.len(), 2, "{alignment}");
    assert!(gaps[0].0 == 0.0 && (gaps[1].1 - gaps[1].0 - 5.0).abs() < 1.2, "{gaps:?}");

    // What is written says the same, in beats that rise through all of the film's parts.
    let conductor = alignment.conductor();
    assert!(conductor.beats.windows(2).all(|pair| pair[1].step - pair[0].step > 10.0), "{:?}", conductor.beats);
    let bytes = midi::write_parts(&[("", &alignment.score())], &conductor).unwrap();
    let read = unmatched(&midi::conductor(&bytes).unwrap()).unwrap();
    assert_eq!(read.len(), 2);
    for (read, gap) in read.iter().zip(&gaps) {
        assert!((read.0 - gap.0).abs() < 0.01 && (read.1 - gap.1).abs() < 0.01, "{read:?} {gap:?}");
    }
    agree(&midi::read(&bytes, midi::Sustain::Apply).unwrap(), &film);
}

#[test]
fn what_does_not_match_is_refused() {
    let (piece, other) = (song(4, 40.0), song(5, 60.0));
    let refused = |sound: &[f32], reason: &str| {
        let error = align(sound, &piece, &AlignOptions::default()).unwrap_err().to_string();
        assert!(error.contains(reason) && !error.contains('\n'), "{error}");
    };
    refused(&sound(&other.notes, 60.0), "does not match the film's sound");
    refused(&sound(&[], 30.0), "does not match the film's sound");
    refused(&[0.0; 30 * RATE as usize], "is silent");
    refused(&[0.1; RATE as usize], "must last 4 s at least, but lasts 1.0 s");
    let anchors = vec![(61.0, 1.0)];
    let error = align(&sound(&piece.notes, 41.0), &piece, &AlignOptions { anchors, bpm: None }).unwrap_err();
    assert_eq!(error.to_string(), "an anchor is at 61 s of the film, which lasts 41.0 s");
}

#[test]
fn a_tempo_that_is_told() {
    let piece = song(6, 60.0);
    let film = part(&piece, (0.0, 60.0), 1.0, 2.0, 0);
    let sound = sound(&film, 32.0);
    let told = |bpm| align(&sound, &piece, &AlignOptions { bpm: Some(bpm), anchors: vec![] });
    agree(told(240.0).unwrap().notes(), &film);
    assert!(told(60.0).is_err());
}

/// A passage that comes twice in the score and once in the film is taken where the anchor says.
#[test]
fn an_anchor_decides() {
    let once = song(7, 30.0);
    let again = part(&once, (0.0, 30.0), 40.0, 1.0, 0);
    let piece = Piece { notes: [once.notes.clone(), again].concat(), beats: song(7, 80.0).beats };
    let sound = sound(&once.notes, 31.0);
    for (anchor, begin) in [((10.0, 10.0), 0.0), ((10.0, 50.0), 40.0)] {
        let alignment = align(&sound, &piece, &AlignOptions { bpm: None, anchors: vec![anchor] }).unwrap();
        assert_eq!(alignment.sections.len(), 1, "{alignment}");
        let found = alignment.sections[0].to_score(10.0);
        assert!((found - begin - 10.0).abs() < 0.03, "{alignment}");
    }
}

struct Folder(TempDir);

impl Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn score(&self, name: &str, piece: &Piece) {
        let end = piece.notes.iter().map(|note| note.end).fold(0.0, f64::max);
        let score = Score::quantise(&piece.notes, Duration::from_secs_f64(end));
        fs::write(self.path(name), midi::write(&score).unwrap()).unwrap();
    }

    fn film(&self, name: &str, sound: &[f32]) {
        let bytes: Vec<u8> = sound.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let raw = self.path("raw");
        fs::write(&raw, bytes).unwrap();
        let seconds = sound.len() / RATE as usize;
        let picture = format!("testsrc2=size=64x48:rate=8:duration={seconds}");
        let arguments =
            format!("-v error -f f32le -ar {RATE} -ac 1 -i raw -f lavfi -i {picture} -pix_fmt yuv420p -c:a aac {name}");
        let status = Command::new("ffmpeg").args(arguments.split(' ')).current_dir(&self.0).status();
        assert!(status.expect("these tests need `ffmpeg`").success());
        fs::remove_file(raw).unwrap();
    }

    #[track_caller]
    fn run(&self, arguments: &str, code: i32) -> String {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_vmt-train"))
            .args(arguments.split(' '))
            .current_dir(&self.0)
            .output()
            .unwrap();
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        assert_eq!(status.code(), Some(code), "{arguments}: {said}");
        said
    }

    fn files(&self, folder: &Path) -> Vec<String> {
        let names = fs::read_dir(self.0.path().join(folder)).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn from_films_to_fragments() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let (piece, other) = (song(8, 40.0), song(9, 40.0));
    // Twelve seconds of something else, then the song, a little slower.
    let film = part(&piece, (0.0, 40.0), 12.0, 0.9, 0);
    let all = [part(&other, (0.0, 12.0), 0.0, 1.0, -3), film.clone()].concat();
    fs::create_dir(folder.path("pairs")).unwrap();
    folder.film("pairs/good.mp4", &sound(&all, 58.0));
    folder.score("pairs/good.mid", &piece);

    let said = folder.run("align pairs/good.mp4 pairs/good.mid -o a.mid --report a.svg --audition a.mp4", 0);
    assert!(said.contains("strength of the match") && said.contains("no counterpart: 0:00.0-0:1"), "{said}");
    agree(&midi::read(&fs::read(folder.path("a.mid")).unwrap(), midi::Sustain::Apply).unwrap(), &film);
    assert!(fs::read_to_string(folder.path("a.svg")).unwrap().contains("<polyline"));
    let length = vmt_video::duration(&folder.path("a.mp4")).unwrap().as_secs_f64();
    assert!((length - 58.0).abs() < 0.2, "{length}");
    // The piano is in it beside the film's own sound.
    let level = |name: &str| {
        let sound = vmt_video::read_sound(&folder.path(name), RATE).unwrap();
        assert_eq!(sound.len(), 58 * RATE as usize);
        sound[30 * RATE as usize..].iter().map(|sample| sample * sample).sum::<f32>()
    };
    assert!(level("a.mp4") > 1.5 * level("pairs/good.mp4"));

    // A folder: one of its pairs is of two songs.
    fs::copy(folder.path("pairs/good.mp4"), folder.path("pairs/wrong.mp4")).unwrap();
    folder.score("pairs/wrong.mid", &song(10, 40.0));
    let said = folder.run("align pairs -o aligned", 0);
    assert!(said.contains("1 of 2 written") && said.contains("wrong  ") && said.contains("does not match"), "{said}");
    assert_eq!(folder.files(Path::new("aligned")), ["good.mid"]);
    assert_eq!(fs::read(folder.path("aligned/good.mid")).unwrap(), fs::read(folder.path("a.mid")).unwrap());

    // Of five windows, the first two lack a counterpart; the last one ends after the film.
    fs::write(folder.path("split.yaml"), "train: [good]\n").unwrap();
    let said = folder.run("prepare pairs --scores aligned -o data --size 16 --split split.yaml", 0);
    assert!(said.contains(", 2 windows without counterpart"), "{said}");
    assert!(said.contains("skipped wrong: there is no MIDI file of that name"), "{said}");
    assert_eq!(folder.files(Path::new("data")), ["dataset.yaml", "good.frames", "good.tokens"]);

    // Wrong calls write nothing.
    for (arguments, code, reason) in [
        ("align pairs/good.mp4 pairs/good.mid -o pairs/good.mid", 2, "-o would replace pairs/good.mid"),
        ("align pairs/good.mp4 pairs/good.mid -o b.wav", 2, "-o must end in .mid or .midi, but is b.wav"),
        ("align pairs/good.mp4 pairs/good.mid -o b.mid --report c.pdf", 2, "--report must end in .png or .svg"),
        ("align pairs/good.mp4 pairs/good.mid -o b.mid --audition pairs/good.mp4", 2, "would replace pairs/good.mp4"),
        ("align pairs/good.mp4 pairs/good.mid -o no/b.mid", 2, "-o: no/b.mid: "),
        ("align pairs/good.mp4 pairs/good.mid -o b.mid --bpm 5", 2, "20-400"),
        ("align pairs/good.mp4 pairs/good.mid -o b.mid --anchor 5", 2, "FILM=SCORE"),
        ("align pairs/good.mp4 -o b.mid", 2, "so SCORE.mid must be given"),
        ("align pairs -o pairs", 2, "-o would replace the MIDI files of pairs"),
        ("align pairs -o c --bpm 100", 2, "are for one film"),
        ("align pairs/good.mp4 pairs/wrong.mid -o b.mid", 1, "does not match"),
        ("align pairs/good.mp4 pairs/good.mp4 -o b.mid", 1, "not a readable MIDI file"),
        ("align missing.mp4 pairs/good.mid -o b.mid", 1, "missing.mp4"),
        ("align pairs/good.mid pairs/good.mid -o b.mid", 1, "must be a video that FFmpeg can read"),
    ] {
        let said = folder.run(arguments, code);
        assert!(said.contains(reason), "{arguments}: {said}");
    }
    assert_eq!(folder.files(Path::new("")), ["a.mid", "a.mp4", "a.svg", "aligned", "data", "pairs", "split.yaml"]);
}
