//! Faults put between a stack and its link, from a seed.

mod path;

use super::segment::{from_frame, segment};
use super::{Capabilities, Device, DeviceError, Frame, FrameMeta, Sent, SentChecksum, Transmit};
use crate::error::{Errno, Error};
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use bytes::{Bytes, BytesMut};
use path::{Packet, Path};
use smallvec::SmallVec;
use std::collections::VecDeque;

/// Most frames taken from the link in one call, so that a sender who never rests cannot keep the caller.
const FRAMES_PER_CALL: usize = 1024;

/// When a packet that the link would not take is offered again.
const RETRY: Duration = Duration::from_millis(1);

/// What happens to packets, each direction by itself with the same settings.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Impairment {
    /// Bits a second; 0: no limit.
    pub rate: u64,
    /// One-way delay.
    pub delay: Duration,
    /// Added to the delay, uniformly random from zero to this; order is kept.
    pub jitter: Duration,
    /// Probability that a packet is lost, 0.0 to 1.0.
    pub loss: f64,
    /// Probability that a packet comes twice.
    pub duplicate: f64,
    /// Probability that a packet is held back by `reorder_delay`, and so overtaken.
    pub reorder: f64,
    /// How long an overtaken packet is held back.
    pub reorder_delay: Duration,
    /// Probability that one bit of a packet is flipped.
    pub corrupt: f64,
    /// Packets that may wait for the link while `rate` keeps it busy, beside the one it sends; 0: 1000. More are dropped.
    pub queue: usize,
}

impl Impairment {
    /// Refuses settings that make no sense, naming the field and its range.
    pub fn validate(&self) -> Result<(), Error> {
        let probabilities = [
            ("loss", self.loss),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("corrupt", self.corrupt),
        ];
        for (name, value) in probabilities {
            if !(0.0..=1.0).contains(&value) {
                let text = format!("{name} {value} is not a probability: write a number from 0 to 1");
                return Err(Error::new(Errno::EINVAL, text));
            }
        }
        if self.reorder > 0.0 && self.reorder_delay.is_zero() {
            let text = "reorder needs a reorder_delay above zero, or nothing is overtaken";
            return Err(Error::new(Errno::EINVAL, text));
        }
        Ok(())
    }
}

/// What was done to the packets of one direction; a super-frame counts as the packets it is cut into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets that came in.
    pub packets: u64,
    /// Packets that came out, duplicates counted.
    pub delivered: u64,
    /// Packets lost on purpose.
    pub lost: u64,
    /// Packets that found the queue full.
    pub dropped: u64,
    /// Packets that were doubled.
    pub duplicated: u64,
    /// Packets held back.
    pub reordered: u64,
    /// Packets with a flipped bit.
    pub corrupted: u64,
    /// Packets that the link behind refused.
    pub refused: u64,
}

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
    /// Puts `impairment` in front of `inner`; EINVAL with a sentence for settings that make no sense.
    pub fn new(inner: Box<dyn Device>, impairment: Impairment, seed: u64) -> Result<Self, Error> {
        impairment.validate()?;
        let rng = Rng::from_seed(seed);
        Ok(Self {
            inner,
            outgoing: Path::new(impairment, rng.fork("outgoing")),
            incoming: Path::new(impairment, rng.fork("incoming")),
            kept: None,
            more: false,
            cut: VecDeque::new(),
        })
    }

    /// What was done to packets sent.
    #[must_use]
    pub const fn outgoing(&self) -> &Statistics {
        &self.outgoing.statistics
    }

    /// What was done to packets received.
    #[must_use]
    pub const fn incoming(&self) -> &Statistics {
        &self.incoming.statistics
    }

    /// Hands the inner device what has arrived at its side.
    fn flush(&mut self, now: Instant) -> Result<(), DeviceError> {
        loop {
            let kept = self.kept.take().map(|(_, transmit)| transmit);
            let Some(transmit) = kept.or_else(|| self.outgoing.due(now).map(into_transmit)) else {
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
            cut.drain(..).for_each(|transmit| self.incoming.offer(now, into_packet(&transmit)));
            self.cut = cut;
        }
        Ok(())
    }
}

impl Device for Impaired {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(self.inner.capabilities().mtu)
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
        cut.drain(..).for_each(|transmit| self.outgoing.offer(now, into_packet(&transmit)));
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
}

impl std::fmt::Debug for Impaired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Impaired")
            .field("outgoing", &self.outgoing.statistics)
            .field("incoming", &self.incoming.statistics)
            .finish_non_exhaustive()
    }
}

fn into_packet(transmit: &Transmit) -> Packet {
    let mut bytes = Vec::with_capacity(transmit.len());
    bytes.extend_from_slice(&transmit.head);
    transmit.payload.iter().for_each(|slice| bytes.extend_from_slice(slice));
    Packet { bytes, head: transmit.head.len() }
}

fn into_transmit(packet: Packet) -> Transmit {
    let mut payload = SmallVec::new();
    let mut bytes = Bytes::from(packet.bytes);
    let head = bytes.split_to(packet.head.min(bytes.len()));
    if !bytes.is_empty() {
        payload.push(bytes);
    }
    let head = head.iter().copied().take(super::HEAD_MAX).collect();
    Transmit { head, payload, gso_size: 0, checksum: SentChecksum::Complete }
}

#[cfg(test)]
mod tests;
