//! A segment in the making, for each reason to send one.

use super::connection::{Common, Open};
use super::open::syn_options;
use super::output::Reason;
use super::receiver::unscaled;
use super::recovery::Repair;
use super::sack::Sack;
use super::segment::bare;
use super::timer::Timer;
use super::{Buffers, Context, Limits, Outgoing, SeqNum};
use crate::buffer::Slices;
use crate::time::Instant;
use crate::wire::tcp::{Flags, TcpOptions};
use bytes::BytesMut;

/// One segment in the making.
pub(super) struct Sending<'a, 'b> {
    pub(super) now: Instant,
    pub(super) open: &'a mut Open,
    pub(super) common: &'a mut Common,
    pub(super) buffers: &'a Buffers,
    pub(super) limits: &'a Limits,
    pub(super) cx: &'a mut Context<'b>,
}

impl Sending<'_, '_> {
    pub(super) fn send(&mut self, reason: Reason) -> Outgoing {
        match reason {
            Reason::Syn => self.syn_ack(),
            Reason::Head => self.head(),
            Reason::Hole { from, bytes } => self.again(from, bytes),
            Reason::TailNew { bytes, fin } => {
                let segment = self.data(bytes, fin, false);
                self.tail_sent(false);
                segment
            }
            Reason::TailAgain { from, bytes } => {
                let segment = self.again(from, bytes);
                self.tail_sent(true);
                segment
            }
            Reason::Data { bytes, fin } => self.data(bytes, fin, false),
            Reason::MtuProbe { size, bytes } => self.mtu_probe(size, bytes),
            Reason::Probe => self.probe(),
            Reason::KeepAlive => self.keep_alive(),
            Reason::Duplicate => {
                self.open.acks.duplicate_sent();
                self.ack()
            }
            Reason::Early(upto) => self.early_ack(upto),
            Reason::Ack(_) if self.fin_belongs() => self.again(0, 0),
            Reason::Ack(_) | Reason::Reset | Reason::Reply(_) => self.ack(),
        }
    }

    /// A segment with everything but data; it acknowledges, so it serves what was owed.
    pub(super) fn segment(&mut self, seq: SeqNum, flags: Flags) -> Outgoing {
        let open = &mut *self.open;
        //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
        //# Once TSopt has been successfully negotiated, that is both <SYN> and <SYN,ACK> contain TSopt, the TSopt MUST be sent in every non-<RST> segment for the duration of the connection (7323:3.2-6).
        let timestamps = open.timestamps.as_ref().map(|stamps| stamps.option(self.now));
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.3
        //# that TCP receiver continues to set the ECN-Echo flag in all the ACK packets it sends (whether they acknowledge CE data packets or non-CE data packets) until it receives a CWR packet (a packet with the CWR flag set) (3168:6.1.3-2).
        let flags = flags.with(open.ecn.echo());
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
        open.rcv.early = None;
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
        open.timers.set(Timer::Retransmit, self.now + open.rtt.rto(false));
        let mut segment = bare(open.snd.iss, Some(open.rcv.nxt), Flags::SYN.with(open.ecn.granting()));
        segment.window = unscaled(self.common.recv_limit);
        segment.options = syn_options(self.now, self.common, Some(self.open), self.cx.config);
        self.open.acks.sent();
        segment
    }

    /// Data from the cursor on; `whole`: in one segment, as a probe of what the path carries, unless it lies in too many pieces.
    pub(super) fn data(&mut self, bytes: u32, fin: bool, whole: bool) -> Outgoing {
        let (offset, mss) = (self.open.snd.offset(), self.open.segment_size());
        let queued = self.open.queued(self.buffers);
        let unsent = self.open.snd.unsent(queued);
        let limited =
            self.open.offer(self.common, self.buffers, self.limits, self.cx.config).congestion_limited();
        let (payload, taken) = self.payload(offset, bytes);
        let (fin, probe) = (fin && taken == bytes, whole && taken == bytes);
        let seq = self.open.snd.cursor;
        // A probe is not merged, and more follows it.
        let mut flags = self.flags(if probe { mss } else { taken }, unsent, fin);

        let snd = &mut self.open.snd;
        let new = seq == snd.nxt;
        let end = seq + taken + u32::from(fin);
        if snd.marks.sent(end) {
            flags = flags.with(Flags::PSH);
        }
        // Behind a hole the ACK waits for the repair, which is no round trip.
        let whole = self.open.recovery.repair == Repair::None;
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
        let probed = snd.nxt;
        snd.nxt = snd.nxt.latest(end);
        if seq.before(probed) {
            snd.flight.sent_before(self.now, seq..probed);
            if end.after(probed) {
                snd.flight.sent(self.now, probed..end, probe);
            }
        } else {
            snd.flight.sent(self.now, seq..end, probe);
        }
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
        //# When previously unsent data is available and the new value of cwnd and the receiver's advertised window allow, a TCP SHOULD send 1*SMSS bytes of previously unsent data (5681:3.2-11).
        //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
        //# Send a new segment if permitted by the new value of cwnd (6582:3.2-10).
        if let Some(prr) = &mut self.open.recovery.prr {
            prr.on_sent(end.since(seq));
        }
        let snd = &mut self.open.snd;
        if taken % mss != 0 && !probe {
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
            self.open.timers.set(Timer::Retransmit, self.now + self.open.rto());
        }
        self.open.arm_tail(self.now);
        if fin {
            self.fin_sent();
        }
        let mut segment = self.segment(seq, flags);
        segment.gso_size = if taken > mss && !probe { u16::try_from(mss).unwrap_or(u16::MAX) } else { 0 };
        segment.payload = payload;
        if new {
            self.open.ecn.on_new_data(&mut segment);
        }
        segment
    }

    fn fin_sent(&mut self) {
        if let Some(state) = self.open.state().after_sent_fin() {
            self.open.enter(self.now, state);
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.6
    //# Therefore, the TCP data sender MUST NOT set either an ECT codepoint or the CWR bit on window probe packets (3168:6.1.6-1).
    /// One octet, or the FIN, beyond the window. The cursor stays: the octet is sent again with the first data that the window takes.
    fn probe(&mut self) -> Outgoing {
        if self.cx.config.empty_probes {
            return self.empty_probe();
        }
        let snd = &self.open.snd;
        let queued = self.open.queued(self.buffers);
        // What was sent before the window closed over it goes first.
        let seq = if snd.flight.is_empty() { snd.cursor } else { snd.una };
        let offset = seq.since(snd.una) as usize;
        let bytes = (queued.saturating_sub(offset)).min(1) as u32;
        let (payload, bytes) = self.payload(offset, bytes);
        let fin = bytes == 0;
        let flags = if fin { Flags::FIN } else { Flags::PSH };
        self.open.pending.force = false;
        let snd = &mut self.open.snd;
        let end = seq + 1;
        if snd.flight.is_empty() {
            snd.nxt = snd.nxt.latest(end);
            snd.probe = Some(seq);
        }
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

    /// What comes in one turn of a path that loses is acknowledged twice, once in part: were it one ACK and lost, nothing would tell the peer before its timer.
    fn early_ack(&mut self, upto: SeqNum) -> Outgoing {
        let open = &mut *self.open;
        open.rcv.early = None;
        let timestamps = open.timestamps.as_ref().map(|stamps| stamps.option(self.now));
        let mut segment = bare(open.snd.acceptable(), Some(upto), Flags::default().with(open.ecn.echo()));
        segment.window = open.rcv.offer_below(upto);
        segment.options = TcpOptions { timestamps, ..TcpOptions::default() };
        segment
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
