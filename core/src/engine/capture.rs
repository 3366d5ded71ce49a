//! Packets on their way to a capture file.

use crate::link::{Frame, Transmit, pcap};
use crate::time::Instant;

/// Encodes what passes the device while the Turn is held; whoever lets go of it writes the bytes.
#[derive(Debug)]
pub(crate) struct Capture {
    /// To be written.
    bytes: Vec<u8>,
    /// What is kept until something happens; `None`: everything is written.
    ring: Option<Ring>,
    /// What the stack's clock lacks to nanoseconds since 1970, modulo 2^64.
    epoch: u64,
}

/// The last packets, whole: those of a half that fills and those of the half that was full before.
#[derive(Debug, Default)]
struct Ring {
    half: usize,
    recent: Vec<u8>,
    before: Vec<u8>,
}

impl Ring {
    /// Where the next packet goes.
    fn place(&mut self) -> &mut Vec<u8> {
        if self.recent.len() >= self.half {
            std::mem::swap(&mut self.recent, &mut self.before);
            self.recent.clear();
        }
        &mut self.recent
    }
}

impl Capture {
    /// A capture that keeps the last `ring` bytes and the half of it at least, and writes them when it is told to; 0: that writes everything. `epoch` is
    /// what its clock lacks to nanoseconds since 1970.
    pub(crate) fn new(ring: usize, epoch: u64) -> Self {
        let ring = (ring > 0).then(|| Ring { half: ring / 2, ..Ring::default() });
        Self { bytes: Vec::new(), ring, epoch }
    }

    /// What the file begins with, of packets of the device called `name`.
    pub(crate) fn header(name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        pcap::begin(&mut bytes, name);
        bytes
    }

    pub(crate) fn received(&mut self, now: Instant, frame: &Frame) {
        let time = self.epoch.wrapping_add(now.as_nanos());
        pcap::received(self.place(), time, frame);
    }

    pub(crate) fn sent(&mut self, now: Instant, transmit: &Transmit) {
        let time = self.epoch.wrapping_add(now.as_nanos());
        pcap::sent(self.place(), time, transmit);
    }

    fn place(&mut self) -> &mut Vec<u8> {
        self.ring.as_mut().map_or(&mut self.bytes, Ring::place)
    }

    /// Whether it keeps packets until it is told to write them.
    pub(crate) const fn keeps(&self) -> bool {
        self.ring.is_some()
    }

    /// What is kept is to be written, and is kept no longer.
    pub(crate) fn let_out(&mut self) {
        if let Some(Ring { recent, before, .. }) = &mut self.ring {
            self.bytes.append(before);
            self.bytes.append(recent);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Exchanges what was encoded for an empty buffer.
    pub(crate) fn swap(&mut self, empty: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, empty);
    }
}
