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
    let capabilities = Capabilities { mtu, checksum: whole, tso4: whole, tso6: whole, queue: None };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{ReceivedChecksum, SentChecksum};
    use bytes::Bytes;
    use smallvec::smallvec;

    fn transmit(length: usize, gso_size: u16) -> Transmit {
        let mut head = arrayvec::ArrayVec::new();
        head.extend([0x45; 40]);
        let payload = smallvec![Bytes::from(vec![1; length - 40])];
        let checksum = match gso_size {
            0 => SentChecksum::Complete,
            _ => SentChecksum::Partial { start: 20, offset: 16 },
        };
        Transmit { head, payload, gso_size, checksum }
    }

    fn recv(pipe: &mut Pipe) -> Result<Option<Frame>, DeviceError> {
        pipe.recv(Instant::ZERO, &mut BytesMut::new())
    }

    #[test]
    fn what_one_end_sends_the_other_receives_in_order() {
        let (mut left, mut right) = pipe(1500, 8, Offload::Off);
        assert_eq!(recv(&mut right).unwrap().map(|frame| frame.bytes), None);
        for length in [60, 70, 80] {
            assert_eq!(left.send(Instant::ZERO, &transmit(length, 0)), Ok(Sent::Taken));
            assert_eq!(right.send(Instant::ZERO, &transmit(length + 1, 0)), Ok(Sent::Taken));
        }
        for length in [60, 70, 80] {
            assert_eq!(recv(&mut right).unwrap().unwrap().bytes.len(), length);
            assert_eq!(recv(&mut left).unwrap().unwrap().bytes.len(), length + 1);
        }
        assert!(recv(&mut left).unwrap().is_none());
    }

    #[test]
    fn a_full_queue_blocks_and_takes_nothing() {
        let (mut left, mut right) = pipe(1500, 2, Offload::Off);
        assert_eq!(left.send(Instant::ZERO, &transmit(60, 0)), Ok(Sent::Taken));
        assert_eq!(left.send(Instant::ZERO, &transmit(61, 0)), Ok(Sent::Taken));
        assert_eq!(left.send(Instant::ZERO, &transmit(62, 0)), Ok(Sent::WouldBlock));
        assert_eq!(recv(&mut right).unwrap().unwrap().bytes.len(), 60);
        assert_eq!(left.send(Instant::ZERO, &transmit(62, 0)), Ok(Sent::Taken));
        assert_eq!(recv(&mut right).unwrap().unwrap().bytes.len(), 61);
        assert_eq!(recv(&mut right).unwrap().unwrap().bytes.len(), 62);
    }

    #[test]
    fn the_mtu_holds() {
        let refused = Err(DeviceError::Refused(Errno::EMSGSIZE));
        let (mut plain, _other) = pipe(1500, 8, Offload::Off);
        assert_eq!(plain.send(Instant::ZERO, &transmit(1500, 0)), Ok(Sent::Taken));
        assert_eq!(plain.send(Instant::ZERO, &transmit(1501, 0)), refused);
        assert_eq!(plain.send(Instant::ZERO, &transmit(3000, 1000)), refused, "no super-frames");
        let (mut whole, mut other) = pipe(1500, 8, Offload::On);
        assert_eq!(whole.send(Instant::ZERO, &transmit(9000, 1461)), refused);
        assert_eq!(whole.send(Instant::ZERO, &transmit(9000, 1460)), Ok(Sent::Taken));
        let meta = recv(&mut other).unwrap().unwrap().meta;
        assert_eq!((meta.checksum, meta.gso_size), (ReceivedChecksum::Valid, 1460));
    }

    #[test]
    fn a_closed_end_is_gone_after_its_last_frame() {
        let (mut left, mut right) = pipe(1500, 8, Offload::Off);
        left.send(Instant::ZERO, &transmit(60, 0)).unwrap();
        drop(left);
        assert!(recv(&mut right).unwrap().is_some());
        assert!(matches!(recv(&mut right), Err(DeviceError::Gone(_))));
        assert!(matches!(right.send(Instant::ZERO, &transmit(60, 0)), Err(DeviceError::Gone(_))));
    }
}
