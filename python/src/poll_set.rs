//! `_usertcp.PollSet`: sets of sockets to wait for, as epoll(7).

use crate::failure::{Failure, os_error};
use crate::socket::{Socket, control};
use crate::wait::{Patience, Sleep, released, until_done};
use pyo3::prelude::*;
use usertcp_core::api::{self, EpollControl, EpollEvents, Errno};

/// Sockets to wait for. Use `usertcp.PollSet`.
#[pyclass(frozen, module = "usertcp._usertcp")]
pub(crate) struct PollSet {
    set: api::PollSet,
}

impl PollSet {
    fn control(
        &self,
        py: Python<'_>,
        what: EpollControl,
        socket: &Py<Socket>,
        events: u32,
        data: u64,
    ) -> PyResult<()> {
        let socket = &socket.get().socket;
        control(py, || self.set.control(what, socket, EpollEvents(events), data))
    }
}

#[pymethods]
impl PollSet {
    #[new]
    fn new() -> PyResult<Self> {
        let set = api::PollSet::new().map_err(|error| os_error(&error))?;
        Ok(Self { set })
    }

    /// Puts a socket into the set; `data` comes back with its events.
    fn register(&self, py: Python<'_>, socket: Py<Socket>, events: u32, data: u64) -> PyResult<()> {
        self.control(py, EpollControl::Add, &socket, events, data)
    }

    /// Changes what is asked of a socket, and `data`.
    fn modify(&self, py: Python<'_>, socket: Py<Socket>, events: u32, data: u64) -> PyResult<()> {
        self.control(py, EpollControl::Mod, &socket, events, data)
    }

    /// Takes a socket out of the set.
    fn unregister(&self, py: Python<'_>, socket: Py<Socket>) -> PyResult<()> {
        self.control(py, EpollControl::Del, &socket, 0, 0)
    }

    /// Up to `most` sockets that are ready: what was given with each, and for what. None: `timeout` seconds are over, or `wake` was called.
    fn poll(&self, py: Python<'_>, timeout: Option<f64>, most: usize) -> PyResult<Vec<(u64, u32)>> {
        let time = self.set.time();
        let patience = Patience::from_seconds(time, timeout)?;
        let answer = until_done(py, time, patience, Sleep::Sliced, |wait| {
            self.set.wait_or_expire(most, wait)?.ok_or_else(|| Errno::EAGAIN.into())
        });
        match answer {
            Ok(events) => Ok(events.iter().map(|event| (event.data, event.events.0)).collect()),
            Err(Failure::TimedOut) => Ok(Vec::new()),
            Err(Failure::System(error)) if error.errno() == Errno::EAGAIN => Ok(Vec::new()),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Ends one `poll`, that which waits or the next one.
    fn wake(&self, py: Python<'_>) -> PyResult<()> {
        control(py, || self.set.wake())
    }

    /// A descriptor that is readable while `poll` may find something; the set's own.
    fn fd(&self, py: Python<'_>) -> PyResult<i32> {
        control(py, || self.set.descriptor())
    }

    /// Closes; whoever waits fails with ECANCELED. Closing twice is no error.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match released(py, || self.set.close()) {
            Err(error) if error.errno() != Errno::EBADF => Err(os_error(&error)),
            _ => Ok(()),
        }
    }
}

impl Drop for PollSet {
    fn drop(&mut self) {
        // One that was closed, or is of the parent of this process, needs nothing.
        let _ = self.set.close();
    }
}
