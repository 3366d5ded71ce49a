//! Bytes between a program and its connections: shared slices, never rings (docs/ARCHITECTURE.md).
//!
//! ```text
//!  send(): user memory --copy--> Cell outbox --swap--> SendQueue --slices--> Transmit
//!  recv(): user memory <--copy-- Cell inbox  <--swap-- RecvQueue <--slices-- Frame
//! ```

mod datagrams;
mod followers;
mod notices;
mod pool;
mod recv_queue;
mod send_queue;
mod shared;

pub use datagrams::{DATAGRAM_OVERHEAD, Datagram, DatagramQueue, Datagrams};
pub use followers::Wants;
pub use notices::{Notice, Notices};
pub use pool::PagePool;
pub use recv_queue::RecvQueue;
pub use send_queue::SendQueue;
pub use shared::{Accepted, Cell, CellState, Interest, Life, Marks, OutOfBand, SocketId, Urgent};

use bytes::Bytes;
use smallvec::SmallVec;

/// Payloads and writes below this many bytes are copied into a shared tail instead of travelling as a slice of their own.
pub const SMALL: usize = 2048;

/// A chain of slices, as handed to `writev` or copied out by `recv`.
pub type Slices = SmallVec<[Bytes; 4]>;
