//! Whom a segment is for: keyed hashes, so that no peer can choose addresses that collide.

use crate::buffer::SocketId;
use crate::rng::Rng;
use siphasher::sip::SipHasher13;
use std::collections::HashMap;
use std::hash::BuildHasher;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FourTuple {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
}

impl FourTuple {
    pub(super) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { local: (local.ip(), local.port()), remote: (remote.ip(), remote.port()) }
    }
}

/// Connections by four-tuple, listeners by address and port.
#[derive(Debug)]
pub(super) struct Demux {
    connections: HashMap<FourTuple, SocketId, KeyedState>,
    listeners: HashMap<(IpAddr, u16), SocketId, KeyedState>,
}

impl Demux {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self {
            connections: HashMap::with_hasher(KeyedState::new(rng)),
            listeners: HashMap::with_hasher(KeyedState::new(rng)),
        }
    }

    pub(super) fn connection(&self, tuple: &FourTuple) -> Option<SocketId> {
        self.connections.get(tuple).copied()
    }

    /// The listener for a SYN to `local`: one of this very address, else one of every address.
    pub(super) fn listener(&self, local: SocketAddr) -> Option<SocketId> {
        let exact = self.listeners.get(&(local.ip(), local.port()));
        exact.or_else(|| self.listeners.get(&(wildcard(local.ip()), local.port()))).copied()
    }

    pub(super) fn add_connection(&mut self, tuple: FourTuple, id: SocketId) {
        self.connections.insert(tuple, id);
    }

    /// Forgets a connection; one that has taken over its four-tuple stays.
    pub(super) fn remove_connection(&mut self, tuple: &FourTuple, id: SocketId) {
        if self.connections.get(tuple) == Some(&id) {
            self.connections.remove(tuple);
        }
    }

    pub(super) fn add_listener(&mut self, local: SocketAddr, id: SocketId) {
        self.listeners.insert((local.ip(), local.port()), id);
    }

    pub(super) fn remove_listener(&mut self, local: SocketAddr, id: SocketId) {
        let key = (local.ip(), local.port());
        if self.listeners.get(&key) == Some(&id) {
            self.listeners.remove(&key);
        }
    }
}

/// The unspecified address of the same family.
pub(super) const fn wildcard(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
