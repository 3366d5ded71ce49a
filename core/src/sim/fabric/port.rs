//! The device of a host on a fabric.

use crate::error::{Errno, Error};
use crate::link::segment::to_frame;
use crate::link::{Capabilities, Device, DeviceError, Frame, Sent, Transmit};
use crate::time::Instant;
use bytes::BytesMut;
use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

/// What a host sends, with its number, and what comes for it. Super-frames and checksums that nobody has computed pass as they are: a link with faults cuts and
/// completes them.
#[derive(Debug)]
pub struct Port {
    node: usize,
    mtu: u16,
    out: Sender<(usize, Frame)>,
    received: Receiver<Frame>,
}

impl Port {
    /// The port of a node, and how it is sent to.
    pub(super) fn new(node: usize, mtu: u16, out: Sender<(usize, Frame)>) -> (Self, Sender<Frame>) {
        let (sender, received) = unbounded();
        (Self { node, mtu, out, received }, sender)
    }

    /// Whether a packet, or each that a super-frame is cut into, is no longer than the MTU.
    fn fits(&self, transmit: &Transmit) -> bool {
        let longest = match transmit.gso_size {
            0 => transmit.len(),
            size => transmit.len().min(transmit.head.len().saturating_add(size.into())),
        };
        longest <= usize::from(self.mtu)
    }
}

impl Device for Port {
    fn capabilities(&self) -> Capabilities {
        Capabilities { mtu: self.mtu, checksum: true, tso4: true, tso6: true, queue: None }
    }

    fn recv(&mut self, _now: Instant, _page: &mut BytesMut) -> Result<Option<Frame>, DeviceError> {
        match self.received.try_recv() {
            Ok(frame) => Ok(Some(frame)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(gone()),
        }
    }

    fn send(&mut self, _now: Instant, transmit: &Transmit) -> Result<Sent, DeviceError> {
        if !self.fits(transmit) {
            return Err(DeviceError::Refused(Errno::EMSGSIZE));
        }
        self.out.send((self.node, to_frame(transmit))).map_err(|_| gone())?;
        Ok(Sent::Taken)
    }
}

fn gone() -> DeviceError {
    DeviceError::Gone(Error::new(Errno::ENODEV, "the simulated network is gone"))
}
