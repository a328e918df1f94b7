//! Standard output and standard error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::{Error, at};

const OUTPUT: &str = "standard output";

/// Prints a line on standard output.
///
/// # Errors
/// Where it cannot be written; [`is_closed_output`] where its reader has left.
pub fn print(line: impl Display) -> Result<(), Error> {
    print_bytes(format!("{line}\n").as_bytes())
}

/// Writes `bytes` to standard output.
///
/// # Errors
/// As [`print()`].
pub fn print_bytes(bytes: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(at(Path::new(OUTPUT)))
}

/// Prints a line on standard error, unless nobody takes it.
pub fn warn(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether an error is that standard output is a pipe whose reader has left, as `head` does: nothing that anybody need be
/// told.
pub fn is_closed_output(error: &anyhow::Error) -> bool {
    let closed = |error: &Error| error.path == Path::new(OUTPUT) && error.error.kind() == ErrorKind::BrokenPipe;
    error.chain().filter_map(|error| error.downcast_ref()).any(closed)
}

/// How a program ends: what failed is printed on standard error behind its name. A reader that has left is no failure.
pub fn end(program: &str, done: anyhow::Result<()>) -> ExitCode {
    match done {
        Err(error) if !is_closed_output(&error) => {
            warn(format_args!("{program}: {error:#}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
