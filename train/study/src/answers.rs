//! Files of answers.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::formats::{Answers, FORMAT, Key};

/// A file of answers is at most so large, in bytes: 200 films with 8 pieces take a quarter of that.
pub const LARGEST: u64 = 1 << 20;

/// Reads a key.
///
/// # Errors
/// Where it is none of this version.
pub fn read_key(path: &Path) -> Result<Key> {
    let at = || path.display().to_string();
    let json = fs::read(path).with_context(at)?;
    let key: Key = serde_json::from_slice(&json)
        .context("must be the key of a study, as `study make` writes it, but is not")
        .with_context(at)?;
    anyhow::ensure!(key.format == FORMAT, "{}: must have format {FORMAT}, but has {}", at(), key.format);
    Ok(key)
}

/// What was read of files of answers.
#[derive(Debug, Default)]
pub struct Collected {
    /// One for each session.
    pub answers: Vec<Answers>,
    /// A line for each file that cannot be used, with its name and what is wrong.
    pub faults: Vec<String>,
}

impl Collected {
    /// Reads the files at `paths`, and those that end in .json in folders among them, in the order of their names.
    ///
    /// # Errors
    /// Where a path is not there.
    pub fn read(paths: &[PathBuf], key: &Key) -> Result<Self> {
        let mut collected = Self::default();
        let mut names = Vec::new();
        for path in paths {
            let at = || path.display().to_string();
            if path.is_dir() {
                let entries = fs::read_dir(path).with_context(at)?.collect::<Result<Vec<_>, _>>().with_context(at)?;
                let files = entries.into_iter().map(|entry| entry.path());
                let mut files: Vec<_> =
                    files.filter(|file| file.extension().is_some_and(|end| end == "json")).collect();
                files.sort();
                names.extend(files);
            } else {
                fs::metadata(path).with_context(at)?;
                names.push(path.clone());
            }
        }
        for name in names {
            match read(&name, key) {
                Ok(answers) => collected.add(answers, &name),
                Err(fault) => collected.faults.push(format!("{}: {fault}", name.display())),
            }
        }
        Ok(collected)
    }

    /// Of two files of one session, that with more films counts: a rater may have saved twice.
    fn add(&mut self, answers: Answers, name: &Path) {
        let same = self.answers.iter_mut().find(|other| other.session == answers.session);
        match same {
            None => self.answers.push(answers),
            Some(other) => {
                let fault = format!("{}: is of the same session as another file ({})", name.display(), answers.name());
                self.faults.push(format!("{fault}; the one with more films counts"));
                if answers.films.len() > other.films.len() {
                    *other = answers;
                }
            }
        }
    }
}

fn read(path: &Path, key: &Key) -> Result<Answers, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > LARGEST {
        return Err(format!("must have at most {LARGEST} bytes, but has {size}"));
    }
    let answers = Answers::parse(&fs::read(path).map_err(|error| error.to_string())?)?;
    answers.check(key)?;
    Ok(answers)
}
