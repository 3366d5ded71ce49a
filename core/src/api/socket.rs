//! A socket of a running stack.

use super::Wait;
use crate::buffer::Slices;
use crate::error::{Errno, Result};
use crate::stack::socket::Readiness;
use crate::stack::{Shutdown, TcpInfo};
use crate::time::Duration;
use std::net::SocketAddr;

/// Flags of one send or recv; the numbers are the kernel's MSG_ ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MessageFlags(pub i32);

impl MessageFlags {
    /// MSG_PEEK.
    pub const PEEK: Self = Self(0x02);
    /// MSG_DONTWAIT.
    pub const DONTWAIT: Self = Self(0x40);
    /// MSG_WAITALL.
    pub const WAITALL: Self = Self(0x100);
    /// MSG_NOSIGNAL; nothing ever raises a signal, so it changes nothing.
    pub const NOSIGNAL: Self = Self(0x4000);
}

/// A TCP socket: any thread, any time, closed by `close` or by dropping it.
#[derive(Debug)]
pub struct Socket {}

impl Socket {
    /// Gives the socket its own address; port 0 picks one.
    pub fn bind(&self, _address: SocketAddr) -> Result<()> {
        unimplemented!()
    }

    /// Listens; `backlog` connections may wait to be accepted.
    pub fn listen(&self, _backlog: u32) -> Result<()> {
        unimplemented!()
    }

    /// The oldest waiting connection and its peer's address.
    pub fn accept(&self, _wait: Wait) -> Result<(Socket, SocketAddr)> {
        unimplemented!()
    }

    /// Connects. EINPROGRESS when it may not sleep, or no longer: the outcome shows as OUT readiness and in SO_ERROR.
    pub fn connect(&self, _peer: SocketAddr, _wait: Wait) -> Result<()> {
        unimplemented!()
    }

    /// Sends; sleeps until everything is queued, unless it may not. Returns what was queued if that is anything.
    pub fn send(&self, _bytes: &[u8], _flags: MessageFlags, _wait: Wait) -> Result<usize> {
        unimplemented!()
    }

    /// Receives up to `bytes.len()` bytes; 0 is the end of the stream.
    pub fn recv(&self, _bytes: &mut [u8], _flags: MessageFlags, _wait: Wait) -> Result<usize> {
        unimplemented!()
    }

    /// Receives up to `most` bytes as shared slices, to be copied by the caller; an empty chain is the end of the stream.
    pub fn recv_slices(&self, _most: usize, _flags: MessageFlags, _wait: Wait) -> Result<Slices> {
        unimplemented!()
    }

    /// Shuts down one or both halves.
    pub fn shutdown(&self, _how: Shutdown) -> Result<()> {
        unimplemented!()
    }

    /// Closes: every later call is EBADF, those asleep wake with ECANCELED. Sleeps only with SO_LINGER above 0.
    pub fn close(&self) -> Result<()> {
        unimplemented!()
    }

    /// Ends the connection with RST and closes.
    pub fn abort(&self) -> Result<()> {
        unimplemented!()
    }

    /// Own address.
    pub fn local_address(&self) -> Result<SocketAddr> {
        unimplemented!()
    }

    /// The peer's address.
    pub fn peer_address(&self) -> Result<SocketAddr> {
        unimplemented!()
    }

    /// Sets an option by the kernel's numbers and byte form.
    pub fn set_option(&self, _level: i32, _name: i32, _value: &[u8]) -> Result<()> {
        unimplemented!()
    }

    /// Reads an option in the kernel's byte form.
    pub fn option(&self, _level: i32, _name: i32) -> Result<Vec<u8>> {
        unimplemented!()
    }

    /// Time-outs of receiving calls (recv, accept) and of sending ones (send, connect); `None`: none.
    pub fn set_timeouts(&self, _receive: Option<Duration>, _send: Option<Duration>) -> Result<()> {
        unimplemented!()
    }

    /// The time-outs: receiving, sending.
    pub fn timeouts(&self) -> Result<(Option<Duration>, Option<Duration>)> {
        unimplemented!()
    }

    /// Whether calls with `Wait::AsSet` never sleep.
    pub fn set_nonblocking(&self, _on: bool) -> Result<()> {
        unimplemented!()
    }

    /// Whether calls with `Wait::AsSet` never sleep.
    pub fn nonblocking(&self) -> Result<bool> {
        unimplemented!()
    }

    /// Takes the pending error.
    pub fn take_error(&self) -> Result<Option<Errno>> {
        unimplemented!()
    }

    /// What the socket is ready for; NVAL once it is closed.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        unimplemented!()
    }

    /// The connection in figures.
    pub fn tcp_info(&self) -> Result<TcpInfo> {
        unimplemented!()
    }
}
