//! Packets made and read independently of the stack, so that neither can hide the other's fault.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// The stack under test.
pub(crate) const STACK_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub(crate) const STACK_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

/// The fuzzer, its peer.
pub(crate) const PEER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const PEER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

pub(crate) const fn stack_address(v6: bool) -> IpAddr {
    if v6 { IpAddr::V6(STACK_V6) } else { IpAddr::V4(STACK_V4) }
}

pub(crate) const fn peer_address(v6: bool) -> IpAddr {
    if v6 { IpAddr::V6(PEER_V6) } else { IpAddr::V4(PEER_V4) }
}

/// A host that the stack may stand in for.
const AWAY_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const AWAY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 5, 0, 0, 0, 0, 7);

/// The address of the stack's side: its own, or that host's.
pub(crate) const fn local_address(v6: bool, away: bool) -> IpAddr {
    match (v6, away) {
        (_, false) => stack_address(v6),
        (false, true) => IpAddr::V4(AWAY_V4),
        (true, true) => IpAddr::V6(AWAY_V6),
    }
}

/// A TCP segment, from either side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tcp {
    pub(crate) v6: bool,
    /// The stack's side has the address of another host.
    pub(crate) away: bool,
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    /// As on the wire; cut to 40 bytes and padded with zeroes to a multiple of four.
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Tcp {
    /// Sequence numbers that the segment takes up.
    pub(crate) fn span(&self) -> u32 {
        let controls = u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        controls + u32::try_from(self.payload.len()).unwrap_or(u32::MAX)
    }

    /// The segment behind an IP header, from the peer to the stack.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.truncate(40);
        options.resize(options.len().next_multiple_of(4), 0);
        let mut segment = Vec::with_capacity(60 + self.payload.len());
        segment.extend_from_slice(&self.source.to_be_bytes());
        segment.extend_from_slice(&self.destination.to_be_bytes());
        segment.extend_from_slice(&self.seq.to_be_bytes());
        segment.extend_from_slice(&self.ack.to_be_bytes());
        segment.push(u8::try_from((20 + options.len()) / 4 * 16).unwrap_or(0xf0));
        segment.push(self.flags);
        segment.extend_from_slice(&self.window.to_be_bytes());
        segment.extend_from_slice(&[0, 0]);
        segment.extend_from_slice(&self.urgent.to_be_bytes());
        segment.extend_from_slice(&options);
        segment.extend_from_slice(&self.payload);
        segment.truncate(65_000);
        let stack = local_address(self.v6, self.away);
        let sum = pseudo(peer_address(self.v6), stack, 6, segment.len()) + sum(&segment);
        segment[16..18].copy_from_slice(&fold(sum).to_be_bytes());
        ip_frame_to(stack, 6, &segment)
    }

    /// Reads what the stack sent, all of it: `None` if it is no TCP segment. Panics if it is a malformed packet.
    pub(crate) fn read(bytes: &[u8], complete: bool) -> Option<Self> {
        let v6 = bytes[0] >> 4 == 6;
        let header = if v6 { 40 } else { usize::from(bytes[0] & 15) * 4 };
        let protocol = if v6 { bytes[6] } else { bytes[9] };
        if v6 {
            assert_eq!(usize::from(be16(bytes, 4)), bytes.len() - 40, "IPv6 payload length");
        } else {
            assert_eq!(usize::from(be16(bytes, 2)), bytes.len(), "IPv4 total length");
            assert_eq!(fold(sum(&bytes[..header])), 0, "IPv4 header checksum");
        }
        let source = &bytes[if v6 { 8..24 } else { 12..16 }];
        let octets = |away: bool| match local_address(v6, away) {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let away = source == octets(true);
        let local = local_address(v6, away);
        let whole = v6 || be16(bytes, 6) & 0x3fff == 0;
        if protocol == 17 && complete && whole {
            let datagram = &bytes[header..];
            let head = pseudo(local, peer_address(v6), 17, datagram.len());
            assert_eq!(fold(head + sum(datagram)), 0, "UDP checksum");
            assert_ne!(be16(datagram, 6), 0, "no UDP checksum");
        }
        if protocol != 6 {
            return None;
        }
        let segment = &bytes[header..];
        if complete {
            let head = pseudo(local, peer_address(v6), 6, segment.len());
            assert_eq!(fold(head + sum(segment)), 0, "TCP checksum");
        }
        let offset = usize::from(segment[12] >> 4) * 4;
        Some(Self {
            v6,
            away,
            source: be16(segment, 0),
            destination: be16(segment, 2),
            seq: be32(segment, 4),
            ack: be32(segment, 8),
            flags: segment[13],
            window: be16(segment, 14),
            urgent: be16(segment, 18),
            options: segment[20..offset].to_vec(),
            payload: segment[offset..].to_vec(),
        })
    }
}

/// `payload` behind a valid IP header, from the peer to the stack.
pub(crate) fn ip_frame(v6: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    ip_frame_to(stack_address(v6), protocol, payload)
}

fn ip_frame_to(destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(40 + payload.len());
    let length = |extra: usize| u16::try_from(payload.len() + extra).unwrap_or(u16::MAX).to_be_bytes();
    match destination {
        IpAddr::V6(destination) => {
            frame.extend_from_slice(&[0x60, 0, 0, 0]);
            frame.extend_from_slice(&length(0));
            frame.extend_from_slice(&[protocol, 64]);
            frame.extend_from_slice(&PEER_V6.octets());
            frame.extend_from_slice(&destination.octets());
        }
        IpAddr::V4(destination) => {
            frame.extend_from_slice(&[0x45, 0]);
            frame.extend_from_slice(&length(20));
            frame.extend_from_slice(&[0, 1, 0x40, 0, 64, protocol, 0, 0]);
            frame.extend_from_slice(&PEER_V4.octets());
            frame.extend_from_slice(&destination.octets());
            let checksum = fold(sum(&frame));
            frame[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// An ICMP or ICMPv6 message with its checksum filled in, from the peer to the stack.
pub(crate) fn icmp_frame(v6: bool, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    message.resize(message.len().max(8), 0);
    message[2..4].fill(0);
    let head = if v6 { pseudo(peer_address(v6), stack_address(v6), 58, message.len()) } else { 0 };
    let checksum = fold(head + sum(&message));
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    ip_frame(v6, if v6 { 58 } else { 1 }, &message)
}

/// A datagram with its checksum filled in, from the peer to the stack.
pub(crate) fn udp_frame(v6: bool, source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    let head = [source, destination, length, 0].map(u16::to_be_bytes).concat();
    let mut datagram = [&head, payload].concat();
    let whole = pseudo(peer_address(v6), stack_address(v6), 17, datagram.len()) + sum(&datagram);
    let checksum = if fold(whole) == 0 { 0xffff } else { fold(whole) };
    datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
    ip_frame(v6, 17, &datagram)
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from(be16(bytes, at)) << 16 | u32::from(be16(bytes, at + 2))
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0))).sum()
}

fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> u64 {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(a) => sum(&a.octets()),
        IpAddr::V6(a) => sum(&a.octets()),
    };
    octets(source) + octets(destination) + u64::from(protocol) + length as u64
}

fn fold(sum: u64) -> u16 {
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
