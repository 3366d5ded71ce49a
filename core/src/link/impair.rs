//! Faults put between a stack and its link, from a seed.

mod mark;
mod mtu;
mod path;
mod report;
mod settings;

use super::segment::{from_frame, segment};
use super::{Capabilities, Device, DeviceError, Frame, FrameMeta, Sent, Transmit};
use crate::error::Error;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use bytes::BytesMut;
pub use path::{Packet, Path};
pub use report::no_route;
pub use settings::{Impairment, Statistics};
use std::collections::VecDeque;

/// Most frames taken from the link in one call, so that a sender who never rests cannot keep the caller.
const FRAMES_PER_CALL: usize = 1024;

/// When a packet that the link would not take is offered again.
const RETRY: Duration = Duration::from_millis(1);

/// A device behind a link with faults. Deterministic: the same settings, seed, packets and times give the same faults.
///
/// Packets are copied out of the pages they came in and have wire size: what waits here pins nothing else.
pub struct Impaired {
    inner: Box<dyn Device>,
    outgoing: Path,
    incoming: Path,
    /// A packet that the inner device would not take, and when to offer it again.
    kept: Option<(Instant, Transmit)>,
    /// The last call left frames in the inner device.
    more: bool,
    cut: VecDeque<Transmit>,
}

impl Impaired {
    /// Puts `impairment` in front of `inner`, both ways alike; EINVAL with a sentence for settings that make no sense.
    pub fn new(inner: Box<dyn Device>, impairment: Impairment, seed: u64) -> Result<Self, Error> {
        Self::asymmetric(inner, impairment, impairment, seed)
    }

    /// [`Impaired::new`] with settings of its own for each way.
    pub fn asymmetric(
        inner: Box<dyn Device>,
        outgoing: Impairment,
        incoming: Impairment,
        seed: u64,
    ) -> Result<Self, Error> {
        let rng = Rng::from_seed(seed);
        Ok(Self {
            inner,
            outgoing: Path::new(outgoing, rng.fork("outgoing"))?,
            incoming: Path::new(incoming, rng.fork("incoming"))?,
            kept: None,
            more: false,
            cut: VecDeque::new(),
        })
    }

    /// What was done to packets sent.
    #[must_use]
    pub const fn outgoing(&self) -> &Statistics {
        self.outgoing.statistics()
    }

    /// What was done to packets received.
    #[must_use]
    pub const fn incoming(&self) -> &Statistics {
        self.incoming.statistics()
    }

    /// Both ways, outgoing and incoming, to change their settings.
    pub const fn paths(&mut self) -> (&mut Path, &mut Path) {
        (&mut self.outgoing, &mut self.incoming)
    }

    /// Hands the inner device what has arrived at its side.
    fn flush(&mut self, now: Instant) -> Result<(), DeviceError> {
        loop {
            let kept = self.kept.take().map(|(_, transmit)| transmit);
            let Some(transmit) = kept.or_else(|| self.outgoing.due(now).map(Transmit::from)) else {
                return Ok(());
            };
            match self.inner.send(now, &transmit) {
                Ok(Sent::Taken) => {}
                Ok(Sent::WouldBlock) => {
                    self.kept = Some((now + RETRY, transmit));
                    return Ok(());
                }
                Err(DeviceError::Refused(_)) => self.outgoing.statistics.refused += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes in what the inner device has received.
    fn fill(&mut self, now: Instant, page: &mut BytesMut) -> Result<(), DeviceError> {
        self.more = true;
        for _ in 0..FRAMES_PER_CALL {
            let spare = self.inner.spare();
            if page.capacity() - page.len() < spare && !page.try_reclaim(spare) {
                return Ok(());
            }
            let Some(frame) = self.inner.recv(now, page)? else {
                self.more = false;
                return Ok(());
            };
            let mut cut = std::mem::take(&mut self.cut);
            segment(&from_frame(&frame), &mut cut);
            for transmit in cut.drain(..) {
                carry(now, Packet::from(&transmit), &mut self.incoming, &mut self.outgoing);
            }
            self.cut = cut;
        }
        Ok(())
    }
}

impl Device for Impaired {
    fn capabilities(&self) -> Capabilities {
        let Capabilities { mtu, queue, .. } = self.inner.capabilities();
        Capabilities { queue, ..Capabilities::plain(mtu) }
    }

    fn recv(&mut self, now: Instant, page: &mut BytesMut) -> Result<Option<Frame>, DeviceError> {
        self.flush(now)?;
        self.fill(now, page)?;
        let packet = self.incoming.due(now);
        Ok(packet.map(|packet| Frame { bytes: packet.bytes.into(), meta: FrameMeta::default() }))
    }

    fn send(&mut self, now: Instant, transmit: &Transmit) -> Result<Sent, DeviceError> {
        let mut cut = std::mem::take(&mut self.cut);
        segment(transmit, &mut cut);
        for transmit in cut.drain(..) {
            carry(now, Packet::from(&transmit), &mut self.outgoing, &mut self.incoming);
        }
        self.cut = cut;
        self.flush(now)?;
        Ok(Sent::Taken)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let outgoing = match &self.kept {
            Some((retry, _)) => Some(*retry),
            None => self.outgoing.next(),
        };
        let more = self.more.then_some(Instant::ZERO);
        [outgoing, self.incoming.next(), self.inner.poll_timeout(), more].into_iter().flatten().min()
    }

    fn spare(&self) -> usize {
        self.inner.spare()
    }

    fn descriptor(&self) -> Option<i32> {
        self.inner.descriptor()
    }

    fn impair(&mut self, outgoing: Impairment, incoming: Impairment) -> Result<(), Error> {
        outgoing.validate()?;
        incoming.validate()?;
        self.outgoing.change(outgoing)?;
        self.incoming.change(incoming)
    }
}

impl std::fmt::Debug for Impaired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Impaired")
            .field("outgoing", self.outgoing())
            .field("incoming", self.incoming())
            .finish_non_exhaustive()
    }
}

/// Offers a packet to the way it takes, and what its source is to be told to the way back.
fn carry(now: Instant, packet: Packet, there: &mut Path, back: &mut Path) {
    if let Some(report) = there.offer(now, packet) {
        back.offer(now, report);
    }
}

#[cfg(test)]
mod tests;
