//! What has arrived of a flow, counted from the packets alone: how many segments of data, and how many that brought nothing new.

use std::collections::BTreeMap;

/// The data of one direction of a connection, as its packets show it.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Sequence number of the first byte, from the SYN.
    first: Option<u32>,
    /// Everything below has come; counted from the first byte.
    next: u64,
    /// What has come beyond: end by beginning, neither touching nor overlapping.
    ahead: BTreeMap<u64, u64>,
    /// Segments with data.
    pub(super) segments: u64,
    /// Those whose every byte had come before.
    pub(super) twice: u64,
}

impl Arrivals {
    /// A SYN with this sequence number.
    pub(super) fn syn(&mut self, seq: u32) {
        self.first.get_or_insert(seq.wrapping_add(1));
    }

    /// A segment of `length` bytes of data, one at least.
    pub(super) fn data(&mut self, seq: u32, length: u32) {
        let Some(first) = self.first else { return };
        // The position nearest to `next` that has this number.
        let distance = seq.wrapping_sub(first.wrapping_add(self.next as u32)).cast_signed();
        let start = self.next.saturating_add_signed(i64::from(distance));
        let end = start + u64::from(length);
        self.segments += 1;
        if end <= self.next || self.holds(start, end) {
            self.twice += 1;
            return;
        }
        self.insert(start.max(self.next), end);
    }

    fn holds(&self, start: u64, end: u64) -> bool {
        self.ahead.range(..=start).next_back().is_some_and(|(_, other)| *other >= end)
    }

    fn insert(&mut self, mut start: u64, mut end: u64) {
        while let Some((&from, &to)) = self.ahead.range(..=end).next_back().filter(|(_, to)| **to >= start) {
            self.ahead.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        if start == self.next {
            self.next = end;
        } else {
            self.ahead.insert(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_that_bring_nothing_new_are_counted_across_the_wrap() {
        let mut arrivals = Arrivals::default();
        let first = u32::MAX - 1500;
        arrivals.syn(first.wrapping_sub(1));
        let mut come = |from: u32, to: u32| {
            arrivals.data(first.wrapping_add(from), to - from);
            (arrivals.segments, arrivals.twice)
        };
        assert_eq!(come(0, 1000), (1, 0));
        assert_eq!(come(2000, 3000), (2, 0));
        assert_eq!(come(4000, 5000), (3, 0));
        assert_eq!(come(4000, 5000), (4, 1), "held ahead");
        assert_eq!(come(2500, 4500), (5, 1), "partly new");
        assert_eq!(come(2000, 5000), (6, 2), "joined");
        assert_eq!(come(500, 1000), (7, 3), "old");
        assert_eq!(come(1000, 2000), (8, 3), "the hole");
        assert_eq!(come(4000, 5000), (9, 4));
        assert_eq!(come(5000, 6000), (10, 4));
        assert_eq!((arrivals.next, arrivals.ahead.len()), (6000, 0));
    }
}
