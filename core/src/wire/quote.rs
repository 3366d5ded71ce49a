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
    /// Where its number stands.
    pub protocol_at: u32,
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
        protocol_at: 9,
        length: usize::from(u16::from_be_bytes([header[2], header[3]])),
        transport: *bytes.get(start..)?.first_chunk()?,
    })
}

fn v6(bytes: &[u8]) -> Option<Quote> {
    let header = bytes.first_chunk::<{ ipv6::HEADER }>()?;
    let address = |at: usize| Some(Ipv6Addr::from(*header.get(at..)?.first_chunk::<16>()?));
    let (protocol, at, start) = walk(bytes, header[6])?;
    Some(Quote {
        source: IpAddr::V6(address(8)?),
        destination: IpAddr::V6(address(24)?),
        protocol,
        protocol_at: u32::try_from(at).unwrap_or(0),
        length: ipv6::HEADER + usize::from(u16::from_be_bytes([header[4], header[5]])),
        transport: *bytes.get(start..)?.first_chunk()?,
    })
}

/// Steps over the extension headers; the protocol behind them, where its number stands, and where it begins.
fn walk(bytes: &[u8], mut next: u8) -> Option<(u8, usize, usize)> {
    let (mut at, mut start) = (6, ipv6::HEADER);
    for _ in 0..EXTENSIONS_MAX {
        let header = || bytes.get(start..).and_then(|rest| rest.first_chunk::<4>());
        let (following, length) = match next {
            protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS | protocol::ROUTING => {
                let &[following, words, ..] = header()?;
                (following, (usize::from(words) + 1) * 8)
            }
            protocol::FRAGMENT => {
                let &[following, _, high, low] = header()?;
                if u16::from_be_bytes([high, low]) >> 3 != 0 {
                    return None;
                }
                (following, 8)
            }
            protocol => return Some((protocol, at, start)),
        };
        next = following;
        at = start;
        start += length;
    }
    None
}
