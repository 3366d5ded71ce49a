//! Echo requests, and what is answered.

use super::*;

fn echo(six: bool, data: &[u8]) -> Packet {
    let e = envelope(six);
    let mut payload = vec![if six { 128 } else { 8 }, 0, 0, 0, 0x12, 0x34, 0, 7];
    payload.extend_from_slice(data);
    let base = match six {
        true => Checksum::pseudo_header(e.source, e.destination, 58, payload.len() as u32),
        false => Checksum::default(),
    };
    let sum = base.chain([&payload[..]]).finish().to_be_bytes();
    payload[2..4].copy_from_slice(&sum);
    Packet {
        source: e.source,
        destination: e.destination,
        protocol: if six { 58 } else { 1 },
        hop_limit: 3,
        traffic_class: 0x28,
        payload: payload.into(),
        meta: FrameMeta::default(),
    }
}

/// What the stack answers to an echo request.
pub(super) fn answer(packet: &Packet, mtu: usize) -> Result<VecDeque<Transmit>, Drop> {
    match hear(packet)? {
        Heard::Echo(identity) => Ok(echo_reply(packet, identity, 64, mtu, || 0xabcd_1234)),
        Heard::Report(report) => panic!("{report:?}"),
    }
}

//= https://www.rfc-editor.org/rfc/rfc4443#section-2.3
//= type=test
//# The checksum is the 16-bit one's complement of the one's complement sum of the entire ICMPv6 message, starting with the ICMPv6 message type field, and prepended with a "pseudo-header" of IPv6 header fields (4443:2.3-1)
//= https://www.rfc-editor.org/rfc/rfc4443#section-4.2
//= type=test
//# The source address of an Echo Reply sent in response to a unicast Echo Request message MUST be the same as the destination address of that Echo Request message. (4443:4.2-3)
//= https://www.rfc-editor.org/rfc/rfc792#page-4
//= type=test
//# The checksum is the 16-bit ones's complement of the one's complement sum of the ICMP message starting with the ICMP Type. (792:page-4-1)
//= https://www.rfc-editor.org/rfc/rfc792#page-14
//= type=test
//# To form an echo reply message, the source and destination addresses are simply reversed, the type code changed to 0, and the checksum recomputed. (792:page-14-1)
//= https://www.rfc-editor.org/rfc/rfc792#page-15
//= type=test
//# The echoer returns these same values in the echo reply. (792:page-15-1)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.6
//= type=test
//# The IP source address in an ICMP Echo Reply MUST be the same as the specific-destination address (defined in Section 3.2.1.3) of the corresponding ICMP Echo Request message. (1122:3.2.2.6-4)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.6
//= type=test
//# Data received in an ICMP Echo Request MUST be entirely included in the resulting Echo Reply. (1122:3.2.2.6-5)
#[test]
fn echo_is_answered_whole() {
    for six in [false, true] {
        for data in [&b""[..], b"odd", &[0xab; 1400]] {
            let request = echo(six, data);
            let replies = answer(&request, 1500).unwrap();
            assert_eq!(replies.len(), 1);
            let reply = to_frame(&replies[0]);
            let packet = ingress(&reply).unwrap();
            assert_eq!((packet.source, packet.destination), (request.destination, request.source));
            assert_eq!((packet.hop_limit, packet.traffic_class), (64, 0x28));
            assert_eq!(packet.payload[..2], [if six { 129 } else { 0 }, 0]);
            assert_eq!(packet.payload[4..], request.payload[4..]);
            let sliced = etherparse::SlicedPacket::from_ip(&reply.bytes).unwrap();
            match sliced.transport.unwrap() {
                etherparse::TransportSlice::Icmpv4(icmp) => assert_eq!(checksum(icmp.slice()), 0),
                etherparse::TransportSlice::Icmpv6(icmp) => {
                    let octets = |address: IpAddr| address.to_string().parse::<std::net::Ipv6Addr>().unwrap();
                    let (source, destination) = (octets(packet.source), octets(packet.destination));
                    assert!(icmp.is_checksum_valid(source.octets(), destination.octets()));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc4443#section-4.2
//= type=test
//# The data received in the ICMPv6 Echo Request message MUST be returned entirely and unmodified in the ICMPv6 Echo Reply message. (4443:4.2-6)
#[test]
fn echo_beyond_the_mtu_is_answered_whole_in_fragments() {
    for six in [false, true] {
        let request = echo(six, &(0..4000).map(|n| n as u8).collect::<Vec<_>>());
        let replies = answer(&request, 1280).unwrap();
        assert_eq!(replies.len(), 4);
        let mut reassembly = Reassembly::new(&IpConfig::default());
        let mut whole = None;
        for reply in &replies {
            let frame = to_frame(reply);
            assert!(frame.bytes.len() <= 1280);
            let Arrival::Part(part) = arrival(&frame).unwrap() else { panic!("no fragment") };
            whole = reassembly.add(Instant::ZERO, part, &mut Counters::default()).unwrap();
        }
        let (packet, _) = whole.expect("all of it");
        assert_eq!((packet.source, packet.destination), (request.destination, request.source));
        assert_eq!(packet.payload[..2], [if six { 129 } else { 0 }, 0]);
        assert_eq!(packet.payload[4..], request.payload[4..]);
    }
}

#[test]
fn echo_that_is_not_answered() {
    for six in [false, true] {
        let reply = |change: &dyn Fn(&mut Packet)| {
            let mut packet = echo(six, b"data");
            change(&mut packet);
            answer(&packet, 1500).map(|reply| !reply.is_empty())
        };
        assert_eq!(reply(&|_| {}), Ok(true));
        assert_eq!(reply(&|p| p.protocol = 17), Err(Drop::IpProtocol));
        assert_eq!(reply(&|p| p.payload.truncate(7)), Err(Drop::IcmpMalformed));
        assert_eq!(reply(&|p| p.payload.truncate(11)), Err(Drop::IcmpChecksum));
        let resum = |p: &mut Packet, kind: u8, code: u8| {
            let mut bytes = p.payload.to_vec();
            let before = u16::from_be_bytes([bytes[0], bytes[1]]);
            bytes[..2].copy_from_slice(&[kind, code]);
            let after = u16::from_be_bytes([kind, code]);
            let field = u16::from_be_bytes([bytes[2], bytes[3]]);
            let mut sum = u32::from(!field) + u32::from(!before) + u32::from(after);
            sum = (sum & 0xffff) + (sum >> 16);
            sum = (sum & 0xffff) + (sum >> 16);
            bytes[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
            p.payload = bytes.into();
        };
        let (request, response) = if six { (128, 129) } else { (8, 0) };
        assert_eq!(reply(&|p| resum(p, request, 1)), Err(Drop::IcmpMalformed));
        assert_eq!(reply(&|p| resum(p, response, 0)), Err(Drop::IcmpIgnored));
        assert_eq!(reply(&|p| resum(p, 3, 0)), Err(Drop::IcmpQuote), "an error that quotes no packet");
        let redirect = if six { 137 } else { 5 };
        assert_eq!(reply(&|p| resum(p, redirect, 0)), Err(Drop::IcmpIgnored));
    }
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.6
    //= type=test
    //# An ICMP Echo Request destined to an IP broadcast or IP multicast address MAY be silently discarded. (1122:3.2.2.6-3)
    let mut to_everyone = echo(false, b"");
    to_everyone.destination = "255.255.255.255".parse().unwrap();
    assert!(answer(&to_everyone, 1500).unwrap().is_empty());
    to_everyone.destination = "224.0.0.1".parse().unwrap();
    assert!(answer(&to_everyone, 1500).unwrap().is_empty());
}
