//! A packet socket that the program opened: one IP packet a message.

use super::DeviceError;
use super::tun::Parts;
use crate::error::{Errno, Error};
use crate::link::{Capabilities, Device, Frame, FrameMeta, Sent, Transmit};
use crate::sys;
use crate::time::Instant;
use bytes::BytesMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The longest IP packet.
const PACKET_MAX: usize = 65_535;

/// A `SOCK_SEQPACKET` or `SOCK_DGRAM` socket.
#[derive(Debug)]
pub(super) struct PacketSocket {
    fd: OwnedFd,
    mtu: u16,
    ends: Ends,
}

/// Whether an empty message is the end of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Empty,
    Never,
}

impl PacketSocket {
    /// `kind` is SOCK_SEQPACKET, whose peer's end is seen as an empty message, or SOCK_DGRAM.
    pub(super) fn new(fd: OwnedFd, mtu: u16, kind: i32) -> Self {
        let ends = if kind == libc::SOCK_SEQPACKET { Ends::Empty } else { Ends::Never };
        Self { fd, mtu, ends }
    }
}

impl Device for PacketSocket {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(self.mtu)
    }

    fn recv(&mut self, now: Instant, page: &mut BytesMut) -> Result<Option<Frame>, DeviceError> {
        let meta = self.recv_behind(now, page)?;
        Ok(meta.map(|meta| Frame { bytes: page.split().freeze(), meta }))
    }

    fn recv_behind(&mut self, _now: Instant, page: &mut BytesMut) -> Result<Option<FrameMeta>, DeviceError> {
        let held = page.len();
        match sys::receive_into_spare(self.fd.as_fd(), page) {
            Ok(0) if self.ends == Ends::Empty => Err(gone(Errno::ENODEV)),
            Ok(length) if length > page.len() - held => {
                page.truncate(held);
                Err(DeviceError::Refused(Errno::EMSGSIZE))
            }
            Ok(_) => Ok(Some(FrameMeta::default())),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(errno) => Err(gone(errno)),
        }
    }

    fn send(&mut self, _now: Instant, transmit: &Transmit) -> Result<Sent, DeviceError> {
        let mut parts = Parts::new();
        super::gather(transmit, &mut parts)?;
        match sys::message_send(self.fd.as_fd(), &parts) {
            Ok(_) => Ok(Sent::Taken),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Sent::WouldBlock),
            Err(errno @ (Errno::EMSGSIZE | Errno::ENOBUFS | Errno::ENOMEM)) => {
                Err(DeviceError::Refused(errno))
            }
            Err(errno) => Err(gone(errno)),
        }
    }

    fn spare(&self) -> usize {
        PACKET_MAX
    }

    fn descriptor(&self) -> Option<i32> {
        Some(self.fd.as_raw_fd())
    }
}

fn gone(errno: Errno) -> DeviceError {
    DeviceError::Gone(Error::new(errno, format!("the packet socket's other end is gone: {errno}")))
}
