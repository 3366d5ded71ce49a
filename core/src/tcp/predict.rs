//! Header prediction: the next data of a bulk transfer, taken without the questions whose answers are known.
//!
//! It is a subset of the eight steps of `input`: whatever is not exactly what was expected goes through those, and what is taken here leaves the connection
//! as they would (`tests/predict.rs` compares the two). What is left out is what an ACK says, since it says nothing new.

use super::input::Step;
use super::segment::merged;
use super::{Segment, SeqNum};
use crate::buffer::Pressure;
use crate::wire::tcp::Flags;

impl Step<'_, '_> {
    /// Takes `segment` if it is the next data in order and nothing but that; else false, and nothing has happened.
    pub(super) fn predicted(&mut self, segment: &mut Segment) -> bool {
        if !self.is_next(segment) || !self.tells_nothing_else(segment) {
            return false;
        }
        let (open, header) = (&mut *self.open, &segment.header);
        let (seq, ack, timestamps) = (SeqNum(header.seq), SeqNum(header.ack), header.options.timestamps);
        if let Some((stamps, (tsval, _))) = open.timestamps.as_mut().zip(timestamps) {
            stamps.accept(self.now, tsval, seq, open.rcv.last_ack);
        }
        open.heard = self.now;
        open.keep_probes = 0;
        open.snd.probes_unanswered = 0;
        open.snd.update_window(seq, ack, open.snd.wnd);
        open.urgent.on_ack(ack);
        let (segments, payload) = (merged(segment), std::mem::take(&mut segment.payload));
        self.congestion_seen(header.flags, segment.ecn, segments);
        self.next_text(payload, segments, timestamps);
        true
    }

    /// Whether it is the next in order of a stream without gaps or end, all of it inside the window, and of no flag that asks for something. The state need not be
    /// asked: before ESTABLISHED a SYN is in flight, and once the peer's stream has ended its FIN is known.
    fn is_next(&self, segment: &Segment) -> bool {
        let (rcv, header) = (&self.open.rcv, &segment.header);
        let bytes = segment.payload.len();
        Flags(header.flags.0 & !Flags::PSH.0) == Flags::ACK
            && SeqNum(header.seq) == rcv.nxt
            && bytes > 0
            && bytes <= rcv.honored_edge().since(rcv.nxt) as usize
            && rcv.assembler.is_empty()
            && rcv.fin.is_none()
            && !self.wary()
            && self.common.orphaned.is_none()
            && self.buffers.pressure != Pressure::Full
    }

    /// Whether its ACK and options say what was known: that nothing is in flight, the same window, a timestamp that is not old. While nothing is in flight
    /// there is nothing to repair or to take back, and all that such an ACK can settle is what a tail loss probe was for.
    fn tells_nothing_else(&self, segment: &Segment) -> bool {
        let (open, header) = (&*self.open, &segment.header);
        let current = match (&open.timestamps, header.options.timestamps) {
            (None, _) => true,
            (Some(stamps), Some((tsval, _))) => !stamps.is_old(self.now, tsval),
            (Some(_), None) => false,
        };
        current
            && header.options.sack.is_empty()
            && SeqNum(header.ack) == open.snd.una
            && open.snd.una == open.snd.nxt
            && open.snd.scale.bytes(header.window) == open.snd.wnd
            && self.common.soft_error.is_none()
            && open.recovery.probe.is_none()
    }
}
