//! What whoever looks at the whole stack sees: its sockets of TCP and their states.

use super::{SocketId, Stack};
use crate::tcp::Glance;
use crate::time::Instant;
use std::net::SocketAddr;

/// One socket of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its name.
    pub id: SocketId,
    /// Its state as TCP_INFO numbers it.
    pub state: u8,
    /// Its own address, once it has one.
    pub local: Option<SocketAddr>,
    /// The peer's, once there is one.
    pub remote: Option<SocketAddr>,
    /// A program holds it; none does before accept and after close.
    pub held: bool,
}

impl Stack {
    /// Every socket of TCP, whoever holds it.
    #[doc(hidden)]
    #[must_use]
    pub fn census(&self, now: Instant) -> Vec<Counted> {
        let count = |id: SocketId| {
            let entry = self.table.get(id)?;
            if entry.kind.stands_in() {
                return None;
            }
            let state = self.tcp_info(now, id).ok()?.state;
            Some(Counted { id, state, local: entry.local, remote: entry.peer, held: !entry.orphan })
        };
        self.table.ids().into_iter().filter_map(count).collect()
    }

    /// Every connection that is not over, its own address, the peer's, and what it thinks.
    #[doc(hidden)]
    #[must_use]
    pub fn glances(&self) -> Vec<(SocketId, [SocketAddr; 2], Glance)> {
        let glance = |id: SocketId| {
            let flow = self.table.get(id)?.flow()?;
            let glance = flow.connection.glance(&flow.buffers)?;
            Some((id, [flow.local, flow.remote], glance))
        };
        self.table.ids().into_iter().filter_map(glance).collect()
    }
}
