//! What arrives: the steps of RFC 9293 3.10.7.4, one function each, in its order (the fifth is in `acked`, the text of the seventh in `text`). What they want sent becomes a flag; `output` sends it.

use super::ack::Cause;
use super::challenge::Rates;
use super::connection::{Common, Connection, Open, Phase};
use super::segment::Arrival;
use super::timer::Timer;
use super::{Buffers, Context, EndReason, Segment, SeqNum, State};
use crate::counters::Drop;
use crate::error::Errno;
use crate::time::Instant;
use crate::wire::tcp::Flags;

/// Whether a segment goes on to the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// On to the next step.
    Next,
    /// Done with it.
    Done,
    /// The connection is over.
    End(EndReason),
    /// The connection is over, and the peer is told by RST.
    Reset(EndReason),
}

/// What the steps share.
pub(super) struct Step<'a, 'b> {
    pub now: Instant,
    pub open: &'a mut Open,
    pub common: &'a mut Common,
    pub buffers: &'a mut Buffers,
    pub cx: &'a mut Context<'b>,
}

impl Connection {
    /// Takes one segment.
    pub(super) fn input(
        &mut self,
        now: Instant,
        mut segment: Segment,
        buffers: &mut Buffers,
        cx: &mut Context<'_>,
    ) {
        self.common.stats.received(now, &segment);
        if let Phase::Open(open) = &mut self.phase {
            let mut step = Step { now, open, common: &mut self.common, buffers, cx };
            if step.predicted(&mut segment) {
                return;
            }
        }
        self.input_in_full(now, segment, buffers, cx);
    }

    /// Takes one segment through all steps.
    pub(super) fn input_in_full(
        &mut self,
        now: Instant,
        segment: Segment,
        buffers: &mut Buffers,
        cx: &mut Context<'_>,
    ) {
        match &mut self.phase {
            Phase::Opening(_) => self.in_syn_sent(now, segment, buffers, cx),
            Phase::Open(_) => {
                let mut arrival = Arrival::new(segment);
                self.run(now, buffers, cx, |step| step.all(&mut arrival));
            }
            Phase::Closed(closed) => {
                // Both ends have given up at once: there is nobody left to tell.
                let own = closed.reset.as_ref().and_then(|reset| reset.ack);
                if segment.header.flags.has(Flags::RST) && own == Some(SeqNum(segment.header.seq)) {
                    closed.reset = None;
                }
                self.common.dropped(now, Drop::TcpClosed, cx);
            }
        }
    }

    /// What of a SYN/ACK is left once the connection is open: text and FIN.
    pub(super) fn after_syn(
        &mut self,
        now: Instant,
        mut arrival: Arrival,
        buffers: &mut Buffers,
        cx: &mut Context<'_>,
    ) {
        arrival.strip_syn();
        self.run(now, buffers, cx, |step| {
            arrival.cut_back(step.open.rcv.honored_edge());
            step.text_and_fin(&mut arrival)
        });
    }

    fn run(
        &mut self,
        now: Instant,
        buffers: &mut Buffers,
        cx: &mut Context<'_>,
        steps: impl FnOnce(&mut Step<'_, '_>) -> Flow,
    ) {
        let Phase::Open(open) = &mut self.phase else { return };
        let mut step = Step { now, open, common: &mut self.common, buffers, cx };
        match steps(&mut step) {
            Flow::Next | Flow::Done => {}
            Flow::End(reason) => self.end(reason),
            Flow::Reset(reason) => self.refuse(reason),
        }
    }
}

impl Step<'_, '_> {
    fn all(&mut self, arrival: &mut Arrival) -> Flow {
        let steps = [
            Self::sequence_number,
            Self::rst_bit,
            Self::security,
            Self::syn_bit,
            Self::ack_field,
            Self::urgent_bit,
            Self::text_and_fin,
        ];
        for step in steps {
            let flow = step(self, arrival);
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Done
    }

    pub(super) fn drop(&mut self, reason: Drop) -> Flow {
        self.common.dropped(self.now, reason, self.cx);
        Flow::Done
    }

    /// An ACK for a segment that may be forged: rate limited.
    pub(super) fn challenge(&mut self) {
        let config = self.cx.config;
        let rates = Rates {
            //= https://www.rfc-editor.org/rfc/rfc5961#section-7
            //# The values for both the time and number of ACKs SHOULD be tunable by the system administrator (5961:7-2).
            interval: config.challenge_interval,
            own: config.challenge_acks,
            stack: config.challenge_acks_stack,
        };
        if !self.open.challenge.ask(self.now, rates, self.cx.challenges) {
            self.cx.counters.tcp_challenge_acks_held += 1;
        }
    }

    /// "First, check sequence number": PAWS comes before it (RFC 7323 5.3), the cut to the window after.
    fn sequence_number(&mut self, arrival: &mut Arrival) -> Flow {
        let (now, rcv_nxt) = (self.now, self.open.rcv.nxt);
        if self.open.state() == State::SynReceived && arrival.syn() && arrival.end() == rcv_nxt {
            self.keep_timestamp(arrival);
            return self.syn_again(arrival);
        }
        //= https://www.rfc-editor.org/rfc/rfc7323#section-5.3
        //# If the PAWS algorithm is used, the following processing MUST be performed on all incoming segments for a synchronized connection (7323:5.3-1).
        //= https://www.rfc-editor.org/rfc/rfc7323#section-5.3
        //# PAWS processing MUST take precedence over the regular TCP acceptability check (7323:5.3-2).
        if let Some(flow) = self.timestamps(arrival) {
            return flow;
        }
        self.keep_timestamp(arrival);
        if !self.acceptable(arrival) {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
            //# If an incoming segment is not acceptable, an acknowledgment should be sent in reply (unless the RST bit is set, if so drop the segment and return) (SM-5)
            if arrival.rst() {
                return self.drop(Drop::TcpWindow);
            }
            if self.cx.config.old_segments_acknowledge && arrival.is_old(rcv_nxt) {
                let flow = self.ack_field(arrival);
                if flow != Flow::Next {
                    return flow;
                }
            }
            self.answer_unacceptable(arrival);
            return self.drop(Drop::TcpWindow);
        }
        self.open.heard = now;
        self.open.keep_probes = 0;
        if arrival.rst() || (arrival.syn() && self.open.state() != State::SynReceived) {
            // Both count as they came: RFC 5961 asks for the very next number of the one, and answers the other whatever its number.
            return Flow::Next;
        }
        if let Some(old) = arrival.cut_front(rcv_nxt) {
            self.open.rcv.report_old(old);
        }
        if arrival.cut_back(self.open.rcv.honored_edge()) {
            self.open.acks.owe_now(Cause::Refused);
        }
        Flow::Next
    }

    /// The peer's SYN once more, in SYN-RECEIVED: its answer was lost. With an ACK it is the answer to ours (simultaneous open).
    fn syn_again(&mut self, arrival: &mut Arrival) -> Flow {
        if arrival.rst() {
            return self.drop(Drop::TcpRst);
        }
        self.open.ecn.another(arrival.flags);
        if arrival.ack.is_none() {
            self.open.pending.syn = true;
            self.open.syn_lost = true;
            return self.drop(Drop::TcpSyn);
        }
        arrival.strip_syn();
        self.open.acks.owe_now(Cause::Handshake);
        Flow::Next
    }

    /// The four cases of RFC 9293 3.4. Beyond them a segment without data may lie on the right edge (the peer has filled the window), and one at
    /// RCV.NXT is looked at even when the window is closed, for its ACK (3.10.7.4: "special allowance").
    fn acceptable(&self, arrival: &Arrival) -> bool {
        let rcv = &self.open.rcv;
        let edge = rcv.honored_edge();
        let inside = |seq: SeqNum| rcv.is_inside(seq);
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.4
        //# A TCP receiver MUST process the RST and URG fields of all incoming segments, even when the receive window is zero (MUST-66).
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
        //# If the RCV.WND is zero, no segments will be acceptable, but special allowance should be made to accept valid ACKs, URGs, and RSTs (SM-19).
        if arrival.seq == rcv.nxt {
            return true;
        }
        match arrival.len() {
            0 => inside(arrival.seq) || arrival.seq == edge,
            len => inside(arrival.seq) || inside(arrival.seq + (len - 1)),
        }
    }

    /// An ACK in reply: at once when the segment carried something, since its sender waits for it; a bare one may be part of an ACK war.
    pub(super) fn answer_unacceptable(&mut self, arrival: &Arrival) {
        if arrival.syn() && self.open.state() != State::SynReceived {
            return self.challenge();
        }
        if self.open.state() == State::TimeWait && arrival.fin() {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
            //# Acknowledge it, and restart the 2 MSL timeout (SM-13).
            self.open.since = self.now;
        }
        if arrival.payload.is_empty() && !arrival.fin() && !self.is_probe(arrival) {
            return self.challenge();
        }
        self.open.acks.owe_now(Cause::Unexpected);
        let nxt = self.open.rcv.nxt;
        if arrival.seq.before(nxt) && arrival.len() > 0 && !arrival.syn() {
            let end = if arrival.end().before(nxt) { arrival.end() } else { nxt };
            //= https://www.rfc-editor.org/rfc/rfc2883#section-4.3
            //# The D-SACK block can be included in the SACK option of the ACK, as outlined in Section 4, independently of the use of PAWS by the TCP receiver (2883:4.3-1).
            self.open.rcv.report_old(arrival.seq..end);
        } else if self.open.rcv.is_inside(arrival.seq) && !arrival.payload.is_empty() {
            // Too old for PAWS: the copy that a repair made for nothing has come before it.
            self.open.rcv.report_held(arrival.seq, arrival.payload.len() as u32);
        }
    }

    /// A keep-alive, or a window probe of the kind that Linux sends: its sender gives the connection up if it is not answered.
    fn is_probe(&self, arrival: &Arrival) -> bool {
        let snd = &self.open.snd;
        let current = |ack: SeqNum| ack.at_or_after(snd.una) && ack.at_or_before(snd.nxt);
        arrival.seq + 1 == self.open.rcv.nxt && arrival.len() == 0 && arrival.ack.is_some_and(current)
    }

    /// "Second, check the RST bit", as amended by RFC 5961 section 3.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.5.3
    //# TCP implementations SHOULD allow a received RST segment to include data (SHLD-2).
    //= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
    //# implementations SHOULD implement the following steps in place of those specified in [RFC0793] (5961:3.2-1).
    fn rst_bit(&mut self, arrival: &mut Arrival) -> Flow {
        if !arrival.rst() {
            return Flow::Next;
        }
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
        //# If the RST bit is set and the sequence number is outside the current receive window, silently drop the segment (SM-6).
        //= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
        //# If the RST bit is set and the sequence number is outside the current receive window, silently drop the segment (5961:3.2-2).
        if arrival.seq != self.open.rcv.nxt && !self.open.rcv.is_inside(arrival.seq) {
            return self.drop(Drop::TcpWindow);
        }
        //= https://www.rfc-editor.org/rfc/rfc1337#section-3
        //# Ignore RST segments in TIME-WAIT state (1337:3-1).
        if self.open.state() == State::TimeWait && self.cx.config.time_wait_ignores_reset {
            return self.drop(Drop::TcpRst);
        }
        //= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
        //# If the RST bit is set and the sequence number does not exactly match the next expected sequence value, yet is within the current receive window (RCV.NXT < SEG.SEQ < RCV.NXT+RCV.WND), TCP MUST send an acknowledgment (challenge ACK) (5961:3.2-4).
        if arrival.seq != self.open.rcv.nxt {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
            //# TCP endpoints MUST send an acknowledgment (challenge ACK): <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK> After sending the challenge ACK, TCP endpoints MUST drop the unacceptable segment and stop processing the incoming packet further. (SM-6)
            self.challenge();
            //= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
            //# After sending the challenge ACK, TCP MUST drop the unacceptable segment and stop processing the incoming packet further (5961:3.2-5).
            return self.drop(Drop::TcpRst);
        }
        //= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
        //# If the RST bit is set and the sequence number exactly matches the next expected sequence number (RCV.NXT), then TCP MUST reset the connection (5961:3.2-3).
        let reset = |errno| Flow::End(EndReason::Reset { seq: arrival.seq.0, errno });
        match self.open.state() {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
            //# If this connection was initiated with an active OPEN (i.e., came from SYN-SENT state), then the connection was refused; signal the user "connection refused" (SM-7).
            State::SynReceived => {
                self.cx.counters.tcp_attempt_fails += 1;
                reset(Errno::ECONNREFUSED)
            }
            State::TimeWait => reset(Errno::ECONNRESET),
            State::CloseWait if self.cx.config.reset_in_close_wait_is_epipe => {
                self.cx.counters.tcp_resets_in += 1;
                reset(Errno::EPIPE)
            }
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
            //# If the RST bit is set, then any outstanding RECEIVEs and SEND should receive "reset" responses. All segment queues should be flushed. Users should also receive an unsolicited general "connection reset" signal. Enter the CLOSED state, delete the TCB, and return. (SM-8)
            _ => {
                self.cx.counters.tcp_resets_in += 1;
                reset(Errno::ECONNRESET)
            }
        }
    }

    /// "Third, check security": compartments (RFC 9293 A.1) are not spoken here.
    #[allow(clippy::unused_self, reason = "one of the eight steps")]
    fn security(&mut self, _arrival: &mut Arrival) -> Flow {
        Flow::Next
    }

    /// "Fourth, check the SYN bit", as amended by RFC 5961 section 4.
    //= https://www.rfc-editor.org/rfc/rfc5961#section-4.2
    //# the handling of the SYN in the synchronized state SHOULD be performed as follows (5961:4.2-1).
    fn syn_bit(&mut self, arrival: &mut Arrival) -> Flow {
        if !arrival.syn() {
            return Flow::Next;
        }
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
        //# If the connection was initiated with a passive OPEN, then return this connection to the LISTEN state and return. Otherwise, handle per the directions for synchronized states below. (SM-9)
        if self.open.passive && self.open.state() == State::SynReceived {
            self.cx.counters.tcp_attempt_fails += 1;
            self.drop(Drop::TcpSyn);
            return Flow::End(EndReason::Reset { seq: arrival.seq.0, errno: Errno::ECONNREFUSED });
        }
        //= https://www.rfc-editor.org/rfc/rfc5961#section-4.2
        //# If the SYN bit is set, irrespective of the sequence number, TCP MUST send an ACK (also referred to as challenge ACK) to the remote peer (5961:4.2-2).
        self.challenge();
        //= https://www.rfc-editor.org/rfc/rfc5961#section-4.2
        //# After sending the acknowledgment, TCP MUST drop the unacceptable segment and stop processing further (5961:4.2-3).
        self.drop(Drop::TcpSyn)
    }

    /// "Sixth, check the URG bit": what was seen already, a pointer of zero included, is no news.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.5
    //# TCP implementations MUST still include support for the urgent mechanism (MUST-30).
    fn urgent_bit(&mut self, arrival: &mut Arrival) -> Flow {
        self.open.urgent.on_ack(self.open.snd.una);
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
        //# If the URG bit is set, RCV.UP <- max(RCV.UP,SEG.UP), and signal the user that the remote side has urgent data ... This should not occur since a FIN has been received from the remote side. Ignore the URG. (SM-14)
        let Some(up) = arrival.urgent.filter(|_| self.open.state().receives()) else { return Flow::Next };
        //= https://www.rfc-editor.org/rfc/rfc6093#section-4
        //# the urgent pointer points to the sequence number of the octet following the urgent data (6093:4-1).
        let last = if self.cx.config.urgent_pointer_last { up } else { up - 1 };
        let rcv = &self.open.rcv;
        if last.at_or_after(rcv.nxt) && !rcv.fin_reached {
            self.open.urgent.on_pointer(rcv.position_of(last));
        }
        Flow::Next
    }

    /// "Seventh, process the segment text" and "Eighth, check the FIN bit".
    fn text_and_fin(&mut self, arrival: &mut Arrival) -> Flow {
        self.congestion_seen(arrival.flags, arrival.ecn, arrival.segments);
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
        //# This should not occur since a FIN has been received from the remote side. Ignore the segment text. (SM-15)
        if !self.open.state().receives() {
            if !arrival.payload.is_empty() {
                self.open.acks.owe_now(Cause::Refused);
                return self.drop(Drop::TcpClosed);
            }
            // Whoever sends beyond the end of its stream has lost count, and is told, as by Linux.
            if self.open.state() == State::TimeWait && arrival.seq != self.open.rcv.nxt {
                self.challenge();
            }
            return Flow::Done;
        }
        let fin = arrival.fin().then(|| {
            let at = self.open.rcv.position_of(arrival.seq);
            at + arrival.payload.len() as u64
        });
        if !arrival.payload.is_empty() {
            if self.common.orphaned.is_some() {
                //= https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1
                //# its TCP implementation SHOULD send a RST to show that data was lost (SHLD-3)
                self.drop(Drop::TcpClosed);
                return Flow::Reset(EndReason::Unread);
            }
            self.text(arrival);
        }
        self.fin_bit(fin)
    }

    /// A FIN ends the stream once everything before it has come. One that was followed by more data was none.
    fn fin_bit(&mut self, fin: Option<u64>) -> Flow {
        let position = self.open.rcv.position;
        self.open.rcv.fin = self.open.rcv.fin.filter(|at| *at >= position);
        if let Some(at) = fin {
            let known = *self.open.rcv.fin.get_or_insert(at);
            if at != self.open.rcv.position {
                self.open.acks.owe_now(Cause::Fin);
            }
            if at == known {
                self.open.rcv.keep_fin(at);
            }
        }
        if self.open.rcv.fin != Some(self.open.rcv.position) || self.open.rcv.fin_reached {
            return Flow::Done;
        }
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
        //# advance RCV.NXT over the FIN, and send an acknowledgment for the FIN (SM-16).
        self.open.rcv.nxt += 1;
        self.open.rcv.fin_reached = true;
        self.open.urgent.on_end(position);
        self.open.rcv.assembler.clear();
        if let Some(sack) = &mut self.open.rcv.sack {
            sack.advance(u64::MAX);
        }
        self.open.acks.forget_duplicates();
        self.open.acks.owe_now(Cause::Fin);
        match self.open.state().after_received_fin() {
            Some(State::TimeWait) => self.time_wait(),
            Some(state) => self.open.enter(self.now, state),
            None => {}
        }
        Flow::Done
    }

    pub(super) fn time_wait(&mut self) {
        self.open.enter(self.now, State::TimeWait);
        for timer in [Timer::Retransmit, Timer::Persist, Timer::DelayedAck] {
            self.open.timers.clear(timer);
        }
        self.common.ended.get_or_insert(EndReason::Finished);
    }
}
