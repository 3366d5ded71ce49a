//! Socket semantics, pure: every call is answered at once with a value, an errno, or EAGAIN for "would block".
//!
//! Data calls work on the [`Cell`] under its leaf lock. A call that would block registers `waker`, if there is one, in the same section. A call that
//! changed something the stack has to see returns [`Kick::Yes`]: the caller sends a kick to the holder of the Turn.

use crate::buffer::{Accepted, Cell, Slices};
use crate::error::Errno;
use bytes::Bytes;
use std::ops::BitOr;
use std::task::Waker;

/// Whether the holder of the Turn has to look at the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Kick {
    /// Send it a kick.
    Yes,
    /// Nothing to do, or a kick is already on its way.
    No,
}

/// What a socket is ready for; the numbers are those of poll(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Readiness(pub u16);

impl Readiness {
    /// Data, the end of the stream, a connection to accept, or an error.
    pub const IN: Self = Self(0x001);
    /// Room to send, connected, or an error.
    pub const OUT: Self = Self(0x004);
    /// An error is pending.
    pub const ERR: Self = Self(0x008);
    /// Both directions are over.
    pub const HUP: Self = Self(0x010);
    /// The handle is not open.
    pub const NVAL: Self = Self(0x020);
    /// The peer has shut down its sending half.
    pub const RDHUP: Self = Self(0x2000);

    /// Whether any bit of `other` is set.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Readiness {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Whether recv takes what it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// The bytes are gone from the queue.
    Consume,
    /// The bytes stay (MSG_PEEK).
    Peek,
}

/// Up to `most` bytes in order, as slices to be copied outside the lock; an empty chain is the end of the stream.
/// EAGAIN, ENOTCONN, EBADF (closed before), ECANCELED (closed while asleep is told by the sleeper), or the pending error.
pub fn recv(
    _cell: &Cell,
    _most: usize,
    _take: Take,
    _waker: Option<&Waker>,
) -> Result<(Slices, Kick), Errno> {
    unimplemented!()
}

/// Promises room for up to `want` bytes, at least one, which [`commit`] or [`cancel`] must follow. EAGAIN, ENOTCONN, EPIPE, EBADF or the pending error.
pub fn reserve(_cell: &Cell, _want: usize, _waker: Option<&Waker>) -> Result<usize, Errno> {
    unimplemented!()
}

/// Queues bytes that were promised by [`reserve`].
pub fn commit(_cell: &Cell, _bytes: Bytes) -> Kick {
    unimplemented!()
}

/// Queues a write below [`crate::buffer::SMALL`] bytes under one lock, as much of it as there is room for. Errors as [`reserve`].
pub fn send_small(_cell: &Cell, _bytes: &[u8], _waker: Option<&Waker>) -> Result<(usize, Kick), Errno> {
    unimplemented!()
}

/// The oldest connection of a listener. EAGAIN, EINVAL (not listening), EBADF, ENETDOWN.
pub fn accept(_cell: &Cell, _waker: Option<&Waker>) -> Result<(Accepted, Kick), Errno> {
    unimplemented!()
}

/// The outcome of connect: `Ok` when connected, EAGAIN while it is under way, then its error once.
pub fn connected(_cell: &Cell, _waker: Option<&Waker>) -> Result<(), Errno> {
    unimplemented!()
}

/// What the socket is ready for now; registers `waker` for any change if `interest` is not met.
pub fn readiness(_cell: &Cell, _interest: Readiness, _waker: Option<&Waker>) -> Readiness {
    unimplemented!()
}

/// Takes the pending error (SO_ERROR).
pub fn take_error(_cell: &Cell) -> Option<Errno> {
    unimplemented!()
}

/// Marks the cell closed and takes every waker and, of a listener, the accept queue. False if it was closed before.
pub fn close(_cell: &Cell, _wakers: &mut Vec<Waker>) -> bool {
    unimplemented!()
}
