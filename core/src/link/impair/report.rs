//! What a router tells of a packet that it does not pass on: ICMP.

use crate::wire::{icmp, ipv4, ipv6, protocol, quote};
use std::net::IpAddr;

/// Bytes of the longest error report: what every host takes (RFC 1812 4.3.2.3, RFC 4443 2.4).
const REPORT_V4: usize = 576;
const REPORT_V6: usize = 1280;

/// Hops that a report may make.
const HOPS: u8 = 64;

/// Why a packet goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The next link carries no more bytes: "fragmentation needed" (RFC 1191 4), "packet too big" (RFC 4443 3.2).
    TooBig(u16),
    /// No link leads to its destination: "network unreachable" (RFC 792), "no route to destination" (RFC 4443 3.1).
    NoRoute,
}

impl Reason {
    /// Type and code of ICMP and of ICMPv6, and the four bytes behind the checksum.
    const fn told(self) -> ([(u8, u8); 2], [u8; 4]) {
        match self {
            Self::TooBig(mtu) => {
                let [high, low] = mtu.to_be_bytes();
                ([(3, 4), (2, 0)], [0, 0, high, low])
            }
            Self::NoRoute => ([(3, 0), (1, 0)], [0; 4]),
        }
    }
}

/// What a router tells the source of a packet. It has no address of its own and speaks with that of the packet's destination. `None` about what nobody may be told of: an ICMP error, whoever is no single host (RFC 1122 3.2.2, RFC 4443 2.4 e).
pub(super) fn report(packet: &[u8], reason: Reason) -> Option<Vec<u8>> {
    let about = quote::beginning(packet)?;
    let (source, destination) = quote::addresses(packet)?;
    let ([four, six], rest) = reason.told();
    match (source, destination) {
        (IpAddr::V4(to), IpAddr::V4(from)) => {
            let error = about.protocol == Some(protocol::ICMP) && !matches!(about.first, Some(0 | 8));
            if error || !ipv4::is_host(to) || !ipv4::is_host(from) {
                return None;
            }
            let quoted = packet.get(..packet.len().min(REPORT_V4 - ipv4::HEADER - icmp::HEADER))?;
            let message = icmp::error(destination, source, four, rest, quoted);
            let header = ipv4::Ipv4Header {
                source: from,
                destination: to,
                protocol: protocol::ICMP,
                ttl: HOPS,
                tos: 0,
                identification: 0,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                total_length: u16::try_from(ipv4::HEADER + icmp::HEADER + quoted.len()).ok()?,
            };
            Some([&header.emit()[..], &message, quoted].concat())
        }
        (IpAddr::V6(to), IpAddr::V6(from)) => {
            let error = about.protocol == Some(protocol::ICMPV6) && about.first.is_none_or(|kind| kind < 128);
            if error || !ipv6::is_host(to) || !ipv6::is_host(from) {
                return None;
            }
            let quoted = packet.get(..packet.len().min(REPORT_V6 - ipv6::HEADER - icmp::HEADER))?;
            let message = icmp::error(destination, source, six, rest, quoted);
            let header = ipv6::Ipv6Header {
                source: from,
                destination: to,
                protocol: protocol::ICMPV6,
                hop_limit: HOPS,
                traffic_class: 0,
                flow_label: 0,
                payload_length: u16::try_from(icmp::HEADER + quoted.len()).ok()?,
                fragment: None,
            };
            Some([&header.emit()[..], &message, quoted].concat())
        }
        _ => None,
    }
}

/// "Network unreachable" or "no route to destination" about a packet; `None` as for every report.
#[must_use]
pub fn no_route(packet: &[u8]) -> Option<Vec<u8>> {
    report(packet, Reason::NoRoute)
}
