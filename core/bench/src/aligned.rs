//! Buffers that begin in the middle of a page.
//!
//! On processors of AMD's family 25 `rep movsb`, by which kernel and C library copy what is large, takes sixteen times as long where the destination
//! lies 1 to 31 bytes behind the source modulo 4096. Where a heap puts a buffer hangs on the length of a program's name, so that a contender would be slow in one folder
//! and fast in another. The kernel begins to fill pages at their beginning, half a page away.

use std::ops::{Deref, DerefMut};

const PAGE: usize = 4096;

/// Bytes that begin in the middle of a page.
#[derive(Debug)]
pub(crate) struct Aligned {
    room: Box<[u8]>,
    from: usize,
    length: usize,
}

impl Aligned {
    /// So many zeros.
    pub(crate) fn zeroed(length: usize) -> Self {
        let room = vec![0; length + PAGE].into_boxed_slice();
        let from = (room.as_ptr().align_offset(PAGE) + PAGE / 2) % PAGE;
        Self { room, from, length }
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.room[self.from..self.from + self.length]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.room[self.from..self.from + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_in_the_middle_of_a_page() {
        for length in [1, 100, 65_546, 131_072] {
            let buffer = Aligned::zeroed(length);
            assert_eq!((buffer.as_ptr() as usize % PAGE, buffer.len()), (PAGE / 2, length));
        }
    }
}
