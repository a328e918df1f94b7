//! Films that come through a pipe, from a disk that fails, or under a name that is not UTF-8.

#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    /// With `film.mp4` and `film.ts`, four seconds each; the index of the first is at its end.
    fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        let source = "-v error -f lavfi -i testsrc2=s=320x180:r=25:d=4 -f lavfi -i sine=d=4";
        for name in ["film.mp4", "film.ts", "film.mkv", "film.avi"] {
            let mut ffmpeg = Command::new("ffmpeg");
            ffmpeg.args(source.split(' ')).args(["-c:v", "mpeg4", "-b:v", "2M", "-shortest"]).arg(folder.path(name));
            assert!(ffmpeg.status().expect("these tests need `ffmpeg`").success());
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn vmt(&self, arguments: &[&str]) -> Command {
        let mut vmt = Command::new(env!("CARGO_BIN_EXE_vmt"));
        vmt.arg("compose").args(arguments).args(["--engine", "tract"]).current_dir(&self.0);
        vmt
    }

    /// Pipes a film into the command.
    fn piped(&self, film: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let mut cat = Command::new("cat").arg(self.path(film)).stdout(Stdio::piped()).spawn().unwrap();
        let ended = ended(self.vmt(arguments).stdin(cat.stdout.take().unwrap()));
        cat.wait().unwrap();
        ended
    }
}

/// Runs the command, which must end within a minute; returns its exit code and what it printed.
#[track_caller]
fn ended(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("{command:?} does not end");
        }
        thread::sleep(Duration::from_millis(20));
    }
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[test]
fn a_film_through_a_pipe() {
    let folder = Folder::new();
    let mid = folder.path("a.mid");
    for (film, name) in [("film.ts", "-"), ("film.ts", "/dev/stdin"), ("film.mkv", "-")] {
        let (code, said) = folder.piped(film, &[name, "-o", "a.mid"]);
        assert!(code == Some(0) && said.contains("music    4.0"), "{film}: {said}");
        fs::remove_file(&mid).unwrap();
    }
    // Its index is out of reach.
    let (code, said) = folder.piped("film.mp4", &["/dev/stdin", "-o", "a.mid"]);
    let want = "a pipe cannot be read again: where the film's index is at its end, save it to a file";
    assert!(code == Some(1) && said.contains(want) && !mid.exists(), "{said}");

    // What needs a second reading is refused before any work.
    for arguments in [&["-", "-o", "a.mid", "-o", "a.mkv"], &["-", "--thumbnails", "-o", "a.png"] as &[&str]] {
        let (code, said) = folder.piped("film.ts", arguments);
        assert!(code == Some(2) && said.contains("a pipe cannot: save it to a file first"), "{said}");
    }
    assert!(!mid.exists());
    // A file is no pipe, even as standard input.
    let file = || Stdio::from(File::open(folder.path("film.mp4")).unwrap());
    let (code, said) = ended(folder.vmt(&["-", "-o", "a.mid", "-o", "a.mp4"]).stdin(file()));
    assert!(code == Some(0) && mid.exists() && folder.path("a.mp4").exists(), "{said}");
}

/// Reading a film fails at a byte of it, as from a disk that is broken there.
#[test]
fn an_error_of_reading_is_not_the_end() {
    let folder = Folder::new();
    let source = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdio.h>
        #include <string.h>
        #include <unistd.h>
        ssize_t read(int file, void *bytes, size_t count) {
            char link[64], name[4096] = {0};
            snprintf(link, sizeof link, "/proc/self/fd/%d", file);
            if (readlink(link, name, sizeof name - 1) > 0 && strstr(name, "/film.")) {
                off_t left = BROKEN - lseek(file, 0, SEEK_CUR);
                if (left <= 0) { errno = EIO; return -1; }
                if ((off_t)count > left) count = left;
            }
            ssize_t (*system)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
            return system(file, bytes, count);
        }"#;
    fs::write(folder.path("broken.c"), source).unwrap();
    for film in ["film.ts", "film.mp4", "film.mkv", "film.avi"] {
        let length = fs::metadata(folder.path(film)).unwrap().len();
        assert!(length > 300_000, "{film} has {length} bytes");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "broken.c", "-ldl", "-o", "broken.so", "-DBROKEN=200000"]).current_dir(&folder.0);
        assert!(cc.status().expect("this test needs `cc`").success());
        let mut vmt = folder.vmt(&[film, "-o", "a.mid"]);
        let (code, said) = ended(vmt.env("LD_PRELOAD", folder.path("broken.so")));
        let want = format!("vmt: {film}: Input/output error");
        assert!(code == Some(1) && said.contains(&want), "{code:?}, {said}");
        assert!(!folder.path("a.mid").exists());
    }
}

#[test]
fn a_name_that_is_not_utf_8() {
    let folder = Folder::new();
    let name = |bytes: &[u8]| Path::new(OsStr::from_bytes(bytes)).to_owned();
    let [film, mid, mov] = [name(b"caf\xe9.mp4"), name(b"caf\xe9.mid"), name(b"\xff.mov")];
    fs::rename(folder.path("film.mp4"), folder.0.path().join(&film)).unwrap();
    let (code, said) = ended(folder.vmt(&[]).arg(film).arg("-o").arg(&mid).arg("-o").arg(&mov));
    assert_eq!(code, Some(0), "{said}");
    assert!([mid, mov].iter().all(|out| folder.0.path().join(out).exists()));
}

#[test]
fn ffmpegs_own_reason() {
    let folder = Folder::new();
    let film = fs::read(folder.path("film.mp4")).unwrap();
    fs::write(folder.path("cut.mp4"), &film[..film.len() / 2]).unwrap();
    let (code, said) = ended(&mut folder.vmt(&["cut.mp4", "-o", "a.mid"]));
    assert!(code == Some(1) && said.contains("FFmpeg says: moov atom not found (Invalid data found"), "{said}");
    // It is the program's, which may be missing.
    let (code, said) = ended(folder.vmt(&["cut.mp4", "-o", "a.mid"]).env("PATH", ""));
    assert!(code == Some(1) && said.contains("FFmpeg says: Invalid data found"), "{said}");
}
