//! What arrives: the packets of `<` lines as bytes.

use super::wire::{self, ICMP, ICMPV6, TCP, UDP, option_bytes};
use super::{Run, Stop, icmp};
use crate::report::Kind;
use crate::script::{Body, Header, Options, Packet, Segment, TcpOption};
use etherparse::{IpDscp, IpEcn, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, TcpHeader};
use std::net::IpAddr;

/// Hops that a packet of the peer has left.
const HOPS: u8 = 64;

/// Most bytes that a packet carries behind its headers, however long they are.
const LONGEST: u32 = 65_535 - 60 - 60;

/// What a message of the network quotes of IPv4 and of IPv6 at most.
const QUOTED_MAX: [usize; 2] = [576 - 28, 1280 - 48];

impl Run<'_> {
    /// A `<` line: its packet arrives.
    pub(super) fn inbound(&mut self, packet: &Packet) -> Result<(), Stop> {
        if let Some(outer) = packet.encapsulation.first() {
            return Err(Stop::Skip(format!("encapsulation: {outer}")));
        }
        let len = match &packet.body {
            Body::Tcp(segment) => segment.len,
            Body::Udp { len, .. } => *len,
            Body::Icmp { .. } => 0,
        };
        if len > LONGEST {
            let got = format!("{len} bytes are more than a packet has room for");
            return Err(Stop::fail(Kind::Script, got, vec![]));
        }
        let (protocol, body) = match &packet.body {
            Body::Tcp(segment) => (TCP, self.inbound_segment(segment)?),
            Body::Udp { ports, len } => (UDP, self.inbound_datagram(*ports, *len)),
            Body::Icmp { kind, code, mtu, quoted } => {
                self.inbound_icmp(kind, code.as_deref(), *mtu, quoted.as_deref())?
            }
        };
        let (source, destination) = (self.addresses.remote, self.addresses.local);
        let bytes = with_ip(&packet.header, source, destination, protocol, &body).map_err(Stop::Skip)?;
        self.world.note(|| format!("< {}", super::outbound::describe(&bytes)));
        self.world.inject(bytes);
        Ok(())
    }

    fn inbound_segment(&mut self, segment: &Segment) -> Result<Vec<u8>, Stop> {
        let flags = wire::flags(&segment.flags).map_err(|flag| Stop::Skip(format!("flag {flag}")))?;
        let flow = self.flows.inbound(segment.ports, flags, segment.seq);
        let offset = flow.offset(flags);
        let ack = segment.ack.unwrap_or(0);
        let counted = flags & wire::ACK != 0 && !segment.absolute_ack;
        let ack = if counted { ack.wrapping_add(offset) } else { ack };
        let seq = segment.seq.wrapping_add(if segment.absolute_seq { 0 } else { flow.peer_offset(flags) });
        let mut options: Vec<TcpOption> = match &segment.options {
            Options::None | Options::Any => Vec::new(),
            Options::List(list) => list.clone(),
        };
        for option in &mut options {
            match option {
                TcpOption::Sack(blocks) => {
                    for (left, right) in blocks {
                        (*left, *right) = (left.wrapping_add(offset), right.wrapping_add(offset));
                    }
                }
                TcpOption::Timestamps { echo, .. } => *echo = flow.stamp_on_wire(*echo),
                _ => {}
            }
        }
        let raw = option_bytes(&options).map_err(|name| Stop::Skip(format!("option {name}")))?;
        let mut header = TcpHeader::new(flow.remote, flow.local, seq, segment.window.unwrap_or(0));
        header.acknowledgment_number = ack;
        header.urgent_pointer = segment.urgent.unwrap_or(0);
        header.set_options_raw(&raw).map_err(|error| Stop::Skip(format!("options: {error}")))?;
        let mut bytes = header.to_bytes().to_vec();
        bytes[13] = flags;
        let first = u64::from(flow.peer_position(seq));
        bytes.extend((0..u64::from(segment.len)).map(|at| super::calls::pattern(first + at)));
        let sum = wire::sum(self.addresses.remote, self.addresses.local, TCP, &bytes);
        bytes[16..18].copy_from_slice(&sum.to_ne_bytes());
        Ok(bytes)
    }

    fn inbound_datagram(&mut self, ports: Option<(u16, u16)>, len: u32) -> Vec<u8> {
        let (from, to) = ports.unwrap_or_else(|| self.datagram_ports());
        let mut bytes = Vec::new();
        let length = len as u16 + 8;
        for number in [from, to, length, 0] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend((0..u64::from(len)).map(super::calls::pattern));
        let sum = wire::sum(self.addresses.remote, self.addresses.local, UDP, &bytes);
        let sum = if sum == 0 { 0xffff } else { sum };
        bytes[6..8].copy_from_slice(&sum.to_ne_bytes());
        bytes
    }

    /// Port of the peer and port of the stack, where a line of UDP does not say.
    fn datagram_ports(&self) -> (u16, u16) {
        let socket = self.files.sockets().filter(|socket| !socket.stream).last();
        let local = socket.and_then(|socket| self.world.stack.local_address(socket.id).ok());
        let peer = socket.and_then(|socket| self.world.stack.peer_address(socket.id).ok());
        let connect = self.addresses.connect_port;
        (
            peer.map_or(connect, |peer| peer.port()),
            local.map_or(self.addresses.bind_port, |local| local.port()),
        )
    }

    fn inbound_icmp(
        &mut self,
        kind: &str,
        code: Option<&str>,
        mtu: Option<u32>,
        quoted: Option<&Body>,
    ) -> Result<(u8, Vec<u8>), Stop> {
        let six = self.addresses.local.is_ipv6();
        let message = icmp::message(six, kind, code, mtu).map_err(Stop::Skip)?;
        let mut bytes = vec![message.kind, message.code, 0, 0];
        bytes.extend(message.rest);
        if let Some(body) = quoted {
            let mut quote = self.quotation(body)?;
            quote.truncate(QUOTED_MAX[usize::from(six)]);
            bytes.extend(quote);
        }
        let protocol = if six { ICMPV6 } else { ICMP };
        let sum = wire::sum(self.addresses.remote, self.addresses.local, protocol, &bytes);
        bytes[2..4].copy_from_slice(&sum.to_ne_bytes());
        Ok((protocol, bytes))
    }

    /// A packet of the stack's as somebody on its way quotes it.
    fn quotation(&mut self, body: &Body) -> Result<Vec<u8>, Stop> {
        let (local, remote) = (self.addresses.local, self.addresses.remote);
        let (protocol, bytes) = match body {
            Body::Tcp(segment) => {
                let flow = self.flows.current();
                let ports = flow.map_or((0, 0), |flow| (flow.local, flow.remote));
                let (from, to) = segment.ports.unwrap_or(ports);
                // The tool takes it for one without SYN, whatever it was.
                let offset = if segment.absolute_seq { 0 } else { flow.map_or(0, |flow| flow.offset(0)) };
                let seq = segment.seq.wrapping_add(offset);
                let mut header = TcpHeader::new(from, to, seq, segment.window.unwrap_or(0));
                header.acknowledgment_number = segment.ack.unwrap_or(0);
                let mut bytes = header.to_bytes().to_vec();
                bytes[13] = wire::flags(&segment.flags).unwrap_or(0);
                bytes.resize(bytes.len() + segment.len as usize, 0);
                (TCP, bytes)
            }
            Body::Udp { ports, len } => {
                let (peer, own) = self.datagram_ports();
                let (from, to) = ports.unwrap_or((own, peer));
                let mut bytes = Vec::new();
                for number in [from, to, *len as u16 + 8, 0] {
                    bytes.extend(number.to_be_bytes());
                }
                bytes.resize(bytes.len() + *len as usize, 0);
                (UDP, bytes)
            }
            Body::Icmp { .. } => return Err(Stop::Skip("ICMP about ICMP".into())),
        };
        with_ip(&Header::default(), local, remote, protocol, &bytes).map_err(Stop::Skip)
    }
}

/// `body` behind an IP header.
fn with_ip(
    fields: &Header,
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    body: &[u8],
) -> Result<Vec<u8>, String> {
    let ecn = match fields.ecn.as_deref() {
        None | Some("noecn") => 0,
        Some("ect1") => 1,
        Some("ect0" | "ect01") => 2,
        Some("ce") => 3,
        Some(other) => return Err(format!("ECN {other}")),
    };
    let class = fields.traffic_class.unwrap_or(0) | ecn;
    let hops = fields.hop_limit.unwrap_or(HOPS);
    let mut bytes = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let length = body.len() as u16;
            let header =
                Ipv4Header::new(length, hops, IpNumber(protocol), source.octets(), destination.octets());
            let mut header = header.map_err(|error| error.to_string())?;
            header.dscp = IpDscp::try_new(class >> 2).unwrap_or_default();
            header.ecn = IpEcn::try_new(class & 3).unwrap_or_default();
            header.header_checksum = header.calc_header_checksum();
            header.to_bytes().to_vec()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => Ipv6Header {
            traffic_class: class,
            flow_label: Ipv6FlowLabel::try_new(fields.flow_label.unwrap_or(0)).unwrap_or_default(),
            payload_length: body.len() as u16,
            next_header: IpNumber(protocol),
            hop_limit: hops,
            source: source.octets(),
            destination: destination.octets(),
        }
        .to_bytes()
        .to_vec(),
        _ => return Err("addresses of two families".into()),
    };
    bytes.extend_from_slice(body);
    Ok(bytes)
}
