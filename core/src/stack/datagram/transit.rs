//! Datagrams between packets and cells, and what ICMP says of them.

use super::{Stack, wants_whole};
use crate::buffer::{Datagram, Interest, Life, SocketId};
use crate::counters::Drop;
use crate::error::Errno;
use crate::ip::{self, Cause, Fault, Packet, Report};
use crate::link::ReceivedChecksum;
use crate::stack::crew;
use crate::stack::output::LOOPBACK;
use crate::stack::route::{Way, endpoint};
use crate::stack::socket::ip::{Discovery, Settings};
use crate::stack::table::{Entry, Kind};
use crate::stack::workers::Letter;
use crate::time::Instant;
use crate::udp::{self, Received};
use crate::wire::protocol;
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Bytes of IP and UDP headers.
const HEADERS_V4: usize = 28;
const HEADERS_V6: usize = 48;

impl Stack {
    /// A packet of UDP; `bytes` is what of it an ICMP error would quote.
    pub(in crate::stack) fn on_udp(
        &mut self,
        now: Instant,
        packet: &Packet,
        bytes: &Bytes,
    ) -> Result<(), Drop> {
        let verify = packet.meta.checksum == ReceivedChecksum::Unverified;
        let Packet { source, destination, payload, .. } = packet;
        let Received { local, remote, payload } =
            udp::receive(*source, *destination, payload, verify, &mut self.counters)?;
        let (local, remote) = (endpoint(local.ip(), local.port()), endpoint(remote.ip(), remote.port()));
        let Some(id) = self.receiver(local, remote) else {
            self.refuse_datagram(now, local, remote, bytes);
            return Err(Drop::UdpNoSocket);
        };
        // A copy, so that a datagram keeps no page of the link.
        let payload = Bytes::copy_from_slice(&payload);
        let entry = self.table.get(id).ok_or(Drop::UdpNoSocket)?;
        let mut state = entry.cell.lock();
        let closed = state.life == Life::Closed;
        let Some(datagrams) = state.datagrams.as_mut().filter(|_| !closed) else {
            return Err(Drop::UdpNoSocket);
        };
        let limit = datagrams.receive_limit;
        let (peer, local) = (entry.shown(remote), entry.shown(local).ip());
        //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.5
        //# When a UDP datagram is received, its specific-destination address MUST be passed up to the application layer. (1122:4.1.3.5-1)
        let (hops, class) = (Some(packet.hop_limit), Some(packet.traffic_class));
        if !datagrams.inbox.push(Datagram { peer, local, hops, class, payload }, limit) {
            //= https://www.rfc-editor.org/rfc/rfc4443#section-3.1
            //# An ICMPv6 message MUST NOT be generated if a packet is dropped due to congestion. (4443:3.1-3)
            return Err(Drop::UdpQueue);
        }
        state.take_wakers(Interest::Read, &mut self.woken);
        self.counters.udp_datagrams_in = self.counters.udp_datagrams_in.saturating_add(1);
        Ok(())
    }

    /// The socket that takes a datagram from `remote` to `local`: those that their programs have closed, which the stack has not heard of, are closed on the way.
    /// Where the next one is another worker's, that has it from the next datagram on.
    fn receiver(&mut self, local: SocketAddr, remote: SocketAddr) -> Option<SocketId> {
        loop {
            let id = self.find_datagram_socket(local, remote)?;
            let is_closed = |entry: &Entry| !entry.orphan && entry.cell.lock().life == Life::Closed;
            if !self.table.get(id).is_some_and(is_closed) {
                return Some(id);
            }
            self.close_datagram(id);
        }
    }

    /// The socket for a datagram from `remote` to `local`, whichever worker has it. An address that is none of the stack's is that of who stands just there.
    pub(in crate::stack) fn find_datagram_socket(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<SocketId> {
        let foreign = self.is_foreign(local.ip());
        self.commons.receivers.read(|receivers| {
            if foreign { receivers.find_at(local, remote) } else { receivers.find(local, remote) }
        })
    }

    /// Tells the source of a datagram that nobody has its port.
    //= https://www.rfc-editor.org/rfc/rfc4443#section-3.1
    //# A destination node SHOULD originate a Destination Unreachable message with Code 4 in response to a packet for which the transport protocol (e.g., UDP) has no listener, if that transport protocol has no alternative means to inform the sender. (4443:3.1-5)
    //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.1
    //# If a datagram arrives addressed to a UDP port for which there is no pending LISTEN call, UDP SHOULD send an ICMP Port Unreachable message. (1122:4.1.3.1-1)
    fn refuse_datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, packet: &Bytes) {
        if !self.route.owns(remote.ip()) {
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.4
            //# The transport layer MUST be able to send certain ICMP messages (1122:3.4-5)
            return self.tell(now, packet, Fault::PortUnreachable);
        }
        // No message has to say so: the source is here.
        if let Some(id) = self.find_datagram_socket(remote, local)
            && !self.post_to_worker_of(id, || Letter::Refused(id, local))
        {
            self.tell_datagram(id, local, Errno::ECONNREFUSED);
        }
    }

    /// What an ICMP error tells about a datagram.
    pub(in crate::stack) fn on_datagram_report(&mut self, now: Instant, report: &Report) -> Result<(), Drop> {
        let id = self.find_datagram_socket(report.local, report.remote).ok_or(Drop::IcmpNoSocket)?;
        let settings = self.table.get(id).ok_or(Drop::IcmpNoSocket)?.settings.ip;
        let told = match report.cause {
            Cause::Unreachable(errno) => udp::told(report.local.is_ipv6(), report.kind, report.code, errno),
            Cause::TooBig { .. } if report.remote.is_ipv4() && settings.v4.discovery == Discovery::Dont => {
                return Err(Drop::IcmpMtu);
            }
            Cause::TooBig { mtu } => {
                let link = self.link_mtu(report.remote.ip());
                let mtu = ip::believed(report, mtu, link, self.config.ip.path_mtu_min)?;
                //= https://www.rfc-editor.org/rfc/rfc8201#section-5.2
                //# even if the Packet Too Big message contains an Original Packet Header that refers to a UDP packet, the TCP layer must be notified if any of its connections use the given path. (8201:5.2-6)
                if self.paths.learn(now, report.remote.ip(), mtu) {
                    self.counters.path_mtus = self.counters.path_mtus.saturating_add(1);
                }
                Some(Errno::EMSGSIZE)
            }
        };
        self.counters.icmp_errors_in = self.counters.icmp_errors_in.saturating_add(1);
        if let Some(errno) = told {
            self.tell_datagram(id, report.remote, errno);
        }
        Ok(())
    }

    /// Leaves an error for the program, if the socket is connected to whom it is about: others could not tell which of their datagrams it means.
    pub(in crate::stack) fn tell_datagram(&mut self, id: SocketId, about: SocketAddr, errno: Errno) {
        let Some(Entry { cell, kind: Kind::Datagram(socket), .. }) = self.table.get(id) else { return };
        let peer = socket.association.peer();
        if peer.map(|peer| (peer.ip(), peer.port())) != Some((about.ip(), about.port())) {
            return;
        }
        let mut state = cell.lock();
        state.error = Some(errno);
        state.take_wakers(Interest::Read, &mut self.woken);
        state.take_wakers(Interest::Write, &mut self.woken);
    }

    /// Takes one datagram out of a cell and queues the socket again behind the others, or lets it rest. One whose program is gone
    /// goes with its last datagram.
    pub(in crate::stack) fn poll_datagrams(&mut self, now: Instant, id: SocketId) {
        let Some(entry) = self.table.get_mut(id) else { return };
        let mut state = entry.cell.lock();
        let Some(datagrams) = &mut state.datagrams else { return };
        let Some(next) = datagrams.outbox.front() else {
            state.kicked = false;
            drop(state);
            entry.pending = false;
            if entry.orphan {
                self.remove(id);
            }
            return;
        };
        if self.loopback_budget == 0 && self.route.way(next.peer.ip()) == Way::Loopback {
            self.stalled.push(id);
            return;
        }
        let taken = datagrams.outbox.pop();
        if state.has_room() {
            state.take_wakers(Interest::Write, &mut self.woken);
        }
        drop(state);
        self.pending.push_back(id);
        if let Some(datagram) = taken
            && self.transmit_datagram(now, id, datagram).is_none()
        {
            self.counters.udp_unsent = self.counters.udp_unsent.saturating_add(1);
        }
    }

    /// Makes packets of a datagram. `None`: there is no way for it any more.
    fn transmit_datagram(&mut self, now: Instant, id: SocketId, datagram: Datagram) -> Option<()> {
        let entry = self.table.get(id)?;
        let Kind::Datagram(socket) = &entry.kind else { return None };
        let (settings, multicast_hops) = (entry.settings.ip, socket.options.multicast_hops);
        let Datagram { peer, local: wanted, hops, class, payload } = datagram;
        let (whole, local) = (wants_whole(entry, peer.ip()), socket.association.local()?);
        let own = Some(wanted).filter(|wanted| !wanted.is_unspecified()).or(socket.association.source());
        let source = self.source_towards(peer.ip(), own).ok()?;
        if whole && !self.fits_path(now, peer.ip(), payload.len(), &settings) {
            return None;
        }
        let (local, way) = (SocketAddr::new(source, local.port()), self.route.way(peer.ip()));
        let mtu = match way {
            Way::Loopback => usize::MAX,
            Way::Link => usize::from(self.path_mtu(now, peer.ip(), &settings)),
        };
        //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.4
        //# An application-layer program MUST be able to set the TTL and TOS values (1122:4.1.4-2)
        let mut envelope = self.envelope((local, peer), protocol::UDP, &settings, 1);
        if peer.ip().is_multicast() {
            envelope.hop_limit = multicast_hops;
        }
        envelope.hop_limit = hops.unwrap_or(envelope.hop_limit);
        envelope.traffic_class = class.unwrap_or(envelope.traffic_class);
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.7
        //# A host MUST NOT send a datagram with a Time-to-Live (TTL) value of zero. (1122:3.2.1.7-1)
        if envelope.hop_limit == 0 {
            return None;
        }
        let ports = (local.port(), peer.port());
        let (seat, flows) = (self.seat.as_ref(), &mut self.flows);
        let identify = || crew::identify(seat, flows, (source, peer.ip()), protocol::UDP, 1);
        let packets = match way {
            Way::Link => {
                let capabilities = &self.capabilities;
                ip::udp_transmit(&envelope, ports, payload, mtu, capabilities, identify, &mut self.outgoing)
            }
            Way::Loopback => {
                let mut out = VecDeque::new();
                let packets = ip::udp_transmit(&envelope, ports, payload, mtu, &LOOPBACK, identify, &mut out);
                self.loopback.extend(out.iter().map(ip::to_frame));
                packets
            }
        };
        self.counters.udp_datagrams_out = self.counters.udp_datagrams_out.saturating_add(1);
        if packets > 1 {
            self.counters.udp_fragmented = self.counters.udp_fragmented.saturating_add(1);
        }
        Some(())
    }

    /// Whether a datagram of `payload` bytes passes in one packet, for all that is known.
    pub(super) fn fits_path(&self, now: Instant, host: IpAddr, payload: usize, ip: &Settings) -> bool {
        let headers = if host.is_ipv6() { HEADERS_V6 } else { HEADERS_V4 };
        self.route.way(host) == Way::Loopback
            || payload + headers <= usize::from(self.path_mtu(now, host, ip))
    }
}
