//! The two orders of what is in flight, of the stream and of sending, and how records are cut, joined and forgotten.

use super::record::{Cause, Loss, Losses, Record};
use super::{Flight, NONE};
use crate::tcp::SeqNum;

impl Flight {
    /// A number that may be behind SND.UNA.
    pub(super) fn position_or_una(&self, seq: SeqNum) -> u64 {
        if seq.after(self.una_seq) { self.position(seq) } else { self.una }
    }

    pub(super) fn slot(&self, slot: u32) -> Option<&Record> {
        self.slots.get(slot as usize)
    }

    /// Index in `order` of the record that holds `position`, or of the next.
    pub(super) fn find(&self, position: u64) -> usize {
        self.order.partition_point(|slot| self.slots[*slot as usize].end <= position)
    }

    /// Makes a record begin at `position`, if one spans it; index in `order` of what begins there or behind.
    pub(super) fn cut(&mut self, position: u64) -> usize {
        let at = self.find(position);
        let Some(slot) = self.order.get(at).copied() else { return at };
        let record = self.slots[slot as usize];
        if record.start >= position {
            return at;
        }
        let right = self.store(Record { start: position, ..record });
        self.slots[slot as usize].end = position;
        self.order.insert(at + 1, right);
        self.held_records += usize::from(record.held);
        if record.waits() {
            // Right behind its other half.
            self.slots[right as usize].earlier = slot;
            match record.later {
                NONE => self.last = right,
                later => self.slots[later as usize].earlier = right,
            }
            self.slots[slot as usize].later = right;
        } else if record.lost && !record.held {
            self.holes.insert(position);
        }
        at + 1
    }

    pub(super) fn held_at(&self, at: usize) -> bool {
        self.order.get(at).is_some_and(|slot| self.slots[*slot as usize].held)
    }

    pub(super) fn mark_held(&mut self, slot: u32) {
        self.delist(slot);
        let record = &mut self.slots[slot as usize];
        if record.lost {
            self.lost -= record.len();
            if !record.again {
                self.holes.remove(&record.start);
            }
        }
        if record.again {
            self.again -= record.len();
        }
        (record.held, record.lost, record.again) = (true, false, false);
        self.held += record.len();
        self.held_records += 1;
    }

    /// Joins what is held with what is held around it; its index then.
    pub(super) fn join(&mut self, at: usize) -> usize {
        let joins = |s: &Self, left: usize| {
            let (Some(a), Some(b)) = (s.order.get(left), s.order.get(left + 1)) else { return false };
            s.slots[*a as usize].held && s.slots[*b as usize].held
        };
        let mut at = at;
        if joins(self, at) {
            self.absorb(at);
        }
        if at > 0 && joins(self, at - 1) {
            at -= 1;
            self.absorb(at);
        }
        at
    }

    /// The record at `at` takes in the one behind it.
    pub(super) fn absorb(&mut self, at: usize) {
        let Some(gone) = self.order.remove(at + 1) else { return };
        let right = self.slots[gone as usize];
        let left = &mut self.slots[self.order[at] as usize];
        left.end = right.end;
        left.ever |= right.ever;
        self.held_records -= 1;
        self.free.push(gone);
    }

    pub(super) fn lose(&mut self, slot: u32, cause: Cause, losses: &mut Losses) {
        self.delist(slot);
        let Record { start, end, .. } = self.slots[slot as usize];
        let from = self.number(start);
        if let Some(journal) = &mut self.journal {
            journal.push(Loss { from, length: super::clip(end - start), cause });
        }
        let record = &mut self.slots[slot as usize];
        if record.again {
            self.again -= record.len();
            record.again = false;
            losses.again = true;
        }
        if !record.lost {
            self.lost += record.len();
            record.lost = true;
        }
        losses.bytes = losses.bytes.saturating_add(super::clip(record.len()));
        losses.probe |= record.probe;
        losses.data |= !record.probe;
        record.probe = false;
        self.holes.insert(record.start);
    }

    pub(super) fn store(&mut self, record: Record) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = record;
            return slot;
        }
        self.slots.push(record);
        (self.slots.len() - 1) as u32
    }

    /// Takes a record out of everything but the order of the stream.
    pub(super) fn forget(&mut self, slot: u32) {
        self.delist(slot);
        let record = self.slots[slot as usize];
        self.total -= record.len();
        if record.held {
            self.held -= record.len();
            self.held_records -= 1;
        } else if record.lost {
            self.lost -= record.len();
            if !record.again {
                self.holes.remove(&record.start);
            }
        }
        if record.again {
            self.again -= record.len();
        }
        self.free.push(slot);
        if self.order.is_empty() {
            // What a busy time needed is not kept for a quiet one.
            self.free.clear();
            self.slots.clear();
            if self.slots.capacity() > KEPT_SLOTS {
                self.slots.shrink_to(KEPT_SLOTS);
                self.free.shrink_to(KEPT_SLOTS);
                self.order.shrink_to(KEPT_SLOTS);
            }
        }
    }

    /// Puts a record last in order of sending.
    pub(super) fn enlist(&mut self, slot: u32) {
        let before = self.last;
        let record = &mut self.slots[slot as usize];
        (record.earlier, record.later) = (before, NONE);
        match before {
            NONE => self.first = slot,
            before => self.slots[before as usize].later = slot,
        }
        self.last = slot;
    }

    /// Takes a record out of the order of sending, if it is in it.
    pub(super) fn delist(&mut self, slot: u32) {
        let Record { earlier, later, .. } = self.slots[slot as usize];
        if earlier == NONE && later == NONE && self.first != slot {
            return;
        }
        match earlier {
            NONE => self.first = later,
            earlier => self.slots[earlier as usize].later = later,
        }
        match later {
            NONE => self.last = earlier,
            later => self.slots[later as usize].earlier = earlier,
        }
        let record = &mut self.slots[slot as usize];
        (record.earlier, record.later) = (NONE, NONE);
    }

    /// Builds the order of sending anew, and the set of holes.
    pub(super) fn enlist_all(&mut self) {
        (self.first, self.last) = (NONE, NONE);
        let mut waiting: Vec<u32> = Vec::new();
        for slot in &self.order {
            let record = &mut self.slots[*slot as usize];
            (record.earlier, record.later) = (NONE, NONE);
            if record.waits() {
                waiting.push(*slot);
            } else if record.lost {
                self.holes.insert(record.start);
            }
        }
        waiting.sort_by_key(|slot| self.slots[*slot as usize].mark());
        waiting.into_iter().for_each(|slot| self.enlist(slot));
    }
}

/// Slots kept while nothing is in flight.
const KEPT_SLOTS: usize = 64;
