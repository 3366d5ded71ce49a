//! What a listening socket keeps: its SYN queue and the part of its accept queue that is not published yet.
//!
//! ```text
//!  SYN -> half_open --final ACK--> ready --publish--> cell.accept --accept()--> program
//!         (SYN queue)             \________ accept queue ________/
//! ```

use crate::buffer::SocketId;
use std::collections::{BTreeSet, VecDeque};

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    /// Connections that may wait, less one: as in Linux, a backlog of 0 lets one wait.
    pub backlog: usize,
    /// Connections whose handshake is not complete.
    pub half_open: BTreeSet<SocketId>,
    /// Established connections that are not in the cell yet, oldest first.
    pub ready: VecDeque<SocketId>,
    /// Connections in the cell when the holder last looked; accept has made them fewer since.
    pub published: usize,
    /// Half-open connections whose final ACK found the accept queue full.
    pub held: VecDeque<SocketId>,
}

impl Listener {
    pub(super) const fn new(backlog: usize) -> Self {
        Self {
            backlog,
            half_open: BTreeSet::new(),
            ready: VecDeque::new(),
            published: 0,
            held: VecDeque::new(),
        }
    }

    /// Whether the accept queue can take no more, as far as the holder knows.
    pub(super) fn accept_full(&self) -> bool {
        self.ready.len().saturating_add(self.published) > self.backlog
    }

    /// Whether the SYN queue can take no more.
    pub(super) fn syn_full(&self, extra: u32) -> bool {
        self.half_open.len() > self.backlog.saturating_add(extra as usize)
    }
}
