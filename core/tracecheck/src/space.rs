//! Sequence space unrolled: positions that do not wrap, sets of them, and the bytes that were seen at them.

use std::collections::VecDeque;

/// The sequence space of one end: position 0 is its ISN, or the first number seen of a connection that was open before the capture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    base: u32,
    /// A position close to which the others are.
    near: i64,
}

impl Line {
    pub(crate) const fn new(base: u32) -> Self {
        Self { base, near: 0 }
    }

    /// The position of a number: the one closest to where the connection is.
    pub(crate) const fn at(&self, number: u32) -> i64 {
        let near = self.base.wrapping_add(self.near as u32);
        self.near + number.wrapping_sub(near) as i32 as i64
    }

    /// The connection has come to `position`.
    pub(crate) fn advance(&mut self, position: i64) {
        self.near = self.near.max(position);
    }
}

/// Positions, as ranges in order that do not touch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges(VecDeque<(i64, i64)>);

impl Ranges {
    pub(crate) fn add(&mut self, from: i64, to: i64) {
        if from >= to {
            return;
        }
        let first = self.0.partition_point(|range| range.1 < from);
        let behind = self.0.partition_point(|range| range.0 <= to);
        let joined =
            self.0.range(first..behind).fold((from, to), |all, one| (all.0.min(one.0), all.1.max(one.1)));
        if behind == first + 1 {
            self.0[first] = joined;
            return;
        }
        self.0.drain(first..behind);
        self.0.insert(first, joined);
    }

    pub(crate) fn contains(&self, from: i64, to: i64) -> bool {
        let index = self.0.partition_point(|range| range.1 < to);
        from >= to || self.0.get(index).is_some_and(|range| range.0 <= from)
    }

    /// Where the range that covers `from` ends; `from` if none does.
    pub(crate) fn end(&self, from: i64) -> i64 {
        let index = self.0.partition_point(|range| range.1 < from);
        self.0.get(index).filter(|range| range.0 <= from).map_or(from, |range| range.1)
    }

    /// The parts of `from..to` that are in it.
    fn overlaps(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, i64)> + '_ {
        let first = self.0.partition_point(|range| range.1 <= from);
        self.0
            .range(first..)
            .take_while(move |range| range.0 < to)
            .map(move |range| (range.0.max(from), range.1.min(to)))
    }

    /// Whether anything lies at or behind `from`.
    pub(crate) fn beyond(&self, from: i64) -> bool {
        self.0.back().is_some_and(|range| range.1 > from)
    }

    /// Forgets what lies before `from`.
    fn forget(&mut self, from: i64) {
        while self.0.front().is_some_and(|range| range.1 <= from) {
            self.0.pop_front();
        }
        if let Some(first) = self.0.front_mut() {
            first.0 = first.0.max(from);
        }
    }
}

/// Bytes kept behind what is acknowledged, for retransmissions that were on their way.
const KEPT: i64 = 1 << 17;

/// Bytes that may be missing between what was sent: beyond that it is another stream, or nonsense.
const GAP: i64 = 1 << 24;

/// The bytes that one end sent, as far as they may come again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    start: i64,
    bytes: VecDeque<u8>,
    known: Ranges,
}

impl Stream {
    /// Bytes at a position. The position of the first one that is not what it was before.
    pub(crate) fn put(&mut self, at: i64, bytes: &[u8]) -> Option<i64> {
        let skipped = (self.start - at).clamp(0, bytes.len() as i64);
        let (at, bytes) = (at + skipped, &bytes[skipped as usize..]);
        if bytes.is_empty() {
            return None;
        }
        if at - self.start > self.bytes.len() as i64 + GAP {
            *self = Self::default();
        }
        if self.bytes.is_empty() {
            self.start = at;
        }
        let (from, to) = ((at - self.start) as usize, (at - self.start) as usize + bytes.len());
        let end = at + bytes.len() as i64;
        let known: Vec<_> = self.known.overlaps(at, end).collect();
        let changed = known.iter().find_map(|(first, last)| {
            let old = self.bytes.range((first - self.start) as usize..(last - self.start) as usize);
            let new = &bytes[(first - at) as usize..(last - at) as usize];
            old.zip(new).position(|(old, new)| old != new).map(|offset| first + offset as i64)
        });
        let whole = known.first() == Some(&(at, end));
        if from == self.bytes.len() {
            self.bytes.extend(bytes);
        } else if !whole {
            if to > self.bytes.len() {
                self.bytes.resize(to, 0);
            }
            let known = |position| known.iter().any(|range| (range.0..range.1).contains(&position));
            for (offset, byte) in bytes.iter().enumerate().filter(|(offset, _)| !known(at + *offset as i64)) {
                self.bytes[from + offset] = *byte;
            }
        }
        self.known.add(at, end);
        changed
    }

    /// The peer has acknowledged what lies before `position`.
    pub(crate) fn acknowledged(&mut self, position: i64) {
        let spare = position - KEPT - self.start;
        if spare > KEPT {
            let count = (spare as usize).min(self.bytes.len());
            self.bytes.drain(..count);
            self.start += count as i64;
            self.known.forget(self.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_pass_the_wrap() {
        let mut line = Line::new(u32::MAX - 1);
        assert_eq!((line.at(u32::MAX - 1), line.at(3), line.at(u32::MAX - 11)), (0, 5, -10));
        for position in (0..10_i64 << 32).step_by(1 << 30) {
            line.advance(position);
            assert_eq!(line.at((position as u32).wrapping_add(u32::MAX - 1)), position);
        }
    }

    #[test]
    fn ranges_join_where_they_touch() {
        let mut ranges = Ranges::default();
        for (from, to) in [(10, 20), (30, 40), (50, 60), (20, 25), (5, 5)] {
            ranges.add(from, to);
        }
        assert_eq!(ranges.0, [(10, 25), (30, 40), (50, 60)]);
        assert_eq!((ranges.end(10), ranges.end(12), ranges.end(26)), (25, 25, 26));
        assert!(ranges.contains(31, 40) && !ranges.contains(24, 31) && !ranges.contains(60, 61));
        ranges.add(24, 55);
        assert_eq!(ranges.0, [(10, 60)]);
    }

    #[test]
    fn bytes_that_come_again_are_compared() {
        let mut stream = Stream::default();
        assert_eq!(stream.put(1, b"abcdef"), None);
        assert_eq!(stream.put(11, b"klm"), None);
        assert_eq!(stream.put(3, b"cdefghijkl"), None);
        assert_eq!(stream.put(1, b"abcdefghijklmn"), None);
        assert_eq!(stream.put(5, b"efgHij"), Some(8));
        assert_eq!(stream.put(8, b"hi"), None);
        stream.acknowledged(10 * KEPT);
        assert_eq!(stream.put(1, b"zzz"), None, "what is forgotten is not compared");
    }
}
