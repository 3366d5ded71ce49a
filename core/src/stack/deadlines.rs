//! When connections have to be looked at next: a heap that is armed lazily.
//!
//! A deadline that moves later costs nothing: the earlier entry fires, finds the connection not due, and is queued anew. Retransmission
//! timers move with every ACK, so this saves most of the heap's work.

use super::table::Table;
use crate::buffer::SocketId;
use crate::time::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Deadlines of connections.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, SocketId)>>,
}

/// Entries per socket, and at least, above which stale ones are thrown out.
const STALE_FACTOR: usize = 4;
const STALE_LEAST: usize = 64;
/// A heap of more than so many entries gives memory back once less than a part of so many is used.
const KEPT: usize = 1024;
const SPARSE: usize = 8;

impl Deadlines {
    /// Earliest entry.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Has `id` looked at by `at`.
    pub(super) fn arm(&mut self, table: &mut Table, id: SocketId, at: Instant) {
        let sockets = table.len();
        let Some(entry) = table.look_at(id) else { return };
        if entry.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        entry.armed = Some(at);
        self.heap.push(Reverse((at, id)));
        if self.heap.len() > STALE_FACTOR * sockets + STALE_LEAST {
            self.sweep(table);
        }
    }

    /// Takes the next socket whose deadline, as it was armed, has come.
    pub(super) fn pop(&mut self, table: &mut Table, now: Instant) -> Option<SocketId> {
        while let Some(Reverse((at, id))) = self.heap.peek().copied() {
            if at > now {
                return None;
            }
            self.heap.pop();
            let capacity = self.heap.capacity();
            if capacity > KEPT && self.heap.len() < capacity / SPARSE {
                self.heap.shrink_to(2 * self.heap.len());
            }
            let Some(entry) = table.look_at(id) else { continue };
            if entry.armed == Some(at) {
                entry.armed = None;
                return Some(id);
            }
        }
        None
    }

    /// Keeps one entry for each socket that is armed.
    fn sweep(&mut self, table: &Table) {
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        entries.retain(|Reverse((at, id))| table.get(*id).is_some_and(|entry| entry.armed == Some(*at)));
        entries.sort_unstable();
        entries.dedup();
        self.heap = BinaryHeap::from(entries);
    }
}

#[cfg(test)]
mod tests;
