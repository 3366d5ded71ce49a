//! The IPv6 header and its extension headers (RFC 8200) as a plain struct.

use super::protocol;
use crate::counters::Drop;
use etherparse::{IpNumber, Ipv6FlowLabel, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice};
use std::net::Ipv6Addr;

/// Bytes of the fixed header.
pub const HEADER: usize = 40;

/// Most extension headers that are walked; RFC 8200 4.1 has use for seven.
const EXTENSIONS_MAX: usize = 8;

/// An IPv6 header, extension headers checked and skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Header {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// Protocol of the payload, behind the extension headers.
    pub protocol: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Traffic class: DSCP and the two ECN bits.
    pub traffic_class: u8,
    /// Flow label (RFC 6437), 20 bits.
    pub flow_label: u32,
    /// Bytes behind the fixed header.
    pub payload_length: u16,
    /// The packet is a part only; `protocol` is then what the parts together begin with, perhaps an extension header.
    pub fragment: Option<Fragment>,
}

/// The Fragment header (RFC 8200 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Names the packet among those from the same source to the same destination.
    pub identification: u32,
    /// Where the payload lies in the fragmentable part, bytes.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
}

/// Reads and verifies the headers of the packet in `frame`, which may be longer than the packet; returns them and where the
/// payload begins. A fragment that is the whole packet is none (RFC 6946).
pub fn parse(frame: &[u8]) -> Result<(Ipv6Header, usize), Drop> {
    let &[first, ..] = frame else {
        return Err(Drop::Truncated);
    };
    if first >> 4 != 6 {
        return Err(Drop::IpVersion);
    }
    let slice = Ipv6HeaderSlice::from_slice(frame).map_err(|_| Drop::Truncated)?;
    let end = HEADER + usize::from(slice.payload_length());
    let packet = frame.get(..end).ok_or(Drop::IpTotalLength)?;
    let (protocol, start, fragment) = match slice.next_header().0 {
        protocol @ (protocol::TCP | protocol::UDP | protocol::ICMPV6) => (protocol, HEADER, None),
        next => walk(packet, next, HEADER)?,
    };
    let header = Ipv6Header {
        source: slice.source_addr(),
        destination: slice.destination_addr(),
        protocol,
        hop_limit: slice.hop_limit(),
        traffic_class: slice.traffic_class(),
        flow_label: slice.flow_label().value(),
        payload_length: slice.payload_length(),
        fragment,
    };
    Ok((header, start))
}

impl Ipv6Header {
    /// The 40 bytes of the header.
    #[must_use]
    pub fn emit(&self) -> [u8; HEADER] {
        etherparse::Ipv6Header {
            traffic_class: self.traffic_class,
            flow_label: Ipv6FlowLabel::try_new(self.flow_label).unwrap_or_default(),
            payload_length: self.payload_length,
            next_header: IpNumber(self.protocol),
            hop_limit: self.hop_limit,
            source: self.source.octets(),
            destination: self.destination.octets(),
        }
        .to_bytes()
    }
}

/// Whether a host can have sent from `source` over a link: RFC 4291 2.5.2 and 2.7; mapped IPv4 addresses (2.5.5.2) never
/// appear in a packet.
#[must_use]
pub fn source_is_sound(source: Ipv6Addr) -> bool {
    !source.is_unspecified() && !source.is_multicast() && source.to_ipv4_mapped().is_none()
}

/// The protocol in the fragmentable part of a packet, which begins with a header of type `next`, and where it begins.
pub fn transport(part: &[u8], next: u8) -> Result<(u8, usize), Drop> {
    match walk(part, next, 0)? {
        (protocol, start, None) => Ok((protocol, start)),
        (.., Some(_)) => Err(Drop::IpOptions),
    }
}

/// Steps over the extension headers of `packet` from `start` on; returns the protocol behind them and where it begins. A Fragment header is the end
/// of what can be read of a fragment.
fn walk(packet: &[u8], mut next: u8, mut start: usize) -> Result<(u8, usize, Option<Fragment>), Drop> {
    for _ in 0..EXTENSIONS_MAX {
        let rest = packet.get(start..).unwrap_or_default();
        let (following, length) = match next {
            //= https://www.rfc-editor.org/rfc/rfc8200#section-4.1
            //# the Hop-by-Hop Options header, which is restricted to appear immediately after an IPv6 header only.
            protocol::HOP_BY_HOP if start != HEADER => return Err(Drop::IpOptions),
            protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS => options(rest)?,
            protocol::ROUTING => routing(rest)?,
            protocol::FRAGMENT => match fragment(rest)? {
                (following, length, None) => (following, length),
                (following, length, part) => return Ok((following, start + length, part)),
            },
            protocol::NO_NEXT_HEADER => return Err(Drop::IpProtocol),
            protocol => return Ok((protocol, start, None)),
        };
        next = following;
        start += length;
    }
    Err(Drop::IpOptions)
}

/// An options header: RFC 8200 4.2. None is known but padding, so the two high bits of the type decide.
fn options(bytes: &[u8]) -> Result<(u8, usize), Drop> {
    const PAD_1: u8 = 0;
    const PAD_N: u8 = 1;
    let header = Ipv6RawExtHeaderSlice::from_slice(bytes).map_err(|_| Drop::IpOptions)?;
    let mut rest = header.slice().get(2..).unwrap_or_default();
    while let &[kind, ..] = rest {
        if kind == PAD_1 {
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let length = usize::from(*rest.get(1).ok_or(Drop::IpOptions)?);
        rest = rest.get(2 + length..).ok_or(Drop::IpOptions)?;
        if kind != PAD_N && kind >> 6 != 0 {
            return Err(Drop::IpOptionUnknown);
        }
    }
    Ok((header.next_header().0, header.slice().len()))
}

/// A routing header. No type is known here, and type 0 is to be treated as unknown (RFC 5095 section 3).
fn routing(bytes: &[u8]) -> Result<(u8, usize), Drop> {
    let header = Ipv6RawExtHeaderSlice::from_slice(bytes).map_err(|_| Drop::IpOptions)?;
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.4
    //# If Segments Left is zero, the node must ignore the Routing header and proceed to process the next header in the packet
    match header.slice() {
        [_, _, _, 0, ..] => Ok((header.next_header().0, header.slice().len())),
        _ => Err(Drop::IpSourceRoute),
    }
}

/// A Fragment header; it says nothing when the packet is whole all the same.
fn fragment(bytes: &[u8]) -> Result<(u8, usize, Option<Fragment>), Drop> {
    let header = Ipv6FragmentHeaderSlice::from_slice(bytes).map_err(|_| Drop::IpOptions)?;
    //= https://www.rfc-editor.org/rfc/rfc6946#section-4
    //# A host that receives an IPv6 packet that includes a Fragment Header with the "Fragment Offset" equal to 0 and the "M" flag equal to 0 MUST process that packet in isolation
    let part = header.is_fragmenting_payload().then(|| Fragment {
        identification: header.identification(),
        offset: header.fragment_offset().value() << 3,
        more: header.more_fragments(),
    });
    Ok((header.next_header().0, header.slice().len(), part))
}
