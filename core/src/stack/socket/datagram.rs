//! The data calls of datagram sockets: whole datagrams in and out of a cell.

use super::data::{kick, would_block};
use super::{Kick, Take};
use crate::buffer::{Cell, CellState, Datagram, Interest, Life};
use crate::error::Errno;
use crate::udp;
use bytes::Bytes;
use std::net::SocketAddr;
use std::task::Waker;

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Queued {
    /// It is queued.
    Done(Kick),
    /// The stack has to be asked: [`Stack::send_datagram`](crate::stack::Stack::send_datagram).
    Ask,
}

/// Queues a datagram to `destination`, or to the peer. EAGAIN, EDESTADDRREQ, EMSGSIZE, EINVAL (port 0), EAFNOSUPPORT, EPIPE, EBADF, or the pending error.
pub fn send_to(
    cell: &Cell,
    payload: &Bytes,
    destination: Option<SocketAddr>,
    waker: Option<&Waker>,
) -> Result<Queued, Errno> {
    let mut state = cell.lock();
    let peer = addressee(&state, payload.len(), destination)?;
    if !state.datagrams.as_ref().is_some_and(|datagrams| datagrams.is_approved(peer.ip())) {
        return Ok(Queued::Ask);
    }
    let local = if peer.is_ipv6() { [0; 16].into() } else { [0; 4].into() };
    let datagram = Datagram { peer, local, hops: None, class: None, payload: payload.clone() };
    enqueue(&mut state, datagram, waker).map(Queued::Done)
}

/// The oldest datagram; `None` once SHUT_RD has ended what comes. EAGAIN, EOPNOTSUPP (a stream), EBADF, or the pending error, which comes first as in Linux.
pub fn recv_from(cell: &Cell, take: Take, waker: Option<&Waker>) -> Result<Option<Datagram>, Errno> {
    let mut state = cell.lock();
    alive(&state)?;
    if let Some(error) = state.error.take() {
        return Err(error);
    }
    let inbox = &mut state.datagrams.as_mut().ok_or(Errno::EOPNOTSUPP)?.inbox;
    let found = match take {
        Take::Peek => inbox.front().cloned(),
        Take::Consume => inbox.pop(),
    };
    let empty = inbox.is_empty();
    if empty {
        state.dip(Interest::Read);
    }
    if found.is_none() && !state.recv_shut {
        return Err(would_block(&mut state, Interest::Read, waker));
    }
    Ok(found)
}

/// Whom a datagram of `length` bytes goes to, as far as the cell can tell.
pub(in crate::stack) fn addressee(
    state: &CellState,
    length: usize,
    destination: Option<SocketAddr>,
) -> Result<SocketAddr, Errno> {
    alive(state)?;
    let datagrams = state.datagrams.as_ref().ok_or(Errno::EOPNOTSUPP)?;
    if !udp::fits(datagrams.six, length) {
        return Err(Errno::EMSGSIZE);
    }
    let peer = destination.or(datagrams.peer).ok_or(Errno::EDESTADDRREQ)?;
    if peer.is_ipv6() != datagrams.six {
        return Err(Errno::EAFNOSUPPORT);
    }
    if peer.port() == 0 {
        return Err(Errno::EINVAL);
    }
    Ok(peer)
}

/// Queues a datagram that may be sent, if there is room.
pub(in crate::stack) fn enqueue(
    state: &mut CellState,
    datagram: Datagram,
    waker: Option<&Waker>,
) -> Result<Kick, Errno> {
    if let Some(error) = state.error.take() {
        return Err(error);
    }
    if state.send_shut {
        return Err(Errno::EPIPE);
    }
    let limit = state.marks.send;
    let outbox = &mut state.datagrams.as_mut().ok_or(Errno::EOPNOTSUPP)?.outbox;
    if !outbox.push(datagram, limit) {
        return Err(would_block(state, Interest::Write, waker));
    }
    Ok(kick(state))
}

fn alive(state: &CellState) -> Result<(), Errno> {
    match state.life {
        Life::Closed => Err(Errno::EBADF),
        Life::Ended => Err(Errno::ENETDOWN),
        Life::Idle | Life::Connecting | Life::Listening | Life::Connected => Ok(()),
    }
}
