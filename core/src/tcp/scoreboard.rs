//! What the blocks of a segment say of what was sent (RFC 2018, 2883; Update() of RFC 6675 section 4).

use super::SeqNum;
use super::flight::{Flight, News};
use std::ops::Range;

/// What the blocks of one segment said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Update {
    /// What the peer received twice (RFC 2883).
    pub(super) duplicate: Option<Range<SeqNum>>,
    /// Blocks that make no sense, or found no place.
    pub(super) ignored: u32,
}

/// Where the sender is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edges {
    pub(super) una: SeqNum,
    pub(super) nxt: SeqNum,
}

/// The scoreboard: what is in flight, to be marked.
pub(super) struct Scoreboard<'a> {
    pub(super) flight: &'a mut Flight,
    pub(super) news: &'a mut News,
}

/// Bytes that can have come twice in one segment: a super-frame. A block of more is a mistake, or is to have a reduction undone that was right.
const DUPLICATE_MOST: u32 = 1 << 16;

impl Scoreboard<'_> {
    /// Update(): takes note of the blocks of a segment with `ack`; SND.UNA has moved already.
    pub(super) fn update(&mut self, edges: Edges, ack: SeqNum, blocks: &[(u32, u32)]) -> Update {
        let mut update = Update::default();
        let mut blocks = blocks.iter().map(|(left, right)| SeqNum(*left)..SeqNum(*right)).peekable();
        let Some(first) = blocks.next() else { return update };
        //= https://www.rfc-editor.org/rfc/rfc2883#section-5
        //# If the sequence space in the first SACK block is greater than the cumulative ACK, then the sender next compares the sequence space in the first SACK block with the sequence space in the second SACK block, if there is one (2883:5-4).
        let inside =
            blocks.peek().is_some_and(|b| first.start.at_or_after(b.start) && first.end.at_or_before(b.end));
        //= https://www.rfc-editor.org/rfc/rfc2883#section-5
        //# the sender should compare the sequence space in the first SACK block to the cumulative ACK which is carried IN THE SAME PACKET (2883:5-1).
        //= https://www.rfc-editor.org/rfc/rfc2883#section-5
        //# If the SACK sequence space is less than this cumulative ACK, it is an indication that the segment identified by the SACK block has been received more than once by the receiver (2883:5-2).
        //= https://www.rfc-editor.org/rfc/rfc2883#section-5
        //# An implementation MUST NOT compare the sequence space in the SACK block to the TCP state variable snd.una (which carries the total cumulative ACK), as this may result in the wrong conclusion if ACK packets are reordered (2883:5-3).
        if first.start.before(ack) || inside {
            update.duplicate = Some(first);
        } else {
            self.block(edges, &first, &mut update);
        }
        for block in blocks {
            self.block(edges, &block, &mut update);
        }
        let told = |d: &Range<SeqNum>| {
            d.start.before(d.end) && d.end.at_or_before(edges.nxt) && d.end.since(d.start) <= DUPLICATE_MOST
        };
        update.ignored += u32::from(!update.duplicate.iter().all(told));
        update.duplicate = update.duplicate.filter(told);
        update
    }

    fn block(&mut self, edges: Edges, block: &Range<SeqNum>, update: &mut Update) {
        let Edges { una, nxt } = edges;
        let Range { start, end } = *block;
        if start.before(end) && end.at_or_before(una) {
            // An ACK that others have overtaken.
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc2018#section-5
        //# When receiving an ACK containing a SACK option, the data sender SHOULD record the selective acknowledgment for future reference (2018:5-1).
        //= https://www.rfc-editor.org/rfc/rfc6675#section-4
        //# each octet that is cumulatively ACKed or SACKed should be marked accordingly in the scoreboard data structure, and the total number of octets SACKed should be recorded (6675:4-2).
        let sound = start.after(una) && start.before(end) && end.at_or_before(nxt);
        if !sound || !self.flight.hold(start..end, self.news) {
            update.ignored += 1;
        }
    }
}
