//! The receive half: what has come in order, what waits, and the window offered.

use super::assembler::Assembler;
use super::window::WindowScale;
use super::{Buffers, SeqNum};

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
    /// Right edge as granted, before rounding.
    granted: SeqNum,
    /// Scale of the windows we offer.
    pub(super) scale: WindowScale,
    /// Stream position of RCV.NXT: bytes received in order.
    pub(super) position: u64,
    /// What came before its turn.
    pub(super) assembler: Assembler,
    /// Stream position of the peer's FIN, once seen.
    pub(super) fin: Option<u64>,
    /// The FIN has been reached in order.
    pub(super) fin_reached: bool,
    /// Largest segment seen, bytes: an estimate of what the peer sends.
    pub(super) mss: u32,
    /// Last.ACK.sent (RFC 7323 4.3).
    pub(super) last_ack: SeqNum,
}

impl Receiver {
    /// A receiver whose SYN or SYN/ACK offers an unscaled window of at most `limit`.
    pub(super) fn new(irs: SeqNum, limit: usize, scale: WindowScale) -> Self {
        let nxt = irs + 1;
        let edge = nxt + u32::from(unscaled(limit));
        Self {
            nxt,
            edge,
            granted: edge,
            scale,
            position: 0,
            assembler: Assembler::default(),
            fin: None,
            fin_reached: false,
            mss: 536,
            last_ack: nxt,
        }
    }

    /// RCV.WND: what is left of the window offered.
    pub(super) const fn window(&self) -> u32 {
        if self.edge.after(self.nxt) { self.edge.since(self.nxt) } else { 0 }
    }

    /// Stream position of a number at or behind RCV.NXT.
    pub(super) fn position_of(&self, seq: SeqNum) -> u64 {
        self.position + u64::from(seq.since(self.nxt))
    }

    /// The window field for a segment sent now, and its effect on the edges.
    ///
    /// The field counts in steps of the scale. Rounding down would move the edge to the left, so it is rounded up, as Linux does: by less than a
    /// step each time, and an eighth of the buffer in all, which only a peer that sends crumbs can use up.
    pub(super) fn offer(&mut self, buffers: &Buffers) -> u16 {
        self.granted = self.next_edge(buffers);
        let span = |edge: SeqNum, nxt| if edge.after(nxt) { edge.since(nxt) } else { 0 };
        let granted = span(self.granted, self.nxt);
        let floor = self.scale.field_floor(granted);
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
        //# A TCP receiver SHOULD NOT shrink the window, i.e., move the right window edge to the left
        let kept = self.scale.field_ceil(span(self.edge, self.nxt));
        let slack = self.scale.unit().saturating_add(half(buffers) / 4);
        let rounds_up = self.scale.bytes(kept) <= granted.saturating_add(slack);
        let field = if rounds_up { floor.max(kept) } else { floor.max(kept - 1) };
        self.edge = self.nxt + self.scale.bytes(field);
        field
    }

    /// How far the right edge would move if a segment were sent now and everything free were offered, bytes.
    fn advance(&self, buffers: &Buffers) -> u32 {
        let candidate = self.nxt + free(buffers).min(self.scale.largest());
        if candidate.after(self.granted) { candidate.since(self.granted) } else { 0 }
    }

    /// The right edge to grant next.
    fn next_edge(&self, buffers: &Buffers) -> SeqNum {
        let advance = self.advance(buffers);
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.2
        //# The solution to receiver SWS is to avoid advancing the right window edge RCV.NXT+RCV.WND in small increments
        if advance >= self.step(buffers) { self.granted + advance } else { self.granted }
    }

    /// Advance of the right edge that is worth a segment of its own: it doubles the window, by a segment at least.
    pub(super) fn update_step(&self, buffers: &Buffers) -> u32 {
        self.step(buffers).max(self.window())
    }

    /// Whether reading has freed enough for a window update.
    pub(super) fn update_due(&self, buffers: &Buffers) -> bool {
        self.advance(buffers) >= self.update_step(buffers)
    }

    /// Bytes to be read until a window update is due.
    pub(super) fn update_edge(&self, buffers: &Buffers) -> usize {
        (self.update_step(buffers).saturating_sub(self.advance(buffers))).max(1) as usize
    }

    /// Least advance of the right edge. While segments are missing the window stays as it is: an ACK with another window is no duplicate ACK
    /// (RFC 5681 section 2), and one that a program caused by reading would be one too many.
    fn step(&self, buffers: &Buffers) -> u32 {
        let least = if self.assembler.is_empty() { half(buffers).min(self.mss) } else { half(buffers) };
        least.max(1)
    }
}

/// The window of a SYN, which is never scaled (RFC 7323 2.2).
pub(super) fn unscaled(limit: usize) -> u16 {
    u16::try_from(limit).unwrap_or(u16::MAX)
}

fn free(buffers: &Buffers) -> u32 {
    let used = buffers.recv_held.saturating_add(buffers.recv.len());
    u32::try_from(buffers.recv_limit.saturating_sub(used)).unwrap_or(u32::MAX)
}

fn half(buffers: &Buffers) -> u32 {
    u32::try_from(buffers.recv_limit / 2).unwrap_or(u32::MAX)
}
