//! An eventfd and poll(2), or loom's copies of them.

use crate::error::{Errno, Result};
use crate::sys::{PollFd, Signals};
use crate::time::Duration;

/// A descriptor that is readable once it has been signalled, until it is cleared.
#[derive(Debug)]
pub struct EventFd {
    #[cfg(not(loom))]
    fd: std::os::fd::OwnedFd,
    #[cfg(loom)]
    fd: usize,
}

#[cfg(not(loom))]
impl EventFd {
    /// One that is not readable.
    pub fn new() -> Result<Self> {
        Ok(Self { fd: crate::sys::eventfd()? })
    }

    /// Makes it readable.
    pub fn signal(&self) {
        crate::sys::eventfd_ring(std::os::fd::AsFd::as_fd(&self.fd));
    }

    /// Makes it unreadable.
    pub fn clear(&self) {
        crate::sys::eventfd_clear(std::os::fd::AsFd::as_fd(&self.fd));
    }

    /// The descriptor, to poll.
    #[must_use]
    pub fn descriptor(&self) -> i32 {
        std::os::fd::AsRawFd::as_raw_fd(&self.fd)
    }
}

/// A descriptor that becomes readable by itself.
#[derive(Debug)]
pub struct Timer {
    #[cfg(not(loom))]
    fd: std::os::fd::OwnedFd,
    #[cfg(loom)]
    over: EventFd,
}

#[cfg(not(loom))]
impl Timer {
    /// One that never does yet.
    pub fn new() -> Result<Self> {
        Ok(Self { fd: crate::sys::timer()? })
    }

    /// Has it become readable `after` now, and not before, whatever it was.
    pub fn set(&self, after: Duration) {
        crate::sys::set_timer(std::os::fd::AsFd::as_fd(&self.fd), after);
    }

    /// The descriptor, to poll.
    #[must_use]
    pub fn descriptor(&self) -> i32 {
        std::os::fd::AsRawFd::as_raw_fd(&self.fd)
    }
}

/// Sleeps until an entry has an event, at most `timeout`; returns how many have. EINTR when a signal handler ran.
pub fn poll(entries: &mut [PollFd], timeout: Option<Duration>) -> Result<usize, Errno> {
    poll_under(None, entries, timeout)
}

/// The same under another signal mask of the thread.
#[cfg(not(loom))]
pub(super) fn poll_under(
    mask: Option<&Signals>,
    entries: &mut [PollFd],
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    crate::sys::poll_under(mask, entries, timeout)
}

/// The kernel of a model: which of its descriptors are readable.
#[cfg(loom)]
struct Kernel {
    readable: crate::sync::Mutex<Vec<bool>>,
    changed: crate::sync::Condvar,
}

#[cfg(loom)]
loom::lazy_static! {
    static ref KERNEL: Kernel =
        Kernel { readable: crate::sync::Mutex::new(Vec::new()), changed: crate::sync::Condvar::new() };
}

#[cfg(loom)]
impl EventFd {
    pub fn new() -> Result<Self> {
        let mut readable = crate::sync::lock(&KERNEL.readable);
        readable.push(false);
        Ok(Self { fd: readable.len() - 1 })
    }

    pub fn signal(&self) {
        crate::sync::lock(&KERNEL.readable)[self.fd] = true;
        KERNEL.changed.notify_all();
    }

    pub fn clear(&self) {
        crate::sync::lock(&KERNEL.readable)[self.fd] = false;
    }

    #[must_use]
    pub fn descriptor(&self) -> i32 {
        self.fd as i32
    }
}

/// Any time may be over at any time, as far as a model is concerned: this one is at once.
#[cfg(loom)]
impl Timer {
    pub fn new() -> Result<Self> {
        Ok(Self { over: EventFd::new()? })
    }

    pub fn set(&self, _: Duration) {
        self.over.signal();
    }

    #[must_use]
    pub fn descriptor(&self) -> i32 {
        self.over.descriptor()
    }
}

/// A timeout may be over at any time, as far as a model is concerned: it is at once where nothing is readable. It has no signals.
#[cfg(loom)]
pub(super) fn poll_under(
    _: Option<&Signals>,
    entries: &mut [PollFd],
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    let mut readable = crate::sync::lock(&KERNEL.readable);
    loop {
        let mut count = 0;
        for entry in entries.iter_mut() {
            let ready = usize::try_from(entry.fd).is_ok_and(|fd| readable[fd]);
            entry.revents = if ready { entry.events & libc::POLLIN } else { 0 };
            count += usize::from(entry.revents != 0);
        }
        if count > 0 || timeout.is_some() {
            return Ok(count);
        }
        readable = KERNEL.changed.wait(readable).expect("no thread of a model panics");
    }
}
