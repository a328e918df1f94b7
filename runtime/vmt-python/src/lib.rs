//! The Python package `vmt`: `python/vmt/__init__.pyi` says how it is used. This is its module `_vmt`.
//!
//! Decoding, films and rendering run detached from Python, so that its other threads go on; now and then they look at signals
//! (`signals.rs`), so that Ctrl-C stops them.

mod composer;
mod composition;
mod error;
mod film;
mod numpy;
mod options;
mod running;
mod signals;
mod stream;

use pyo3::prelude::*;

/// What Python sees.
#[pymodule]
#[pyo3(name = "_vmt")]
mod module {
    use super::*;

    #[pymodule_export]
    use super::composer::{Composer, compose};
    #[pymodule_export]
    use super::composition::Composition;
    #[pymodule_export]
    use super::error::Error;
    #[pymodule_export]
    use super::stream::{Event, Stream};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // Rust's panic hook prints; a panic becomes an exception, which says the same. The hook is this module's own.
        std::panic::set_hook(Box::new(|_| {}));
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        let built_in = [
            ("tract", cfg!(feature = "tract")),
            ("ort", cfg!(feature = "ort")),
            ("cuda", cfg!(feature = "cuda")),
            ("built-in", cfg!(feature = "built-in")),
            ("piano", cfg!(feature = "piano")),
            ("video", cfg!(feature = "video")),
        ];
        let built_in: Vec<_> = built_in.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        module.add("features", pyo3::types::PyFrozenSet::new(module.py(), built_in)?)
    }
}
