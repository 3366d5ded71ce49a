//! Tells a forked child from the process that made the stacks: neither their threads nor their locks survive
//! a fork.

use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, Ordering};
use usertcp_core::api::{Errno, Error};

/// A page that holds 1, and that the kernel empties in a child (MADV_WIPEONFORK): one load a call, and no
/// clone(2) slips by.
static PAGE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

const PAGE_BYTES: usize = 4096;

/// Marks this process as the one that owns what is opened from now on.
pub(crate) fn arm() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: a fresh private mapping that nobody else knows of.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                PAGE_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return;
        }
        // SAFETY: the mapping is PAGE_BYTES long, writable, and never unmapped.
        unsafe {
            libc::madvise(page, PAGE_BYTES, libc::MADV_WIPEONFORK);
            page.cast::<u8>().write_volatile(1);
        }
        PAGE.store(page.cast(), Ordering::Release);
    });
}

/// ECHILD in a child of the process that `arm` was called in.
pub(crate) fn check() -> Result<(), Error> {
    let page = PAGE.load(Ordering::Acquire);
    // SAFETY: `arm` stored a mapping that is never unmapped; only the kernel writes to it.
    if page.is_null() || unsafe { page.read_volatile() } == 1 {
        return Ok(());
    }
    let text =
        "this process was forked from the one that owns the stack: only exec and _exit make sense here";
    Err(Error::new(Errno::ECHILD, text))
}
