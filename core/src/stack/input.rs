//! From a frame to the connection or listener that it is for.

use super::demux::FourTuple;
use super::listener::Listener;
use super::route::{Way, endpoint};
use super::table::{Flow, Kind, Stage};
use super::{Domain, Stack};
use crate::buffer::SocketId;
use crate::counters::Drop;
use crate::ip::{self, Arrival, Fault, Packet, Refused};
use crate::link::{Frame, ReceivedChecksum, Transmit};
use crate::tcp::{self, Buffers, Connection, Context, Segment, SeqNum};
use crate::time::Instant;
use crate::wire::tcp::Flags;
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};

/// Protocol numbers (IANA).
const ICMP: u8 = 1;
const TCP: u8 = 6;
const ICMPV6: u8 = 58;

/// Replies of the stack itself that may wait for a link that takes none; more are dropped.
const REPLIES_MAX: usize = 1024;

impl Stack {
    /// Takes a frame that came by `way`.
    pub(super) fn on_frame(&mut self, now: Instant, frame: &Frame, way: Way) {
        let arrival = match way {
            Way::Link => ip::arrival(frame),
            Way::Loopback => ip::ingress_looped(frame).map(Arrival::Whole).map_err(Refused::from),
        };
        let outcome = match arrival {
            Ok(Arrival::Whole(packet)) => {
                let admitted = self.admit(packet.source, packet.destination, way);
                admitted.and_then(|()| self.on_packet(now, packet, &frame.bytes))
            }
            Ok(Arrival::Part(fragment)) => {
                let admitted = self.admit(fragment.source(), fragment.destination(), way);
                admitted.and_then(|()| self.on_fragment(now, fragment))
            }
            Err(Refused { reason, fault }) => {
                if let Some(fault) = fault {
                    self.tell(now, &frame.bytes, fault);
                }
                Err(reason)
            }
        };
        if let Err(reason) = outcome {
            self.counters.drop(reason);
        }
    }

    /// Whether the packet's addresses make sense here.
    pub(super) fn admit(&self, source: IpAddr, destination: IpAddr, way: Way) -> Result<(), Drop> {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.3
        //# An incoming SYN with an invalid source address MUST be ignored either by TCP or by the IP layer [(MUST-63)]
        if self.route.is_group(source) || source.is_unspecified() {
            return Err(Drop::IpSource);
        }
        let ours = match way {
            Way::Loopback => self.route.owns(destination),
            Way::Link => self.route.is_configured(destination),
        };
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.3
        //# A TCP implementation MUST silently discard an incoming SYN segment that is addressed to a broadcast or multicast address [(MUST-57)].
        if !ours {
            return Err(if self.route.is_group(destination) { Drop::IpGroup } else { Drop::IpNotOurs });
        }
        if way == Way::Link && self.route.owns(source) {
            return Err(Drop::IpLand);
        }
        Ok(())
    }

    /// Takes a whole packet; `bytes` is what of it an ICMP error would quote.
    pub(super) fn on_packet(&mut self, now: Instant, packet: Packet, bytes: &Bytes) -> Result<(), Drop> {
        match (packet.protocol, Domain::of(packet.destination)) {
            (TCP, _) => self.on_tcp(now, packet),
            (ICMP, Domain::V4) | (ICMPV6, Domain::V6) => self.on_icmp(now, &packet),
            _ => {
                let pointer = ip::protocol_pointer(bytes);
                self.tell(now, bytes, Fault::ProtocolUnreachable { pointer });
                Err(Drop::IpProtocol)
            }
        }
    }

    fn on_tcp(&mut self, now: Instant, packet: Packet) -> Result<(), Drop> {
        let verify = packet.meta.checksum == ReceivedChecksum::Unverified;
        let (header, length) =
            crate::wire::tcp::parse(packet.source, packet.destination, &packet.payload, verify)?;
        self.counters.tcp_segments_in = self.counters.tcp_segments_in.saturating_add(1);
        let local = endpoint(packet.destination, header.destination);
        let remote = endpoint(packet.source, header.source);
        let payload = packet.payload.slice(length.min(packet.payload.len())..);
        let segment = Segment { header, payload, gso_size: packet.meta.gso_size };
        self.on_segment(now, local, remote, segment)
    }

    fn on_segment(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        segment: Segment,
    ) -> Result<(), Drop> {
        let known = self.demux.connection(&FourTuple::new(local, remote));
        let opens = segment.header.flags.0 & (Flags::SYN.0 | Flags::ACK.0 | Flags::RST.0) == Flags::SYN.0;
        let listener = if opens { self.demux.listener(local, remote) } else { None };
        if let Some(id) = known {
            let after = listener.and_then(|_| self.reopens(id, &segment));
            let Some((listener, after)) = listener.zip(after) else {
                return self.on_known(now, id, segment);
            };
            self.reap(id);
            return self.on_syn(now, listener, (local, remote), Some(after), &segment);
        }
        if let Some(listener) = listener {
            return self.on_syn(now, listener, (local, remote), None, &segment);
        }
        self.refuse(local, remote, &segment);
        Err(Drop::TcpNoSocket)
    }

    /// Whether a SYN may take the place of a connection in TIME-WAIT, and the least sequence number to begin with then.
    fn reopens(&self, id: SocketId, segment: &Segment) -> Option<SeqNum> {
        match &self.table.get(id)?.kind {
            Kind::Flow(flow) => flow.connection.may_reopen(&segment.header),
            Kind::Idle | Kind::Listener(_) | Kind::Over(_) => None,
        }
    }

    fn on_known(&mut self, now: Instant, id: SocketId, segment: Segment) -> Result<(), Drop> {
        let Some(flow) = self.table.flow_mut(id) else { return Err(Drop::TcpNoSocket) };
        let half_open = match flow.stage {
            Stage::HalfOpen(listener) => Some(listener),
            Stage::Open => None,
        };
        let flags = segment.header.flags;
        let completes = flags.has(Flags::ACK) && !flags.has(Flags::RST);
        if let Some(listener) = half_open.filter(|_| completes)
            && self.accept_full(listener)
        {
            self.hold_back(listener, id, &segment);
            return Err(Drop::TcpAcceptQueue);
        }
        self.deliver(now, id, segment);
        Ok(())
    }

    /// Hands a segment to its connection.
    pub(super) fn deliver(&mut self, now: Instant, id: SocketId, segment: Segment) {
        let Some(Kind::Flow(flow)) = self.table.get_mut(id).map(|entry| &mut entry.kind) else { return };
        let Flow { connection, buffers, .. } = &mut **flow;
        let mut cx = Context { config: &self.config.tcp, counters: &mut self.counters };
        connection.on_segment(now, segment, buffers, &mut cx);
        self.settle(id);
    }

    /// A SYN for a listener.
    fn on_syn(
        &mut self,
        now: Instant,
        listener: SocketId,
        (local, remote): (SocketAddr, SocketAddr),
        after: Option<SeqNum>,
        syn: &Segment,
    ) -> Result<(), Drop> {
        if syn.header.flags.has(Flags::FIN) {
            return Err(Drop::TcpFlags);
        }
        if !self.route.leads_to(remote.ip()) {
            return Err(Drop::IpNoRoute);
        }
        if self.accept_full(listener) {
            return Err(Drop::TcpAcceptQueue);
        }
        let extra = self.config.tcp.syn_queue_extra;
        let full = self.table.listener_mut(listener).is_none_or(|queues| queues.syn_full(extra));
        if full {
            return Err(Drop::TcpSynQueue);
        }
        let Some(parent) = self.table.get(listener) else { return Err(Drop::TcpNoSocket) };
        let (domain, settings) = (parent.domain, parent.settings.clone());
        let mut setup = self.setup(now, local, remote, &settings);
        setup.iss = after.map_or(setup.iss, |least| setup.iss.latest(least));
        let mut cx = Context { config: &self.config.tcp, counters: &mut self.counters };
        let connection = Connection::accept(now, setup, settings.receive_limit(), syn, &mut cx);
        let buffers = Buffers { recv_limit: settings.receive_limit(), ..Buffers::default() };
        let flow = Flow {
            connection,
            buffers,
            local,
            remote,
            stage: Stage::HalfOpen(listener),
            live: false,
            held: None,
        };
        let id = self.add_accepted(domain, flow, settings).ok_or(Drop::Sockets)?;
        if let Some(Listener { half_open, .. }) = self.table.listener_mut(listener) {
            half_open.insert(id);
        }
        self.settle(id);
        Ok(())
    }

    /// Whether the accept queue of a listener is full, looking into its cell only when it seems so.
    fn accept_full(&mut self, id: SocketId) -> bool {
        let Some(entry) = self.table.get_mut(id) else { return false };
        let Kind::Listener(listener) = &mut entry.kind else { return false };
        if !listener.accept_full() {
            return false;
        }
        let mut state = entry.cell.lock();
        listener.published = state.accept.len();
        let full = listener.accept_full();
        state.consumed_edge = usize::from(full);
        full
    }

    /// Keeps a final ACK without data until the accept queue has room; the peer sends data again by itself.
    fn hold_back(&mut self, listener: SocketId, id: SocketId, segment: &Segment) {
        let flags = segment.header.flags;
        if !segment.payload.is_empty() || flags.has(Flags::FIN) || flags.has(Flags::SYN) {
            return;
        }
        let Some(flow) = self.table.flow_mut(id) else { return };
        if flow.held.replace(segment.header.clone()).is_some() {
            return;
        }
        if let Some(queues) = self.table.listener_mut(listener) {
            queues.held.push_back(id);
        }
    }

    /// Lets half-open connections complete that found the accept queue full.
    pub(super) fn release_held(&mut self, now: Instant, listener: SocketId) {
        while !self.accept_full(listener) {
            let Some(queues) = self.table.listener_mut(listener) else { return };
            let Some(id) = queues.held.pop_front() else { return };
            let Some(flow) = self.table.flow_mut(id) else { continue };
            let Some(header) = flow.held.take() else { continue };
            self.deliver(now, id, Segment { header, payload: bytes::Bytes::new(), gso_size: 0 });
        }
    }

    /// Answers a segment that is for nobody with RST, unless it was one.
    fn refuse(&mut self, local: SocketAddr, remote: SocketAddr, segment: &Segment) {
        let Some(reset) = tcp::reset_for(&segment.header, segment.payload.len()) else { return };
        self.counters.tcp_resets_out = self.counters.tcp_resets_out.saturating_add(1);
        self.counters.tcp_segments_out = self.counters.tcp_segments_out.saturating_add(1);
        let ip = self.default_ip();
        let transmit = self.wrap(local, remote, reset, &ip);
        self.reply(remote.ip(), transmit);
    }

    pub(super) fn reply(&mut self, destination: IpAddr, reply: Transmit) {
        if !self.route.leads_to(destination) {
            self.counters.ip_no_route = self.counters.ip_no_route.saturating_add(1);
            return;
        }
        match self.route.way(destination) {
            Way::Loopback if self.loopback.len() < REPLIES_MAX => {
                self.loopback.push_back(ip::to_frame(&reply));
            }
            Way::Link if self.outgoing.len() < REPLIES_MAX => self.outgoing.push_back(reply),
            Way::Loopback | Way::Link => {}
        }
    }
}
