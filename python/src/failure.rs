//! Errors of the stack as the exceptions that Python's own sockets raise.

use crate::network::deadlock;
use pyo3::exceptions::{PyOSError, PyTimeoutError};
use pyo3::prelude::*;
use usertcp_core::api::{Errno, Error, Network};

pyo3::create_exception!(
    usertcp,
    StackError,
    PyOSError,
    "The stack itself has failed and cannot be used any more; its sockets raise this too."
);

pyo3::import_exception!(socket, gaierror);

/// Why a call did not succeed.
pub(crate) enum Failure {
    /// The stack says no.
    System(Error),
    /// The socket's own time-out is over.
    TimedOut,
    /// Nothing could ever wake any task of this network.
    Deadlock(Network),
    /// Python says no: a signal handler raised, an argument is wrong.
    Python(PyErr),
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::System(error)
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::System(errno.into())
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::System(error) => os_error(&error),
            Failure::TimedOut => PyTimeoutError::new_err("timed out"),
            Failure::Deadlock(network) => deadlock(network),
            Failure::Python(error) => error,
        }
    }
}

/// The subclass of OSError that Python has for the number, with number and sentence.
pub(crate) fn os_error(error: &Error) -> PyErr {
    let arguments = (error.errno().0, error.to_string());
    if error.errno() == Errno::ENOTRECOVERABLE {
        return StackError::new_err(arguments);
    }
    PyOSError::new_err(arguments)
}
