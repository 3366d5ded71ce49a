//! Two devices in memory, joined back to back.

use super::segment::{complete, to_frame};
use super::{Capabilities, Device, DeviceError, Frame, Sent, Transmit};
use crate::error::{Errno, Error};
use crate::time::Instant;
use bytes::BytesMut;
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};

/// Whether super-frames pass a pipe whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// Super-frames and uncomputed checksums pass, marked in the frame's metadata.
    On,
    /// Single packets with complete checksums only.
    Off,
}

/// One end of a pipe.
#[derive(Debug)]
pub struct Pipe {
    capabilities: Capabilities,
    sender: Sender<Frame>,
    receiver: Receiver<Frame>,
}

/// Two ends: what one sends the other receives, in order, at once. Packets have at most `mtu` bytes; `queue` of them may wait in each direction, after
/// which an end would block.
#[must_use]
pub fn pipe(mtu: u16, queue: usize, offload: Offload) -> (Pipe, Pipe) {
    let whole = offload == Offload::On;
    let capabilities = Capabilities { mtu, checksum: whole, tso4: whole, tso6: whole };
    let (to_right, from_left) = bounded(queue.max(1));
    let (to_left, from_right) = bounded(queue.max(1));
    let left = Pipe { capabilities, sender: to_right, receiver: from_right };
    let right = Pipe { capabilities, sender: to_left, receiver: from_left };
    (left, right)
}

impl Pipe {
    /// Bytes of the longest packet that `transmit` becomes on the wire.
    fn wire_length(&self, transmit: &Transmit) -> usize {
        match transmit.gso_size {
            0 => transmit.len(),
            size if self.capabilities.tso4 => {
                transmit.len().min(transmit.head.len().saturating_add(size.into()))
            }
            _ => transmit.len(),
        }
    }
}

impl Device for Pipe {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn recv(&mut self, _now: Instant, _page: &mut BytesMut) -> Result<Option<Frame>, DeviceError> {
        match self.receiver.try_recv() {
            Ok(frame) => Ok(Some(frame)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(gone()),
        }
    }

    fn send(&mut self, _now: Instant, transmit: &Transmit) -> Result<Sent, DeviceError> {
        if self.wire_length(transmit) > usize::from(self.capabilities.mtu) {
            return Err(DeviceError::Refused(Errno::EMSGSIZE));
        }
        if self.sender.is_full() {
            return Ok(Sent::WouldBlock);
        }
        let frame = if self.capabilities.checksum {
            to_frame(transmit)
        } else {
            let mut whole = transmit.clone();
            complete(&mut whole);
            Frame { meta: super::FrameMeta::default(), ..to_frame(&whole) }
        };
        match self.sender.try_send(frame) {
            Ok(()) => Ok(Sent::Taken),
            Err(TrySendError::Full(_)) => Ok(Sent::WouldBlock),
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }
}

fn gone() -> DeviceError {
    DeviceError::Gone(Error::new(Errno::ENODEV, "the other end of the pipe is closed"))
}
