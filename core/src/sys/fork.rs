//! Telling a forked child from the process that made something.

use super::last_errno;
use crate::error::Errno;
use core::ptr::{self, NonNull};

/// The process that made this value. It is a page that holds 1 and that the kernel empties in a child (MADV_WIPEONFORK): asking costs
/// one load, and no clone(2) slips by.
#[derive(Debug)]
pub struct Home(NonNull<u8>);

const PAGE_BYTES: usize = 4096;

// SAFETY: the page belongs to the value, is never written to after `new`, and is unmapped by `drop` alone.
unsafe impl Send for Home {}
// SAFETY: as above.
unsafe impl Sync for Home {}

impl Home {
    /// This process.
    pub fn new() -> Result<Self, Errno> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh private mapping that nobody else knows of, PAGE_BYTES long.
        let page = unsafe { libc::mmap(ptr::null_mut(), PAGE_BYTES, protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(last_errno());
        }
        // SAFETY: as above; MADV_WIPEONFORK changes nothing in this process.
        unsafe {
            libc::madvise(page, PAGE_BYTES, libc::MADV_WIPEONFORK);
            page.cast::<u8>().write(1);
        }
        NonNull::new(page.cast()).map(Self).ok_or(Errno::ENOMEM)
    }

    /// Whether this is still the same process, and not a forked child of it.
    #[must_use]
    pub fn is_here(&self) -> bool {
        // SAFETY: the page is mapped and initialised until `drop`; only the kernel changes it, between two processes.
        unsafe { self.0.as_ptr().read_volatile() == 1 }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, used by nobody else.
        unsafe { libc::munmap(self.0.as_ptr().cast(), PAGE_BYTES) };
    }
}
