//! Links of the operating system: TUN, plain and with vnet header, and descriptors that a program opened.

use crate::config::Prefix;
use crate::error::Result;
use crate::link::Device;
use std::os::fd::OwnedFd;

/// Opens a TUN device by name in this namespace. `offload`: `Some(true)` required, `Some(false)` never, `None` where granted.
/// Sets `host_addresses`, `mtu`, the queue length and the link up, and waits for it to run. Returns the device and its name.
pub fn open_tun(
    _name: Option<&str>,
    _host_addresses: &[Prefix],
    _mtu: u16,
    _offload: Option<bool>,
) -> Result<(Box<dyn Device>, String)> {
    unimplemented!()
}

/// Takes over a descriptor: a TUN in whatever mode it is, or a packet socket of `SOCK_SEQPACKET` or `SOCK_DGRAM`. Returns the device and its name, if it has one.
pub fn from_descriptor(_fd: OwnedFd, _mtu: u16) -> Result<(Box<dyn Device>, String)> {
    unimplemented!()
}
