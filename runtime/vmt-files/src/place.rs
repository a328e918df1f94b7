//! Where a path leads to.

use std::fs;
use std::io::{self, Error, ErrorKind};
use std::path::{Path, PathBuf};

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
