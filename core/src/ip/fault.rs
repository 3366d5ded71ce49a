//! ICMP and ICMPv6 errors that are sent: what is wrong with a packet, told to its source within the rules of RFC 1122 3.2.2 and RFC 4443 2.4.

use super::Envelope;
use super::egress::ip_header;
use crate::link::{SentChecksum, Transmit};
use crate::wire::{icmp, ipv4, ipv6, protocol, quote};
use bytes::Bytes;
use smallvec::smallvec;
use std::net::IpAddr;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody has the port that it is for; TCP says so by RST.
    PortUnreachable,
    /// The protocol is not spoken here. ICMPv6 points at the field that names it: at byte `pointer` of the packet.
    ProtocolUnreachable {
        /// Offset of the protocol number in an IPv6 packet.
        pointer: u32,
    },
    /// A field cannot be; ICMP's one code, the ICMPv6 code for an erroneous header field.
    ParameterProblem {
        /// Offset of the field.
        pointer: u32,
    },
    /// The next link carries packets of `mtu` bytes only.
    TooBig {
        /// The link's MTU.
        mtu: u16,
    },
    /// The other fragments of the packet did not come in time.
    ReassemblyTimeout,
}

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
    let about = quote::parse(packet).ok()?;
    let (source, destination) = (about.source, about.destination);
    let six = source.is_ipv6();
    let reporter = router.unwrap_or(destination);
    if six != reporter.is_ipv6() || !is_host(source) || !may_be_told(destination, fault) {
        return None;
    }
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
    //# An ICMP error message MUST NOT be sent as the result of receiving: *    an ICMP error message
    if is_icmp_error(six, about.protocol, about.transport[0]) {
        return None;
    }
    let (kind, code, rest) = if six { v6(fault) } else { v4(fault) };
    let (header, most) = if six { (ipv6::HEADER, LENGTH_V6) } else { (ipv4::HEADER, LENGTH_V4) };
    let quoted = packet.slice(..packet.len().min(about.length).min(most - header - icmp::HEADER));
    let number = if six { protocol::ICMPV6 } else { protocol::ICMP };
    let envelope = Envelope { hop_limit, ..Envelope::new(reporter, source) };
    let mut head = ip_header(&envelope, number, icmp::HEADER + quoted.len());
    head.extend(icmp::error(reporter, source, (kind, code), rest, &quoted));
    let payload = smallvec![quoted];
    Some((source, Transmit { head, payload, gso_size: 0, checksum: SentChecksum::Complete }))
}

/// Offset of the field that names the protocol of an IPv6 packet, behind whatever extension headers there are.
#[must_use]
pub fn protocol_pointer(packet: &[u8]) -> u32 {
    quote::parse(packet).map_or(0, |quote| quote.protocol_at)
}

/// An address that one host can have: RFC 1122 3.2.2, RFC 4443 2.4 e.6.
fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => ipv4::source_is_sound(a) && !a.is_loopback(),
        IpAddr::V6(a) => ipv6::source_is_sound(a) && !a.is_loopback(),
    }
}

/// Whether packets to such a destination may be answered by an error.
fn may_be_told(destination: IpAddr, fault: Fault) -> bool {
    match destination {
        IpAddr::V4(a) => !a.is_multicast() && !a.is_broadcast(),
        //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
        //# the Packet Too Big Message (Section 3.2) to allow Path MTU discovery to work for IPv6 multicast
        IpAddr::V6(a) => !a.is_multicast() || matches!(fault, Fault::TooBig { .. }),
    }
}

/// Whether a packet of `protocol` that begins with `kind` is an ICMP error, or a redirect, or says nothing that could be answered.
fn is_icmp_error(six: bool, protocol: u8, kind: u8) -> bool {
    match protocol {
        protocol::ICMP if !six => !matches!(kind, 0 | 8 | 13..=18),
        protocol::ICMPV6 if six => kind < 128 || kind == 137,
        _ => false,
    }
}

fn v4(fault: Fault) -> (u8, u8, [u8; 4]) {
    match fault {
        Fault::PortUnreachable => (3, 3, [0; 4]),
        Fault::ProtocolUnreachable { .. } => (3, 2, [0; 4]),
        Fault::ParameterProblem { pointer } => (12, 0, [u8::try_from(pointer).unwrap_or(0), 0, 0, 0]),
        Fault::TooBig { mtu } => (3, 4, u32::from(mtu).to_be_bytes()),
        Fault::ReassemblyTimeout => (11, 1, [0; 4]),
    }
}

fn v6(fault: Fault) -> (u8, u8, [u8; 4]) {
    match fault {
        Fault::PortUnreachable => (1, 4, [0; 4]),
        Fault::ProtocolUnreachable { pointer } => (4, 1, pointer.to_be_bytes()),
        Fault::ParameterProblem { pointer } => (4, 0, pointer.to_be_bytes()),
        Fault::TooBig { mtu } => (2, 0, u32::from(mtu).to_be_bytes()),
        Fault::ReassemblyTimeout => (3, 1, [0; 4]),
    }
}
