//! In-order bytes that the program has not been shown yet.

use super::SMALL;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Bytes received in order since the last publication; swapped into the cell once a turn.
#[derive(Debug, Default)]
pub struct RecvQueue {
    slices: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

/// Smallest and largest chunk that small payloads are gathered in.
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
            if self.tail.capacity() < count {
                let want = (count * 4).clamp(CHUNK_MIN, CHUNK_MAX).max(self.len.min(CHUNK_MAX));
                self.tail = BytesMut::with_capacity(want);
            }
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
        self.len = 0;
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            self.slices.push_back(self.tail.split().freeze());
        }
    }
}
