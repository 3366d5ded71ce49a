//! Consecutive packets of one TCP connection merged into a super-frame, where the link does not do so: receive offload in software.
//!
//! Merged is what a sender's offload has cut: equal headers but for numbers and checksums, one behind the other, all of the first one's size but for the
//! last, which may be shorter or have PSH. So what comes out could be cut into the very packets that went in.
//!
//! Of acknowledgements that carry nothing else the last stands for those before it, if it acknowledges more than they and its options are the same: all of
//! them would be heard before anything is sent. One that repeats a number tells something, and stays.

use super::segment::Layout;
use super::{Frame, FrameMeta, ReceivedChecksum};
use crate::wire::tcp::Flags;
use crate::wire::{checksum, ipv4, ipv6, protocol, tcp};
use arrayvec::ArrayVec;
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// Bytes of the largest IP packet.
pub const SUPER_FRAME_MAX: usize = 65_535;

/// Merges what is pushed, and gives back in order whatever cannot be merged any further. What it holds is to be taken before time passes.
#[derive(Debug, Default)]
pub struct Coalescer {
    train: Option<Train>,
    /// What is merged, at its end.
    page: BytesMut,
}

/// Packets that the next may be merged with.
#[derive(Debug)]
struct Train {
    /// The first of them.
    first: Frame,
    head: Head,
    /// The sequence number that the next begins with.
    next: u32,
    /// How many there are; from the second on they lie in the page.
    packets: usize,
}

/// What decides whether a packet goes with another.
#[derive(Clone, Copy, Debug)]
struct Head {
    layout: Layout,
    /// Where the payload begins.
    payload_at: usize,
    payload: usize,
    seq: u32,
    ack: u32,
    window: u16,
    push: bool,
}

impl Coalescer {
    /// Whether there is no room for what is to be merged next, so that a page is wanted.
    #[must_use]
    pub fn wants_page(&self) -> bool {
        let alone = self.train.as_ref().is_some_and(|train| train.packets == 1 && train.head.payload > 0);
        alone && self.page.capacity() - self.page.len() < SUPER_FRAME_MAX
    }

    /// Merges into `page` from now on, which has room for a super-frame; returns the last one.
    pub fn replace_page(&mut self, page: BytesMut) -> BytesMut {
        std::mem::replace(&mut self.page, page)
    }

    /// The next packet from the link; what goes to the stack now, in order.
    pub fn push(&mut self, frame: Frame) -> ArrayVec<Frame, 2> {
        let mut out = ArrayVec::new();
        let head = Head::of(&frame);
        if let (Some(train), Some(head)) = (&mut self.train, &head) {
            if train.is_overtaken(&frame, head) {
                (train.first, train.head) = (frame, *head);
                return out;
            }
            if train.merge(&frame, head, &mut self.page) {
                if head.push || head.payload < train.head.payload {
                    out.extend(self.take());
                }
                return out;
            }
        }
        out.extend(self.take());
        match head.filter(|head| !head.push) {
            Some(head) => self.train = Some(Train::of(frame, head)),
            None => out.push(frame),
        }
        out
    }

    /// What waits for another packet.
    pub fn take(&mut self) -> Option<Frame> {
        let train = self.train.take()?;
        if train.packets == 1 {
            return Some(train.first);
        }
        Some(train.whole(self.page.split()))
    }
}

impl Train {
    fn of(first: Frame, head: Head) -> Self {
        Self { first, head, next: head.seq.wrapping_add(head.payload as u32), packets: 1 }
    }

    /// Whether this is an acknowledgement, and `frame` one of more.
    fn is_overtaken(&self, frame: &Frame, head: &Head) -> bool {
        self.head.payload == 0
            && head.payload == 0
            && head.seq == self.head.seq
            && head.ack.wrapping_sub(self.head.ack).wrapping_sub(1) < 1 << 31
            && head.payload_at - head.layout.start <= tcp::HEADER + STAMPS
            && self.head.is_like(&self.first.bytes, head, &frame.bytes)
            && self.head.layout.is_sound(&self.first.bytes)
            && head.layout.is_sound(&frame.bytes)
    }

    /// Takes the payload of `frame` if it goes on where the last has ended.
    fn merge(&mut self, frame: &Frame, head: &Head, page: &mut BytesMut) -> bool {
        let first = self.first.bytes.len();
        let merged = if self.packets == 1 { first } else { page.len() };
        let wanted = if self.packets == 1 { first + head.payload } else { head.payload };
        let fits = merged + head.payload <= SUPER_FRAME_MAX && wanted <= page.capacity() - page.len();
        if !fits
            || head.payload == 0
            || head.payload > self.head.payload
            || head.seq != self.next
            || (head.ack, head.window) != (self.head.ack, self.head.window)
            || !self.head.is_like(&self.first.bytes, head, &frame.bytes)
            || (self.packets == 1 && !self.head.layout.is_sound(&self.first.bytes))
            || !head.layout.is_sound(&frame.bytes)
        {
            return false;
        }
        if self.packets == 1 {
            page.extend_from_slice(&self.first.bytes);
        }
        page.extend_from_slice(frame.bytes.get(head.payload_at..).unwrap_or_default());
        if head.push
            && let Some(flags) = page.get_mut(head.layout.start + FLAGS)
        {
            *flags |= Flags::PSH.0;
        }
        self.next = self.next.wrapping_add(head.payload as u32);
        self.packets += 1;
        true
    }

    /// The super-frame in `bytes`.
    fn whole(&self, mut bytes: BytesMut) -> Frame {
        let layout = &self.head.layout;
        let length = bytes.len() - layout.start;
        layout.rewrite_ip(&mut bytes, length, 0);
        let gso_size = u16::try_from(self.head.payload).unwrap_or(u16::MAX);
        let meta = FrameMeta { checksum: ReceivedChecksum::Valid, gso_size };
        Frame { bytes: bytes.freeze(), meta }
    }
}

/// Positions in a TCP header.
const SEQ: usize = 4;
const ACK: usize = 8;
const OFFSET: usize = 12;
const FLAGS: usize = 13;
const WINDOW: usize = 14;
const URGENT: usize = 18;

/// Bytes of options that are timestamps and nothing else.
const STAMPS: usize = 12;

impl Head {
    /// `None` where a packet is not merged: it is no whole packet of TCP, without IP options, that carries data or acknowledges, and nothing else.
    fn of(frame: &Frame) -> Option<Self> {
        let bytes: &Bytes = &frame.bytes;
        if frame.meta.gso_size != 0 {
            return None;
        }
        let layout = Layout::of(bytes).filter(|layout| layout.protocol == protocol::TCP)?;
        let two = |at: usize| bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes);
        let plain = match bytes.first()? >> 4 {
            4 => {
                let (fragment, sum) = (two(6)? & 0x3fff, checksum(bytes.get(..ipv4::HEADER)?));
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
        merges.then_some(Self { layout, payload_at, payload, seq, ack, window, push })
    }

    /// Whether `other`, the head of `theirs`, is of the connection that this one of `own` is of, and has the same options.
    fn is_like(&self, own: &[u8], other: &Self, theirs: &[u8]) -> bool {
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

#[cfg(test)]
mod tests;
