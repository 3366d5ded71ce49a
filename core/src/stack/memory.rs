//! What all sockets together hold: counted at each change, never by walking over them.

use super::table::Flow;
use crate::buffer::{Gauge, Pressure};

/// Bytes that the stack's connections hold, and how many they may.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    held: usize,
    gauge: Gauge,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, held: 0, gauge: Gauge::default() }
    }

    /// Shows the pressure to whoever holds it.
    pub(super) const fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// Another limit, while it runs.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.gauge.set(self.pressure());
    }

    /// Bytes held.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// How much of the limit is used.
    pub(super) const fn pressure(&self) -> Pressure {
        if self.held >= self.limit {
            Pressure::Full
        } else if self.held >= self.limit - self.limit / 4 {
            Pressure::High
        } else {
            Pressure::None
        }
    }

    /// Counts what a connection holds now: what it was told to send, what waits for its program, and what came before its turn. Whether pressure began.
    pub(super) fn count(&mut self, flow: &mut Flow) -> bool {
        let buffers = &mut flow.buffers;
        let received = buffers.recv_held.saturating_add(buffers.recv.len());
        let now = buffers.send.len().saturating_add(received).saturating_add(flow.connection.waiting());
        let before = std::mem::replace(&mut buffers.charged, now);
        if now == before {
            return false;
        }
        self.hold(self.held.saturating_add(now).saturating_sub(before))
    }

    /// A connection is gone, and what it held.
    pub(super) fn release(&mut self, flow: &mut Flow) {
        let charged = std::mem::take(&mut flow.buffers.charged);
        self.hold(self.held.saturating_sub(charged));
    }

    fn hold(&mut self, bytes: usize) -> bool {
        // Far from the limit, as nearly always, it need not be asked how far.
        if self.held.max(bytes) < self.limit / 2 {
            self.held = bytes;
            return false;
        }
        let before = self.pressure();
        self.held = bytes;
        let after = self.pressure();
        if before != after {
            self.gauge.set(after);
        }
        before == Pressure::None && after != before
    }
}
