//! What the peer has acknowledged selectively, and what that says of the rest (RFC 6675 section 4).
//!
//! Nothing here is linear in what is in flight: a range is found in logarithmic time, is made by one block and taken away by one other or by the
//! cumulative acknowledgement, and the highest three ranges decide what is lost.

use super::SeqNum;
use std::collections::BTreeMap;
use std::ops::Range;

/// Duplicate ACKs, or segments above, that tell a loss.
//= https://www.rfc-editor.org/rfc/rfc6675#section-2
//# Per [RFC5681], this threshold is defined to be 3 duplicate acknowledgments (6675:2-2).
pub(super) const DUP_THRESH: u32 = 3;

/// Ranges of the stream that the peer holds.
///
/// ```text
///       una       rxt            edge                 end
///        |...[===]..|..[==].......[===]...[==]..[=]....|
///         resent     lost          in flight
/// ```
/// Positions count from the first byte of the stream; offsets, in which everything speaks to the outside, from SND.UNA.
#[derive(Debug)]
pub(super) struct Scoreboard {
    /// HighACK.
    una: u64,
    /// Ranges held, from and to; they neither overlap nor touch.
    ranges: BTreeMap<u64, u64>,
    /// Bytes in all of them.
    sacked: u64,
    /// HighRxt: behind the highest byte sent again in this repair.
    rxt: u64,
    /// Bytes held below it.
    sacked_below: u64,
    /// Most ranges.
    limit: usize,
}

/// What the blocks of one segment said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Update {
    /// Bytes that no block told of before.
    pub(super) new: u64,
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

impl Scoreboard {
    /// Nothing is held; at most `limit` ranges will be kept.
    pub(super) const fn new(limit: usize) -> Self {
        Self { una: 0, ranges: BTreeMap::new(), sacked: 0, rxt: 0, sacked_below: 0, limit }
    }

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
        let told = |d: &Range<SeqNum>| d.start.before(d.end) && d.end.at_or_before(edges.nxt);
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
        let sound = start.after(una) && start.before(end) && end.at_or_before(nxt);
        match sound.then(|| self.mark(start.since(una)..end.since(una))) {
            Some(Some(new)) => update.new += new,
            Some(None) | None => update.ignored += 1,
        }
    }

    /// Marks a range as held; returns how much of it is news, `None` when it finds no place.
    pub(super) fn mark(&mut self, offsets: Range<u32>) -> Option<u64> {
        let span = self.una + u64::from(offsets.start)..self.una + u64::from(offsets.end);
        let touching = |s: &Self, start, end| {
            s.ranges.range(..=end).next_back().map(|(from, to)| *from..*to).filter(|range| range.end >= start)
        };
        let (mut start, mut end) = (span.start, span.end);
        if self.ranges.len() >= self.limit && touching(self, start, end).is_none() {
            return None;
        }
        let (mut new, mut below) = (length(&span), self.below(&span));
        while let Some(range) = touching(self, start, end) {
            let both = range.start.max(span.start)..range.end.min(span.end);
            new -= length(&both);
            below -= self.below(&both);
            (start, end) = (start.min(range.start), end.max(range.end));
            self.ranges.remove(&range.start);
        }
        //= https://www.rfc-editor.org/rfc/rfc2018#section-5
        //# When receiving an ACK containing a SACK option, the data sender SHOULD record the selective acknowledgment for future reference (2018:5-1).
        self.ranges.insert(start, end);
        //= https://www.rfc-editor.org/rfc/rfc6675#section-4
        //# each octet that is cumulatively ACKed or SACKed should be marked accordingly in the scoreboard data structure, and the total number of octets SACKed should be recorded (6675:4-2).
        self.sacked += new;
        self.sacked_below += below;
        Some(new)
    }

    /// SND.UNA has moved by `bytes`.
    pub(super) fn advance(&mut self, bytes: u32) {
        self.una += u64::from(bytes);
        while let Some(entry) = self.ranges.first_entry().filter(|entry| *entry.key() < self.una) {
            let (start, end) = entry.remove_entry();
            let gone = start..end.min(self.una);
            self.sacked -= length(&gone);
            self.sacked_below -= self.below(&gone);
            if end > self.una {
                self.ranges.insert(self.una, end);
            }
        }
        if self.rxt < self.una {
            self.forget_resent();
        }
    }

    /// Everything is forgotten: after a timeout what the peer held may be gone.
    pub(super) fn clear(&mut self) {
        self.ranges.clear();
        self.sacked = 0;
        self.forget_resent();
    }

    /// HighRxt is HighACK: nothing has been sent again.
    pub(super) const fn forget_resent(&mut self) {
        self.rxt = self.una;
        self.sacked_below = 0;
    }

    /// Everything up to `offset` that is not held has been sent again.
    pub(super) fn resent(&mut self, offset: u32) {
        let end = self.una + u64::from(offset);
        if end <= self.rxt {
            return;
        }
        let inside = self.ranges.range(..end).rev().take_while(|(_, to)| **to > self.rxt);
        self.sacked_below +=
            inside.map(|(from, to)| length(&(self.rxt.max(*from)..end.min(*to)))).sum::<u64>();
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# The estimate of the amount of data outstanding in the network must be updated by incrementing pipe by the number of octets transmitted in (C.1) (6675:5-19).
        self.rxt = end;
    }

    /// Whether the byte at SND.UNA is lost: IsLost (HighACK + 1).
    pub(super) fn is_lost(&self, mss: u32) -> bool {
        self.edge(mss).0 > self.una
    }

    /// SetPipe(): bytes in the network, of those up to `end`.
    //= https://www.rfc-editor.org/rfc/rfc6675#section-4
    //# MUST set the "pipe" variable to an estimate of the number of octets that are currently in transit between the TCP sender and the TCP receiver (6675:4-5).
    pub(super) fn pipe(&self, end: u32, mss: u32) -> u32 {
        let (edge, sacked_above) = self.edge(mss);
        let in_flight = (self.una + u64::from(end)).saturating_sub(edge).saturating_sub(sacked_above);
        clip(in_flight).saturating_add(self.resent_unsacked())
    }

    /// Bytes sent again that are not held: what is in the network when everything is taken for lost.
    pub(super) fn resent_unsacked(&self) -> u32 {
        clip(self.rxt - self.una - self.sacked_below)
    }

    /// Bytes taken for lost.
    pub(super) fn lost(&self, mss: u32) -> u32 {
        let (edge, sacked_above) = self.edge(mss);
        clip((edge - self.una).saturating_sub(self.sacked - sacked_above))
    }

    /// Bytes held.
    pub(super) fn sacked(&self) -> u32 {
        clip(self.sacked)
    }

    /// Bytes held that lie above HighRxt.
    pub(super) fn sacked_above_resent(&self) -> u32 {
        clip(self.sacked - self.sacked_below)
    }

    /// The hole to fill next, by rule 1 of NextSeg() or, when `certain` is false, by rule 3.
    pub(super) fn next_hole(&self, certain: bool, mss: u32) -> Option<Range<u32>> {
        let highest = *self.ranges.last_key_value()?.1;
        //= https://www.rfc-editor.org/rfc/rfc6675#section-4
        //# If the conditions for rules (1) and (2) fail, but there exists an unSACKed sequence number 'S3' that meets the criteria for detecting loss given in steps (1.a) and (1.b) above (specifically excluding step (1.c)), then one segment of up to SMSS octets starting with S3 SHOULD be returned (6675:4-9).
        let end = if certain { self.edge(mss).0 } else { highest };
        //= https://www.rfc-editor.org/rfc/rfc6675#section-4
        //# If there exists a smallest unSACKed sequence number 'S2' that meets the following three criteria for determining loss, the sequence range of one segment of up to SMSS octets starting with S2 MUST be returned (6675:4-7).
        let hole = self.hole(clip(self.rxt - self.una), clip(highest - self.una));
        (u64::from(hole.start) + self.una < end).then_some(hole)
    }

    /// The first hole at or behind `from`, up to `end`; empty when there is none.
    pub(super) fn hole(&self, from: u32, end: u32) -> Range<u32> {
        let at = self.una + u64::from(from);
        let before = self.ranges.range(..=at).next_back().map_or(at, |(_, to)| at.max(*to));
        let behind = self.ranges.range(before..).next().map_or(u64::MAX, |(from, _)| *from);
        let end = behind.min(self.una + u64::from(end));
        clip(before.min(end) - self.una)..clip(end - self.una)
    }

    /// The hole with the highest byte below `end` that is not held; empty when there is none.
    pub(super) fn last_hole(&self, end: u32) -> Range<u32> {
        let end = self.una + u64::from(end);
        let mut ranges = self.ranges.range(..end).rev().peekable();
        let last = ranges.next_if(|(_, to)| **to >= end).map_or(end, |(from, _)| *from);
        let start = ranges.next().map_or(self.una, |(_, to)| *to);
        clip(start - self.una)..clip(last - self.una)
    }

    /// Whether the peer has taken back what it held: the byte it waits for is one of those.
    pub(super) fn has_reneged(&self) -> bool {
        self.ranges.first_key_value().is_some_and(|(from, _)| *from == self.una)
    }

    /// Ranges kept.
    #[cfg(test)]
    pub(super) fn ranges(&self) -> usize {
        self.ranges.len()
    }

    /// Whatever is not held below this position is lost; and the bytes held above.
    //= https://www.rfc-editor.org/rfc/rfc6675#section-4
    //# The routine returns true when either DupThresh discontiguous SACKed sequences have arrived above 'SeqNum' or more than (DupThresh - 1) * SMSS bytes with sequence numbers greater than 'SeqNum' have been SACKed (6675:4-4).
    fn edge(&self, mss: u32) -> (u64, u64) {
        let enough = u64::from(DUP_THRESH - 1) * u64::from(mss);
        let mut above = 0;
        for (count, (from, to)) in self.ranges.iter().rev().take(DUP_THRESH as usize).enumerate() {
            above += to - from;
            if above > enough || count + 1 == DUP_THRESH as usize {
                return (*from, above);
            }
        }
        (self.una, self.sacked)
    }

    fn below(&self, span: &Range<u64>) -> u64 {
        length(&(span.start..span.end.min(self.rxt)))
    }
}

const fn length(span: &Range<u64>) -> u64 {
    span.end.saturating_sub(span.start)
}

fn clip(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
