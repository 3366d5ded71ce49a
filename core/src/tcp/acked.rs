//! What an ACK says: the fifth step of RFC 9293 3.10.7.4.

use super::congestion::Acked;
use super::input::{Flow, Step};
use super::recovery::{OnAck, OnDuplicate, Repair};
use super::scoreboard::Edges;
use super::segment::Arrival;
use super::timer::Timer;
use super::{EndReason, SeqNum, State};
use crate::counters::Drop;

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
            self.selective(ack, &arrival.sack);
            return Flow::Next;
        }
        self.open.snd.probes_unanswered = 0;
        self.common.soft_news |= self.common.soft_error.take().is_some();
        let (usable, shut) = (self.open.snd.usable(), self.open.snd.wnd == 0);
        let window = arrival.window_bytes(self.open.snd.scale);
        if ack.after(una) {
            self.new_ack(ack, arrival.timestamps);
        } else if self.open.snd.scoreboard.is_none() && self.is_duplicate(ack, arrival, window) {
            self.duplicate_ack();
        }
        self.selective(ack, &arrival.sack);
        self.open.snd.update_window(arrival.seq, ack, window);
        // A small window that stays as it is leaves the timer alone that will fill it, however often the peer writes.
        if self.open.snd.usable() > 0 && self.open.snd.usable() != usable {
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
            self.open.rtt.sample(acked_at.since(sent_at));
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

    /// SND.UNA moves.
    fn new_ack(&mut self, ack: SeqNum, timestamps: Option<(u32, u32)>) {
        let now = self.now;
        let open = &mut *self.open;
        let una = open.snd.una;
        let bytes = ack.since(una);
        //= https://www.rfc-editor.org/rfc/rfc2018#section-8
        //# the sender MUST NOT discard data before it is acknowledged by the Acknowledgment Number field in the TCP header (2018:8-5).
        let released = self.buffers.send.release(bytes as usize);
        self.common.stats.bytes_acked += released as u64;
        self.common.stats.timeouts.over(now);
        let segments = bytes.div_ceil(open.snd.mss.max(1));
        self.common.stats.delivered = self.common.stats.delivered.wrapping_add(segments);

        let timed = open.snd.timed.filter(|(end, _)| ack.at_or_after(*end));
        let mut rtt = None;
        if let Some((_, sent_at)) = timed {
            open.snd.timed = None;
            rtt = Some(now.since(sent_at));
            open.rtt.sample(now.since(sent_at));
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
            rtt = trip;
            if let Some(trip) = trip {
                open.rtt.sample(trip);
                //= https://www.rfc-editor.org/rfc/rfc7323#section-4.2
                //# When multiple RTTMs per RTT are available to update the RTT estimator, an implementation SHOULD try to adhere to the spirit of the history specified in [RFC6298] (7323:4.2-1).
                open.snd.measured = Some(open.snd.nxt);
            }
        }

        let flight = open.snd.outstanding();
        let window = open.congestion.window();
        let window_limited = open.snd.usage.earns_growth(window, window < open.congestion.threshold());
        open.snd.una = ack;
        let selective = open.snd.scoreboard.is_some();
        // What was told by duplicates or blocks before has let limited transmit send already: it does not widen the window as well (as Linux).
        let told = match &mut open.snd.scoreboard {
            Some(board) => {
                let held = board.sacked();
                board.advance(bytes);
                held.saturating_sub(board.sacked())
            }
            None => open
                .recovery
                .duplicates()
                .saturating_mul(open.snd.mss)
                .min(bytes.saturating_sub(open.snd.mss)),
        };
        let fresh = bytes.saturating_sub(told);
        // As in Linux, MSG_MORE holds back no longer than to the next ACK: what was written without it goes then as well.
        self.common.waits_for_more = false;
        open.snd.cursor = open.snd.cursor.latest(ack);
        open.snd.retries = 0;
        open.snd.cut_again = open.snd.cut_again.filter(|mark| mark.after(ack));
        open.snd.small = open.snd.small.filter(|end| end.after(ack));
        open.snd.probe = open.snd.probe.filter(|probe| probe.at_or_after(ack));
        let outstanding = open.snd.outstanding();
        open.snd.stalled_since = (outstanding > 0).then_some(now);

        let una = self.common.stats.bytes_acked;
        let acked = Acked {
            bytes: fresh,
            una,
            nxt: una + u64::from(outstanding),
            rtt,
            srtt: open.rtt.smoothed(),
            least_rtt: open.rtt.least(),
            flight,
            window_limited,
            after_timeout: false,
        };
        let mut rearm = true;
        match open.recovery.on_ack(ack, bytes, open.snd.mss) {
            OnAck::Clean => open.congestion.on_ack(now, acked),
            //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
            //# after retransmitting the dropped segment the TCP sender uses the slow start algorithm to increase the window from 1 full-sized segment to the new value of ssthresh, at which point congestion avoidance again takes over (5681:3.1-22).
            OnAck::AfterTimeout => {
                open.congestion.on_ack(now, Acked { after_timeout: true, ..acked });
            }
            // What is to be sent next is for the scoreboard to say.
            //= https://www.rfc-editor.org/rfc/rfc6675#section-5
            //# Upon receipt of an ACK that does not cover RecoveryPoint, the following actions MUST be taken (6675:5-14).
            OnAck::Partial { .. } if selective => open.pending.head = false,
            //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
            //# If this ACK does *not* acknowledge all of the data up to and including recover, then this is a partial ACK. In this case, retransmit the first unacknowledged segment (6582:3.2-7).
            OnAck::Partial { first } => {
                open.pending.head = true;
                //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
                //# For the first partial ACK that arrives during fast recovery, also reset the retransmit timer (6582:3.2-12).
                rearm = first;
            }
            OnAck::Full => {
                open.pending.head = false;
                open.congestion.on_recovered(now);
                // With SACK the window was kept all along, and what is in flight is below it.
                if !selective {
                    let mss = open.snd.mss;
                    let most = outstanding.max(mss).saturating_add(mss);
                    //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
                    //# Set cwnd to either (1) min (ssthresh, max(FlightSize, SMSS) + SMSS) or (2) ssthresh (6582:3.2-4).
                    open.congestion.set_window(open.congestion.window().min(most));
                }
            }
        }
        if let Some(board) = open.snd.scoreboard.as_mut().filter(|_| open.recovery.repair() == Repair::None) {
            //= https://www.rfc-editor.org/rfc/rfc6675#section-5
            //# Any information contained in the scoreboard for sequence numbers greater than the new value of HighACK SHOULD NOT be cleared when leaving the loss recovery phase (6675:5-13).
            board.forget_resent();
        }
        open.skip_held();
        if outstanding == 0 {
            //= https://www.rfc-editor.org/rfc/rfc6298#section-5
            //# When all outstanding data has been acknowledged, turn off the retransmission timer (6298:5-3).
            open.timers.clear(Timer::Retransmit);
        } else if rearm && open.timers.is_set(Timer::Retransmit) {
            //= https://www.rfc-editor.org/rfc/rfc6298#section-5
            //# When an ACK is received that acknowledges new data, restart the retransmission timer so that it will expire after RTO seconds (for the current value of RTO) (6298:5-4).
            open.timers.set(Timer::Retransmit, now + open.rtt.rto());
        }
    }

    /// The blocks of a segment (RFC 6675 section 5); a duplicate ACK is one that tells something new.
    fn selective(&mut self, ack: SeqNum, blocks: &[(u32, u32)]) {
        let open = &mut *self.open;
        let edges = Edges { una: open.snd.una, nxt: open.snd.nxt };
        let Some(board) = open.snd.scoreboard.as_mut() else { return };
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# Upon the receipt of any ACK containing SACK information, the scoreboard MUST be updated via the Update () routine (6675:5-1).
        let update = board.update(edges, ack, blocks);
        self.cx.counters.tcp_sack_ignored += u64::from(update.ignored);
        if let Some(duplicate) = update.duplicate {
            self.cx.counters.tcp_dsacks_in += 1;
            self.common.stats.duplicated(duplicate.end.since(duplicate.start), open.snd.mss);
        }
        // What is lost behind the end of a recovery is known already: the next need not wait for news.
        let lost = board.is_lost(open.snd.mss);
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
        //# a sender using SACK [RFC2018] MUST NOT send new data unless the incoming duplicate acknowledgment contains new SACK information (5681:3.2-6).
        //= https://www.rfc-editor.org/rfc/rfc6675#section-2
        //# we define a "duplicate acknowledgment" as a segment that arrives carrying a SACK block that identifies previously unacknowledged and un-SACKed octets between HighACK and HighData (6675:2-1).
        if update.new == 0 && !lost {
            return;
        }
        open.skip_held();
        if open.snd.resending() == 0 && open.recovery.on_sack(edges.nxt, lost) == OnDuplicate::Retransmit {
            self.cx.counters.tcp_sack_recoveries += 1;
            self.recover();
        }
    }

    fn duplicate_ack(&mut self) {
        let (una, nxt, mss) = (self.open.snd.una, self.open.snd.nxt, self.open.snd.mss);
        if self.open.recovery.on_duplicate(una, nxt, mss) == OnDuplicate::Retransmit {
            self.recover();
        }
    }

    /// Fast retransmit: the segment at SND.UNA is lost.
    //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
    //# The TCP sender SHOULD use the "fast retransmit" algorithm to detect and repair loss, based on incoming duplicate ACKs (5681:3.2-3).
    fn recover(&mut self) {
        let open = &mut *self.open;
        let flight = open.recovery.flight_size(open.snd.una);
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
        //# When the third duplicate ACK is received, a TCP MUST set ssthresh to no more than the value given in equation (4) (5681:3.2-7).
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# The congestion window (cwnd) and slow start threshold (ssthresh) are reduced to half of FlightSize per [RFC5681] (6675:5-8).
        open.congestion.on_congestion(self.now, flight);
        open.congestion.set_window(open.congestion.threshold());
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# Retransmit the first data segment presumed dropped -- the segment starting with sequence number HighACK + 1 (6675:5-9).
        open.pending.head = true;
        open.snd.timed = None;
        //= https://www.rfc-editor.org/rfc/rfc6298#section-5
        //# An implementation MUST manage the retransmission timer(s) in such a way that a segment is never retransmitted too early, i.e., less than one RTO after the previous transmission of that segment (6298:5-1).
        open.timers.set(Timer::Retransmit, self.now + open.rtt.rto());
        self.cx.counters.tcp_fast_retransmits += 1;
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
