//! The IPv6 header and its extension headers (RFC 8200) as a plain struct.

use super::{Fault, Refused, protocol};
use crate::counters::Drop;
use etherparse::{
    IpFragOffset, IpNumber, Ipv6FlowLabel, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
};
use std::net::Ipv6Addr;

/// Bytes of the fixed header.
pub const HEADER: usize = 40;

/// Most extension headers that are walked; RFC 8200 4.1 has use for seven.
const EXTENSIONS_MAX: usize = 8;

/// Most options of one header beside padding, as in Linux.
//= https://www.rfc-editor.org/rfc/rfc8504#section-5.3
//# the default value SHOULD be set to 8. (8504:5.3-4)
const OPTIONS_MAX: usize = 8;

/// Where the fixed header names what follows it.
const NEXT_HEADER_AT: usize = 6;

/// Bytes of a Fragment header, which names what follows it in its first.
pub const FRAGMENT_HEADER: usize = 8;

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
pub fn parse(frame: &[u8]) -> Result<(Ipv6Header, usize), Refused> {
    let &[first, ..] = frame else {
        return Err(Drop::Truncated.into());
    };
    if first >> 4 != 6 {
        return Err(Drop::IpVersion.into());
    }
    let slice = Ipv6HeaderSlice::from_slice(frame).map_err(|_| Drop::Truncated)?;
    let end = HEADER + usize::from(slice.payload_length());
    let packet = frame.get(..end).ok_or(Drop::IpTotalLength)?;
    let (protocol, start, fragment) = match slice.next_header().0 {
        protocol @ (protocol::TCP | protocol::UDP | protocol::ICMPV6) => (protocol, HEADER, None),
        next => Walk { packet, base: 0, named_at: NEXT_HEADER_AT, hop_by_hop: true }.run(next, HEADER)?,
    };
    let header = Ipv6Header {
        source: slice.source_addr(),
        destination: slice.destination_addr(),
        protocol,
        //= https://www.rfc-editor.org/rfc/rfc8200#section-3
        //# A node that is the destination of a packet should not discard a packet with Hop Limit equal to zero; it should process the packet normally. (8200:3-1)
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

impl Fragment {
    /// The bytes of the header in front of a part of a packet that goes on with `next`.
    #[must_use]
    pub fn emit(&self, next: u8) -> [u8; FRAGMENT_HEADER] {
        etherparse::Ipv6FragmentHeader {
            next_header: IpNumber(next),
            fragment_offset: IpFragOffset::try_new(self.offset >> 3).unwrap_or_default(),
            more_fragments: self.more,
            identification: self.identification,
        }
        .to_bytes()
    }
}

/// Whether no link carries packets from or to `address`: RFC 4291 2.5.2, 2.5.3, and IPv4 addresses mapped into IPv6 (2.5.5.2).
#[must_use]
pub fn is_martian(address: Ipv6Addr) -> bool {
    address.is_unspecified() || address.is_loopback() || address.to_ipv4_mapped().is_some()
}

/// Whether `address` can be one host's on a link.
#[must_use]
pub fn is_host(address: Ipv6Addr) -> bool {
    !is_martian(address) && !address.is_multicast()
}

/// The protocol in the fragmentable part of a packet, which begins with a header of type `next`, and where it begins in `part`. The part itself begins at byte
/// `base` of the packet, behind the Fragment header.
pub fn transport(part: &[u8], next: u8, base: usize) -> Result<(u8, usize), Refused> {
    let named_at = base.saturating_sub(FRAGMENT_HEADER);
    match (Walk { packet: part, base, named_at, hop_by_hop: false }).run(next, 0)? {
        (protocol, start, None) => Ok((protocol, start)),
        (.., Some(_)) => Err(Drop::IpOptions.into()),
    }
}

/// The extension headers of a packet, or of its fragmentable part.
struct Walk<'a> {
    packet: &'a [u8],
    /// Where `packet` begins in the whole.
    base: usize,
    /// Where in the whole the first of them is named.
    named_at: usize,
    /// Whether a Hop-by-Hop Options header may come first.
    hop_by_hop: bool,
}

impl Walk<'_> {
    /// Steps over the headers from `start` on, the first of type `next`; returns the protocol behind them and where it begins. A Fragment header is the
    /// end of what can be read of a fragment.
    fn run(&self, mut next: u8, mut start: usize) -> Result<(u8, usize, Option<Fragment>), Refused> {
        let mut named_at = self.named_at;
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4
        //# extension headers must be processed strictly in the order they appear in the packet (8200:4-2)
        for index in 0..EXTENSIONS_MAX {
            let rest = self.packet.get(start..).unwrap_or_default();
            let (following, length) = match next {
                //= https://www.rfc-editor.org/rfc/rfc8200#section-4.1
                //# IPv6 nodes must accept and attempt to process extension headers in any order and occurring any number of times in the same packet, except for the Hop-by-Hop Options header, which is restricted to appear immediately after an IPv6 header only. (8200:4.1-2)
                protocol::HOP_BY_HOP if index > 0 || !self.hop_by_hop => {
                    //= https://www.rfc-editor.org/rfc/rfc8200#section-4
                    //# The same action should be taken if a node encounters a Next Header value of zero in any header other than an IPv6 header. (8200:4-4)
                    let pointer = u32::try_from(named_at).unwrap_or(0);
                    return Err(Refused::told(Drop::IpOptions, Fault::ProtocolUnreachable { pointer }));
                }
                protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS => self.options(rest, start)?,
                protocol::ROUTING => self.routing(rest, start)?,
                protocol::FRAGMENT => match fragment(rest)? {
                    //= https://www.rfc-editor.org/rfc/rfc6946#section-4
                    //# A received atomic fragment should be "reassembled" from the contents of that sole fragment. (6946:4-2)
                    (following, length, None) => (following, length),
                    (following, length, part) => return Ok((following, start + length, part)),
                },
                //= https://www.rfc-editor.org/rfc/rfc8200#section-4.7
                //# If the Payload Length field of the IPv6 header indicates the presence of octets past the end of a header whose Next Header field contains 59, those octets must be ignored (8200:4.7-1)
                protocol::NO_NEXT_HEADER => return Err(Drop::IpProtocol.into()),
                protocol => return Ok((protocol, start, None)),
            };
            next = following;
            named_at = self.base + start;
            start += length;
        }
        Err(Drop::IpOptions.into())
    }

    /// The offset in the whole packet of byte `at` of this part.
    fn pointer(&self, at: usize) -> u32 {
        u32::try_from(self.base + at).unwrap_or(0)
    }

    /// The header at `start`, as long as it says. One that is longer than a whole packet is told of; one that is longer than a first fragment is missing there.
    fn sized<'a>(&self, bytes: &'a [u8], start: usize) -> Result<Ipv6RawExtHeaderSlice<'a>, Refused> {
        Ipv6RawExtHeaderSlice::from_slice(bytes).map_err(|_| match bytes {
            [_, _, ..] if self.hop_by_hop => {
                //= https://www.rfc-editor.org/rfc/rfc4443#section-3.4
                //# If an IPv6 node processing a packet finds a problem with a field in the IPv6 header or extension headers such that it cannot complete processing the packet, it MUST discard the packet and SHOULD originate an ICMPv6 Parameter Problem message to the packet's source, indicating the type and location of the problem. (4443:3.4-1)
                let pointer = self.pointer(start + 1);
                Refused::told(Drop::IpOptions, Fault::ParameterProblem { pointer })
            }
            _ => Drop::IpOptions.into(),
        })
    }

    /// An options header at `start`: RFC 8200 4.2. None is known but padding, so the two high bits of the type decide.
    fn options(&self, bytes: &[u8], start: usize) -> Result<(u8, usize), Refused> {
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.2
        //# These padding options must be recognized by all IPv6 implementations (8200:4.2-4)
        const PAD_1: u8 = 0;
        const PAD_N: u8 = 1;
        let header = self.sized(bytes, start)?;
        let whole = header.slice();
        let mut rest = whole.get(2..).unwrap_or_default();
        let mut known = 0;
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.2
        //# The sequence of options within a header must be processed strictly in the order they appear in the header (8200:4.2-1)
        while let &[kind, ..] = rest {
            if kind == PAD_1 {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let pointer = self.pointer(start + whole.len() - rest.len());
            let problem = |pointer| Refused::told(Drop::IpOptions, Fault::ParameterProblem { pointer });
            let length = usize::from(*rest.get(1).ok_or(problem(pointer))?);
            rest = rest.get(2 + length..).ok_or(problem(pointer + 1))?;
            if kind != PAD_N {
                unknown(kind, pointer)?;
                known += 1;
            }
            //= https://www.rfc-editor.org/rfc/rfc8504#section-5.3
            //# a host may place limits on the number and sizes of extension headers and options it is willing to process. (8504:5.3-1)
            //= https://www.rfc-editor.org/rfc/rfc8504#section-5.3
            //# If a packet is received and the number of destination or hop-by-hop options exceeds the limit, then the packet SHOULD be silently discarded. (8504:5.3-5)
            if known > OPTIONS_MAX {
                return Err(Drop::IpOptions.into());
            }
        }
        Ok((header.next_header().0, whole.len()))
    }

    /// A routing header at `start`. No type is known here, and type 0 is to be treated as unknown (RFC 5095 section 3).
    fn routing(&self, bytes: &[u8], start: usize) -> Result<(u8, usize), Refused> {
        let header = self.sized(bytes, start)?;
        match header.slice() {
            //= https://www.rfc-editor.org/rfc/rfc8200#section-4.4
            //# If Segments Left is zero, the node must ignore the Routing header and proceed to process the next header in the packet, whose type is identified by the Next Header field in the Routing header. (8200:4.4-1)
            [_, _, _, 0, ..] => Ok((header.next_header().0, header.slice().len())),
            _ => {
                //= https://www.rfc-editor.org/rfc/rfc8200#section-4.4
                //# If Segments Left is non-zero, the node must discard the packet and send an ICMP Parameter Problem, Code 0, message to the packet's Source Address, pointing to the unrecognized Routing Type. (8200:4.4-2)
                //= https://www.rfc-editor.org/rfc/rfc5095#section-3
                //# MUST NOT execute the algorithm specified in the latter part of Section 4.4 of [RFC2460] for RH0. (5095:3-1)
                let pointer = self.pointer(start + 2);
                Err(Refused::told(Drop::IpSourceRoute, Fault::ParameterProblem { pointer }))
            }
        }
    }
}

/// What the type of an unknown option at byte `pointer` asks for.
fn unknown(kind: u8, pointer: u32) -> Result<(), Refused> {
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.2
    //# The Option Type identifiers are internally encoded such that their highest-order 2 bits specify the action that must be taken if the processing IPv6 node does not recognize the Option Type (8200:4.2-2)
    match kind >> 6 {
        0b00 => Ok(()),
        0b01 => Err(Drop::IpOptionUnknown.into()),
        action => {
            let fault = Fault::UnknownOption { pointer, groups: action == 0b10 };
            Err(Refused::told(Drop::IpOptionUnknown, fault))
        }
    }
}

/// A Fragment header; it says nothing when the packet is whole all the same.
fn fragment(bytes: &[u8]) -> Result<(u8, usize, Option<Fragment>), Drop> {
    let header = Ipv6FragmentHeaderSlice::from_slice(bytes).map_err(|_| Drop::IpOptions)?;
    //= https://www.rfc-editor.org/rfc/rfc6946#section-4
    //# A host that receives an IPv6 packet that includes a Fragment Header with the "Fragment Offset" equal to 0 and the "M" flag equal to 0 MUST process that packet in isolation from any other packets/fragments, even if such packets/fragments contain the same set {IPv6 Source Address, IPv6 Destination Address, Fragment Identification}. (6946:4-1)
    let part = header.is_fragmenting_payload().then(|| Fragment {
        identification: header.identification(),
        offset: header.fragment_offset().value() << 3,
        more: header.more_fragments(),
    });
    Ok((header.next_header().0, header.slice().len(), part))
}
