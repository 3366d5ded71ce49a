//! A TUN's descriptor, and the plain device on it: one IP packet a system call.

use super::DeviceError;
use crate::error::{Errno, Error};
use crate::link::{Capabilities, Device, Frame, FrameMeta, SLICES_MAX, Sent, Transmit};
use crate::sys;
use crate::time::Instant;
use arrayvec::ArrayVec;
use bytes::BytesMut;
use core::time::Duration;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// What one system call writes: a header, the packet's head and its payload.
pub(super) type Parts<'a> = ArrayVec<IoSlice<'a>, { SLICES_MAX + 2 }>;

/// An open TUN and the state of its interface as far as it has shown.
#[derive(Debug)]
pub(super) struct TunDescriptor {
    fd: OwnedFd,
    link: LinkSeen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkSeen {
    Up,
    Down,
}

impl TunDescriptor {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd, link: LinkSeen::Up }
    }

    /// One read, whose bytes are appended to `page`; false: there is nothing. `Down` from a write that said so until the interface is up.
    pub(super) fn read(&mut self, page: &mut BytesMut) -> Result<bool, DeviceError> {
        self.look_again()?;
        match sys::read_into_spare(self.fd.as_fd(), page) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(errno) => Err(self.failed(errno)),
        }
    }

    /// One write of `parts`. What is short is put together first: to copy it costs less than what the kernel takes to find several pieces (docs/decisions/0007).
    pub(super) fn write(&mut self, parts: &[IoSlice<'_>]) -> Result<Sent, DeviceError> {
        let mut whole = ArrayVec::<u8, SHORT>::new();
        let short = parts.iter().all(|part| whole.try_extend_from_slice(part).is_ok());
        let fd = self.fd.as_fd();
        match if short { sys::write(fd, &whole) } else { sys::writev(fd, parts) } {
            Ok(_) => {
                self.link = LinkSeen::Up;
                Ok(Sent::Taken)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Sent::WouldBlock),
            Err(errno) => Err(self.failed(errno)),
        }
    }

    pub(super) fn number(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// A read cannot tell an interface that is down from one without packets; poll can: it shows neither OUT nor ERR.
    fn look_again(&mut self) -> Result<(), DeviceError> {
        if self.link == LinkSeen::Up {
            return Ok(());
        }
        let mut entries = [sys::PollFd { fd: self.number(), events: libc::POLLOUT, revents: 0 }];
        if sys::poll(&mut entries, Some(Duration::ZERO)) == Ok(0) {
            return Err(DeviceError::Down);
        }
        self.link = LinkSeen::Up;
        Ok(())
    }

    /// What a failed call means: the kernel refuses a packet in many ways, and the device in few.
    fn failed(&mut self, errno: Errno) -> DeviceError {
        match errno {
            Errno::EIO | Errno::ENETDOWN => {
                self.link = LinkSeen::Down;
                DeviceError::Down
            }
            Errno::EBADFD | Errno::EBADF | Errno::ENODEV | Errno::EFAULT => {
                let text = format!("the TUN device was deleted ({errno})");
                DeviceError::Gone(Error::new(Errno::ENODEV, text))
            }
            _ => DeviceError::Refused(errno),
        }
    }
}

/// Bytes of a packet that is short, its header for the device included.
const SHORT: usize = 2048;

/// Room beyond the MTU, so that a frame of a link whose MTU was raised by a little is not cut.
const SLACK: usize = 64;

/// A TUN without any header before the packet.
#[derive(Debug)]
pub(super) struct PlainTun {
    tun: TunDescriptor,
    mtu: u16,
    queue: Option<u32>,
}

impl PlainTun {
    pub(super) fn new(fd: OwnedFd, mtu: u16, queue: Option<u32>) -> Self {
        Self { tun: TunDescriptor::new(fd), mtu, queue }
    }
}

impl Device for PlainTun {
    fn capabilities(&self) -> Capabilities {
        Capabilities { queue: self.queue, ..Capabilities::plain(self.mtu) }
    }

    fn recv(&mut self, now: Instant, page: &mut BytesMut) -> Result<Option<Frame>, DeviceError> {
        let meta = self.recv_behind(now, page)?;
        Ok(meta.map(|meta| Frame { bytes: page.split().freeze(), meta }))
    }

    fn recv_behind(&mut self, _now: Instant, page: &mut BytesMut) -> Result<Option<FrameMeta>, DeviceError> {
        Ok(self.tun.read(page)?.then(FrameMeta::default))
    }

    fn send(&mut self, _now: Instant, transmit: &Transmit) -> Result<Sent, DeviceError> {
        let mut parts = Parts::new();
        super::gather(transmit, &mut parts)?;
        self.tun.write(&parts)
    }

    fn spare(&self) -> usize {
        usize::from(self.mtu) + SLACK
    }

    fn descriptor(&self) -> Option<i32> {
        Some(self.tun.number())
    }
}
