//! Waiting for many sockets at once.

use crate::failure::Failure;
use crate::network::Signal;
use crate::socket::Socket;
use crate::wait::{Patience, Sleep, until_done};
use pyo3::prelude::*;
use usertcp_core::api::{self, Errno, PollEntry, Readiness, Time};

/// Sleeps until a socket is ready for the events that stand with it, or the time is over. Returns what each is ready for, zero for nothing. All are of one simulated
/// network, or none is. A signal of theirs ends it as well.
#[pyfunction]
#[pyo3(signature = (entries, timeout, signal = None))]
pub(crate) fn poll(
    py: Python<'_>,
    entries: Vec<(Py<Socket>, u16)>,
    timeout: Option<f64>,
    signal: Option<Py<Signal>>,
) -> PyResult<Vec<u16>> {
    let own = || entries.first().map_or(Time::SYSTEM, |(socket, _)| socket.get().socket.time());
    let signal = signal.as_ref().map(|signal| &signal.get().signal);
    let time = signal.map_or_else(own, api::Signal::time);
    let patience = Patience::from_seconds(time, timeout)?;
    let mut polled: Vec<PollEntry<'_>> = entries
        .iter()
        .map(|(socket, events)| PollEntry {
            socket: Some(&socket.get().socket),
            interest: Readiness(*events),
            ready: Readiness::default(),
        })
        .collect();
    let calls =
        || entries.iter().fold(0, |sum: u32, (socket, _)| sum.wrapping_add(socket.get().calls.count()));
    let began = calls();
    let answer = until_done(py, time, patience, Sleep::Sliced, |wait| {
        match api::poll_beside(&mut polled, signal, wait)? {
            0 if calls() != began => Err(Errno::ECANCELED.into()),
            0 if !signal.is_some_and(api::Signal::is_set) => Err(Errno::EAGAIN.into()),
            _ => Ok(()),
        }
    });
    match answer {
        Ok(()) => Ok(polled.iter().map(|entry| entry.ready.0).collect()),
        Err(Failure::TimedOut) => Ok(vec![0; entries.len()]),
        Err(Failure::System(error)) if error.errno() == Errno::EAGAIN => Ok(vec![0; entries.len()]),
        Err(failure) => Err(failure.into()),
    }
}
