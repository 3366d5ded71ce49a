//! One way of a link, and what was done to its packets.

use crate::error::Error;
use crate::link::Frame;
use crate::link::impair::{Impairment, Path};
use crate::link::segment::from_frame;
use crate::rng::Rng;
use crate::time::Instant;

/// One way of a link.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) path: Path,
    /// Nothing gets through.
    pub(super) cut: bool,
    /// When the next packet arrives, as far as the fabric knows.
    pub(super) arrival: Option<Instant>,
    /// Packets that passed while nothing happened to any.
    clear: u64,
    vanished: u64,
    bytes: u64,
}

/// What was done to the packets of one way of a link; a super-frame counts as the packets it stands for.
///
/// `packets + duplicated + fragments` went in or were made; all of them are in `delivered`, `lost`, `burst_lost`, `dropped`, `policed`, `too_big`,
/// `overflowed`, `cut`, or still under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Packets that went in, those that the link was cut for as well.
    pub packets: u64,
    /// Packets that came out.
    pub delivered: u64,
    /// Bytes of those, IP headers counted.
    pub bytes: u64,
    /// Packets that vanished because the link was cut.
    pub cut: u64,
    /// Packets lost at random, outside of bursts.
    pub lost: u64,
    /// Packets lost in bursts.
    pub burst_lost: u64,
    /// Packets that found the queue full.
    pub dropped: u64,
    /// Packets that were marked because others waited before them.
    pub marked: u64,
    /// Packets that found the policer's bucket empty.
    pub policed: u64,
    /// Packets that the MTU stopped.
    pub too_big: u64,
    /// Of those, packets whose source was told.
    pub told: u64,
    /// Pieces that packets were cut into because of the MTU, beside the first of each.
    pub fragments: u64,
    /// Packets that found the memory for packets under way used up.
    pub overflowed: u64,
    /// Packets that were doubled.
    pub duplicated: u64,
    /// Packets held back.
    pub reordered: u64,
    /// Packets with a flipped bit.
    pub corrupted: u64,
}

impl LinkCounters {
    /// Each by its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Self {
            packets,
            delivered,
            bytes,
            cut,
            lost,
            burst_lost,
            dropped,
            marked,
            policed,
            too_big,
            told,
            fragments,
            overflowed,
            duplicated,
            reordered,
            corrupted,
        } = *self;
        [
            ("packets", packets),
            ("delivered", delivered),
            ("bytes", bytes),
            ("cut", cut),
            ("lost", lost),
            ("burst_lost", burst_lost),
            ("dropped", dropped),
            ("marked", marked),
            ("policed", policed),
            ("too_big", too_big),
            ("told", told),
            ("fragments", fragments),
            ("overflowed", overflowed),
            ("duplicated", duplicated),
            ("reordered", reordered),
            ("corrupted", corrupted),
        ]
        .into_iter()
    }
}

impl Way {
    pub(super) fn new(from: usize, to: usize, settings: Impairment, rng: Rng) -> Result<Self, Error> {
        let path = Path::new(settings, rng)?;
        Ok(Self { from, to, path, cut: false, arrival: None, clear: 0, vanished: 0, bytes: 0 })
    }

    /// Whether nothing happens to packets, and none is to be overtaken.
    pub(super) fn is_clear(&self) -> bool {
        *self.path.settings() == Impairment::default() && self.path.under_way() == 0
    }

    /// Whether a packet gets in; one that does not is counted.
    pub(super) fn lets_in(&mut self, frame: &Frame) -> bool {
        if self.cut {
            self.vanished += packets(frame);
            self.clear += packets(frame);
        }
        !self.cut
    }

    /// The same of one that has come through.
    pub(super) const fn lets_out(&mut self, length: usize) -> bool {
        if self.cut {
            self.vanished += 1;
        } else {
            self.bytes += length as u64;
        }
        !self.cut
    }

    /// Counts a packet that nothing happened to.
    pub(super) fn count_clear(&mut self, frame: &Frame) {
        self.clear += packets(frame);
        self.bytes += wire_bytes(frame);
    }

    pub(super) fn counters(&self) -> LinkCounters {
        let seen = self.path.statistics();
        let packets = seen.packets + self.clear;
        LinkCounters {
            packets,
            delivered: seen.delivered + self.clear - self.vanished,
            bytes: self.bytes,
            cut: self.vanished,
            lost: seen.lost,
            burst_lost: seen.burst_lost,
            dropped: seen.dropped,
            marked: seen.marked,
            policed: seen.policed,
            too_big: seen.too_big,
            told: seen.told,
            fragments: seen.fragments,
            overflowed: seen.overflowed,
            duplicated: seen.duplicated,
            reordered: seen.reordered,
            corrupted: seen.corrupted,
        }
    }
}

/// Bytes of headers and payload of a super-frame; `None`: it is a single packet.
fn parts(frame: &Frame) -> Option<(usize, usize)> {
    if frame.meta.gso_size == 0 {
        return None;
    }
    let transmit = from_frame(frame);
    Some((transmit.head.len(), transmit.len() - transmit.head.len()))
}

/// Packets that a frame stands for.
fn packets(frame: &Frame) -> u64 {
    let size = usize::from(frame.meta.gso_size);
    parts(frame).map_or(1, |(_, payload)| payload.div_ceil(size.max(1)).max(1)) as u64
}

/// Bytes that they have on the wire.
fn wire_bytes(frame: &Frame) -> u64 {
    let more = parts(frame).map_or(0, |(head, _)| (packets(frame) - 1) * head as u64);
    frame.bytes.len() as u64 + more
}
