//! A TUN with vnet header: super-frames and partial checksums, both ways.

use super::DeviceError;
use super::tun::{Parts, TunDescriptor};
use crate::error::Errno;
use crate::link::{Capabilities, Device, Frame, FrameMeta, ReceivedChecksum, Sent, SentChecksum, Transmit};
use crate::time::Instant;
use bytes::{Buf, BytesMut};
use std::io::IoSlice;
use std::os::fd::OwnedFd;

/// Bytes of a `virtio_net_hdr`.
pub(super) const HEADER: usize = 10;

/// What the kernel may leave to us: unfinished checksums, super-frames of TCP over IPv4 and IPv6.
pub(super) const FEATURES: u32 = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;

const NEEDS_CHECKSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCP_V4: u8 = 1;
const GSO_TCP_V6: u8 = 4;

/// A TUN with `IFF_VNET_HDR`, a header of [`HEADER`] bytes and what [`FEATURES`] lists.
#[derive(Debug)]
pub(super) struct VnetTun {
    tun: TunDescriptor,
    mtu: u16,
    queue: Option<u32>,
}

impl VnetTun {
    pub(super) fn new(fd: OwnedFd, mtu: u16, queue: Option<u32>) -> Self {
        Self { tun: TunDescriptor::new(fd), mtu, queue }
    }
}

impl Device for VnetTun {
    fn capabilities(&self) -> Capabilities {
        Capabilities { mtu: self.mtu, checksum: true, tso4: true, tso6: true, queue: self.queue }
    }

    fn recv(&mut self, _now: Instant, page: &mut BytesMut) -> Result<Option<Frame>, DeviceError> {
        if !self.tun.read(page)? {
            return Ok(None);
        }
        let mut bytes = page.split().freeze();
        let Some(meta) = bytes.first_chunk().and_then(received) else {
            return Err(DeviceError::Refused(Errno::EPROTONOSUPPORT));
        };
        bytes.advance(HEADER);
        Ok(Some(Frame { bytes, meta }))
    }

    fn send(&mut self, _now: Instant, transmit: &Transmit) -> Result<Sent, DeviceError> {
        let header = header(transmit);
        let mut parts = Parts::new();
        parts.push(IoSlice::new(&header));
        super::gather(transmit, &mut parts)?;
        self.tun.write(&parts)
    }

    fn spare(&self) -> usize {
        HEADER + usize::from(u16::MAX) + 1
    }

    fn descriptor(&self) -> Option<i32> {
        Some(self.tun.number())
    }
}

/// What the header says about the frame behind it; `None` for a kind of super-frame that was not asked for.
fn received(header: &[u8; HEADER]) -> Option<FrameMeta> {
    let [flags, kind, _, _, size_0, size_1, ..] = *header;
    let gso_size = match kind {
        GSO_NONE => 0,
        GSO_TCP_V4 | GSO_TCP_V6 => u16::from_ne_bytes([size_0, size_1]),
        _ => return None,
    };
    let valid = flags & (NEEDS_CHECKSUM | DATA_VALID) != 0;
    let checksum = if valid { ReceivedChecksum::Valid } else { ReceivedChecksum::Unverified };
    Some(FrameMeta { checksum, gso_size })
}

/// The header that tells the kernel what is left to do.
fn header(transmit: &Transmit) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let SentChecksum::Partial { start, offset } = transmit.checksum else {
        return header;
    };
    header[0] = NEEDS_CHECKSUM;
    header[6..8].copy_from_slice(&start.to_ne_bytes());
    header[8..10].copy_from_slice(&offset.to_ne_bytes());
    if transmit.gso_size == 0 {
        return header;
    }
    let version = transmit.head.first().map_or(4, |byte| byte >> 4);
    header[1] = if version == 6 { GSO_TCP_V6 } else { GSO_TCP_V4 };
    let head_length = u16::try_from(transmit.head.len()).unwrap_or(0);
    header[2..4].copy_from_slice(&head_length.to_ne_bytes());
    header[4..6].copy_from_slice(&transmit.gso_size.to_ne_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_checksum_or_a_verified_one_is_valid() {
        let meta = |flags| received(&[flags, 0, 0, 0, 0, 0, 0, 0, 0, 0]).map(|meta| meta.checksum);
        assert_eq!(meta(NEEDS_CHECKSUM), Some(ReceivedChecksum::Valid));
        assert_eq!(meta(DATA_VALID), Some(ReceivedChecksum::Valid));
        assert_eq!(meta(0), Some(ReceivedChecksum::Unverified));
    }

    #[test]
    fn a_super_frame_that_was_not_asked_for_is_refused() {
        let udp = 5;
        assert_eq!(received(&[NEEDS_CHECKSUM, udp, 0, 0, 1, 1, 0, 0, 0, 0]), None);
        let [size_0, size_1] = 1448_u16.to_ne_bytes();
        let tcp = received(&[NEEDS_CHECKSUM, GSO_TCP_V6, 0, 0, size_0, size_1, 0, 0, 0, 0]);
        assert_eq!(tcp.map(|meta| meta.gso_size), Some(1448));
    }

    #[test]
    fn a_super_frame_is_announced_with_its_family() {
        let head = [0x60; 60].into_iter().collect();
        let checksum = SentChecksum::Partial { start: 40, offset: 16 };
        let mut transmit = Transmit { head, payload: Default::default(), gso_size: 1428, checksum };
        let header_v6 = header(&transmit);
        assert_eq!(header_v6[..2], [NEEDS_CHECKSUM, GSO_TCP_V6]);
        assert_eq!(header_v6[2..6], [60_u16.to_ne_bytes(), 1428_u16.to_ne_bytes()].concat());
        assert_eq!(header_v6[6..], [40_u16.to_ne_bytes(), 16_u16.to_ne_bytes()].concat());
        transmit.checksum = SentChecksum::Complete;
        assert_eq!(header(&transmit), [0; HEADER]);
    }
}
