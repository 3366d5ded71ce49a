//! ICMP and ICMPv6 errors that are sent: what is wrong with a packet, told to its source within the rules of RFC 1122 3.2.2 and RFC 4443 2.4.

use super::Envelope;
use super::egress::ip_header;
use crate::link::{SentChecksum, Transmit};
use crate::wire::{Fault, icmp, ipv4, ipv6, protocol, quote};
use bytes::Bytes;
use smallvec::smallvec;
use std::net::IpAddr;

/// Most bytes of an ICMP error: what every IPv4 host takes (RFC 1812 4.3.2.3), what every IPv6 link carries (RFC 4443 2.4 c).
const LENGTH_V4: usize = 576;
const LENGTH_V6: usize = 1280;

/// The source of `packet`, which begins with its IP header, and the message that tells it about `fault`, sent with `hop_limit` by `router`, or by the host that the
/// packet is for. `None` where the rules forbid it: the packet is an ICMP error itself, a fragment other than the first, or from or to more than one host.
#[must_use]
pub fn fault_about(
    packet: &Bytes,
    fault: Fault,
    router: Option<IpAddr>,
    hop_limit: u8,
) -> Option<(IpAddr, Transmit)> {
    let about = quote::beginning(packet)?;
    let (source, destination) = quote::addresses(packet)?;
    let six = source.is_ipv6();
    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.2
    //# If the message is a response to a message sent to one of the node's unicast addresses, the Source Address of the reply MUST be that same address. (4443:2.2-1)
    let reporter = router.unwrap_or(destination);
    if six != reporter.is_ipv6() || !is_host(source) || !may_be_told(destination, fault) {
        return None;
    }
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
    //# An ICMP error message MUST NOT be sent as the result of receiving: * an ICMP error message (1122:3.2.2-5)
    if is_icmp_error(six, about.protocol, about.first) {
        return None;
    }
    let (kind, code, rest) = if six { fault.v6() } else { fault.v4() };
    let (header, most) = if six { (ipv6::HEADER, LENGTH_V6) } else { (ipv4::HEADER, LENGTH_V4) };
    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
    //# Every ICMPv6 error message (type < 128) MUST include as much of the IPv6 offending (invoking) packet (the packet that caused the error) as possible without making the error message packet exceed the minimum IPv6 MTU (4443:2.4-3)
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
    //# this header and data MUST be unchanged from the received datagram. (1122:3.2.2-2)
    let quoted = packet.slice(..packet.len().min(about.length).min(most - header - icmp::HEADER));
    let number = if six { protocol::ICMPV6 } else { protocol::ICMP };
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
    //# An ICMP error message SHOULD be sent with normal (i.e., zero) TOS bits. (1122:3.2.2-4)
    let envelope = Envelope { hop_limit, ..Envelope::new(reporter, source) };
    let mut head = ip_header(&envelope, number, icmp::HEADER + quoted.len());
    head.extend(icmp::error(reporter, source, (kind, code), rest, &quoted));
    let payload = smallvec![quoted];
    Some((source, Transmit { head, payload, gso_size: 0, checksum: SentChecksum::Complete }))
}

/// Offset of the field that names the protocol of an IPv6 packet, behind whatever extension headers there are.
#[must_use]
pub fn protocol_pointer(packet: &[u8]) -> u32 {
    quote::beginning(packet).and_then(|about| u32::try_from(about.named_at).ok()).unwrap_or(0)
}

/// An address that one host can have: RFC 1122 3.2.2, RFC 4443 2.4 e.6.
fn is_host(address: IpAddr) -> bool {
    match address {
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
        //# a datagram whose source address does not define a single host (1122:3.2.2-9)
        IpAddr::V4(a) => ipv4::is_host(a),
        //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
        //# (e.6) A packet whose source address does not uniquely identify a single node (4443:2.4-11)
        IpAddr::V6(a) => ipv6::is_host(a),
    }
}

/// Whether packets to such a destination may be answered by an error.
fn may_be_told(destination: IpAddr, fault: Fault) -> bool {
    match destination {
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
        //# a datagram destined to an IP broadcast or IP multicast address (1122:3.2.2-6)
        IpAddr::V4(a) => !a.is_multicast() && !a.is_broadcast(),
        //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
        //# (e.3) A packet destined to an IPv6 multicast address. (There are two exceptions to this rule: (1) the Packet Too Big Message (Section 3.2) to allow Path MTU discovery to work for IPv6 multicast, and (2) the Parameter Problem Message, Code 2 (Section 3.4) reporting an unrecognized IPv6 option (see Section 4.2 of [IPv6]) that has the Option Type highest-order two bits set to 10). (4443:2.4-8)
        IpAddr::V6(a) => {
            !a.is_multicast()
                || matches!(fault, Fault::TooBig { .. } | Fault::UnknownOption { groups: true, .. })
        }
    }
}

/// Whether a packet of `protocol` that begins with `kind` is an ICMP error, or a redirect, or may be one.
fn is_icmp_error(six: bool, protocol: Option<u8>, kind: Option<u8>) -> bool {
    match (protocol, kind) {
        (Some(protocol::ICMP), kind) if !six => !matches!(kind, Some(0 | 8 | 13..=18)),
        //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
        //# An ICMPv6 error message MUST NOT be originated as a result of receiving the following: (e.1) An ICMPv6 error message. (4443:2.4-6)
        //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
        //# (e.2) An ICMPv6 redirect message (4443:2.4-7)
        (Some(protocol::ICMPV6), kind) if six => kind.is_none_or(|kind| kind < 128 || kind == 137),
        _ => false,
    }
}
