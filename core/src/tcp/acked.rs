//! What an ACK says: the fifth step of RFC 9293 3.10.7.4.

use super::congestion::Acked;
use super::flight::News;
use super::input::{Flow, Step};
use super::recovery::{Heard, Repair};
use super::scoreboard::{Edges, Scoreboard};
use super::segment::Arrival;
use super::timer::Timer;
use super::{EndReason, SeqNum, State};
use crate::counters::Drop;
use std::ops::Range;

impl Step<'_, '_> {
    /// "Fifth, check the ACK field".
    pub(super) fn ack_field(&mut self, arrival: &mut Arrival) -> Flow {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
        //# if the ACK bit is off, drop the segment and return (SM-10)
        let Some(ack) = arrival.ack else { return self.drop(Drop::TcpNoAck) };
        if self.open.state() == State::SynReceived {
            let flow = self.ack_of_syn(ack, arrival);
            if flow != Flow::Next {
                return flow;
            }
        }
        let (una, nxt, wnd_max) = {
            let snd = &self.open.snd;
            (snd.una, snd.nxt, snd.wnd_max)
        };
        if ack.after(nxt) {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
            //# If the ACK acks something not yet sent (SEG.ACK > SND.NXT), then send an ACK, drop the segment, and return. (SM-12)
            self.challenge();
            return self.drop(Drop::TcpAckUnsent);
        }
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
        //# RFC 5961 [9], Section 5 describes a potential blind data injection attack, and mitigation that implementations MAY choose to include (MAY-12).
        //= https://www.rfc-editor.org/rfc/rfc5961#section-5.2
        //# TCP stacks that implement this mitigation MUST add an additional input check to any incoming segment. The ACK value is considered acceptable only if it is in the range of ((SND.UNA - MAX.SND.WND) <= SEG.ACK <= SND.NXT) (5961:5.2-2).
        if ack.before(una - wnd_max) {
            self.challenge();
            //= https://www.rfc-editor.org/rfc/rfc5961#section-5.2
            //# All incoming segments whose ACK value doesn't satisfy the above condition MUST be discarded and an ACK sent back (5961:5.2-3).
            return self.drop(Drop::TcpAckOld);
        }
        if ack.before(una) {
            self.old_ack(ack, arrival);
            return Flow::Next;
        }
        self.open.snd.probes_unanswered = 0;
        self.common.soft_news |= self.common.soft_error.take().is_some();
        let (reach, shut) = (self.open.snd.reach(), self.open.snd.wnd == 0);
        let window = arrival.window_bytes(self.open.snd.scale);
        let duplicate = self.is_duplicate(ack, arrival, window);
        let before = self.open.pipe();
        let (heard, news) = self.hear(ack, arrival, duplicate);
        // Where the window is open decides whether new data may be sent, in place of what a timeout has told to be lost.
        self.open.snd.update_window(arrival.seq, ack, window);
        self.conclude(&heard, &news, before);
        // A small window that stays as it is leaves the timer alone that will fill it, however often the peer writes.
        if self.open.snd.reach() > 0 && self.open.snd.reach() != reach {
            self.open.timers.clear(Timer::Persist);
            self.open.pending.force = false;
            self.open.snd.probes = 0;
        }
        if shut && self.open.snd.wnd > 0 && self.open.snd.stalled_since.is_some() {
            // The wait for the window is over; from now on it is for an acknowledgement.
            self.open.snd.stalled_since = Some(self.now);
        }
        self.own_fin_acked()
    }

    /// The ACK that ends the handshake.
    fn ack_of_syn(&mut self, ack: SeqNum, arrival: &mut Arrival) -> Flow {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
        //# If SND.UNA < SEG.ACK =< SND.NXT, then enter ESTABLISHED state and continue processing (SM-11)
        let (iss, sent) = (self.open.snd.iss, self.open.syns_sent);
        if ack != iss + 1 || sent == 0 {
            self.common.reply = Some(arrival.reply(ack));
            return self.drop(Drop::TcpAckUnsent);
        }
        self.open.snd.stalled_since = None;
        let acked_at = *self.open.deferred.get_or_insert(self.now);
        if self.open.defers(arrival.len()) {
            return self.drop(Drop::TcpDeferAccept);
        }
        if let Some((_, sent_at)) = self.open.snd.timed.take() {
            self.open.rtt.sample(acked_at, acked_at.since(sent_at));
        }
        self.open.timers.clear(Timer::Retransmit);
        self.open.pending.syn = false;
        let window = arrival.window_bytes(self.open.snd.scale);
        self.open.snd.set_window(arrival.seq, ack, window);
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# the SYN/ACK and the acknowledgment of the SYN/ACK MUST NOT increase the size of the congestion window (5681:3.1-6).
        self.open.establish(self.now, self.common, self.cx.config);
        self.syn_text(arrival)
    }

    /// RFC 5681 section 2: what counts as a duplicate ACK. Only a window that has grown tells of another cause, as in Linux.
    //= https://www.rfc-editor.org/rfc/rfc5681#section-2
    //# An acknowledgment is considered a "duplicate" in the following algorithms when (a) the receiver of the ACK has outstanding data, (b) the incoming acknowledgment carries no data, (c) the SYN and FIN bits are both off, (d) the acknowledgment number is equal to the greatest acknowledgment received on the given connection (5681:2-2).
    fn is_duplicate(&self, ack: SeqNum, arrival: &Arrival, window: u32) -> bool {
        let snd = &self.open.snd;
        snd.outstanding() > 0
            && ack == snd.una
            && arrival.payload.is_empty()
            && !arrival.fin()
            && window <= snd.wnd
            && window > 0
    }

    /// An ACK that others have overtaken: its blocks may still tell something.
    fn old_ack(&mut self, ack: SeqNum, arrival: &Arrival) {
        if arrival.sack.is_empty() {
            return;
        }
        let before = self.open.pipe();
        let (heard, news) = self.hear(ack, arrival, false);
        self.conclude(&heard, &news, before);
    }

    /// Takes note of everything that a segment tells of what was sent.
    fn hear(&mut self, ack: SeqNum, arrival: &Arrival, duplicate: bool) -> (Heard, News) {
        let open = &mut *self.open;
        let least = open.rtt.least().unwrap_or_default();
        let sent =
            open.timestamps.as_ref().zip(arrival.timestamps).map(|(own, (_, tsecr))| own.sent_at(tsecr));
        let mut news = open.snd.flight.news(self.now, least, open.recovery.recover).echoing(sent);
        let advanced = if ack.after(open.snd.una) { ack.since(open.snd.una) } else { 0 };
        let timestamps = arrival.timestamps;
        let (una, told) = (open.snd.una, open.snd.flight.held() > 0);
        if advanced > 0 {
            self.new_ack(ack, timestamps, &mut news);
        }
        let twice = self.selective(ack, &arrival.sack, &mut news);
        //= https://www.rfc-editor.org/rfc/rfc3708#section-3
        //# If the segment was not retransmitted the incoming DSACK indicates that the network duplicated the segment in question. Processing of this DSACK MUST be terminated (3708:3-6).
        let twice = twice.filter(|_| self.common.stats.dsack_dups <= self.common.stats.retransmits);
        let open = &mut *self.open;
        if news.probe {
            open.mtu.arrived();
        }
        let selective = open.selective();
        let (mss, outstanding) = (open.snd.mss, open.snd.outstanding());
        let recovery = &mut open.recovery;
        //= https://www.rfc-editor.org/rfc/rfc6937#section-2
        //# With SACK, DeliveredData can be computed precisely as the change in snd.una, plus the (signed) change in SACKd (6937:2-1).
        let mut delivered = news.bytes;
        if advanced > 0 {
            //= https://www.rfc-editor.org/rfc/rfc6675#section-5
            //# If the incoming ACK is a cumulative acknowledgment, the TCP MUST reset DupAcks to zero (6675:5-2).
            recovery.duplicates = 0;
            // One segment filled the hole, the rest was told by duplicates before.
            //= https://www.rfc-editor.org/rfc/rfc6937#section-2
            //# In recovery without SACK, DeliveredData is estimated to be 1 SMSS on duplicate acknowledgements, and on a subsequent partial or full ACK, DeliveredData is estimated to be the change in snd.una, minus 1 SMSS for each preceding duplicate ACK (6937:2-2).
            let told = recovery.heard.min(advanced.saturating_sub(mss));
            recovery.heard -= told;
            delivered = delivered.saturating_sub(told);
        }
        //= https://www.rfc-editor.org/rfc/rfc6675#section-2
        //# we define a "duplicate acknowledgment" as a segment that arrives carrying a SACK block that identifies previously unacknowledged and un-SACKed octets between HighACK and HighData (6675:2-1).
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
        //# a sender using SACK [RFC2018] MUST NOT send new data unless the incoming duplicate acknowledgment contains new SACK information (5681:3.2-6).
        let counts = if selective { news.sacked > 0 } else { duplicate };
        if counts {
            recovery.count(outstanding);
        }
        // After a timeout it is only behind new data that a duplicate tells of what was sent since.
        let tells = recovery.repair != Repair::Timeout || open.snd.nxt.after(recovery.recover);
        if duplicate && !selective && tells {
            let heard = (recovery.heard + mss).min(outstanding.saturating_sub(mss));
            delivered = heard - recovery.heard.min(heard);
            recovery.heard = heard;
        }
        if let Some(twice) = &twice {
            //= https://www.rfc-editor.org/rfc/rfc3708#section-3
            //# If the SACK scoreboard is empty (i.e., the TCP sender has received no SACK information from the receiver) and the left edge of the incoming DSACK is equal to SND.UNA, processing of this DSACK MUST be terminated and the congestion control state MUST NOT be reverted during the current window of data (3708:3-3).
            if twice.start == una && !told {
                recovery.undo.end();
            } else {
                recovery.undo.on_duplicate(twice.end, twice.end.since(twice.start));
            }
        }
        let segments = delivered.div_ceil(mss.max(1));
        self.common.stats.delivered = self.common.stats.delivered.wrapping_add(segments);
        // Without blocks, nothing tells what was sent once from what was sent again beside it.
        let original = news.original && (selective || !news.resent);
        let echo = timestamps.map(|(_, tsecr)| tsecr).filter(|_| open.timestamps.is_some());
        let echo_of_mark = open.ecn.is_echo(arrival.flags);
        if echo_of_mark {
            self.common.stats.delivered_ce = self.common.stats.delivered_ce.wrapping_add(segments);
        }
        let (sacked, copied, acks) = (news.sacked, news.copied, arrival.acks);
        let heard = Heard {
            advanced,
            acks,
            delivered,
            sacked,
            copied,
            original,
            duplicate,
            twice,
            echo,
            echo_of_mark,
        };
        (heard, news)
    }

    /// Draws the conclusions: what is lost, how much may be in flight, and until when to wait. `before`: bytes in flight until now.
    fn conclude(&mut self, heard: &Heard, news: &News, before: u32) {
        let now = self.now;
        let open = &mut *self.open;
        let trip = news.once.map(|(_, last)| now.since(last));
        if let Some(trip) = trip {
            open.rtt.observe(now, trip);
        }
        let probed =
            open.recovery.probe.is_some_and(|probe| heard.twice.as_ref().is_some_and(|t| t.end == probe.end));
        if heard.twice.is_some() && !probed && self.common.stats.retransmits > 0 {
            let (una, nxt) = (open.snd.flight.una(), open.snd.flight.position(open.snd.nxt));
            open.rack.on_duplicate(una, nxt);
        }
        open.rack.on_news(now, news, open.snd.mss);

        open.repaired(heard.copied);
        open.validate(now, heard.advanced);
        let window_limited = open.earns_growth();
        let fast = open.recovery.repair == Repair::Fast;
        let after_timeout = open.recovery.repair == Repair::Timeout;
        let undos = self.cx.counters.tcp_undos;
        let new = self.new_data();
        let unspent = self.open.congestion.window().saturating_sub(before).min(new);
        let rearm = self.repair(heard, new, unspent - unspent % self.open.snd.mss.max(1));
        let open = &mut *self.open;
        //= https://www.rfc-editor.org/rfc/rfc4015#section-3.4
        //# Note that the value of cwnd must not be changed any further for that ACK (4015:3.4-2).
        let undone = self.cx.counters.tcp_undos != undos;
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
        //# The sending TCP SHOULD NOT increase the congestion window in response to the receipt of an ECN-Echo ACK packet (3168:6.1.2-3).
        // While a timeout is repaired no new data tells the peer to stop echoing what it was marked for long ago.
        let calm = !heard.echo_of_mark || open.recovery.repair == Repair::Timeout;
        let growing =
            heard.advanced > 0 && heard.delivered > 0 && !undone && calm && open.ecn.leading().is_none();
        // The ACK that ends fast recovery leaves the window at ssthresh.
        if growing && !fast && open.recovery.repair != Repair::Fast {
            //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
            //# after retransmitting the dropped segment the TCP sender uses the slow start algorithm to increase the window from 1 full-sized segment to the new value of ssthresh, at which point congestion avoidance again takes over (5681:3.1-22).
            let (una, nxt) = (open.snd.flight.una(), open.snd.flight.position(open.snd.nxt));
            let (srtt, least_rtt) = (open.rtt.smoothed(), open.rtt.least());
            let acked = Acked {
                bytes: heard.delivered,
                acks: heard.acks,
                una,
                nxt,
                rtt: trip,
                srtt,
                least_rtt,
                window_limited,
                after_timeout,
            };
            open.congestion.on_ack(now, acked);
        }
        if heard.advanced == 0 {
            return;
        }
        if open.ecn.waits() {
            open.timers.set(Timer::Retransmit, now + open.rto());
        } else if open.snd.outstanding() == 0 {
            //= https://www.rfc-editor.org/rfc/rfc6298#section-5
            //# When all outstanding data has been acknowledged, turn off the retransmission timer (6298:5-3).
            open.timers.clear(Timer::Retransmit);
            open.stop_tail();
            open.timers.clear(Timer::Reorder);
        } else if rearm && open.timers.is_set(Timer::Retransmit) {
            //= https://www.rfc-editor.org/rfc/rfc6298#section-5
            //# When an ACK is received that acknowledges new data, restart the retransmission timer so that it will expire after RTO seconds (for the current value of RTO) (6298:5-4).
            open.timers.set(Timer::Retransmit, now + open.rto());
            open.arm_tail(now);
        }
    }

    /// Bytes never sent that could go, were it not for the congestion window.
    fn new_data(&self) -> u32 {
        let queued = self.open.queued(self.buffers);
        self.open.snd.unsent(queued).min(self.open.snd.usable())
    }

    /// SND.UNA moves.
    fn new_ack(&mut self, ack: SeqNum, timestamps: Option<(u32, u32)>, news: &mut News) {
        let now = self.now;
        let open = &mut *self.open;
        let una = open.snd.una;
        let bytes = ack.since(una);
        //= https://www.rfc-editor.org/rfc/rfc2018#section-8
        //# the sender MUST NOT discard data before it is acknowledged by the Acknowledgment Number field in the TCP header (2018:8-5).
        let released = self.buffers.send.release(bytes as usize);
        self.common.stats.bytes_acked += released as u64;
        self.common.stats.timeouts.over(now);
        open.snd.flight.acked(ack, news);

        let timed = open.snd.timed.filter(|(end, _)| ack.at_or_after(*end));
        if let Some((_, sent_at)) = timed {
            open.snd.timed = None;
            open.rtt.sample(now, now.since(sent_at));
            open.recovery.measured = true;
            let delivered = self.common.stats.bytes_acked;
            self.common.stats.rate.end(delivered, now.since(sent_at));
            open.snd.measured = Some(open.snd.nxt);
        } else if open.snd.timed.is_none() && open.snd.measured.is_none_or(|mark| ack.after(mark)) {
            //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
            //# When the ACK bit is not set, the receiver MUST ignore the value of the TSecr field (7323:3.2-3).
            //= https://www.rfc-editor.org/rfc/rfc7323#section-4.1
            //# A TSecr value received in a segment MAY be used to update the averaged RTT measurement only if the segment advances the left edge of the send window (7323:4.1-2).
            let echo = timestamps.map(|(_, tsecr)| tsecr);
            let since = open.snd.timed_out_at;
            let trip = open
                .timestamps
                .as_ref()
                .zip(echo)
                .and_then(|(stamps, echo)| stamps.round_trip(now, echo, since));
            if let Some(trip) = trip {
                open.rtt.sample(now, trip);
                open.recovery.measured = true;
                //= https://www.rfc-editor.org/rfc/rfc7323#section-4.2
                //# When multiple RTTMs per RTT are available to update the RTT estimator, an implementation SHOULD try to adhere to the spirit of the history specified in [RFC6298] (7323:4.2-1).
                open.snd.measured = Some(open.snd.nxt);
            }
        }

        open.snd.una = ack;
        // As in Linux, MSG_MORE holds back no longer than to the next ACK: what was written without it goes then as well.
        self.common.waits_for_more = false;
        open.snd.cursor = open.snd.cursor.latest(ack);
        open.snd.retries = 0;
        open.mtu.passes_again();
        open.snd.cut_again = open.snd.cut_again.filter(|mark| mark.after(ack));
        open.snd.small = open.snd.small.filter(|end| end.after(ack));
        open.snd.probe = open.snd.probe.filter(|probe| probe.at_or_after(ack));
        open.snd.stalled_since = (open.snd.outstanding() > 0).then_some(now);
        open.pending.head = false;
    }

    /// The blocks of a segment (RFC 6675 section 5); what the peer received twice.
    fn selective(&mut self, ack: SeqNum, blocks: &[(u32, u32)], news: &mut News) -> Option<Range<SeqNum>> {
        let open = &mut *self.open;
        if !open.selective() {
            return None;
        }
        let edges = Edges { una: open.snd.una, nxt: open.snd.nxt };
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# Upon the receipt of any ACK containing SACK information, the scoreboard MUST be updated via the Update () routine (6675:5-1).
        let update = Scoreboard { flight: &mut open.snd.flight, news }.update(edges, ack, blocks);
        self.cx.counters.tcp_sack_ignored += u64::from(update.ignored);
        if let Some(duplicate) = &update.duplicate {
            self.cx.counters.tcp_dsacks_in += 1;
            self.common.stats.duplicated(duplicate.end.since(duplicate.start), open.snd.mss);
        }
        update.duplicate
    }

    /// Moves on when our FIN is acknowledged.
    fn own_fin_acked(&mut self) -> Flow {
        let state = self.open.state();
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
        //# if the FIN segment is now acknowledged, then enter FIN-WAIT-2 and continue processing in that state. ... if the ACK acknowledges our FIN, then enter the TIME-WAIT state ... If our FIN is now acknowledged, delete the TCB, enter the CLOSED state, and return. (SM-13)
        let next = state.after_acked_fin().filter(|_| self.open.snd.fin_acked());
        match next {
            None => Flow::Next,
            Some(State::Closed) => Flow::End(EndReason::Finished),
            Some(State::TimeWait) => {
                self.time_wait();
                Flow::Next
            }
            Some(state) => {
                self.open.enter(self.now, state);
                Flow::Next
            }
        }
    }
}
