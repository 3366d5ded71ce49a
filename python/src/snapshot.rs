//! `_usertcp.SocketInfo`: a socket of a stack as it was at one moment.

use crate::address;
use crate::end::EndReason;
use crate::info::TcpInfo;
use pyo3::prelude::*;
use std::net::SocketAddr;
use usertcp_core::api::{Domain, Snapshot};

/// A socket of a stack as it was at one moment. `str()` of it is what `ss -ti` shows, a line or two.
#[pyclass(frozen, get_all, module = "usertcp._usertcp")]
pub(crate) struct SocketInfo {
    /// "tcp" or "udp".
    network: &'static str,
    /// State by the numbers of `TcpInfo.state`: 1 established, 10 listening.
    state: u8,
    /// Its own address, None as long as it has none.
    local: Option<Py<PyAny>>,
    /// The peer's.
    remote: Option<Py<PyAny>>,
    /// Whether the program holds it.
    held: bool,
    /// Bytes to be read; of a listener, connections to be accepted.
    receive_queue: usize,
    /// Bytes that are not acknowledged; of a listener, the most that may wait.
    send_queue: usize,
    /// Name of the congestion control of a stream.
    congestion: Option<String>,
    /// Its figures, the last ones once the connection is over.
    info: Option<Py<TcpInfo>>,
    /// Why the connection is over, once it is.
    end: Option<Py<EndReason>>,
    text: String,
}

impl SocketInfo {
    pub(crate) fn new(py: Python<'_>, snapshot: &Snapshot) -> PyResult<Self> {
        Ok(Self {
            network: if snapshot.stream { "tcp" } else { "udp" },
            state: snapshot.state,
            local: shown(py, snapshot.local)?,
            remote: shown(py, snapshot.remote)?,
            held: snapshot.held,
            receive_queue: snapshot.receive_queue,
            send_queue: snapshot.send_queue,
            congestion: snapshot.stream.then(|| snapshot.congestion.to_string()),
            info: snapshot.info.map(|info| Py::new(py, TcpInfo::from(info))).transpose()?,
            end: snapshot.end.map(|end| Py::new(py, EndReason::from(end))).transpose()?,
            text: snapshot.to_string().trim_end().to_owned(),
        })
    }
}

fn shown(py: Python<'_>, address: Option<SocketAddr>) -> PyResult<Option<Py<PyAny>>> {
    let Some(address) = address else { return Ok(None) };
    let domain = if address.is_ipv4() { Domain::V4 } else { Domain::V6 };
    Ok(Some(address::to_python(py, domain, address)?.into_any().unbind()))
}

#[pymethods]
impl SocketInfo {
    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> String {
        format!("<SocketInfo {}>", self.text.lines().next().unwrap_or_default())
    }
}
