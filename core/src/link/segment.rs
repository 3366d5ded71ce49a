//! Super-frames cut into the packets of the wire, frames and transmits turned into one another.

use super::{Frame, FrameMeta, HEAD_MAX, ReceivedChecksum, SentChecksum, Transmit};
use crate::wire::tcp::Flags;
use crate::wire::{Checksum, checksum, ipv4, ipv6, protocol, tcp, udp};
use arrayvec::ArrayVec;
use bytes::{Bytes, BytesMut};
use smallvec::{SmallVec, smallvec};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Cuts a super-frame into the packets that a link without segmentation takes. A single packet passes with its checksum completed.
pub fn segment(transmit: &Transmit, out: &mut VecDeque<Transmit>) {
    if let Some(cutter) = Cutter::new(transmit) {
        return out.extend(cutter);
    }
    let mut single = Transmit { gso_size: 0, ..transmit.clone() };
    complete(&mut single);
    out.push_back(single);
}

/// Cuts a super-frame as the kernel's TSO does: sequence number, length, identification, FIN and PSH on the last only, CWR on the first only, checksums
/// complete. Payload is shared, not copied.
#[derive(Debug)]
pub struct Cutter {
    layout: Layout,
    /// What all heads have in common, with zeroes where they differ.
    head: ArrayVec<u8, HEAD_MAX>,
    /// The checksums of that, as far as they go.
    ip: Checksum,
    tcp: Checksum,
    /// What the next one has there.
    identification: u16,
    seq: u32,
    flags: u8,
    first: bool,
    /// What is left to be cut into pieces of `size` bytes, the first `done` slices being empty.
    payload: SmallVec<[Bytes; 4]>,
    done: usize,
    left: usize,
    size: usize,
}

impl Cutter {
    /// `None` for what is no super-frame of TCP.
    #[must_use]
    pub fn new(transmit: &Transmit) -> Option<Self> {
        let Transmit { mut head, payload, .. } = transmit.clone();
        let size = usize::from(transmit.gso_size);
        let left: usize = payload.iter().map(Bytes::len).sum();
        let layout = Layout::of(&head).filter(|layout| layout.protocol == protocol::TCP)?;
        if size == 0 || left <= size {
            return None;
        }
        let start = layout.start;
        let identification = array(&head, 4).map_or(0, u16::from_be_bytes);
        let seq = array(&head, start + SEQ).map_or(0, u32::from_be_bytes);
        let flags = head.get(start + FLAGS).copied().unwrap_or_default();
        if layout.source.is_ipv4() {
            put(&mut head, 2, [0; 4]);
            put(&mut head, IP_CHECKSUM, [0; 2]);
        }
        put(&mut head, start + SEQ, [0; 4]);
        put(&mut head, start + FLAGS, [0]);
        put(&mut head, start + tcp::CHECKSUM_OFFSET, [0; 2]);
        let (front, transport) = head.split_at(start);
        let ip = Checksum::default().chain([front]);
        let tcp = layout.pseudo_header().chain([transport]);
        Some(Self {
            layout,
            head,
            ip,
            tcp,
            identification,
            seq,
            flags,
            first: true,
            payload,
            done: 0,
            left,
            size,
        })
    }

    /// Puts the next `length` bytes into `out`.
    fn take(&mut self, mut length: usize, out: &mut SmallVec<[Bytes; 4]>) {
        while length > 0
            && let Some(slice) = self.payload.get_mut(self.done)
        {
            let piece = slice.split_to(length.min(slice.len()));
            self.done += usize::from(slice.is_empty());
            length -= piece.len();
            if !piece.is_empty() {
                out.push(piece);
            }
        }
    }

    /// Puts the next packet into `out`; false: there is none.
    pub fn cut(&mut self, out: &mut Transmit) -> bool {
        if self.left == 0 {
            return false;
        }
        let length = self.size.min(self.left);
        let Transmit { head, payload, gso_size, checksum } = out;
        payload.clear();
        self.take(length, payload);
        self.left -= length;
        let not_first = if self.first { 0 } else { Flags::CWR.0 };
        let not_last = if self.left == 0 { 0 } else { Flags::FIN.0 | Flags::PSH.0 };
        let flags = self.flags & !(not_first | not_last);
        let start = self.layout.start;
        head.clear();
        let _ = head.try_extend_from_slice(&self.head);
        let transport = head.len() - start + length;
        self.layout.put_lengths(head, transport, self.identification);
        if self.layout.source.is_ipv4() {
            let length = u16::try_from(transport + start).unwrap_or(u16::MAX);
            let sum = self.ip.and16(length).and16(self.identification).finish();
            put(head, IP_CHECKSUM, sum.to_be_bytes());
        }
        put(head, start + SEQ, self.seq.to_be_bytes());
        put(head, start + FLAGS, [flags]);
        let sum = self.tcp.and32(self.seq).and16(transport as u16).and16(u16::from(flags));
        let sum = sum.chain(payload.iter().map(|slice| &slice[..])).finish();
        put(head, start + tcp::CHECKSUM_OFFSET, sum.to_be_bytes());
        self.first = false;
        self.identification = self.identification.wrapping_add(1);
        self.seq = self.seq.wrapping_add(length as u32);
        (*gso_size, *checksum) = (0, SentChecksum::Complete);
        true
    }
}

impl Iterator for Cutter {
    type Item = Transmit;

    fn next(&mut self) -> Option<Transmit> {
        let mut transmit = Transmit::empty();
        self.cut(&mut transmit).then_some(transmit)
    }
}

/// The same bytes in one contiguous frame, for links in memory, loopback and captures. A checksum that was left to the device stays so: the frame says
/// that it needs no verification.
#[must_use]
pub fn to_frame(transmit: &Transmit) -> Frame {
    let mut bytes = BytesMut::with_capacity(transmit.len());
    bytes.extend_from_slice(&transmit.head);
    transmit.payload.iter().for_each(|slice| bytes.extend_from_slice(slice));
    let checksum = match transmit.checksum {
        SentChecksum::Complete => ReceivedChecksum::Unverified,
        SentChecksum::Partial { .. } => ReceivedChecksum::Valid,
    };
    Frame { bytes: bytes.freeze(), meta: FrameMeta { checksum, gso_size: transmit.gso_size } }
}

/// A received frame as if it were to be sent on. Where the link vouched for the checksum nobody may ever have computed it, so it is
/// marked as still to be completed. What cannot be understood is one packet as it stands.
#[must_use]
pub fn from_frame(frame: &Frame) -> Transmit {
    let bytes = &frame.bytes;
    let vouched = frame.meta.checksum == ReceivedChecksum::Valid;
    let Some((layout, split, end)) = transport(bytes) else {
        return divide(bytes, bytes.len().min(HEAD_MAX), bytes.len());
    };
    let mut transmit = divide(bytes, split, end);
    if !vouched && frame.meta.gso_size == 0 {
        return transmit;
    }
    if layout.protocol == protocol::TCP {
        transmit.gso_size = frame.meta.gso_size;
    }
    let length = end - layout.start;
    transmit.checksum = layout.seed(&mut transmit.head, length);
    transmit
}

/// Computes the transport checksum that was left to the device.
pub fn complete(transmit: &mut Transmit) {
    let SentChecksum::Partial { start, offset } = transmit.checksum else {
        return;
    };
    let (start, field) = (usize::from(start), usize::from(start) + usize::from(offset));
    let head = transmit.head.get(start..).unwrap_or_default();
    let sum = Checksum::default().chain([head]).chain(transmit.payload.iter().map(|slice| &slice[..]));
    let sum = if usize::from(offset) == udp::CHECKSUM_OFFSET {
        udp::never_zero(sum.finish())
    } else {
        sum.finish()
    };
    put(&mut transmit.head, field, sum.to_be_bytes());
    transmit.checksum = SentChecksum::Complete;
}

/// What has to be known of a head to write it anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    source: IpAddr,
    destination: IpAddr,
    pub(super) protocol: u8,
    /// Where the transport header begins.
    pub(super) start: usize,
}

impl Layout {
    /// Reads a head; `None` when it holds no whole TCP or UDP header right behind the IP header.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let layout = match head.first()? >> 4 {
            4 => {
                let address = |at| Some(IpAddr::V4(Ipv4Addr::from(array::<4>(head, at)?)));
                let start = usize::from(head.first()? & 0x0f) * 4;
                let protocol = *head.get(9)?;
                Self { source: address(12)?, destination: address(16)?, protocol, start }
            }
            6 => {
                let address = |at| Some(IpAddr::V6(Ipv6Addr::from(array::<16>(head, at)?)));
                let protocol = *head.get(6)?;
                Self { source: address(8)?, destination: address(24)?, protocol, start: ipv6::HEADER }
            }
            _ => return None,
        };
        let least = match layout.protocol {
            protocol::TCP => tcp::HEADER,
            protocol::UDP => udp::HEADER,
            _ => return None,
        };
        (head.len() >= layout.start + least).then_some(layout)
    }

    /// Position of the checksum field in the transport header.
    const fn checksum_offset(&self) -> usize {
        if self.protocol == protocol::UDP { udp::CHECKSUM_OFFSET } else { tcp::CHECKSUM_OFFSET }
    }

    /// Puts the pseudo-header's sum for `length` bytes into the checksum field, for [`complete`] or a device.
    fn seed(&self, head: &mut [u8], length: usize) -> SentChecksum {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let sum = Checksum::pseudo_header(self.source, self.destination, self.protocol, length);
        let offset = self.checksum_offset();
        put(head, self.start + offset, sum.folded().to_be_bytes());
        SentChecksum::Partial { start: self.start as u16, offset: offset as u16 }
    }

    /// The sum of the pseudo-header, but for the length.
    pub(super) fn pseudo_header(&self) -> Checksum {
        Checksum::pseudo_header(self.source, self.destination, self.protocol, 0)
    }

    /// Whether the transport checksum of a whole packet is sound.
    pub(super) fn is_sound(&self, packet: &[u8]) -> bool {
        let transport = packet.get(self.start..).unwrap_or_default();
        let length = u32::try_from(transport.len()).unwrap_or(u32::MAX);
        Checksum::pseudo_header(self.source, self.destination, self.protocol, length)
            .chain([transport])
            .is_valid()
    }

    /// Length and header checksum in front of `length` bytes of transport.
    pub(super) fn rewrite_ip(&self, head: &mut [u8], length: usize) {
        self.put_lengths(head, length, array(head, 4).map_or(0, u16::from_be_bytes));
        if self.source.is_ipv4() {
            let sum = checksum(head.get(..self.start).unwrap_or_default());
            put(head, IP_CHECKSUM, sum.to_be_bytes());
        }
    }

    /// What says how many bytes of transport follow; of IPv4 the identification as well, and no checksum.
    fn put_lengths(&self, head: &mut [u8], length: usize, identification: u16) {
        let length = |extra: usize| u16::try_from(length + extra).unwrap_or(u16::MAX).to_be_bytes();
        if self.source.is_ipv6() {
            return put(head, 4, length(0));
        }
        put(head, 2, length(self.start));
        put(head, 4, identification.to_be_bytes());
        put(head, IP_CHECKSUM, [0, 0]);
    }
}

/// The layout of a received packet, where its payload begins and where it ends; padding behind the packet is left out.
fn transport(bytes: &[u8]) -> Option<(Layout, usize, usize)> {
    let layout = Layout::of(bytes)?;
    let length = usize::from(u16::from_be_bytes(array(bytes, if layout.source.is_ipv4() { 2 } else { 4 })?));
    let end = if layout.source.is_ipv4() { length } else { length + ipv6::HEADER };
    let header = match layout.protocol {
        protocol::UDP => udp::HEADER,
        _ => usize::from(bytes.get(layout.start + 12)? >> 4) * 4,
    };
    let split = layout.start + header;
    let sound = layout.start >= ipv4::HEADER && split <= end.min(HEAD_MAX) && end <= bytes.len();
    let least = layout.start + layout.checksum_offset() + 2;
    (sound && split >= least).then_some((layout, split, end))
}

/// A packet divided at `split`, its checksum as it is.
fn divide(bytes: &Bytes, split: usize, end: usize) -> Transmit {
    let mut head = ArrayVec::new();
    head.extend(bytes.iter().take(split.min(HEAD_MAX)).copied());
    let payload = if end > split { smallvec![bytes.slice(split..end)] } else { SmallVec::new() };
    Transmit { head, payload, gso_size: 0, checksum: SentChecksum::Complete }
}

/// Positions in a TCP header, and in one of IPv4.
const SEQ: usize = 4;
const FLAGS: usize = 13;
const IP_CHECKSUM: usize = 10;

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..at + N) {
        place.copy_from_slice(&value);
    }
}
