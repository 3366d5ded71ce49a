//! What connections think, for whoever looks at the whole stack in a test.

use super::{SocketId, Stack};
use crate::tcp::Glance;
use std::net::SocketAddr;

impl Stack {
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
