//! What is in flight: every range sent and not acknowledged, when it was sent, and what is known of it.
//!
//! Nothing here is linear in what is in flight but where said: a range is found by bisection, what one block tells is marked once, and time order is
//! kept in a list.

mod order;
mod record;

pub(super) use record::{Cause, Loss, Losses, Mark, News};

use super::SeqNum;
use crate::pack::{Pack, Packer, Unpacker};
use crate::time::{Duration, Instant};
use record::Record;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

/// No record.
const NONE: u32 = u32::MAX;

/// Most bytes that one record of several small segments spans.
const SPAN_MAX: u64 = 64 << 10;

/// Ranges in flight.
///
/// ```text
///       una                                          nxt
///        |..lost..[==held==]..lost, again..[held]..sent..|
/// ```
/// Positions count from the first number ever sent; they do not wrap.
#[derive(Debug)]
pub(super) struct Flight {
    una: u64,
    una_seq: SeqNum,
    slots: Vec<Record>,
    free: Vec<u32>,
    /// Slots in the order of the stream.
    order: VecDeque<u32>,
    /// The first and last slot in order of sending.
    first: u32,
    last: u32,
    /// Starts of what is lost and not sent again.
    holes: BTreeSet<u64>,
    /// Behind the highest byte held.
    highest: u64,
    total: u64,
    held: u64,
    lost: u64,
    again: u64,
    /// Most records that are held.
    limit: usize,
    held_records: usize,
    /// What was taken for lost since somebody asked, if anybody does.
    journal: Option<Vec<Loss>>,
}

impl Flight {
    /// Nothing is in flight; `una` is the first number to be acknowledged. At most `limit` ranges are kept of what is held.
    pub(super) const fn new(una: SeqNum, limit: usize) -> Self {
        Self {
            una: 0,
            una_seq: una,
            slots: Vec::new(),
            free: Vec::new(),
            order: VecDeque::new(),
            first: NONE,
            last: NONE,
            holes: BTreeSet::new(),
            highest: 0,
            total: 0,
            held: 0,
            lost: 0,
            again: 0,
            limit,
            held_records: 0,
            journal: None,
        }
    }

    /// Bytes that it takes to know what is in flight: a record and its place in the order for each segment that went by itself.
    pub(super) fn size(&self) -> usize {
        self.order.len() * (size_of::<Record>() + size_of::<u32>())
    }

    /// Whether nothing is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Bytes in the network, as far as is known ("pipe" of RFC 6675).
    pub(super) fn pipe(&self) -> u32 {
        clip(self.total - self.held - self.lost + self.again)
    }

    /// Bytes that the peer holds.
    pub(super) fn held(&self) -> u32 {
        clip(self.held)
    }

    /// Ranges that the peer holds.
    pub(super) const fn held_ranges(&self) -> usize {
        self.held_records
    }

    /// Bytes taken for lost, sent again or not.
    pub(super) fn lost(&self) -> u32 {
        clip(self.lost)
    }

    /// Bytes of copies in flight.
    pub(super) fn again(&self) -> u32 {
        clip(self.again)
    }

    /// Position of SND.UNA.
    pub(super) const fn una(&self) -> u64 {
        self.una
    }

    /// Position behind the highest byte that has arrived.
    pub(super) const fn highest(&self) -> u64 {
        self.highest
    }

    /// The position of a number that is at or above SND.UNA.
    pub(super) const fn position(&self, seq: SeqNum) -> u64 {
        self.una + seq.since(self.una_seq) as u64
    }

    /// The number at a position.
    pub(super) fn number(&self, position: u64) -> SeqNum {
        self.una_seq + clip(position - self.una)
    }

    /// What a window probe carried is sent with the data that follows it: the first copy may be what is acknowledged.
    pub(super) fn sent_before(&mut self, now: Instant, span: Range<SeqNum>) {
        self.sent(now, span, false);
        let last = self.order.back().and_then(|slot| self.slots.get_mut(*slot as usize));
        if let Some(record) = last {
            record.ever = true;
        }
    }

    /// New data is sent.
    pub(super) fn sent(&mut self, now: Instant, span: Range<SeqNum>, probe: bool) {
        let (start, end) = (self.position(span.start), self.position(span.end));
        debug_assert!(start < end, "a record of nothing is never acknowledged");
        self.total += end - start;
        if let Some(last) = self.order.back().copied() {
            let record = &mut self.slots[last as usize];
            let plain = record.waits() && !record.ever && !record.probe && !probe;
            if plain && record.sent_at == now && record.end == start && end - record.start <= SPAN_MAX {
                record.end = end;
                return;
            }
        }
        //= https://www.rfc-editor.org/rfc/rfc8985#section-6.1
        //# Upon transmitting a new segment or retransmitting an old segment, record the time in Segment.xmit_ts and set Segment.lost to FALSE (8985:6.1-1).
        //= https://www.rfc-editor.org/rfc/rfc8985#section-4
        //# the sender MUST store its most recent transmission time with a timestamp whose granularity is finer than 1/4 of the minimum RTT of the connection (8985:4-3).
        let record = Record {
            start,
            end,
            sent_at: now,
            held: false,
            lost: false,
            again: false,
            ever: false,
            probe,
            earlier: NONE,
            later: NONE,
        };
        let slot = self.store(record);
        self.order.push_back(slot);
        self.enlist(slot);
    }

    /// Sent again.
    pub(super) fn resent(&mut self, now: Instant, span: Range<SeqNum>) {
        let (start, end) = (self.position(span.start), self.position(span.end));
        let mut at = self.cut(start);
        let behind = self.cut(end);
        while at < behind {
            let slot = self.order[at];
            self.delist(slot);
            let record = &mut self.slots[slot as usize];
            if record.lost && !record.again {
                self.holes.remove(&record.start);
            }
            if !record.again && !record.held {
                //= https://www.rfc-editor.org/rfc/rfc6675#section-5
                //# The estimate of the amount of data outstanding in the network must be updated by incrementing pipe by the number of octets transmitted in (C.1) (6675:5-19).
                self.again += record.len();
                record.again = true;
            }
            //= https://www.rfc-editor.org/rfc/rfc8985#section-6.1
            //# Upon retransmitting a segment, set Segment.retransmitted to TRUE (8985:6.1-2).
            record.ever = true;
            record.sent_at = now;
            if !record.held {
                self.enlist(slot);
            }
            at += 1;
        }
    }

    /// What a segment is going to tell; the least round trip, and where a repair ends.
    pub(super) const fn news(&self, now: Instant, least: Duration, recover: SeqNum) -> News {
        News::new(now, least, recover, self.highest)
    }

    /// Everything below `ack` has arrived.
    pub(super) fn acked(&mut self, ack: SeqNum, news: &mut News) {
        let to = self.position(ack);
        let recover = self.position_or_una(news.recover);
        while let Some(slot) = self.order.front().copied() {
            let record = self.slots[slot as usize];
            if record.start >= to {
                break;
            }
            if record.end > to {
                self.cut(to);
                continue;
            }
            if !record.held {
                news.take(&record, recover, true);
            }
            self.order.pop_front();
            self.forget(slot);
        }
        (self.una, self.una_seq) = (to, ack);
        self.highest = self.highest.max(to);
    }

    /// A block tells that the peer holds `span`; false when it finds no place.
    pub(super) fn hold(&mut self, span: Range<SeqNum>, news: &mut News) -> bool {
        let (start, end) = (self.position(span.start), self.position(span.end));
        let recover = self.position_or_una(news.recover);
        let mut at = self.find(start);
        while let Some(slot) = self.order.get(at).copied() {
            let record = self.slots[slot as usize];
            if record.start >= end {
                break;
            }
            if record.held {
                at += 1;
                continue;
            }
            let left = record.start >= start && self.held_at(at.wrapping_sub(1));
            let right = record.end <= end && self.held_at(at + 1);
            if self.held_records >= self.limit && !left && !right {
                return false;
            }
            if record.start < start {
                at = self.cut(start);
                continue;
            }
            if record.end > end {
                self.cut(end);
                continue;
            }
            news.take(&record, recover, false);
            news.sacked = news.sacked.saturating_add(clip(record.len()));
            self.mark_held(slot);
            at = self.join(at) + 1;
        }
        self.highest = self.highest.max(end);
        true
    }

    /// What was sent before `latest` and at least `window` ago is lost (RFC 8985 6.2 step 5).
    //= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
    //# For each segment that has not been SACKed, RACK considers that segment lost if another segment that was sent later has been delivered and the reordering window has passed (8985:6.2-13).
    pub(super) fn detect(&mut self, now: Instant, latest: Mark, window: Duration) -> Losses {
        let mut losses = Losses::default();
        let mut slot = self.first;
        while let Some(record) = self.slot(slot).copied() {
            if record.mark() >= latest {
                break;
            }
            let due = record.sent_at + window;
            if due > now {
                // What was sent later is due later.
                losses.wait = Some(due.since(now));
                break;
            }
            self.lose(slot, Cause::Time, &mut losses);
            slot = record.later;
        }
        losses
    }

    /// Everything that was sent at least `window` ago is lost, and what comes first in any case.
    pub(super) fn lose_all(&mut self, now: Instant, window: Duration, cause: Cause) {
        let mut losses = Losses::default();
        for at in 0..self.order.len() {
            let slot = self.order[at];
            let record = self.slots[slot as usize];
            if record.waits() && (at == 0 || record.sent_at + window <= now) {
                self.lose(slot, cause, &mut losses);
            }
        }
    }

    /// The first `bytes` are lost, as duplicate ACKs tell.
    pub(super) fn lose_first(&mut self, bytes: u32) -> Losses {
        self.lose_span(self.una_seq..self.una_seq + bytes)
    }

    /// What is in flight of `span` is lost.
    pub(super) fn lose_span(&mut self, span: Range<SeqNum>) -> Losses {
        let mut losses = Losses::default();
        let (start, end) = (self.position(span.start), self.position(span.end));
        let first = self.cut(start);
        let behind = self.cut(end);
        for at in first..behind {
            let slot = self.order[at];
            if self.slots[slot as usize].waits() {
                self.lose(slot, Cause::Reordering, &mut losses);
            }
        }
        losses
    }

    /// Nothing is lost after all. Linear in what is in flight.
    pub(super) fn find_all(&mut self) {
        for at in 0..self.order.len() {
            let slot = self.order[at] as usize;
            self.slots[slot].lost = false;
        }
        self.lost = 0;
        self.holes.clear();
        self.enlist_all();
    }

    /// The peer has taken back what it held. Linear in what is in flight.
    pub(super) fn renege(&mut self, now: Instant) {
        for at in 0..self.order.len() {
            let slot = self.order[at] as usize;
            let record = &mut self.slots[slot];
            // Joined as they are, nobody knows any more what of it was sent once, and when.
            if record.held {
                (record.held, record.ever, record.sent_at) = (false, true, now);
            }
        }
        (self.held, self.held_records, self.highest) = (0, 0, self.una);
        self.enlist_all();
    }

    /// Whether the peer has taken back what it held: the byte it waits for is one of those.
    pub(super) fn has_reneged(&self) -> bool {
        self.order.front().is_some_and(|slot| self.slots[*slot as usize].held)
    }

    /// The first range that is lost and not sent again.
    pub(super) fn hole(&self) -> Option<Range<SeqNum>> {
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# Retransmit the first data segment presumed dropped -- the segment starting with sequence number HighACK + 1 (6675:5-9).
        let start = *self.holes.first()?;
        let mut end = start;
        for at in self.find(start)..self.order.len() {
            let record = self.slots[self.order[at] as usize];
            if record.start != end || !record.lost || record.again || end - start > SPAN_MAX {
                break;
            }
            end = record.end;
        }
        Some(self.number(start)..self.number(end))
    }

    /// Where the first of them begins.
    pub(super) fn first_hole(&self) -> Option<SeqNum> {
        self.holes.first().map(|start| self.number(*start))
    }

    /// Up to `most` bytes from SND.UNA on that the peer is not known to hold.
    pub(super) fn head(&self, most: u32) -> Range<SeqNum> {
        let mut end = self.una;
        for slot in &self.order {
            let record = self.slots[*slot as usize];
            if record.held || end - self.una >= u64::from(most) {
                break;
            }
            end = record.end;
        }
        self.una_seq..self.number(end.min(self.una + u64::from(most)))
    }

    /// The last range in flight, at most `most` bytes of it, for a tail loss probe.
    pub(super) fn tail(&self, most: u32) -> Option<Range<SeqNum>> {
        let last = self.order.iter().rev().map(|slot| self.slots[*slot as usize]).find(|r| !r.held)?;
        let start = last.start.max(last.end.saturating_sub(u64::from(most)));
        Some(self.number(start)..self.number(last.end))
    }

    /// Keeps account of what is taken for lost from now on, or no more.
    pub(super) fn keep_journal(&mut self, on: bool) {
        self.journal = on.then(Vec::new);
    }

    /// What was taken for lost since this was asked last.
    pub(super) fn take_journal(&mut self) -> Vec<Loss> {
        self.journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Records kept.
    #[cfg(test)]
    pub(super) fn records(&self) -> usize {
        self.order.len()
    }
}

fn clip(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Flight {
    /// Whether there is nothing but numbers to keep.
    pub(super) fn rests(&self) -> bool {
        self.order.is_empty() && self.holes.is_empty() && self.total == 0 && self.journal.is_none()
    }
}

impl Pack for Flight {
    /// That of one that rests.
    fn pack(&self, to: &mut Packer) {
        let Self {
            una,
            una_seq,
            slots: _,
            free: _,
            order: _,
            first: _,
            last: _,
            holes: _,
            highest,
            total: _,
            held: _,
            lost: _,
            again: _,
            limit,
            held_records: _,
            journal: _,
        } = self;
        una.pack(to);
        una_seq.pack(to);
        (highest - una).pack(to);
        limit.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let (una, una_seq) = <(u64, SeqNum)>::unpack(from);
        let highest = una + u64::unpack(from);
        Self { una, highest, ..Self::new(una_seq, usize::unpack(from)) }
    }
}
