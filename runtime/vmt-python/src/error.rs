//! Errors of the libraries as exceptions.

use std::io;
use std::path::Path;

use pyo3::exceptions::{PyException, PyOSError, PyValueError};
use pyo3::prelude::*;

pyo3::create_exception!(
    vmt,
    Error,
    PyException,
    "A film, a model or an engine is not as it must be. Wrong calls are ValueError or TypeError, and what the system says of files is \
     OSError."
);

/// An exception to be raised.
#[derive(Debug)]
pub struct Failure(PyErr);

impl Failure {
    /// A wrong call.
    pub fn value(message: impl Into<String>) -> Self {
        Self(PyValueError::new_err(message.into()))
    }

    /// The package lacks something, or a film is not as it must be.
    pub fn other(message: impl Into<String>) -> Self {
        Self(Error::new_err(message.into()))
    }

    /// What the system said of a file; Python finds the class by its number.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        let said = error.to_string();
        let Some(number) = error.raw_os_error() else {
            return Self(PyOSError::new_err(format!("{}: {said}", path.display())));
        };
        let said = said.strip_suffix(&format!(" (os error {number})")).unwrap_or(&said).to_owned();
        Self(PyOSError::new_err((number, said, path.as_os_str().to_owned())))
    }
}

impl From<Failure> for PyErr {
    fn from(Failure(error): Failure) -> Self {
        error
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self(error)
    }
}

impl From<vmt::Error> for Failure {
    fn from(error: vmt::Error) -> Self {
        match &error {
            vmt::Error::Io { path, error } => Self::io(path, error),
            vmt::Error::Option { .. } | vmt::Error::Markers { .. } => Self::value(error.to_string()),
            _ => Self::other(error.to_string()),
        }
    }
}

#[cfg(feature = "video")]
impl From<vmt_video::Error> for Failure {
    fn from(error: vmt_video::Error) -> Self {
        match error {
            vmt_video::Error::Io { path, error } => Self::io(&path, &error),
            vmt_video::Error::Clip(error) => error.into(),
            error => Self::other(error.to_string()),
        }
    }
}

impl From<vmt_render::Error> for Failure {
    fn from(error: vmt_render::Error) -> Self {
        match error {
            // An exception that stopped the rendering, if it is one; see `signals::Heeding`.
            vmt_render::Error::Io(error) => Self(error.into()),
            error @ vmt_render::Error::TooLong { .. } => Self::value(error.to_string()),
            error => Self::other(error.to_string()),
        }
    }
}

impl From<vmt_files::Error> for Failure {
    fn from(vmt_files::Error { path, error }: vmt_files::Error) -> Self {
        Self::io(&path, &error)
    }
}
