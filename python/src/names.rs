//! Names of hosts: how a stack looks them up, and what it says when it cannot.

use crate::failure::{gaierror, os_error};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use usertcp_core::api::{Errno, Error, NameOptions, NameSettings};

/// Numbers and words of getaddrinfo(3).
const EAI_NONAME: (i32, &str) = (-2, "Name or service not known");
const EAI_AGAIN: (i32, &str) = (-3, "Temporary failure in name resolution");
const EAI_FAIL: (i32, &str) = (-4, "Non-recoverable failure in name resolution");
const EAI_NODATA: (i32, &str) = (-5, "No address associated with hostname");

/// What `socket.getaddrinfo` raises for a name; other errors are what they are.
pub(crate) fn lookup_error(error: &Error) -> PyErr {
    let (number, text) = match error.errno() {
        Errno::ENOENT | Errno::EINVAL => EAI_NONAME,
        Errno::ENODATA => EAI_NODATA,
        Errno::EREMOTEIO => EAI_FAIL,
        Errno::ETIMEDOUT => EAI_AGAIN,
        _ => return os_error(error),
    };
    gaierror::new_err((number, format!("{text}: {error}")))
}

/// What connecting to a name raises: that of the lookup, or that of the connection. Only the time that is over may be of either.
pub(crate) fn connect_error(error: &Error) -> PyErr {
    match error.errno() {
        Errno::ETIMEDOUT => os_error(error),
        _ => lookup_error(error),
    }
}

/// Reads a `usertcp.Names`.
pub(crate) fn names_from(object: &Bound<'_, PyAny>) -> PyResult<NameOptions> {
    let servers: Option<Vec<String>> = object.getattr("nameservers")?.extract()?;
    let server = |text: String| -> PyResult<SocketAddr> {
        NameSettings::server(&text)
            .ok_or_else(|| PyValueError::new_err(format!("nameservers: '{text}' is not an address")))
    };
    let seconds = |name: &str| -> PyResult<Option<Duration>> {
        let seconds: Option<f64> = object.getattr(name)?.extract()?;
        let time = seconds.map(Duration::try_from_secs_f64).transpose();
        time.map_err(|_| PyValueError::new_err(format!("{name} must be seconds, not negative")))
    };
    let hosts: Option<PathBuf> = object.getattr("hosts")?.extract()?;
    Ok(NameOptions {
        nameservers: servers.map(|servers| servers.into_iter().map(server).collect()).transpose()?,
        search: object.getattr("search")?.extract()?,
        ndots: object.getattr("ndots")?.extract()?,
        timeout: seconds("timeout")?,
        attempts: object.getattr("attempts")?.extract()?,
        hosts,
        connect_delay: seconds("connect_delay")?,
    })
}
