//! Errors of a wrong call, which end the program with exit code 2.

use std::fmt::Display;
use std::num::NonZeroUsize;

use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::error::{Error, ErrorKind};

/// The error of a wrong call.
pub fn wrong(problem: impl Display) -> Error {
    Error::raw(ErrorKind::ValueValidation, format!("{problem}\n"))
}

/// Parses 1 to `most`.
pub fn count(most: usize) -> impl TypedValueParser<Value = NonZeroUsize> {
    RangedU64ValueParser::<usize>::new().range(1..=most as u64).try_map(NonZeroUsize::try_from)
}

/// An error unless the call `is_right`.
pub fn ensure(is_right: bool, problem: impl Display) -> Result<(), Error> {
    if is_right { Ok(()) } else { Err(wrong(problem)) }
}
