//! Buffers in several pieces: what is read from them, and written to them, as if they were one.

use crate::buffer::Slices;
use std::io::{IoSlice, IoSliceMut};

/// What is left of the bytes that a call sends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gather<'a> {
    pieces: &'a [IoSlice<'a>],
    /// Bytes of the first piece that are done.
    skip: usize,
    left: usize,
}

impl<'a> Gather<'a> {
    pub(super) fn new(pieces: &'a [IoSlice<'a>]) -> Self {
        let left = pieces.iter().fold(0, |sum: usize, piece| sum.saturating_add(piece.len()));
        Self { pieces, skip: 0, left }
    }

    /// Bytes that are left.
    pub(super) const fn len(&self) -> usize {
        self.left
    }

    /// The next `most` of them, or all, in parts that are copied at once.
    pub(super) fn up_to(&self, most: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (mut skip, mut most) = (self.skip, most);
        let whole = self.pieces.iter().map_while(move |piece| {
            let piece: &'a [u8] = &piece[std::mem::take(&mut skip)..];
            let piece = &piece[..piece.len().min(most)];
            let more = most > 0;
            most -= piece.len();
            more.then_some(piece)
        });
        whole.flat_map(|piece| piece.chunks(COPIED_AT_ONCE))
    }

    /// `count` of them are done.
    pub(super) fn advance(&mut self, count: usize) {
        self.left -= count;
        self.skip += count;
        while let Some((first, rest)) = self.pieces.split_first()
            && first.len() <= self.skip
        {
            self.skip -= first.len();
            self.pieces = rest;
        }
    }
}

/// Most bytes that one call copies. From 2 KiB on the C library copies by `rep movsb`, which takes sixteen times as long on processors of AMD's family 25 where the destination lies
/// 1 to 31 bytes behind the source modulo 4096; below it does not. So many bytes fill eight of its widest vectors, which it copies without a loop
/// (docs/decisions/0012). A multiple of a cache line.
const COPIED_AT_ONCE: usize = 512;

/// Copies bytes to as much room, wherever both lie.
fn copy(room: &mut [u8], bytes: &[u8]) {
    let pieces = room.chunks_mut(COPIED_AT_ONCE).zip(bytes.chunks(COPIED_AT_ONCE));
    pieces.for_each(|(room, bytes)| room.copy_from_slice(bytes));
}

/// Room for the bytes that a call receives.
#[derive(Debug)]
pub(super) struct Scatter<'a, 'b> {
    pieces: &'a mut [IoSliceMut<'b>],
    /// The piece that is filled next, and how much of it is.
    at: (usize, usize),
}

impl<'a, 'b> Scatter<'a, 'b> {
    pub(super) const fn new(pieces: &'a mut [IoSliceMut<'b>]) -> Self {
        Self { pieces, at: (0, 0) }
    }

    /// Bytes that all pieces hold.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().fold(0, |sum: usize, piece| sum.saturating_add(piece.len()))
    }

    /// Writes behind what is there, as much as there is room for; returns how much that was.
    pub(super) fn put(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (index, filled) = self.at;
            let Some(piece) = self.pieces.get_mut(index) else { break };
            let room = &mut piece[filled..];
            let count = room.len().min(rest.len());
            let (now, later) = rest.split_at(count);
            copy(&mut room[..count], now);
            self.at = if count == room.len() { (index + 1, 0) } else { (index, filled + count) };
            rest = later;
        }
        bytes.len() - rest.len()
    }

    /// The same for a chain.
    pub(super) fn put_all(&mut self, slices: &Slices) {
        for slice in slices {
            self.put(slice);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_copied_in_pieces_is_whole() {
        let bytes: Vec<u8> = (0..5 * COPIED_AT_ONCE + 7).map(|at| (at % 251) as u8).collect();
        for length in
            [0, 1, COPIED_AT_ONCE - 1, COPIED_AT_ONCE, COPIED_AT_ONCE + 1, bytes.len() - 1, bytes.len()]
        {
            let mut room = vec![0; bytes.len()];
            copy(&mut room[..length], &bytes[..length]);
            assert_eq!(room[..length], bytes[..length]);
            assert!(room[length..].iter().all(|byte| *byte == 0));
            let halves = bytes.split_at(bytes.len() / 2);
            let slices = [IoSlice::new(halves.0), IoSlice::new(halves.1)];
            let parts: Vec<_> = Gather::new(&slices).up_to(length).collect();
            assert!(parts.iter().all(|part| part.len() <= COPIED_AT_ONCE));
            assert_eq!(parts.concat(), bytes[..length]);
        }
    }

    proptest! {
        #[test]
        fn pieces_are_one_buffer(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9),
            rooms in prop::collection::vec(0usize..9, 0..9),
            steps in prop::collection::vec(0usize..12, 0..20),
        ) {
            let whole = pieces.concat();
            let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut gather = Gather::new(&slices);
            let mut buffers: Vec<_> = rooms.iter().map(|room| vec![0; *room]).collect();
            let mut targets: Vec<_> = buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
            let mut scatter = Scatter::new(&mut targets);
            let room: usize = rooms.iter().sum();
            prop_assert_eq!((gather.len(), scatter.len()), (whole.len(), room));
            let (mut done, mut put) = (0, 0);
            for step in steps {
                let count = step.min(gather.len());
                let next: Vec<u8> = gather.up_to(step).flatten().copied().collect();
                prop_assert_eq!(&next, &whole[done..done + count]);
                gather.up_to(step).for_each(|piece| put += scatter.put(piece));
                gather.advance(count);
                done += count;
                prop_assert_eq!(gather.len(), whole.len() - done);
            }
            prop_assert_eq!(put, done.min(room));
            prop_assert_eq!(&buffers.concat()[..put], &whole[..put]);
        }
    }
}
