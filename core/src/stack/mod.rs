//! Many connections behind one set of addresses: a pure function of packets, calls and time.
//!
//! | kind | methods |
//! |---|---|
//! | inputs | `handle_frame`, `handle_kick`, `handle_link`, `handle_timeout` |
//! | control calls | `socket`, `bind`, `listen`, `connect`, `shutdown`, `close`, `abort`, options, names, `tcp_info` |
//! | outputs | `poll_transmit` until `None`, then `publish`, then `poll_timeout` |
//!
//! Data calls do not come here: [`socket`] answers them on the cell.

pub mod socket;

pub use crate::buffer::{Cell, SocketId};
pub use crate::config::Domain;
pub use crate::tcp::{EndReason, TcpInfo};

use crate::config::Config;
use crate::counters::Counters;
use crate::error::{Errno, Error};
use crate::link::{Capabilities, Frame, Transmit};
use crate::sync::Arc;
use crate::time::Instant;
use crate::trace::Log;
use std::net::SocketAddr;
use std::task::Waker;

/// State of the link, as the device reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Frames pass.
    Up,
    /// Frames do not pass now: blocked calls and new connections get ENETDOWN, live connections go on when it returns.
    Down,
    /// The device is gone: every connection ends with ENETDOWN.
    Gone,
}

/// Which half of a connection to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// SHUT_RD: recv returns 0 from now on.
    Read,
    /// SHUT_WR: FIN behind what is queued.
    Write,
    /// SHUT_RDWR: both.
    Both,
}

/// Every connection, listener, timer and cache of one host.
#[derive(Debug)]
pub struct Stack {
    counters: Counters,
    log: Log,
}

impl Stack {
    /// A stack with `config` on a link with `capabilities`; EINVAL with a sentence for settings that cannot work.
    pub fn new(_config: Config, _capabilities: Capabilities, _log: Log) -> Result<Self, Error> {
        unimplemented!()
    }

    /// Takes one frame from the link.
    pub fn handle_frame(&mut self, _now: Instant, _frame: Frame) {
        unimplemented!()
    }

    /// A data call on this socket's cell asked for attention: it wrote, read past the edge, or accepted.
    pub fn handle_kick(&mut self, _now: Instant, _id: SocketId) {
        unimplemented!()
    }

    /// The link changed its state.
    pub fn handle_link(&mut self, _now: Instant, _state: LinkState) {
        unimplemented!()
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, _now: Instant) {
        unimplemented!()
    }

    /// The next packet to send. Call until `None` after any input, control call or timeout.
    pub fn poll_transmit(&mut self, _now: Instant) -> Option<Transmit> {
        unimplemented!()
    }

    /// Shows the programs what this turn brought: data, room, states and errors go into the cells. The wakers to wake after unlocking are appended.
    pub fn publish(&mut self, _now: Instant, _wakers: &mut Vec<Waker>) {
        unimplemented!()
    }

    /// When `handle_timeout` has something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// A new TCP socket. EMFILE at `Config::max_sockets`, EAFNOSUPPORT for a family without an address.
    pub fn socket(&mut self, _domain: Domain) -> Result<(SocketId, Arc<Cell>), Errno> {
        unimplemented!()
    }

    /// Gives a socket its own address; port 0 picks one. EADDRINUSE, EADDRNOTAVAIL, EINVAL if it has one, EAFNOSUPPORT.
    pub fn bind(&mut self, _id: SocketId, _address: SocketAddr) -> Result<(), Errno> {
        unimplemented!()
    }

    /// Makes a socket listen; again only to change the backlog. An unbound one gets a port. EINVAL if connected.
    pub fn listen(&mut self, _now: Instant, _id: SocketId, _backlog: u32) -> Result<(), Errno> {
        unimplemented!()
    }

    /// Starts connecting: the outcome shows in the cell. EISCONN, EALREADY, EADDRNOTAVAIL, ENETUNREACH, ENETDOWN, EAFNOSUPPORT, EADDRINUSE.
    pub fn connect(&mut self, _now: Instant, _id: SocketId, _peer: SocketAddr) -> Result<(), Errno> {
        unimplemented!()
    }

    /// Shuts down one or both halves. ENOTCONN.
    pub fn shutdown(&mut self, _now: Instant, _id: SocketId, _how: Shutdown) -> Result<(), Errno> {
        unimplemented!()
    }

    /// The program lets go: FIN, or RST when data was left unread; a listener resets what nobody accepted. The cell is marked by the caller.
    pub fn close(&mut self, _now: Instant, _id: SocketId) {
        unimplemented!()
    }

    /// Ends the connection with RST. ENOTCONN. The handle stays open and reports ECONNABORTED.
    pub fn abort(&mut self, _now: Instant, _id: SocketId) -> Result<(), Errno> {
        unimplemented!()
    }

    /// The socket's own address; the unspecified one with port 0 before bind.
    pub fn local_address(&self, _id: SocketId) -> Result<SocketAddr, Errno> {
        unimplemented!()
    }

    /// The peer's address. ENOTCONN.
    pub fn peer_address(&self, _id: SocketId) -> Result<SocketAddr, Errno> {
        unimplemented!()
    }

    /// Sets an option by the kernel's level, number and byte form. ENOPROTOOPT for what it does not know, EINVAL for a wrong length or value.
    pub fn set_option(
        &mut self,
        _now: Instant,
        _id: SocketId,
        _level: i32,
        _name: i32,
        _value: &[u8],
    ) -> Result<(), Errno> {
        unimplemented!()
    }

    /// Reads an option, in the kernel's byte form.
    pub fn option(&mut self, _id: SocketId, _level: i32, _name: i32) -> Result<Vec<u8>, Errno> {
        unimplemented!()
    }

    /// The connection in figures; a socket without one reports its state only.
    pub fn tcp_info(&self, _now: Instant, _id: SocketId) -> Result<TcpInfo, Errno> {
        unimplemented!()
    }

    /// Closes every socket gracefully: listeners at once, connections with FIN behind what is queued.
    pub fn close_all(&mut self, _now: Instant) {
        unimplemented!()
    }

    /// Resets whatever still lives.
    pub fn abort_all(&mut self, _now: Instant) {
        unimplemented!()
    }

    /// Connections that still have something to send or to be told, TIME-WAIT and listeners not counted.
    #[must_use]
    pub fn live_connections(&self) -> usize {
        unimplemented!()
    }

    /// Totals.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The log, to drain.
    pub fn log(&mut self) -> &mut Log {
        &mut self.log
    }
}
