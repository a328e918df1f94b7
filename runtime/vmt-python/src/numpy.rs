//! Arrays, through NumPy's Python interface: whichever version is there.

use pyo3::prelude::*;
use pyo3::types::PyByteArray;

/// A one-dimensional array of what `bytes` hold.
pub fn array<'py>(py: Python<'py>, bytes: &[u8], dtype: impl IntoPyObject<'py>) -> PyResult<Bound<'py, PyAny>> {
    py.import("numpy")?.call_method1("frombuffer", (PyByteArray::new(py, bytes), dtype))
}
