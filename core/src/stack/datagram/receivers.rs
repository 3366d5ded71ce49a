//! Whom a datagram is for: a connected socket before a bound one, an address before every address.

use crate::buffer::SocketId;
use crate::rng::Rng;
use crate::stack::demux::{DUAL, FourTuple, KeyedState, addresses, wildcard};
use crate::udp::Association;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};

/// Sockets that share an address by SO_REUSEADDR: the last to come receives, as in Linux.
type Sharers = SmallVec<[SocketId; 1]>;

/// Datagram sockets by where they stand, in keyed hashes.
#[derive(Debug)]
pub(in crate::stack) struct Receivers {
    connected: HashMap<FourTuple, Sharers, KeyedState>,
    bound: HashMap<(IpAddr, u16), Sharers, KeyedState>,
}

impl Receivers {
    pub(in crate::stack) fn new(rng: &mut Rng) -> Self {
        Self {
            connected: HashMap::with_hasher(KeyedState::new(rng)),
            bound: HashMap::with_hasher(KeyedState::new(rng)),
        }
    }

    /// The socket for a datagram from `remote` to `local`.
    pub(in crate::stack) fn find(&self, local: SocketAddr, remote: SocketAddr) -> Option<SocketId> {
        let bound = |ip| self.bound.get(&(ip, local.port())).and_then(latest);
        let both = || local.is_ipv4().then(|| bound(DUAL)).flatten();
        self.find_at(local, remote).or_else(|| bound(wildcard(local.ip()))).or_else(both)
    }

    /// The same among those that stand at this very address.
    pub(in crate::stack) fn find_at(&self, local: SocketAddr, remote: SocketAddr) -> Option<SocketId> {
        let connected = self.connected.get(&FourTuple::new(local, remote)).and_then(latest);
        connected.or_else(|| self.bound.get(&(local.ip(), local.port())).and_then(latest))
    }

    /// Has a socket found where it stands now; `dual`: on the wildcards of both families.
    pub(super) fn add(&mut self, association: &Association, dual: bool, id: SocketId) {
        let Some(local) = association.local() else { return };
        if let Some(peer) = association.peer() {
            self.connected.entry(FourTuple::new(local, peer)).or_default().push(id);
            return;
        }
        for address in addresses(local, dual) {
            self.bound.entry((address, local.port())).or_default().push(id);
        }
    }

    /// Forgets a socket that stands there.
    pub(super) fn remove(&mut self, association: &Association, dual: bool, id: SocketId) {
        let Some(local) = association.local() else { return };
        if let Some(peer) = association.peer() {
            return forget(&mut self.connected, FourTuple::new(local, peer), id);
        }
        for address in addresses(local, dual) {
            forget(&mut self.bound, (address, local.port()), id);
        }
    }
}

fn latest(sharers: &Sharers) -> Option<SocketId> {
    sharers.last().copied()
}

fn forget<K: Hash + Eq>(map: &mut HashMap<K, Sharers, KeyedState>, key: K, id: SocketId) {
    let Some(sharers) = map.get_mut(&key) else { return };
    sharers.retain(|known| *known != id);
    if sharers.is_empty() {
        map.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn id(index: u32) -> SocketId {
        SocketId { index, generation: 0 }
    }

    #[test]
    fn the_closest_is_found_and_of_equals_the_last() {
        let mut receivers = Receivers::new(&mut Rng::from_seed(1));
        let (local, remote) = (at("192.0.2.1:53"), at("192.0.2.9:4000"));
        let find = |receivers: &Receivers| receivers.find(local, remote).map(|id| id.index);
        let mut wild = Association::default();
        wild.bind(at("0.0.0.0:53"));
        let mut exact = Association::default();
        exact.bind(local);
        let mut connected = exact;
        connected.connect(local.ip(), remote);

        assert_eq!(find(&receivers), None);
        receivers.add(&wild, false, id(1));
        assert_eq!(find(&receivers), Some(1));
        assert_eq!(receivers.find_at(local, remote), None);
        receivers.add(&exact, false, id(2));
        assert_eq!((find(&receivers), receivers.find_at(local, remote)), (Some(2), Some(id(2))));
        receivers.add(&connected, false, id(3));
        assert_eq!(find(&receivers), Some(3));
        assert_eq!(receivers.find(local, at("192.0.2.9:4001")), Some(id(2)));
        assert_eq!(receivers.find(at("192.0.2.2:53"), remote), Some(id(1)));
        assert_eq!(receivers.find(at("192.0.2.1:54"), remote), None);
        receivers.add(&connected, false, id(4));
        assert_eq!(find(&receivers), Some(4));
        receivers.remove(&connected, false, id(4));
        receivers.remove(&connected, false, id(3));
        receivers.remove(&exact, false, id(9));
        assert_eq!(find(&receivers), Some(2));
        let both = at("[::]:53");
        let mut dual = Association::default();
        dual.bind(both);
        receivers.add(&dual, true, id(5));
        assert_eq!(find(&receivers), Some(2), "its own family first");
        receivers.remove(&exact, false, id(2));
        receivers.remove(&wild, false, id(1));
        assert_eq!(find(&receivers), Some(5));
        receivers.remove(&dual, true, id(5));
        assert!(receivers.bound.is_empty() && receivers.connected.is_empty());
    }
}
