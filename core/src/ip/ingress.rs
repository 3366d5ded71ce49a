//! From a frame to a valid packet.

use super::Packet;
use super::reassembly::Fragment;
use crate::counters::Drop;
use crate::link::Frame;
use crate::wire::{Refused, ipv4, ipv6};
use bytes::Bytes;
use std::net::IpAddr;
use std::ops::Range;

/// What a frame holds.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A whole packet.
    Whole(Packet),
    /// A part of one.
    Part(Fragment),
}

/// What a frame holds, its payload not taken out of it yet: every slice of a page is a word that two threads write to.
#[derive(Clone, Debug)]
pub enum Look {
    /// A whole packet without its payload, and where in the frame that lies.
    Whole(Packet, Range<usize>),
    /// A part of one.
    Part(Fragment),
}

impl Look {
    fn ends(&self) -> (IpAddr, IpAddr) {
        match self {
            Self::Whole(packet, _) => (packet.source, packet.destination),
            Self::Part(fragment) => (fragment.source(), fragment.destination()),
        }
    }
}

/// Reads and verifies the IP header of a frame from a link. Does not ask whose address it is, but refuses what no host can
/// have sent over a link.
pub fn look(frame: &Frame) -> Result<Look, Refused> {
    let look = read(frame);
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
    //# (g) { 127, <any> } Internal host loopback address. Addresses of this form MUST NOT appear outside a host. (1122:3.2.1.3-7)
    match look.as_ref().map(Look::ends) {
        Ok((source, destination)) if is_martian(source) || is_martian(destination) => {
            Err(Drop::IpMartian.into())
        }
        _ => look,
    }
}

/// The same for a frame that this stack has sent to itself, where loopback addresses are at home and fragments are not.
pub fn look_looped(frame: &Frame) -> Result<Look, Refused> {
    match read(frame)? {
        Look::Part(_) => Err(Drop::IpFragment.into()),
        whole => Ok(whole),
    }
}

/// What a frame from a link holds, with the payload.
pub fn arrival(frame: &Frame) -> Result<Arrival, Refused> {
    Ok(match look(frame)? {
        Look::Whole(packet, at) => Arrival::Whole(Packet { payload: frame.bytes.slice(at), ..packet }),
        Look::Part(fragment) => Arrival::Part(fragment),
    })
}

/// The same where only whole packets are wanted.
pub fn ingress(frame: &Frame) -> Result<Packet, Drop> {
    match arrival(frame).map_err(|refused| refused.reason)? {
        Arrival::Whole(packet) => Ok(packet),
        Arrival::Part(_) => Err(Drop::IpFragment),
    }
}

/// Whether no link carries packets from or to `address`.
fn is_martian(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => ipv4::is_martian(address),
        IpAddr::V6(address) => ipv6::is_martian(address),
    }
}

#[inline]
fn read(frame: &Frame) -> Result<Look, Refused> {
    match frame.bytes.first().map(|byte| byte >> 4) {
        Some(4) => v4(frame),
        Some(6) => v6(frame),
        Some(_) => Err(Drop::IpVersion.into()),
        None => Err(Drop::Truncated.into()),
    }
}

#[inline]
fn v4(frame: &Frame) -> Result<Look, Refused> {
    let (header, start) = ipv4::parse(&frame.bytes)?;
    //= https://www.rfc-editor.org/rfc/rfc6864#section-4.1
    //# All devices that examine IPv4 headers MUST ignore the IPv4 ID field of atomic datagrams. (6864:4.1-3)
    if header.is_fragment() {
        let packet = frame.bytes.slice(..usize::from(header.total_length));
        return Ok(Look::Part(Fragment::v4(&header, start, packet)));
    }
    let packet = Packet {
        source: IpAddr::V4(header.source),
        destination: IpAddr::V4(header.destination),
        protocol: header.protocol,
        hop_limit: header.ttl,
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.6
        //# The IP layer SHOULD pass received TOS values up to the transport layer. (1122:3.2.1.6-2)
        traffic_class: header.tos,
        payload: Bytes::new(),
        meta: frame.meta,
    };
    Ok(Look::Whole(packet, start..usize::from(header.total_length)))
}

fn v6(frame: &Frame) -> Result<Look, Refused> {
    let (header, start) = ipv6::parse(&frame.bytes)?;
    //= https://www.rfc-editor.org/rfc/rfc6946#section-4
    //# such fragments MUST NOT be discarded upon receipt of the "colliding" IPv6 atomic fragment, since IPv6 atomic fragments MUST NOT interfere with "normal" fragmented traffic. (6946:4-3)
    if let Some(part) = header.fragment {
        let packet = frame.bytes.slice(..ipv6::HEADER + usize::from(header.payload_length));
        return Ok(Look::Part(Fragment::v6(&header, part, start, packet)));
    }
    let packet = Packet {
        source: IpAddr::V6(header.source),
        destination: IpAddr::V6(header.destination),
        protocol: header.protocol,
        hop_limit: header.hop_limit,
        traffic_class: header.traffic_class,
        payload: Bytes::new(),
        meta: frame.meta,
    };
    //= https://www.rfc-editor.org/rfc/rfc8200#section-5
    //# the node must be able to accept packets as large as that link's MTU. (8200:5-3)
    Ok(Look::Whole(packet, start..ipv6::HEADER + usize::from(header.payload_length)))
}
