//! Whom a segment is for: keyed hashes, so that no peer can choose addresses that collide.

use super::table::{Entry, Table};
use crate::buffer::SocketId;
use crate::rng::Rng;
use hashbrown::HashTable;
use siphasher::sip::SipHasher13;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Makes SipHash-1-3 hashers of one key.
#[derive(Clone, Debug)]
pub(super) struct KeyedState([u8; 16]);

impl KeyedState {
    /// Hashers keyed by the next number of `rng`.
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self(rng.next_key())
    }
}

impl BuildHasher for KeyedState {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

/// What names a connection on the wire, seen from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FourTuple {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
}

/// Every packet is hashed: as few words, without the tags and lengths that a derived hash has between them.
impl Hash for FourTuple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ports = u32::from(self.local.1) << 16 | u32::from(self.remote.1);
        match (self.local.0, self.remote.0) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                state.write_u64(u64::from(local.to_bits()) << 32 | u64::from(remote.to_bits()));
                state.write_u32(ports);
            }
            (IpAddr::V6(local), IpAddr::V6(remote)) => {
                for bits in [local.to_bits(), remote.to_bits()] {
                    state.write_u64((bits >> 64) as u64);
                    state.write_u64(bits as u64);
                }
                state.write_u32(ports);
            }
            // Of two families is no packet.
            (local, remote) => (local, remote, ports).hash(state),
        }
    }
}

impl FourTuple {
    pub(super) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self::of((local.ip(), local.port()), (remote.ip(), remote.port()))
    }

    pub(super) const fn of(local: (IpAddr, u16), remote: (IpAddr, u16)) -> Self {
        Self { local, remote }
    }

    /// Whether it is the one of this connection.
    fn names(&self, entry: &Entry) -> bool {
        let is = |address: Option<SocketAddr>, (ip, port): (IpAddr, u16)| {
            address.is_some_and(|address| address.port() == port && address.ip() == ip)
        };
        is(entry.peer, self.remote) && is(entry.local, self.local)
    }
}

/// A connection in the table: not its four-tuple, which it knows itself, but what tells nearly all others from it.
#[derive(Clone, Copy, Debug)]
struct Known {
    hash: u32,
    index: u32,
}

impl Known {
    /// Both halves of a hash table's hash, its place and its tag, are of the same bits.
    fn spread(&self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

/// Connections by four-tuple, listeners by address and port.
#[derive(Debug)]
pub(super) struct Demux {
    connections: HashTable<Known>,
    /// Whose the last segment was: those after it are, mostly.
    last: Option<SocketId>,
    key: KeyedState,
    /// More than one where all have set SO_REUSEPORT.
    listeners: HashMap<(IpAddr, u16), Vec<SocketId>, KeyedState>,
    share: KeyedState,
}

/// A table of more than so many connections gives memory back once less than a part of so many is used.
pub(super) const KEPT: usize = 1024;
pub(super) const SPARSE: usize = 8;

/// Stands for the wildcard of IPv4 of a listener on the wildcard of IPv6: no address on the wire is of this form.
pub(super) const DUAL: IpAddr = IpAddr::V6(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped());

impl Demux {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self {
            connections: HashTable::new(),
            last: None,
            key: KeyedState::new(rng),
            listeners: HashMap::with_hasher(KeyedState::new(rng)),
            share: KeyedState::new(rng),
        }
    }

    /// The connection that a segment is for.
    pub(super) fn addressee(&mut self, table: &Table, tuple: &FourTuple) -> Option<SocketId> {
        let again = self.last.filter(|id| table.get(*id).is_some_and(|entry| tuple.names(entry)));
        if again.is_none() {
            self.last = self.connection(table, tuple);
        }
        self.last
    }

    pub(super) fn connection(&self, table: &Table, tuple: &FourTuple) -> Option<SocketId> {
        let hash = self.hash(tuple);
        let known = self.connections.find(Known { hash, index: 0 }.spread(), |known| {
            known.hash == hash && table.at(known.index).is_some_and(|(_, entry)| tuple.names(entry))
        })?;
        table.at(known.index).map(|(id, _)| id)
    }

    fn hash(&self, tuple: &FourTuple) -> u32 {
        (self.key.hash_one(tuple) >> 32) as u32
    }

    /// The listener for a SYN from `remote` to `local`: one of this very address, else one of every address of the family, else one of both
    /// families. Those that share an address share its peers, by hash. Who does not listen any more, as `listens` says, is passed over.
    pub(super) fn listener(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        listens: impl Fn(SocketId) -> bool,
    ) -> Option<SocketId> {
        let on = |address: IpAddr| self.listener_at(address, local, remote, &listens);
        let both = || local.is_ipv4().then(|| on(DUAL)).flatten();
        on(local.ip()).or_else(|| on(wildcard(local.ip()))).or_else(both)
    }

    /// The same, of those of `address` alone.
    pub(super) fn listener_at(
        &self,
        address: IpAddr,
        local: SocketAddr,
        remote: SocketAddr,
        listens: impl Fn(SocketId) -> bool,
    ) -> Option<SocketId> {
        let group = self.listeners.get(&(address, local.port()))?;
        self.member(group, local, remote, listens)
    }

    /// Whose of a group this peer is: of the one that the hash says, or else of the next that listens.
    fn member(
        &self,
        group: &[SocketId],
        local: SocketAddr,
        remote: SocketAddr,
        listens: impl Fn(SocketId) -> bool,
    ) -> Option<SocketId> {
        let place = if group.len() > 1 {
            let hash = self.share.hash_one(FourTuple::new(local, remote));
            usize::try_from((hash >> 32).wrapping_mul(group.len() as u64) >> 32).ok()?
        } else {
            0
        };
        let (before, from) = group.split_at_checked(place)?;
        from.iter().chain(before).copied().find(|id| listens(*id))
    }

    /// Adds a connection, which no other has the four-tuple of.
    pub(super) fn add_connection(&mut self, tuple: &FourTuple, id: SocketId) {
        let known = Known { hash: self.hash(tuple), index: id.index };
        self.connections.insert_unique(known.spread(), known, Known::spread);
    }

    /// Forgets a connection; one that has taken over its four-tuple stays.
    pub(super) fn remove_connection(&mut self, tuple: &FourTuple, id: SocketId) {
        // What is over keeps its names for its program.
        self.last = self.last.filter(|last| *last != id);
        let hash = Known { hash: self.hash(tuple), index: id.index }.spread();
        if let Ok(found) = self.connections.find_entry(hash, |known| known.index == id.index) {
            found.remove();
        }
        let (len, capacity) = (self.connections.len(), self.connections.capacity());
        if capacity > KEPT && len < capacity / SPARSE {
            self.connections.shrink_to(2 * len, Known::spread);
        }
    }

    /// Adds a listener; `dual`: on the wildcards of both families.
    pub(super) fn add_listener(&mut self, local: SocketAddr, dual: bool, id: SocketId) {
        for address in addresses(local, dual) {
            self.listeners.entry((address, local.port())).or_default().push(id);
        }
    }

    pub(super) fn remove_listener(&mut self, local: SocketAddr, dual: bool, id: SocketId) {
        for address in addresses(local, dual) {
            let key = (address, local.port());
            let Some(group) = self.listeners.get_mut(&key) else { continue };
            if let Some(place) = group.iter().position(|member| *member == id) {
                group.swap_remove(place);
            }
            if group.is_empty() {
                self.listeners.remove(&key);
            }
        }
    }
}

/// The addresses to find who is bound to `local` under.
pub(super) fn addresses(local: SocketAddr, dual: bool) -> impl Iterator<Item = IpAddr> {
    std::iter::once(local.ip()).chain(dual.then_some(DUAL))
}

/// The unspecified address of the same family.
pub(super) const fn wildcard(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
