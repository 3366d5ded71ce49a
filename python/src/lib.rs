//! The Python module of usertcp: a translation of `usertcp_core::api`, nothing more.
use pyo3::prelude::*;

/// The compiled half of the package `usertcp`.
#[pymodule]
mod _usertcp {}
