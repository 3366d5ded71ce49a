//! ICMP and ICMPv6 echo messages (RFC 792, RFC 4443 section 4).

use super::{Checksum, protocol};
use crate::counters::Drop;
use std::net::IpAddr;

/// Bytes of an echo message before its data.
pub const HEADER: usize = 8;

/// What a message is, as far as this stack acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks for the data back.
    EchoRequest {
        /// Identifier and sequence number, to be sent back as they are.
        identity: [u8; 4],
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
    let [a, b, c, d] = identity;
    let kind = if source.is_ipv4() { 0 } else { 129 };
    let header = [kind, 0, 0, 0, a, b, c, d];
    let sum = base(source, destination, HEADER + data.len()).chain([&header[..], data]);
    let [high, low] = sum.finish().to_be_bytes();
    [kind, 0, high, low, a, b, c, d]
}

/// ICMP has no pseudo-header, ICMPv6 has one (RFC 4443 2.3).
fn base(source: IpAddr, destination: IpAddr, length: usize) -> Checksum {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    match source {
        IpAddr::V4(_) => Checksum::default(),
        IpAddr::V6(_) => Checksum::pseudo_header(source, destination, protocol::ICMPV6, length),
    }
}

/// Type of an echo request.
fn echo_request(family: IpAddr) -> u8 {
    if family.is_ipv4() { 8 } else { 128 }
}
