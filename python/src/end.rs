//! `_usertcp.EndReason`: why a connection is over.

use pyo3::prelude::*;
use usertcp_core::api;

/// Why a connection is over. `str()` of it is a sentence.
#[pyclass(frozen, eq, hash, get_all, module = "usertcp._usertcp")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct EndReason {
    /// Its name, such as "reset".
    kind: &'static str,
    /// The error that belongs to it; None for an orderly end.
    errno: Option<i32>,
    /// Sequence number of the RST that ended it.
    rst_seq: Option<u32>,
    /// Type of the ICMP message that told.
    icmp_type: Option<u8>,
    /// Its code.
    icmp_code: Option<u8>,
    /// Who sent it.
    icmp_from: Option<String>,
    text: String,
}

impl From<api::EndReason> for EndReason {
    fn from(reason: api::EndReason) -> Self {
        let network = reason.network();
        Self {
            kind: reason.name(),
            errno: reason.errno().map(|errno| errno.0),
            rst_seq: if let api::EndReason::Reset { seq, .. } = reason { Some(seq) } else { None },
            icmp_type: network.map(|told| told.kind),
            icmp_code: network.map(|told| told.code),
            icmp_from: network.map(|told| told.from.to_string()),
            text: reason.to_string(),
        }
    }
}

#[pymethods]
impl EndReason {
    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> String {
        format!("<EndReason {}: {}>", self.kind, self.text)
    }
}
