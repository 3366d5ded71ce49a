//! What the network says of a connection's segments (RFC 9293 3.9.2.2, RFC 5461, RFC 5927). `ip` reads the message; here it is a value.

use super::connection::{Connection, Open, Phase};
use super::open::MSS_MIN;
use super::timestamps::OPTION_LEN;
use super::{EndReason, Limits, SeqNum, State, Unreachable};
use crate::config::TcpConfig;
use crate::counters::Drop;
use crate::error::Errno;
use crate::time::Instant;

/// An ICMP error about a segment of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpError {
    /// The packet did not fit the path (RFC 1191, RFC 8201).
    TooBig {
        /// Bytes that segments may carry, options included: path MTU less IP and TCP headers.
        mss: u16,
        /// Bytes that this one carried, counted the same way.
        sent: u16,
    },
    /// The destination cannot be reached, or refuses: the error that a program is told whose connection is still being opened, as Linux does
    /// (RFC 5461 section 4.1). Once open it is a soft error, told if the connection times out before anything else is heard.
    Unreachable(Unreachable),
}

impl Connection {
    /// The network returned the segment that began at `seq`. Errors about segments that are not in flight are not believed (RFC 5927 4.1).
    pub fn on_icmp(
        &mut self,
        now: Instant,
        error: IcmpError,
        seq: SeqNum,
        config: &TcpConfig,
    ) -> Result<(), Drop> {
        let in_flight = match &self.phase {
            Phase::Opening(opening) => opening.sent > 0 && seq == opening.iss,
            //= https://www.rfc-editor.org/rfc/rfc5927#section-4.1
            //# the TCP sequence number contained in the payload of the ICMP error message is within the range SND.UNA =< SEG.SEQ < SND.NXT. (5927:4.1-1)
            Phase::Open(open) => seq.at_or_after(open.snd.una) && seq.before(open.snd.nxt),
            Phase::Closed(_) => false,
        };
        //= https://www.rfc-editor.org/rfc/rfc8201#section-4
        //# Nodes should appropriately validate the payload of ICMPv6 PTB messages to ensure these are received in response to transmitted traffic (8201:4-1)
        //= https://www.rfc-editor.org/rfc/rfc5927#section-4.1
        //# If an ICMP error message does not pass this check, it is discarded. (5927:4.1-2)
        if !in_flight {
            return Err(Drop::IcmpStale);
        }
        self.stir(now);
        match error {
            IcmpError::TooBig { mss, sent } => self.too_big(mss, sent, seq),
            IcmpError::Unreachable(told) => {
                //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.1
                //# The transport layer SHOULD use the information appropriately (1122:3.2.2.1-4)
                self.unreachable(told, config);
                Ok(())
            }
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc7323#section-5.7
    //# any TCP implementation that implements PAWS MUST also implement Path MTU Discovery (7323:5.7-1).
    fn too_big(&mut self, mss: u16, sent: u16, seq: SeqNum) -> Result<(), Drop> {
        let Phase::Open(open) = &mut self.phase else { return Err(Drop::IcmpMtu) };
        let cut = open.carried(mss);
        //= https://www.rfc-editor.org/rfc/rfc1191#section-6.4
        //# the TCP layer must be able to recognize when a Datagram Too Big notification actually decreases the PMTU that it has already used to send a datagram on the given connection, and should ignore any other notifications. (1191:6.4-5)
        if open.state() == State::SynReceived || mss >= sent || cut >= open.snd.mss_most {
            return Err(Drop::IcmpMtu);
        }
        //= https://www.rfc-editor.org/rfc/rfc8201#section-5.4
        //# The packet size used in the retransmission should be no larger than the new PMTU. (8201:5.4-3)
        if let Some(probe) = open.mtu.returned(seq)
            && cut >= open.snd.mss
        {
            open.snd.flight.lose_span(probe);
            return Ok(());
        }
        let older = open.carried(sent) > open.snd.mss;
        open.set_segment_size(open.snd.mss.min(cut));
        // One such message comes for every segment that was too long; they are all sent again on the first. One of those may be too long for the
        // next link.
        //= https://www.rfc-editor.org/rfc/rfc1191#section-6.4
        //# One MUST not retransmit in response to every Datagram Too Big message, since a burst of several oversized segments will give rise to several such messages and hence several retransmissions of the same data. (1191:6.4-4)
        if older && open.snd.cut_again.is_some_and(|mark| seq.before(mark)) {
            return Ok(());
        }
        open.snd.cut_again = Some(open.snd.nxt);
        //= https://www.rfc-editor.org/rfc/rfc8201#section-5.4
        //# A loss caused by a PMTU probe indicated by the reception of a Packet Too Big message must not be considered as a congestion notification, and hence the congestion window may not change. (8201:5.4-4)
        // Duplicate ACKs for what was sent in the old size tell of no further loss.
        open.go_back(self.now);
        open.snd.timed = None;
        Ok(())
    }

    fn unreachable(&mut self, told: Unreachable, config: &TcpConfig) {
        let opening = match &self.phase {
            Phase::Opening(_) => true,
            Phase::Open(open) => open.state() == State::SynReceived,
            Phase::Closed(_) => return,
        };
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
        //# Since these Unreachable messages indicate soft error conditions, a TCP implementation MUST NOT abort the connection (MUST-56)
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.1
        //# A transport protocol that has its own mechanism for notifying the sender that a port is unreachable (e.g., TCP, which sends RST segments) MUST nevertheless accept an ICMP Port Unreachable for the same purpose. (1122:3.2.2.1-5)
        let soft = told.is_soft();
        if opening && if soft { config.soft_errors_end_opening } else { config.hard_errors_end_opening } {
            let refused = !soft && config.hard_errors_refuse;
            let errno = if refused { Errno::ECONNREFUSED } else { told.errno };
            return self.end(EndReason::Unreachable(Unreachable { errno, ..told }));
        }
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
        //# and it SHOULD make the information available to the application (SHLD-25)
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.8
        //# There MUST be a mechanism for reporting soft TCP error conditions to the application (MUST-47).
        //= https://www.rfc-editor.org/rfc/rfc5927#section-8
        //# the processing of ICMP "hard errors" as "soft errors" when they are received for connections in any of the synchronized states. (5927:8-1)
        self.common.soft_error = Some(told);
        self.common.soft_news = true;
    }
}

impl Open {
    /// The path carries segments of so many bytes, options included: what is sent from now on fits.
    //= https://www.rfc-editor.org/rfc/rfc1191#section-6.3
    //# An upper layer MUST not retransmit datagrams in response to an increase in the PMTU estimate (1191:6.3-4)
    //= https://www.rfc-editor.org/rfc/rfc4821#section-7.1
    //# When transmitting non-probes, the Packetization Layer SHOULD create packets of a size less than or equal to eff_pmtu. (4821:7.1-1)
    pub(super) fn fit(&mut self, now: Instant, limits: &Limits) {
        self.set_segment_size(self.carried(limits.mss).min(self.snd.mss_most));
        self.mtu.told(now, limits.search);
    }

    //= https://www.rfc-editor.org/rfc/rfc4821#section-4
    //# Whenever the MTU is reduced (e.g., when processing ICMP PTB messages), the congestion state variable SHOULD be rescaled so as not to raise the window size in packets. (4821:4-7)
    //= https://www.rfc-editor.org/rfc/rfc4821#section-4
    //# Whenever the MTU is raised, the congestion state variables MUST be rescaled so as not to raise the window size in bytes (or data rate in bytes per seconds). (4821:4-6)
    fn set_segment_size(&mut self, mss: u32) {
        if mss != self.snd.mss {
            self.snd.mss = mss;
            //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
            //# the congestion window cwnd SHOULD be reduced to prevent large bursts of smaller segments (5681:3.1-8).
            self.congestion.on_segment_size(mss);
        }
    }

    /// Bytes of data in segments of `mss` bytes.
    pub(super) fn carried(&self, mss: u16) -> u32 {
        let options = if self.timestamps.is_some() { OPTION_LEN } else { 0 };
        u32::from(mss.max(MSS_MIN) - options)
    }
}
