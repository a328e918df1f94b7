//! Where a path leads to.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Error, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The folder that `path` lies in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where a file or folder is that is to be written to `path`: the same for all names of one place, behind symbolic links.
///
/// # Errors
/// Where its folder is missing, its name is too long, a link leads nowhere, or something else than a file or folder is there:
/// a pipe or a device.
pub fn place(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| Error::from(ErrorKind::InvalidFilename))?;
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(parent(path).canonicalize()?.join(name)),
        Err(error) => Err(error),
        Ok(_) => {
            let kind = fs::metadata(path)?.file_type();
            if kind.is_file() || kind.is_dir() {
                return path.canonicalize();
            }
            Err(Error::new(ErrorKind::InvalidInput, "must be a file to write, but is a pipe or a device"))
        }
    }
}

/// All files below a folder with one of these extensions, in upper or lower case, sorted; hidden ones are skipped.
///
/// # Errors
/// Where a folder cannot be read; names it.
pub fn below(folder: &Path, extensions: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let place = || folder.display().to_string();
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(place)? {
        let entry = entry.with_context(place)?;
        let (path, kind) = (entry.path(), entry.file_type().with_context(place)?);
        let wanted = |end: &OsStr| extensions.iter().any(|extension| end.eq_ignore_ascii_case(extension));
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // Not through a link to a folder, which may lead back up.
        if kind.is_dir() {
            files.extend(below(&path, extensions)?);
        } else if path.extension().is_some_and(wanted) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether two paths lead to one file or folder: by their names, or by links of any kind.
pub fn is_same(one: &Path, other: &Path) -> bool {
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

/// A device, and a file on it.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn links() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a"), "old").unwrap();
        fs::create_dir(path("folder")).unwrap();
        fs::hard_link(path("a"), path("hard")).unwrap();
        symlink("a", path("link")).unwrap();
        symlink("..", path("folder/up")).unwrap();
        symlink("missing", path("dangling")).unwrap();
        symlink("/dev/null", path("null")).unwrap();

        let a = path("a").canonicalize().unwrap();
        for name in ["a", "./a", "link", "folder/../a", "folder/up/link"] {
            assert_eq!(place(&path(name)).unwrap(), a, "{name}");
            assert!(is_same(&path(name), &a), "{name}");
        }
        assert!(is_same(&path("hard"), &a));
        assert!(!is_same(&path("new"), &a) && !is_same(&path("new"), &path("new")));
        assert_eq!(place(&path("folder/up/new")).unwrap(), a.with_file_name("new"));

        crate::write(&path("link"), b"new").unwrap();
        assert_eq!((fs::read(path("a")).unwrap(), path("link").is_symlink()), (b"new".to_vec(), true));

        assert!(Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
        for (name, want) in [("dangling", "No such file"), ("null", "a device"), ("fifo", "a pipe")] {
            let error = place(&path(name)).unwrap_err().to_string();
            assert!(error.contains(want), "{name}: {error}");
        }
        let long = "a".repeat(300);
        for name in ["missing/a", "a/b", "..", &long] {
            assert!(place(&path(name)).is_err(), "{name}");
        }
    }
}
