//! Which socket holds which port, and how free ones are found (RFC 6056).

use super::Domain;
use super::demux::{KeyedState, wildcard};
use crate::rng::Rng;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};

/// How a socket holds its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Found by connect for one peer: other connects may use the port towards other peers.
    Automatic,
    /// By bind without SO_REUSEADDR.
    Bound,
    /// By bind with SO_REUSEADDR.
    Reusable,
    /// Listening: exclusive.
    Listening,
}

/// A port that a socket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    pub address: IpAddr,
    pub port: u16,
    pub class: Class,
}

/// Holders of one port on one address, or on every address of a family.
#[derive(Clone, Copy, Debug, Default)]
struct Holders {
    automatic: u32,
    bound: u32,
    reusable: u32,
    listening: u32,
}

impl Holders {
    fn of(&mut self, class: Class) -> &mut u32 {
        match class {
            Class::Automatic => &mut self.automatic,
            Class::Bound => &mut self.bound,
            Class::Reusable => &mut self.reusable,
            Class::Listening => &mut self.listening,
        }
    }

    const fn is_empty(self) -> bool {
        self.automatic == 0 && self.bound == 0 && self.reusable == 0 && self.listening == 0
    }

    /// Whether a socket of `class` has to stay away.
    const fn refuse(self, class: Class) -> bool {
        let explicit = self.bound > 0 || self.listening > 0;
        match class {
            Class::Automatic => explicit || self.reusable > 0,
            Class::Bound => explicit || self.reusable > 0 || self.automatic > 0,
            Class::Reusable | Class::Listening => explicit || self.automatic > 0,
        }
    }
}

/// Counters of RFC 6056 3.3.4: destinations share one only if their hashes fall together.
const PERTURBATIONS: usize = 256;

/// The ports of a stack.
#[derive(Debug)]
pub(super) struct Ports {
    by_address: HashMap<(IpAddr, u16), Holders, KeyedState>,
    by_family: HashMap<(Domain, u16), Holders, KeyedState>,
    offset: KeyedState,
    steps: [u32; PERTURBATIONS],
    rng: Rng,
}

impl Ports {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut rng = rng.fork("ports");
        Self {
            by_address: HashMap::with_hasher(KeyedState::new(&mut rng)),
            by_family: HashMap::with_hasher(KeyedState::new(&mut rng)),
            offset: KeyedState::new(&mut rng),
            steps: [0; PERTURBATIONS],
            rng,
        }
    }

    /// Whether a socket of `class` may hold `port` on `address`.
    pub(super) fn is_free(&self, address: IpAddr, port: u16, class: Class) -> bool {
        let refused = |holders: Option<&Holders>| holders.is_some_and(|h| h.refuse(class));
        if address.is_unspecified() {
            return !refused(self.by_family.get(&(Domain::of(address), port)));
        }
        !refused(self.by_address.get(&(address, port)))
            && !refused(self.by_address.get(&(wildcard(address), port)))
    }

    pub(super) fn hold(&mut self, hold: Hold) {
        let Hold { address, port, class } = hold;
        let count = self.by_address.entry((address, port)).or_default().of(class);
        *count = count.saturating_add(1);
        let count = self.by_family.entry((Domain::of(address), port)).or_default().of(class);
        *count = count.saturating_add(1);
    }

    pub(super) fn release(&mut self, hold: Hold) {
        let Hold { address, port, class } = hold;
        forget(&mut self.by_address, (address, port), class);
        forget(&mut self.by_family, (Domain::of(address), port), class);
    }

    /// A random free port in `first..=last` for bind, searched once around the range.
    pub(super) fn for_bind(&mut self, address: IpAddr, class: Class, first: u16, last: u16) -> Option<u16> {
        let count = u32::from(last.saturating_sub(first)) + 1;
        let start = self.rng.below(count);
        (0..count)
            .map(|step| nth(first, start + step, count))
            .find(|port| self.is_free(address, *port, class))
    }

    /// A port in `first..=last` for connect that no other socket was bound to and that `unused` (the four-tuple is new) agrees to.
    ///
    /// The start is a keyed hash of the peer, as in algorithm 4 of RFC 6056.
    pub(super) fn for_connect(
        &mut self,
        local: IpAddr,
        remote: SocketAddr,
        first: u16,
        last: u16,
        unused: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        let hash = self.offset.hash_one((local, remote.ip(), remote.port()));
        let count = u32::from(last.saturating_sub(first)) + 1;
        let bucket = (hash >> 56) as usize % PERTURBATIONS;
        let start = (hash as u32).wrapping_add(self.steps[bucket]) % count;
        let free = |port: u16| self.is_free(local, port, Class::Automatic) && unused(port);
        let step = (0..count).find(|step| free(nth(first, start + step, count)))?;
        self.steps[bucket] = self.steps[bucket].wrapping_add(step + 1);
        Some(nth(first, start + step, count))
    }
}

fn forget<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Holders, KeyedState>, key: K, class: Class) {
    let Some(holders) = map.get_mut(&key) else { return };
    let count = holders.of(class);
    *count = count.saturating_sub(1);
    if holders.is_empty() {
        map.remove(&key);
    }
}

/// The port `index` steps behind `first`, around a range of `count`.
fn nth(first: u16, index: u32, count: u32) -> u16 {
    u16::try_from(u32::from(first) + index % count).unwrap_or(first)
}

#[cfg(test)]
mod tests;
