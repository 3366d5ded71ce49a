//! What a router does with a packet that the next link does not carry whole.

use crate::wire::{checksum, icmp, ipv4, ipv6, protocol, quote};
use std::net::IpAddr;

/// Bytes of the longest error report: what every host takes (RFC 1812 4.3.2.3, RFC 4443 2.4).
const REPORT_V4: usize = 576;
const REPORT_V6: usize = 1280;

/// Hops that a report may make.
const HOPS: u8 = 64;

/// What becomes of a packet longer than an MTU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It goes on as these.
    Fragments(Vec<Vec<u8>>),
    /// It goes no further; what its source may be told of it, if that may be told of anything.
    Stopped(Option<Vec<u8>>),
}

/// A packet longer than `mtu`. IPv4 is cut unless it says "don't fragment" (RFC 791 3.2); IPv6 never is (RFC 8200 5). What cannot be read is stopped.
pub(super) fn passage(packet: &[u8], mtu: u16) -> Passage {
    match ipv4::parse(packet) {
        Ok((header, length)) if !header.dont_fragment => match fragments(packet, &header, length, mtu) {
            Some(pieces) => Passage::Fragments(pieces),
            None => Passage::Stopped(None),
        },
        _ => Passage::Stopped(report(packet, mtu)),
    }
}

/// The fragments of a packet whose header takes `length` bytes. Options go along with each, which a router would not do with all of them.
fn fragments(packet: &[u8], header: &ipv4::Ipv4Header, length: usize, mtu: u16) -> Option<Vec<Vec<u8>>> {
    let payload = packet.get(length..usize::from(header.total_length))?;
    // Offsets count units of 8 bytes.
    let room = usize::from(mtu).checked_sub(length)? & !7;
    if room == 0 {
        return None;
    }
    let count = payload.len().div_ceil(room);
    let piece = |(index, part): (usize, &[u8])| {
        let offset = usize::from(header.fragment_offset) + index * room;
        let more = header.more_fragments || index + 1 < count;
        let field = u16::try_from(offset >> 3).ok()? | if more { 0x2000 } else { 0 };
        let mut bytes = packet.get(..length)?.to_vec();
        put(&mut bytes, 2, u16::try_from(length + part.len()).ok()?)?;
        put(&mut bytes, 6, field)?;
        put(&mut bytes, 10, 0)?;
        let sum = checksum(&bytes);
        put(&mut bytes, 10, sum)?;
        bytes.extend_from_slice(part);
        Some(bytes)
    };
    payload.chunks(room).enumerate().map(piece).collect()
}

fn put(bytes: &mut [u8], at: usize, value: u16) -> Option<()> {
    bytes.get_mut(at..at + 2)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}

/// "Fragmentation needed" (RFC 1191 4) or "packet too big" (RFC 4443 3.2) about a packet. The link has no address of its own and speaks with that of
/// the packet's destination. `None` about what nobody may be told of: an ICMP error, whoever is no single host (RFC 1122 3.2.2, RFC 4443 2.4 e).
fn report(packet: &[u8], mtu: u16) -> Option<Vec<u8>> {
    let about = quote::beginning(packet)?;
    let (source, destination) = quote::addresses(packet)?;
    let [high, low] = mtu.to_be_bytes();
    let rest = [0, 0, high, low];
    match (source, destination) {
        (IpAddr::V4(to), IpAddr::V4(from)) => {
            let error = about.protocol == Some(protocol::ICMP) && !matches!(about.first, Some(0 | 8));
            if error || !ipv4::is_host(to) || !ipv4::is_host(from) {
                return None;
            }
            let quoted = packet.get(..packet.len().min(REPORT_V4 - ipv4::HEADER - icmp::HEADER))?;
            let message = icmp::error(destination, source, (3, 4), rest, quoted);
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
            let message = icmp::error(destination, source, (2, 0), rest, quoted);
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

#[cfg(test)]
mod tests;
