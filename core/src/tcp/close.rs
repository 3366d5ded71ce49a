//! How a connection ends: reset, timeouts, and the timers that lead there.

use super::account::Activity;
use super::connection::{Closed, Common, Connection, Open, Phase};
use super::flight::Cause;
use super::recovery::{Frto, Repair};
use super::segment::bare;
use super::timer::Timer;
use super::{Buffers, Context, EndReason, State, Timeout};
use crate::config::TcpConfig;
use crate::time::{Duration, Instant};
use crate::wire::tcp::Flags;

/// What the expiry of a timer leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expiry {
    /// The connection goes on.
    GoOn,
    /// It is over, without a word to the peer.
    Over(EndReason),
    /// It is over, and the peer is told.
    Reset(EndReason),
}

impl Connection {
    /// CLOSED, without a word to the peer. The program is told the error unless it is nobody's, or its own doing.
    pub(super) fn end(&mut self, reason: EndReason) {
        if self.common.ended.is_none() {
            self.common.ended = Some(reason);
            let own = matches!(reason, EndReason::Aborted | EndReason::Unread | EndReason::StackClosed);
            self.common.error = reason.errno().filter(|_| !own);
        }
        let last = Box::new(self.info(self.now, &Buffers::default()));
        self.common.stats.time.turn(self.now, Activity::Idle);
        self.phase = Phase::Closed(Closed { reset: None, last });
    }

    /// CLOSED, with RST where RFC 9293 3.10.5 says so.
    pub(super) fn reset(&mut self, reason: EndReason) {
        let reset = match &self.phase {
            Phase::Open(open) if resets(open.state()) => {
                let mut reset = bare(open.snd.acceptable(), Some(open.rcv.nxt), Flags::RST);
                //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
                //# SHOULD be sent in an <RST> segment (7323:3.2-7).
                //= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
                //# If an <RST> is being generated because of a user abort, and Snd.TS.OK is set, then a Timestamps option SHOULD be included in the <RST> (7323:5.2-4).
                reset.options.timestamps = open.timestamps.as_ref().map(|stamps| stamps.option(self.now));
                Some(reset)
            }
            Phase::Closed(closed) => closed.reset.clone(),
            _ => None,
        };
        self.end(reason);
        if let Phase::Closed(closed) = &mut self.phase {
            closed.reset = reset;
        }
    }

    /// The same for what has come and nobody will read: as if there were no connection any more (RFC 9293 3.10.7.1), with the number that the peer
    /// waits for. What was sent behind that, our FIN for one, may not have arrived, and a RST beyond it would only be challenged.
    pub(super) fn refuse(&mut self, reason: EndReason) {
        let Phase::Open(open) = &self.phase else { return };
        let una = open.snd.una;
        self.reset(reason);
        if let Phase::Closed(Closed { reset: Some(reset), .. }) = &mut self.phase {
            (reset.seq, reset.ack) = (una, None);
        }
    }

    /// Runs the timers that are due.
    pub(super) fn expire(&mut self, now: Instant, cx: &mut Context<'_>) {
        let expiry = match &mut self.phase {
            Phase::Opening(_) => self.expire_opening(now, cx),
            Phase::Open(open) => open.expire(now, &mut self.common, cx),
            Phase::Closed(_) => Expiry::GoOn,
        };
        match expiry {
            Expiry::GoOn => {}
            Expiry::Over(reason) => self.end(reason),
            Expiry::Reset(reason) => self.reset(reason),
        }
    }

    fn expire_opening(&mut self, now: Instant, cx: &mut Context<'_>) -> Expiry {
        let Phase::Opening(opening) = &mut self.phase else { return Expiry::GoOn };
        if opening.deadline(&self.common).is_none_or(|at| at > now) {
            return Expiry::GoOn;
        }
        opening.retransmit_at = None;
        let timeout = self.common.setup.options.user_timeout;
        let overdue = timeout.is_some_and(|timeout| now.since(opening.sent_at) >= timeout);
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
        //# SYN retransmissions MUST be handled in the general way just described for data retransmissions, including notification of the application layer (MUST-22).
        if overdue || opening.sent > u32::from(self.common.setup.options.syn_retries) {
            cx.counters.tcp_attempt_fails += 1;
            let timer = if overdue { Timeout::User } else { Timeout::Handshake };
            return Expiry::Over(self.common.timed_out(timer));
        }
        self.common.advice |= opening.sent == u32::from(cx.config.advice_retries);
        //= https://www.rfc-editor.org/rfc/rfc1122#section-4.2.3.1
        //# Retransmission of SYN segments SHOULD use the same algorithm as data segments (1122:4.2.3.1-3).
        opening.rtt.back_off();
        self.common.stats.timeouts.expired(now);
        opening.due = true;
        cx.counters.tcp_timeouts += 1;
        Expiry::GoOn
    }
}

impl Common {
    /// A time-out, and why: what the network had said of it (RFC 9293 3.9.2.2), as Linux reports it.
    const fn timed_out(&self, timer: Timeout) -> EndReason {
        EndReason::TimedOut { timer, network: self.soft_error }
    }
}

/// Whether an abort in this state tells the peer.
const fn resets(state: State) -> bool {
    matches!(
        state,
        State::SynReceived | State::Established | State::FinWait1 | State::FinWait2 | State::CloseWait
    )
}

impl Open {
    fn expire(&mut self, now: Instant, common: &mut Common, cx: &mut Context<'_>) -> Expiry {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.8
        //# If the time-wait timeout expires on a connection, delete the TCB, enter the CLOSED state, and return. (SM-17)
        if due(self.state_ends_at(common, cx.config)) {
            let reason = common.timed_out(Timeout::FinWait2);
            return match (self.state(), common.setup.options.fin_wait_2) {
                (State::FinWait2, None) => Expiry::Reset(reason),
                (State::FinWait2, Some(_)) => Expiry::Over(reason),
                _ => Expiry::Over(EndReason::Finished),
            };
        }
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.8
        //# For any state if the user timeout expires, flush all queues, signal the user "error: connection aborted due to user timeout" in general and for any outstanding calls, delete the TCB, enter the CLOSED state, and return. (SM-17)
        if due(self.user_timeout_at(common)) {
            return Expiry::Over(common.timed_out(Timeout::User));
        }
        if self.timers.expired(Timer::Cork, now) {
            self.pending.push = true;
            common.more = false;
        }
        if self.timers.expired(Timer::DelayedAck, now) {
            self.acks.owe_now(super::ack::Cause::Delayed);
        }
        if self.timers.expired(Timer::Reorder, now) {
            self.reorder_timeout(now, cx.counters);
        }
        if self.timers.expired(Timer::Tail, now) {
            self.tail_timeout(now);
        }
        let mut expiry = Expiry::GoOn;
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.8
        //# For any state if the retransmission timeout expires on a segment in the retransmission queue, send the segment at the front of the retransmission queue again, reinitialize the retransmission timer, and return. (SM-17)
        if self.timers.expired(Timer::Retransmit, now) {
            expiry = self.retransmission_timeout(now, common, cx);
        } else if self.timers.expired(Timer::Persist, now) {
            expiry = self.persist_timeout(now, common, cx.config);
        } else if due(self.keep_alive_at(common)) {
            expiry = self.keep_alive_timeout(now, common);
        }
        expiry
    }

    /// RFC 6298 5.4 to 5.6.
    fn retransmission_timeout(&mut self, now: Instant, common: &mut Common, cx: &mut Context<'_>) -> Expiry {
        if self.ecn.waited() && self.snd.flight.is_empty() {
            return Expiry::GoOn;
        }
        let most = match self.state() {
            State::SynReceived => cx.config.syn_ack_retries,
            _ if common.orphaned.is_some() => cx.config.orphan_retries,
            _ => cx.config.data_retries,
        };
        let patient = self.deferred.is_some() && self.snd.retries < u32::from(self.defer);
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
        //# The following procedure MUST be used to handle excessive retransmissions of data segments (MUST-20)
        if self.snd.retries >= u32::from(most) && !patient && !self.has_user_timeout(common) {
            cx.counters.tcp_attempt_fails += u64::from(self.state() == State::SynReceived);
            let opening = self.state() == State::SynReceived;
            let timer = if opening { Timeout::Handshake } else { Timeout::Retransmission };
            return Expiry::Over(common.timed_out(timer));
        }
        cx.counters.tcp_timeouts += 1;
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
        //# When the number of transmissions of the same segment reaches or exceeds threshold R1, pass negative advice (see Section 3.3.1.4 of [19]) to the IP layer, to trigger dead-gateway diagnosis. (MUST-20)
        common.advice = common.advice || self.snd.retries + 1 == u32::from(cx.config.advice_retries);
        let again = self.snd.retries > 0;
        self.snd.retries += 1;
        //= https://www.rfc-editor.org/rfc/rfc6298#section-5
        //# The host MUST set RTO <- RTO * 2 ("back off the timer") (6298:5-6).
        self.rtt.back_off();
        common.stats.timeouts.expired(now);
        //= https://www.rfc-editor.org/rfc/rfc6298#section-3
        //# RTT samples MUST NOT be made using segments that were retransmitted (and thus for which it is ambiguous whether the reply was for the first instance of the packet or a later instance) (6298:3-2).
        self.snd.timed =
            self.snd.timed.filter(|_| self.state() == State::SynReceived && self.deferred.is_some());
        self.snd.timed_out_at = Some(now);
        self.snd.measured = None;
        cx.counters.tcp_sack_reneges += u64::from(self.snd.flight.has_reneged());
        if self.state() == State::SynReceived {
            self.syn_lost |= self.deferred.is_none();
            // Where data is waited for, the last SYN/ACK asks for an ACK that will do without.
            self.pending.syn = self.deferred.is_none() || self.snd.retries >= u32::from(self.defer);
            self.timers.set(Timer::Retransmit, now + self.rtt.rto(false));
            return Expiry::GoOn;
        }
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
        //# SHOULD NOT time out the connection if data beyond the right window edge is not acknowledged (SHLD-17).
        if self.snd.wnd == 0 {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
            //# If the window shrinks to zero, the TCP implementation MUST probe it in the standard way (described below) (MUST-35).
            // The peer has closed its window over what is in flight: from here on it is probed (RFC 9293 3.8.6.1).
            self.go_back(now);
            self.snd.retries = 0;
            return self.persist_timeout(now, common, cx.config);
        }
        self.doubt_path(now, common, cx);
        self.begin_timeout(now, again, cx.config.frto);
        self.snd.usage.note(self.snd.una, self.snd.nxt, true);
        Expiry::GoOn
    }

    /// Whether the program's patience decides how often data and probes of a window go again, and not their number. Of a connection that nobody holds
    /// any more the number does, and of a handshake.
    fn has_user_timeout(&self, common: &Common) -> bool {
        let held = common.orphaned.is_none() && self.state() != State::SynReceived;
        held && self.user_timeout_at(common).is_some()
    }

    /// Everything in flight is to be sent again, but for what the peer is known to hold; no loss is told by that.
    pub(super) fn go_back(&mut self, now: Instant) {
        if self.recovery.repair == Repair::Fast {
            // The loss that it was for is paid for as if it were repaired.
            self.restored(now);
        }
        self.recovery.undo.end();
        self.recovery.frto = Frto::Off;
        self.pending.head = false;
        // A probe of the path among it goes again as all else does, and nothing is learned from it.
        self.mtu.lost(now, false, Duration::ZERO);
        if self.snd.flight.has_reneged() {
            self.snd.flight.renege(now);
        }
        self.lose_flight(now, Duration::ZERO, Cause::GoBack);
    }

    /// RFC 9293 3.8.6.1: probes go on for as long as the peer answers them.
    fn persist_timeout(&mut self, _now: Instant, common: &Common, config: &TcpConfig) -> Expiry {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
        //# the sending TCP peer MUST allow the connection to stay open (MUST-37)
        let deaf = self.snd.probes_unanswered >= u32::from(config.data_retries);
        if deaf && !self.has_user_timeout(common) {
            return Expiry::Over(common.timed_out(Timeout::Probe));
        }
        if common.orphaned.is_some() && self.snd.probes >= u32::from(config.orphan_retries) {
            return Expiry::Reset(common.timed_out(Timeout::Probe));
        }
        self.pending.force = true;
        Expiry::GoOn
    }

    fn keep_alive_timeout(&mut self, now: Instant, common: &Common) -> Expiry {
        let options = &common.setup.options;
        let patience = options.user_timeout;
        let overdue = match patience {
            Some(patience) => self.keep_probes > 0 && now.since(self.heard) >= patience,
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
            //# it MUST NOT interpret failure to respond to any specific probe as a dead connection (MUST-29)
            None => self.keep_probes >= u32::from(options.keep_probes),
        };
        if overdue {
            return Expiry::Reset(common.timed_out(Timeout::KeepAlive));
        }
        self.keep_probes += 1;
        self.pending.keep_alive = true;
        Expiry::GoOn
    }
}
