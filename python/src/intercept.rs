//! `_usertcp.Syn`: a connection request that waits for a decision, and where it comes from.

use crate::address;
use crate::failure::{Failure, os_error};
use crate::socket::{Socket, control, ready_for};
use crate::wait::{Patience, Sleep, duration, released, until_done};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::ops::RangeInclusive;
use std::time::Duration;
use usertcp_core::api::{self, Errno, Error, Intercept, Prefix, Readiness, Wait};

/// What `Stack.intercept` is asked for.
pub(crate) fn what(
    prefix: &str,
    ports: (i64, i64),
    queue: Option<i64>,
    timeout: Option<f64>,
) -> PyResult<Intercept> {
    let refuse = |text: String| os_error(&Error::new(Errno::EINVAL, text));
    let network: Prefix = match prefix.parse() {
        Ok(address) => Prefix::host(address),
        Err(_) => prefix.parse().map_err(|error: Error| os_error(&error))?,
    };
    let port =
        |port: i64| u16::try_from(port).map_err(|_| refuse(format!("port {port} is not from 1 to 65535")));
    let ports: RangeInclusive<u16> = port(ports.0)?..=port(ports.1)?;
    let queue = queue
        .map(|queue| u32::try_from(queue).map_err(|_| refuse(format!("a queue of {queue} makes no sense"))))
        .transpose()?;
    Ok(Intercept { prefix: network, ports, queue, timeout: duration(timeout)? })
}

/// A connection request (SYN) that waits for a decision, which any thread may take, once: `accept`, `refuse` or `drop`. It is dropped if it is
/// forgotten undecided.
#[pyclass(frozen, module = "usertcp._usertcp")]
pub(crate) struct Syn {
    syn: api::Syn,
}

impl Syn {
    pub(crate) const fn new(syn: api::Syn) -> Self {
        Self { syn }
    }

    fn domain(&self) -> api::Domain {
        api::Domain::of(self.syn.local_address().ip())
    }
}

#[pymethods]
impl Syn {
    /// The address and port that the peer wants.
    #[getter]
    fn local<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        address::to_python(py, self.domain(), self.syn.local_address())
    }

    /// The peer's address and port.
    #[getter]
    fn peer<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        address::to_python(py, self.domain(), self.syn.peer_address())
    }

    /// The largest segment that the peer takes, bytes, or None.
    #[getter]
    fn mss(&self) -> Option<u16> {
        self.syn.mss()
    }

    /// Whether the peer asks for ECN.
    #[getter]
    fn ecn(&self) -> bool {
        self.syn.ecn()
    }

    /// Seconds since it came first.
    #[getter]
    fn age(&self) -> f64 {
        self.syn.age().as_secs_f64()
    }

    /// Accepts; waits until the peer has acknowledged, for `timeout` seconds: 0 does not wait, None has no limit.
    fn accept(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Socket> {
        let timeout = duration(timeout)?;
        let accepted = control(py, || self.syn.accept(Wait::Never))?;
        let patience = match timeout {
            Some(Duration::ZERO) => return Ok(Socket::new(accepted, self.domain())),
            Some(limit) => Patience::at_most(accepted.time(), limit, None),
            None => Patience::Forever,
        };
        let outcome = until_done(py, accepted.time(), patience, Sleep::Sliced, |wait| {
            ready_for(&accepted, Readiness::OUT, wait)
        });
        let failed = match outcome {
            Ok(ready) if ready.any(Readiness::NVAL) => Some(Errno::ECANCELED.into()),
            Ok(_) => match released(py, || accepted.take_error()) {
                Ok(None) => None,
                Ok(Some(errno)) => Some(Failure::from(accepted.explain("accept", errno))),
                Err(error) => Some(error.into()),
            },
            Err(failure) => Some(failure),
        };
        match failed {
            None => Ok(Socket::new(accepted, self.domain())),
            Some(failure) => {
                let _ = released(py, || accepted.abort());
                Err(failure.into())
            }
        }
    }

    /// Refuses: the peer is reset, as if nobody listened.
    fn refuse(&self, py: Python<'_>) -> PyResult<()> {
        control(py, || self.syn.refuse())
    }

    /// Drops it: the peer is told nothing. When it tries again, that is a new request.
    fn drop(&self, py: Python<'_>) -> PyResult<()> {
        control(py, || self.syn.ignore())
    }

    fn __repr__(&self) -> String {
        format!("<usertcp.Syn for {} from {}>", self.syn.local_address(), self.syn.peer_address())
    }
}
