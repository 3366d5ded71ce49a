//! Waiting for many sockets at once, as poll(2) does.

use super::{Socket, Wait};
use crate::error::Result;
use crate::stack::socket::Readiness;

/// One socket to wait for. Sockets of several stacks may stand in one call.
#[derive(Debug)]
pub struct PollEntry<'a> {
    /// The socket; `None` is skipped.
    pub socket: Option<&'a Socket>,
    /// What to wait for; ERR, HUP and NVAL always count.
    pub interest: Readiness,
    /// What it was ready for; written by `poll`.
    pub ready: Readiness,
}

/// Sleeps until an entry is ready or the time is over; returns how many are. EINTR when a signal handler ran.
pub fn poll(_entries: &mut [PollEntry<'_>], _wait: Wait) -> Result<usize> {
    unimplemented!()
}
