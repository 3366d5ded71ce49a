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
    /// More than one where all have set SO_REUSEPORT.
    listeners: HashMap<(IpAddr, u16), Vec<SocketId>, KeyedState>,
    share: KeyedState,
}

/// Stands for the wildcard of IPv4 of a listener on the wildcard of IPv6: no address on the wire is of this form.
pub(super) const DUAL: IpAddr = IpAddr::V6(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped());

impl Demux {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self {
            connections: HashMap::with_hasher(KeyedState::new(rng)),
            listeners: HashMap::with_hasher(KeyedState::new(rng)),
            share: KeyedState::new(rng),
        }
    }

    pub(super) fn connection(&self, tuple: &FourTuple) -> Option<SocketId> {
        self.connections.get(tuple).copied()
    }

    /// The listener for a SYN from `remote` to `local`: one of this very address, else one of every address of the family, else one of both
    /// families. Those that share an address share its peers, by hash.
    pub(super) fn listener(&self, local: SocketAddr, remote: SocketAddr) -> Option<SocketId> {
        let on = |address: IpAddr| self.listeners.get(&(address, local.port()));
        let both = || local.is_ipv4().then(|| on(DUAL)).flatten();
        let group = on(local.ip()).or_else(|| on(wildcard(local.ip()))).or_else(both)?;
        match group.as_slice() {
            [only] => Some(*only),
            several => {
                let hash = self.share.hash_one(FourTuple::new(local, remote));
                let place = (hash >> 32).wrapping_mul(several.len() as u64) >> 32;
                several.get(usize::try_from(place).ok()?).copied()
            }
        }
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
