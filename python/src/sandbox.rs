//! `_usertcp.Sandbox` and `_usertcp.Child`: a network namespace with a TUN in it, and a program that runs there.

use crate::address;
use crate::failure::os_error;
use crate::foreign::lent_descriptor;
use crate::socket::control;
use crate::stack::parsed;
use pyo3::prelude::*;
use std::os::fd::IntoRawFd;
use usertcp_core::api::{self, Errno, Error, SandboxOptions};

/// A network namespace. Use `usertcp.Sandbox`.
#[pyclass(frozen, module = "usertcp._usertcp")]
pub(crate) struct Sandbox {
    sandbox: api::Sandbox,
}

/// A program in a sandbox. Use `usertcp.Child`.
#[pyclass(frozen, module = "usertcp._usertcp")]
pub(crate) struct Child {
    child: api::Child,
}

#[pymethods]
impl Sandbox {
    /// Makes the namespace and its TUN.
    #[new]
    #[pyo3(signature = (*, host_addresses, mtu, offload, queues))]
    fn new(
        py: Python<'_>,
        host_addresses: Vec<String>,
        mtu: u16,
        offload: bool,
        queues: usize,
    ) -> PyResult<Self> {
        let options = SandboxOptions { host_addresses: parsed(&host_addresses)?, mtu, offload, queues };
        Ok(Self { sandbox: control(py, || api::Sandbox::open(&options))? })
    }

    /// A descriptor of the TUN, the caller's to close.
    fn tun(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(control(py, || self.sandbox.tun())?.into_raw_fd())
    }

    /// Descriptors of all queues of the TUN, the caller's to close.
    fn tun_queues(&self, py: Python<'_>) -> PyResult<Vec<i32>> {
        let queues = control(py, || self.sandbox.tun_queues())?;
        Ok(queues.into_iter().map(IntoRawFd::into_raw_fd).collect())
    }

    /// The descriptor of a new kernel-side socket, the caller's to close.
    #[pyo3(signature = (family, kind, protocol))]
    fn socket(&self, py: Python<'_>, family: i32, kind: i32, protocol: i32) -> PyResult<i32> {
        let domain = address::domain(family).ok_or_else(|| {
            os_error(&Error::new(Errno::EAFNOSUPPORT, "the address family must be AF_INET or AF_INET6"))
        })?;
        Ok(control(py, || self.sandbox.socket(domain, kind, protocol))?.into_raw_fd())
    }

    /// Starts a program; the three descriptors are lent.
    #[pyo3(signature = (argv, environment, stdin, stdout, stderr))]
    fn spawn(
        &self,
        py: Python<'_>,
        argv: Vec<String>,
        environment: Option<Vec<String>>,
        stdin: i32,
        stdout: i32,
        stderr: i32,
    ) -> PyResult<Child> {
        let streams = [stdin, stdout, stderr].map(lent_descriptor);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let environment: Option<Vec<&str>> =
            environment.as_ref().map(|all| all.iter().map(String::as_str).collect());
        let child = control(py, || self.sandbox.spawn(&argv, environment.as_deref(), streams))?;
        Ok(Child { child })
    }
}

#[pymethods]
impl Child {
    /// Process id.
    #[getter]
    fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// Sends a signal.
    fn kill(&self, py: Python<'_>, signal: i32) -> PyResult<()> {
        control(py, || self.child.kill(signal))
    }

    /// The exit status, or 128 + signal; None while it runs.
    fn poll(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        control(py, || self.child.wait(false))
    }
}
