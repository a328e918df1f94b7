//! What can be known of a shared library without running code of it.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Its first MiB, where the names are that it has and wants.
pub(super) fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(1 << 20).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The system's loader's own words, which are one level down.
pub(super) fn loader_says(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| cause.to_string())
}
