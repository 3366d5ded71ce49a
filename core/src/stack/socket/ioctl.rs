//! What the kernel answers by ioctl: how much waits on either side of a socket.

use super::urgent;
use crate::buffer::{Cell, Life};
use crate::error::Errno;

/// SIOCINQ, FIONREAD: bytes that can be read now; up to the mark, if the last urgent byte is not for ordinary reads, as in Linux.
pub const SIOCINQ: u64 = 0x541b;
/// SIOCOUTQ, TIOCOUTQ: bytes that the peer has not acknowledged, sent or not; the FIN counts as one.
pub const SIOCOUTQ: u64 = 0x5411;
/// SIOCOUTQNSD: those that were never sent.
pub const SIOCOUTQNSD: u64 = 0x894b;

/// SIOCATMARK: 1 if the next byte to read is the last urgent one, else 0 (sockatmark(3)).
pub const SIOCATMARK: u64 = 0x8905;

/// The answer to `request`; of a datagram socket the length of the next datagram, and what those not sent yet count for. EINVAL on a listener, ENOTTY for what is none of the requests here, EBADF.
pub fn ioctl(cell: &Cell, request: u64) -> Result<i32, Errno> {
    let state = cell.lock();
    if state.life == Life::Closed {
        return Err(Errno::EBADF);
    }
    if let Some(datagrams) = &state.datagrams {
        let count = match request {
            SIOCINQ => datagrams.inbox.front().map_or(0, |datagram| datagram.payload.len()),
            SIOCOUTQ => datagrams.outbox.charge(),
            _ => return Err(Errno::ENOTTY),
        };
        return Ok(i32::try_from(count).unwrap_or(i32::MAX));
    }
    let sending = state.life == Life::Connected;
    let count = match request {
        SIOCATMARK => return Ok(i32::from(urgent::is_at_mark(&state))),
        SIOCINQ => urgent::readable(&state),
        SIOCOUTQ if sending => {
            state.outbox_len.saturating_add(state.unacked).saturating_add(usize::from(state.fin_unacked))
        }
        SIOCOUTQNSD if sending => {
            state.outbox_len.saturating_add(state.unsent).saturating_add(usize::from(state.fin_unsent))
        }
        SIOCOUTQ | SIOCOUTQNSD => 0,
        _ => return Err(Errno::ENOTTY),
    };
    if state.life == Life::Listening {
        return Err(Errno::EINVAL);
    }
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}
