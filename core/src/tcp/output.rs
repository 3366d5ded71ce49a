//! The only sender: one ordered list of reasons to send, asked before sending and before sleeping alike.

use super::account::Activity;
use super::connection::{Common, Connection, Open, Phase};
use super::open::syn_options;
use super::pace::{Hold, Nagle, Offer, Verdict};
use super::receiver::unscaled;
use super::recovery::Repair;
use super::sack::Sack;
use super::segment::{Reply, bare};
use super::timer::Timer;
use super::{Buffers, Context, Limits, Outgoing, SeqNum};
use crate::buffer::Slices;
use crate::config::TcpConfig;
use crate::time::Instant;
use crate::wire::tcp::{Flags, TcpOptions};
use bytes::BytesMut;

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
    /// What the peer lacks of what was sent: offset from SND.UNA, and bytes.
    Hole { from: u32, bytes: u32 },
    /// The end of what is in flight once more, for want of anything better (RFC 6675).
    Rescue { from: u32, bytes: u32 },
    /// Data from the cursor on, and the FIN if everything before it goes too.
    Data { bytes: u32, fin: bool },
    /// One octet into a closed window (RFC 9293 3.8.6.1).
    Probe,
    /// A segment that the peer has to answer (RFC 9293 3.8.4).
    KeepAlive,
    /// An ACK, for whatever it is owed, or with news of urgent data.
    Ack,
}

/// What a connection wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
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
            open.fit(limits.mss);
            if cx.config.slow_start_after_idle {
                open.restart_after_idle(now, buffers);
            }
        }
        let wish = self.wants_to_send(buffers, limits, cx.config);
        let outgoing = match wish {
            Wish::Send(reason) => {
                let outgoing = self.send(now, reason, buffers, limits, cx);
                outgoing.inspect(|outgoing| self.observe_sent(now, outgoing, reason))
            }
            Wish::Wait(hold) => {
                if let Phase::Open(open) = &mut self.phase {
                    open.wait(now, hold, cx.config);
                    self.common.stats.time.turn(now, open.activity(hold, buffers));
                }
                None
            }
        }?;
        self.common.stats.sent(now, &outgoing);
        if !outgoing.payload.is_empty() {
            self.common.stats.time.turn(now, Activity::Busy);
        }
        cx.counters.tcp_segments_out += u64::from(self::segments(&outgoing));
        cx.counters.tcp_resets_out += u64::from(outgoing.flags.has(Flags::RST));
        Some(outgoing)
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
                opening.sent += 1;
                opening.retransmit_at = Some(now + opening.rtt.rto());
                let mut syn = bare(opening.iss, None, Flags::SYN);
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
            if self.pending.head && self.snd.outstanding() > 0 {
                return Wish::Send(Reason::Head);
            }
            //= https://www.rfc-editor.org/rfc/rfc6675#section-4
            //# NextSeg () MUST return the sequence number range of the next segment that is to be transmitted (6675:4-6).
            if let Some(reason) = self.hole_wanted(limits, true) {
                return Wish::Send(reason);
            }
            //= https://www.rfc-editor.org/rfc/rfc6675#section-4
            //# If no sequence number 'S2' per rule (1) exists but there exists available unsent data and the receiver's advertised window allows, the sequence range of one segment of up to SMSS octets of previously unsent data starting with sequence number HighData+1 MUST be returned (6675:4-8).
            match self.data_wanted(common, buffers, limits, config) {
                Wish::Wait(reason) => hold = reason,
                send @ Wish::Send(_) => return send,
            }
            if let Some(reason) = self.hole_wanted(limits, false).or_else(|| self.rescue_wanted()) {
                return Wish::Send(reason);
            }
        }
        if self.pending.keep_alive {
            return Wish::Send(Reason::KeepAlive);
        }
        let told = !self.urgent.due() || !self.state().transmits();
        if self.acks.due() || self.challenge.due() || !told {
            return Wish::Send(Reason::Ack);
        }
        Wish::Wait(hold)
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
    fn fin_wanted(&self, common: &Common) -> bool {
        match self.snd.fin {
            Some(fin) => self.snd.cursor.at_or_before(fin),
            None => common.closing && self.state().after_sent_fin().is_some(),
        }
    }

    fn offer(&self, common: &Common, buffers: &Buffers, limits: &Limits, config: &TcpConfig) -> Offer {
        let snd = &self.snd;
        let mss = self.segment_size();
        let unsent = snd.unsent(self.queued(buffers));
        // What is sent again ends where the peer has the rest.
        let lacking = match &snd.scoreboard {
            Some(board) if snd.resending() > 0 => {
                let hole = board.hole(snd.flight(), snd.outstanding());
                if hole.end < snd.outstanding() { hole.end - hole.start } else { unsent }
            }
            _ => unsent,
        };
        Offer {
            unsent: unsent.min(lacking),
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

    /// RFC 5681 4.1, before the first segment after a pause.
    fn restart_after_idle(&mut self, now: Instant, buffers: &Buffers) {
        let idle = self.snd.outstanding() == 0 && !buffers.send.is_empty() && self.snd.usable() > 0;
        //= https://www.rfc-editor.org/rfc/rfc5681#section-4.1
        //# a TCP SHOULD set cwnd to no more than RW before beginning transmission if the TCP has not sent data in an interval exceeding the retransmission timeout (5681:4.1-1).
        let (pause, rto) = (now.since(self.snd.last_sent), self.rtt.base());
        if idle && pause > rto {
            self.congestion.on_idle(now, pause, rto);
        }
    }

    /// Nothing can be sent: whatever else may end the wait is armed.
    fn wait(&mut self, now: Instant, hold: Hold, config: &TcpConfig) {
        match hold {
            Hold::Congestion => self.snd.usage.note(self.snd.una, self.snd.nxt, true),
            Hold::Window if self.snd.flight() == 0 => self.arm_persist(now),
            Hold::Corked if !self.timers.is_set(Timer::Cork) => {
                self.timers.set(Timer::Cork, now + config.cork)
            }
            Hold::Window | Hold::Small | Hold::Corked | Hold::Empty => {}
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
        let closed = self.snd.usable() == 0;
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

/// One segment in the making.
pub(super) struct Sending<'a, 'b> {
    pub(super) now: Instant,
    pub(super) open: &'a mut Open,
    pub(super) common: &'a mut Common,
    pub(super) buffers: &'a Buffers,
    limits: &'a Limits,
    pub(super) cx: &'a mut Context<'b>,
}

impl Sending<'_, '_> {
    fn send(&mut self, reason: Reason) -> Outgoing {
        match reason {
            Reason::Syn => self.syn_ack(),
            Reason::Head => self.head(),
            Reason::Hole { from, bytes } => self.hole(from, bytes),
            Reason::Rescue { from, bytes } => {
                self.open.recovery.rescued();
                //= https://www.rfc-editor.org/rfc/rfc6675#section-4
                //# HighRxt MUST NOT be updated (6675:4-11).
                self.again(from, bytes)
            }
            Reason::Data { bytes, fin } => self.data(bytes, fin),
            Reason::Probe => self.probe(),
            Reason::KeepAlive => self.keep_alive(),
            Reason::Duplicate => {
                self.open.acks.duplicate_sent();
                self.ack()
            }
            Reason::Ack if self.fin_belongs() => self.again(0, 0),
            Reason::Ack | Reason::Reset | Reason::Reply(_) => self.ack(),
        }
    }

    /// A segment with everything but data; it acknowledges, so it serves what was owed.
    pub(super) fn segment(&mut self, seq: SeqNum, flags: Flags) -> Outgoing {
        let open = &mut *self.open;
        //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
        //# Once TSopt has been successfully negotiated, that is both <SYN> and <SYN,ACK> contain TSopt, the TSopt MUST be sent in every non-<RST> segment for the duration of the connection (7323:3.2-6).
        let timestamps = open.timestamps.as_ref().map(|stamps| stamps.option(self.now));
        let mut segment = bare(seq, Some(open.rcv.nxt), flags);
        segment.window = open.rcv.offer(self.buffers);
        let duplicate = open.rcv.sack.as_ref().is_some_and(Sack::duplicate_due);
        self.cx.counters.tcp_dsacks_out += u64::from(duplicate);
        //= https://www.rfc-editor.org/rfc/rfc2018#section-4
        //# If sent at all, SACK options SHOULD be included in all ACKs which do not ACK the highest sequence number in the data receiver's queue (2018:4-4).
        let sack = open.rcv.sack_blocks();
        //= https://www.rfc-editor.org/rfc/rfc2018#section-2
        //# It MUST NOT be sent on non-SYN segments (2018:2-2).
        segment.options = TcpOptions { timestamps, sack, ..TcpOptions::default() };
        if let Some(pointer) = open.urgent.pointer(seq, open.snd.nxt) {
            segment.flags = flags.with(Flags::URG);
            segment.urgent = pointer;
        }
        open.rcv.last_ack = open.rcv.nxt;
        open.acks.sent();
        if open.challenge.due() {
            self.cx.counters.tcp_challenge_acks += 1;
            open.challenge.sent();
        }
        open.timers.clear(Timer::DelayedAck);
        segment
    }

    fn syn_ack(&mut self) -> Outgoing {
        let open = &mut *self.open;
        if !open.passive {
            open.rcv.honor(self.buffers);
        }
        open.pending.syn = false;
        let first = open.syns_sent == 0;
        open.syns_sent += 1;
        if first {
            open.snd.timed = Some((open.snd.nxt, self.now));
            open.snd.stalled_since = Some(self.now);
        } else {
            open.snd.timed = None;
            self.cx.counters.tcp_retransmits += 1;
            self.common.stats.sent_again(1, 0);
        }
        open.timers.set(Timer::Retransmit, self.now + open.rtt.rto());
        let mut segment = bare(open.snd.iss, Some(open.rcv.nxt), Flags::SYN);
        segment.window = unscaled(self.common.recv_limit);
        segment.options = syn_options(self.now, self.common, Some(self.open), self.cx.config);
        self.open.acks.sent();
        segment
    }

    /// Data from the cursor on.
    fn data(&mut self, bytes: u32, fin: bool) -> Outgoing {
        let (offset, mss) = (self.open.snd.offset(), self.open.segment_size());
        let queued = self.open.queued(self.buffers);
        let unsent = self.open.snd.unsent(queued);
        let limited =
            self.open.offer(self.common, self.buffers, self.limits, self.cx.config).congestion_limited();
        let (payload, taken) = self.payload(offset, bytes);
        let fin = fin && taken == bytes;
        let seq = self.open.snd.cursor;
        let flags = self.flags(taken, unsent, fin);

        let snd = &mut self.open.snd;
        let end = seq + taken + u32::from(fin);
        let again = seq.before(snd.nxt) && snd.probe != Some(seq);
        // Behind a hole the ACK waits for the repair, which is no round trip.
        let whole = self.open.recovery.repair() == Repair::None;
        //= https://www.rfc-editor.org/rfc/rfc6298#section-3
        //# A TCP implementation MUST take at least one RTT measurement per RTT (unless that is not possible per Karn's algorithm) (6298:3-3).
        if whole && snd.timed.is_none() && seq == snd.nxt {
            snd.timed = Some((end, self.now));
            let delivered = self.common.stats.bytes_acked;
            self.common.stats.rate.begin(delivered, taken == unsent);
        }
        snd.cursor = end;
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# If any of the data octets sent in (C.1) are above HighData, HighData must be updated to reflect the transmission of previously unsent data (6675:5-18).
        snd.nxt = snd.nxt.latest(end);
        self.open.skip_held();
        let snd = &mut self.open.snd;
        if taken % mss != 0 && !again {
            snd.small = Some(end);
        }
        if fin {
            snd.fin = Some(seq + taken);
        }
        let full = limited || snd.outstanding() >= self.open.congestion.window();
        snd.usage.note(snd.una, snd.nxt, full);
        snd.probe = None;
        snd.last_sent = self.now;
        snd.stalled_since.get_or_insert(self.now);
        self.open.pending.force = false;
        self.open.pending.push &= taken < unsent;
        self.open.timers.clear(Timer::Persist);
        self.open.timers.clear(Timer::Cork);
        if !self.open.timers.is_set(Timer::Retransmit) {
            //= https://www.rfc-editor.org/rfc/rfc6298#section-5
            //# Every time a packet containing data is sent (including a retransmission), if the timer is not running, start it running so that it will expire after RTO seconds (for the current value of RTO) (6298:5-2).
            self.open.timers.set(Timer::Retransmit, self.now + self.open.rtt.rto());
        }
        if again {
            self.count_retransmission(taken);
        }
        if fin {
            self.fin_sent();
        }
        let mut segment = self.segment(seq, flags);
        segment.gso_size = if taken > mss { u16::try_from(mss).unwrap_or(u16::MAX) } else { 0 };
        segment.payload = payload;
        segment
    }

    fn fin_sent(&mut self) {
        if let Some(state) = self.open.state().after_sent_fin() {
            self.open.enter(self.now, state);
        }
    }

    /// One octet, or the FIN, beyond the window. The cursor stays: the octet is sent again with the first data that the window takes.
    fn probe(&mut self) -> Outgoing {
        if self.cx.config.empty_probes {
            return self.empty_probe();
        }
        let offset = self.open.snd.offset();
        let queued = self.open.queued(self.buffers);
        let seq = self.open.snd.cursor;
        let bytes = self.open.snd.unsent(queued).min(1);
        let (payload, bytes) = self.payload(offset, bytes);
        let fin = bytes == 0;
        let flags = if fin { Flags::FIN } else { Flags::PSH };
        self.open.pending.force = false;
        let snd = &mut self.open.snd;
        let end = seq + 1;
        snd.nxt = snd.nxt.latest(end);
        snd.probe = Some(seq);
        snd.probes += 1;
        snd.probes_unanswered += 1;
        if fin {
            snd.fin = Some(seq);
        }
        self.cx.counters.tcp_probes += 1;
        if fin {
            self.fin_sent();
        }
        let mut segment = self.segment(seq, flags);
        segment.payload = payload;
        segment
    }

    /// A segment that the peer cannot accept, so that it has to say what its window is.
    fn empty_probe(&mut self) -> Outgoing {
        let snd = &mut self.open.snd;
        snd.probes += 1;
        snd.probes_unanswered += 1;
        let seq = snd.una - 1;
        self.open.pending.force = false;
        self.cx.counters.tcp_probes += 1;
        self.segment(seq, Flags::default())
    }

    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
    //# SEG.SEQ = SND.NXT-1 and may or may not contain one garbage octet of data
    fn keep_alive(&mut self) -> Outgoing {
        self.open.pending.keep_alive = false;
        self.cx.counters.tcp_keepalives += 1;
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
        //# An implementation SHOULD send a keep-alive segment with no data (SHLD-12)
        self.segment(self.open.snd.nxt - 1, Flags::default())
    }

    /// Whether the ACK that is owed carries our FIN once more.
    fn fin_belongs(&self) -> bool {
        let open = &self.open;
        self.cx.config.fin_with_acks && open.acks.due() && open.snd.fin == Some(open.snd.una)
    }

    fn ack(&mut self) -> Outgoing {
        self.segment(self.open.snd.acceptable(), Flags::default())
    }

    /// PSH on what empties the queue, so that the peer's program is woken; not if the program has said that this is not the end of it.
    pub(super) fn flags(&self, bytes: u32, unsent: u32, fin: bool) -> Flags {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.2
        //# MUST NOT buffer data indefinitely (MUST-60), and (2) MUST set the PSH bit in the last buffered segment (i.e., when there is no more queued data to be sent) (MUST-61).
        let merged = self.cx.config.push_super_frames && bytes > self.open.segment_size();
        let last = merged || (bytes > 0 && bytes == unsent);
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.2
        //# A TCP endpoint MAY implement PUSH flags on SEND calls (MAY-15).
        let asked = !self.common.more || self.common.closing;
        let push = if last && asked { Flags::PSH } else { Flags::default() };
        if fin { push.with(Flags::FIN) } else { push }
    }

    /// Slices of `bytes` from `offset` on. Fewer when they are too many slices: whole segments then, or one that is copied together.
    pub(super) fn payload(&self, offset: usize, bytes: u32) -> (Slices, u32) {
        let (most, mss) = (bytes as usize, self.open.segment_size() as usize);
        let mut slices = Slices::new();
        if most == 0 {
            return (slices, 0);
        }
        let taken = self.buffers.send.peek(offset, most, self.limits.slices.max(1), &mut slices);
        if taken == most {
            return (slices, bytes);
        }
        slices.clear();
        if taken >= mss {
            let whole = taken - taken % mss;
            self.buffers.send.peek(offset, whole, self.limits.slices.max(1), &mut slices);
            return (slices, whole as u32);
        }
        let count = most.min(mss);
        let mut parts = Slices::new();
        let count = self.buffers.send.peek(offset, count, usize::MAX, &mut parts);
        let mut copy = BytesMut::with_capacity(count);
        parts.iter().for_each(|part| copy.extend_from_slice(part));
        slices.push(copy.freeze());
        (slices, count as u32)
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
