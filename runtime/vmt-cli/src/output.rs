//! Files that appear whole or not at all.

use std::{ffi::OsString, fs, io::Write, path::Path};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

/// Writes `bytes` beside `path` under another name, then renames: whatever goes wrong, what was there stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = temporary(path)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        std::io::Result::Ok(())
    };
    write().with_context(|| path.display().to_string())
}

/// A file beside `path`, with the same extension, that is gone unless it is renamed.
pub fn temporary(path: &Path) -> std::io::Result<NamedTempFile> {
    let mut suffix = OsString::from(".");
    suffix.push(path.extension().unwrap_or_default());
    let file = tempfile::Builder::new().prefix(".vmt-").suffix(&suffix).tempfile_in(folder(path))?;
    // A temporary file is its owner's alone; this one is to be as any other new file.
    #[cfg(unix)]
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    Ok(file)
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
