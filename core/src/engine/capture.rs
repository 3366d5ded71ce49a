//! Packets on their way to a capture file.

use crate::clock;
use crate::link::{Frame, Transmit, pcap};
use crate::time::Instant;

/// Encodes what passes the device while the Turn is held; whoever lets go of it writes the bytes.
#[derive(Debug)]
pub(crate) struct Capture {
    bytes: Vec<u8>,
    /// What the stack's clock lacks to nanoseconds since 1970.
    epoch: u64,
}

impl Capture {
    /// A capture of the device called `name`, begun.
    pub(crate) fn new(name: &str) -> Self {
        let mut bytes = Vec::new();
        pcap::begin(&mut bytes, name);
        Self { bytes, epoch: clock::epoch() }
    }

    /// What a file begins with that several go on in.
    pub(crate) fn header(name: &str) -> Vec<u8> {
        Self::new(name).bytes
    }

    /// One that goes on in a file that another has begun.
    pub(crate) fn more() -> Self {
        Self { bytes: Vec::new(), epoch: clock::epoch() }
    }

    pub(crate) fn received(&mut self, now: Instant, frame: &Frame) {
        pcap::received(&mut self.bytes, self.epoch.saturating_add(now.as_nanos()), frame);
    }

    pub(crate) fn sent(&mut self, now: Instant, transmit: &Transmit) {
        pcap::sent(&mut self.bytes, self.epoch.saturating_add(now.as_nanos()), transmit);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Exchanges what was encoded for an empty buffer.
    pub(crate) fn swap(&mut self, empty: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, empty);
    }
}
