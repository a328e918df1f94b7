//! What can be known of a path on the command line before any work.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use vmt_files::Drafts;

use crate::usage;

/// Whether a name stands for standard output, or input.
pub fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// An error before any work where no file can be written to `path`, or it is one of the `inputs`, by this or another name.
/// An input that is a folder stands for the files in it.
pub fn check(path: &Path, inputs: &[PathBuf]) -> Result<()> {
    let wrong = |path: &Path, problem: &dyn std::fmt::Display| usage::wrong(format!("{}: {problem}", path.display()));
    let folder = vmt_files::parent(path);
    let is_folder = fs::metadata(folder).map_err(|error| wrong(folder, &error))?.is_dir();
    usage::ensure(is_folder, format!("{}: must be a folder to write in, but is a file", folder.display()))?;
    let place = vmt_files::place(path).map_err(|error| wrong(path, &error))?;
    usage::ensure(!place.is_dir(), format!("{}: must be a file to write, but is a folder", path.display()))?;
    Drafts::default().of(&place).map_err(|error| wrong(folder, &format!("cannot be written in: {error}")))?;

    for input in inputs {
        let files = fs::read_dir(input).into_iter().flatten().flatten().map(|entry| entry.path());
        let input = files.chain([input.clone()]).find(|input| vmt_files::is_same(&place, input));
        if let Some(input) = input {
            let problem = if input == path {
                "is an input, which must stay".to_owned()
            } else {
                format!("is the input {}, which must stay", input.display())
            };
            return Err(wrong(path, &problem).into());
        }
    }
    Ok(())
}
