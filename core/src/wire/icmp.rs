//! ICMP and ICMPv6 messages (RFC 792, RFC 4443): echo and errors.

use super::{Checksum, protocol};
use crate::counters::Drop;
use std::net::IpAddr;

/// Bytes of a message before its data, or before the packet that it quotes.
pub const HEADER: usize = 8;

/// What a message is, as far as this stack acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks for the data back.
    EchoRequest {
        /// Identifier and sequence number, to be sent back as they are.
        identity: [u8; 4],
    },
    /// Tells what became of a packet, which is quoted from [`HEADER`] on.
    Error {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// What the type makes of the rest of the header: an MTU, a pointer.
        rest: [u8; 4],
    },
    /// Any other type.
    Other {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
}

/// Reads and verifies the ICMP message `bytes`, or the ICMPv6 one if the addresses are IPv6. The data of an echo begins at [`HEADER`].
pub fn parse(source: IpAddr, destination: IpAddr, bytes: &[u8]) -> Result<Message, Drop> {
    let &[kind, code, _, _, a, b, c, d, ..] = bytes else {
        return Err(Drop::IcmpMalformed);
    };
    if !base(source, destination, bytes.len()).chain([bytes]).is_valid() {
        return Err(Drop::IcmpChecksum);
    }
    if is_error(source, kind) {
        return Ok(Message::Error { kind, code, rest: [a, b, c, d] });
    }
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.7
    //# A host SHOULD NOT implement these messages. (1122:3.2.2.7-1)
    if kind != echo_request(source) {
        return Ok(Message::Other { kind, code });
    }
    if code != 0 {
        return Err(Drop::IcmpMalformed);
    }
    Ok(Message::EchoRequest { identity: [a, b, c, d] })
}

/// The header of the reply to an echo request, checksum included; `data` is what the request carried.
#[must_use]
pub fn echo_reply(source: IpAddr, destination: IpAddr, identity: [u8; 4], data: &[u8]) -> [u8; HEADER] {
    //= https://www.rfc-editor.org/rfc/rfc792#page-15
    //# The echoer returns these same values in the echo reply. (792:page-15-1)
    let [a, b, c, d] = identity;
    //= https://www.rfc-editor.org/rfc/rfc792#page-14
    //# To form an echo reply message, the source and destination addresses are simply reversed, the type code changed to 0, and the checksum recomputed. (792:page-14-1)
    let kind = if source.is_ipv4() { 0 } else { 129 };
    let header = [kind, 0, 0, 0, a, b, c, d];
    let sum = base(source, destination, HEADER + data.len()).chain([&header[..], data]);
    let [high, low] = sum.finish().to_be_bytes();
    [kind, 0, high, low, a, b, c, d]
}

/// The header of an error of this type and code, checksum included; `rest` is its second word and `quoted` the beginning of the packet it is about.
#[must_use]
pub fn error(
    source: IpAddr,
    destination: IpAddr,
    (kind, code): (u8, u8),
    rest: [u8; 4],
    quoted: &[u8],
) -> [u8; HEADER] {
    let [a, b, c, d] = rest;
    let header = [kind, code, 0, 0, a, b, c, d];
    let sum = base(source, destination, HEADER + quoted.len()).chain([&header[..], quoted]);
    let [high, low] = sum.finish().to_be_bytes();
    [kind, code, high, low, a, b, c, d]
}

/// ICMP has no pseudo-header, ICMPv6 has one (RFC 4443 2.3).
fn base(source: IpAddr, destination: IpAddr, length: usize) -> Checksum {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    match source {
        //= https://www.rfc-editor.org/rfc/rfc792#page-4
        //# The checksum is the 16-bit ones's complement of the one's complement sum of the ICMP message starting with the ICMP Type. (792:page-4-1)
        IpAddr::V4(_) => Checksum::default(),
        //= https://www.rfc-editor.org/rfc/rfc4443#section-2.3
        //# The checksum is the 16-bit one's complement of the one's complement sum of the entire ICMPv6 message, starting with the ICMPv6 message type field, and prepended with a "pseudo-header" of IPv6 header fields (4443:2.3-1)
        IpAddr::V6(_) => Checksum::pseudo_header(source, destination, protocol::ICMPV6, length),
    }
}

/// Whether a type is an error that says why a packet went no further. Source quench is none (RFC 6633); the first half of the types of ICMPv6 is, whether
/// known or not (RFC 4443 2.1).
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
//# TCP implementations MUST silently discard any received ICMP Source Quench messages (MUST-55).
fn is_error(family: IpAddr, kind: u8) -> bool {
    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
    //# If an ICMPv6 error message of unknown type is received at its destination, it MUST be passed to the upper-layer process that originated the packet that caused the error, where this can be identified (4443:2.4-1)
    //= https://www.rfc-editor.org/rfc/rfc5927#section-8
    //# ignoring ICMPv4 Source Quench messages meant for TCP connections. (5927:8-2)
    //= https://www.rfc-editor.org/rfc/rfc6633#section-3
    //# If a Source Quench message is received, the IP layer MAY silently discard it. (6633:3-2)
    if family.is_ipv4() { matches!(kind, 3 | 11 | 12) } else { kind < 128 }
}

/// Type of an echo request.
fn echo_request(family: IpAddr) -> u8 {
    if family.is_ipv4() { 8 } else { 128 }
}
