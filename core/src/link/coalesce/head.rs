//! What decides whether packets go together: their heads, and what they have in common.

use super::super::segment::Layout;
use crate::link::{FrameMeta, HEAD_MAX, ReceivedChecksum};
use crate::wire::tcp::Flags;
use crate::wire::{Checksum, header_checksum, ipv4, ipv6, protocol, tcp};
use std::ops::Range;

/// What decides whether a packet goes with another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) layout: Layout,
    /// Where the payload begins.
    pub(super) payload_at: usize,
    pub(super) payload: usize,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) window: u16,
    pub(super) push: bool,
}

/// What does not change from one packet of a train to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    /// The bits of a head that are the same.
    pub(super) mask: &'static [u8; HEAD_MAX],
    /// The sums of the IP header without what changes, and of TCP's pseudo-header without the length.
    ip: Checksum,
    pseudo: Checksum,
}

/// Positions in a TCP header.
pub(super) const SEQ: usize = 4;
const ACK: usize = 8;
const OFFSET: usize = 12;
pub(super) const FLAGS: usize = 13;
const WINDOW: usize = 14;
const URGENT: usize = 18;

impl Head {
    /// `None` where a packet is not merged: it is no whole and sound packet of TCP, without IP options, that carries data or acknowledges, and nothing else.
    pub(super) fn of(bytes: &[u8], meta: FrameMeta) -> Option<Self> {
        if meta.gso_size != 0 {
            return None;
        }
        let layout = Layout::of(bytes).filter(|layout| layout.protocol == protocol::TCP)?;
        let two = |at: usize| bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes);
        let plain = match bytes.first()? >> 4 {
            4 => {
                let (fragment, sum) = (two(6)? & 0x3fff, header_checksum(bytes.first_chunk()?));
                let whole = usize::from(two(2)?) == bytes.len();
                layout.start == ipv4::HEADER && fragment == 0 && whole && sum == 0
            }
            _ => usize::from(two(4)?) + ipv6::HEADER == bytes.len(),
        };
        let start = layout.start;
        let header = usize::from(bytes.get(start + OFFSET)? >> 4) * 4;
        let payload_at = start + header;
        let flags = Flags(*bytes.get(start + FLAGS)?);
        let push = flags.has(Flags::PSH);
        let asks = Flags(flags.0 & !Flags::PSH.0) != Flags::ACK;
        let four = |at: usize| bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes);
        let (seq, ack, window) = (four(start + SEQ)?, four(start + ACK)?, two(start + WINDOW)?);
        let payload = bytes.len().checked_sub(payload_at)?;
        let merges = plain && header >= tcp::HEADER && !asks;
        let merges = merges && (meta.checksum == ReceivedChecksum::Valid || layout.is_sound(bytes));
        merges.then_some(Self { layout, payload_at, payload, seq, ack, window, push })
    }

    /// Whether `other`, the head of `theirs`, is of the connection that this one of `own` is of, and has the same options.
    pub(super) fn is_like(&self, own: &[u8], other: &Self, theirs: &[u8]) -> bool {
        let same = |range: Range<usize>| own.get(range.clone()) == theirs.get(range);
        let start = self.layout.start;
        let ip = if start == ipv4::HEADER {
            // All but length, identification and checksum.
            same(0..2) && same(6..10) && same(12..20)
        } else {
            same(0..4) && same(6..ipv6::HEADER)
        };
        start == other.layout.start
            && self.payload_at == other.payload_at
            && ip
            && same(start..start + SEQ)
            && same(start + OFFSET..start + FLAGS)
            && same(start + URGENT..self.payload_at)
    }
}

impl Common {
    /// `own` begins with the first one's head.
    pub(super) fn of(layout: &Layout, own: &[u8]) -> Option<Self> {
        let v4 = layout.start == ipv4::HEADER;
        let mask = if v4 { &ALIKE_V4 } else { &ALIKE_V6 };
        let mut head = *own.first_chunk::<{ ipv4::HEADER }>()?;
        head.iter_mut().zip(mask).for_each(|(byte, mask)| *byte &= mask);
        Some(Self { mask, ip: Checksum::default().chain([&head[..]]), pseudo: layout.pseudo_header() })
    }

    /// Whether two heads are the same but for what changes.
    pub(super) fn are_alike(&self, mine: &[u8], theirs: &[u8]) -> bool {
        let ((mine, rest), (theirs, others)) = (mine.as_chunks::<8>(), theirs.as_chunks::<8>());
        let (masks, last) = self.mask.split_at((8 * mine.len()).min(HEAD_MAX));
        let word = |eight: &[u8; 8]| u64::from_ne_bytes(*eight);
        let pairs = mine.iter().zip(theirs).zip(masks.as_chunks::<8>().0);
        let differing =
            pairs.fold(0, |all, ((mine, theirs), mask)| all | (word(mine) ^ word(theirs)) & word(mask));
        let four = |bytes: &[u8]| bytes.first_chunk().map_or(0, |four| u32::from_ne_bytes(*four));
        // A header is as long as a number of words of four bytes.
        differing == 0 && (four(rest) ^ four(others)) & four(last) == 0
    }

    /// Whether the checksums and the length of `packet` are right, whose other bytes are those of the first.
    pub(super) fn is_sound(&self, layout: &Layout, packet: &[u8], meta: FrameMeta) -> bool {
        let Some((ip, transport)) = packet.split_at_checked(layout.start) else { return false };
        let two = |at: usize| {
            ip.get(at..).and_then(|ip| ip.first_chunk()).map_or(0, |two| u16::from_be_bytes(*two))
        };
        let ip_sound = if layout.start == ipv4::HEADER {
            let changed = self.ip.and16(two(2)).and16(two(4)).and16(two(10));
            usize::from(two(2)) == packet.len() && changed.is_valid()
        } else {
            usize::from(two(4)) == transport.len()
        };
        let summed = meta.checksum == ReceivedChecksum::Valid;
        ip_sound && (summed || self.pseudo.and32(transport.len() as u32).chain([transport]).is_valid())
    }
}

/// The bits in which the heads of a train are alike: all but length, identification and checksums, sequence number and PSH.
static ALIKE_V4: [u8; HEAD_MAX] = alike(ipv4::HEADER, &[2, 3, 4, 5, 10, 11]);
static ALIKE_V6: [u8; HEAD_MAX] = alike(ipv6::HEADER, &[4, 5]);

/// `start`: of the TCP header. `changing`: positions in the IP header.
const fn alike(start: usize, changing: &[usize]) -> [u8; HEAD_MAX] {
    let mut mask = [0xff; HEAD_MAX];
    let mut at = 0;
    while at < changing.len() {
        mask[changing[at]] = 0;
        at += 1;
    }
    at = 0;
    while at < 4 {
        mask[start + SEQ + at] = 0;
        at += 1;
    }
    mask[start + FLAGS] = !Flags::PSH.0;
    mask[start + tcp::CHECKSUM_OFFSET] = 0;
    mask[start + tcp::CHECKSUM_OFFSET + 1] = 0;
    mask
}
