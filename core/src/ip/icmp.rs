//! What the stack answers to ICMP and ICMPv6.

use super::egress::ip_header;
use super::{Envelope, Packet};
use crate::counters::Drop;
use crate::link::{Capabilities, SentChecksum, Transmit};
use crate::wire::icmp::{self, Message};
use crate::wire::{ipv4, ipv6, protocol};
use smallvec::smallvec;
use std::net::IpAddr;

/// Answers an ICMP or ICMPv6 echo request; `Ok(None)` for one that must not be answered and is not a fault: it came from, or went to, more than one host.
/// The answer goes out with `hop_limit` and carries the data whole; [`Drop::IcmpTooLong`] when that exceeds the MTU.
pub fn echo_reply(
    packet: &Packet,
    hop_limit: u8,
    capabilities: &Capabilities,
) -> Result<Option<Transmit>, Drop> {
    let number = if packet.source.is_ipv4() { protocol::ICMP } else { protocol::ICMPV6 };
    if packet.protocol != number {
        return Err(Drop::IpProtocol);
    }
    let identity = match icmp::parse(packet.source, packet.destination, &packet.payload)? {
        Message::EchoRequest { identity } => identity,
        Message::Other { .. } => return Err(Drop::IcmpIgnored),
    };
    if !is_one_host(packet.source) || !is_one_host(packet.destination) {
        return Ok(None);
    }
    let ip = if packet.source.is_ipv4() { ipv4::HEADER } else { ipv6::HEADER };
    if ip + packet.payload.len() > usize::from(capabilities.mtu) {
        return Err(Drop::IcmpTooLong);
    }
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.6
    //# The IP source address in an ICMP Echo Reply MUST be the same as the specific-destination address
    let envelope = Envelope {
        source: packet.destination,
        destination: packet.source,
        hop_limit,
        traffic_class: packet.traffic_class,
    };
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.6
    //# Data received in an ICMP Echo Request MUST be entirely included in the resulting Echo Reply.
    let data = packet.payload.slice(icmp::HEADER..);
    let header = icmp::echo_reply(envelope.source, envelope.destination, identity, &data);
    let mut head = ip_header(&envelope, number, packet.payload.len());
    head.extend(header);
    Ok(Some(Transmit { head, payload: smallvec![data], gso_size: 0, checksum: SentChecksum::Complete }))
}

fn is_one_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => !a.is_multicast() && !a.is_broadcast() && !a.is_unspecified(),
        IpAddr::V6(a) => !a.is_multicast() && !a.is_unspecified(),
    }
}
