//! Sleeping and waking: futex words, eventfds, poll.

use super::{Signals, checked, last_errno};
use crate::error::Errno;
use core::sync::atomic::AtomicU32;
use core::time::Duration;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// An entry of [`poll`]: descriptor (negative: skipped), events wanted, events found.
pub type PollFd = libc::pollfd;

/// How a futex wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Woken, or the word had another value, or for no reason: look at the word again.
    Woken,
    /// The time is over.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// Sleeps while `word` is `expected`, at most `timeout`.
pub fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Woken {
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let time = timeout.map(timespec);
    let time = time.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: the word and the time outlive the call; FUTEX_WAIT only reads them.
    let result = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, time) };
    if result >= 0 {
        return Woken::Woken;
    }
    match last_errno() {
        Errno::ETIMEDOUT => Woken::TimedOut,
        Errno::EINTR => Woken::Interrupted,
        _ => Woken::Woken,
    }
}

/// Wakes up to `count` threads asleep on `word`; returns how many.
pub fn futex_wake(word: &AtomicU32, count: u32) -> usize {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    // SAFETY: FUTEX_WAKE uses the word's address as a key only.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, count) };
    usize::try_from(woken).unwrap_or(0)
}

/// A non-blocking, close-on-exec eventfd with the value 0.
pub fn eventfd() -> Result<OwnedFd, Errno> {
    // SAFETY: eventfd takes integers and returns a new descriptor that is ours alone.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC))?)) }
}

/// Makes an eventfd readable.
pub fn eventfd_ring(fd: BorrowedFd<'_>) {
    let one = 1_u64;
    // SAFETY: eight readable bytes. EAGAIN means that the value is near its limit, thus readable already.
    unsafe { libc::write(fd.as_raw_fd(), (&raw const one).cast(), 8) };
}

/// Makes an eventfd unreadable; whether it was readable.
pub fn eventfd_clear(fd: BorrowedFd<'_>) -> bool {
    let mut value = 0_u64;
    // SAFETY: eight writable bytes.
    unsafe { libc::read(fd.as_raw_fd(), (&raw mut value).cast(), 8) == 8 }
}

/// Sleeps until an entry has an event, at most `timeout` with the resolution of nanoseconds; returns how many have. EINTR when
/// a signal handler ran.
pub fn poll(entries: &mut [PollFd], timeout: Option<Duration>) -> Result<usize, Errno> {
    poll_under(None, entries, timeout)
}

/// The same under another signal mask of the thread: what has come while the mask before kept it out is let in first. Not where an entry has an event
/// already.
pub fn poll_under(
    mask: Option<&Signals>,
    entries: &mut [PollFd],
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    /// Size of the kernel's set of signals: 64 of them.
    const SET_SIZE: usize = 8;
    let mut time = timeout.map(timespec);
    let time = time.as_mut().map_or(core::ptr::null_mut(), core::ptr::from_mut);
    let (count, mask) = (entries.len(), mask.map_or(core::ptr::null(), Signals::as_ptr));
    // SAFETY: the entries are borrowed mutably for the call, the time outlives it and may be written to, and so does the mask, which begins with the kernel's.
    let ready = unsafe { libc::syscall(libc::SYS_ppoll, entries.as_mut_ptr(), count, time, mask, SET_SIZE) };
    usize::try_from(ready).map_err(|_| last_errno())
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(duration.subsec_nanos().cast_signed()),
    }
}
