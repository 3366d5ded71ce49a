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

    /// Size of a page, bytes.
    #[must_use]
    pub const fn page(&self) -> usize {
        self.page
    }

    /// An empty page with at least the pool's page size of capacity: the first kept one that is free, or a fresh one.
    #[must_use]
    pub fn take(&self) -> BytesMut {
        self.take_room(self.page)
    }

    /// An empty page with at least `room` bytes of capacity: the first kept one with so much left, else the first that is free, else a
    /// fresh one. A page given back is found first, so that small takers fill one page after the other.
    #[must_use]
    pub fn take_room(&self, room: usize) -> BytesMut {
        let mut stubs = lock(&self.stubs);
        let fits = stubs
            .iter_mut()
            .position(|stub| stub.capacity() >= room || stub.try_reclaim(self.page.max(room)));
        match fits {
            Some(index) => stubs.remove(index),
            None => {
                drop(stubs);
                BytesMut::with_capacity(self.page.max(room))
            }
        }
    }

    /// Gives back what is left of a page, however much of it is still in use elsewhere. Bytes in it are forgotten.
    pub fn give(&self, mut stub: BytesMut) {
        stub.clear();
        let mut stubs = lock(&self.stubs);
        if stubs.len() < self.keep {
            stubs.insert(0, stub);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_page_comes_back_when_its_slices_are_gone() {
        let pool = PagePool::new(4096, 2);
        let mut page = pool.take();
        page.extend_from_slice(&[7; 4096]);
        let slice = page.split().freeze();
        let address = slice.as_ptr();
        pool.give(page);
        assert_ne!(pool.take().as_ptr(), address, "a page in use must not be handed out");
        drop(slice);
        let page = pool.take();
        assert!(page.capacity() >= 4096);
        assert_eq!(page.as_ptr(), address);
    }

    #[test]
    fn what_is_left_of_a_page_serves_small_takers() {
        let pool = PagePool::new(4096, 2);
        let mut held = Vec::new();
        let mut starts = std::collections::BTreeSet::new();
        for _ in 0..8 {
            let mut page = pool.take_room(512);
            page.extend_from_slice(&[1; 512]);
            let slice = page.split().freeze();
            starts.insert(slice.as_ptr() as usize);
            held.push(slice);
            pool.give(page);
        }
        let span = starts.last().unwrap_or(&0) - starts.first().unwrap_or(&0);
        assert_eq!(span, 7 * 512, "eight writes of 512 bytes must share one page of 4096");
    }

    #[test]
    fn a_pool_keeps_no_more_than_it_was_told() {
        let pool = PagePool::new(1024, 1);
        let (one, two) = (pool.take(), pool.take());
        let kept = one.as_ptr();
        pool.give(one);
        pool.give(two);
        assert_eq!(lock(&pool.stubs).len(), 1);
        assert_eq!(pool.take().as_ptr(), kept);
    }
}
