//! The TUN that is standard input.

use super::super::order::Order;
use super::packet::HEADER;
use crate::Result;
use crate::aligned::Aligned;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::time::Duration;

/// Room for the largest packet and the header before it.
const ROOM: usize = HEADER + (64 << 10);

/// What every packet is read into.
pub(super) fn buffer() -> Aligned {
    Aligned::zeroed(ROOM)
}

/// A TUN.
pub(super) struct Device {
    input: io::Stdin,
    /// Whether each packet has a header of [`HEADER`] bytes.
    pub(super) offload: bool,
    /// Bytes of the payload of a full segment without options.
    pub(super) mss: u16,
    /// It never sleeps.
    spins: bool,
}

impl Device {
    pub(super) fn open(order: &Order) -> Self {
        Self { input: io::stdin(), offload: order.offload, mss: order.mtu - 40, spins: !order.spin.is_zero() }
    }

    /// The next packet; `None`: there is none now.
    pub(super) fn read<'a>(&self, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>> {
        let length = match rustix::io::read(&self.input, &mut *buffer) {
            Ok(length) => length,
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(format!("the TUN cannot be read: {error}").into()),
        };
        let skipped = if self.offload { HEADER } else { 0 };
        Ok(buffer.get(skipped..length))
    }

    /// Sends a packet: its headers, with the vnet header before them, and its payload.
    pub(super) fn write(&self, headers: &[u8], payload: &[u8]) -> Result<()> {
        let headers = if self.offload { headers } else { &headers[HEADER..] };
        let written = if payload.is_empty() {
            rustix::io::write(&self.input, headers)
        } else {
            rustix::io::writev(&self.input, &[IoSlice::new(headers), IoSlice::new(payload)])
        };
        match written {
            // A queue that is full drops, and so do we.
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(format!("the TUN cannot be written: {error}").into()),
        }
    }

    /// Waits until there is something to read; false: not within that time.
    pub(super) fn wait(&self, within: Duration) -> Result<bool> {
        if self.spins {
            return Ok(true);
        }
        let timeout =
            Timespec { tv_sec: within.as_secs().cast_signed(), tv_nsec: within.subsec_nanos().into() };
        let mut entries = [PollFd::from_borrowed_fd(self.input.as_fd(), PollFlags::IN)];
        match poll(&mut entries, Some(&timeout)) {
            Ok(count) => Ok(count > 0),
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}
