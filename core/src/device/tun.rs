//! A plain TUN: one IP packet a system call.

use super::{DeviceError, read_error, write_error};
use crate::error::Errno;
use crate::link::{Capabilities, Device, Frame, FrameMeta, SLICES_MAX, Sent, Transmit};
use crate::sys;
use crate::time::Instant;
use arrayvec::ArrayVec;
use bytes::BytesMut;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Room beyond the MTU, so that a frame of a link whose MTU was raised by a little is not cut.
const SLACK: usize = 64;

/// A TUN without any header before the packet.
#[derive(Debug)]
pub(super) struct PlainTun {
    fd: OwnedFd,
    mtu: u16,
}

impl PlainTun {
    pub(super) fn new(fd: OwnedFd, mtu: u16) -> Self {
        Self { fd, mtu }
    }
}

impl Device for PlainTun {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(self.mtu)
    }

    fn recv(&mut self, _now: Instant, page: &mut BytesMut) -> Result<Option<Frame>, DeviceError> {
        match sys::read_into_spare(self.fd.as_fd(), page) {
            Ok(_) => Ok(Some(Frame { bytes: page.split().freeze(), meta: FrameMeta::default() })),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(errno) => Err(read_error(errno)),
        }
    }

    fn send(&mut self, _now: Instant, transmit: &Transmit) -> Result<Sent, DeviceError> {
        let mut slices = ArrayVec::<IoSlice<'_>, { SLICES_MAX + 2 }>::new();
        super::gather(transmit, &mut slices)?;
        match sys::writev(self.fd.as_fd(), &slices) {
            Ok(_) => Ok(Sent::Taken),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Sent::WouldBlock),
            Err(errno) => Err(write_error(errno)),
        }
    }

    fn spare(&self) -> usize {
        usize::from(self.mtu) + SLACK
    }

    fn descriptor(&self) -> Option<i32> {
        Some(self.fd.as_raw_fd())
    }
}
