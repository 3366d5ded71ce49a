//! An eventfd, or loom's copy of one.

use crate::error::Result;

/// A descriptor that is readable once it has been signalled, until it is cleared.
#[derive(Debug)]
pub(super) struct EventFd {
    #[cfg(not(loom))]
    fd: std::os::fd::OwnedFd,
    #[cfg(loom)]
    readable: (crate::sync::Mutex<bool>, crate::sync::Condvar),
}

#[cfg(not(loom))]
impl EventFd {
    /// One that is not readable.
    pub(super) fn new() -> Result<Self> {
        Ok(Self { fd: crate::sys::eventfd()? })
    }

    /// Makes it readable.
    pub(super) fn signal(&self) {
        crate::sys::eventfd_ring(std::os::fd::AsFd::as_fd(&self.fd));
    }

    /// Makes it unreadable.
    pub(super) fn clear(&self) {
        crate::sys::eventfd_clear(std::os::fd::AsFd::as_fd(&self.fd));
    }

    /// The descriptor, to poll.
    pub(super) fn descriptor(&self) -> i32 {
        std::os::fd::AsRawFd::as_raw_fd(&self.fd)
    }
}

#[cfg(loom)]
impl EventFd {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { readable: (crate::sync::Mutex::new(false), crate::sync::Condvar::new()) })
    }

    pub(super) fn signal(&self) {
        *crate::sync::lock(&self.readable.0) = true;
        self.readable.1.notify_all();
    }

    pub(super) fn clear(&self) {
        *crate::sync::lock(&self.readable.0) = false;
    }

    pub(super) fn descriptor(&self) -> i32 {
        -1
    }

    /// What polling for it does.
    #[cfg(test)]
    pub(super) fn wait(&self) {
        let mut readable = crate::sync::lock(&self.readable.0);
        while !*readable {
            readable = self.readable.1.wait(readable).expect("no thread of a model panics");
        }
    }
}
