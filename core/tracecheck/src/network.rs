//! What concerns packets whatever they carry: checksums, TTL, identifications; and what a host does over all its connections.

use crate::checker::Context;
use crate::packet::{Body, Packet};
use crate::{Flow, Kind};
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// The lifetime of a datagram in the network (RFC 791 3.2, RFC 6864 4.3).
const LIFETIME: u64 = 120_000_000_000;

/// Connections in a row whose initial sequence numbers have to be close for it to be no chance: one in 2^33.
const GUESSED: usize = 4;

/// Sequence numbers that are close, and nanoseconds between connections that are compared.
const CLOSE: u32 = 1 << 20;
const SOON: u64 = 1_000_000_000;

/// Source, destination, protocol and identification.
type Identity = (IpAddr, IpAddr, u8, u16);

/// What hosts did.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// Of what may be cut: when it was sent, and its digest.
    identities: HashMap<Identity, (u64, u64)>,
    /// The last initial sequence numbers, with time and connection.
    isns: HashMap<IpAddr, VecDeque<(u64, u32, [SocketAddr; 2])>>,
}

impl Hosts {
    pub(crate) fn identify(&mut self, bytes: &[u8], packet: &Packet<'_>, cx: &mut Context<'_>) {
        let Some(v4) = packet.v4 else { return };
        let whole = v4.dont_fragment && !v4.more_fragments;
        // Every datagram has one piece, or is one, that begins it.
        if whole || v4.offset > 0 {
            return;
        }
        let identity = (packet.source, packet.destination, packet.protocol, v4.identification);
        let mut hasher = DefaultHasher::new();
        bytes.get(12..).hash(&mut hasher);
        let digest = hasher.finish();
        let old = self.identities.insert(identity, (cx.now, digest));
        // The same datagram once more may carry the same number.
        if let Some((time, _)) = old.filter(|(time, other)| cx.now < time + LIFETIME && *other != digest) {
            let millis = (cx.now - time) / 1_000_000;
            let what = format!("identification {} was used {millis} ms ago", v4.identification);
            cx.blame(Kind::IdReused, flow(packet), what);
        }
    }

    /// The initial sequence number of another connection of `host`: whether it, and those before it, follow from each other.
    pub(crate) fn guessed(&mut self, now: u64, isn: u32, connection: [SocketAddr; 2], host: IpAddr) -> bool {
        let last = self.isns.entry(host).or_default();
        let follows = last.back().is_some_and(|(time, before, other)| {
            let near = isn.wrapping_sub(*before) < CLOSE || before.wrapping_sub(isn) < CLOSE;
            now - time < SOON && *other != connection && near
        });
        if !follows {
            last.clear();
        }
        last.push_back((now, isn, connection));
        last.len() >= GUESSED
    }
}

/// Who sent to whom, without ports.
fn flow(packet: &Packet<'_>) -> Flow {
    let ports = match &packet.body {
        Body::Tcp(segment) => segment.ports,
        _ => [0; 2],
    };
    Flow { from: SocketAddr::new(packet.source, ports[0]), to: SocketAddr::new(packet.destination, ports[1]) }
}

/// The addresses of a packet that cannot be read to its end.
pub(crate) fn addresses(bytes: &[u8]) -> Option<[IpAddr; 2]> {
    if let Ok(header) = Ipv4HeaderSlice::from_slice(bytes) {
        return Some([header.source_addr().into(), header.destination_addr().into()]);
    }
    let header = Ipv6HeaderSlice::from_slice(bytes).ok()?;
    Some([header.source_addr().into(), header.destination_addr().into()])
}

/// The checksums of a packet that was sent here.
pub(crate) fn checksums(packet: &Packet<'_>, v4: bool, right: bool, cx: &mut Context<'_>) {
    if !v4 {
        cx.blame(Kind::IpChecksum, flow(packet), "the header does not add up");
    }
    if right {
        return;
    }
    let kind = match &packet.body {
        Body::Udp { .. } => Kind::UdpChecksum,
        Body::Icmp { .. } => Kind::IcmpChecksum,
        Body::Tcp(_) | Body::Fragment(_) | Body::Other => Kind::TcpChecksum,
    };
    cx.blame(kind, flow(packet), "it does not add up");
}

/// The rest of the header of a packet that was sent here.
pub(crate) fn header(packet: &Packet<'_>, cx: &mut Context<'_>) {
    if packet.ttl == 0 {
        cx.blame(Kind::ZeroTtl, flow(packet), "it may not even arrive");
    }
    let tcp = matches!(packet.body, Body::Tcp(_)) || packet.protocol == 6;
    if tcp && packet.v4.is_some_and(|v4| !v4.dont_fragment) {
        cx.blame(Kind::MayFragment, flow(packet), "DF is not set");
    }
}
