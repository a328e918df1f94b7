//! Programs in C and C++ against the built library.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::file;

/// The folder that cargo built libvmt_capi.so and .a in.
fn built() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let folder = program.parent().unwrap().to_owned();
    assert!(folder.join("libvmt_capi.so").is_file(), "{}: must hold libvmt_capi.so", folder.display());
    folder
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| {
        panic!("these tests need a C and a C++ compiler, binutils and valgrind: run `make setup`. {command:?}: {error}")
    });
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    output
}

/// Compiles a program, with not one warning.
fn compile(source: &Path, [compiler, standard, language]: [&str; 3], linked: &[&str], program: &Path) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(compiler);
    command.args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-x", language]);
    command.arg(source).args(["-x", "none"]);
    command.arg("-I").arg(here.join("include")).arg("-o").arg(program);
    run(command.args(linked));
}

const C: [&str; 3] = ["cc", "-std=c11", "c"];
const CPP: [&str; 3] = ["c++", "-std=c++17", "c++"];

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).with_extension("c")
}

/// What links the library into the program.
fn archived(library: &Path) -> [String; 4] {
    let archive = library.join("libvmt_capi.a").to_str().unwrap().to_owned();
    [archive, "-lpthread".to_owned(), "-ldl".to_owned(), "-lm".to_owned()]
}

/// Composes with the tiny bundle; the music.
fn compose(runner: &[&str], program: &Path) -> (Vec<u8>, Output) {
    let music = program.with_extension("mid");
    let words: Vec<_> = runner.iter().map(AsRef::as_ref).chain([program.as_os_str()]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(&music).arg(file("onnx/tiny-vmt"));
    // Valgrind knows no AVX-512, and says so to programs that ask.
    let output = run(command.env("LD_LIBRARY_PATH", built()).env("RUST_BACKTRACE", "0"));
    (fs::read(music).unwrap(), output)
}

#[test]
fn the_example_composes_in_c_and_in_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let library = built();
    let shared = ["-L", library.to_str().unwrap(), "-lvmt_capi"];
    let [c, cpp, alone] = ["c", "cpp", "alone"].map(|name| folder.path().join(name));
    compile(&example("compose"), C, &shared, &c);
    compile(&example("compose"), CPP, &shared, &cpp);
    compile(&example("compose"), C, &archived(&library).each_ref().map(String::as_str), &alone);
    let [(music, output), (same, _), (again, _)] = [&c, &cpp, &alone].map(|program| compose(&[], program));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(music.starts_with(b"MThd") && said.contains("tract: ") && output.stderr.is_empty(), "{said}");
    assert!(music == same && music == again);
}

#[test]
fn the_readmes_program_composes() {
    let folder = tempfile::tempdir().unwrap();
    let readme = fs::read_to_string(file("README.md")).unwrap();
    let code = readme.split("```c\n").nth(1).unwrap().split("```").next().unwrap();
    let (source, program) = (folder.path().join("music.c"), folder.path().join("music"));
    fs::write(&source, code).unwrap();
    let library = built();
    let shared = ["-L", library.to_str().unwrap(), "-lvmt_capi"];
    compile(&source, CPP, &shared, &program);
    compile(&source, C, &shared, &program);
    let output = run(Command::new(&program).current_dir(&folder).env("LD_LIBRARY_PATH", &library));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    assert!(fs::read(folder.path().join("music.mid")).unwrap().starts_with(b"MThd"));
}

/// It compiles and runs; its figures are read by hand.
#[test]
fn the_soak_example_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (library, program) = (built(), folder.path().join("soak"));
    let shared = ["-D_DEFAULT_SOURCE", "-L", library.to_str().unwrap(), "-lvmt_capi"];
    compile(&example("soak"), C, &shared, &program);
    let mut command = Command::new(&program);
    let output = command.env("LD_LIBRARY_PATH", &library).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "a call without a bundle is told how");
}

#[test]
fn valgrind_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("compose");
    // The archive has the names of functions, for what is to be suppressed.
    compile(&example("compose"), C, &archived(&built()).each_ref().map(String::as_str), &program);
    let suppressed = format!("--suppressions={}/tests/valgrind.supp", env!("CARGO_MANIFEST_DIR"));
    let leaks = "--errors-for-leak-kinds=definite,indirect,possible";
    let (_, output) = compose(&["valgrind", "--error-exitcode=9", "--leak-check=full", leaks, &suppressed], &program);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("ERROR SUMMARY: 0 errors from 0 contexts") && said.contains("definitely lost: 0 bytes"),
        "{said}"
    );
}

/// The names before a bracket in the header.
fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/vmt.h")).unwrap();
    let code: String = header.split("*/").map(|part| part.split("/*").next().unwrap_or_default()).collect();
    let name = |part: &str| {
        let word = part.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        word.starts_with("vmt_").then(|| word.to_owned())
    };
    code.split('(').filter_map(name).collect()
}

#[test]
fn the_shared_library_exports_what_the_header_declares() {
    let output = run(Command::new("nm").args(["-D", "--defined-only", "-P"]).arg(built().join("libvmt_capi.so")));
    let output = String::from_utf8(output.stdout).unwrap();
    let exported: BTreeSet<_> = output.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert!(exported.len() > 25);
    assert_eq!(exported, declared());
}
