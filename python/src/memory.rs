//! From the slices of a stack into the memory of Python.

use crate::foreign::Target;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use usertcp_core::api::Bytes;

/// Copies of this many bytes and more are made without the interpreter's lock.
pub(crate) const BIG: usize = 16 << 10;

/// How many bytes go into `target` when `nbytes` are asked for; 0 stands for all that it holds.
pub(crate) fn room(target: &Target, nbytes: isize) -> PyResult<usize> {
    match usize::try_from(nbytes) {
        Err(_) => Err(PyValueError::new_err("negative buffersize in recv_into")),
        Ok(0) => Ok(target.len()),
        Ok(most) if most > target.len() => Err(PyValueError::new_err("buffer too small for requested bytes")),
        Ok(most) => Ok(most),
    }
}

/// The first `most` of `bytes`.
pub(crate) fn fitting(bytes: &Bytes, most: usize) -> Bytes {
    bytes.slice(..bytes.len().min(most))
}

/// Copies slices into `memory`, one behind the other; returns how many bytes there were.
pub(crate) fn copy(py: Python<'_>, slices: &[Bytes], memory: &mut [u8]) -> usize {
    let total = slices.iter().map(Bytes::len).sum();
    let fill = move || {
        let mut rest = memory;
        for slice in slices {
            let Some((place, behind)) = rest.split_at_mut_checked(slice.len()) else { return };
            place.copy_from_slice(slice);
            rest = behind;
        }
    };
    if total < BIG {
        fill()
    } else {
        py.detach(fill)
    }
    total
}
