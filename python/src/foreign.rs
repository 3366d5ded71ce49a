//! Memory and descriptors that belong to Python: the only unsafe code of the module.

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::os::fd::{BorrowedFd, RawFd};

/// Bytes that a program sends.
pub(crate) enum Source<'py> {
    /// Immutable for as long as it lives.
    Bytes(Bound<'py, PyBytes>),
    /// Anything else with the buffer protocol: the export keeps its memory in place.
    Export(PyUntypedBuffer),
}

/// Memory that a program wants filled.
pub(crate) struct Target(PyUntypedBuffer);

impl<'py> Source<'py> {
    /// From any contiguous object with the buffer protocol.
    pub(crate) fn new(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast_exact::<PyBytes>() {
            return Ok(Self::Bytes(bytes.clone()));
        }
        let export = PyUntypedBuffer::get(object).map_err(|error| not_bytes(object, error))?;
        contiguous(&export)?;
        Ok(Self::Export(export))
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes.as_bytes(),
            Self::Export(export) if export.len_bytes() == 0 => &[],
            // SAFETY: the export is contiguous (checked in `new`), its memory stays where it is until the export is released, which `self` does when dropped, and
            // u8 has neither alignment nor invalid values. A thread that writes into the memory meanwhile races with the copy, as with every
            // socket of Python: which of its bytes are sent is open, and each is copied once.
            Self::Export(export) => unsafe {
                std::slice::from_raw_parts(export.buf_ptr().cast_const().cast(), export.len_bytes())
            },
        }
    }
}

impl Target {
    /// From any contiguous, writable object with the buffer protocol.
    pub(crate) fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let export = PyUntypedBuffer::get(object).map_err(|error| not_bytes(object, error))?;
        if export.readonly() {
            let kind = object.get_type().name()?;
            let text = format!("recv_into() argument 1 must be read-write bytes-like object, not {kind}");
            return Err(PyTypeError::new_err(text));
        }
        contiguous(&export)?;
        Ok(Self(export))
    }

    /// Its size in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len_bytes()
    }

    /// The memory, to be filled and let go of at once.
    pub(crate) fn memory(&mut self) -> &mut [u8] {
        if self.0.len_bytes() == 0 {
            return &mut [];
        }
        // SAFETY: the export is contiguous and writable (checked in `new`), its memory stays where it is until the export is released, which `self` does when dropped,
        // and u8 has neither alignment nor invalid values. Other threads that touch the memory meanwhile race with the copy, as with every socket of Python.
        unsafe { std::slice::from_raw_parts_mut(self.0.buf_ptr().cast(), self.0.len_bytes()) }
    }
}

/// A descriptor that the program lends for the length of a call. The Python half has checked that it is open.
pub(crate) fn lent_descriptor<'call>(number: RawFd) -> BorrowedFd<'call> {
    // SAFETY: the Python half keeps the descriptor open until the call returns; -1, the one number a borrowed descriptor cannot be, it refuses.
    unsafe { BorrowedFd::borrow_raw(number) }
}

fn contiguous(export: &PyUntypedBuffer) -> PyResult<()> {
    if export.is_c_contiguous() {
        return Ok(());
    }
    Err(PyBufferError::new_err("memory must be contiguous"))
}

fn not_bytes(object: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyTypeError>(object.py()) {
        return error;
    }
    let kind = object.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
    PyTypeError::new_err(format!("a bytes-like object is required, not '{kind}'"))
}
