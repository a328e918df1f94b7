//! The command: from a film to a file, and what it says of bad calls and bad films.

mod calls;
mod click;
mod files;
mod films;
mod records;
mod tokens;

use std::{
    fs,
    path::PathBuf,
    process::{Command, ExitCode},
    time::Duration,
};

use tempfile::TempDir;
use vmt::{Score, midi};

use crate::support::{file, milliseconds};

/// A folder to work in.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The arguments that are in `call`, parted by spaces: `@` stands for this folder, `%` for the repository and `?` for
    /// a picture's number (FFmpeg's `%d`).
    fn arguments(&self, call: &str) -> Vec<String> {
        let (here, repository) = (format!("{}/", self.0.path().display()), format!("{}/", file("").display()));
        let place = |word: &str| word.replace('@', &here).replace('%', &repository).replace('?', "%d");
        ["vmt"].into_iter().chain(call.split_whitespace()).map(place).collect()
    }

    /// Runs the command, which must succeed.
    #[track_caller]
    fn vmt(&self, call: &str) {
        assert_eq!(exit_code(vmt_cli::run(self.arguments(call))), exit_code(ExitCode::SUCCESS), "vmt {call}");
    }

    /// Composes for the demo; returns the file's bytes.
    #[track_caller]
    fn demo(&self, options: &str) -> Vec<u8> {
        self.vmt(&format!("compose %tests/data/demo.mp4 -o @demo.mid {options}"));
        let bytes = fs::read(self.path("demo.mid")).unwrap();
        fs::remove_file(self.path("demo.mid")).unwrap();
        bytes
    }

    /// Runs the command, which must fail with `code` and say `want`, and leave every file as it is.
    #[track_caller]
    fn fails(&self, code: u8, call: &str, want: &str) {
        let before = self.files();
        let error = format!("{:#}", vmt_cli::execute(self.arguments(call)).expect_err(call));
        assert!(error.contains(&want.replace('@', &format!("{}/", self.0.path().display()))), "{error}, not {want}");
        assert_eq!(exit_code(vmt_cli::run(self.arguments(call))), exit_code(ExitCode::from(code)), "vmt {call}");
        assert!(self.files() == before, "vmt {call} has left something behind");
    }

    /// Every file, hidden ones too, and what is in it.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.map(|path| (path.clone(), fs::read(path).unwrap_or_default())).collect();
        files.sort();
        files
    }

    #[track_caller]
    fn ffmpeg(&self, call: &str) {
        let status = Command::new("ffmpeg").args(["-v", "error"]).args(&self.arguments(call)[1..]).status();
        let status = status.unwrap_or_else(|error| panic!("these tests need `ffmpeg`: run `make setup`. {error}"));
        assert!(status.success(), "ffmpeg {call}");
    }
}

/// An exit code in a form that can be compared.
fn exit_code(code: ExitCode) -> String {
    format!("{code:?}")
}

/// The music of a file of ours, which must end after `ms` milliseconds, with every note that begins in it.
#[track_caller]
fn music(bytes: &[u8], ms: u32) -> Score {
    assert!(milliseconds(bytes).abs_diff(ms) <= 10, "{} ms, not {ms}", milliseconds(bytes));
    let smf = midly::Smf::parse(bytes).unwrap();
    let (mut down, mut struck) = ([0_usize; 128], 0);
    for event in smf.tracks.iter().flatten() {
        match event.kind {
            midly::TrackEventKind::Midi { message: midly::MidiMessage::NoteOn { key, .. }, .. } => {
                down[usize::from(key.as_int())] += 1;
                struck += 1;
                assert_eq!(down[usize::from(key.as_int())], 1, "key {key} is struck while it is down");
            }
            midly::TrackEventKind::Midi { message: midly::MidiMessage::NoteOff { key, .. }, .. } => {
                let key = &mut down[usize::from(key.as_int())];
                *key = key.checked_sub(1).expect("no note-off without its note-on");
            }
            _ => {}
        }
    }
    assert_eq!(down, [0; 128], "no key stays down");
    let score = Score::quantise(&midi::read(bytes, midi::Sustain::Apply).unwrap(), Duration::from_millis(ms.into()));
    assert_eq!(score.notes().len(), struck);
    score
}
