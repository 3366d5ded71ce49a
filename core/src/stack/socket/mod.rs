//! Socket semantics, pure: every call is answered at once with a value, an errno, or EAGAIN for "would block".
//!
//! Data calls work on the [`Cell`](crate::buffer::Cell) under its leaf lock. A call that would block registers `waker`, if there is one, in the same
//! section. A call that changed something the stack has to see returns [`Kick::Yes`]: the caller sends a kick to the holder of the Turn.
//!
//! The answers are those of Linux: what was received is read before an error is told, an error is told once, and after it comes the end of the stream.

mod data;
mod datagram;
pub mod figures;
mod ioctl;
pub mod ip;
pub mod options;
pub mod poll_set;
mod ready;
mod urgent;

pub use data::{
    accept, cancel, close, commit, connected, next_syn, receive_low, recv, reserve, reserve_piece,
    send_small, send_small_pieces, take_error, under_way, untold,
};
pub use datagram::{Queued, recv_from, send_to};
pub(in crate::stack) use datagram::{addressee, enqueue};
pub use ioctl::{SIOCATMARK, SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, ioctl};
pub use poll_set::{EpollControl, EpollEvent, EpollEvents, PollSet};
pub use ready::{Observed, Readiness, observe, readiness};
pub use urgent::{at_mark, readable, recv_urgent};
pub(in crate::stack) use urgent::{hole, show_urgent};

/// Whether the holder of the Turn has to look at the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Kick {
    /// Send it a kick.
    Yes,
    /// Nothing to do, or a kick is already on its way.
    No,
}

/// Whether what is sent ends with urgent data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Ordinary data.
    None,
    /// The last byte is urgent (MSG_OOB).
    Last,
}

/// Whether recv takes what it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// The bytes are gone from the queue.
    Consume,
    /// The bytes stay (MSG_PEEK).
    Peek,
}

/// Whether the program has said that it will write more at once (MSG_MORE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// It has not.
    No,
    /// It has: less than a segment waits for it.
    Follows,
}

#[cfg(test)]
mod tests;
