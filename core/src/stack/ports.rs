//! Which socket holds which port, and how free ones are found (RFC 6056).

use super::Domain;
use super::demux::{KeyedState, wildcard};
use crate::rng::Rng;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// How a socket came to its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Found by connect for one peer: other connects may use the port towards other peers.
    Automatic,
    /// By bind, or as the connection of a listener.
    Bound,
    /// By bind, and listening.
    Listening,
}

/// With whom a socket shares its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Reuse {
    /// SO_REUSEADDR: with all who set it too and do not listen.
    pub address: bool,
    /// SO_REUSEPORT: with all who set it too.
    pub port: bool,
}

/// A port that a socket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    pub address: IpAddr,
    pub port: u16,
    /// The address is the wildcard of IPv6, and stands for that of IPv4 too.
    pub dual: bool,
    pub class: Class,
    pub reuse: Reuse,
}

impl Hold {
    /// The addresses it is on.
    fn addresses(self) -> impl Iterator<Item = IpAddr> {
        let other = self.dual.then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        std::iter::once(self.address).chain(other)
    }
}

const CLASSES: [Class; 3] = [Class::Automatic, Class::Bound, Class::Listening];
const REUSES: [Reuse; 4] = [
    Reuse { address: false, port: false },
    Reuse { address: true, port: false },
    Reuse { address: false, port: true },
    Reuse { address: true, port: true },
];

/// Kinds of holders: three classes, and four ways to share.
const KINDS: usize = REUSES.len() * CLASSES.len();

/// Holders of one port on one address, or on every address of a family: how many of each kind. Nearly always there is one kind of them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holders {
    Alike { kind: u8, count: u32 },
    Mixed(Box<[u32; KINDS]>),
}

impl Default for Holders {
    fn default() -> Self {
        Self::Alike { kind: 0, count: 0 }
    }
}

const fn kind((class, reuse): (Class, Reuse)) -> u8 {
    class as u8 * REUSES.len() as u8 + reuse.address as u8 + 2 * reuse.port as u8
}

impl Holders {
    fn add(&mut self, holder: (Class, Reuse)) {
        let new = kind(holder);
        match self {
            Self::Alike { kind, count } if *kind == new || *count == 0 => {
                (*kind, *count) = (new, count.saturating_add(1));
            }
            Self::Alike { kind, count } => {
                let mut counts = [0; KINDS];
                counts[usize::from(*kind)] = *count;
                counts[usize::from(new)] = 1;
                *self = Self::Mixed(Box::new(counts));
            }
            Self::Mixed(counts) => counts[usize::from(new)] = counts[usize::from(new)].saturating_add(1),
        }
    }

    fn remove(&mut self, holder: (Class, Reuse)) {
        let gone = kind(holder);
        match self {
            Self::Alike { kind, count } if *kind == gone => *count = count.saturating_sub(1),
            Self::Alike { .. } => {}
            Self::Mixed(counts) => counts[usize::from(gone)] = counts[usize::from(gone)].saturating_sub(1),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Alike { count, .. } => *count == 0,
            Self::Mixed(counts) => counts.iter().all(|count| *count == 0),
        }
    }

    /// Whether there are any of this kind.
    fn has(&self, holder: (Class, Reuse)) -> bool {
        let wanted = kind(holder);
        match self {
            Self::Alike { kind, count } => *kind == wanted && *count > 0,
            Self::Mixed(counts) => counts[usize::from(wanted)] > 0,
        }
    }

    /// Whether a socket of `class` that shares as `reuse` says has to stay away.
    fn refuse(&self, class: Class, reuse: Reuse) -> bool {
        let mut kinds = CLASSES.iter().flat_map(|held| REUSES.iter().map(move |shares| (*held, *shares)));
        kinds.any(|holder| self.has(holder) && !shares((class, reuse), holder))
    }
}

/// Whether a socket that wants a port may have it beside one that holds it, as Linux decides.
fn shares((class, reuse): (Class, Reuse), (held, holder): (Class, Reuse)) -> bool {
    match class {
        //= https://www.rfc-editor.org/rfc/rfc6056#section-3.1
        //# port numbers that are in use by a TCP in the LISTEN or CLOSED states should not be allowed for allocation as ephemeral ports (6056:3.1-1).
        Class::Automatic => held == Class::Automatic,
        Class::Bound | Class::Listening => {
            (reuse.address && holder.address && held != Class::Listening) || (reuse.port && holder.port)
        }
    }
}

/// A table of more than so many ports gives memory back once less than a part of so many is used.
const KEPT: usize = 1024;
const SPARSE: usize = 8;

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
            //= https://www.rfc-editor.org/rfc/rfc6056#section-3.3.4
            //# "table[]" could be initialized with mathematically random values (6056:3.3.4-2).
            steps: std::array::from_fn(|_| rng.below(1 << 16)),
            rng,
        }
    }

    /// Whether a socket may hold what `hold` says.
    pub(super) fn is_free(&self, hold: Hold) -> bool {
        self.met(hold).all(|holders| !holders.refuse(hold.class, hold.reuse))
    }

    /// The holders of the same port on addresses that overlap.
    fn met(&self, hold: Hold) -> impl Iterator<Item = &Holders> {
        let on = move |address: IpAddr| {
            if address.is_unspecified() {
                return [self.by_family.get(&(Domain::of(address), hold.port)), None];
            }
            let any = self.by_address.get(&(wildcard(address), hold.port));
            [self.by_address.get(&(address, hold.port)), any]
        };
        hold.addresses().flat_map(on).flatten()
    }

    pub(super) fn hold(&mut self, hold: Hold) {
        let Hold { port, class, reuse, .. } = hold;
        for address in hold.addresses() {
            self.by_address.entry((address, port)).or_default().add((class, reuse));
            self.by_family.entry((Domain::of(address), port)).or_default().add((class, reuse));
        }
    }

    pub(super) fn release(&mut self, hold: Hold) {
        for address in hold.addresses() {
            forget(&mut self.by_address, (address, hold.port), hold);
            forget(&mut self.by_family, (Domain::of(address), hold.port), hold);
        }
    }

    /// A random port in `first..=last` for bind, searched once around the range: one that nobody holds, whatever the options say, as in Linux.
    pub(super) fn for_bind(&mut self, hold: Hold, first: u16, last: u16) -> Option<u16> {
        let count = u32::from(last.saturating_sub(first)) + 1;
        //= https://www.rfc-editor.org/rfc/rfc6056#section-3.3
        //# Ephemeral port selection algorithms SHOULD obfuscate the selection of their ephemeral ports (6056:3.3-1).
        let start = self.rng.below(count);
        let unused = |port: &u16| self.met(Hold { port: *port, ..hold }).next().is_none();
        (0..count).map(|step| nth(first, start + step, count)).find(unused)
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
        //= https://www.rfc-editor.org/rfc/rfc6056#section-3.3
        //# Ephemeral port selection algorithms SHOULD obfuscate the selection of their ephemeral ports (6056:3.3-1).
        //= https://www.rfc-editor.org/rfc/rfc6056#section-3.3.3
        //# The function should use both IP addresses, the remote port, and a secret key value to compute the offset (6056:3.3.3-1).
        let hash = self.offset.hash_one((local, remote.ip(), remote.port()));
        let count = u32::from(last.saturating_sub(first)) + 1;
        //= https://www.rfc-editor.org/rfc/rfc6056#section-3.3.4
        //# It should use both IP addresses, the remote port, and a secret key value to compute a value between 0 and (TABLE_LENGTH-1) (6056:3.3.4-1).
        let bucket = (hash >> 56) as usize % PERTURBATIONS;
        let start = (hash as u32).wrapping_add(self.steps[bucket]) % count;
        let automatic = |port| {
            let reuse = Reuse::default();
            Hold { address: local, port, dual: false, class: Class::Automatic, reuse }
        };
        //= https://www.rfc-editor.org/rfc/rfc6056#section-2.2
        //# the selection of ephemeral port numbers must result in a unique five-tuple (6056:2.2-1).
        let free = |port: u16| self.is_free(automatic(port)) && unused(port);
        let step = (0..count).find(|step| free(nth(first, start + step, count)))?;
        self.steps[bucket] = self.steps[bucket].wrapping_add(step + 1);
        Some(nth(first, start + step, count))
    }
}

fn forget<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Holders, KeyedState>, key: K, hold: Hold) {
    let Some(holders) = map.get_mut(&key) else { return };
    holders.remove((hold.class, hold.reuse));
    if holders.is_empty() {
        map.remove(&key);
        if map.capacity() > KEPT && map.len() < map.capacity() / SPARSE {
            map.shrink_to(2 * map.len());
        }
    }
}

/// The port `index` steps behind `first`, around a range of `count`.
fn nth(first: u16, index: u32, count: u32) -> u16 {
    u16::try_from(u32::from(first) + index % count).unwrap_or(first)
}

#[cfg(test)]
mod tests;
