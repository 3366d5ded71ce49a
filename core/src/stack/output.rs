//! From connections to packets: in turn, so many bytes each.

use super::lifecycle::headers;
use super::path::V6_MTU_MIN;
use super::route::Way;
use super::socket::ip::{Discovery, Settings};
use super::table::{Flow, Kind};
use super::{LinkState, Stack, crew};
use crate::buffer::SocketId;
use crate::error::EndReason;
use crate::ip::{self, Envelope};
use crate::link::segment::Cutter;
use crate::link::{Capabilities, SLICES_MAX, Transmit};
use crate::tcp::{Context, Limits, Outgoing, State};
use crate::time::Instant;
use crate::wire::protocol;
use crate::wire::tcp::{Flags, TcpHeader};
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};

/// Most bytes of an IP packet, and room for the largest headers in it: 40 of IPv6 and 60 of TCP.
const PACKET_MAX: usize = 65_535;
const HEADERS_MAX: usize = 100;

/// Segments that a super-frame holds where the stack cuts it itself.
const SOFTWARE_SEGMENTS: usize = 16;

/// Bytes that a connection has sent in super-frames, not fewer, when it is the next one's turn: a peer takes those that follow each other with all in its
/// caches that it keeps of the connection, and mostly with one look at it (docs/decisions/0008).
const TURN: usize = 128 << 10;

/// What loopback does for the stack: everything, since nothing is checked or cut.
pub(super) const LOOPBACK: Capabilities =
    Capabilities { mtu: u16::MAX, checksum: true, tso4: true, tso6: true, queue: None };

impl Stack {
    /// The next packet to send. Call until `None` after any input, control call or timeout.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        let mut transmit = Transmit::empty();
        self.make_transmit(now, &mut transmit).then_some(transmit)
    }

    /// The same, put into `out`, so that who sends many of them moves none; false: there is none.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
    //# if the TCP endpoint is processing a series of queued segments, it MUST process them all before sending any ACK segments (MUST-59).
    pub fn make_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        self.clock = self.clock.max(now);
        loop {
            while self.next_outgoing(out) {
                if self.link == LinkState::Up {
                    self.count_out(out);
                    return true;
                }
                self.counters.frames_out_failed = self.counters.frames_out_failed.saturating_add(1);
                self.trace_refused(now, out.len(), "frames_out_failed");
            }
            if self.take_loopback(now) {
                continue;
            }
            let Some(id) = self.pending.pop_front() else { return false };
            if self.poll_socket(now, id, out) {
                self.count_out(out);
                return true;
            }
        }
    }

    /// What has been made and not sent, in order.
    fn next_outgoing(&mut self, out: &mut Transmit) -> bool {
        if let Some(cutter) = &mut self.cutting {
            if cutter.cut(out) {
                return true;
            }
            self.cutting = None;
        }
        let Some(transmit) = self.outgoing.pop_front() else { return false };
        *out = transmit;
        true
    }

    fn count_out(&mut self, transmit: &Transmit) {
        self.counters.frames_out = self.counters.frames_out.saturating_add(1);
        self.counters.bytes_out = self.counters.bytes_out.saturating_add(transmit.len() as u64);
    }

    /// Takes one packet that the stack sent to itself, while this turn's budget lasts.
    fn take_loopback(&mut self, now: Instant) -> bool {
        if self.loopback_budget == 0 {
            return false;
        }
        let Some(frame) = self.loopback.pop_front() else { return false };
        self.loopback_budget -= 1;
        self.on_frame(now, frame, Way::Loopback);
        true
    }

    /// Asks one connection for one segment and queues it again, behind the others where its turn is over, or lets it rest. What it has is in `out` if that is
    /// true: it can go as it is, without a way through the queue.
    fn poll_socket(&mut self, now: Instant, id: SocketId, out: &mut Transmit) -> bool {
        let Some(entry) = self.table.get_mut(id) else { return false };
        let Kind::Flow(flow) = &mut entry.kind else {
            match entry.kind {
                Kind::Datagram(_) => self.poll_datagrams(now, id),
                _ => entry.pending = false,
            }
            return false;
        };
        entry.pending = false;
        let (local, remote, mut ip) = (flow.local, flow.remote, entry.settings.ip);
        if let Some(news) = flow.connection.take_path_news() {
            self.on_path_news(now, remote.ip(), news);
        }
        let way = self.route.way(remote.ip());
        //= https://www.rfc-editor.org/rfc/rfc8201#section-5.2
        //# The packetization layers must be notified about decreases in the PMTU. Any packetization layer instance (for example, a TCP connection) that is actively using the path must be notified if the PMTU estimate is decreased. (8201:5.2-5)
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.3
        //# A host MUST implement a mechanism to allow the transport layer to learn MMS_S, the maximum transport-layer message size that may be sent for a given {source, destination, TOS} triplet (1122:3.3.3-2)
        let (path, search) = self.stream_path(now, remote.ip(), way, &ip);
        //= https://www.rfc-editor.org/rfc/rfc8201#section-4
        //# After receiving a Packet Too Big message, a node must attempt to avoid eliciting more such messages in the near future. The node must reduce the size of the packets it is sending along the path. (8201:4-5)
        let limits = Limits { search, ..limits(&self.capabilities, way, remote.ip(), path) };
        let Some(entry) = self.table.get_mut(id) else { return false };
        let Kind::Flow(flow) = &mut entry.kind else { return false };
        let unread = flow.unread;
        let Flow { connection, buffers, .. } = &mut **flow;
        let mut cx = Context {
            config: &self.config.tcp,
            counters: &mut self.counters,
            challenges: &mut self.challenges,
        };
        let segment = connection.poll_transmit(now, buffers, &limits, &mut cx);
        connection.flush_trace(&mut self.events);
        if unread && segment.is_none() && connection.ended().is_none() {
            connection.abort(now, EndReason::Unread);
            self.settle(id);
            return false;
        }
        let Some(segment) = segment else {
            self.rest(id);
            return false;
        };
        //= https://www.rfc-editor.org/rfc/rfc8899#section-3
        //# In IPv4, a probe packet MUST be sent with the Don't Fragment (DF) bit set in the IP header and without network layer endpoint fragmentation. (8899:3-3)
        let stirred = connection.is_stirred() || unread && connection.ended().is_none();
        let super_frame = segment.gso_size > 0 && way == Way::Link;
        let cut = super_frame && !cuts(&self.capabilities, remote.ip());
        if let Some(news) = connection.take_path_news() {
            ip.v4.discovery = Discovery::Do;
            self.on_path_news(now, remote.ip(), news);
        }
        if stirred {
            let Some(entry) = self.table.get_mut(id) else { return false };
            entry.pending = true;
            self.queue_again(id, if super_frame && !cut { length(&segment.payload) } else { TURN });
        } else {
            self.turn = None;
            self.rest(id);
        }
        if !segment.payload.is_empty() || segment.flags.has(Flags::FIN) {
            // What is not sent yet has become less, which programs may look at and wait for.
            self.mark_dirty(id);
        }
        self.put(local, remote, segment, &ip, out);
        if cut {
            self.cutting = Cutter::new(out);
            if self.cutting.is_some() {
                return false;
            }
        }
        match way {
            Way::Loopback => self.loopback.push_back(ip::to_frame(out)),
            Way::Link if self.link == LinkState::Up && self.outgoing.is_empty() => return true,
            Way::Link => self.outgoing.push_back(std::mem::replace(out, Transmit::empty())),
        }
        false
    }

    /// A connection that has used up `bytes` of its turn and may have more goes on while something is left of it.
    fn queue_again(&mut self, id: SocketId, bytes: usize) {
        let left = self.turn.filter(|(whose, _)| *whose == id).map_or(TURN, |(_, left)| left);
        let left = left.saturating_sub(bytes);
        self.turn = (left > 0).then_some((id, left));
        if left > 0 { self.pending.push_front(id) } else { self.pending.push_back(id) }
    }

    /// What the first link on the way to `remote` carries, bytes.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.3
    //# TCP implementations SHOULD use the smallest effective MTU of the interface to calculate the value to advertise in the MSS Option (SHLD-6).
    pub(super) fn link_mtu(&self, remote: IpAddr) -> u16 {
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.3
        //# EMTU_S must be less than or equal to the MTU of the network interface corresponding to the source address of the datagram. (1122:3.3.3-3)
        let link = self.capabilities.mtu.min(self.config.mtu);
        //= https://www.rfc-editor.org/rfc/rfc1191#section-6.2
        //# The PMTU fields in these route entries should be initialized to be the MTU of the associated first-hop data link, and must never be changed by the PMTU Discovery process. (1191:6.2-2)
        self.route.mtu(remote).map_or(link, |mtu| mtu.min(link))
    }

    /// What the path to `remote` carries for a socket with these options, bytes.
    pub(super) fn path_mtu(&self, now: Instant, remote: IpAddr, ip: &Settings) -> u16 {
        if self.route.way(remote) == Way::Loopback {
            return LOOPBACK.mtu;
        }
        let link = self.link_mtu(remote);
        match (remote, ip.v4.discovery, ip.v6.discovery) {
            //= https://www.rfc-editor.org/rfc/rfc4821#section-4
            //# All implementations MUST include mechanisms for applications to selectively transmit packets larger than the current effective Path MTU, but smaller than the first-hop link MTU. (4821:4-9)
            (IpAddr::V4(_), Discovery::Dont | Discovery::Probe, _) | (IpAddr::V6(_), _, Discovery::Probe) => {
                link
            }
            //= https://www.rfc-editor.org/rfc/rfc8201#section-1
            //# Nodes not implementing Path MTU Discovery must use the IPv6 minimum link MTU defined in [RFC8200] as the maximum packet size. (8201:1-2)
            (IpAddr::V6(_), _, Discovery::Dont) => V6_MTU_MIN,
            //= https://www.rfc-editor.org/rfc/rfc8201#section-1
            //# IPv6 nodes should implement Path MTU Discovery in order to discover and take advantage of paths with PMTU greater than the IPv6 minimum link MTU (8201:1-1)
            //= https://www.rfc-editor.org/rfc/rfc8201#section-3
            //# Path MTU Discovery must be performed even in cases where a node "thinks" a destination is attached to the same link as itself (8201:3-1)
            _ => self.paths.mtu(now, remote).map_or(link, |mtu| mtu.min(link)),
        }
    }

    /// How `count` packets of `protocol` in a row go out, of a socket with these options.
    pub(super) fn envelope(
        &mut self,
        (local, remote): (SocketAddr, SocketAddr),
        protocol: u8,
        ip: &Settings,
        count: usize,
    ) -> Envelope {
        let label = self.config.ip.flow_label && remote.is_ipv6();
        let family = if remote.is_ipv4() { ip.v4 } else { ip.v6 };
        //= https://www.rfc-editor.org/rfc/rfc6864#section-4.2
        //# The IPv4 ID of non-atomic datagrams MUST NOT be reused when sending a copy of an earlier non-atomic datagram. (6864:4.2-1)
        let identification = self.may_be_cut(remote.ip(), family.discovery).then(|| {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            let path = (local.ip(), remote.ip());
            crew::identify(self.seat.as_ref(), &mut self.flows, path, protocol, count) as u16
        });
        Envelope {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.1
            //# TCP implementations MUST use the same local address that was used in those previous segments (MUST-45).
            source: local.ip(),
            destination: remote.ip(),
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2
            //# The TTL value used to send TCP segments MUST be configurable (MUST-49).
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.4
            //# The transport layer MUST either have mechanisms to set these interface parameters, or provide a path to pass them through from an application, or both. (1122:3.4-2)
            hop_limit: family.hop_limit,
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.9
            //# The application layer MUST be able to specify the Differentiated Services field for segments that are sent on a connection (MUST-48).
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.9
            //# TCP implementations SHOULD pass the current Differentiated Services field value without change to the IP layer, when it sends segments on the connection (SHLD-22).
            traffic_class: family.traffic_class,
            //= https://www.rfc-editor.org/rfc/rfc6437#section-1
            //# IPv6 source nodes SHOULD be able to label known flows (e.g., TCP connections and application streams), even if the node itself does not require any flow-specific treatment. (6437:1-1)
            flow_label: if label { self.flows.label(local, remote, protocol) } else { 0 },
            identification,
        }
    }

    /// Whether routers may cut packets to `remote` into fragments: where nobody finds out what the path carries, and where a router told of less than
    /// is believed (RFC 1191 section 3 lets nobody make packets of 68 bytes), as in Linux.
    fn may_be_cut(&self, remote: IpAddr, discovery: Discovery) -> bool {
        let narrow = || self.paths.told_narrow(self.clock, remote, self.config.ip.path_mtu_min);
        remote.is_ipv4()
            && match discovery {
                Discovery::Dont => true,
                Discovery::Want => narrow(),
                Discovery::Do | Discovery::Probe => false,
            }
    }

    /// Puts the headers in front of a segment of a socket with these options.
    pub(super) fn wrap(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        segment: Outgoing,
        ip: &Settings,
    ) -> Transmit {
        let mut transmit = Transmit::empty();
        self.put(local, remote, segment, ip, &mut transmit);
        transmit
    }

    /// The same, put into `out`.
    fn put(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        segment: Outgoing,
        ip: &Settings,
        out: &mut Transmit,
    ) {
        let Outgoing { seq, ack, flags, window, urgent, options, payload, gso_size, ecn } = segment;
        let header = TcpHeader {
            source: local.port(),
            destination: remote.port(),
            seq: seq.0,
            ack: ack.map_or(0, |ack| ack.0),
            flags: if ack.is_some() { flags.with(Flags::ACK) } else { flags },
            window,
            urgent,
            options,
        };
        let count = match usize::from(gso_size) {
            0 => 1,
            size => length(&payload).div_ceil(size),
        };
        let mut envelope = self.envelope((local, remote), protocol::TCP, ip, count);
        // These two bits are no program's.
        envelope.traffic_class = ecn.on(envelope.traffic_class);
        let capabilities = match self.route.way(remote.ip()) {
            Way::Link => &self.capabilities,
            Way::Loopback => &LOOPBACK,
        };
        ip::put_tcp(&envelope, &header, payload, gso_size, capabilities, out);
    }

    /// A connection has nothing to send now: its next deadline is armed, and it goes away if it is over.
    fn rest(&mut self, id: SocketId) {
        let Some(entry) = self.table.get_mut(id) else { return };
        let Kind::Flow(flow) = &entry.kind else { return };
        if flow.connection.state() == State::Closed {
            self.reap(id);
            return;
        }
        if let Some(at) = flow.connection.poll_timeout()
            && entry.armed.is_none_or(|armed| armed > at)
        {
            self.deadlines.arm(&mut self.table, id, at);
        }
        self.forget_excess(id);
    }

    /// Drops a connection in TIME-WAIT that nobody holds when there are far more sockets than the stack is made for.
    fn forget_excess(&mut self, id: SocketId) {
        if self.table.len() <= self.config.max_sockets.saturating_mul(2) {
            return;
        }
        let Some(entry) = self.table.get(id) else { return };
        let Kind::Flow(flow) = &entry.kind else { return };
        if entry.orphan && flow.connection.state() == State::TimeWait {
            self.reap(id);
        }
    }
}

/// What output may make of this link and family.
fn limits(capabilities: &Capabilities, way: Way, remote: IpAddr, path: u16) -> Limits {
    let most = PACKET_MAX - HEADERS_MAX;
    let whole = way == Way::Loopback || cuts(capabilities, remote);
    let super_frame =
        if whole { most } else { (usize::from(capabilities.mtu) * SOFTWARE_SEGMENTS).min(most) };
    //= https://www.rfc-editor.org/rfc/rfc8201#section-5.4
    //# A packetization layer (e.g., TCP) must use the PMTU for the path(s) in use by a connection; it should not send segments that would result in packets larger than the PMTU, except to probe during PMTU Discovery (8201:5.4-1)
    Limits { super_frame, slices: SLICES_MAX, mss: path.saturating_sub(headers(remote)), search: None }
}

/// Bytes of a payload.
fn length(payload: &[Bytes]) -> usize {
    payload.iter().map(Bytes::len).sum()
}

/// Whether the link cuts super-frames to this address.
const fn cuts(capabilities: &Capabilities, remote: IpAddr) -> bool {
    match remote {
        IpAddr::V4(_) => capabilities.tso4,
        IpAddr::V6(_) => capabilities.tso6,
    }
}
