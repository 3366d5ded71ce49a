//! Packets from their fragments (RFC 791, RFC 815, RFC 8200 4.5), with bounds on memory, number and time.
//!
//! Fragments that overlap tell of an attack or a fault, never of a network: their packet is discarded, over IPv6 as RFC 5722 says, and over IPv4 likewise, as in
//! Linux. An exact copy of a fragment is only a copy. What waits is copied, so that it keeps no page of the link.

use super::Packet;
use crate::config::IpConfig;
use crate::counters::{Counters, Drop};
use crate::time::{Duration, Instant};
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv6::{self, Ipv6Header};
use crate::wire::{Fault, FrameMeta, Refused, protocol};
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::net::IpAddr;

/// Most bytes of a packet (IPv4), and behind the fixed header (IPv6).
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.2
//# EMTU_R MUST be greater than or equal to 576, SHOULD be either configurable or indefinite, and SHOULD be greater than or equal to the MTU of the connected network(s). (1122:3.3.2-2)
const PACKET_MAX: usize = 65_535;

/// What a fragment costs beside its bytes.
const OVERHEAD: usize = 128;

/// Explicit congestion notification in the traffic class.
const ECN: u8 = 3;
const NOT_ECT: u8 = 0;
const CE: u8 = 3;

//= https://www.rfc-editor.org/rfc/rfc791#section-2.3
//# combines internet datagrams that all have the same value for the four fields: identification, source, destination, and protocol. (791:2.3-8)
/// What the fragments of a packet have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// IPv4 only: over IPv6 the first fragment tells it.
    protocol: u8,
}

/// A part of a packet, its IP header valid.
#[derive(Clone, Debug)]
pub struct Fragment {
    key: Key,
    /// What the parts together begin with.
    next: u8,
    hop_limit: u8,
    traffic_class: u8,
    /// Bytes of the headers that do not count for the length of the packet put together.
    uncounted: usize,
    offset: usize,
    more: bool,
    /// Where its part of the data begins in `packet`.
    start: usize,
    packet: Bytes,
}

/// A packet whose fragments did not all come in time.
#[derive(Clone, Debug)]
pub struct Expired {
    /// Its first fragment, if that came: only then its source may be told.
    pub first: Option<Bytes>,
}

/// Packets of which parts are missing.
#[derive(Debug)]
pub struct Reassembly {
    timeout_v4: Duration,
    timeout_v6: Duration,
    bytes_max: usize,
    packets_max: usize,
    fragments_max: usize,
    partial: BTreeMap<Key, Partial>,
    /// The same by deadline.
    deadlines: BTreeSet<(Instant, Key)>,
    bytes: usize,
}

#[derive(Debug)]
struct Partial {
    until: Instant,
    /// By offset; they never overlap.
    pieces: BTreeMap<usize, Bytes>,
    /// Bytes in the pieces.
    bytes: usize,
    /// Bytes of the whole, once its last fragment has come.
    total: Option<usize>,
    /// The fragment at offset 0.
    first: Option<Fragment>,
    /// ECN codepoints seen, a bit each.
    codepoints: u8,
    /// To be discarded, with everything of it that is yet to come.
    spoiled: bool,
}

impl Fragment {
    pub(super) fn v4(header: &Ipv4Header, start: usize, packet: Bytes) -> Self {
        let key = Key {
            source: IpAddr::V4(header.source),
            destination: IpAddr::V4(header.destination),
            //= https://www.rfc-editor.org/rfc/rfc6864#section-4.1
            //# The IPv4 ID field MUST NOT be used for purposes other than fragmentation and reassembly. (6864:4.1-1)
            identification: u32::from(header.identification),
            protocol: header.protocol,
        };
        Self {
            key,
            next: header.protocol,
            hop_limit: header.ttl,
            traffic_class: header.tos,
            uncounted: 0,
            offset: usize::from(header.fragment_offset),
            more: header.more_fragments,
            start,
            packet,
        }
    }

    pub(super) fn v6(header: &Ipv6Header, part: ipv6::Fragment, start: usize, packet: Bytes) -> Self {
        let key = Key {
            source: IpAddr::V6(header.source),
            destination: IpAddr::V6(header.destination),
            identification: part.identification,
            protocol: 0,
        };
        Self {
            key,
            next: header.protocol,
            hop_limit: header.hop_limit,
            traffic_class: header.traffic_class,
            uncounted: ipv6::HEADER + ipv6::FRAGMENT_HEADER,
            offset: usize::from(part.offset),
            more: part.more,
            start,
            packet,
        }
    }

    /// Source address.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        self.key.source
    }

    /// Destination address.
    #[must_use]
    pub const fn destination(&self) -> IpAddr {
        self.key.destination
    }

    /// A hash that all fragments of a packet have in common.
    #[must_use]
    pub fn hash_of_packet(&self, keyed: &impl BuildHasher) -> u64 {
        keyed.hash_one(self.key)
    }

    /// The fragment from its IP header on.
    #[must_use]
    pub fn packet(&self) -> Bytes {
        self.packet.clone()
    }

    fn data(&self) -> Bytes {
        self.packet.slice(self.start..)
    }

    fn end(&self) -> usize {
        self.offset + self.packet.len() - self.start
    }

    /// What can be said of the fragment by itself.
    fn check(&self) -> Result<(), Refused> {
        let six = self.source().is_ipv6();
        let refuse = |reason, pointer: Option<u32>| {
            let fault = pointer.filter(|_| six).map(|pointer| Fault::ParameterProblem { pointer });
            Err(Refused { reason, fault })
        };
        let length = self.packet.len() - self.start;
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
        //# If the length of a fragment, as derived from the fragment packet's Payload Length field, is not a multiple of 8 octets and the M flag of that fragment is 1, then that fragment must be discarded and an ICMP Parameter Problem, Code 0, message should be sent to the source of the fragment, pointing to the Payload Length field of the fragment packet. (8200:4.5-11)
        if length == 0 || self.more && !length.is_multiple_of(8) {
            return refuse(Drop::FragmentLength, (length > 0).then_some(PAYLOAD_LENGTH_AT));
        }
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
        //# If the length and offset of a fragment are such that the Payload Length of the packet reassembled from that fragment would exceed 65,535 octets, then that fragment must be discarded and an ICMP Parameter Problem, Code 0, message should be sent to the source of the fragment, pointing to the Fragment Offset field of the fragment packet. (8200:4.5-12)
        if self.start.saturating_sub(self.uncounted) + self.end() > PACKET_MAX {
            let offset_at = u32::try_from(self.start - ipv6::FRAGMENT_HEADER + 2).ok();
            return refuse(Drop::FragmentLength, offset_at);
        }
        let tiny = match self.offset {
            //= https://www.rfc-editor.org/rfc/rfc3128#section-3
            //# if FO=0 and PROTOCOL=TCP and TRANSPORTLEN < tmin then DROP PACKET (3128:3-1)
            0 => !self.holds_transport()?,
            //= https://www.rfc-editor.org/rfc/rfc3128#section-3
            //# if FO=1 and PROTOCOL=TCP then DROP PACKET (3128:3-2)
            offset => offset < TCP_HEADER && !six && self.next == protocol::TCP,
        };
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
        //# If the first fragment does not include all headers through an Upper-Layer header, then that fragment should be discarded and an ICMP Parameter Problem, Code 3, message should be sent to the source of the fragment, with the Pointer field set to zero. (8200:4.5-13)
        match tiny {
            true => Err(Refused { reason: Drop::FragmentTiny, fault: six.then_some(Fault::HeaderChain) }),
            false => Ok(()),
        }
    }

    /// Whether the transport header lies in this first fragment, whole (RFC 1858, RFC 7112).
    fn holds_transport(&self) -> Result<bool, Refused> {
        let data = self.data();
        let (number, start) = if self.source().is_ipv6() {
            match ipv6::transport(&data, self.next, self.start) {
                Ok(found) => found,
                // Whatever it is that the headers ask for, they are not all there.
                Err(Refused { reason: Drop::IpOptions, fault: None }) => return Ok(false),
                Err(refused) => return Err(refused),
            }
        } else {
            (self.next, 0)
        };
        let header = match number {
            protocol::TCP => TCP_HEADER,
            protocol::UDP | protocol::ICMP | protocol::ICMPV6 => 8,
            _ => 0,
        };
        Ok(data.len() >= start + header)
    }
}

/// Bytes of a TCP header without options.
const TCP_HEADER: usize = 20;
/// Where the payload length stands in an IPv6 header.
const PAYLOAD_LENGTH_AT: u32 = 4;

impl Reassembly {
    /// Nothing yet, within the bounds of `config`.
    #[must_use]
    pub const fn new(config: &IpConfig) -> Self {
        Self {
            timeout_v4: config.reassembly_timeout_v4,
            timeout_v6: config.reassembly_timeout_v6,
            bytes_max: config.reassembly_bytes,
            packets_max: config.reassembly_packets,
            fragments_max: config.reassembly_fragments,
            partial: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// Takes a fragment. The packet that it completes, with its first fragment. Packets that make room are counted.
    pub fn add(
        &mut self,
        now: Instant,
        fragment: Fragment,
        counters: &mut Counters,
    ) -> Result<Option<(Packet, Bytes)>, Refused> {
        fragment.check()?;
        let key = fragment.key;
        let timeout = if key.source.is_ipv4() { self.timeout_v4 } else { self.timeout_v6 };
        let most = self.fragments_max;
        let new = !self.partial.contains_key(&key);
        let partial = self.partial.entry(key).or_insert_with(|| Partial::new(now + timeout));
        if new {
            self.deadlines.insert((partial.until, key));
        }
        let before = if new { 0 } else { partial.cost() };
        let added = partial.add(fragment, most);
        let after = partial.cost();
        self.bytes = (self.bytes + after).saturating_sub(before);
        added?;
        if partial.is_complete() {
            return self.take(key).and_then(Partial::assemble).transpose();
        }
        self.make_room(key, counters);
        Ok(None)
    }

    /// The next packet whose time is over.
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
    //# If insufficient fragments are received to complete reassembly of a packet within 60 seconds of the reception of the first-arriving fragment of that packet, reassembly of that packet must be abandoned and all the fragments that have been received for that packet must be discarded. (8200:4.5-9)
    pub fn expire(&mut self, now: Instant) -> Option<Expired> {
        loop {
            let &(until, key) = self.deadlines.first().filter(|(until, _)| *until <= now)?;
            self.deadlines.remove(&(until, key));
            let partial = self.take(key)?;
            if !partial.spoiled {
                return Some(Expired { first: partial.first.map(|first| first.packet) });
            }
        }
    }

    /// When `expire` has something to do.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.deadlines.first().map(|(until, _)| *until)
    }

    /// Packets that wait, and what they cost in bytes.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        (self.partial.len(), self.bytes)
    }

    fn take(&mut self, key: Key) -> Option<Partial> {
        let partial = self.partial.remove(&key)?;
        self.deadlines.remove(&(partial.until, key));
        self.bytes = self.bytes.saturating_sub(partial.cost());
        Some(partial)
    }

    /// Gives up the oldest packets, other than `kept`, until the rest is within bounds.
    fn make_room(&mut self, kept: Key, counters: &mut Counters) {
        while self.bytes > self.bytes_max || self.partial.len() > self.packets_max.max(1) {
            let oldest = self.deadlines.iter().map(|(_, key)| *key).find(|key| *key != kept);
            let Some(oldest) = oldest else { return };
            if self.take(oldest).is_some_and(|partial| !partial.spoiled) {
                counters.drop(Drop::FragmentLimit);
            }
        }
    }
}

impl Partial {
    const fn new(until: Instant) -> Self {
        Self {
            until,
            pieces: BTreeMap::new(),
            bytes: 0,
            total: None,
            first: None,
            codepoints: 0,
            spoiled: false,
        }
    }

    /// Bytes that it stands for.
    fn cost(&self) -> usize {
        let first = self.first.as_ref().map_or(0, |first| first.packet.len());
        OVERHEAD + self.bytes + first + self.pieces.len() * OVERHEAD
    }

    /// Nothing of this packet is kept any more; what is yet to come of it is refused until its time is over.
    fn spoil(&mut self, reason: Drop) -> Result<(), Refused> {
        self.pieces.clear();
        self.bytes = 0;
        self.first = None;
        self.spoiled = true;
        Err(Refused { reason, fault: None })
    }

    fn add(&mut self, fragment: Fragment, most: usize) -> Result<(), Refused> {
        if self.spoiled {
            return Err(Refused { reason: Drop::FragmentOverlap, fault: None });
        }
        let (start, end) = (fragment.offset, fragment.end());
        let data = fragment.data();
        if self.pieces.get(&start).is_some_and(|known| *known == data) && self.agrees(end, fragment.more) {
            return Ok(());
        }
        //= https://www.rfc-editor.org/rfc/rfc5722#section-4
        //# When reassembling an IPv6 datagram, if one or more its constituent fragments is determined to be an overlapping fragment, the entire datagram (and any constituent fragments, including those not yet received) MUST be silently discarded. (5722:4-2)
        let before = self.pieces.range(..end).next_back();
        if before.is_some_and(|(at, piece)| at + piece.len() > start) {
            return self.spoil(Drop::FragmentOverlap);
        }
        let furthest = self.pieces.last_key_value().map_or(0, |(at, piece)| at + piece.len());
        if self.total.is_some_and(|total| !fragment.more || end > total) || !fragment.more && furthest > end {
            return self.spoil(Drop::FragmentLength);
        }
        if self.pieces.len() >= most.max(2) {
            return self.spoil(Drop::FragmentLimit);
        }
        self.codepoints |= 1 << (fragment.traffic_class & ECN);
        //= https://www.rfc-editor.org/rfc/rfc3168#section-5.3
        //# this MUST NOT occur if any of the other fragments contributing to this reassembly carries the Not-ECT codepoint (3168:5.3-2).
        if self.codepoints & (1 << NOT_ECT) != 0 && self.codepoints & (1 << CE) != 0 {
            return self.spoil(Drop::FragmentEcn);
        }
        if !fragment.more {
            self.total = Some(end);
        }
        self.bytes += data.len();
        if start == 0 {
            let packet = Bytes::copy_from_slice(&fragment.packet);
            self.pieces.insert(0, packet.slice(fragment.start..));
            self.first = Some(Fragment { packet, ..fragment });
        } else {
            self.pieces.insert(start, Bytes::copy_from_slice(&data));
        }
        Ok(())
    }

    /// Whether a copy says the same of the packet's end.
    fn agrees(&self, end: usize, more: bool) -> bool {
        more != (self.total == Some(end))
    }

    /// Pieces do not overlap and none lies beyond the end: all are there when their lengths add up.
    fn is_complete(&self) -> bool {
        self.first.is_some() && self.total == Some(self.bytes)
    }

    /// The packet, its traffic class by RFC 3168 5.3, with its first fragment.
    fn assemble(self) -> Option<Result<(Packet, Bytes), Refused>> {
        let first = self.first?;
        let mut data = BytesMut::with_capacity(self.bytes);
        //= https://www.rfc-editor.org/rfc/rfc791#section-2.3
        //# placing the data portion of each fragment in the relative position indicated by the fragment offset in that fragment's internet header. (791:2.3-9)
        self.pieces.values().for_each(|piece| data.extend_from_slice(piece));
        let data = data.freeze();
        let (protocol, start) = if first.source().is_ipv6() {
            match ipv6::transport(&data, first.next, first.start) {
                Ok(found) => found,
                Err(refused) => return Some(Err(refused)),
            }
        } else {
            (first.next, 0)
        };
        //= https://www.rfc-editor.org/rfc/rfc3168#section-5.3
        //# Reassembly of a fragmented packet MUST NOT lose indications of congestion (3168:5.3-1).
        //= https://www.rfc-editor.org/rfc/rfc3168#section-5.3
        //# Reassembly of a fragmented packet MUST NOT change the ECN codepoint when all of the fragments carry the same codepoint (3168:5.3-3).
        let congested = self.codepoints & (1 << CE) != 0;
        let packet = Packet {
            source: first.source(),
            destination: first.destination(),
            protocol,
            hop_limit: first.hop_limit,
            traffic_class: if congested { first.traffic_class | CE } else { first.traffic_class },
            payload: data.slice(start..),
            meta: FrameMeta::default(),
        };
        Some(Ok((packet, first.packet)))
    }
}

#[cfg(test)]
mod tests;
