//! What can be wrong with a call, found before any work.

use std::fmt::Display;
use std::path::Path;

use anyhow::Result;
use clap::error::{Error, ErrorKind};

/// The error of a wrong call, which ends the program with exit code 2.
pub fn wrong(problem: impl Display) -> Error {
    Error::raw(ErrorKind::ValueValidation, format!("{problem}\n"))
}

/// An error unless the call `is_right`.
pub fn ensure(is_right: bool, problem: impl Display) -> Result<(), Error> {
    if is_right { Ok(()) } else { Err(wrong(problem)) }
}

/// An error where no file or folder can be written to `path`, or one of the `inputs` is there, by this or another name.
pub fn check_output(path: &Path, inputs: &[&Path]) -> Result<()> {
    let at = |problem: &dyn Display| wrong(format!("{}: {problem}", path.display()));
    let place = vmt_files::place(path).map_err(|error| at(&error))?;
    let same = inputs.iter().find(|input| vmt_files::is_same(&place, input));
    if let Some(input) = same {
        return Err(at(&format!("is the input {}, which must stay", input.display())).into());
    }
    vmt_files::Drafts::default().of(&place).map_err(|error| at(&format!("cannot be written: {error}")))?;
    Ok(())
}
