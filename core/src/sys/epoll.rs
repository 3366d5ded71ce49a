//! epoll(7), edge-triggered: which of many descriptors have something to tell.

use super::checked;
use crate::error::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A set of descriptors, each with a token of its caller's.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

/// Most events of one look.
const EVENTS: usize = 64;

impl Epoll {
    /// An empty set.
    pub fn new() -> Result<Self, Errno> {
        // SAFETY: integers only; the result is a new descriptor that is ours alone.
        unsafe { Ok(Self(OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?))) }
    }

    /// Adds a descriptor: it is told once for every time that it becomes readable, writable, hung up or broken.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64) -> Result<(), Errno> {
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: token };
        // SAFETY: the event is valid and only read.
        let added = unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event)
        };
        checked(added).map(|_| ())
    }

    /// Takes a descriptor out. Closing it does not while a forked child has a copy.
    pub fn remove(&self, fd: BorrowedFd<'_>) {
        // SAFETY: removing takes no event. It fails only for what is not in the set.
        unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd.as_raw_fd(), core::ptr::null_mut())
        };
    }

    /// Appends the tokens of descriptors that have something to tell, without waiting; false: that was all.
    pub fn look(&self, tokens: &mut Vec<u64>) -> bool {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // SAFETY: there is room for as many events as are asked for.
        let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, 0) };
        let count = usize::try_from(count).unwrap_or(0);
        tokens.extend(events.iter().take(count).map(|event| event.u64));
        count == EVENTS
    }

    /// The set itself: it is readable while something is to be told.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
