//! Bytes that came before their turn: reassembly in any order.

use crate::buffer::SPARSE;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Pieces that do not touch RCV.NXT yet, by stream position; they never overlap.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    pieces: BTreeMap<u64, Bytes>,
    bytes: usize,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    /// All of its new bytes are kept.
    Kept,
    /// There are too many pieces: new bytes from this position on found no place.
    Full {
        /// Everything before it is kept.
        until: u64,
    },
}

impl Assembler {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Stream position behind the last of them.
    pub(super) fn end(&self) -> Option<u64> {
        self.pieces.last_key_value().map(|(start, piece)| start + piece.len() as u64)
    }

    /// Pieces that wait.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Keeps what is new of `payload`, which begins at stream position `at`; at most `limit` pieces in all. A small part of a page is copied out of it: the
    /// peer decides how long a gap stays, and what else comes into that page.
    pub(super) fn insert(&mut self, at: u64, payload: Bytes, limit: usize) -> Inserted {
        let end = at + payload.len() as u64;
        let mut from = self.covered_until(at);
        while from < end {
            let next = self.pieces.range(from..).next();
            let (gap_end, resume) = match next {
                Some((&start, piece)) if start < end => (start, start + piece.len() as u64),
                _ => (end, end),
            };
            if gap_end > from {
                if self.pieces.len() >= limit {
                    return Inserted::Full { until: from };
                }
                let piece = payload.slice((from - at) as usize..(gap_end - at) as usize);
                let piece = if piece.len() < SPARSE { Bytes::copy_from_slice(&piece) } else { piece };
                self.bytes += piece.len();
                self.pieces.insert(from, piece);
            }
            from = resume;
        }
        Inserted::Kept
    }

    /// Takes the piece that holds stream position `next`, without what lies before it.
    pub(super) fn take(&mut self, next: u64) -> Option<Bytes> {
        while let Some(entry) = self.pieces.first_entry() {
            if *entry.key() > next {
                return None;
            }
            let (start, mut piece) = entry.remove_entry();
            self.bytes -= piece.len();
            let behind = next - start;
            if behind < piece.len() as u64 {
                return Some(piece.split_off(behind as usize));
            }
        }
        None
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.bytes = 0;
    }

    /// `at`, or the end of the piece that covers it.
    fn covered_until(&self, at: u64) -> u64 {
        match self.pieces.range(..=at).next_back() {
            Some((start, piece)) => at.max(start + piece.len() as u64),
            None => at,
        }
    }
}
