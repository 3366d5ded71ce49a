//! The packet that an ICMP error quotes: its beginning, as far as the reporter kept it.

use super::{ipv4, ipv6, protocol};
use crate::counters::Drop;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of the transport header that every error quotes (RFC 792): ports and sequence number of TCP, all of UDP.
const TRANSPORT: usize = 8;

/// Most extension headers that are walked.
const EXTENSIONS_MAX: usize = 8;

/// A packet of ours, as somebody on its way saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Source address: ours, if the message is true.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Protocol behind the IP headers.
    pub protocol: u8,
    /// Bytes that the whole packet had, by its own word.
    pub length: usize,
    /// The first eight bytes behind the IP headers.
    pub transport: [u8; TRANSPORT],
}

/// Reads the packet quoted in `bytes`. What routers may have changed or cut off is not verified: hops, header checksum, total length.
/// [`Drop::IcmpQuote`] when the transport header is not in it, as in later fragments.
pub fn parse(bytes: &[u8]) -> Result<Quote, Drop> {
    let quote = match bytes.first().map(|first| first >> 4) {
        Some(4) => v4(bytes),
        Some(6) => v6(bytes),
        _ => None,
    };
    quote.ok_or(Drop::IcmpQuote)
}

fn v4(bytes: &[u8]) -> Option<Quote> {
    let header = bytes.first_chunk::<{ ipv4::HEADER }>()?;
    let start = usize::from(header[0] & 15) * 4;
    let first = u16::from_be_bytes([header[6], header[7]]) & 0x1fff == 0;
    if start < ipv4::HEADER || !first {
        return None;
    }
    let &[a, b, c, d, e, f, g, h] = header.last_chunk()?;
    Some(Quote {
        source: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        destination: IpAddr::V4(Ipv4Addr::new(e, f, g, h)),
        protocol: header[9],
        length: usize::from(u16::from_be_bytes([header[2], header[3]])),
        transport: *bytes.get(start..)?.first_chunk()?,
    })
}

fn v6(bytes: &[u8]) -> Option<Quote> {
    let header = bytes.first_chunk::<{ ipv6::HEADER }>()?;
    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
    //# In cases where it is not possible to retrieve the upper-layer protocol type from the ICMPv6 message, the ICMPv6 message is silently dropped after any IPv6-layer processing. (4443:2.4-5)
    let Walked::Found { protocol, start, .. } = walk(bytes, header[6]) else { return None };
    let (source, destination) = addresses(bytes)?;
    Some(Quote {
        source,
        destination,
        protocol,
        length: ipv6::HEADER + usize::from(u16::from_be_bytes([header[4], header[5]])),
        transport: *bytes.get(start..)?.first_chunk()?,
    })
}

/// Where from and where to `bytes` go.
#[must_use]
pub fn addresses(bytes: &[u8]) -> Option<(IpAddr, IpAddr)> {
    if bytes.first()? >> 4 == 4 {
        let address = |at: usize| Some(Ipv4Addr::from(*bytes.get(at..)?.first_chunk::<4>()?));
        return Some((address(12)?.into(), address(16)?.into()));
    }
    let address = |at: usize| Some(Ipv6Addr::from(*bytes.get(at..)?.first_chunk::<16>()?));
    Some((address(8)?.into(), address(24)?.into()))
}

/// The protocol of the packet in `bytes` and the first byte of its transport header, and where the protocol's number stands. `None` for a fragment other
/// than the first; a protocol that cannot be found for whatever is wrong with the headers in front of it is none.
#[must_use]
pub fn beginning(bytes: &[u8]) -> Option<Beginning> {
    let (found, length) = match bytes.first()? >> 4 {
        4 => {
            let header = bytes.first_chunk::<{ ipv4::HEADER }>()?;
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
            //# a non-initial fragment (1122:3.2.2-8)
            if u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0 {
                return None;
            }
            let found = Some((header[9], 9, usize::from(header[0] & 15) * 4));
            (found, usize::from(u16::from_be_bytes([header[2], header[3]])))
        }
        6 => {
            let header = bytes.first_chunk::<{ ipv6::HEADER }>()?;
            let found = match walk(bytes, header[6]) {
                Walked::Found { protocol, named_at, start } => Some((protocol, named_at, start)),
                Walked::Later => return None,
                Walked::Lost => None,
            };
            (found, ipv6::HEADER + usize::from(u16::from_be_bytes([header[4], header[5]])))
        }
        _ => return None,
    };
    let protocol = found.map(|(protocol, ..)| protocol);
    let named_at = found.map_or(0, |(_, at, _)| at);
    let first = found.and_then(|(.., start)| bytes.get(start..length.min(bytes.len()))?.first().copied());
    Some(Beginning { protocol, named_at, first, length })
}

/// See [`beginning`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Protocol behind the IP headers.
    pub protocol: Option<u8>,
    /// Where its number stands.
    pub named_at: usize,
    /// First byte of what it is about.
    pub first: Option<u8>,
    /// Bytes of the whole packet, by its own word.
    pub length: usize,
}

/// Outcome of [`walk`].
enum Walked {
    Found {
        protocol: u8,
        /// Where its number stands.
        named_at: usize,
        /// Where it begins.
        start: usize,
    },
    /// A fragment other than the first.
    Later,
    /// The headers end too early, or never.
    Lost,
}

/// Steps over the extension headers.
fn walk(bytes: &[u8], mut next: u8) -> Walked {
    let (mut named_at, mut start) = (6, ipv6::HEADER);
    for index in 0..EXTENSIONS_MAX {
        let header = bytes.get(start..).and_then(|rest| rest.first_chunk::<4>());
        let (following, length) = match (next, header) {
            (protocol::HOP_BY_HOP, _) if index > 0 => return Walked::Lost,
            (protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS | protocol::ROUTING, Some(header)) => {
                let &[following, words, ..] = header;
                (following, (usize::from(words) + 1) * 8)
            }
            (protocol::FRAGMENT, Some(&[following, _, high, low])) => {
                if u16::from_be_bytes([high, low]) >> 3 != 0 {
                    return Walked::Later;
                }
                (following, 8)
            }
            (
                protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS | protocol::ROUTING | protocol::FRAGMENT,
                None,
            ) => return Walked::Lost,
            (protocol, _) => return Walked::Found { protocol, named_at, start },
        };
        next = following;
        named_at = start;
        start += length;
    }
    Walked::Lost
}
