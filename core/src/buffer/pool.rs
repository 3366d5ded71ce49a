//! Pages that are used again. Fresh memory costs a page fault per 4 KiB, which halves the throughput of the whole stack.

use crate::sync::{Mutex, lock};
use bytes::BytesMut;

/// Pages of one size, kept as emptied stubs until nobody holds a slice of them.
#[derive(Debug)]
pub struct PagePool {
    stubs: Mutex<Vec<BytesMut>>,
    page: usize,
    keep: usize,
}

impl PagePool {
    /// A pool of pages of `page` bytes that keeps at most `keep` of them.
    #[must_use]
    pub fn new(page: usize, keep: usize) -> Self {
        Self { stubs: Mutex::new(Vec::new()), page, keep }
    }

    /// An empty page with at least the pool's page size of capacity: the first kept one that is free, or a fresh one.
    #[must_use]
    pub fn take(&self) -> BytesMut {
        let mut stubs = lock(&self.stubs);
        let free = stubs.iter_mut().position(|stub| stub.try_reclaim(self.page));
        match free {
            Some(index) => stubs.remove(index),
            None => {
                drop(stubs);
                BytesMut::with_capacity(self.page)
            }
        }
    }

    /// Gives back what is left of a page, however much of it is still in use elsewhere.
    pub fn give(&self, stub: BytesMut) {
        let mut stubs = lock(&self.stubs);
        if stubs.len() < self.keep {
            stubs.push(stub);
        }
    }
}
