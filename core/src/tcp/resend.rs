//! What is sent again, and how much may be in flight meanwhile; tail loss probes (RFC 8985 section 7).

use super::connection::{Common, Open};
use super::output::Reason;
use super::recovery::{Frto, Probe, Repair};
use super::sending::Sending;
use super::timer::Timer;
use super::{Buffers, Limits, Outgoing};
use crate::time::{Duration, Instant};
use crate::wire::tcp::Flags;

/// PTO while nothing is measured.
const PROBE_AFTER_UNMEASURED: Duration = Duration::from_secs(1);

/// What the peer and the clocks need beside two round trips when it will not wait with its ACK: TCP_TIMEOUT_MIN of Linux.
const PROBE_SLACK: Duration = Duration::from_millis(2);

impl Open {
    /// What is lost and not sent again yet.
    //= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
    //# We RECOMMEND that TCP implementors employ some form of advanced loss recovery that can cope with multiple losses in a window of data (5681:4.3-5).
    pub(super) fn hole_wanted(&self, limits: &Limits) -> Hole {
        let Some(hole) = self.snd.flight.hole() else { return Hole::None };
        let (una, each) = (self.snd.una, self.segment_size());
        let (from, end) = (hole.start.since(una), hole.end.since(una));
        //= https://www.rfc-editor.org/rfc/rfc7323#section-2.4
        //# Subsequent retransmissions MAY only be sent if they are within the window announced by the most recent <ACK> (7323:2.4-6).
        let takes = end.min(self.snd.wnd).saturating_sub(from);
        if takes == 0 {
            return Hole::Shut;
        }
        // Less than a segment is no room, or a segment would be cut up.
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# If cwnd - pipe >= 1 SMSS, the sender SHOULD transmit one or more segments (6675:5-15).
        let whole = u32::try_from(limits.super_frame).unwrap_or(u32::MAX).max(each);
        let most = self.room().min(if self.urgent.sending() { each } else { whole });
        let bytes = if takes <= most { takes } else { most - most % each };
        if bytes == 0 { Hole::Waits } else { Hole::Due(Reason::Hole { from, bytes }) }
    }

    /// Whether new data is to be preferred to what is lost (RFC 5682 step 2b); then none of that is sent until the next ACK.
    pub(super) fn prefers_new(&self) -> bool {
        self.recovery.repair == Repair::Timeout && self.recovery.frto == Frto::New
    }

    /// Whether it has been sent.
    pub(super) const fn has_sent_new(&self) -> bool {
        self.snd.nxt.after(self.recovery.recover)
    }

    /// What the congestion window leaves.
    pub(super) fn room(&self) -> u32 {
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# The TCP MAY transmit previously unsent data segments as per Limited Transmit [RFC5681], except that the number of octets which may be sent is governed by pipe and cwnd (6675:5-6).
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
        //# On the first and second duplicate ACKs received at a sender, a TCP SHOULD send a segment of previously unsent data per [RFC3042] (5681:3.2-4).
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
        //# the TCP sender MUST NOT change cwnd to reflect these two segments (5681:3.2-5).
        //= https://www.rfc-editor.org/rfc/rfc3042#section-2
        //# The amount of outstanding data would remain less than or equal to the congestion window plus 2 segments (3042:2-3).
        //= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
        //# until all lost segments in the window of data in question are repaired, the number of segments transmitted in each RTT MUST be no more than half the number of outstanding segments when the loss was detected (5681:4.3-2).
        //= https://www.rfc-editor.org/rfc/rfc8985#section-9.3
        //# A segment marked as lost by RACK-TLP MUST NOT be retransmitted until congestion control deems this appropriate (8985:9.3-1).
        if self.waits_for_mark() { 0 } else { self.congestion.window().saturating_sub(self.pipe()) }
    }

    /// Most bytes of a super-frame.
    pub(super) fn super_frame(&self, limits: &Limits) -> u32 {
        let (most, each) = (u32::try_from(limits.super_frame).unwrap_or(u32::MAX), self.segment_size());
        // Two of them at least are in flight, and in the peer's window, so that the next is made while one is on its way.
        let most = most.min(self.congestion.window() / 2).min(self.snd.wnd_max / 2);
        // Each segment of a super-frame would have the same urgent pointer.
        if self.urgent.sending() || self.ecn.tells() { each } else { (most / each).max(1) * each }
    }

    /// The retransmission timeout for what is in flight.
    pub(super) fn rto(&self) -> Duration {
        // The peer may wait with the ACK of a single segment, but not with that of more.
        self.rtt.rto(self.snd.outstanding() > self.snd.mss)
    }

    /// No tail loss probe is due.
    pub(super) fn stop_tail(&mut self) {
        self.pending.tail = false;
        self.timers.clear(Timer::Tail);
    }

    /// Sets the timer of the tail loss probe, where one may be sent (RFC 8985 7.2).
    pub(super) fn arm_tail(&mut self, now: Instant) {
        self.stop_tail();
        //= https://www.rfc-editor.org/rfc/rfc8985#section-7.2
        //# The sender SHOULD start or restart a loss probe PTO timer after transmitting new data (that was not itself a loss probe) or upon receiving an ACK that cumulatively acknowledges new data unless it is already in fast recovery, RTO recovery, or segments have been SACKed (8985:7.2-1).
        let calm = self.recovery.repair == Repair::None
            && self.recovery.probe.is_none()
            && self.recovery.measured
            && self.snd.flight.held() == 0;
        //= https://www.rfc-editor.org/rfc/rfc8985#section-4
        //# TLP requires RACK (8985:4-5).
        if !self.tail_probes || !self.selective() || !calm || self.snd.flight.is_empty() || self.snd.wnd == 0
        {
            return;
        }
        let after = match self.rtt.smoothed() {
            //= https://www.rfc-editor.org/rfc/rfc8985#section-7.2
            //# when the FlightSize is one segment, the sender MAY inflate the PTO by TLP.max_ack_delay to accommodate a potentially delayed acknowledgment and reduce the risk of spurious retransmissions (8985:7.2-4).
            Some(smoothed) if self.snd.outstanding() <= self.snd.mss => smoothed * 2 + self.rtt.floor(),
            //= https://www.rfc-editor.org/rfc/rfc8985#section-7.2
            //# the default PTO interval is 2*SRTT (8985:7.2-2).
            Some(smoothed) => smoothed * 2 + PROBE_SLACK,
            //= https://www.rfc-editor.org/rfc/rfc8985#section-7.2
            //# when there is no SRTT estimate available, the PTO SHOULD be 1 second (8985:7.2-3).
            None => PROBE_AFTER_UNMEASURED,
        };
        let Some(expiry) = self.timers.at(Timer::Retransmit) else { return };
        //= https://www.rfc-editor.org/rfc/rfc8985#section-7.2
        //# if the time at which an RTO would fire (here denoted as "TCP_RTO_expiration()") is sooner than the computed time for the PTO, then the sender schedules a TLP to be sent at that RTO time (8985:7.2-5).
        self.timers.set(Timer::Tail, (now + after).min(expiry));
    }

    /// What a tail loss probe carries: new data if there is any that the peer's window takes, else the last of what is in flight.
    //= https://www.rfc-editor.org/rfc/rfc8985#section-7.3
    //# When the PTO timer expires, the sender MUST check whether both of the following conditions are met before sending a loss probe (8985:7.3-1).
    pub(super) fn tail_wanted(&self, common: &Common, buffers: &Buffers) -> Option<Reason> {
        if !self.pending.tail {
            return None;
        }
        let unsent = self.snd.unsent(self.queued(buffers));
        let bytes = unsent.min(self.snd.usable()).min(self.segment_size());
        let fin = bytes == unsent && self.fin_wanted(common) && self.snd.usable() > bytes;
        //= https://www.rfc-editor.org/rfc/rfc8985#section-7.3
        //# If both conditions are met, then the sender SHOULD transmit a previously unsent data segment, if one exists and the receive window allows, and increment the FlightSize accordingly (8985:7.3-5).
        if bytes > 0 || fin {
            return Some(Reason::TailNew { bytes, fin });
        }
        //= https://www.rfc-editor.org/rfc/rfc8985#section-7.3
        //# If such an unsent segment is not available, then the sender SHOULD retransmit the highest-sequence segment sent so far and set TLP.is_retrans to true (8985:7.3-6).
        let tail = self.snd.flight.tail(self.segment_size())?;
        let (from, end) = (tail.start.since(self.snd.una), tail.end.since(self.snd.una));
        let bytes = end.min(self.snd.wnd).saturating_sub(from);
        (bytes > 0).then_some(Reason::TailAgain { from, bytes })
    }

    /// The timer has expired.
    pub(super) fn tail_timeout(&mut self, now: Instant) {
        self.pending.tail = true;
        //= https://www.rfc-editor.org/rfc/rfc8985#section-7.3
        //# After attempting to send a loss probe, regardless of whether a loss probe was sent, the sender MUST re-arm the RTO timer, not the PTO timer, if the FlightSize is not zero (8985:7.3-8).
        self.timers.set(Timer::Retransmit, now + self.rto());
    }
}

/// What becomes of what is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    /// Nothing is.
    None,
    /// It goes now.
    Due(Reason),
    /// The congestion window is full.
    Waits,
    /// The peer's window does not reach there any more.
    Shut,
}

impl Sending<'_, '_> {
    /// The segment at SND.UNA once more, whatever the congestion window says.
    pub(super) fn head(&mut self) -> Outgoing {
        let open = &mut *self.open;
        open.pending.head = false;
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
        //# If this happens, the sender SHOULD NOT send new data (SHLD-15), but SHOULD retransmit normally the old unacknowledged data between SND.UNA and SND.UNA+SND.WND (SHLD-16).
        let most = open.segment_size().min(open.snd.wnd.max(1));
        let head = open.snd.flight.head(most);
        self.again(0, head.end.since(head.start))
    }

    /// A tail loss probe is on its way.
    pub(super) fn tail_sent(&mut self, again: bool) {
        let open = &mut *self.open;
        open.pending.tail = false;
        //= https://www.rfc-editor.org/rfc/rfc8985#section-7.3
        //# there is no other previous loss probe still in flight (8985:7.3-2).
        open.recovery.probe = Some(Probe { end: open.snd.nxt, again });
        //= https://www.rfc-editor.org/rfc/rfc8985#section-7.3
        //# the sender has obtained an RTT measurement since the last loss probe transmission or the start of the connection, whichever was later (8985:7.3-3).
        //= https://www.rfc-editor.org/rfc/rfc8985#section-9.3
        //# one outstanding loss probe can be sent even if the congestion window is fully used. However, this temporary overcommit is accounted for and credited in the in-flight data tracked for congestion control (8985:9.3-4).
        open.recovery.measured = false;
        open.timers.clear(Timer::Tail);
        self.cx.counters.tcp_tail_probes += 1;
    }

    /// Sends `bytes` at `from` once more, with the FIN if it follows.
    pub(super) fn again(&mut self, from: u32, bytes: u32) -> Outgoing {
        let (una, fin) = (self.open.snd.una, self.open.snd.fin);
        let queued = (self.open.queued(self.buffers) as u32).saturating_sub(from);
        let each = self.open.segment_size();
        let (payload, taken) = self.payload(from as usize, bytes.min(queued));
        let fin = fin == Some(una + from + taken);
        self.count_retransmission(taken);
        // What is sent again is no burst for a receiver to pass on by itself: PSH is where the queue ends.
        let flags = if taken == queued { self.flags(taken, queued, fin) } else { Flags::default() };
        let start = una + from;
        let mut segment = self.segment(start, flags);
        segment.gso_size = if taken > each { u16::try_from(each).unwrap_or(u16::MAX) } else { 0 };
        segment.payload = payload;
        let sent = taken + u32::from(segment.flags.has(Flags::FIN));
        let open = &mut *self.open;
        //= https://www.rfc-editor.org/rfc/rfc6298#section-3
        //# RTT samples MUST NOT be made using segments that were retransmitted (and thus for which it is ambiguous whether the reply was for the first instance of the packet or a later instance) (6298:3-2).
        open.snd.timed = None;
        let anew = open.snd.flight.again() == 0 && open.recovery.repair == Repair::None;
        open.snd.flight.resent(self.now, start..start + sent);
        let stamp = segment.options.timestamps.map(|(tsval, _)| tsval);
        open.recovery.undo.on_copy(sent, stamp, anew);
        if let Some(prr) = &mut open.recovery.prr {
            prr.on_sent(sent);
        }
        open.snd.last_sent = self.now;
        //= https://www.rfc-editor.org/rfc/rfc6298#section-5
        //# An implementation MUST manage the retransmission timer(s) in such a way that a segment is never retransmitted too early, i.e., less than one RTO after the previous transmission of that segment (6298:5-1).
        // Without SACK a timer that runs goes on, however many segments the peer asks for one by one (RFC 6582 section 4).
        if from == 0 && open.selective() || !open.timers.is_set(Timer::Retransmit) {
            open.timers.set(Timer::Retransmit, self.now + open.rto());
        }
        segment
    }

    pub(super) fn count_retransmission(&mut self, bytes: u32) {
        let segments = bytes.div_ceil(self.open.segment_size()).max(1);
        self.cx.counters.tcp_retransmits += u64::from(segments);
        self.common.stats.sent_again(segments, bytes);
    }
}
