//! A packet as the rules see it: headers, and whether the checksums are right.

use crate::options::TcpOptions;
use etherparse::checksum::Sum16BitWords;
use etherparse::{IpFragOffset, IpNumber, IpSlice, Ipv6ExtensionSlice, TcpSlice, UdpSlice, ip_number};
use std::net::IpAddr;

/// An IP packet.
#[derive(Clone, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) ttl: u8,
    /// Of IPv6.
    pub(crate) flow_label: Option<u32>,
    /// Of IPv4.
    pub(crate) v4: Option<V4>,
    pub(crate) protocol: u8,
    pub(crate) body: Body<'a>,
}

/// What only IPv4 has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct V4 {
    pub(crate) identification: u16,
    pub(crate) dont_fragment: bool,
    pub(crate) more_fragments: bool,
    /// Of a fragment, in units of 8 bytes.
    pub(crate) offset: u16,
    pub(crate) checksum_right: bool,
}

/// What the packet carries.
#[derive(Clone, Debug)]
pub(crate) enum Body<'a> {
    Tcp(Segment<'a>),
    Udp { checksum_right: bool },
    Icmp { checksum_right: bool },
    Fragment(Piece<'a>),
    Other,
}

/// A piece of what a packet carries.
#[derive(Clone, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) identification: u32,
    pub(crate) offset: IpFragOffset,
    /// Whether others come behind it.
    pub(crate) more: bool,
    pub(crate) bytes: &'a [u8],
}

/// A TCP segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) ports: [u16; 2],
    pub(crate) seq: u32,
    /// The acknowledgement number, if ACK is set.
    pub(crate) ack: Option<u32>,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) ece: bool,
    pub(crate) cwr: bool,
    /// What its IP header says of congestion (RFC 3168 section 5); unknown of what came in fragments.
    pub(crate) ecn: Option<u8>,
    /// The urgent pointer, if URG is set.
    pub(crate) urgent: Option<u16>,
    pub(crate) window: u16,
    pub(crate) options: TcpOptions,
    /// Bytes of the options.
    pub(crate) option_bytes: usize,
    pub(crate) payload: &'a [u8],
    pub(crate) checksum_right: bool,
    /// Whether it came in fragments: its receiver may have lost patience with them.
    pub(crate) pieced: bool,
}

impl Segment<'_> {
    /// What it takes of the sequence space.
    pub(crate) fn len(&self) -> i64 {
        self.payload.len() as i64 + i64::from(self.syn) + i64::from(self.fin)
    }

    /// Whether it is nothing but an ACK.
    pub(crate) fn is_bare(&self) -> bool {
        self.len() == 0 && !self.rst && self.ack.is_some()
    }
}

/// Reads a packet that begins with its IP header.
pub(crate) fn parse(bytes: &[u8]) -> Result<Packet<'_>, String> {
    let ip = IpSlice::from_slice(bytes).map_err(|error| error.to_string())?;
    let (source, destination) = (ip.source_addr(), ip.destination_addr());
    let ecn = match &ip {
        IpSlice::Ipv4(ip) => ip.header().ecn().value(),
        IpSlice::Ipv6(ip) => ip.header().traffic_class() & 3,
    };
    let (ttl, flow_label, v4, piece, payload) = match &ip {
        IpSlice::Ipv4(ip) => {
            let header = ip.header();
            let v4 = V4 {
                identification: header.identification(),
                dont_fragment: header.dont_fragment(),
                more_fragments: header.more_fragments(),
                offset: header.fragments_offset().value(),
                checksum_right: Sum16BitWords::new().add_slice(header.slice()).ones_complement() == 0,
            };
            let piece = (u32::from(v4.identification), header.fragments_offset(), v4.more_fragments);
            (header.ttl(), None, Some(v4), Some(piece), ip.payload().clone())
        }
        IpSlice::Ipv6(ip) => {
            let header = ip.header();
            let piece = ip.extensions().clone().into_iter().find_map(|extension| match extension {
                Ipv6ExtensionSlice::Fragment(header) => {
                    Some((header.identification(), header.fragment_offset(), header.more_fragments()))
                }
                _ => None,
            });
            (header.hop_limit(), Some(header.flow_label().value()), None, piece, ip.payload().clone())
        }
    };
    let protocol = payload.ip_number;
    let bytes = payload.payload;
    let mut body = match piece.filter(|_| payload.fragmented) {
        Some((identification, offset, more)) => Body::Fragment(Piece { identification, offset, more, bytes }),
        None => body(source, destination, protocol, bytes)?,
    };
    if let Body::Tcp(segment) = &mut body {
        segment.ecn = Some(ecn);
    }
    Ok(Packet { source, destination, ttl, flow_label, v4, protocol: protocol.0, body })
}

/// What a packet carries whose fragments have been put together.
pub(crate) fn joined<'a>(pieces: &Packet<'_>, bytes: &'a [u8]) -> Result<Body<'a>, String> {
    let mut body = body(pieces.source, pieces.destination, IpNumber(pieces.protocol), bytes)?;
    if let Body::Tcp(segment) = &mut body {
        segment.pieced = true;
    }
    Ok(body)
}

fn body(source: IpAddr, destination: IpAddr, protocol: IpNumber, bytes: &[u8]) -> Result<Body<'_>, String> {
    let sum = |bytes: &[u8]| match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Sum16BitWords::new()
            .add_4bytes(source.octets())
            .add_4bytes(destination.octets())
            .add_2bytes([0, protocol.0])
            .add_4bytes((bytes.len() as u32).to_be_bytes())
            .add_slice(bytes)
            .ones_complement(),
        (IpAddr::V6(source), IpAddr::V6(destination)) => Sum16BitWords::new()
            .add_16bytes(source.octets())
            .add_16bytes(destination.octets())
            .add_2bytes([0, protocol.0])
            .add_4bytes((bytes.len() as u32).to_be_bytes())
            .add_slice(bytes)
            .ones_complement(),
        _ => 0,
    };
    Ok(match protocol {
        ip_number::TCP => Body::Tcp(segment(bytes, sum(bytes) == 0)?),
        ip_number::UDP => {
            let datagram = UdpSlice::from_slice(bytes).map_err(|error| error.to_string())?;
            let none = datagram.checksum() == 0;
            let checksum_right = if none { source.is_ipv4() } else { sum(bytes) == 0 };
            Body::Udp { checksum_right }
        }
        ip_number::ICMP => {
            Body::Icmp { checksum_right: Sum16BitWords::new().add_slice(bytes).ones_complement() == 0 }
        }
        ip_number::IPV6_ICMP => Body::Icmp { checksum_right: sum(bytes) == 0 },
        _ => Body::Other,
    })
}

fn segment(bytes: &[u8], checksum_right: bool) -> Result<Segment<'_>, String> {
    let tcp = TcpSlice::from_slice(bytes).map_err(|error| error.to_string())?;
    Ok(Segment {
        ports: [tcp.source_port(), tcp.destination_port()],
        seq: tcp.sequence_number(),
        ack: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        ece: tcp.ece(),
        cwr: tcp.cwr(),
        ecn: None,
        urgent: tcp.urg().then(|| tcp.urgent_pointer()),
        window: tcp.window_size(),
        options: TcpOptions::parse(tcp.options()),
        option_bytes: tcp.options().len(),
        payload: &bytes[tcp.header_slice().len()..],
        checksum_right,
        pieced: false,
    })
}
