//! From a segment to a transmit.

use super::{Envelope, Payload};
use crate::link::{Capabilities, HEAD_MAX, SentChecksum, Transmit};
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv6::Ipv6Header;
use crate::wire::tcp::{CHECKSUM_OFFSET, TcpHeader};
use crate::wire::{Checksum, ipv4, ipv6, protocol};
use arrayvec::ArrayVec;
use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Builds the transmit of a TCP segment, or of a super-frame when `gso_size` is not 0 and the payload exceeds it. The checksum is left to the
/// device if it completes checksums, computed otherwise (never for a super-frame, which [`super::segment`] cuts first). Header and payload together
/// are at most 65535 bytes.
#[must_use]
pub fn tcp_transmit(
    envelope: &Envelope,
    header: &TcpHeader,
    payload: Payload,
    gso_size: u16,
    capabilities: &Capabilities,
) -> Transmit {
    let mut transmit = Transmit::empty();
    put_tcp(envelope, header, payload, gso_size, capabilities, &mut transmit);
    transmit
}

/// The same, put into `out`.
pub fn put_tcp(
    envelope: &Envelope,
    header: &TcpHeader,
    payload: Payload,
    gso_size: u16,
    capabilities: &Capabilities,
    out: &mut Transmit,
) {
    let payload_length: usize = payload.iter().map(Bytes::len).sum();
    let gso_size = if payload_length > usize::from(gso_size) { gso_size } else { 0 };
    // The IP header, which tells the length, is written to its place behind the other.
    let start = if envelope.source.is_ipv4() { ipv4::HEADER } else { ipv6::HEADER };
    let head = &mut out.head;
    head.clear();
    put(head, [0; ipv6::HEADER].get(..start).unwrap_or_default());
    header.append(head);
    let (ip, tcp) = head.split_at_mut(start);
    let length = tcp.len() + payload_length;
    match (envelope.source, envelope.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ip.copy_from_slice(&v4(envelope, source, destination, protocol::TCP, length).emit());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            ip.copy_from_slice(&v6(envelope, source, destination, protocol::TCP, length).emit());
        }
        _ => debug_assert!(false, "addresses of two families"),
    }

    let pseudo = Checksum::pseudo_header(
        envelope.source,
        envelope.destination,
        protocol::TCP,
        u32::try_from(length).unwrap_or(u32::MAX),
    );
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
    //# The TCP checksum is never optional. The sender MUST generate it (MUST-2)
    let (field, checksum) = if capabilities.checksum || gso_size != 0 {
        let partial = SentChecksum::Partial { start: start as u16, offset: CHECKSUM_OFFSET as u16 };
        (pseudo.folded(), partial)
    } else {
        let slices = payload.iter().map(|slice| &slice[..]);
        (pseudo.chain([&tcp[..]]).chain(slices).finish(), SentChecksum::Complete)
    };
    if let Some(place) = tcp.get_mut(CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2) {
        place.copy_from_slice(&field.to_be_bytes());
    }
    (out.payload, out.gso_size, out.checksum) = (payload, gso_size, checksum);
}

/// Appends a header; there is room for all that there can be.
fn put(head: &mut ArrayVec<u8, HEAD_MAX>, header: &[u8]) {
    let fits = head.try_extend_from_slice(header);
    debug_assert!(fits.is_ok(), "headers are longer than a head");
}

/// The IP header in front of `length` bytes of `protocol`.
pub(super) fn ip_header(envelope: &Envelope, protocol: u8, length: usize) -> ArrayVec<u8, HEAD_MAX> {
    let mut head = ArrayVec::new();
    match (envelope.source, envelope.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            put(&mut head, &v4(envelope, source, destination, protocol, length).emit());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            put(&mut head, &v6(envelope, source, destination, protocol, length).emit());
        }
        // Envelopes are made from sockets and packets, whose addresses are of one family. A head without an IP header goes nowhere.
        _ => debug_assert!(false, "addresses of two families"),
    }
    head
}

/// What may not be cut needs no identification.
pub(super) fn v4(
    e: &Envelope,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    length: usize,
) -> Ipv4Header {
    Ipv4Header {
        source,
        destination,
        protocol,
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.7
        //# The IP layer MUST provide a means for the transport layer to set the TTL field of every datagram that is sent. (1122:3.2.1.7-3)
        ttl: e.hop_limit,
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.6
        //# The IP layer MUST provide a means for the transport layer to set the TOS field of every datagram that is sent; the default is all zero bits. (1122:3.2.1.6-1)
        tos: e.traffic_class,
        //= https://www.rfc-editor.org/rfc/rfc6864#section-4.1
        //# Originating sources MAY set the IPv4 ID field of atomic datagrams to any value. (6864:4.1-2)
        identification: e.identification.unwrap_or(0),
        dont_fragment: e.identification.is_none(),
        //= https://www.rfc-editor.org/rfc/rfc791#section-2.3
        //# The originating protocol module of a complete datagram sets the more-fragments flag to zero and the fragment offset to zero. (791:2.3-6)
        more_fragments: false,
        fragment_offset: 0,
        total_length: u16::try_from(length + crate::wire::ipv4::HEADER).unwrap_or(u16::MAX),
    }
}

fn v6(e: &Envelope, source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: usize) -> Ipv6Header {
    Ipv6Header {
        source,
        destination,
        protocol,
        hop_limit: e.hop_limit,
        traffic_class: e.traffic_class,
        flow_label: e.flow_label,
        payload_length: u16::try_from(length).unwrap_or(u16::MAX),
        fragment: None,
    }
}
