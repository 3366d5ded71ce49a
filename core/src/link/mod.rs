//! What a link is: frames in, transmits out, and the [`Device`] that moves them.

pub mod coalesce;
pub mod impair;
pub mod pcap;
pub mod pipe;
pub mod segment;

pub use pipe::pipe;

use crate::error::{Errno, Error};
use crate::time::Instant;
pub use crate::wire::{FrameMeta, ReceivedChecksum, SentChecksum};
use arrayvec::ArrayVec;
use bytes::{Bytes, BytesMut};
use impair::Impairment;
use smallvec::SmallVec;

/// Most bytes of headers in front of a payload: 40 of IPv6 or 60 of IPv4, and 60 of TCP.
pub const HEAD_MAX: usize = 128;

/// Most payload slices of one [`Transmit`]; a longer chain is sent as several.
pub const SLICES_MAX: usize = 32;

/// A received IP packet, or a super-frame of several segments merged by the link.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The packet from its IP header on. Whatever is kept of it is a slice of the same page.
    pub bytes: Bytes,
    /// What the link knows about it.
    pub meta: FrameMeta,
}

/// A packet to send, or a super-frame that the link cuts into segments of `gso_size` payload bytes.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// IP header and transport header.
    pub head: ArrayVec<u8, HEAD_MAX>,
    /// Transport payload, as shared slices.
    pub payload: SmallVec<[Bytes; 4]>,
    /// Payload bytes a segment of a super-frame; 0: a single packet.
    pub gso_size: u16,
    /// State of the transport checksum. A super-frame is always `Partial`.
    pub checksum: SentChecksum,
}

impl Transmit {
    /// A place for one.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            head: ArrayVec::new(),
            payload: SmallVec::new(),
            gso_size: 0,
            checksum: SentChecksum::Complete,
        }
    }

    /// Bytes of header and payload.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.payload.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a device takes over from the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Largest IP packet on the wire, bytes.
    pub mtu: u16,
    /// Completes `SentChecksum::Partial`.
    pub checksum: bool,
    /// Cuts IPv4 TCP super-frames.
    pub tso4: bool,
    /// Cuts IPv6 TCP super-frames.
    pub tso6: bool,
    /// Packets, or super-frames, that wait in it for the stack before it drops what comes, telling nobody; `None` where it holds its sender back, or where
    /// that cannot be known.
    pub queue: Option<u32>,
}

impl Capabilities {
    /// A device that takes packets of up to `mtu` bytes and does nothing for the stack.
    #[must_use]
    pub const fn plain(mtu: u16) -> Self {
        Self { mtu, checksum: false, tso4: false, tso6: false, queue: None }
    }
}

/// Why a device did not take or give a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// The device refused this one packet (too long, unroutable): it is lost, the next may pass.
    Refused(Errno),
    /// The link is down; it may come back. Nothing is read or written until then.
    Down,
    /// The device is gone for good.
    Gone(Error),
}

/// Outcome of [`Device::send`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The device has taken it.
    Taken,
    /// The device is full: keep the transmit and offer it again once the device is writable.
    WouldBlock,
}

/// A link to send and receive on. Never blocks.
pub trait Device: Send {
    /// What the device takes over; constant.
    fn capabilities(&self) -> Capabilities;

    /// The next received frame, `None` when there is none now. A device that reads bytes appends them to `page`, which
    /// has at least [`Device::spare`] bytes of spare capacity, and splits them off; one that holds frames returns them as they are.
    fn recv(&mut self, now: Instant, page: &mut BytesMut) -> Result<Option<Frame>, DeviceError>;

    /// The same, but what comes is appended to `page` and stays there, behind what it holds already; what is known of it.
    fn recv_behind(&mut self, now: Instant, page: &mut BytesMut) -> Result<Option<FrameMeta>, DeviceError> {
        let frame = self.recv(now, &mut BytesMut::with_capacity(self.spare()))?;
        Ok(frame.map(|frame| {
            page.extend_from_slice(&frame.bytes);
            frame.meta
        }))
    }

    /// Sends or refuses `transmit`; takes nothing from it when it would block.
    fn send(&mut self, now: Instant, transmit: &Transmit) -> Result<Sent, DeviceError>;

    /// When `recv` may have a frame without any outside event, or a pending send may be let go: delays of a simulated link.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Spare bytes that `recv` needs in its page: 0 for a device that holds frames.
    fn spare(&self) -> usize {
        0
    }

    /// Descriptor that polls readable and writable as the device does.
    fn descriptor(&self) -> Option<i32> {
        None
    }

    /// Other faults for packets that are sent and received from here on; EINVAL for a device that has no faults.
    fn impair(&mut self, _outgoing: Impairment, _incoming: Impairment) -> Result<(), Error> {
        Err(Error::new(
            Errno::EINVAL,
            "nothing is between stack and link: open the stack with impairments, which may do nothing",
        ))
    }
}
