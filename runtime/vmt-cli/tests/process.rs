//! What only a process of its own shows: its standard output, its umask, the libraries that it loads.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

fn vmt(arguments: &[&str]) -> Command {
    let mut vmt = Command::new(env!("CARGO_BIN_EXE_vmt"));
    vmt.args(arguments);
    vmt
}

/// Runs the command, which must end with `code`; returns what it printed.
#[track_caller]
fn run(command: &mut Command, code: i32) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert_eq!(status.code(), Some(code), "{command:?}: {said}");
    said
}

fn demo() -> String {
    [env!("CARGO_MANIFEST_DIR"), "../../tests/data/demo.mp4"].iter().collect::<PathBuf>().display().to_string()
}

fn library() -> PathBuf {
    let library = env::var_os("ORT_DYLIB_PATH").expect(".cargo/config.toml names ONNX Runtime's library");
    PathBuf::from(library).canonicalize().expect("these tests need ONNX Runtime: run `make setup`, which fetches it")
}

#[test]
fn doctor_tries_every_engine() {
    let said = run(&mut vmt(&["doctor"]), 0);
    for want in
        ["tract    works: ", "ort      works: ", "no engine cuda: /", ".so is built without CUDA; ", "\nGPU      "]
    {
        assert!(said.contains(want), "{said}");
    }
}

/// The library of these tests is built without it.
#[test]
fn cuda_that_is_missing_is_an_error_before_any_work() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("a.mid").display().to_string();
    let want = format!("vmt: cuda: {} is built without CUDA; ", library().display());
    for call in [["compose", &demo(), "-o", &out].as_slice(), &["serve", "--listen", "127.0.0.1:0"]] {
        let mut vmt = vmt(call);
        vmt.args(["--engine", "cuda"]).env("ORT_DYLIB_PATH", library());
        let said = run(&mut vmt, 1);
        assert!(said.contains(&want), "{said}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn inspect_says_what_a_bundle_is() {
    let built_in = run(&mut vmt(&["inspect"]), 0);
    let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../onnx");
    let bundle = |name: &str| run(&mut vmt(&["inspect", onnx.join(name).to_str().unwrap()]), 0);
    assert_eq!(built_in, bundle("vmt-beat"));
    for (name, frames) in
        [("tiny-vmt", "40 of 32 x 32, one every 250 ms"), ("vmt-small", "40 of 64 x 64, one every 250 ms")]
    {
        let said = bundle(name);
        assert!(said.contains(&format!("frames       {frames}")), "{said}");
        assert!(said.contains("vocabulary   performance-310, at most "), "{said}");
        assert!(said.contains("tract        when exported: encoder to "), "{said}");
    }
}

#[test]
fn a_plan_is_printed() {
    let folder = TempDir::new().unwrap();
    let hits = folder.path().join("hits.txt");
    fs::write(&hits, "6.5 the door\n").unwrap();
    let said = run(&mut vmt(&["compose", &demo(), "--plan", "--hits", hits.to_str().unwrap(), "--hit", "1"]), 0);
    for want in [
        " beats a minute, ",
        "hit          1.000 s  downbeat  bar 2 beat 1    beat +0 ms\n",
        "hit          4.000 s  cut       bar ",
        "beat +0 ms  the door\n",
        "; chance meets ",
        "from         0.000 s  bar 1 beat ",
    ] {
        assert!(said.contains(want), "{said}");
    }
}

/// Standard input cannot be read twice: for its cuts and for the music.
#[test]
fn what_is_read_once_has_steady_beats() {
    let folder = TempDir::new().unwrap();
    let frames = folder.path().join("frames.rgb");
    fs::write(&frames, vec![90; 3 * 8 * 6 * 20]).unwrap();
    let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../onnx/vmt-beat");
    let out = folder.path().join("a.mid");
    let mut vmt = vmt(&["compose", "--frames", "-", "--size", "8x6", "--fps", "10", "-o", out.to_str().unwrap()]);
    vmt.arg("--bundle").arg(onnx).stdin(fs::File::open(&frames).unwrap());
    let said = run(&mut vmt, 0);
    let want = "vmt: -: can be read once only or is longer than a day, so its beats are steady, 80 a minute, and its \
                density and loudness do not follow the picture\n";
    assert!(said.contains(want) && said.contains("tempo    80 beats a minute, 4/4, steady\n"), "{said}");
}

/// Whatever a limit of file descriptors lets a run do, it leaves no hidden folder.
#[test]
fn few_descriptors_leave_nothing_hidden() {
    let folder = TempDir::new().unwrap();
    let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../onnx/tiny-vmt");
    for limit in 4..16 {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {limit} && exec \"$@\""), "sh", env!("CARGO_BIN_EXE_vmt")]);
        shell.args(["compose", &demo(), "--end", "1", "--engine", "tract", "--bundle"]).arg(&onnx);
        for name in ["mid", "mp4", "mkv", "json"] {
            shell.arg("-o").arg(folder.path().join("a").with_extension(name));
        }
        let done = shell.output().unwrap();
        assert!(matches!(done.status.code(), Some(0..=2)), "{limit} descriptors: {done:?}");
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let hidden: Vec<_> = names.filter(|name| name.as_encoded_bytes().starts_with(b".")).collect();
        assert!(hidden.is_empty(), "{limit} descriptors leave {hidden:?}");
    }
}

#[test]
fn files_have_the_mode_that_the_umask_leaves() {
    let folder = TempDir::new().unwrap();
    for (umask, mode) in [("077", 0o600), ("027", 0o640), ("022", 0o644)] {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask} && exec \"$@\""), "sh", env!("CARGO_BIN_EXE_vmt")]);
        shell.args(["compose", &demo(), "--end", "1", "--original-volume", "0.5"]);
        let names = ["mid", "wav", "mp4", "mkv", "png", "svg", "musicxml", "json"];
        for name in names {
            shell.arg("-o").arg(folder.path().join("a").with_extension(name));
        }
        run(&mut shell, 0);
        for name in names {
            let file = fs::metadata(folder.path().join("a").with_extension(name)).unwrap();
            assert_eq!(file.permissions().mode() & 0o777, mode, "{name} under {umask}");
        }
    }
}

/// A copy of the library that says it is of the first version with telemetry.
fn newer_library(folder: &Path) -> PathBuf {
    const MARK: &[u8] = b"VERS_1.";
    let mut bytes = fs::read(library()).unwrap();
    let places: Vec<_> = (0..bytes.len() - 9).filter(|&at| bytes[at..].starts_with(MARK)).collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place + MARK.len()..][..2].copy_from_slice(b"29");
    }
    let path = folder.join("libonnxruntime.so");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_library_with_telemetry_is_refused() {
    let folder = TempDir::new().unwrap();
    let library = newer_library(folder.path());
    let out = folder.path().join("a.mid");
    let compose = |engine| {
        let mut vmt = vmt(&["compose", &demo(), "--end", "1", "--engine", engine, "-o", out.to_str().unwrap()]);
        vmt.env("ORT_DYLIB_PATH", &library).env_remove("ORT_DISABLE_TELEMETRY");
        vmt
    };
    let refused = "ONNX Runtime 1.29 is refused, because versions from 1.29 on send telemetry; take an older one, or set \
                   ORT_DISABLE_TELEMETRY=1 in the environment";
    let said = run(&mut compose("ort"), 1);
    assert!(said.contains(refused), "{said}");
    let said = run(compose("ort").env("ORT_DISABLE_TELEMETRY", "0"), 1);
    assert!(said.contains(refused), "{said}");
    let said = run(&mut compose("auto"), 0);
    assert!(said.contains("engine   tract, not ort: ") && said.contains(refused), "{said}");
    let said = run(compose("auto").env("ORT_DISABLE_TELEMETRY", "1"), 0);
    assert!(said.contains("engine   ort\n"), "{said}");
}

#[test]
fn a_library_that_is_missing_is_told() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("a.mid");
    let mut vmt = vmt(&["compose", &demo(), "--end", "1", "-o", out.to_str().unwrap()]);
    let said = run(vmt.env("ORT_DYLIB_PATH", folder.path().join("none.so")), 0);
    assert!(said.contains("engine   tract, not ort: ONNX Runtime 1.24 or newer is needed"), "{said}");
}

/// Runs the command with a standard output that nobody reads, which must end it without a word.
#[track_caller]
fn unread(arguments: &[&str]) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let Output { status, stderr, .. } = vmt(arguments).stdout(writer).output().unwrap();
    assert_eq!((status.code(), stderr), (Some(0), vec![]), "{arguments:?}");
}

#[test]
fn a_reader_may_leave() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (film, mid) = (demo(), path("a.mid"));
    fs::write(path("ids.json"), r#"{"ids": [1]}"#).unwrap();
    unread(&["doctor"]);
    unread(&["inspect"]);
    unread(&["--help"]);
    unread(&["completions", "bash"]);
    unread(&["man"]);
    unread(&["compose", &film, "--end", "1", "-o", &mid]);
    assert!(fs::read(&mid).unwrap().starts_with(b"MThd"));
    unread(&["tokens", "encode", &mid]);
    unread(&["tokens", "decode", &path("ids.json"), "-o", &path("b.mid")]);
    unread(&["compose", &film, "--end", "1", "-o", "-"]);
    unread(&["compose", &film, "--events"]);
    // The file is written all the same.
    fs::remove_file(&mid).unwrap();
    unread(&["compose", &film, "--end", "1", "--events", "--quiet", "-o", &mid]);
    assert!(fs::read(&mid).unwrap().starts_with(b"MThd"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_device_is_an_error() {
    let folder = TempDir::new().unwrap();
    let mid = folder.path().join("a.mid").display().to_string();
    let film = demo();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for arguments in [
        &["doctor"] as &[&str],
        &["compose", &film, "--end", "1", "-o", &mid],
        &["compose", &film, "--end", "1", "-o", "-"],
        &["compose", &film, "--end", "1", "--events"],
    ] {
        let Output { status, stderr, .. } = vmt(arguments).stdout(full()).output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("vmt: standard output: No space left on device"), "{arguments:?}: {said}");
    }
    assert_eq!(vmt(&["compose"]).stderr(full()).status().unwrap().code(), Some(2));
    assert_eq!(vmt(&["inspect", "missing"]).stderr(full()).status().unwrap().code(), Some(1));
}

#[test]
fn quiet_and_verbose() {
    let folder = TempDir::new().unwrap();
    let (film, mid) = (demo(), folder.path().join("a.mid").display().to_string());
    let compose = |option: &str| run(&mut vmt(&["compose", &film, "--end", "1", option, "-o", &mid]), 0);
    assert_eq!(compose("--quiet"), "");
    let said = compose("--verbose");
    for want in ["wrote    ", "library  ", "threads  1\n", "options  {\"sampling\""] {
        assert!(said.contains(want), "{said}");
    }
}

#[test]
fn what_a_package_installs() {
    let script = run(&mut vmt(&["completions", "bash"]), 0);
    assert!(script.contains("--original-volume"), "{script}");
    let page = run(&mut vmt(&["man", "compose"]), 0);
    assert!(page.starts_with(".ie") && page.contains(".TH") && page.contains("original"), "{page}");
}
