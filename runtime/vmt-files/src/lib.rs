//! Files and folders that appear under their name when they are complete, or not at all.
//!
//! Each is written as a draft in a hidden folder beside its place, `.vmt-*`, and renamed when all of them are ready.
//! The hidden folder holds a file that is locked for as long as its process lives, so a later run can tell which of
//! them were left by a process that was killed, and removes those ([`sweep`]). It is a folder because a child process
//! that outlives its parent could create a removed file again.
//!
//! A symbolic link stays: what it leads to is written. [`print()`] and [`warn()`] write to the standard streams, whose reader
//! may have left.

mod place;
mod streams;

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

pub use place::{below, is_same, parent, place};
pub use streams::{end, is_closed_output, print, print_bytes, warn};

/// A file or folder could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}")]
pub struct Error {
    /// What was to be written.
    pub path: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

/// Writes `bytes` to `path`, replacing what is there.
///
/// # Errors
/// Where the system does not let it; what was there stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut drafts = Drafts::default();
    drafts.of(path).and_then(|draft| fs::write(draft, bytes)).map_err(at(path))?;
    drafts.finish()
}

/// Drafts of files and folders. Those that are not [finished](Self::finish) are removed when this is dropped.
#[derive(Debug, Default)]
pub struct Drafts {
    folders: Vec<DraftFolder>,
    /// Each draft and the path that it gets.
    drafts: Vec<(PathBuf, PathBuf)>,
    /// How many names were given.
    names: usize,
}

impl Drafts {
    /// Where to create the file or folder that is to become `path`, or what the symbolic link there leads to. The name has
    /// the extension of `path`; nothing is there yet, so what is created has the permissions that the umask leaves.
    ///
    /// # Errors
    /// Where [`place`] refuses `path`, or no hidden folder can be created beside it.
    pub fn of(&mut self, path: &Path) -> io::Result<PathBuf> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let place = place(path)?;
        let draft = self.scratch(&place, &extension)?;
        self.drafts.push((draft.clone(), place));
        Ok(draft)
    }

    /// Forgets a draft that could not be completed.
    pub fn abandon(&mut self, draft: &Path) {
        self.drafts.retain(|(known, _)| known != draft);
    }

    /// Where to create a file that is needed on the way to `path` and goes away in the end.
    ///
    /// # Errors
    /// Where no hidden folder can be created beside `path`.
    pub fn scratch(&mut self, path: &Path, extension: &str) -> io::Result<PathBuf> {
        let parent = parent(path);
        let known = self.folders.iter().position(|folder| folder.path.parent() == Some(parent));
        if known.is_none() {
            self.folders.push(DraftFolder::new(parent)?);
        }
        self.names += 1;
        let folder = &self.folders[known.unwrap_or(self.folders.len() - 1)];
        Ok(folder.path.join(self.names.to_string()).with_extension(extension))
    }

    /// Renames all drafts to their paths, the first one last. What is there is replaced; a folder is moved aside first,
    /// because no system call replaces one that is not empty, and moved back if its successor cannot take its place.
    ///
    /// # Errors
    /// Where the system does not let it: the first of them, after all others have been renamed.
    pub fn finish(mut self) -> Result<(), Error> {
        let mut finished = Ok(());
        for (draft, path) in std::mem::take(&mut self.drafts).into_iter().rev() {
            finished = finished.and(self.rename(&draft, &path).map_err(at(&path)));
        }
        finished
    }

    fn rename(&mut self, draft: &Path, path: &Path) -> io::Result<()> {
        if !(draft.is_dir() && path.is_dir()) {
            return fs::rename(draft, path);
        }
        let aside = self.scratch(path, "old")?;
        fs::rename(path, &aside)?;
        fs::rename(draft, path).inspect_err(|_| {
            // The error to report is the first.
            let _ = fs::rename(&aside, path);
        })
    }
}

/// What the name of a hidden folder begins with.
const HIDDEN: &str = ".vmt-";
/// The file in it that is locked as long as its process lives.
const LOCK: &str = "lock";

/// A hidden folder, which is removed with all that is in it when this is dropped.
#[derive(Debug)]
struct DraftFolder {
    path: PathBuf,
    /// `None` when the folder is being removed.
    lock: Option<File>,
}

impl DraftFolder {
    fn new(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        loop {
            // tempfile's error names the hidden folder, of which nobody wants to read.
            let hidden = tempfile::Builder::new().prefix(HIDDEN).tempdir_in(parent);
            let path = hidden.map_err(|error| io::Error::from(error.kind()))?.keep();
            let lock = match File::create(path.join(LOCK)) {
                // Swept before it was locked.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                lock => lock.inspect_err(|_| drop(fs::remove_dir(&path)))?,
            };
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) => {}
                Ok(()) if !lock_is_in(&path) => {}
                // On a file system without locks, nobody sweeps.
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(Self { path, lock: Some(lock) }),
            }
        }
    }
}

impl Drop for DraftFolder {
    fn drop(&mut self) {
        remove(&self.path, self.lock.take());
    }
}

/// Removes the hidden folders in `parent` whose process has ended. What cannot be removed is left for the next run.
pub fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_name().as_encoded_bytes().starts_with(HIDDEN.as_bytes()) || !path.is_dir() {
            continue;
        }
        // One without a lock lost it when it was removed by halves, or has not got it yet.
        let Ok(lock) = File::create(path.join(LOCK)) else { continue };
        if lock.try_lock().is_ok() && lock_is_in(&path) {
            remove(&path, Some(lock));
        }
    }
}

/// Whether what was locked is still there: the process that held the lock before may have removed it.
fn lock_is_in(folder: &Path) -> bool {
    folder.join(LOCK).exists()
}

/// Renames the folder first: then neither a child process that still writes nor another run that is about to lock it
/// can create anything in it. The lock's descriptor may be the last one, which reading a folder needs.
fn remove(folder: &Path, lock: Option<File>) {
    let mut gone = folder.as_os_str().to_owned();
    gone.push("-");
    // What cannot be removed now is left for the next run.
    let _ = fs::rename(folder, &gone).and_then(|()| {
        drop(lock);
        fs::remove_dir_all(gone)
    });
}

fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| Error { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "lock").collect();
        names.sort();
        names
    }

    #[test]
    fn all_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a.mid", "b.wav"].map(|name| folder.path().join(name));
        fs::write(&a, "old").unwrap();
        let mut drafts = Drafts::default();
        fs::write(drafts.scratch(&a, "txt").unwrap(), "").unwrap();
        fs::write(drafts.of(&a).unwrap(), "new").unwrap();
        fs::write(drafts.of(&b).unwrap(), "new").unwrap();
        assert_eq!(fs::read_to_string(&a).unwrap(), "old");
        assert!(!b.exists());
        assert_eq!(drafts.folders.len(), 1);
        assert_eq!(names(&drafts.folders[0].path), ["1.txt", "2.mid", "3.wav"]);
        drafts.finish().unwrap();
        assert_eq!(fs::read_to_string(&a).unwrap(), "new");
        assert_eq!(names(folder.path()), ["a.mid", "b.wav"]);

        fs::write(Drafts::default().of(&a).unwrap(), "newer").unwrap();
        assert_eq!(fs::read_to_string(&a).unwrap(), "new");
        assert_eq!(names(folder.path()), ["a.mid", "b.wav"]);
    }

    #[test]
    fn folders_too() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("bundle");
        for content in ["old", "new"] {
            let mut drafts = Drafts::default();
            let draft = drafts.of(&path).unwrap();
            fs::create_dir(&draft).unwrap();
            fs::write(draft.join(content), content).unwrap();
            drafts.finish().unwrap();
            assert_eq!(names(&path), [content]);
            assert_eq!(names(place.path()), ["bundle"]);
        }
        // A draft that was never created cannot take the place of what is there.
        let mut drafts = Drafts::default();
        drafts.of(&path).unwrap();
        let error = drafts.finish().unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        assert_eq!(names(&path), ["new"]);
        assert_eq!(names(place.path()), ["bundle"]);
    }

    #[test]
    fn only_what_nobody_writes_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut living = Drafts::default();
        let draft = living.of(&path("a.mid")).unwrap();
        fs::write(&draft, "music").unwrap();
        for dead in [".vmt-locked", ".vmt-new", ".vmt-half"] {
            fs::create_dir(path(dead)).unwrap();
        }
        fs::write(path(".vmt-locked/lock"), "").unwrap();
        fs::write(path(".vmt-locked/1.wav"), "half").unwrap();
        fs::write(path(".vmt-half/1.wav"), "half").unwrap();
        fs::create_dir(path(".other")).unwrap();
        fs::write(path(".vmt-file"), "not ours").unwrap();

        write(&path("b.mid"), b"music").unwrap();
        assert!(draft.exists());
        assert_eq!(names(folder.path()).len(), 4, "{:?}", names(folder.path()));
        living.finish().unwrap();
        assert_eq!(names(folder.path()), [".other", ".vmt-file", "a.mid", "b.mid"]);
    }

    /// Writers that sweep each other's folder never lose a file.
    #[test]
    fn many_at_once() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let folder = folder.path();
                scope.spawn(move || {
                    for number in 0..50 {
                        write(&folder.join(format!("{writer}-{number}.mid")), b"music").unwrap();
                    }
                });
            }
        });
        assert_eq!(names(folder.path()).len(), 200);
    }
}
