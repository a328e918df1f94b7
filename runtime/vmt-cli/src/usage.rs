//! Errors of a wrong call, which end the program with exit code 2.

use std::fmt::Display;

use clap::error::{Error, ErrorKind};

/// The error of a wrong call.
pub fn wrong(problem: impl Display) -> Error {
    Error::raw(ErrorKind::ValueValidation, format!("{problem}\n"))
}

/// An error unless the call `is_right`.
pub fn ensure(is_right: bool, problem: impl Display) -> Result<(), Error> {
    if is_right { Ok(()) } else { Err(wrong(problem)) }
}
