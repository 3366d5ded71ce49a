//! Explicit congestion notification (RFC 3168): what routers mark instead of dropping it, both ways.
//!
//! ```text
//!  sender --ECT--> router, congested --CE--> receiver
//!     ^                                         |
//!     |<----- ECE on every ACK until CWR -------|
//!     |------ CWR on the first new data ------->|      the window is smaller now
//! ```

use super::connection::Open;
use super::input::Step;
use super::prr::Prr;
use super::recovery::{Heard, Repair};
use super::timer::Timer;
use super::{Outgoing, SeqNum};
use crate::config::{Ecn as Wanted, TcpConfig};
use crate::pack::packed;
use crate::time::Instant;
use crate::wire::Codepoint;
use crate::wire::tcp::Flags;

/// ACKs that go at once when a mark comes: the sender's window may be small.
const QUICK_ACKS: u8 = 2;

/// Both flags, as a SYN has them that asks.
const ASKS: u8 = Flags::ECE.0 | Flags::CWR.0;

/// What both SYNs made of it, and what the marks have led to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ecn {
    /// Marks are echoed, and echoes obeyed.
    answers: bool,
    /// New data is sent as ECT.
    marks: bool,
    /// A packet came that routers may mark, or had marked.
    seen: bool,
    /// A mark has come, and no CWR since.
    echo: bool,
    /// The window was reduced, and the peer is to be told with the next new data.
    reduced: bool,
    /// The window is being led down because of a mark: SND.NXT when that began.
    leading: Option<SeqNum>,
    /// The window was one segment already, so that the retransmission timer has to expire before more is sent.
    waits: bool,
}

/// Whether a SYN, sent after `before` others, asks for it.
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1.1
//# A host that receives no reply to an ECN-setup SYN within the normal SYN retransmission timeout interval MAY resend the SYN and any subsequent SYN retransmissions with CWR and ECE cleared (3168:6.1.1.1-2).
pub(super) fn asking(before: u32, config: &TcpConfig) -> Flags {
    let asks = config.ecn == Wanted::On && before <= u32::from(config.ecn_retries);
    //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
    //# A host that is not willing to use ECN on a TCP connection SHOULD clear both the ECE and CWR flags in all non-ECN-setup SYN and/or SYN-ACK packets that it sends to indicate this unwillingness (3168:6.1.1-6).
    if asks { Flags(ASKS) } else { Flags::default() }
}

/// Whether a SYN or SYN/ACK with these flags agrees.
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
//# Receivers MUST correctly handle all forms of the non-ECN-setup SYN and SYN-ACK packets (3168:6.1.1-7).
const fn agrees(flags: Flags) -> bool {
    let answer = flags.has(Flags::ACK);
    flags.0 & ASKS == if answer { Flags::ECE.0 } else { ASKS }
}

impl Ecn {
    /// A peer's SYN of a passive open.
    pub(super) fn granted(flags: Flags, config: &TcpConfig) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
        //# If a host has received an ECN-setup SYN packet, then it MAY send an ECN-setup SYN-ACK packet. Otherwise, it MUST NOT send an ECN-setup SYN-ACK packet (3168:6.1.1-1).
        let both = config.ecn != Wanted::Off && agrees(flags);
        Self { answers: both, marks: both, ..Self::default() }
    }

    /// The peer's SYN or SYN/ACK, after `sent` SYNs of ours.
    pub(super) fn asked(sent: u32, flags: Flags, config: &TcpConfig) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
        //# If a host has sent at least one ECN-setup SYN or ECN-setup SYN-ACK packet, and has received no non-ECN-setup SYN or non-ECN-setup SYN-ACK packet, then if that host receives TCP data packets with ECT and CE codepoints set in the IP header, then that host MUST process these packets as specified for an ECN-capable connection (3168:6.1.1-5).
        let answers = agrees(flags) && asking(0, config) != Flags::default();
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
        //# A host MUST NOT set ECT on data packets unless it has sent at least one ECN-setup SYN or ECN-setup SYN-ACK packet, and has received at least one ECN-setup SYN or ECN-setup SYN-ACK packet, and has sent no non-ECN-setup SYN or non-ECN-setup SYN-ACK packet (3168:6.1.1-2).
        let marks = answers && asking(sent.saturating_sub(1), config) != Flags::default();
        Self { answers, marks, ..Self::default() }
    }

    /// Another SYN of the peer's: it may have given up asking, or in a crossing of SYNs not agree.
    //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
    //# If a host has received at least one non-ECN-setup SYN or non-ECN-setup SYN-ACK packet, then it SHOULD NOT set ECT on data packets (3168:6.1.1-3).
    pub(super) fn another(&mut self, flags: Flags) {
        if !agrees(flags) {
            *self = Self::default();
        }
    }

    /// The flag of our SYN/ACK.
    pub(super) const fn granting(&self) -> Flags {
        if self.answers { Flags::ECE } else { Flags(0) }
    }

    /// Both sides speak it; a packet came that routers may mark.
    pub(super) const fn state(&self) -> (bool, bool) {
        (self.answers, self.seen)
    }

    /// Whether the window is on its way down because of a mark.
    pub(super) const fn leading(&self) -> Option<SeqNum> {
        self.leading
    }

    /// Whether the next new data is to tell of a reduction. It goes alone: of a super-frame only the first segment would.
    pub(super) const fn tells(&self) -> bool {
        self.reduced
    }

    /// The window is reduced, for whatever reason.
    //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
    //# When an ECN-Capable TCP sender reduces its congestion window for any reason (because of a retransmit timeout, a Fast Retransmit, or in response to an ECN Notification), the TCP sender sets the CWR flag in the TCP header of the first new data packet sent after the window reduction (3168:6.1.2-6).
    pub(super) const fn on_reduction(&mut self) {
        self.reduced = self.marks;
    }

    /// That was for nothing.
    pub(super) const fn on_undo(&mut self) {
        self.reduced = false;
    }

    /// Somebody else leads the window from here on; where that by a mark would have ended.
    pub(super) const fn hand_over(&mut self) -> Option<SeqNum> {
        self.waits = false;
        self.leading.take()
    }

    /// Whether the retransmission timer has to expire before more is sent.
    pub(super) const fn waits(&self) -> bool {
        self.waits
    }

    /// The retransmission timer has expired; whether that was waited for.
    pub(super) const fn waited(&mut self) -> bool {
        let waited = self.waits;
        self.waits = false;
        waited
    }

    /// Marks a segment that carries new data and nothing that was sent before.
    //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.5
    //# This document specifies ECN-capable TCP implementations MUST NOT set either ECT codepoint (ECT(0) or ECT(1)) in the IP header for retransmitted data packets (3168:6.1.5-1).
    pub(super) fn on_new_data(&mut self, segment: &mut Outgoing) {
        if !self.marks || segment.payload.is_empty() {
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
        //# When only one ECT codepoint is needed by a sender for all packets sent on a TCP connection, ECT(0) SHOULD be used (3168:6.1.2-1).
        segment.ecn = Codepoint::Ect0;
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
        //# When the TCP data sender is ready to set the CWR bit after reducing the congestion window, it SHOULD set the CWR bit only on the first new data packet that it transmits (3168:6.1.2-8).
        if std::mem::take(&mut self.reduced) {
            segment.flags = segment.flags.with(Flags::CWR);
        }
    }

    /// The flag of whatever acknowledges.
    pub(super) const fn echo(&self) -> Flags {
        if self.echo { Flags::ECE } else { Flags(0) }
    }

    /// Whether an ACK tells of a mark.
    pub(super) const fn is_echo(&self, flags: Flags) -> bool {
        self.answers && flags.has(Flags::ECE)
    }
}

impl Open {
    /// Whether new data has to wait although the window is open: until the retransmission timer expires.
    pub(super) fn waits_for_mark(&self) -> bool {
        self.ecn.waits && self.timers.is_set(Timer::Retransmit)
    }

    /// The window begins its way down because of a mark, `flight` bytes having been in flight.
    fn lead_by_mark(&mut self, now: Instant, flight: u32) {
        self.ecn.leading = Some(self.snd.nxt);
        self.recovery.undo.end();
        self.recovery.probe = None;
        self.recovery.prr = Some(Prr::new(flight, 0));
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
        //# The indication of congestion should be treated just as a congestion loss in non-ECN-Capable TCP. That is, the TCP source halves the congestion window "cwnd" and reduces the slow start threshold "ssthresh" (3168:6.1.2-2).
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.6
        //# A reduction because of ECN MUST leave cwnd at one segment or more (9438:4.6-5).
        self.reduce(now, flight);
    }
}

impl Step<'_, '_> {
    /// What an ACK tells of marks, before it is looked at for losses.
    pub(super) fn on_echo(&mut self, heard: &Heard) {
        let open = &mut *self.open;
        // What was sent since has arrived, and with it that the window is smaller.
        if open.ecn.leading.is_some_and(|mark| open.snd.una.after(mark)) {
            open.ecn.leading = None;
            open.recovery.prr = None;
            open.restored(self.now);
        }
        if !heard.echo_of_mark {
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc4015#section-3.4
        //# In that case, the TCP sender MUST refrain from reversing congestion control state (4015:3.4-1).
        open.recovery.undo.keep();
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
        //# TCP should not react to congestion indications more than once every window of data (or more loosely, more than once every round-trip time) (3168:6.1.2-4).
        let since = open.snd.una.after(open.recovery.recover) && open.recovery.repair == Repair::None;
        let news = heard.advanced > 0 || heard.delivered > 0;
        if !since || open.ecn.leading.is_some() || !news {
            return;
        }
        self.cx.counters.tcp_ecn_reductions += 1;
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
        //# Therefore, the sending TCP MUST reset the retransmit timer on receiving the ECN-Echo packet when the congestion window is one (3168:6.1.2-5).
        open.ecn.waits = open.congestion.window() <= open.snd.mss;
        open.lead_by_mark(self.now, open.snd.outstanding().saturating_add(heard.advanced));
    }

    /// Leads the window down where a mark and no loss does.
    pub(super) fn led_by_mark(&mut self, heard: &Heard) {
        let open = &mut *self.open;
        if open.ecn.leading.is_some() && open.recovery.repair == Repair::None && heard.delivered > 0 {
            open.lead_down(heard.delivered, false);
        }
    }

    /// Takes note of what an acceptable segment says: that its sender has reduced its window, or that a router has marked it.
    pub(super) fn congestion_seen(&mut self, flags: Flags, codepoint: Codepoint, segments: u32) {
        let open = &mut *self.open;
        if !open.ecn.answers {
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.3
        //# After the receipt of the CWR packet, acknowledgments for subsequent non-CE data packets do not have the ECN-Echo flag set (3168:6.1.3-3).
        if flags.has(Flags::CWR) {
            open.ecn.echo = false;
            open.acks.hasten(1);
        }
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.5
        //# the TCP data receiver SHOULD ignore the ECN field on arriving data packets that are outside of the receiver's current window (3168:6.1.5-2).
        open.ecn.seen |= codepoint != Codepoint::NotEct;
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.6
        //# Therefore, if a window probe arrives with the CE codepoint set, then the receiver SHOULD respond to the ECN indications (3168:6.1.6-2).
        if codepoint == Codepoint::Ce {
            self.cx.counters.tcp_ecn_marks += u64::from(segments);
            //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.3
            //# When TCP receives a CE data packet at the destination end-system, the TCP data receiver sets the ECN-Echo flag in the TCP header of the subsequent ACK packet (3168:6.1.3-1).
            if !std::mem::replace(&mut open.ecn.echo, true) {
                open.acks.hasten(QUICK_ACKS);
            }
        }
    }
}

packed!(Ecn { answers, marks, seen, echo, reduced, leading, waits });
