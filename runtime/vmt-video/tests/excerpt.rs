//! Sound as samples, and films that every browser plays.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use vmt_video::{SAMPLE_RATE, Video, check_sound, duration, encode_excerpt, encode_pictures, film_sound, sound};

/// Lets `ffmpeg` write a file.
fn make(path: &Path, arguments: &str) -> PathBuf {
    let mut command = Command::new("ffmpeg");
    let done = command.args(["-v", "error", "-y"]).args(arguments.split(' ')).arg(path).status().unwrap();
    assert!(done.success());
    path.to_owned()
}

/// When it begins to sound, and ends, in seconds.
fn span(sound: &[[f32; 2]]) -> [f64; 2] {
    let loud = |frame: &[f32; 2]| frame[0].abs() > 0.02;
    let [first, last] = [sound.iter().position(loud), sound.iter().rposition(loud)].map(Option::unwrap);
    [first, last].map(|at| at as f64 / f64::from(SAMPLE_RATE))
}

const PICTURES: &str = "-f lavfi -i testsrc=size=160x90:rate=10:duration=3";
const CODECS: &str = "-c:v libx264 -bf 2 -c:a pcm_s16le";

#[test]
fn a_films_sound_begins_with_its_pictures() {
    let place = tempfile::tempdir().unwrap();
    let film = |name: &str, sound: &str| make(&place.path().join(name), &format!("{PICTURES} {sound} {CODECS}"));
    let tone = "-f lavfi -i sine=frequency=500:duration=1";
    // It comes later than the pictures, with them, and earlier: then its first half second is not the film's.
    for (name, sound, want) in [
        ("late.mkv", format!("-itsoffset 0.7 {tone}"), [0.7, 1.7]),
        ("same.mkv", tone.to_owned(), [0.0, 1.0]),
        ("late.mov", format!("-itsoffset 0.7 {tone}"), [0.7, 1.7]),
    ] {
        let got = span(&film_sound(&film(name, &sound), place.path()).unwrap());
        assert!((got[0] - want[0]).abs() < 0.02 && (got[1] - want[1]).abs() < 0.02, "{name}: {got:?}");
    }
    let early = format!("-itsoffset 0.5 {PICTURES} {tone} {CODECS}");
    let got = span(&film_sound(&make(&place.path().join("early.mkv"), &early), place.path()).unwrap());
    assert!(got[0] < 0.02 && (got[1] - 0.5).abs() < 0.02, "{got:?}");
    let names: Vec<_> = std::fs::read_dir(place.path()).unwrap().collect();
    assert_eq!(names.len(), 4, "no scratch file is left");

    let mute = make(&place.path().join("mute.mp4"), &format!("{PICTURES} -c:v libx264"));
    for error in [film_sound(&mute, place.path()).unwrap_err(), check_sound(&mute).unwrap_err()] {
        assert!(error.to_string().ends_with("mute.mp4: has no sound that FFmpeg can decode"), "{error}");
    }
    let text = place.path().join("text.wav");
    std::fs::write(&text, "no sound at all").unwrap();
    assert!(sound(&text).is_err() && check_sound(&text).is_err());
    assert!(sound(&place.path().join("missing.wav")).is_err());
}

#[test]
fn excerpts_are_small_and_keep_their_shape() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    for (name, arguments, shape, seconds) in [
        ("odd.mkv", "-f lavfi -i testsrc=size=101x75:rate=25:duration=2 -c:v ffv1", 100.0 / 74.0, 2.0),
        ("wide.mp4", "-f lavfi -i testsrc=size=90x90:rate=25:duration=2,setsar=2 -c:v libx264", 2.0, 2.0),
        (
            "large.mp4",
            "-f lavfi -i testsrc=size=2560x1440:rate=25:duration=1 -c:v libx264 -preset ultrafast",
            16.0 / 9.0,
            1.0,
        ),
        ("long.mp4", "-f lavfi -i testsrc=size=64x64:rate=25:duration=5 -c:v libx264", 1.0, 2.0),
    ] {
        let film = make(&path(name), arguments);
        let (pictures, out) = (path("pictures.mp4"), path("out.mp4"));
        encode_pictures(&film, Duration::from_secs(2), &pictures).unwrap();
        let music = vec![[0.1, -0.1]; (seconds * f64::from(SAMPLE_RATE)) as usize];
        encode_excerpt(&pictures, &music, &out).unwrap();
        let video = Video::open(&out).unwrap();
        assert!((video.aspect() - shape).abs() < 0.02, "{name}: {}", video.aspect());
        assert_eq!(duration(&out).unwrap(), Duration::from_secs_f64(seconds), "{name}");
        let heard = sound(&out).unwrap().len() as f64 / f64::from(SAMPLE_RATE);
        assert!((heard - seconds).abs() < 0.03, "{name}: {heard}");
    }
}
