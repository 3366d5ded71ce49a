//! What ICMP and ICMPv6 ask and tell: echo is answered, errors find the connection that they are about.

use super::Stack;
use super::crew::{self, Commons};
use super::demux::FourTuple;
use super::lifecycle::headers;
use super::route::Way;
use super::socket::ip::Discovery;
use super::table::Flow;
use crate::counters::Drop;
use crate::error::Unreachable;
use crate::ip::{self, Cause, Expired, Fault, Fragment, Heard, Packet, Refused, Report};
use crate::tcp::{IcmpError, SeqNum};
use crate::time::Instant;
use crate::wire::{protocol, quote};
use bytes::Bytes;

impl Stack {
    pub(super) fn on_icmp(&mut self, now: Instant, packet: &Packet) -> Result<(), Drop> {
        match ip::hear(packet)? {
            Heard::Echo(identity) => self.on_echo(now, packet, identity),
            Heard::Report(report) => self.on_report(now, &report),
        }
    }

    fn on_echo(&mut self, now: Instant, packet: &Packet, identity: [u8; 4]) -> Result<(), Drop> {
        if !self.config.ip.answer_echo {
            return Err(Drop::IcmpIgnored);
        }
        // A reply leaves nothing behind that a report about it could be held against, so nobody discovers its path.
        let mut ip = self.default_ip();
        (ip.v4.discovery, ip.v6.discovery) = (Discovery::Dont, Discovery::Dont);
        let mtu = usize::from(self.path_mtu(now, packet.source, &ip));
        let (seat, flows) = (self.seat.as_ref(), &mut self.flows);
        let path = (packet.destination, packet.source);
        let identify = || crew::identify(seat, flows, path, packet.protocol, 1);
        //= https://www.rfc-editor.org/rfc/rfc4443#section-4.2
        //# Every node MUST implement an ICMPv6 Echo responder function that receives Echo Requests and originates corresponding Echo Replies. (4443:4.2-1)
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.6
        //# Every host MUST implement an ICMP Echo server function that receives Echo Requests and sends corresponding Echo Replies. (1122:3.2.2.6-1)
        let reply = ip::echo_reply(packet, identity, self.config.ip.hop_limit, mtu, identify);
        if reply.is_empty() {
            return Ok(());
        }
        if !self.commons.icmp.with(|icmp| icmp.take(now)) {
            return Err(Drop::IcmpRate);
        }
        self.counters.echo_replies = self.counters.echo_replies.saturating_add(1);
        for part in reply {
            self.reply(packet.source, part);
        }
        Ok(())
    }

    /// Tells the source of `packet`, from its IP header on, what is wrong with it, within the rules and the rate.
    pub(super) fn tell(&mut self, now: Instant, packet: &Bytes, fault: Fault) {
        let hop_limit = self.config.ip.hop_limit;
        let Some((source, message)) = ip::fault_about(packet, fault, None, hop_limit) else { return };
        let Some((_, destination)) = quote::addresses(packet) else { return };
        // What was refused at sight has not been asked whom it is for.
        if self.admit(source, destination, Way::Link).is_err() {
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
        //# in order to limit the bandwidth and forwarding costs incurred by originating ICMPv6 error messages, an IPv6 node MUST limit the rate of ICMPv6 error messages it originates. (4443:2.4-12)
        let Commons { icmp, icmp_errors, .. } = &mut self.commons;
        if !icmp_errors.with(|errors| errors.take(now, source)) || !icmp.with(|icmp| icmp.take(now)) {
            self.counters.icmp_errors_held = self.counters.icmp_errors_held.saturating_add(1);
            return;
        }
        self.counters.icmp_errors_out = self.counters.icmp_errors_out.saturating_add(1);
        self.reply(source, message);
    }

    /// A part of a packet.
    pub(super) fn on_fragment(&mut self, now: Instant, fragment: Fragment) -> Result<(), Drop> {
        let Some(fragment) = self.hand_to_gatherer(fragment) else { return Ok(()) };
        self.counters.ip_fragments_in = self.counters.ip_fragments_in.saturating_add(1);
        let packet = fragment.packet();
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.2
        //# The IP layer MUST implement reassembly of IP datagrams. (1122:3.3.2-1)
        let before = self.counters.dropped(Drop::FragmentLimit);
        let added = self.fragments.add(now, fragment, &mut self.counters);
        for _ in before..self.counters.dropped(Drop::FragmentLimit) {
            self.trace_refused(now, 0, Drop::FragmentLimit.name());
        }
        match added {
            Ok(None) => Ok(()),
            Ok(Some((packet, first))) => {
                self.counters.ip_reassembled = self.counters.ip_reassembled.saturating_add(1);
                self.on_packet(now, packet, &first)
            }
            Err(Refused { reason, fault }) => {
                if let Some(fault) = fault {
                    self.tell(now, &packet, fault);
                }
                Err(reason)
            }
        }
    }

    /// Gives up packets whose fragments did not all come in time.
    pub(super) fn expire_fragments(&mut self, now: Instant) {
        while let Some(Expired { first }) = self.fragments.expire(now) {
            self.drop_packet(now, first.as_ref().map_or(0, bytes::Bytes::len), Drop::FragmentTimeout);
            if let Some(first) = first {
                //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
                //# If the first fragment (i.e., the one with a Fragment Offset of zero) has been received, an ICMP Time Exceeded -- Fragment Reassembly Time Exceeded message should be sent to the source of that fragment. (8200:4.5-10)
                //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.2
                //# If this timeout expires, the partially-reassembled datagram MUST be discarded and an ICMP Time Exceeded message sent to the source host (if fragment zero has been received). (1122:3.3.2-5)
                self.tell(now, &first, Fault::ReassemblyTimeout);
            }
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
    //# TCP implementations MUST act on an ICMP error message passed up from the IP layer, directing it to the connection that created the error (MUST-54).
    pub(super) fn on_report(&mut self, now: Instant, report: &Report) -> Result<(), Drop> {
        //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
        //# the upper-layer protocol type is extracted from the original packet (contained in the body of the ICMPv6 error message) and used to select the appropriate upper-layer process to handle the error. (4443:2.4-4)
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
        //# the IP protocol number MUST be extracted from the original header and used to select the appropriate transport protocol entity to handle the error. (1122:3.2.2-3)
        match report.protocol {
            protocol::TCP => {}
            protocol::UDP => return self.on_datagram_report(now, report),
            _ => return Err(Drop::IcmpNoSocket),
        }
        let tuple = FourTuple::new(report.local, report.remote);
        let id = self.demux.connection(&self.table, &tuple).ok_or(Drop::IcmpNoSocket)?;
        let (error, mtu) = match report.cause {
            //= https://www.rfc-editor.org/rfc/rfc4443#section-3.1
            //# A node receiving the ICMPv6 Destination Unreachable message MUST notify the upper-layer process if the relevant process can be identified (4443:3.1-7)
            Cause::Unreachable(errno) => {
                let Report { kind, code, from, .. } = *report;
                (IcmpError::Unreachable(Unreachable { errno, kind, code, from }), None)
            }
            //= https://www.rfc-editor.org/rfc/rfc4443#section-3.2
            //# An incoming Packet Too Big message MUST be passed to the upper-layer process if the relevant process can be identified (4443:3.2-2)
            Cause::TooBig { mtu } => {
                let ip = self.table.get(id).ok_or(Drop::IcmpNoSocket)?.settings.ip;
                let family = if report.remote.is_ipv4() { ip.v4 } else { ip.v6 };
                // One that probes by itself believes nobody (RFC 4821 section 11).
                let deaf = family.discovery == Discovery::Probe;
                if deaf || report.remote.is_ipv4() && family.discovery == Discovery::Dont {
                    return Err(Drop::IcmpMtu);
                }
                let link = self.link_mtu(report.remote.ip());
                let mtu = ip::believed(report, mtu, link, self.config.ip.path_mtu_min)?;
                let headers = headers(report.remote.ip());
                let sent = u16::try_from(report.length).unwrap_or(u16::MAX).saturating_sub(headers);
                (IcmpError::TooBig { mss: mtu.saturating_sub(headers), sent }, Some(mtu))
            }
        };
        let Some(Flow { connection, .. }) = self.table.flow_mut(id) else { return Err(Drop::IcmpNoSocket) };
        //= https://www.rfc-editor.org/rfc/rfc8201#section-5.2
        //# the instance that sent the packet that elicited the Packet Too Big message should be notified that its packet has been dropped, even if the PMTU estimate has not changed, so that it may retransmit the dropped data. (8201:5.2-7)
        connection.on_icmp(now, error, SeqNum(report.seq), &self.config.tcp)?;
        self.counters.icmp_errors_in = self.counters.icmp_errors_in.saturating_add(1);
        if let Some(mtu) = mtu
            //= https://www.rfc-editor.org/rfc/rfc8201#section-4
            //# nodes using Path MTU Discovery must detect decreases in PMTU as fast as possible. (8201:4-6)
            && self.paths.learn(now, report.remote.ip(), mtu)
        {
            self.counters.path_mtus = self.counters.path_mtus.saturating_add(1);
        }
        self.settle(id);
        Ok(())
    }
}
