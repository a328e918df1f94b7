//! What a process that reads films of strangers may not do. Needs a kernel with Landlock.

#![cfg(all(feature = "server", target_os = "linux"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BOUNDS: &str = r#"{"memory": 2000000000, "seconds": 30, "file": 1000000}"#;
const LIMITS: &str = r#"{"seconds": 60, "pixels": 1000000, "frames_per_second": 60}"#;
const HITS: &str =
    r#"{"Windows": {"geometry": {"frames": 40, "height": 8, "width": 8, "frame_ms": 250}, "hop": 10, "hits": true}}"#;

fn demo() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../tests/data/demo.mp4"].iter().collect()
}

/// Runs a command in the sandbox of `folder`; returns its exit code and what it said.
fn sandboxed(folder: &Path, bounds: &str, command: &[&str]) -> (Option<i32>, String) {
    let mut vmt = Command::new(env!("CARGO_BIN_EXE_vmt"));
    vmt.args(["sandbox", bounds]).args(command).current_dir(folder);
    let Output { status, stdout, stderr } = vmt.output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

fn read(folder: &Path, limits: &str, film: &str, wanted: &str) -> (Option<i32>, String) {
    read_from(folder, limits, film, wanted, 0.0)
}

fn read_from(folder: &Path, limits: &str, film: &str, wanted: &str, start: f64) -> (Option<i32>, String) {
    let reading = format!(
        r#"{{"film": {{"video": "{film}"}}, "size": null, "start": {start:?}, "end": null, "wanted": {wanted}}}"#
    );
    sandboxed(folder, BOUNDS, &["read-film", &reading, limits])
}

#[test]
fn a_film_in_its_folder_is_read_and_no_other_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(demo(), folder.path().join("film")).unwrap();
    let (code, said) = read(folder.path(), LIMITS, "film", r#""Metadata""#);
    assert_eq!((code, said.as_str()), (Some(0), "{\"length\":{\"secs\":12,\"nanos\":0},\"hits\":null}\n"));
    let (code, said) = read(folder.path(), LIMITS, "film", HITS);
    assert!(code == Some(0) && said.contains(r#""kind":"cut""#), "{said}");

    let other = tempfile::tempdir().unwrap();
    fs::copy(demo(), other.path().join("film")).unwrap();
    let (code, said) = read(folder.path(), LIMITS, other.path().join("film").to_str().unwrap(), r#""Metadata""#);
    assert!(code == Some(1) && said.contains("Permission denied"), "{said}");
    // A playlist may name other files; none of them is opened.
    let list = format!("ffconcat version 1.0\nfile {}\n", other.path().join("film").display());
    fs::write(folder.path().join("list"), list).unwrap();
    let (code, said) = read(folder.path(), LIMITS, "list", HITS);
    assert_eq!(code, Some(1), "{said}");
    fs::write(other.path().join("manifest.yaml"), "").unwrap();
    let (code, said) = sandboxed(folder.path(), BOUNDS, &["inspect", other.path().to_str().unwrap()]);
    assert!(code == Some(1) && said.contains("Permission denied"), "{said}");
    let music = other.path().join("a.mid");
    let (code, said) = sandboxed(folder.path(), BOUNDS, &["compose", "film", "-o", music.to_str().unwrap()]);
    assert!(code != Some(0) && !music.exists(), "{said}");
}

#[test]
fn limits_hold() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(demo(), folder.path().join("film")).unwrap();
    for (limits, want) in [
        (r#"{"seconds": 5, "pixels": 1000000, "frames_per_second": 60}"#, "at most 5 s long"),
        (r#"{"seconds": 60, "pixels": 1000, "frames_per_second": 60}"#, "at most 1000 pixels"),
        (r#"{"seconds": 60, "pixels": 1000000, "frames_per_second": 5}"#, "at most 5 frames a second"),
    ] {
        let (code, said) = read(folder.path(), limits, "film", r#""Metadata""#);
        assert!(code == Some(1) && said.contains(want), "{said}");
    }
    // What comes before a part does not count.
    let few = r#"{"seconds": 60, "pixels": 1000000, "frames_per_second": 30}"#;
    let (code, said) = read_from(folder.path(), few, "film", HITS, 6.0);
    assert_eq!(code, Some(0), "{said}");
    let file = r#"{"memory": 2000000000, "seconds": 30, "file": 1000}"#;
    let (code, said) = sandboxed(folder.path(), file, &["compose", "film", "-o", "a.wav", "--engine", "tract"]);
    assert!(code != Some(0) && !folder.path().join("a.wav").exists(), "{said}");
    let memory = r#"{"memory": 100000000, "seconds": 30, "file": 1000}"#;
    assert_ne!(sandboxed(folder.path(), memory, &["compose", "film", "-o", "a.mid"]).0, Some(0));
    let time = r#"{"memory": 2000000000, "seconds": 1, "file": 1000000}"#;
    let (code, said) =
        sandboxed(folder.path(), time, &["compose", "film", "-o", "a.mid", "--takes", "1000", "--engine", "tract"]);
    assert_eq!(code, None, "killed: {said}");
}

#[test]
fn other_programs_of_it_are_restricted_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(demo(), folder.path().join("film")).unwrap();
    let bounds = r#"{"memory": 2000000000, "seconds": 60, "file": 100000000}"#;
    // The program `ffmpeg` writes it.
    let (code, said) =
        sandboxed(folder.path(), bounds, &["compose", "film", "-o", "a.mp4", "-o", "a.json", "--engine", "tract"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = sandboxed(folder.path(), bounds, &["compose", "film", "--from", "a.json", "-o", "b.mp4"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(fs::read(folder.path().join("a.mp4")).unwrap() == fs::read(folder.path().join("b.mp4")).unwrap());
}
