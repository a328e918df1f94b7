//! Ctrl-C while Python is not at work.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::error::Failure;

/// To look at signals may take as long as another thread keeps Python, which is 5 ms by default: not after each event.
const SLICE: Duration = Duration::from_millis(50);

/// Runs the handlers of signals that have come, such as that of Ctrl-C, every now and then. Python runs them in its main thread
/// alone.
#[derive(Debug)]
pub struct Signals(Instant);

impl Default for Signals {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Signals {
    /// Looks, if it is time to; the exception that a handler raised.
    pub fn check(&mut self) -> Result<(), Failure> {
        if self.0.elapsed() < SLICE {
            return Ok(());
        }
        self.0 = Instant::now();
        // An interpreter that is ending has no handlers to run.
        Ok(Python::try_attach(|py| py.check_signals()).unwrap_or(Ok(()))?)
    }
}

/// A file, the writing of which a signal's exception stops.
#[derive(Debug, Default)]
pub struct Heeding<F>(pub F, Signals);

impl<F> Heeding<F> {
    /// This file.
    pub fn new(file: F) -> Self {
        Self(file, Signals::default())
    }
}

impl<F: Write> Write for Heeding<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.check().map_err(|failure| io::Error::other(PyErr::from(failure)))?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<F: Read> Read for Heeding<F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl<F: Seek> Seek for Heeding<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}
