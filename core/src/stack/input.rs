//! From a frame to the connection or listener that it is for.

use super::demux::FourTuple;
use super::publish::take_read;
use super::queue_share::{QueueShare, Receiving};
use super::route::{Way, endpoint};
use super::table::{Flow, Kind, Stage};
use super::{Domain, Stack};
use crate::buffer::SocketId;
use crate::counters::Drop;
use crate::error::EndReason;
use crate::ip::{self, Fault, Look, Packet, Refused};
use crate::link::{Frame, ReceivedChecksum, Transmit};
use crate::tcp::{self, Context, Segment, SeqNum};
use crate::time::Instant;
use crate::wire::tcp::Flags;
use crate::wire::{Codepoint, protocol};
use bytes::{Buf, Bytes};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// Protocol numbers (IANA).
const ICMP: u8 = 1;
const TCP: u8 = 6;
const ICMPV6: u8 = 58;

/// Who takes a SYN.
#[derive(Clone, Copy, Debug)]
enum Taker {
    Listener(SocketId),
    Interceptor(SocketId),
}

/// Replies of the stack itself that may wait for a link that takes none; more are dropped.
const REPLIES_MAX: usize = 1024;

impl Stack {
    /// Takes a frame that came by `way`.
    pub(super) fn on_frame(&mut self, now: Instant, frame: Frame, way: Way) {
        let look = match way {
            Way::Link => ip::look(&frame),
            Way::Loopback => ip::look_looped(&frame),
        };
        let length = frame.bytes.len();
        let outcome = match look {
            Ok(Look::Whole(packet, at)) => {
                let names = (packet.source, packet.destination);
                let admitted = self.admit_any(names, way);
                admitted.and_then(|()| self.on_whole(now, packet, at, frame.bytes))
            }
            Ok(Look::Part(fragment)) => {
                let admitted = self.admit_any((fragment.source(), fragment.destination()), way);
                admitted.and_then(|()| self.on_fragment(now, fragment))
            }
            Err(Refused { reason, fault }) => {
                if let Some(fault) = fault {
                    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.8
                    //# Wherever practical, hosts MUST return ICMP error datagrams on detection of an error, except in those cases where returning an ICMP error message is specifically prohibited. (1122:3.3.8-1)
                    self.tell(now, &frame.bytes, fault);
                }
                Err(reason)
            }
        };
        if let Err(reason) = outcome {
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.1
            //# and SHOULD record the event in a statistics counter. (1122:3.1-7)
            self.drop_packet(now, length, reason);
        }
    }

    /// Takes a packet whose payload lies at `at` in `bytes`.
    fn on_whole(
        &mut self,
        now: Instant,
        mut packet: Packet,
        at: Range<usize>,
        bytes: Bytes,
    ) -> Result<(), Drop> {
        // One of several workers first asks whose the packet is.
        if packet.protocol != TCP || self.seat.is_some() {
            packet.payload = bytes.slice(at);
            return self.on_packet(now, packet, &bytes);
        }
        packet.payload = bytes;
        packet.payload.truncate(at.end);
        packet.payload.advance(at.start.min(packet.payload.len()));
        self.on_tcp(now, packet)
    }

    /// Whether the packet's addresses make sense here.
    pub(super) fn admit(&self, source: IpAddr, destination: IpAddr, way: Way) -> Result<(), Drop> {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.3
        //# An incoming SYN with an invalid source address MUST be ignored either by TCP or by the IP layer [(MUST-63)]
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
        //# A host MUST silently discard an incoming datagram containing an IP source address that is invalid by the rules of this section. (1122:3.2.1.3-11)
        if self.route.is_group(source) || source.is_unspecified() {
            return Err(Drop::IpSource);
        }
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.1
        //# The host software MUST NOT automatically move into gateway mode if the host has more than one interface (1122:3.1-5)
        let ours = match way {
            Way::Loopback => self.route.owns(destination),
            Way::Link => self.route.is_configured(destination),
        };
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.3
        //# A TCP implementation MUST silently discard an incoming SYN segment that is addressed to a broadcast or multicast address [(MUST-57)].
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
        //# A host MUST silently discard an incoming datagram that is not destined for the host. (1122:3.2.1.3-10)
        if !ours {
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.6
            //# A host MUST recognize any of these forms in the destination address of an incoming datagram. (1122:3.3.6-1)
            return Err(if self.route.is_group(destination) { Drop::IpGroup } else { Drop::IpNotOurs });
        }
        if way == Way::Link && self.route.owns(source) {
            return Err(Drop::IpLand);
        }
        Ok(())
    }

    /// Takes a whole packet; `bytes` is what of it an ICMP error would quote.
    pub(super) fn on_packet(&mut self, now: Instant, packet: Packet, bytes: &Bytes) -> Result<(), Drop> {
        if let Some(worker) = self.keeper(&packet) {
            self.hand_packet(worker, packet, bytes);
            return Ok(());
        }
        if packet.protocol != TCP && !self.route.owns(packet.destination) {
            return self.on_foreign(now, &packet, bytes);
        }
        match (packet.protocol, Domain::of(packet.destination)) {
            (TCP, _) => self.on_tcp(now, packet),
            (protocol::UDP, _) => self.on_udp(now, &packet, bytes),
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.1
            //# The Internet layer of host software MUST implement both IP and ICMP. (1122:3.1-1)
            (ICMP, Domain::V4) | (ICMPV6, Domain::V6) => self.on_icmp(now, &packet),
            _ => {
                //= https://www.rfc-editor.org/rfc/rfc8200#section-4
                //# the Next Header value in the current header is unrecognized by the node, it should discard the packet and send an ICMP Parameter Problem message to the source of the packet, with an ICMP Code value of 1 ("unrecognized Next Header type encountered") and the ICMP Pointer field containing the offset of the unrecognized value within the original packet. (8200:4-3)
                let pointer = ip::protocol_pointer(bytes);
                //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.1
                //# A host SHOULD generate Destination Unreachable messages with code: 2 (Protocol Unreachable), when the designated transport protocol is not supported (1122:3.2.2.1-1)
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
        let local = (packet.destination, header.destination);
        let remote = (packet.source, header.source);
        let mut payload = packet.payload;
        payload.advance(length.min(payload.len()));
        let ecn = Codepoint::of(packet.traffic_class);
        let segment = Segment { header, payload, gso_size: packet.meta.gso_size, ecn };
        let opens = segment.header.flags.0 & (Flags::SYN.0 | Flags::ACK.0 | Flags::RST.0) == Flags::SYN.0;
        let known = self.demux.addressee(&self.table, &FourTuple::of(local, remote));
        if let Some(id) = known
            && !opens
        {
            return self.on_known(now, id, segment);
        }
        let (local, remote) = (endpoint(local.0, local.1), endpoint(remote.0, remote.1));
        let names = (local, remote);
        let Some(id) = known else { return self.on_unknown(now, names, opens, segment) };
        let reopens = opens && !segment.header.flags.has(Flags::FIN);
        let taker = if reopens { self.taker(local, remote) } else { None };
        let least = taker.and_then(|_| self.reopens(id, &segment));
        match taker.zip(least) {
            Some((Taker::Listener(listener), least)) => {
                self.on_syn(now, listener, names, Some((id, least)), &segment)
            }
            Some((Taker::Interceptor(interceptor), _)) => self.pause(now, interceptor, names, &segment),
            None => self.on_known(now, id, segment),
        }
    }

    /// A segment of no connection: a listener takes a SYN, and the ACK of a SYN that it kept nothing of.
    fn on_unknown(
        &mut self,
        now: Instant,
        (local, remote): (SocketAddr, SocketAddr),
        opens: bool,
        segment: Segment,
    ) -> Result<(), Drop> {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.2
        //# An incoming RST should be ignored. ... An acceptable reset segment should be formed for any arriving ACK-bearing segment. (SM-2)
        let taker = self.taker(local, remote);
        if let Some(Taker::Interceptor(interceptor)) = taker
            && opens
        {
            return self.pause(now, interceptor, (local, remote), &segment);
        }
        if taker.is_none() && !self.route.owns(local.ip()) {
            return Err(Drop::IpNotOurs);
        }
        if let Some(Taker::Listener(listener)) = taker {
            if opens {
                return self.on_syn(now, listener, (local, remote), None, &segment);
            }
            if let Some(syn) = self.recalled(now, listener, (local, remote), &segment) {
                return self.on_cookie(now, listener, (local, remote), &syn, segment);
            }
            if self.may_come_again(now, listener) {
                return Err(Drop::TcpAcceptQueue);
            }
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.2
            //# This should not be reached. Drop the segment and return. (SM-2)
            if segment.header.flags.0 & (Flags::ACK.0 | Flags::RST.0) == 0 {
                return Err(Drop::TcpNoAck);
            }
        }
        self.refuse(local, remote, &segment);
        Err(Drop::TcpNoSocket)
    }

    /// Who takes a SYN from `remote` to `local`: a listener, or else an interceptor. For addresses that are none of the stack's listens who is bound to
    /// just them.
    fn taker(&self, local: SocketAddr, remote: SocketAddr) -> Option<Taker> {
        let listens = |id| self.still_listens(id);
        let listener = if self.route.owns(local.ip()) {
            self.demux.listener(local, remote, listens)
        } else {
            self.demux.listener_at(local.ip(), local, remote, listens)
        };
        let interceptor = || self.interceptors.find(local).map(Taker::Interceptor);
        listener.map(Taker::Listener).or_else(interceptor)
    }

    /// Whether a SYN may take the place of a connection in TIME-WAIT, and the least sequence number to begin with then.
    pub(super) fn reopens(&self, id: SocketId, segment: &Segment) -> Option<SeqNum> {
        let flow = self.table.get(id)?.flow()?;
        flow.connection.may_reopen(&segment.header, &self.config.tcp)
    }

    fn on_known(&mut self, now: Instant, id: SocketId, segment: Segment) -> Result<(), Drop> {
        let Some(flow) = self.table.flow_mut(id) else { return Err(Drop::TcpNoSocket) };
        if let Stage::HalfOpen(listener) = flow.stage
            && flow.connection.completed_by(&segment)
            && self.accept_full(listener)
        {
            if !self.config.tcp.abort_on_overflow {
                self.hold_back(listener, id, &segment);
            } else if let Some(flow) = self.table.flow_mut(id) {
                flow.connection.abort(now, EndReason::Limit);
                self.settle(id);
            }
            return Err(Drop::TcpAcceptQueue);
        }
        self.deliver(now, id, segment);
        Ok(())
    }

    /// Hands a segment to its connection.
    pub(super) fn deliver(&mut self, now: Instant, id: SocketId, segment: Segment) {
        let Some(entry) = self.table.get_mut(id) else { return };
        let Kind::Flow(flow) = &mut entry.kind else { return };
        // Once a turn: what is read meanwhile is for the next, and the lock is one that a reader wants as well.
        if flow.buffers.recv_held > 0 && !entry.dirty {
            take_read(flow, &mut entry.cell.lock());
            // That has made room.
            self.memory.count(flow);
        }
        let Flow { connection, buffers, .. } = &mut **flow;
        buffers.pressure = self.memory.pressure();
        let mut cx = Context {
            config: &self.config.tcp,
            counters: &mut self.counters,
            challenges: &mut self.challenges,
        };
        let before = connection.agreed_mss();
        let bytes = segment.payload.len();
        connection.on_segment(now, segment, buffers, &mut cx);
        if self.queue.is_bounded() {
            let way = self.route.way(flow.remote.ip());
            share_queue(now, &mut self.queue, flow, way, bytes);
        }
        if before.is_none() {
            self.fit_receive(id);
        }
        self.settle(id);
    }

    /// Answers a segment that is for nobody with RST, unless it was one.
    pub(super) fn refuse(&mut self, local: SocketAddr, remote: SocketAddr, segment: &Segment) {
        let Some(reset) = tcp::reset_for(&segment.header, segment.payload.len()) else { return };
        self.counters.tcp_resets_out = self.counters.tcp_resets_out.saturating_add(1);
        self.counters.tcp_segments_out = self.counters.tcp_segments_out.saturating_add(1);
        self.trace_answer(self.clock, &reset, "reset_reply");
        let ip = self.default_ip();
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.4.2
        //# If the datagram is sent in response to a received datagram, the source address for the response SHOULD be the specific-destination address of the request. (1122:3.3.4.2-1)
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
            Way::Loopback | Way::Link => {
                self.counters.replies_dropped = self.counters.replies_dropped.saturating_add(1);
            }
        }
    }
}

/// `bytes` have come for a connection, whose peer is reached by `way`: what that may be offered next, as far as the queue of the device is concerned.
fn share_queue(now: Instant, queue: &mut QueueShare, flow: &mut Flow, way: Way, bytes: usize) {
    let Flow { connection, buffers, recent, .. } = flow;
    buffers.recv_window_most = None;
    if way == Way::Loopback || connection.is_far() {
        return;
    }
    let receiving = Receiving {
        mss: connection.agreed_mss().unwrap_or(queue.segment()),
        bytes,
        window: connection.receive_window(),
        limit: buffers.recv_limit,
        open: !connection.receive_ended(),
    };
    buffers.recv_window_most = queue.take(now, recent, &receiving);
}
