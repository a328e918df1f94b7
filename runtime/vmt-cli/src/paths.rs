//! What can be known of a path on the command line before any work.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Whether a name stands for standard output, or input.
pub fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// An error before any work where `path` is a folder or its parent is not one.
pub fn check(path: &Path) -> Result<()> {
    ensure!(!path.is_dir(), "{}: must be a file to write, but is a folder", path.display());
    let folder = vmt_files::parent(path);
    let is_folder = fs::metadata(folder).with_context(|| folder.display().to_string())?.is_dir();
    ensure!(is_folder, "{}: must be a folder to write in, but is a file", folder.display());
    Ok(())
}
