//! Connections at rest. Beyond the first so many they are packed, and unpacked by whatever touches them.
//!
//! ```text
//!            touched: once more round
//!             .--------------------.
//!             v                    |
//!  new --> [ queue of those awake ] --at rest--> asleep
//!             ^                                    |
//!             '---- segment, call, deadline, kick -'
//! ```
//! A connection takes some kilobytes while it is ready to send and receive, and nothing of that is of use to one that waits for hours. What is in
//! queues is not packed: who has any is not at rest.

use super::socket::options::Settings;
use super::table::{Entry, Flow, Kind, Stage};
use crate::buffer::{Cell, Life, Marks, SocketId};
use crate::pack::{Pack, Packer, Unpacker};
use crate::sync::Arc;
use crate::tcp::Connection;
use crate::time::Instant;
use std::collections::VecDeque;
use std::ops::Deref;

/// Connections that are awake, those first that were looked at longest ago.
#[derive(Debug, Default)]
pub(super) struct Awake {
    /// Each once, by `Entry::listed`; some are gone.
    queue: VecDeque<SocketId>,
    /// How many of them are not gone.
    there: usize,
    /// How many have come since they were last looked at.
    fresh: usize,
    /// How many are asleep.
    asleep: usize,
    packer: Packer,
    /// In place of the cells that nobody can look at any more.
    nobody: Option<Arc<Cell>>,
}

/// Connections that are looked at in a turn beside two for each that has come.
const LOOKS: usize = 8;

impl Awake {
    /// Something happens to a connection, which is awake.
    pub(super) fn add(&mut self, id: SocketId, entry: &mut Entry) {
        entry.touched = true;
        if !std::mem::replace(&mut entry.listed, true) {
            self.queue.push_back(id);
            self.there += 1;
            self.fresh += 1;
        }
    }

    /// The same, and it was asleep.
    pub(super) fn woken(&mut self, id: SocketId, entry: &mut Entry) {
        self.asleep = self.asleep.saturating_sub(1);
        self.add(id, entry);
    }

    /// A connection is removed.
    pub(super) fn gone(&mut self, entry: &mut Entry) {
        if entry.wake() {
            self.asleep = self.asleep.saturating_sub(1);
        }
        if entry.listed {
            self.there = self.there.saturating_sub(1);
        }
    }

    pub(super) const fn asleep(&self) -> usize {
        self.asleep
    }

    /// How many to look at in this turn: in proportion to what has woken, however many are busy.
    pub(super) fn looks(&mut self, most: usize) -> usize {
        let looks = 2 * std::mem::take(&mut self.fresh) + LOOKS;
        if most == 0 { self.queue.len() } else { looks }
    }

    /// The next to look at, as long as more than `most` are awake or gone.
    pub(super) fn next(&mut self, most: usize) -> Option<SocketId> {
        if self.queue.len() > most { self.queue.pop_front() } else { None }
    }

    /// Puts a connection to sleep if more than `most` are awake, it is at rest, and nothing has happened to it since it was last looked at; where nobody is
    /// to be awake, whatever has happened.
    pub(super) fn look(&mut self, id: SocketId, entry: &mut Entry, most: usize) {
        let touched = std::mem::take(&mut entry.touched) && most > 0;
        let stays = touched || self.there <= most;
        entry.listed = matches!(entry.kind, Kind::Flow(_)) && (stays || !self.lull(entry));
        if entry.listed {
            self.queue.push_back(id);
        } else {
            self.there = self.there.saturating_sub(1);
        }
    }

    fn lull(&mut self, entry: &mut Entry) -> bool {
        let Kind::Flow(flow) = &entry.kind else { return false };
        if entry.pending || entry.dirty {
            return false;
        }
        let Some(bytes) = flow.pack(&entry.settings, &mut self.packer) else { return false };
        entry.kind = Kind::Asleep(bytes);
        self.asleep += 1;
        entry.cell.lock().shrink();
        if entry.orphan && Arc::strong_count(&entry.cell) == 1 {
            let nobody = self.nobody.get_or_insert_with(|| {
                let cell = Cell::new(Marks::default());
                cell.lock().life = Life::Closed;
                cell
            });
            entry.cell = Arc::clone(nobody);
        }
        true
    }
}

impl Entry {
    /// Unpacks the connection, if it is asleep; whether it was.
    pub(super) fn wake(&mut self) -> bool {
        let Kind::Asleep(bytes) = &self.kind else { return false };
        self.kind = Kind::Flow(Box::new(Flow::unpack(bytes, &self.settings)));
        true
    }

    /// The connection, to look at; a copy of one that is asleep.
    pub(super) fn flow(&self) -> Option<Seen<'_>> {
        match &self.kind {
            Kind::Flow(flow) => Some(Seen::Awake(flow)),
            Kind::Asleep(bytes) => Some(Seen::Asleep(Box::new(Flow::unpack(bytes, &self.settings)))),
            Kind::Idle | Kind::Listener(_) | Kind::Interceptor(_) | Kind::Over(_) | Kind::Datagram(_) => None,
        }
    }

    /// When a connection that is asleep wants to be looked at; none: it is not asleep.
    pub(super) fn asleep_until(&self) -> Option<Option<Instant>> {
        match &self.kind {
            Kind::Asleep(bytes) => Some(Connection::stored_timeout(&mut Unpacker::new(bytes))),
            _ => None,
        }
    }
}

impl Flow {
    /// All of it but its options, if it is at rest and those are of `settings`.
    fn pack(&self, settings: &Settings, packer: &mut Packer) -> Option<Box<[u8]>> {
        let Self { connection, buffers, recent, local: _, remote: _, stage, live, orphaned, unread, held } =
            self;
        let rests = *stage == Stage::Open && held.is_none() && !unread;
        if !rests || !connection.store(buffers, &settings.protocol, packer) {
            return None;
        }
        recent.pack(packer);
        [*live, *orphaned].pack(packer);
        Some(packer.finish())
    }

    fn unpack(bytes: &[u8], settings: &Settings) -> Self {
        let from = &mut Unpacker::new(bytes);
        let (connection, buffers) = Connection::restore(settings.protocol.clone(), from);
        let (local, remote) = connection.names();
        let recent = Pack::unpack(from);
        let [live, orphaned] = Pack::unpack(from);
        Self { live, orphaned, recent, ..Self::new(connection, buffers, (local, remote), Stage::Open) }
    }
}

/// A connection to be looked at.
#[derive(Debug)]
pub(super) enum Seen<'a> {
    Awake(&'a Flow),
    Asleep(Box<Flow>),
}

impl Deref for Seen<'_> {
    type Target = Flow;
    fn deref(&self) -> &Flow {
        match self {
            Self::Awake(flow) => flow,
            Self::Asleep(flow) => flow,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// What a connection has in a stack, so that nobody makes it grow without seeing it.
    #[test]
    fn the_parts_are_as_small_as_they_were() {
        let table = [
            ("Entry", size_of::<Entry>(), 184),
            ("Kind", size_of::<Kind>(), 24),
            ("Flow", size_of::<Flow>(), 1256),
            ("Cell", size_of::<Cell>(), 416),
            ("Settings", size_of::<Settings>(), 184),
        ];
        for (name, bytes, most) in table {
            assert!(bytes <= most, "{name}: {bytes} bytes, {most} before");
        }
    }
}
