//! Bytes between a program and its connections: shared slices, never rings (docs/ARCHITECTURE.md).
//!
//! ```text
//!  send(): user memory --copy--> Cell outbox --swap--> SendQueue --slices--> Transmit
//!  recv(): user memory <--copy-- Cell inbox  <--swap-- RecvQueue <--slices-- Frame
//! ```

mod accept;
mod datagrams;
mod followers;
mod notices;
mod pool;
mod recv_queue;
mod send_queue;
mod send_size;
mod shared;
mod syns;

pub use accept::{AcceptQueue, Accepted};
pub use datagrams::{DATAGRAM_OVERHEAD, Datagram, DatagramQueue, Datagrams, Handling};
pub use followers::Wants;
pub use notices::{Notice, Notices};
pub use pool::PagePool;
pub use recv_queue::RecvQueue;
pub use send_queue::SendQueue;
pub use send_size::{Room, SendShare, SendSize};
pub use shared::{
    Cell, CellState, Fate, Gauge, Interest, Life, Marks, OutOfBand, SLOT_BITS, SocketId, Urgent, Verdict,
    WORKERS_MAX,
};
pub use syns::{PausedSyn, Syns};

use bytes::Bytes;
use smallvec::SmallVec;

/// Payloads and writes below this many bytes are copied into a shared tail instead of travelling as a slice of their own.
pub const SMALL: usize = 2048;

/// Slices below this many bytes are copied out of their page where the peer decides how long they are kept: a sixteenth of a page, so that they pin no more
/// than sixteen times what is counted of them.
pub const SPARSE: usize = 16 << 10;

/// How much of what a stack may hold for all of its sockets it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Less than three quarters: buffers grow as they should.
    #[default]
    None,
    /// More: no buffer grows, and windows are opened by a few segments only.
    High,
    /// All of it: windows stay shut, and what came before its turn is dropped.
    Full,
}

/// A chain of slices, as handed to `writev` or copied out by `recv`.
pub type Slices = SmallVec<[Bytes; 4]>;
