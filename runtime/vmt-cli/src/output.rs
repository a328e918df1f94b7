//! Files that appear whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Writes `bytes` beside `path` under another name, then renames: whatever goes wrong, what was there stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut drafts = Drafts::default();
    drafts.of(path).and_then(|draft| fs::write(draft, bytes)).with_context(|| path.display().to_string())?;
    drafts.finish()
}

/// Files in the making, in a workshop beside the place of each. What is not finished is gone in the end.
#[derive(Default)]
pub struct Drafts {
    workshops: Vec<Workshop>,
    /// Drafts, and what they are to be.
    drafts: Vec<(PathBuf, PathBuf)>,
    /// So many names were given.
    names: usize,
}

impl Drafts {
    /// Where to write what is to be `path`: under a name with the same extension.
    pub fn of(&mut self, path: &Path) -> io::Result<PathBuf> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let draft = self.aside(path, &extension)?;
        self.drafts.push((draft.clone(), path.to_owned()));
        Ok(draft)
    }

    /// Where to write what is needed on the way to `path`.
    pub fn aside(&mut self, path: &Path, extension: &str) -> io::Result<PathBuf> {
        let folder = folder(path);
        let known = self.workshops.iter().position(|workshop| workshop.path.parent() == Some(folder));
        if known.is_none() {
            self.workshops.push(Workshop::new(folder)?);
        }
        self.names += 1;
        let workshop = &self.workshops[known.unwrap_or(self.workshops.len() - 1)];
        Ok(workshop.path.join(format!("{}.{extension}", self.names)))
    }

    /// Puts every file in its place, those that were named first last.
    pub fn finish(self) -> Result<()> {
        for (draft, path) in self.drafts.iter().rev() {
            fs::rename(draft, path).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }
}

/// What the name of a workshop begins with.
const HIDDEN: &str = ".vmt-";
/// The file in a workshop that is locked as long as somebody works there; the lock goes with its process, however that ends.
const LOCK: &str = "lock";

/// A hidden folder for files in the making. Unlike a file, it is not made again by an `ffmpeg` whose `vmt` was killed.
struct Workshop {
    path: PathBuf,
    _lock: File,
}

impl Workshop {
    fn new(folder: &Path) -> io::Result<Self> {
        sweep(folder);
        loop {
            let path = tempfile::Builder::new().prefix(HIDDEN).tempdir_in(folder)?.keep();
            let lock = match File::create(path.join(LOCK)) {
                // Swept before it was locked.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                lock => lock?,
            };
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) => {}
                Ok(()) if !lock_is_in(&path) => {}
                // Where there are no locks, nobody sweeps.
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(Self { path, _lock: lock }),
            }
        }
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes the workshops in `folder` that nobody works in any more.
pub fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_name().as_encoded_bytes().starts_with(HIDDEN.as_bytes()) || !path.is_dir() {
            continue;
        }
        // One without a lock lost it when it was removed by halves, or has not got it yet.
        let Ok(lock) = File::create(path.join(LOCK)) else { continue };
        if lock.try_lock().is_ok() && lock_is_in(&path) {
            remove(&path);
        }
    }
}

/// Whether what was locked is still there: whoever had it before may have removed it.
fn lock_is_in(workshop: &Path) -> bool {
    workshop.join(LOCK).exists()
}

/// Under its name nobody can make anything in it any more: neither an `ffmpeg` without its `vmt` nor who has yet to lock it.
fn remove(workshop: &Path) {
    let mut gone = workshop.as_os_str().to_owned();
    gone.push("-");
    // What cannot be removed now is left for the next.
    let _ = fs::rename(workshop, &gone).and_then(|()| fs::remove_dir_all(gone));
}

/// Whether a name stands for standard output, or input.
pub fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// An error now, instead of after minutes of work, where `path` is a folder or lies in none.
pub fn check(path: &Path) -> Result<()> {
    anyhow::ensure!(!path.is_dir(), "{}: must be a file to write, but is a folder", path.display());
    let folder = folder(path);
    let is_folder = fs::metadata(folder).with_context(|| folder.display().to_string())?.is_dir();
    anyhow::ensure!(is_folder, "{}: must be a folder to write in, but is a file", folder.display());
    Ok(())
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
        fs::write(drafts.aside(&a, "txt").unwrap(), "").unwrap();
        fs::write(drafts.of(&a).unwrap(), "new").unwrap();
        fs::write(drafts.of(&b).unwrap(), "new").unwrap();
        assert_eq!(fs::read_to_string(&a).unwrap(), "old");
        assert!(!b.exists());
        assert_eq!(drafts.workshops.len(), 1);
        assert_eq!(names(&drafts.workshops[0].path), ["1.txt", "2.mid", "3.wav"]);
        drafts.finish().unwrap();
        assert_eq!(fs::read_to_string(&a).unwrap(), "new");
        assert_eq!(names(folder.path()), ["a.mid", "b.wav"]);

        fs::write(Drafts::default().of(&a).unwrap(), "newer").unwrap();
        assert_eq!(fs::read_to_string(&a).unwrap(), "new");
        assert_eq!(names(folder.path()), ["a.mid", "b.wav"]);
    }

    #[test]
    fn what_the_dead_left_goes_and_the_living_stay() {
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
