//! A network namespace of its own with a TUN device in it, for programs that are not granted one.

use crate::config::{Domain, Prefix};
use crate::error::Result;
use std::os::fd::{BorrowedFd, OwnedFd};

/// How to make a sandbox.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// Addresses of the kernel's side of the TUN.
    pub host_addresses: Vec<Prefix>,
    /// MTU of the TUN.
    pub mtu: u16,
    /// Opens the TUN with vnet header and offload; a stack with impairments needs it off.
    pub offload: bool,
}

/// The namespace lives as long as this value, its TUN and the programs in it.
#[derive(Debug)]
pub struct Sandbox {}

/// A program running in a sandbox.
#[derive(Debug)]
pub struct Child {}

impl Sandbox {
    /// Makes the namespace by a short-lived child, opens the TUN in it and sets it up. Needs neither root nor a helper program, but
    /// a `/dev/net/tun` that may be opened and, for an ordinary user, user namespaces; the error says which is missing.
    pub fn open(_options: &SandboxOptions) -> Result<Self> {
        unimplemented!()
    }

    /// The TUN, to be given to `DeviceOptions::Descriptor` after a `try_clone`; or taken.
    pub fn tun(&self) -> Result<OwnedFd> {
        unimplemented!()
    }

    /// A kernel-side socket in the sandbox: `kind` is SOCK_STREAM, SOCK_DGRAM ..., flags included.
    pub fn socket(&self, _domain: Domain, _kind: i32, _protocol: i32) -> Result<OwnedFd> {
        unimplemented!()
    }

    /// Starts `argv` in the sandbox with the three standard streams; `environment` of `None` is this process's.
    pub fn spawn(
        &self,
        _argv: &[&str],
        _environment: Option<&[&str]>,
        _streams: [BorrowedFd<'_>; 3],
    ) -> Result<Child> {
        unimplemented!()
    }
}

impl Child {
    /// Process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        unimplemented!()
    }

    /// Sends a signal. ESRCH once it has been waited for.
    pub fn kill(&self, _signal: i32) -> Result<()> {
        unimplemented!()
    }

    /// Waits for its end: exit status, or 128 + signal. `Ok(None)` when it still runs and `block` is false.
    pub fn wait(&self, _block: bool) -> Result<Option<i32>> {
        unimplemented!()
    }
}
