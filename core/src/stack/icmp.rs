//! What ICMP and ICMPv6 ask and tell: echo is answered, errors find the connection that they are about.

use super::Stack;
use super::demux::FourTuple;
use super::lifecycle::headers;
use super::table::Flow;
use crate::counters::Drop;
use crate::ip::{self, Cause, Heard, Packet, Report};
use crate::tcp::{IcmpError, SeqNum};
use crate::time::Instant;
use crate::wire::protocol;

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
        let reply = ip::echo_reply(packet, identity, self.config.ip.hop_limit, &self.capabilities)?;
        let Some(reply) = reply else { return Ok(()) };
        if !self.icmp.take(now) {
            return Err(Drop::IcmpRate);
        }
        self.counters.echo_replies = self.counters.echo_replies.saturating_add(1);
        self.reply(packet.source, reply);
        Ok(())
    }

    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
    //# TCP implementations MUST act on an ICMP error message passed up from the IP layer, directing it to the connection that created the error (MUST-54).
    fn on_report(&mut self, now: Instant, report: &Report) -> Result<(), Drop> {
        if report.protocol != protocol::TCP {
            return Err(Drop::IcmpNoSocket);
        }
        let tuple = FourTuple::new(report.local, report.remote);
        let id = self.demux.connection(&tuple).ok_or(Drop::IcmpNoSocket)?;
        let (error, mtu) = match report.cause {
            Cause::Unreachable(errno) => (IcmpError::Unreachable(errno), None),
            Cause::TooBig { mtu } => {
                let link = self.capabilities.mtu.min(self.config.mtu);
                let mtu = ip::believed(report, mtu, link, self.config.ip.path_mtu_min)?;
                let headers = headers(report.remote.ip());
                let sent = u16::try_from(report.length).unwrap_or(u16::MAX).saturating_sub(headers);
                (IcmpError::TooBig { mss: mtu.saturating_sub(headers), sent }, Some(mtu))
            }
        };
        let Some(Flow { connection, .. }) = self.table.flow_mut(id) else { return Err(Drop::IcmpNoSocket) };
        connection.on_icmp(now, error, SeqNum(report.seq))?;
        self.counters.icmp_errors_in = self.counters.icmp_errors_in.saturating_add(1);
        if let Some(mtu) = mtu
            && self.paths.learn(now, report.remote.ip(), mtu)
        {
            self.counters.path_mtus = self.counters.path_mtus.saturating_add(1);
        }
        self.settle(id);
        Ok(())
    }
}
