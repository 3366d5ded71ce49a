//! The only sender: one ordered list of reasons to send, asked before sending and before sleeping alike.

use super::account::Activity;
use super::ack::Cause;
use super::connection::{Common, Connection, Open, Phase};
use super::ecn;
use super::open::syn_options;
use super::pace::{Hold, Nagle, Offer, Verdict};
use super::push::Outlook;
use super::receiver::unscaled;
use super::resend::Hole;
use super::sack::Sack;
use super::segment::{Reply, bare};
use super::sending::Sending;
use super::timer::Timer;
use super::{Buffers, Context, Limits, Outgoing, SeqNum};
use crate::config::TcpConfig;
use crate::time::{Duration, Instant};
use crate::wire::tcp::{Flags, TcpOptions};

/// Why a segment is sent, the most pressing first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The last word of a connection.
    Reset,
    /// A RST in answer to a segment that fits no connection.
    Reply(Reply),
    /// SYN, or SYN/ACK.
    Syn,
    /// An ACK that says what the one before said: a segment came out of order.
    Duplicate,
    /// The segment at SND.UNA, which is lost.
    Head,
    /// What is lost of what was sent: offset from SND.UNA, and bytes.
    Hole { from: u32, bytes: u32 },
    /// A tail loss probe with new data (RFC 8985 section 7).
    TailNew { bytes: u32, fin: bool },
    /// A tail loss probe with the last of what is in flight.
    TailAgain { from: u32, bytes: u32 },
    /// Data from the cursor on, and the FIN if everything before it goes too.
    Data { bytes: u32, fin: bool },
    /// New data in one segment that is longer than others, to find out whether it passes (RFC 4821).
    MtuProbe { size: u16, bytes: u32 },
    /// One octet into a closed window (RFC 9293 3.8.6.1).
    Probe,
    /// A segment that the peer has to answer (RFC 9293 3.8.4).
    KeepAlive,
    /// The first of two ACKs for what came at once, up to this number.
    Early(SeqNum),
    /// An ACK, for whatever it is owed, or with news of urgent data.
    Ack(Cause),
}

/// What a connection wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To send now.
    Send(Reason),
    /// To wait for an ACK, a call or a timer; with data held back by the window, for the persist timer.
    Wait(Hold),
}

impl Connection {
    /// The next segment.
    pub(super) fn output(
        &mut self,
        now: Instant,
        buffers: &Buffers,
        limits: &Limits,
        cx: &mut Context<'_>,
    ) -> Option<Outgoing> {
        if let Phase::Open(open) = &mut self.phase {
            open.fit(now, limits);
            open.restart_after_idle(now, buffers);
            open.mark_written(self.common.more, buffers, limits, cx.config);
        }
        let reason = match self.wants_to_send(buffers, limits, cx.config) {
            Wish::Send(reason) => reason,
            Wish::Wait(hold) => {
                self.wait(now, hold, buffers, cx.config);
                return None;
            }
        };
        // It is large: looked at where it is, and moved as seldom as may be.
        let outgoing = self.send(now, reason, buffers, limits, cx);
        if let Some(outgoing) = &outgoing {
            self.observe_sent(now, outgoing, reason);
            self.common.stats.sent(now, outgoing);
            if !outgoing.payload.is_empty() {
                self.common.stats.time.turn(now, Activity::Busy);
            }
            cx.counters.tcp_segments_out += u64::from(self::segments(outgoing));
            cx.counters.tcp_resets_out += u64::from(outgoing.flags.has(Flags::RST));
        }
        outgoing
    }

    /// Whether there is nothing to send after what was just sent, as is found out at once where that was all there was; then it waits.
    pub(super) fn is_done(
        &mut self,
        now: Instant,
        buffers: &Buffers,
        limits: &Limits,
        config: &TcpConfig,
    ) -> bool {
        let Phase::Open(open) = &self.phase else { return false };
        if open.snd.unsent(open.queued(buffers)) > 0 {
            return false;
        }
        match self.wants_to_send(buffers, limits, config) {
            Wish::Send(_) => false,
            Wish::Wait(hold) => {
                self.wait(now, hold, buffers, config);
                true
            }
        }
    }

    fn wait(&mut self, now: Instant, hold: Hold, buffers: &Buffers, config: &TcpConfig) {
        if let Phase::Open(open) = &mut self.phase {
            open.wait(now, hold, config);
            self.common.stats.time.turn(now, open.activity(hold, buffers));
        }
    }

    /// The list of reasons, in order.
    fn wants_to_send(&self, buffers: &Buffers, limits: &Limits, config: &TcpConfig) -> Wish {
        let common = &self.common;
        if let Some(reply) = common.reply {
            return Wish::Send(Reason::Reply(reply));
        }
        match &self.phase {
            Phase::Opening(opening) if opening.due => Wish::Send(Reason::Syn),
            Phase::Closed(closed) if closed.reset.is_some() => Wish::Send(Reason::Reset),
            Phase::Opening(_) | Phase::Closed(_) => Wish::Wait(Hold::Empty),
            Phase::Open(open) => open.wants_to_send(common, buffers, limits, config),
        }
    }

    fn send(
        &mut self,
        now: Instant,
        reason: Reason,
        buffers: &Buffers,
        limits: &Limits,
        cx: &mut Context<'_>,
    ) -> Option<Outgoing> {
        if let Reason::Reply(reply) = reason {
            self.common.reply = None;
            return Some(reply.outgoing());
        }
        match &mut self.phase {
            Phase::Closed(closed) => closed.reset.take(),
            Phase::Opening(opening) => {
                opening.due = false;
                if opening.sent == 0 {
                    opening.sent_at = now;
                } else {
                    cx.counters.tcp_retransmits += 1;
                    self.common.stats.sent_again(1, 0);
                }
                let plain = cx.config.syn_plain_after.is_some_and(|most| opening.sent > u32::from(most));
                let asks = ecn::asking(opening.sent, cx.config);
                opening.sent += 1;
                opening.retransmit_at = Some(now + opening.rtt.rto(false));
                //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
                //# A host MUST NOT set ECT on SYN or SYN-ACK packets (3168:6.1.1-8).
                let mut syn = bare(opening.iss, None, Flags::SYN.with(asks));
                syn.window = unscaled(self.common.recv_limit);
                syn.options = syn_options(now, &self.common, None, cx.config);
                if plain {
                    syn.options = TcpOptions { mss: syn.options.mss, ..TcpOptions::default() };
                }
                Some(syn)
            }
            Phase::Open(open) => {
                let mut sending = Sending { now, open, common: &mut self.common, buffers, limits, cx };
                Some(sending.send(reason))
            }
        }
    }
}

impl Open {
    fn wants_to_send(&self, common: &Common, buffers: &Buffers, limits: &Limits, config: &TcpConfig) -> Wish {
        if self.pending.syn {
            return Wish::Send(Reason::Syn);
        }
        if self.acks.duplicate_due() || self.rcv.sack.as_ref().is_some_and(Sack::due) {
            return Wish::Send(Reason::Duplicate);
        }
        let mut hold = Hold::Empty;
        if self.state().transmits() {
            if self.pending.head && !self.snd.flight.is_empty() {
                return Wish::Send(Reason::Head);
            }
            if let Some(reason) = self.tail_wanted(common, buffers) {
                return Wish::Send(reason);
            }
            if !self.stream_rests(common, buffers) {
                match self.stream_wanted(common, buffers, limits, config) {
                    Wish::Wait(reason) => hold = reason,
                    send @ Wish::Send(_) => return send,
                }
            } else {
                debug_assert_eq!(self.stream_wanted(common, buffers, limits, config), Wish::Wait(hold));
            }
        }
        if self.pending.keep_alive {
            return Wish::Send(Reason::KeepAlive);
        }
        if let Some(upto) = self.rcv.early.filter(|upto| self.acks.due() && upto.before(self.rcv.nxt)) {
            return Wish::Send(Reason::Early(upto));
        }
        let challenge = self.challenge.due().then_some(Cause::Challenge);
        let urgent = (self.urgent.due() && self.state().transmits()).then_some(Cause::Urgent);
        match challenge.or_else(|| self.acks.cause()).or(urgent) {
            Some(cause) => Wish::Send(Reason::Ack(cause)),
            None => Wish::Wait(hold),
        }
    }

    /// Whether there is nothing to send, to send again, or to end: who only receives is asked twice for each ACK.
    fn stream_rests(&self, common: &Common, buffers: &Buffers) -> bool {
        buffers.send.is_empty() && self.snd.flight.is_empty() && !common.closing && self.snd.fin.is_none()
    }

    /// What is lost, then what is new; the other way round to find out whether a timeout was spurious.
    //= https://www.rfc-editor.org/rfc/rfc6675#section-4
    //# NextSeg () MUST return the sequence number range of the next segment that is to be transmitted (6675:4-6).
    fn stream_wanted(&self, common: &Common, buffers: &Buffers, limits: &Limits, config: &TcpConfig) -> Wish {
        if self.prefers_new() {
            let new = self.data_wanted(common, buffers, limits, config);
            if self.has_sent_new() || matches!(new, Wish::Send(_)) {
                return new;
            }
        }
        //= https://www.rfc-editor.org/rfc/rfc6675#section-4
        //# If there exists a smallest unSACKed sequence number 'S2' that meets the following three criteria for determining loss, the sequence range of one segment of up to SMSS octets starting with S2 MUST be returned (6675:4-7).
        match self.hole_wanted(limits) {
            Hole::Due(reason) => Wish::Send(reason),
            Hole::Waits => Wish::Wait(Hold::Congestion),
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
            //# If this happens, the sender SHOULD NOT send new data (SHLD-15), but SHOULD retransmit normally the old unacknowledged data between SND.UNA and SND.UNA+SND.WND (SHLD-16).
            Hole::Shut => self.probe_or(Hold::Window),
            //= https://www.rfc-editor.org/rfc/rfc6675#section-4
            //# If no sequence number 'S2' per rule (1) exists but there exists available unsent data and the receiver's advertised window allows, the sequence range of one segment of up to SMSS octets of previously unsent data starting with sequence number HighData+1 MUST be returned (6675:4-8).
            Hole::None => {
                let probe = self.mtu_probe_wanted(buffers);
                probe.unwrap_or_else(|| self.data_wanted(common, buffers, limits, config))
            }
        }
    }

    fn data_wanted(&self, common: &Common, buffers: &Buffers, limits: &Limits, config: &TcpConfig) -> Wish {
        let offer = self.offer(common, buffers, limits, config);
        let fin = self.fin_wanted(common);
        match offer.decide() {
            Verdict::Send(bytes) => {
                let all = bytes == self.snd.unsent(self.queued(buffers));
                let last = all && fin && offer.usable > bytes;
                Wish::Send(Reason::Data { bytes, fin: last })
            }
            Verdict::Hold(Hold::Empty) if fin && offer.usable > 0 => {
                Wish::Send(Reason::Data { bytes: 0, fin: true })
            }
            Verdict::Hold(Hold::Empty) if fin => self.probe_or(Hold::Window),
            Verdict::Hold(Hold::Window) => self.probe_or(Hold::Window),
            Verdict::Hold(hold) => Wish::Wait(hold),
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
    //# Probing of zero (offered) windows MUST be supported (MUST-36).
    fn probe_or(&self, hold: Hold) -> Wish {
        if self.pending.force { Wish::Send(Reason::Probe) } else { Wish::Wait(hold) }
    }

    /// Whether our FIN belongs behind the queue from the cursor on.
    pub(super) fn fin_wanted(&self, common: &Common) -> bool {
        match self.snd.fin {
            Some(fin) => self.snd.cursor.at_or_before(fin),
            None => common.closing && self.state().after_sent_fin().is_some(),
        }
    }

    pub(super) fn offer(
        &self,
        common: &Common,
        buffers: &Buffers,
        limits: &Limits,
        config: &TcpConfig,
    ) -> Offer {
        let snd = &self.snd;
        let mss = self.segment_size();
        let unsent = snd.unsent(self.queued(buffers));
        Offer {
            unsent,
            usable: snd.usable(),
            room: self.room(),
            mss,
            most: self.super_frame(limits),
            wnd_max: snd.wnd_max,
            resending: snd.resending() > 0,
            nagle: self.nagle(common, config),
            forced: self.pending.force,
        }
    }

    /// Data in a full segment sent now: SACK blocks take their room from it.
    ///
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
    //# if there are any IP or TCP Options to be sent in a packet, then the sender must decrease the size of the TCP data accordingly
    pub(super) fn segment_size(&self) -> u32 {
        //= https://www.rfc-editor.org/rfc/rfc6691#section-2
        //# The sender MUST make its data shorter by the options that it sends (6691:2-3).
        let blocks = self.rcv.sack.as_ref().map_or(0, Sack::option_len);
        self.snd.mss.saturating_sub(blocks).max(1)
    }

    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.4
    //# there MUST be a way for an application to disable the Nagle algorithm on an individual connection (MUST-17)
    fn nagle(&self, common: &Common, config: &TcpConfig) -> Nagle {
        let options = &common.setup.options;
        if common.closing || self.pending.push || self.urgent.sending() {
            return Nagle::Pass;
        }
        if options.cork || common.waits_for_more {
            return Nagle::Cork;
        }
        let holds = config.nagle && !options.no_delay && self.snd.small.is_some();
        if holds { Nagle::Hold } else { Nagle::Pass }
    }

    /// Bytes of the send queue that come before the FIN.
    pub(super) fn queued(&self, buffers: &Buffers) -> usize {
        let len = buffers.send.len();
        match self.snd.fin {
            Some(fin) if self.snd.una.at_or_before(fin) => len.min(fin.since(self.snd.una) as usize),
            Some(_) => 0,
            None => len,
        }
    }

    /// Before the first segment after a pause: what is longer than a timeout is one of RFC 5681 4.1, as the controller is set.
    fn restart_after_idle(&mut self, now: Instant, buffers: &Buffers) {
        let idle = self.snd.outstanding() == 0 && !buffers.send.is_empty() && self.snd.usable() > 0;
        //= https://www.rfc-editor.org/rfc/rfc5681#section-4.1
        //# a TCP SHOULD set cwnd to no more than RW before beginning transmission if the TCP has not sent data in an interval exceeding the retransmission timeout (5681:4.1-1).
        if !buffers.send.is_empty() {
            self.revalidate(now);
        }
        if idle {
            let rto = if self.keeps_window() { Duration::MAX } else { self.rtt.base() };
            self.congestion.on_idle(now, now.since(self.snd.last_sent), rto);
        }
    }

    /// Before anything of what the program has just written goes: PSH has its places in it.
    fn mark_written(&mut self, more: bool, buffers: &Buffers, limits: &Limits, config: &TcpConfig) {
        let snd = &self.snd;
        let end = snd.una + u32::try_from(buffers.send.len()).unwrap_or(u32::MAX);
        let nothing = end == snd.marks.written() || snd.una == snd.iss || snd.fin.is_some();
        if nothing || !config.push_super_frames {
            return;
        }
        let outlook = Outlook {
            sent: snd.cursor,
            room: self.room().min(snd.usable()),
            mss: snd.mss,
            most: self.super_frame(limits),
            step: snd.write_step(),
            half: snd.wnd_max / 2,
        };
        self.snd.marks.write(end, more, outlook);
    }

    /// Nothing can be sent: whatever else may end the wait is armed.
    fn wait(&mut self, now: Instant, hold: Hold, config: &TcpConfig) {
        match hold {
            Hold::Congestion => self.snd.usage.note(self.snd.una, self.snd.nxt, true),
            Hold::Window if self.snd.flight.pipe() == 0 => self.arm_persist(now),
            Hold::Corked if !self.timers.is_set(Timer::Cork) => {
                self.timers.set(Timer::Cork, now + config.cork)
            }
            Hold::Window | Hold::Small | Hold::Corked | Hold::Empty => {}
        }
        // Whatever the peer says it holds it may take back: the wait for its acknowledgement ends.
        let watched = self.timers.is_set(Timer::Retransmit) || self.timers.is_set(Timer::Persist);
        if !watched && !self.snd.flight.is_empty() {
            self.timers.set(Timer::Retransmit, now + self.rto());
        }
    }

    /// What the sender does while it waits.
    fn activity(&self, hold: Hold, buffers: &Buffers) -> Activity {
        match hold {
            // A handshake is no data.
            _ if !self.state().transmits() && self.snd.iss == self.snd.una => Activity::Idle,
            Hold::Window => Activity::Window,
            Hold::Empty if buffers.send_awaited && self.snd.outstanding() > 0 => Activity::Buffer,
            Hold::Empty if self.snd.outstanding() == 0 => Activity::Idle,
            Hold::Empty | Hold::Small | Hold::Corked | Hold::Congestion => Activity::Busy,
        }
    }

    /// The timer for a window that is closed, or too small to be worth it. Never beside the retransmission timer.
    fn arm_persist(&mut self, now: Instant) {
        if self.timers.is_set(Timer::Persist) || self.timers.is_set(Timer::Retransmit) {
            return;
        }
        self.snd.stalled_since.get_or_insert(now);
        let closed = self.snd.reach() == 0;
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
        //# The transmitting host SHOULD send the first zero-window probe when a zero window has existed for the retransmission timeout period (SHLD-29)
        let wait = if closed {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
            //# SHOULD increase exponentially the interval between successive probes (SHLD-30)
            self.rtt.base().saturating_mul(1 << self.snd.probes.min(16)).min(self.rtt.ceiling())
        } else {
            self.rtt.floor()
        };
        self.timers.set(Timer::Persist, now + wait);
    }
}

/// Segments that a super-frame becomes.
pub(super) fn segments(outgoing: &Outgoing) -> u32 {
    if outgoing.gso_size == 0 {
        return 1;
    }
    let bytes: usize = outgoing.payload.iter().map(bytes::Bytes::len).sum();
    (bytes as u32).div_ceil(u32::from(outgoing.gso_size))
}
