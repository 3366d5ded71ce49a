//! What ICMP and ICMPv6 messages say, and what the stack answers.

use super::egress::ip_header;
use super::fragment::fragments;
use super::report::Report;
use super::{Envelope, Packet};
use crate::counters::Drop;
use crate::link::{SentChecksum, Transmit};
use crate::wire::icmp::{self, Message};
use crate::wire::{ipv4, ipv6, protocol};
use smallvec::smallvec;
use std::collections::VecDeque;
use std::net::IpAddr;

/// What a message is to this stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody wants its data back; the four bytes name the request.
    Echo([u8; 4]),
    /// What became of a packet of ours.
    Report(Report),
}

/// Reads and verifies the ICMP or ICMPv6 message in `packet`.
pub fn hear(packet: &Packet) -> Result<Heard, Drop> {
    if packet.protocol != number(packet) {
        return Err(Drop::IpProtocol);
    }
    match icmp::parse(packet.source, packet.destination, &packet.payload)? {
        Message::EchoRequest { identity } => Ok(Heard::Echo(identity)),
        Message::Error { kind, code, rest } => Report::new(packet, kind, code, rest).map(Heard::Report),
        //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
        //# If an ICMPv6 informational message of unknown type is received, it MUST be silently discarded. (4443:2.4-2)
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
        //# If an ICMP message of unknown type is received, it MUST be silently discarded. (1122:3.2.2-1)
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.2
        //# A Redirect message SHOULD be silently discarded if the new gateway address it specifies is not on the same connected (sub-) net through which the Redirect arrived (1122:3.2.2.2-4)
        Message::Other { .. } => Err(Drop::IcmpIgnored),
    }
}

/// Answers the echo request `identity`; nothing for one that must not be answered: it came from, or went to, more than one host.
/// The answer goes out with `hop_limit` and carries the data whole, in fragments where that exceeds `mtu` bytes; routers may cut it over IPv4. `identify` names
/// one that is or may be cut.
pub fn echo_reply(
    packet: &Packet,
    identity: [u8; 4],
    hop_limit: u8,
    mtu: usize,
    identify: impl FnOnce() -> u32,
) -> VecDeque<Transmit> {
    let mut out = VecDeque::new();
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.6
    //# An ICMP Echo Request destined to an IP broadcast or IP multicast address MAY be silently discarded. (1122:3.2.2.6-3)
    if !is_one_host(packet.source) || !is_one_host(packet.destination) {
        return out;
    }
    let name = identify();
    //= https://www.rfc-editor.org/rfc/rfc4443#section-4.2
    //# The source address of an Echo Reply sent in response to a unicast Echo Request message MUST be the same as the destination address of that Echo Request message. (4443:4.2-3)
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.6
    //# The IP source address in an ICMP Echo Reply MUST be the same as the specific-destination address (defined in Section 3.2.1.3) of the corresponding ICMP Echo Request message. (1122:3.2.2.6-4)
    let envelope = Envelope {
        hop_limit,
        traffic_class: packet.traffic_class,
        identification: packet.source.is_ipv4().then_some(name as u16),
        ..Envelope::new(packet.destination, packet.source)
    };
    //= https://www.rfc-editor.org/rfc/rfc4443#section-4.2
    //# The data received in the ICMPv6 Echo Request message MUST be returned entirely and unmodified in the ICMPv6 Echo Reply message. (4443:4.2-6)
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.6
    //# Data received in an ICMP Echo Request MUST be entirely included in the resulting Echo Reply. (1122:3.2.2.6-5)
    let data = packet.payload.slice(icmp::HEADER..);
    let header = icmp::echo_reply(envelope.source, envelope.destination, identity, &data);
    let ip = if packet.source.is_ipv4() { ipv4::HEADER } else { ipv6::HEADER };
    if ip + packet.payload.len() > mtu {
        fragments(&envelope, number(packet), header, &data, mtu, name, &mut out);
        return out;
    }
    //= https://www.rfc-editor.org/rfc/rfc8200#section-8.4
    //# the response packet(s) must not include a Routing header that was automatically derived by "reversing" the received Routing header (8200:8.4-1)
    let mut head = ip_header(&envelope, number(packet), packet.payload.len());
    head.extend(header);
    out.push_back(Transmit { head, payload: smallvec![data], gso_size: 0, checksum: SentChecksum::Complete });
    out
}

/// Protocol number of ICMP in the packet's family.
fn number(packet: &Packet) -> u8 {
    if packet.source.is_ipv4() { protocol::ICMP } else { protocol::ICMPV6 }
}

fn is_one_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => !a.is_multicast() && !a.is_broadcast() && !a.is_unspecified(),
        IpAddr::V6(a) => !a.is_multicast() && !a.is_unspecified(),
    }
}
