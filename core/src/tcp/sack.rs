//! What the peer is told of data out of order: SACK blocks (RFC 2018), and duplicates (RFC 2883).

use super::SeqNum;
use crate::pack::{Pack, Packer, Unpacker};
use arrayvec::ArrayVec;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// Most blocks that options have room for.
pub(super) const BLOCKS: usize = 4;

/// Blocks that have room beside timestamps.
const BLOCKS_STAMPED: usize = 3;

/// ACKs owed at most, each for a segment of its own; beyond that they tell the peer little that is new.
const REPORTS_MAX: usize = 64;

/// Data held behind a gap, and the ACKs owed for it.
#[derive(Debug)]
pub(super) struct Sack {
    /// Blocks by stream position; they neither overlap nor touch.
    blocks: BTreeMap<u64, Block>,
    /// Where the block begins that came last, by the time it did.
    recent: BTreeMap<u64, u64>,
    clock: u64,
    reports: VecDeque<Report>,
    most: usize,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    end: u64,
    /// When it last changed, or was hit by a duplicate.
    stamp: u64,
}

/// An ACK owed for one segment.
#[derive(Clone, Debug)]
struct Report {
    /// Where the segment began.
    trigger: u64,
    /// What of it had come before.
    duplicate: Option<Range<SeqNum>>,
}

impl Sack {
    /// Nothing is held; `stamped`: timestamps take their room in every segment.
    pub(super) const fn new(stamped: bool) -> Self {
        Self {
            blocks: BTreeMap::new(),
            recent: BTreeMap::new(),
            clock: 0,
            reports: VecDeque::new(),
            most: if stamped { BLOCKS_STAMPED } else { BLOCKS },
        }
    }

    /// What was held was dropped: it is to be sent again.
    pub(super) fn forget(&mut self) {
        self.blocks.clear();
        self.recent.clear();
        self.reports.clear();
    }

    /// Takes note of `span`, which a segment has brought. Returns the parts of it that were there before, in order, up to as many as options have
    /// room for.
    pub(super) fn hold(&mut self, span: Range<u64>) -> ArrayVec<Range<u64>, BLOCKS> {
        let duplicates = self.held(&span);
        if span.is_empty() {
            return duplicates;
        }
        let (mut start, mut end) = (span.start, span.end);
        while let Some((&from, block)) = self.blocks.range(..=end).next_back() {
            if block.end < start {
                break;
            }
            start = start.min(from);
            end = end.max(block.end);
            self.recent.remove(&block.stamp);
            self.blocks.remove(&from);
        }
        self.clock += 1;
        self.blocks.insert(start, Block { end, stamp: self.clock });
        self.recent.insert(self.clock, start);
        duplicates
    }

    /// The parts of `span` that are held.
    pub(super) fn held(&self, span: &Range<u64>) -> ArrayVec<Range<u64>, BLOCKS> {
        let first = self.blocks.range(..=span.start).next_back();
        let others = self.blocks.range(span.start..).skip_while(|(from, _)| **from == span.start);
        let cut = |(from, block): (&u64, &Block)| span.start.max(*from)..span.end.min(block.end);
        let touched = first.into_iter().chain(others).map(cut);
        touched
            .take_while(|part| part.start < span.end)
            .filter(|part| !part.is_empty())
            .take(BLOCKS)
            .collect()
    }

    /// Owes an ACK for the segment at `trigger`, of which `duplicate` had come before.
    pub(super) fn report(&mut self, trigger: u64, duplicate: Option<Range<SeqNum>>) {
        if self.reports.len() < REPORTS_MAX {
            self.reports.push_back(Report { trigger, duplicate });
        }
    }

    /// Whether the next segment reports a duplicate.
    pub(super) fn duplicate_due(&self) -> bool {
        self.reports.front().is_some_and(|report| report.duplicate.is_some())
    }

    /// Whether an ACK has to be sent now.
    pub(super) fn due(&self) -> bool {
        !self.reports.is_empty()
    }

    /// Everything before `position` has come: blocks and reports below it have nothing more to tell, but for duplicates.
    pub(super) fn advance(&mut self, position: u64) {
        if self.rests() {
            return;
        }
        while let Some(entry) = self.blocks.first_entry().filter(|entry| *entry.key() < position) {
            let block = entry.remove();
            self.recent.remove(&block.stamp);
            if block.end > position {
                self.blocks.insert(position, block);
                self.recent.insert(block.stamp, position);
            }
        }
        self.reports.retain(|report| report.duplicate.is_some() || report.trigger >= position);
    }

    /// Bytes of the option in a segment that reports no duplicate, padding included.
    pub(super) fn option_len(&self) -> u32 {
        match self.blocks.len().min(self.most) as u32 {
            0 => 0,
            blocks => 4 + 8 * blocks,
        }
    }

    /// The blocks for a segment sent now, the most pressing first: a duplicate, the block around the segment that is answered, and then those that
    /// came last. `position` and `nxt` say the same, RCV.NXT.
    pub(super) fn next(&mut self, position: u64, nxt: SeqNum) -> ArrayVec<(u32, u32), BLOCKS> {
        let mut told = ArrayVec::new();
        if self.rests() {
            return told;
        }
        //= https://www.rfc-editor.org/rfc/rfc2883#section-4
        //# A D-SACK block is only used to report a duplicate contiguous sequence of data received by the receiver in the most recent packet (2883:4-3).
        //= https://www.rfc-editor.org/rfc/rfc2883#section-4
        //# Each duplicate contiguous sequence of data received is reported in at most one D-SACK block (2883:4-4).
        let report = self.reports.pop_front();
        let mut around = None;
        if let Some(Report { trigger, duplicate }) = report {
            let mut at = trigger;
            if let Some(Range { start, end }) = duplicate {
                //= https://www.rfc-editor.org/rfc/rfc2883#section-4
                //# When D-SACK is used, the first block of the SACK option should be a D-SACK block specifying the sequence numbers for the duplicate segment that triggers the acknowledgement (2883:4-1).
                told.push((start.0, end.0));
                //= https://www.rfc-editor.org/rfc/rfc2883#section-4
                //# If the duplicate segment is part of a larger block of non-contiguous data in the receiver's data queue, then the following SACK block should be used to specify this larger block (2883:4-2).
                if start.at_or_after(nxt) {
                    at = position + u64::from(start.since(nxt));
                }
            }
            //= https://www.rfc-editor.org/rfc/rfc2018#section-4
            //# The first SACK block (i.e., the one immediately following the kind and length fields in the option) MUST specify the contiguous block of data containing the segment which triggered this ACK, unless that segment advanced the Acknowledgment Number field in the header (2018:4-6).
            around = self.around(at);
        }
        let seq = |at: u64| (nxt + (at - position) as u32).0;
        //= https://www.rfc-editor.org/rfc/rfc2018#section-4
        //# The SACK option SHOULD be filled out by repeating the most recently reported SACK blocks (based on first SACK blocks in previous SACK options) that are not subsets of a SACK block already included in the SACK option being constructed (2018:4-8).
        let others = self.recent.values().rev().filter(|start| Some(**start) != around);
        let blocks =
            around.iter().chain(others).filter_map(|start| Some((*start, self.blocks.get(start)?.end)));
        //= https://www.rfc-editor.org/rfc/rfc2018#section-4
        //# The data receiver SHOULD include as many distinct SACK blocks as possible in the SACK option (2018:4-7).
        told.extend(blocks.map(|(start, end)| (seq(start), seq(end))).take(self.most - told.len()));
        told
    }

    /// Where the block begins that holds `at`.
    fn around(&self, at: u64) -> Option<u64> {
        let (start, block) = self.blocks.range(..=at).next_back()?;
        (block.end > at).then_some(*start)
    }
}

impl Sack {
    /// Whether there is nothing to tell.
    pub(super) fn rests(&self) -> bool {
        self.blocks.is_empty() && self.recent.is_empty() && self.reports.is_empty()
    }
}

impl Pack for Sack {
    /// That of one that rests.
    fn pack(&self, to: &mut Packer) {
        let Self { clock, most, blocks: _, recent: _, reports: _ } = self;
        clock.pack(to);
        most.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let clock = u64::unpack(from);
        Self { clock, most: usize::unpack(from), ..Self::new(false) }
    }
}
