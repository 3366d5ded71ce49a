//! The UDP header as a plain struct (RFC 768).

use super::{Checksum, protocol};
use crate::counters::Drop;
use etherparse::UdpHeaderSlice;
use std::net::IpAddr;
use std::ops::Range;

/// Bytes of the header.
pub const HEADER: usize = 8;

/// Position of the checksum field in the header.
pub const CHECKSUM_OFFSET: usize = 6;

/// A UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpHeader {
    /// Source port; 0: no answer is wanted.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Bytes of header and payload.
    pub length: u16,
    /// The checksum field; 0: there is none.
    pub checksum: u16,
}

/// Reads and verifies the datagram at the beginning of `bytes`; `verify` asks for the checksum, where there is one. Returns the header and where
/// the payload lies: what follows the length that the header states is none of it.
pub fn parse(
    source: IpAddr,
    destination: IpAddr,
    bytes: &[u8],
    verify: bool,
) -> Result<(UdpHeader, Range<usize>), Drop> {
    let slice = UdpHeaderSlice::from_slice(bytes).map_err(|_| Drop::Truncated)?;
    let header = UdpHeader {
        source: slice.source_port(),
        destination: slice.destination_port(),
        length: slice.length(),
        checksum: slice.checksum(),
    };
    let length = usize::from(header.length);
    //= https://www.rfc-editor.org/rfc/rfc768#page-2
    //# the minimum value of the length is eight. (768:page-2-1)
    let datagram = bytes.get(..length).filter(|_| length >= HEADER).ok_or(Drop::UdpLength)?;
    //= https://www.rfc-editor.org/rfc/rfc8200#section-8.1
    //# IPv6 receivers must discard UDP packets containing a zero checksum and should log the error. (8200:8.1-3)
    if header.checksum == 0 && source.is_ipv6() {
        return Err(Drop::UdpNoChecksum);
    }
    //= https://www.rfc-editor.org/rfc/rfc768#page-2
    //# An all zero transmitted checksum value means that the transmitter generated no checksum (768:page-2-4)
    if verify && header.checksum != 0 {
        let sum = Checksum::pseudo_header(source, destination, protocol::UDP, u32::from(header.length));
        //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.4
        //# If a UDP datagram is received with a checksum that is non-zero and invalid, UDP MUST silently discard the datagram. (1122:4.1.3.4-3)
        if !sum.chain([datagram]).is_valid() {
            return Err(Drop::UdpChecksum);
        }
    }
    Ok((header, HEADER..length))
}

impl UdpHeader {
    /// The bytes of the header.
    #[must_use]
    pub fn emit(&self) -> [u8; HEADER] {
        etherparse::UdpHeader {
            source_port: self.source,
            destination_port: self.destination,
            length: self.length,
            checksum: self.checksum,
        }
        .to_bytes()
    }
}

/// The checksum as it is sent: all ones stand for zero, which would say that there is none.
#[must_use]
pub const fn never_zero(checksum: u16) -> u16 {
    //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.4
    //# If the transmitter really calculates a UDP checksum of zero, it must transmit the checksum as all 1's (65535). (1122:4.1.3.4-4)
    //= https://www.rfc-editor.org/rfc/rfc768#page-2
    //# If the computed checksum is zero, it is transmitted as all ones (the equivalent in one's complement arithmetic). (768:page-2-3)
    if checksum == 0 { u16::MAX } else { checksum }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(six: bool) -> (IpAddr, IpAddr) {
        let ip = |host: u8| {
            if six { format!("2001:db8::{host}") } else { format!("192.0.2.{host}") }
                .parse()
                .expect("an address")
        };
        (ip(1), ip(2))
    }

    /// A datagram from port 7 to port 9 whose checksum is right.
    fn datagram(six: bool, payload: &[u8]) -> Vec<u8> {
        let (source, destination) = ends(six);
        let length = u16::try_from(HEADER + payload.len()).expect("a length");
        let mut header = UdpHeader { source: 7, destination: 9, length, checksum: 0 };
        let sum = Checksum::pseudo_header(source, destination, protocol::UDP, u32::from(length));
        header.checksum = never_zero(sum.chain([&header.emit()[..], payload]).finish());
        [&header.emit()[..], payload].concat()
    }

    fn read(six: bool, bytes: &[u8]) -> Result<Range<usize>, Drop> {
        let (source, destination) = ends(six);
        parse(source, destination, bytes, true).map(|(_, range)| range)
    }

    #[test]
    fn what_is_written_is_read() {
        for six in [false, true] {
            let (source, destination) = ends(six);
            for payload in [&b""[..], b"x", b"some bytes"] {
                let bytes = datagram(six, payload);
                let (header, range) = parse(source, destination, &bytes, true).expect("a datagram");
                assert_eq!((header.source, header.destination), (7, 9));
                assert_eq!(&bytes[range], payload);
                assert_eq!(header.emit(), bytes[..HEADER]);
            }
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc768#page-2
    //= type=test
    //# the minimum value of the length is eight. (768:page-2-1)
    #[test]
    fn a_length_that_cannot_be_is_a_fault_and_what_follows_it_is_cut_off() {
        for six in [false, true] {
            let mut bytes = datagram(six, b"payload");
            bytes.extend_from_slice(b"padding");
            assert_eq!(read(six, &bytes), Ok(8..15));
            for length in [0u16, 7, 23, u16::MAX] {
                let mut wrong = bytes.clone();
                wrong[4..6].copy_from_slice(&length.to_be_bytes());
                assert_eq!(read(six, &wrong), Err(Drop::UdpLength), "{length}");
            }
            assert_eq!(read(six, &bytes[..7]), Err(Drop::Truncated));
            assert_eq!(read(six, &bytes[..14]), Err(Drop::UdpLength));
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc8200#section-8.1
    //= type=test
    //# IPv6 receivers must discard UDP packets containing a zero checksum and should log the error. (8200:8.1-3)
    //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.4
    //= type=test
    //# A host MUST implement the facility to generate and validate UDP checksums. (1122:4.1.3.4-1)
    //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.4
    //= type=test
    //# If a UDP datagram is received with a checksum that is non-zero and invalid, UDP MUST silently discard the datagram. (1122:4.1.3.4-3)
    //= https://www.rfc-editor.org/rfc/rfc768#page-2
    //= type=test
    //# An all zero transmitted checksum value means that the transmitter generated no checksum (768:page-2-4)
    #[test]
    fn the_checksum_is_verified_and_may_be_absent_over_ipv4_only() {
        for six in [false, true] {
            for bit in 0..15 * 8 {
                let mut wrong = datagram(six, b"payload");
                wrong[bit / 8] ^= 1 << (bit % 8);
                let length = (32..48).contains(&bit);
                assert!(length || read(six, &wrong) == Err(Drop::UdpChecksum), "bit {bit}");
            }
            let mut absent = datagram(six, b"payload");
            absent[CHECKSUM_OFFSET..HEADER].fill(0);
            assert_eq!(read(six, &absent), if six { Err(Drop::UdpNoChecksum) } else { Ok(8..15) });
            let mut vouched = datagram(six, b"payload");
            vouched[9] ^= 1;
            let (source, destination) = ends(six);
            assert!(parse(source, destination, &vouched, false).is_ok());
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.4
    //= type=test
    //# If the transmitter really calculates a UDP checksum of zero, it must transmit the checksum as all 1's (65535). (1122:4.1.3.4-4)
    //= https://www.rfc-editor.org/rfc/rfc768#page-2
    //= type=test
    //# If the computed checksum is zero, it is transmitted as all ones (the equivalent in one's complement arithmetic). (768:page-2-3)
    #[test]
    fn a_checksum_of_zero_is_sent_as_all_ones() {
        for six in [false, true] {
            let zeroed = datagram(six, &[0, 0]);
            let field = [zeroed[6], zeroed[7]];
            let bytes = datagram(six, &field);
            assert_eq!(bytes[CHECKSUM_OFFSET..HEADER], [0xff, 0xff], "the sum of the rest is all ones");
            assert_eq!(read(six, &bytes), Ok(8..10));
        }
    }
}
