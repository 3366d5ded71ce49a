//! What a connection has been given to send and the peer has not acknowledged: the retransmission queue is the same slices.

use super::Slices;
use crate::pack::{Pack, Packer, Unpacker};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;

/// Slices from SND.UNA on.
///
/// ```text
///        0            sent               len()
///        |-------------|------------------|
///      SND.UNA      SND.NXT      end of what was written
/// ```
/// Offsets count from the first unacknowledged byte.
#[derive(Debug, Default)]
pub struct SendQueue {
    /// Each with the stream position of its first byte, ascending without gaps.
    slices: VecDeque<(u64, Bytes)>,
    /// Stream position of offset 0.
    head: u64,
    /// Stream position behind the last byte.
    end: u64,
}

impl SendQueue {
    /// Bytes queued, sent or not.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.end - self.head) as usize
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end == self.head
    }

    /// Stream position of the first byte that is not acknowledged.
    #[must_use]
    pub const fn acknowledged(&self) -> u64 {
        self.head
    }

    /// Appends a slice.
    pub fn push(&mut self, slice: Bytes) {
        if !slice.is_empty() {
            let start = self.end;
            self.end += slice.len() as u64;
            self.slices.push_back((start, slice));
        }
    }

    /// Drops the first `count` bytes, acknowledged by the peer; at most all of them. Returns how many.
    pub fn release(&mut self, count: usize) -> usize {
        let count = count.min(self.len());
        self.head += count as u64;
        while let Some((start, slice)) = self.slices.front_mut() {
            let behind = (self.head - *start).min(slice.len() as u64) as usize;
            if behind < slice.len() {
                slice.advance(behind);
                *start += behind as u64;
                break;
            }
            self.slices.pop_front();
        }
        count
    }

    /// Slices of up to `most` bytes from `offset` on, and at most `slices_max` of them; appended to `out`. Returns the number of bytes.
    pub fn peek(&self, offset: usize, most: usize, slices_max: usize, out: &mut Slices) -> usize {
        let from = self.head + offset as u64;
        let first = self.slices.partition_point(|(start, slice)| start + slice.len() as u64 <= from);
        let mut taken = 0;
        for (start, slice) in self.slices.iter().skip(first).take(slices_max) {
            let skip = from.saturating_sub(*start) as usize;
            let count = (slice.len() - skip).min(most - taken);
            if count == 0 {
                break;
            }
            out.push(slice.slice(skip..skip + count));
            taken += count;
        }
        taken
    }
}

impl Pack for SendQueue {
    /// That of an empty one.
    fn pack(&self, to: &mut Packer) {
        let Self { slices: _, head: _, end } = self;
        end.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let end = u64::unpack(from);
        Self { head: end, end, ..Self::default() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Release(usize),
        Peek(usize, usize, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0usize..5000).prop_map(Step::Push),
            (0usize..6000).prop_map(Step::Release),
            (0usize..20_000, 0usize..20_000, 0usize..8)
                .prop_map(|(at, most, slices)| Step::Peek(at, most, slices)),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_vector(steps in prop::collection::vec(step(), 0..100)) {
            let (mut queue, mut model) = (SendQueue::default(), Vec::new());
            let mut next = 0u8;
            for step in steps {
                match step {
                    Step::Push(count) => {
                        let bytes: Vec<u8> = (0..count).map(|i| next.wrapping_add(i as u8)).collect();
                        next = next.wrapping_add(count as u8).wrapping_add(1);
                        model.extend_from_slice(&bytes);
                        queue.push(Bytes::from(bytes));
                    }
                    Step::Release(count) => {
                        let released = queue.release(count);
                        prop_assert_eq!(released, count.min(model.len()));
                        model.drain(..released);
                    }
                    Step::Peek(offset, most, slices_max) => {
                        let mut out = Slices::new();
                        let count = queue.peek(offset, most, slices_max, &mut out);
                        let got: Vec<u8> = out.iter().flatten().copied().collect();
                        prop_assert_eq!(got.len(), count);
                        prop_assert!(out.len() <= slices_max && out.iter().all(|slice| !slice.is_empty()));
                        let from = offset.min(model.len());
                        let whole = most.min(model.len() - from);
                        prop_assert_eq!(&got[..], &model[from..from + count]);
                        prop_assert!(count == whole || out.len() == slices_max, "{} of {}", count, whole);
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn a_released_slice_is_let_go() {
        let mut queue = SendQueue::default();
        let slice = Bytes::from(vec![0; 100]);
        queue.push(slice.clone());
        queue.release(99);
        assert!(!slice.is_unique());
        queue.release(1);
        assert!(slice.is_unique());
    }
}
