//! The text of a segment: what is in order goes to the program, what comes before its turn waits; and what is owed for either.

use super::EndReason;
use super::ack::{Cause, Owed};
use super::assembler::Inserted;
use super::connection::Open;
use super::input::{Flow, Step};
use super::segment::Arrival;
use super::timer::Timer;
use crate::buffer::Pressure;
use crate::counters::Drop;
use crate::time::Duration;
use bytes::Bytes;

/// Bytes of a segment below which it counts as a crumb.
const CRUMB: usize = 500;

impl Step<'_, '_> {
    /// The text of a segment, in order or before its turn.
    pub(super) fn text(&mut self, arrival: &mut Arrival) {
        let payload = std::mem::take(&mut arrival.payload);
        let bytes = payload.len() as u32;
        let each = self.size_of_each(bytes, arrival.segments);
        let wary = self.wary();
        let open = &mut *self.open;
        if self.buffers.pressure == Pressure::Full
            && !open.rcv.makes_room(arrival.seq, self.buffers, self.cx.counters)
        {
            open.acks.owe_now(Cause::Refused);
            self.drop(Drop::TcpMemory);
            return;
        }
        if arrival.seq != open.rcv.nxt {
            // What the buffer takes is not refused for want of places, unless it comes in crumbs.
            let places = self.buffers.recv_limit / CRUMB;
            let (segments, limit) = (arrival.segments, self.cx.config.reassembly_segments);
            let limit = if each as usize > CRUMB { limit.max(places) } else { limit };
            let kept = open.rcv.keep(arrival.seq, payload, segments, limit);
            //= https://www.rfc-editor.org/rfc/rfc5681#section-4.2
            //# Out-of-order data segments SHOULD be acknowledged immediately, in order to accelerate loss recovery (5681:4.2-6).
            if open.rcv.sack.is_none() {
                open.acks.on_out_of_order(segments);
            }
            match kept {
                Inserted::Kept => {
                    self.common.stats.out_of_order = self.common.stats.out_of_order.wrapping_add(segments);
                    self.cx.counters.tcp_out_of_order += 1;
                }
                Inserted::Full { .. } => {
                    self.drop(Drop::TcpReassembly);
                }
            }
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
        //# Segments with higher beginning sequence numbers SHOULD be held for later processing (SHLD-31).
        open.acks.forget_duplicates();
        //= https://www.rfc-editor.org/rfc/rfc5681#section-4.2
        //# the receiver SHOULD send an immediate ACK when it receives a data segment that fills in all or part of a gap in the sequence space (5681:4.2-8).
        if !open.rcv.assembler.is_empty() {
            open.rcv.filled = Some(self.now);
            open.acks.owe_now(Cause::Gap);
            open.rcv.report_repeated(bytes, arrival.segments - u32::from(arrival.reported));
        }
        if wary {
            open.acks.hasten(1);
        }
        open.acks.on_data(bytes, open.rcv.mss);
        self.take(payload);
        //= https://www.rfc-editor.org/rfc/rfc7323#section-5.3
        //# the timestamp MUST be checked only when a segment first arrives at the receiver, regardless of whether it is in sequence or it must be queued for later delivery (7323:5.3-5).
        while let Some(piece) = self.open.rcv.assembler.take(self.open.rcv.position) {
            self.take(piece);
        }
        let rcv = &mut self.open.rcv;
        if wary && rcv.assembler.is_empty() {
            rcv.early.get_or_insert(rcv.nxt);
        }
        self.text_taken(each, arrival.timestamps);
    }

    /// The next text in order, where no gap is to be filled or was filled of late.
    pub(super) fn next_text(&mut self, payload: Bytes, segments: u32, stamps: Option<(u32, u32)>) {
        let bytes = payload.len() as u32;
        let each = self.size_of_each(bytes, segments);
        let open = &mut *self.open;
        open.acks.forget_duplicates();
        open.acks.on_data(bytes, open.rcv.mss);
        self.take(payload);
        self.text_taken(each, stamps);
    }

    /// Whether a gap was filled so recently that the path is expected to lose more.
    pub(super) fn wary(&self) -> bool {
        self.open.rcv.filled.is_some_and(|at| self.now.since(at) < self.cx.config.wary_acks)
    }

    /// Bytes of each of the segments that have brought `bytes`; the largest of all is remembered.
    fn size_of_each(&mut self, bytes: u32, segments: u32) -> u32 {
        let each = bytes.div_ceil(segments);
        let rcv = &mut self.open.rcv;
        rcv.mss = rcv.mss.max(each.min(u32::from(self.common.setup.mss)));
        each
    }

    /// RCV.NXT has moved over segments of `each` bytes.
    fn text_taken(&mut self, each: u32, stamps: Option<(u32, u32)>) {
        let rcv = &mut self.open.rcv;
        let position = rcv.position;
        if let Some(sack) = &mut rcv.sack {
            sack.advance(position);
        }
        self.right_size(stamps, each);
        self.delay_ack();
    }

    /// Lets the receive buffer grow by what the segment tells. The peer's clock is not asked: an echo is of ours, and only a full segment was not waiting
    /// for its program.
    fn right_size(&mut self, stamps: Option<(u32, u32)>, each: u32) {
        let Open { rcv, rtt, timestamps, .. } = &mut *self.open;
        let echo = stamps.filter(|(_, tsecr)| each >= rcv.mss && rcv.size.is_new_echo(*tsecr));
        let echo = echo.zip(timestamps.as_ref());
        let trip = echo.and_then(|((_, tsecr), stamps)| stamps.round_trip(self.now, tsecr, None));
        // Timestamps tell milliseconds, what is measured at segments of our own tells more.
        let trip = trip.map(|trip| match rtt.smoothed() {
            Some(finer) if finer.abs_diff(trip) <= Duration::from_millis(1) => finer,
            _ => trip,
        });
        if let Some(least) = rtt.least() {
            rcv.size.observe(least);
        }
        rcv.right_size(self.now, trip, self.buffers);
    }

    fn delay_ack(&mut self) {
        if self.open.acks.owed() == Owed::Later && !self.open.timers.is_set(Timer::DelayedAck) {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.3
            //# the delay MUST be less than 0.5 seconds (MUST-40)
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.3
            //# A TCP endpoint SHOULD implement a delayed ACK (SHLD-18)
            self.open.timers.set(Timer::DelayedAck, self.now + self.cx.config.delayed_ack);
        }
    }

    /// What the peer's SYN carried, once the handshake is over; `arrival` has ended it.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.3
    //# If there are other controls or text in the segment, queue them for processing after the ESTABLISHED state has been reached, return.
    pub(super) fn syn_text(&mut self, arrival: &mut Arrival) -> Flow {
        let Some(text) = self.open.rcv.assembler.take(self.open.rcv.position) else { return Flow::Next };
        if self.common.orphaned.is_some() {
            self.drop(Drop::TcpClosed);
            return Flow::Reset(EndReason::Unread);
        }
        self.open.acks.on_data(text.len() as u32, self.open.rcv.mss);
        self.take(text);
        self.delay_ack();
        arrival.cut_front(self.open.rcv.nxt);
        Flow::Next
    }

    /// Bytes whose turn has come.
    fn take(&mut self, payload: Bytes) {
        let count = payload.len();
        self.open.urgent.on_data(self.open.rcv.position, &payload);
        self.open.rcv.take(count as u32);
        self.common.stats.bytes_received += count as u64;
        self.buffers.recv.push(payload);
    }
}
