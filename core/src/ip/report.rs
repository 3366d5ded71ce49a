//! An ICMP error that has arrived: what it says, and about which packet of ours.

use super::Packet;
use crate::counters::Drop;
use crate::error::Errno;
use crate::wire::icmp;
use crate::wire::quote::{self, Quote};
use std::net::{IpAddr, SocketAddr};

/// What became of a packet of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Type of the message.
    pub kind: u8,
    /// Code of the message.
    pub code: u8,
    /// Who sent it.
    pub from: IpAddr,
    /// What type and code mean.
    pub cause: Cause,
    /// Protocol of the packet.
    pub protocol: u8,
    /// Where it came from: our end. Ports mean something for TCP and UDP only.
    pub local: SocketAddr,
    /// Where it went to.
    pub remote: SocketAddr,
    /// What follows the ports: the sequence number of TCP.
    pub seq: u32,
    /// Bytes of the whole packet.
    pub length: usize,
}

/// What an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The packet was longer than the next link on its way carries; 0 where the router does not say how much that is (RFC 792).
    TooBig {
        /// The next link's MTU, bytes.
        mtu: u32,
    },
    /// It did not arrive, or was refused: the error that Linux has for it.
    Unreachable(Errno),
}

impl Report {
    /// An error of `kind` and `code`; `rest` is the second word of its header.
    pub(super) fn new(packet: &Packet, kind: u8, code: u8, rest: [u8; 4]) -> Result<Self, Drop> {
        let quoted = packet.payload.get(icmp::HEADER..).unwrap_or_default();
        let Quote { source, destination, protocol, length, transport, .. } = quote::parse(quoted)?;
        // Who sent the packet is told of it, and nobody else.
        if source != packet.destination || source.is_ipv4() != destination.is_ipv4() {
            return Err(Drop::IcmpQuote);
        }
        let [a, b, c, d, seq @ ..] = transport;
        let cause = if source.is_ipv4() { v4(kind, code, rest) } else { v6(kind, code, rest) };
        Ok(Self {
            kind,
            code,
            from: packet.source,
            cause,
            protocol,
            local: SocketAddr::new(source, u16::from_be_bytes([a, b])),
            remote: SocketAddr::new(destination, u16::from_be_bytes([c, d])),
            seq: u32::from_be_bytes(seq),
            length,
        })
    }
}

/// RFC 792 and RFC 1122 3.2.2.1, to the errors of Linux's icmp(7).
const fn v4(kind: u8, code: u8, [_, _, high, low]: [u8; 4]) -> Cause {
    const DESTINATION_UNREACHABLE: u8 = 3;
    const PARAMETER_PROBLEM: u8 = 12;
    let errno = match (kind, code) {
        (DESTINATION_UNREACHABLE, 4) => {
            return Cause::TooBig { mtu: u16::from_be_bytes([high, low]) as u32 };
        }
        (DESTINATION_UNREACHABLE, 0 | 6 | 9 | 11) => Errno::ENETUNREACH,
        (DESTINATION_UNREACHABLE, 2) => Errno::ENOPROTOOPT,
        (DESTINATION_UNREACHABLE, 3) => Errno::ECONNREFUSED,
        (DESTINATION_UNREACHABLE, 5) => Errno::EOPNOTSUPP,
        (DESTINATION_UNREACHABLE, 7) => Errno::EHOSTDOWN,
        (DESTINATION_UNREACHABLE, 8) => Errno::ENONET,
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.5
        //# An incoming Parameter Problem message MUST be passed to the transport layer, and it MAY be reported to the user. (1122:3.2.2.5-2)
        (PARAMETER_PROBLEM, _) => Errno::EPROTO,
        _ => Errno::EHOSTUNREACH,
    };
    Cause::Unreachable(errno)
}

/// RFC 4443 section 3, to the errors of Linux's icmpv6.
const fn v6(kind: u8, code: u8, rest: [u8; 4]) -> Cause {
    const DESTINATION_UNREACHABLE: u8 = 1;
    const PACKET_TOO_BIG: u8 = 2;
    const TIME_EXCEEDED: u8 = 3;
    let errno = match (kind, code) {
        (PACKET_TOO_BIG, _) => return Cause::TooBig { mtu: u32::from_be_bytes(rest) },
        (DESTINATION_UNREACHABLE, 0) => Errno::ENETUNREACH,
        (DESTINATION_UNREACHABLE, 1 | 5 | 6) => Errno::EACCES,
        (DESTINATION_UNREACHABLE, 4) => Errno::ECONNREFUSED,
        (DESTINATION_UNREACHABLE, 2 | 3) | (TIME_EXCEEDED, _) => Errno::EHOSTUNREACH,
        _ => Errno::EPROTO,
    };
    Cause::Unreachable(errno)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::{Envelope, Fault, Heard, fault_about, hear, ingress, tcp_transmit, to_frame};
    use crate::link::Capabilities;
    use crate::wire::tcp::TcpHeader;
    use bytes::Bytes;
    use std::net::IpAddr;

    /// A TCP packet of ours with a payload of `length` bytes.
    fn packet(six: bool, length: usize) -> Vec<u8> {
        let ip = |host: u8| -> IpAddr {
            if six { format!("2001:db8::{host}") } else { format!("192.0.2.{host}") }.parse().unwrap()
        };
        let envelope = Envelope::new(ip(1), ip(2));
        let header = TcpHeader { source: 1000, destination: 80, seq: 77, ..TcpHeader::default() };
        let payload = [Bytes::from(vec![0; length])].into_iter().collect();
        to_frame(&tcp_transmit(&envelope, &header, payload, 0, &Capabilities::plain(1500))).bytes.to_vec()
    }

    fn message(packet: Vec<u8>, fault: Fault) -> Option<Packet> {
        let reporter = if packet[0] >> 4 == 6 { "2001:db8:9::9" } else { "203.0.113.9" };
        let (_, message) = fault_about(&packet.into(), fault, reporter.parse().ok(), 64)?;
        Some(ingress(&to_frame(&message)).expect("a sound packet"))
    }

    /// An ICMP error that quotes these bytes, whatever they are.
    fn quoting(six: bool, quoted: &[u8]) -> Packet {
        let mut packet = message(packet(six, 0), Fault::PortUnreachable).expect("a message");
        let kind = (packet.payload[0], packet.payload[1]);
        let header = icmp::error(packet.source, packet.destination, kind, [0; 4], quoted);
        packet.payload = [&header[..], quoted].concat().into();
        packet
    }

    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
    //= type=test
    //# Every ICMPv6 error message (type < 128) MUST include as much of the IPv6 offending (invoking) packet (the packet that caused the error) as possible without making the error message packet exceed the minimum IPv6 MTU (4443:2.4-3)
    #[test]
    fn what_is_told_is_heard() {
        let faults = [
            (Fault::PortUnreachable, Errno::ECONNREFUSED, Errno::ECONNREFUSED),
            (Fault::ProtocolUnreachable { pointer: 6 }, Errno::ENOPROTOOPT, Errno::EPROTO),
            (Fault::ParameterProblem { pointer: 1 }, Errno::EPROTO, Errno::EPROTO),
            (Fault::ReassemblyTimeout, Errno::EHOSTUNREACH, Errno::EHOSTUNREACH),
        ];
        for six in [false, true] {
            for (fault, four, errno) in faults {
                let Ok(Heard::Report(report)) = hear(&message(packet(six, 1400), fault).unwrap()) else {
                    panic!()
                };
                assert_eq!(report.cause, Cause::Unreachable(if six { errno } else { four }), "{fault:?}");
                assert_eq!((report.protocol, report.seq), (6, 77));
                assert_eq!((report.local.port(), report.remote.port()), (1000, 80));
                assert_eq!(
                    report.length,
                    1420 + if six { 40 } else { 20 },
                    "the whole packet's, not the quote's"
                );
            }
            let too_big = message(packet(six, 1400), Fault::TooBig { mtu: 1300 }).unwrap();
            assert_eq!(too_big.payload.len(), if six { 1240 } else { 556 }, "as much as may be");
            let Ok(Heard::Report(report)) = hear(&too_big) else { panic!() };
            assert_eq!(report.cause, Cause::TooBig { mtu: 1300 });
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
    //= type=test
    //# If an ICMPv6 error message of unknown type is received at its destination, it MUST be passed to the upper-layer process that originated the packet that caused the error, where this can be identified (4443:2.4-1)
    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
    //= type=test
    //# If an ICMPv6 informational message of unknown type is received, it MUST be silently discarded. (4443:2.4-2)
    #[test]
    fn an_icmpv6_error_of_a_type_that_nobody_knows_is_an_error_all_the_same() {
        for kind in [0, 5, 100, 127, 130, 200, 255] {
            let mut message = quoting(true, &packet(true, 10));
            let quoted = message.payload.slice(8..);
            let header = icmp::error(message.source, message.destination, (kind, 9), [0; 4], &quoted);
            message.payload = [&header[..], &quoted].concat().into();
            match hear(&message) {
                Ok(Heard::Report(report)) if kind < 128 => {
                    assert_eq!((report.kind, report.code, report.protocol), (kind, 9, 6));
                    assert_eq!(report.cause, Cause::Unreachable(Errno::EPROTO));
                }
                other => assert!(kind > 128 && other == Err(Drop::IcmpIgnored), "{kind}: {other:?}"),
            }
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
    //= type=test
    //# In cases where it is not possible to retrieve the upper-layer protocol type from the ICMPv6 message, the ICMPv6 message is silently dropped after any IPv6-layer processing. (4443:2.4-5)
    #[test]
    fn quotes_are_walked_safely() {
        for six in [false, true] {
            let own = packet(six, 10);
            let ip = if six { 40 } else { 20 };
            assert!(matches!(hear(&quoting(six, &own[..ip + 8])), Ok(Heard::Report(_))));
            for length in 0..ip + 8 {
                assert_eq!(hear(&quoting(six, &own[..length])), Err(Drop::IcmpQuote), "{length} bytes");
            }
            let mut foreign = own.clone();
            foreign[if six { 23 } else { 15 }] ^= 8;
            assert_eq!(hear(&quoting(six, &foreign)), Err(Drop::IcmpQuote), "not the addressee's packet");
            assert_eq!(hear(&quoting(six, &packet(!six, 10))), Err(Drop::IcmpQuote), "of the other family");
        }
        let mut later = packet(false, 10);
        later[7] = 1;
        assert_eq!(hear(&quoting(false, &later)), Err(Drop::IcmpQuote), "not the first fragment");
        let mut short = packet(false, 10);
        short[0] = 0x44;
        assert_eq!(hear(&quoting(false, &short)), Err(Drop::IcmpQuote), "a header of 16 bytes");
    }

    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
    //= type=test
    //# the upper-layer protocol type is extracted from the original packet (contained in the body of the ICMPv6 error message) and used to select the appropriate upper-layer process to handle the error. (4443:2.4-4)
    #[test]
    fn extension_headers_of_a_quote_are_stepped_over() {
        let with = |next: u8, header: &[u8]| {
            let mut bytes = packet(true, 10);
            bytes[6] = next;
            bytes.splice(40..40, header.iter().copied());
            hear(&quoting(true, &bytes))
        };
        let seq = |heard: Result<Heard, Drop>| match heard {
            Ok(Heard::Report(report)) => Some((report.protocol, report.seq)),
            _ => None,
        };
        assert_eq!(seq(with(0, &[6, 0, 1, 4, 0, 0, 0, 0])), Some((6, 77)));
        assert_eq!(seq(with(60, &[43, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0])), Some((6, 77)));
        assert_eq!(seq(with(44, &[6, 0, 0, 1, 0, 0, 0, 9])), Some((6, 77)), "the first fragment");
        assert_eq!(with(44, &[6, 0, 0, 8, 0, 0, 0, 9]), Err(Drop::IcmpQuote));
        assert_eq!(with(0, &[6, 255, 1, 4, 0, 0, 0, 0]), Err(Drop::IcmpQuote), "beyond the quote");
        let chain: Vec<u8> = [60, 0, 1, 4, 0, 0, 0, 0].repeat(9);
        assert_eq!(with(60, &chain), Err(Drop::IcmpQuote), "a chain without end");
    }

    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
    //= type=test
    //# An ICMPv6 error message MUST NOT be originated as a result of receiving the following: (e.1) An ICMPv6 error message. (4443:2.4-6)
    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
    //= type=test
    //# (e.2) An ICMPv6 redirect message (4443:2.4-7)
    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
    //= type=test
    //# (e.3) A packet destined to an IPv6 multicast address. (There are two exceptions to this rule: (1) the Packet Too Big Message (Section 3.2) to allow Path MTU discovery to work for IPv6 multicast, and (2) the Parameter Problem Message, Code 2 (Section 3.4) reporting an unrecognized IPv6 option (see Section 4.2 of [IPv6]) that has the Option Type highest-order two bits set to 10). (4443:2.4-8)
    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
    //= type=test
    //# (e.6) A packet whose source address does not uniquely identify a single node (4443:2.4-11)
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
    //= type=test
    //# An ICMP error message MUST NOT be sent as the result of receiving: * an ICMP error message (1122:3.2.2-5)
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
    //= type=test
    //# a datagram destined to an IP broadcast or IP multicast address (1122:3.2.2-6)
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
    //= type=test
    //# a non-initial fragment (1122:3.2.2-8)
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
    //= type=test
    //# a datagram whose source address does not define a single host (1122:3.2.2-9)
    #[test]
    fn nothing_is_told_about_what_must_not_be_answered() {
        let told = |six: bool, change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = packet(six, 40);
            change(&mut bytes);
            fault_about(&bytes.into(), Fault::PortUnreachable, None, 64).is_some()
        };
        assert!(told(false, &|_| {}) && told(true, &|_| {}));
        for kind in [3, 4, 5, 11, 12] {
            assert!(!told(false, &|p| (p[9], p[20]) = (1, kind)), "ICMP {kind}");
        }
        assert!(told(false, &|p| (p[9], p[20]) = (1, 8)), "an echo request may be");
        for kind in [0, 1, 2, 3, 4, 100, 127, 137] {
            assert!(!told(true, &|p| (p[6], p[40]) = (58, kind)), "ICMPv6 {kind}");
        }
        assert!(told(true, &|p| (p[6], p[40]) = (58, 128)));
        assert!(!told(false, &|p| p[7] = 1), "a later fragment");
        for address in [[224, 0, 0, 1], [255; 4], [0; 4], [127, 0, 0, 1], [240, 0, 0, 1]] {
            assert!(!told(false, &|p| p[12..16].copy_from_slice(&address)), "from {address:?}");
        }
        for address in [[224, 0, 0, 1], [255; 4]] {
            assert!(!told(false, &|p| p[16..20].copy_from_slice(&address)), "to {address:?}");
        }
        assert!(!told(true, &|p| p[24] = 0xff) && !told(true, &|p| p[8] = 0xff));
        assert!(!told(true, &|p| p[8..24].fill(0)), "from nobody");
        let mut group = packet(true, 40);
        group[24] = 0xff;
        assert!(message(group, Fault::TooBig { mtu: 1280 }).is_some(), "path MTU of multicast");
    }
}
