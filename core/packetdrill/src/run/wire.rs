//! A packet that the stack sent, taken apart, every checksum of it verified by other means than the stack's own.

use crate::script::TcpOption;
use bytes::Bytes;
use etherparse::checksum::Sum16BitWords;
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice, TcpHeaderSlice};
use std::net::IpAddr;
use usertcp_core::time::Instant;

/// Protocol numbers.
pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;

/// Bytes of headers without options.
const UDP_HEADER: usize = 8;
const ICMP_HEADER: usize = 8;

/// A packet of the stack.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    /// When it was sent.
    pub(super) time: Instant,
    pub(super) source: IpAddr,
    pub(super) traffic_class: u8,
    pub(super) hop_limit: u8,
    /// Of IPv6 only.
    pub(super) flow_label: Option<u32>,
    pub(super) content: Content,
    /// The packet from its IP header on.
    pub(super) bytes: Bytes,
}

impl Wire {
    /// Whether it is a segment with payload.
    pub(super) fn has_data(&self) -> bool {
        matches!(&self.content, Content::Tcp(segment) if !segment.payload.is_empty())
    }
}

/// What a packet carries.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Tcp(Segment),
    Udp { source: u16, destination: u16, len: usize },
    Icmp { kind: u8, code: u8, rest: [u8; 4], quoted: Bytes },
}

/// A TCP segment as it is on the wire.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) source: u16,
    pub(super) destination: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    pub(super) urgent: u16,
    pub(super) options: Vec<TcpOption>,
    pub(super) payload: Bytes,
}

/// Control bits.
pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;
pub(super) const CWR: u8 = 0x80;

/// The letters of the control bits, lowest bit first.
const LETTERS: [char; 8] = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'W'];

/// Control bits as letters; `-` for none.
pub(super) fn letters(flags: u8) -> String {
    let set = LETTERS.iter().enumerate().filter(|(bit, _)| flags & (1 << bit) != 0);
    let text: String = set.map(|(_, letter)| *letter).collect();
    if text.is_empty() { "-".into() } else { text }
}

/// Letters as control bits; the letter that is none.
pub(super) fn flags(text: &str) -> Result<u8, char> {
    text.chars().filter(|letter| *letter != '-').try_fold(0, |flags, letter| {
        let bit = LETTERS.iter().position(|known| *known == letter).ok_or(letter)?;
        Ok(flags | 1 << bit)
    })
}

impl Wire {
    /// Takes `bytes` apart; says what is wrong with them.
    pub(super) fn parse(time: Instant, bytes: Bytes) -> Result<Self, String> {
        match bytes.first().map(|first| first >> 4) {
            Some(4) => v4(time, bytes),
            Some(6) => v6(time, bytes),
            _ => Err("neither IPv4 nor IPv6".into()),
        }
    }
}

fn v4(time: Instant, bytes: Bytes) -> Result<Wire, String> {
    let header = Ipv4HeaderSlice::from_slice(&bytes).map_err(|error| error.to_string())?;
    if Sum16BitWords::new().add_slice(header.slice()).ones_complement() != 0 {
        return Err("bad checksum of the IPv4 header".into());
    }
    if usize::from(header.total_len()) != bytes.len() {
        return Err(format!("total length {} of {} bytes", header.total_len(), bytes.len()));
    }
    if header.is_fragmenting_payload() {
        return Err("a fragment".into());
    }
    let (source, destination) = (header.source_addr().into(), header.destination_addr().into());
    let body = bytes.slice(header.slice().len()..);
    Ok(Wire {
        time,
        source,
        traffic_class: header.dcp().value() << 2 | header.ecn().value(),
        hop_limit: header.ttl(),
        flow_label: None,
        content: content(source, destination, header.protocol().0, body)?,
        bytes: bytes.clone(),
    })
}

fn v6(time: Instant, bytes: Bytes) -> Result<Wire, String> {
    let header = Ipv6HeaderSlice::from_slice(&bytes).map_err(|error| error.to_string())?;
    let body = bytes.slice(header.slice().len()..);
    if usize::from(header.payload_length()) != body.len() {
        return Err(format!("payload length {} of {} bytes", header.payload_length(), body.len()));
    }
    let (source, destination) = (header.source_addr().into(), header.destination_addr().into());
    Ok(Wire {
        time,
        source,
        traffic_class: header.traffic_class(),
        hop_limit: header.hop_limit(),
        flow_label: Some(header.flow_label().value()),
        content: content(source, destination, header.next_header().0, body)?,
        bytes: bytes.clone(),
    })
}

fn content(source: IpAddr, destination: IpAddr, protocol: u8, body: Bytes) -> Result<Content, String> {
    let sound = sum(source, destination, protocol, &body) == 0;
    let short = || format!("{} bytes of protocol {protocol}", body.len());
    match protocol {
        TCP => {
            if !sound {
                return Err("bad TCP checksum".into());
            }
            segment(body).map(Content::Tcp)
        }
        UDP => {
            let header = body.first_chunk::<UDP_HEADER>().ok_or_else(short)?;
            let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
            let unsummed = number(6) == 0 && source.is_ipv4();
            if !sound && !unsummed {
                return Err("bad UDP checksum".into());
            }
            if usize::from(number(4)) != body.len() {
                return Err(format!("UDP length {} of {} bytes", number(4), body.len()));
            }
            Ok(Content::Udp { source: number(0), destination: number(2), len: body.len() - UDP_HEADER })
        }
        ICMP | ICMPV6 => {
            if !sound {
                return Err("bad ICMP checksum".into());
            }
            let &[kind, code, _, _, a, b, c, d] = body.first_chunk::<ICMP_HEADER>().ok_or_else(short)?;
            Ok(Content::Icmp { kind, code, rest: [a, b, c, d], quoted: body.slice(ICMP_HEADER..) })
        }
        other => Err(format!("protocol {other}")),
    }
}

/// The folded complement over what the transport checksum covers: 0 where it is right; what the field has to hold where it is 0.
pub(super) fn sum(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> u16 {
    let mut sum = Sum16BitWords::new();
    if protocol != ICMP {
        sum = address(address(sum, source), destination).add_2bytes([0, protocol]);
        sum = sum.add_4bytes((body.len() as u32).to_be_bytes());
    }
    sum.add_slice(body).ones_complement()
}

fn address(mut sum: Sum16BitWords, address: IpAddr) -> Sum16BitWords {
    match address {
        IpAddr::V4(v4) => sum.add_4bytes(v4.octets()),
        IpAddr::V6(v6) => sum.add_16bytes(v6.octets()),
    }
}

fn segment(body: Bytes) -> Result<Segment, String> {
    let header = TcpHeaderSlice::from_slice(&body).map_err(|error| error.to_string())?;
    Ok(Segment {
        source: header.source_port(),
        destination: header.destination_port(),
        seq: header.sequence_number(),
        ack: header.acknowledgment_number(),
        flags: header.slice()[13],
        window: header.window_size(),
        urgent: header.urgent_pointer(),
        options: options(header.options())?,
        payload: body.slice(header.slice().len()..),
    })
}

/// Options in the order in which they stand.
fn options(mut bytes: &[u8]) -> Result<Vec<TcpOption>, String> {
    let mut found = Vec::new();
    while let [kind, rest @ ..] = bytes {
        match kind {
            0 => {
                found.push(TcpOption::End);
                bytes = rest;
            }
            1 => {
                found.push(TcpOption::Nop);
                bytes = rest;
            }
            _ => {
                let length = rest.first().map_or(0, |length| usize::from(*length));
                let option =
                    bytes.get(2..length).ok_or_else(|| format!("option {kind} of length {length}"))?;
                found.push(option_of(*kind, option));
                bytes = &bytes[length..];
            }
        }
    }
    Ok(found)
}

fn option_of(kind: u8, value: &[u8]) -> TcpOption {
    let word = |at: usize| u32::from_be_bytes([value[at], value[at + 1], value[at + 2], value[at + 3]]);
    match (kind, value) {
        (2, &[a, b]) => TcpOption::Mss(u16::from_be_bytes([a, b])),
        (3, &[shift]) => TcpOption::WindowScale(shift),
        (4, []) => TcpOption::SackPermitted,
        (5, blocks) if !blocks.is_empty() && blocks.len() % 8 == 0 => {
            TcpOption::Sack((0..blocks.len()).step_by(8).map(|at| (word(at), word(at + 4))).collect())
        }
        (8, _) if value.len() == 8 => TcpOption::Timestamps { value: word(0), echo: word(4) },
        _ => {
            let text = value.iter().map(|byte| format!("{byte:02x}")).collect();
            TcpOption::Other(format!("kind {kind}"), text)
        }
    }
}

/// Options as they go onto the wire; the name of one that is not known here.
pub(super) fn option_bytes(options: &[TcpOption]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for option in options {
        match option {
            TcpOption::End => out.push(0),
            TcpOption::Nop => out.push(1),
            TcpOption::Mss(mss) => {
                out.extend([2, 4]);
                out.extend(mss.to_be_bytes());
            }
            TcpOption::WindowScale(shift) => out.extend([3, 3, *shift]),
            TcpOption::SackPermitted => out.extend([4, 2]),
            TcpOption::Sack(blocks) => {
                out.extend([5, 2 + 8 * blocks.len() as u8]);
                for (left, right) in blocks {
                    out.extend(left.to_be_bytes());
                    out.extend(right.to_be_bytes());
                }
            }
            TcpOption::Timestamps { value, echo } => {
                out.extend([8, 10]);
                out.extend(value.to_be_bytes());
                out.extend(echo.to_be_bytes());
            }
            TcpOption::Other(name, _) => return Err(name.clone()),
        }
    }
    Ok(out)
}
