//! The receive half: what has come in order, what waits, and the window offered.

use super::assembler::{Assembler, Inserted};
use super::rightsize::{NEAR_MOST, RightSize};
use super::sack::{BLOCKS, Sack};
use super::window::WindowScale;
use super::{Buffers, SeqNum};
use crate::buffer::Pressure;
use crate::config::OfferedWindow;
use crate::counters::Counters;
use crate::pack::{Pack, Packer, Unpacker, packed};
use crate::time::{Duration, Instant};
use arrayvec::ArrayVec;
use bytes::Bytes;
use std::ops::Range;

/// Sequence space of the receiver.
///
/// ```text
///      irs            nxt                       edge
///       |--------------|--------------------------|
///        received        acceptable, some of it
///        in order        waiting in the assembler
/// ```
#[derive(Debug)]
pub(super) struct Receiver {
    /// RCV.NXT.
    pub(super) nxt: SeqNum,
    /// Right edge of the window as the peer reads it, scaled and rounded; never moves left but by rounding.
    pub(super) edge: SeqNum,
    /// The furthest right edge ever offered: what lies before it is taken.
    honored: SeqNum,
    /// Right edge as granted, before rounding.
    granted: SeqNum,
    /// Scale of the windows we offer.
    pub(super) scale: WindowScale,
    /// How much of what is free they are.
    pub(super) offers: OfferedWindow,
    /// Stream position of RCV.NXT: bytes received in order.
    pub(super) position: u64,
    /// What came before its turn.
    pub(super) assembler: Assembler,
    /// When all or part of a gap before that was filled last.
    pub(super) filled: Option<Instant>,
    /// Up to where an ACK of its own goes before the one for everything.
    pub(super) early: Option<SeqNum>,
    /// What the peer is told of it, when both sides agreed on SACK.
    pub(super) sack: Option<Sack>,
    /// Stream position of the peer's FIN, once seen.
    pub(super) fin: Option<u64>,
    /// The FIN has been reached in order.
    pub(super) fin_reached: bool,
    /// A window has been offered since that of the SYN, which was not scaled.
    told: bool,
    /// Largest segment seen, bytes: an estimate of what the peer sends.
    pub(super) mss: u32,
    /// Last.ACK.sent (RFC 7323 4.3).
    pub(super) last_ack: SeqNum,
    /// How large the buffer should be.
    pub(super) size: RightSize,
}

impl Receiver {
    /// A receiver whose SYN or SYN/ACK offers an unscaled window of at most `limit`.
    pub(super) fn new(irs: SeqNum, limit: usize, scale: WindowScale) -> Self {
        let nxt = irs + 1;
        let edge = nxt + u32::from(unscaled(limit));
        Self {
            nxt,
            edge,
            honored: edge,
            granted: edge,
            scale,
            offers: OfferedWindow::Stepped,
            position: 0,
            assembler: Assembler::default(),
            filled: None,
            early: None,
            sack: None,
            fin: None,
            fin_reached: false,
            told: false,
            mss: 536,
            last_ack: nxt,
            size: RightSize::new(536, limit),
        }
    }

    /// RCV.WND: what is left of the window offered.
    pub(super) const fn window(&self) -> u32 {
        if self.edge.after(self.nxt) { self.edge.since(self.nxt) } else { 0 }
    }

    /// The edge that what arrives is cut to: of the widest window that any ACK has offered.
    //= https://www.rfc-editor.org/rfc/rfc7323#section-2.4
    //# The receiver MUST honor, as in window, any segment that would have been in window for any <ACK> sent by the receiver (7323:2.4-2).
    pub(super) const fn honored_edge(&self) -> SeqNum {
        if self.honored.after(self.nxt) { self.honored } else { self.nxt }
    }

    /// Whether a number is within RCV.NXT and the edge that is honored.
    pub(super) fn is_inside(&self, seq: SeqNum) -> bool {
        seq.at_or_after(self.nxt) && seq.before(self.honored_edge())
    }

    /// Stream position of a number at or behind RCV.NXT.
    pub(super) fn position_of(&self, seq: SeqNum) -> u64 {
        self.position + u64::from(seq.since(self.nxt))
    }

    /// Keeps `payload` of `segments` segments, which came before its turn, in at most `limit` pieces.
    pub(super) fn keep(&mut self, seq: SeqNum, payload: Bytes, segments: u32, limit: usize) -> Inserted {
        let at = self.position_of(seq);
        let end = at + payload.len() as u64;
        let kept = self.assembler.insert(at, payload, limit);
        let Some(sack) = &mut self.sack else { return kept };
        let until = match kept {
            Inserted::Kept => end,
            Inserted::Full { until } => until,
        };
        let duplicates = sack.hold(at..until);
        // As many ACKs as tell any sender a loss; one for each of a merged super-frame would tell no more.
        //= https://www.rfc-editor.org/rfc/rfc5681#section-4.2
        //# A TCP receiver MUST NOT generate more than one ACK for every incoming segment, other than to update the offered window as the receiving application consumes new data (5681:4.2-9).
        let plain = (segments.min(3) as usize).saturating_sub(duplicates.len());
        self.report_all(&duplicates, at, segments);
        //= https://www.rfc-editor.org/rfc/rfc2018#section-4
        //# The receiver SHOULD send an ACK for every valid segment that arrives containing new data, and each of these "duplicate" ACKs SHOULD bear a SACK option (2018:4-5).
        for _ in 0..plain {
            self.report(at);
        }
        kept
    }

    /// Takes note of a FIN before its turn.
    pub(super) fn keep_fin(&mut self, at: u64) {
        let Some(sack) = self.sack.as_mut().filter(|_| at > self.position) else { return };
        sack.hold(at..at + 1);
        if !sack.due() {
            sack.report(at, None);
        }
    }

    /// Owes the peer an ACK with SACK blocks.
    fn report(&mut self, trigger: u64) {
        if let Some(sack) = &mut self.sack {
            sack.report(trigger, None);
        }
    }

    /// Reports what a segment carried that lies before RCV.NXT.
    pub(super) fn report_old(&mut self, old: Range<SeqNum>) {
        let known = u64::from(self.nxt.since(old.start)) <= self.position + 1;
        if let Some(sack) = self.sack.as_mut().filter(|_| known) {
            sack.report(self.position, Some(old));
        }
    }

    /// Reports what a segment that is refused repeats of what is held before its turn.
    pub(super) fn report_held(&mut self, seq: SeqNum, bytes: u32) {
        let at = self.position_of(seq);
        let Some(sack) = &self.sack else { return };
        let duplicates = sack.held(&(at..at + u64::from(bytes)));
        self.report_all(&duplicates, at, 1);
    }

    /// Reports what the next `bytes` in order repeat of what is held.
    pub(super) fn report_repeated(&mut self, bytes: u32, segments: u32) {
        let Some(sack) = &self.sack else { return };
        let duplicates = sack.held(&(self.position..self.position + u64::from(bytes)));
        self.report_all(&duplicates, self.position, segments);
    }

    //= https://www.rfc-editor.org/rfc/rfc2883#section-4.2
    //# When the SACK option is used for reporting partial duplicate segments, the first D-SACK block reports the first duplicate sub-segment (2883:4.2-1).
    fn report_all(&mut self, duplicates: &[Range<u64>], trigger: u64, segments: u32) {
        let (nxt, position) = (self.nxt, self.position);
        let seq = |at: u64| nxt + (at - position) as u32;
        let Some(sack) = &mut self.sack else { return };
        //= https://www.rfc-editor.org/rfc/rfc2883#section-4.2
        //# If the data packet being acknowledged contains multiple partial duplicate sub-segments, then only the first such duplicate sub-segment is reported in the SACK option (2883:4.2-2).
        for duplicate in duplicates.iter().take(segments as usize) {
            //= https://www.rfc-editor.org/rfc/rfc2883#section-4
            //# The left edge of the D-SACK block specifies the first sequence number of the duplicate contiguous sequence, and the right edge of the D-SACK block specifies the sequence number immediately following the last sequence in the duplicate contiguous sequence (2883:4-5).
            sack.report(trigger, Some(seq(duplicate.start)..seq(duplicate.end)));
        }
    }

    /// Data has come: the buffer grows to what the program turns out to read. `trip` is a round trip that the data tells, if it tells one.
    pub(super) fn right_size(&mut self, now: Instant, trip: Option<Duration>, buffers: &mut Buffers) {
        if let Some(trip) = trip {
            self.size.on_echo(trip);
        }
        self.size.on_data(now, self.position, self.window());
        let read = self.position.saturating_sub(used(buffers) as u64);
        let ahead = self.assembler.end().map_or(0, |end| end.saturating_sub(self.position));
        let wanted = self.size.on_read(now, read, buffers.recv_held as u64, ahead);
        let most = if self.size.is_near() { buffers.recv_most.min(NEAR_MOST) } else { buffers.recv_most };
        if let Some(wanted) = wanted.filter(|_| buffers.pressure == Pressure::None) {
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(most);
            buffers.recv_limit = buffers.recv_limit.max(wanted);
        }
    }

    /// The stack holds all that it may. What came before its turn goes first, though the peer may have been told of it, as Linux prunes; then a segment is
    /// taken only where nothing waits for the program, so that no connection stands still.
    pub(super) fn makes_room(&mut self, seq: SeqNum, buffers: &Buffers, counters: &mut Counters) -> bool {
        if !self.assembler.is_empty() {
            counters.tcp_pruned = counters.tcp_pruned.saturating_add(self.assembler.bytes() as u64);
            self.prune();
        }
        seq == self.nxt && used(buffers) == 0
    }

    /// Forgets what came before its turn.
    fn prune(&mut self) {
        self.assembler.clear();
        self.fin = self.fin.filter(|at| *at == self.position);
        if let Some(sack) = &mut self.sack {
            sack.forget();
        }
    }

    /// RCV.NXT moves over `bytes` of data.
    pub(super) const fn take(&mut self, bytes: u32) {
        self.nxt = SeqNum(self.nxt.0.wrapping_add(bytes));
        self.position += bytes as u64;
    }

    /// The blocks for a segment sent now.
    pub(super) fn sack_blocks(&mut self) -> ArrayVec<(u32, u32), BLOCKS> {
        let (position, nxt) = (self.position, self.nxt);
        self.sack.as_mut().map(|sack| sack.next(position, nxt)).unwrap_or_default()
    }

    /// The window field for a segment sent now, and its effect on the edges.
    ///
    /// The field counts in steps of the scale. Rounding down would move the edge to the left, so it is rounded up, as Linux does: by less than a
    /// step each time, and an eighth of the buffer in all, which only a peer that sends crumbs can use up.
    pub(super) fn offer(&mut self, buffers: &Buffers) -> u16 {
        self.granted = self.next_edge(buffers);
        let span = |edge: SeqNum, nxt| if edge.after(nxt) { edge.since(nxt) } else { 0 };
        let granted = span(self.granted, self.nxt);
        let floor = match self.offers {
            OfferedWindow::Stepped => self.scale.field_floor(granted),
            OfferedWindow::Exact => self.scale.field_ceil(granted),
        };
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
        //# A TCP receiver SHOULD NOT shrink the window, i.e., move the right window edge to the left (SHLD-14).
        //= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
        //# The window field (SEG.WND) of every outgoing segment, with the exception of <SYN> segments, MUST be right-shifted by Rcv.Wind.Shift bits (7323:2.3-6).
        let kept = self.scale.field_ceil(span(self.edge, self.nxt));
        let slack = self.scale.unit().saturating_add(half(buffers) / 4);
        // Crumbs that came beyond what was granted have used up their part of it.
        let beyond = span(self.nxt, self.granted);
        let rounds_up = self.scale.bytes(kept).saturating_add(beyond) <= granted.saturating_add(slack);
        let field = if rounds_up { floor.max(kept) } else { floor.max(kept.saturating_sub(1)) };
        self.edge = self.nxt + self.scale.bytes(field);
        //= https://www.rfc-editor.org/rfc/rfc7323#section-2.4
        //# When window scaling is in effect, the receiver SHOULD track the actual maximum window sequence number (7323:2.4-3).
        self.honored = self.honored_edge().latest(self.edge);
        self.told = true;
        self.honor(buffers);
        field
    }

    /// The window field for an ACK of `upto`, below RCV.NXT: the edge stays.
    pub(super) fn offer_below(&mut self, upto: SeqNum) -> u16 {
        let left = if self.edge.after(upto) { self.edge.since(upto) } else { 0 };
        let field = self.scale.field_ceil(left);
        self.edge = self.edge.latest(upto + self.scale.bytes(field));
        self.honored = self.honored_edge().latest(self.edge);
        field
    }

    /// Takes whatever there is room for, where the window is all of it, also what its field cannot say.
    pub(super) fn honor(&mut self, buffers: &Buffers) {
        if self.offers == OfferedWindow::Exact {
            self.honored = self.honored_edge().latest(self.nxt + free(buffers).min(WINDOW_MAX));
        }
    }

    /// How far the right edge would move if a segment were sent now and everything free were offered, up to `most`, bytes.
    fn advance(&self, buffers: &Buffers, most: u32) -> u32 {
        let most = match buffers.pressure {
            Pressure::None => most,
            Pressure::High => most.min(self.mss.saturating_mul(4)),
            Pressure::Full => 0,
        };
        let most = most.min(window_most(buffers));
        let candidate = self.nxt + free(buffers).min(most) - excess(buffers);
        if candidate.after(self.granted) { candidate.since(self.granted) } else { 0 }
    }

    /// The right edge to grant next.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
    //# A TCP implementation MAY keep its offered receive window closed indefinitely (MAY-8).
    fn next_edge(&self, buffers: &Buffers) -> SeqNum {
        let advance = self.advance(buffers, self.scale.largest());
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.2
        //# The solution to receiver SWS is to avoid advancing the right window edge RCV.NXT+RCV.WND in small increments
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.2
        //# A TCP implementation MUST include a SWS avoidance algorithm in the receiver (MUST-39).
        let worth = match self.offers {
            OfferedWindow::Stepped => advance >= self.step(buffers),
            OfferedWindow::Exact => free(buffers) >= self.mss.min(half(buffers) / 2),
        };
        if worth { self.granted + advance } else { self.granted }
    }

    /// Advance of the right edge that is worth a segment of its own: it doubles the window, by a step at least.
    pub(super) fn update_step(&self, buffers: &Buffers) -> u32 {
        self.step(buffers).max(self.window())
    }

    /// Whether reading has freed enough for a window update.
    pub(super) fn update_due(&self, buffers: &Buffers) -> bool {
        self.freed(buffers) >= self.update_step(buffers)
    }

    /// Bytes to be read until a window update is due.
    pub(super) fn update_edge(&self, buffers: &Buffers) -> usize {
        (self.update_step(buffers).saturating_sub(self.freed(buffers))).max(1) as usize
    }

    /// How far a window update would move the right edge. What the window of the SYN could not say for want of a scale is no news that needs a
    /// segment of its own: the first ACK says it.
    fn freed(&self, buffers: &Buffers) -> u32 {
        let most = if self.told { self.scale.largest() } else { u32::from(u16::MAX) };
        self.advance(buffers, most)
    }

    /// Least advance of the right edge. While segments are missing the window stays as it is: an ACK with another window is no duplicate ACK
    /// (RFC 5681 section 2), and one that a program caused by reading would be one too many.
    ///
    /// Where its share of the queue of the device bounds the window, a peer sends within the call that brings it the ACK, and what it sends in a row costs both
    /// sides less: it is let on by a half of the share (docs/decisions/0008), but by segments when memory is short. No step is more than the window field can say.
    fn step(&self, buffers: &Buffers) -> u32 {
        let most = window_most(buffers);
        let half = half(buffers).min(most / 2).min(self.scale.largest() / 2);
        let is_shared = (most as usize) < buffers.recv_limit && buffers.pressure == Pressure::None;
        let least = if !self.assembler.is_empty() {
            half
        } else if is_shared {
            half.min(STRIDE)
        } else {
            half.min(self.mss)
        };
        least.max(1)
    }
}

/// Bytes that such a peer is let on by at most: a half of what few connections share is more than it sends without a pause.
const STRIDE: u32 = 512 << 10;

/// The largest window there is (RFC 7323 2.3).
const WINDOW_MAX: u32 = 1 << 30;

/// The window of a SYN, which is never scaled (RFC 7323 2.2).
pub(super) fn unscaled(limit: usize) -> u16 {
    u16::try_from(limit).unwrap_or(u16::MAX)
}

fn free(buffers: &Buffers) -> u32 {
    u32::try_from(buffers.recv_limit.saturating_sub(used(buffers))).unwrap_or(u32::MAX)
}

/// What the queue of the device takes.
fn window_most(buffers: &Buffers) -> u32 {
    buffers.recv_window_most.and_then(|most| u32::try_from(most).ok()).unwrap_or(u32::MAX)
}

/// Bytes beyond the limit.
fn excess(buffers: &Buffers) -> u32 {
    u32::try_from(used(buffers).saturating_sub(buffers.recv_limit)).unwrap_or(u32::MAX)
}

fn used(buffers: &Buffers) -> usize {
    buffers.recv_held.saturating_add(buffers.recv.len())
}

fn half(buffers: &Buffers) -> u32 {
    u32::try_from(buffers.recv_limit / 2).unwrap_or(u32::MAX)
}

impl Receiver {
    /// Whether nothing waits for its turn.
    pub(super) fn rests(&self) -> bool {
        self.assembler.is_empty() && self.sack.as_ref().is_none_or(Sack::rests)
    }
}

packed!(
    enum OfferedWindow {
        Stepped,
        Exact,
    }
);
packed!(Receiver {
    nxt,
    edge,
    honored,
    granted,
    last_ack,
    early,
    scale,
    offers,
    position,
    assembler,
    filled,
    sack,
    fin,
    fin_reached,
    told,
    mss,
    size
});

impl Pack for Assembler {
    /// Nothing, as it rests only when it is empty.
    fn pack(&self, _to: &mut Packer) {}
    fn unpack(_from: &mut Unpacker<'_>) -> Self {
        Self::default()
    }
}
