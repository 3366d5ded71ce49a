//! In-order bytes that the program has not been shown yet.

use super::SMALL;
use crate::pack::{Pack, Packer, Unpacker};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Bytes received in order since the last publication; swapped into the cell once a turn.
#[derive(Debug, Default)]
pub struct RecvQueue {
    slices: VecDeque<Bytes>,
    tail: BytesMut,
    /// Size of the last chunk that `tail` was cut from.
    chunk: usize,
    len: usize,
}

/// Smallest and largest chunk that small payloads are gathered in: an idle connection pins little, a busy one allocates seldom.
const CHUNK_MIN: usize = 512;
const CHUNK_MAX: usize = 64 << 10;

impl RecvQueue {
    /// Bytes not yet published.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether everything has been published.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a payload. Small ones are copied into a chunk of this connection, so that one byte never pins a page.
    pub fn push(&mut self, payload: Bytes) {
        let count = payload.len();
        if count == 0 {
            return;
        }
        self.len += count;
        if count >= SMALL {
            self.flush_tail();
            self.slices.push_back(payload);
            return;
        }
        if self.tail.capacity() - self.tail.len() < count {
            self.flush_tail();
            self.refill_tail(count);
        }
        self.tail.extend_from_slice(&payload);
    }

    /// Moves everything to the end of `out`; both queues keep their capacity.
    pub fn drain_into(&mut self, out: &mut VecDeque<Bytes>) {
        self.flush_tail();
        if out.is_empty() {
            std::mem::swap(&mut self.slices, out);
        } else {
            out.append(&mut self.slices);
        }
        if self.len < self.chunk / 16 {
            self.chunk /= 2;
        }
        self.len = 0;
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            self.slices.push_back(self.tail.split().freeze());
        }
    }

    /// Makes room for `count` bytes in the empty tail: what the program has read is used again, else a chunk twice the last.
    fn refill_tail(&mut self, count: usize) {
        if self.tail.capacity() >= count || self.tail.try_reclaim(count.max(self.chunk)) {
            return;
        }
        self.chunk = (self.chunk * 2).max(count).clamp(CHUNK_MIN, CHUNK_MAX);
        self.tail = BytesMut::with_capacity(self.chunk);
    }
}

impl Pack for RecvQueue {
    /// That of an empty one.
    fn pack(&self, to: &mut Packer) {
        let Self { slices: _, tail: _, chunk, len: _ } = self;
        chunk.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self { chunk: usize::unpack(from), ..Self::default() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Drain,
        Read(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0usize..6000).prop_map(Step::Push),
            3 => (1usize..40).prop_map(Step::Push),
            2 => Just(Step::Drain),
            2 => (0usize..8000).prop_map(Step::Read),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_vector(steps in prop::collection::vec(step(), 0..80)) {
            let mut queue = RecvQueue::default();
            let mut published: VecDeque<Bytes> = VecDeque::new();
            let (mut private, mut model) = (Vec::new(), Vec::new());
            let mut next = 0u8;
            for step in steps {
                match step {
                    Step::Push(count) => {
                        let payload: Vec<u8> = (0..count).map(|i| next.wrapping_add(i as u8)).collect();
                        next = next.wrapping_add(count as u8).wrapping_add(1);
                        private.extend_from_slice(&payload);
                        queue.push(Bytes::from(payload));
                    }
                    Step::Drain => {
                        queue.drain_into(&mut published);
                        model.append(&mut private);
                    }
                    Step::Read(most) => {
                        let mut left = most.min(model.len());
                        let mut read = Vec::new();
                        while left > 0 {
                            let mut front = published.pop_front().expect("as long as the model");
                            let rest = front.split_off(left.min(front.len()));
                            left -= front.len();
                            read.extend_from_slice(&front);
                            if !rest.is_empty() {
                                published.push_front(rest);
                            }
                        }
                        prop_assert_eq!(&read[..], &model[..read.len()]);
                        model.drain(..read.len());
                    }
                }
                prop_assert_eq!(queue.len(), private.len());
                prop_assert_eq!(published.iter().map(Bytes::len).sum::<usize>(), model.len());
            }
            queue.drain_into(&mut published);
            model.append(&mut private);
            let all: Vec<u8> = published.iter().flatten().copied().collect();
            prop_assert_eq!(all, model);
            prop_assert!(queue.is_empty());
        }
    }

    #[test]
    fn a_byte_never_pins_its_page() {
        let page = Bytes::from(vec![1u8; 64 << 10]);
        let mut queue = RecvQueue::default();
        let mut out = VecDeque::new();
        queue.push(page.slice(100..101));
        queue.drain_into(&mut out);
        assert!(page.is_unique(), "the byte was copied out of its page");
        assert_eq!(queue.tail.capacity(), CHUNK_MIN - 1);
    }

    #[test]
    fn many_small_payloads_become_few_slices() {
        let mut queue = RecvQueue::default();
        let mut out = VecDeque::new();
        for _ in 0..10_000 {
            queue.push(Bytes::from_static(&[9; 100]));
        }
        queue.drain_into(&mut out);
        assert!(out.len() < 32, "{} slices", out.len());
    }

    #[test]
    fn what_was_read_is_used_again() {
        let mut queue = RecvQueue::default();
        let mut out = VecDeque::new();
        let mut addresses = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            queue.push(Bytes::from_static(&[3; 500]));
            queue.drain_into(&mut out);
            addresses.insert(out.pop_front().map_or(0, |slice| slice.as_ptr() as usize));
        }
        assert!(addresses.len() < 20, "{} chunks for a reader that keeps up", addresses.len());
    }

    #[test]
    fn draining_keeps_the_capacity_of_both_queues() {
        let mut queue = RecvQueue::default();
        let mut out = VecDeque::with_capacity(64);
        for _ in 0..40 {
            queue.push(Bytes::from(vec![0; SMALL]));
        }
        queue.drain_into(&mut out);
        assert_eq!(out.len(), 40);
        assert!(queue.slices.capacity() >= 64);
        let held = queue.slices.capacity();
        queue.push(Bytes::from(vec![0; SMALL]));
        queue.drain_into(&mut out);
        assert_eq!((out.len(), queue.slices.capacity()), (41, held));
    }
}
