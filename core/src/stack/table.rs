//! The table of sockets: slots that are used again under a new generation, so that a stale name names nothing.

use super::Domain;
use super::datagram::DatagramSocket;
use super::intercept::Interceptor;
use super::listener::Listener;
use super::ports::{Class, Hold};
use super::queue_share::Recent;
use super::rest::Awake;
use super::settings::Shared;
use super::socket::options::Settings;
use crate::buffer::{Cell, SLOT_BITS, SocketId};
use crate::sync::Arc;
use crate::tcp::{Buffers, Connection, TcpInfo};
use crate::time::Instant;
use crate::wire::tcp::TcpHeader;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// One socket.
#[derive(Debug)]
pub(super) struct Entry {
    /// The half that it shares with callers.
    pub cell: Arc<Cell>,
    /// Its family.
    pub domain: Domain,
    /// What it is.
    pub kind: Kind,
    /// Its options, which it shares with all that have the same.
    pub settings: Arc<Settings>,
    /// The address that bind gave it, its port resolved.
    pub bound: Option<SocketAddr>,
    /// Its own address, once it has one.
    pub local: Option<SocketAddr>,
    /// The peer's, once there is one.
    pub peer: Option<SocketAddr>,
    /// The port that it keeps from others.
    pub hold: Option<Hold>,
    /// The program has let go of it.
    pub orphan: bool,
    /// It is a stream of the system, which somebody else closes.
    pub handed_over: bool,
    /// It is queued to be published.
    pub dirty: bool,
    /// It is queued to be asked for segments.
    pub pending: bool,
    /// It is in the queue of connections that are awake.
    pub listed: bool,
    /// Something has happened to it since it was last looked at there.
    pub touched: bool,
    /// Earliest deadline that is queued for it.
    pub armed: Option<Instant>,
}

impl Entry {
    /// An address as this socket shows it: a socket of AF_INET6 that speaks IPv4 has IPv4-mapped addresses (RFC 4291 2.5.5.2).
    pub(super) fn shown(&self, address: SocketAddr) -> SocketAddr {
        match (self.domain, address.ip()) {
            (Domain::V6, IpAddr::V4(v4)) => SocketAddr::new(v4.to_ipv6_mapped().into(), address.port()),
            _ => address,
        }
    }

    /// Changes its options.
    pub(super) fn change(&mut self, shared: &mut Shared, change: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::clone(&self.settings);
        change(&mut settings);
        self.settings = shared.share(settings);
    }

    /// Whether programs look at what becomes of it.
    pub(super) fn is_shown(&self) -> bool {
        match &self.kind {
            Kind::Flow(flow) => flow.stage == Stage::Open && !self.orphan,
            Kind::Listener(_) => true,
            Kind::Idle | Kind::Interceptor(_) | Kind::Asleep(_) | Kind::Over(_) | Kind::Datagram(_) => false,
        }
    }

    /// How it holds `address` as a socket of `class`.
    pub(super) fn hold_on(&self, address: SocketAddr, class: Class) -> Hold {
        Hold {
            address: address.ip(),
            port: address.port(),
            dual: self.is_dual(address),
            class,
            reuse: self.settings.reuse(),
        }
    }

    /// Whether bound to `address` it takes connections of both families.
    pub(super) fn is_dual(&self, address: SocketAddr) -> bool {
        address.is_ipv6() && address.ip().is_unspecified() && !self.settings.v6_only
    }
}

/// What a socket is.
#[derive(Debug)]
pub(super) enum Kind {
    /// Neither connected nor listening.
    Idle,
    /// Listening.
    Listener(Box<Listener>),
    /// Has the SYNs for a range of addresses and ports decided by its program.
    Interceptor(Box<Interceptor>),
    /// A connection, from its first SYN to the end of TIME-WAIT.
    Flow(Box<Flow>),
    /// A connection at rest, packed.
    Asleep(Box<[u8]>),
    /// What is left of a connection until the program closes the handle.
    Over(Box<Over>),
    /// A socket of UDP, for all its life.
    Datagram(Box<DatagramSocket>),
}

impl Kind {
    /// Whether it stands in for a socket of another worker.
    pub(super) fn stands_in(&self) -> bool {
        match self {
            Self::Listener(listener) => listener.original.is_some(),
            Self::Interceptor(interceptor) => interceptor.original.is_some(),
            _ => false,
        }
    }
}

/// A connection and what it owns.
#[derive(Debug)]
pub(super) struct Flow {
    /// The protocol.
    pub connection: Connection,
    /// Its bytes.
    pub buffers: Buffers,
    /// What has come for it of late.
    pub recent: Recent,
    /// Its own address.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// Whom it belongs to.
    pub stage: Stage,
    /// It is one of the live connections that the stack counts.
    pub live: bool,
    /// It is one of the orphans that the stack counts.
    pub orphaned: bool,
    /// It was closed with bytes unread, and is reset once what may be sent has been.
    pub unread: bool,
    /// A final ACK of the handshake that found the accept queue full.
    pub held: Option<TcpHeader>,
}

impl Flow {
    /// A connection between `local` and `remote` that nothing has come for yet.
    pub(super) fn new(
        connection: Connection,
        buffers: Buffers,
        (local, remote): (SocketAddr, SocketAddr),
        stage: Stage,
    ) -> Self {
        let recent = Recent::default();
        let (live, orphaned, unread, held) = (false, false, false, None);
        Self { connection, buffers, recent, local, remote, stage, live, orphaned, unread, held }
    }
}

/// Whom a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To this listener's SYN queue.
    HalfOpen(SocketId),
    /// To a program, or to an accept queue on the way to one.
    Open,
}

/// What is known of a connection that is over.
#[derive(Debug)]
pub(super) struct Over {
    /// It had been established.
    pub established: bool,
    /// Its last figures.
    pub info: TcpInfo,
}

/// Slots of sockets.
#[derive(Debug)]
pub(super) struct Table {
    /// Index of the first slot: it names the worker.
    base: u32,
    slots: Vec<Slot>,
    free: Vec<u32>,
    awake: Awake,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    entry: Option<Box<Entry>>,
}

impl Table {
    /// The sockets of one worker.
    pub(super) fn new(worker: u32) -> Self {
        Self { base: worker << SLOT_BITS, slots: Vec::new(), free: Vec::new(), awake: Awake::default() }
    }

    /// How many sockets there are, orphans included.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Adds a socket; `None` when no index is left.
    pub(super) fn insert(&mut self, entry: Entry) -> Option<SocketId> {
        let entry = Box::new(entry);
        if let Some(index) = self.free.pop() {
            let slot = self.slots.get_mut(index.wrapping_sub(self.base) as usize)?;
            slot.entry = Some(entry);
            return Some(SocketId { index, generation: slot.generation });
        }
        let index = u32::try_from(self.slots.len()).ok().filter(|slot| *slot >> SLOT_BITS == 0)? + self.base;
        self.slots.push(Slot { generation: 0, entry: Some(entry) });
        Some(SocketId { index, generation: 0 })
    }

    pub(super) fn get(&self, id: SocketId) -> Option<&Entry> {
        let slot = self.slots.get(id.index.wrapping_sub(self.base) as usize)?;
        slot.entry.as_deref().filter(|_| slot.generation == id.generation)
    }

    /// The socket in a slot, and its name.
    pub(super) fn at(&self, index: u32) -> Option<(SocketId, &Entry)> {
        let Slot { generation, entry } = self.slots.get(index.wrapping_sub(self.base) as usize)?;
        Some((SocketId { index, generation: *generation }, entry.as_deref()?))
    }

    /// The indices of all slots.
    pub(super) fn indices(&self) -> Range<u32> {
        self.base..self.base + self.slots.len() as u32
    }

    /// The socket of this name. A connection that is asleep wakes.
    #[inline]
    pub(super) fn get_mut(&mut self, id: SocketId) -> Option<&mut Entry> {
        let entry = entry_in(&mut self.slots, self.base, id)?;
        if matches!(entry.kind, Kind::Asleep(_)) {
            wake(&mut self.awake, id, entry);
        }
        Some(entry)
    }

    /// The same, and what is asleep stays so.
    pub(super) fn look_at(&mut self, id: SocketId) -> Option<&mut Entry> {
        entry_in(&mut self.slots, self.base, id)
    }

    /// How many connections are asleep.
    pub(super) const fn asleep(&self) -> usize {
        self.awake.asleep()
    }

    /// Something happens to a connection that is awake.
    pub(super) fn touch(&mut self, id: SocketId) {
        if let Some(entry) = entry_in(&mut self.slots, self.base, id) {
            self.awake.add(id, entry);
        }
    }

    /// Puts connections to sleep that are at rest, as long as more than `most` are awake.
    pub(super) fn lull(&mut self, most: usize) {
        for _ in 0..self.awake.looks(most) {
            let Some(id) = self.awake.next(most) else { return };
            if let Some(entry) = entry_in(&mut self.slots, self.base, id) {
                self.awake.look(id, entry, most);
            }
        }
    }

    /// The connection of this name.
    pub(super) fn flow_mut(&mut self, id: SocketId) -> Option<&mut Flow> {
        match &mut self.get_mut(id)?.kind {
            Kind::Flow(flow) => Some(flow),
            _ => None,
        }
    }

    /// The listener of this name.
    pub(super) fn listener_mut(&mut self, id: SocketId) -> Option<&mut Listener> {
        match &mut self.look_at(id)?.kind {
            Kind::Listener(listener) => Some(listener),
            _ => None,
        }
    }

    pub(super) fn remove(&mut self, id: SocketId) -> Option<Box<Entry>> {
        let slot = self.slots.get_mut(id.index.wrapping_sub(self.base) as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let mut entry = slot.entry.take()?;
        self.awake.gone(&mut entry);
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        Some(entry)
    }

    /// The names of all sockets: for what concerns the stack as a whole, its end and its link.
    pub(super) fn ids(&self) -> Vec<SocketId> {
        let slots = self.slots.iter().zip(self.base..);
        slots
            .filter(|(slot, _)| slot.entry.is_some())
            .map(|(slot, index)| SocketId { index, generation: slot.generation })
            .collect()
    }
}

#[cold]
fn wake(awake: &mut Awake, id: SocketId, entry: &mut Entry) {
    if entry.wake() {
        awake.woken(id, entry);
    }
}

#[inline]
fn entry_in(slots: &mut [Slot], base: u32, id: SocketId) -> Option<&mut Entry> {
    let Slot { generation, entry } = slots.get_mut(id.index.wrapping_sub(base) as usize)?;
    entry.as_deref_mut().filter(|_| *generation == id.generation)
}
