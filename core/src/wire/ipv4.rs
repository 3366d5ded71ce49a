//! The IPv4 header (RFC 791) as a plain struct.

mod options;

use super::{Refused, checksum, header_checksum};
use crate::counters::Drop;
use etherparse::Ipv4HeaderSlice;
use std::net::Ipv4Addr;

/// Bytes of a header without options.
pub const HEADER: usize = 20;

/// An IPv4 header, options checked and skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Header {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// Type of service: DSCP and the two ECN bits.
    pub tos: u8,
    /// Identification; means something in fragments only (RFC 6864).
    pub identification: u16,
    /// Don't fragment.
    pub dont_fragment: bool,
    /// More fragments follow.
    pub more_fragments: bool,
    /// Where the payload lies in that of the whole datagram, bytes.
    pub fragment_offset: u16,
    /// Bytes of header and payload.
    pub total_length: u16,
}

/// Reads and verifies the header of the packet in `frame`, which may be longer than the packet; returns it and its length,
/// where the payload begins.
pub fn parse(frame: &[u8]) -> Result<(Ipv4Header, usize), Refused> {
    let &[first, ..] = frame else {
        return Err(Drop::Truncated.into());
    };
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.1
    //# A datagram whose version number is not 4 MUST be silently discarded. (1122:3.2.1.1-1)
    if first >> 4 != 4 {
        return Err(Drop::IpVersion.into());
    }
    if frame.len() < HEADER {
        return Err(Drop::Truncated.into());
    }
    //= https://www.rfc-editor.org/rfc/rfc791#section-3.1
    //# the minimum value for a correct header is 5. (791:3.1-1)
    let slice = Ipv4HeaderSlice::from_slice(frame).map_err(|_| Drop::IpHeaderLength)?;
    let length = slice.slice().len();
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.2
    //# A host MUST verify the IP header checksum on every received datagram and silently discard every datagram that has a bad checksum. (1122:3.2.1.2-1)
    let sum = slice.slice().as_array().map_or_else(|| checksum(slice.slice()), header_checksum);
    if sum != 0 {
        return Err(Drop::IpChecksum.into());
    }
    let total = usize::from(slice.total_len());
    if total < length || total > frame.len() {
        return Err(Drop::IpTotalLength.into());
    }
    options::check(slice.options())?;
    let header = Ipv4Header {
        source: slice.source_addr(),
        destination: slice.destination_addr(),
        protocol: slice.protocol().0,
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.7
        //# A host MUST NOT discard a datagram just because it was received with TTL less than 2. (1122:3.2.1.7-2)
        ttl: slice.ttl(),
        tos: slice.dcp().value() << 2 | slice.ecn().value(),
        identification: slice.identification(),
        dont_fragment: slice.dont_fragment(),
        more_fragments: slice.more_fragments(),
        fragment_offset: slice.fragments_offset().value() << 3,
        total_length: slice.total_len(),
    };
    Ok((header, length))
}

impl Ipv4Header {
    /// Whether this is a part of a datagram only.
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// The bytes of the header, its checksum included.
    #[must_use]
    pub fn emit(&self) -> [u8; HEADER] {
        let [l0, l1] = self.total_length.to_be_bytes();
        let [i0, i1] = self.identification.to_be_bytes();
        //= https://www.rfc-editor.org/rfc/rfc791#section-3.1
        //# Bit 0: reserved, must be zero (791:3.1-4)
        let flags = u16::from(self.dont_fragment) << 14 | u16::from(self.more_fragments) << 13;
        let [f0, f1] = (flags | self.fragment_offset >> 3).to_be_bytes();
        let [s0, s1, s2, s3] = self.source.octets();
        let [d0, d1, d2, d3] = self.destination.octets();
        let (tos, ttl, protocol) = (self.tos, self.ttl, self.protocol);
        let mut header =
            [0x45, tos, l0, l1, i0, i1, f0, f1, ttl, protocol, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3];
        //= https://www.rfc-editor.org/rfc/rfc791#section-3.1
        //# The checksum field is the 16 bit one's complement of the one's complement sum of all 16 bit words in the header. (791:3.1-7)
        [header[10], header[11]] = header_checksum(&header).to_be_bytes();
        header
    }
}

/// Whether no link carries packets from or to `address`: this network and loopback (RFC 1122 3.2.1.3), and what is reserved (RFC 1112 section 4).
#[must_use]
pub fn is_martian(address: Ipv4Addr) -> bool {
    match address.octets()[0] {
        0 | 127 => true,
        first => first >= 240 && !address.is_broadcast(),
    }
}

/// Whether `address` can be one host's on a link.
#[must_use]
pub fn is_host(address: Ipv4Addr) -> bool {
    !is_martian(address) && !address.is_multicast() && !address.is_broadcast()
}
