//! The Python module of usertcp: a translation of `usertcp_core::api`, nothing more.
//!
//! | file | what it translates |
//! |---|---|
//! | `stack` `socket` `sandbox` `log` `info` `snapshot` `end` | one class each |
//! | `network` | simulated networks |
//! | `poll` `poll_set` | waiting for many sockets |
//! | `cancel` | calling off who waits |
//! | `message` | messages with control data |
//! | `settings` | `Config` by the names of its fields |
//! | `names` | how names of hosts are looked up, and why they were not |
//! | `address` `failure` | addresses and errors |
//! | `limit` `wait` | every call that may sleep: without the interpreter's lock, and interrupted by Ctrl-C |
//! | `memory` | bytes from the stack into Python's memory |
//! | `foreign` | memory and descriptors that belong to Python: the only unsafe code |
//!
//! The package's Python half (`python/usertcp/*.py`) puts the standard library's manners on top.

#![deny(unsafe_code)]

mod address;
mod cancel;
mod end;
mod failure;
#[allow(unsafe_code, reason = "memory and descriptors that Python hands over by address and by number")]
mod foreign;
mod info;
mod intercept;
mod limit;
mod log;
mod memory;
mod message;
mod names;
mod network;
mod poll;
mod poll_set;
mod sandbox;
mod settings;
mod snapshot;
mod socket;
mod stack;
mod wait;

use pyo3::prelude::*;

/// The compiled half of the package `usertcp`. Use `usertcp`.
#[pymodule]
mod _usertcp {
    use super::*;

    #[pymodule_export]
    use crate::address::{exported_addresses, family_of};
    #[pymodule_export]
    use crate::end::EndReason;
    #[pymodule_export]
    use crate::failure::StackError;
    #[pymodule_export]
    use crate::info::TcpInfo;
    #[pymodule_export]
    use crate::intercept::Syn;
    #[pymodule_export]
    use crate::log::Log;
    #[pymodule_export]
    use crate::network::{Network, Signal};
    #[pymodule_export]
    use crate::poll::poll;
    #[pymodule_export]
    use crate::poll_set::PollSet;
    #[pymodule_export]
    use crate::sandbox::{Child, Sandbox};
    #[pymodule_export]
    use crate::settings::default_settings;
    #[pymodule_export]
    use crate::snapshot::SocketInfo;
    #[pymodule_export]
    use crate::socket::Socket;
    #[pymodule_export]
    use crate::stack::Stack;
    #[pymodule_export]
    use crate::wait::leave;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
