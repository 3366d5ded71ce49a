//! Packets through ingress and egress.

mod echo;
mod problems;

use super::*;
use crate::config::IpConfig;
use crate::counters::{Counters, Drop};
use crate::link::{Capabilities, Frame, FrameMeta, ReceivedChecksum, SentChecksum, Transmit};
use crate::time::Instant;
use crate::wire::tcp::{self, Flags, TcpHeader};
use crate::wire::{Checksum, checksum};
use proptest::prelude::*;
use smallvec::smallvec;
use std::collections::VecDeque;

const PLAIN: Capabilities = Capabilities::plain(1500);
const OFFLOAD: Capabilities = Capabilities { mtu: 1500, checksum: true, tso4: true, tso6: true, queue: None };

fn envelope(v6: bool) -> Envelope {
    let address = |host| if v6 { format!("2001:db8::{host}") } else { format!("192.0.2.{host}") };
    Envelope::new(address(1).parse().unwrap(), address(2).parse().unwrap())
}

fn header() -> TcpHeader {
    TcpHeader { source: 1000, destination: 80, seq: 1, flags: Flags::ACK, ..Default::default() }
}

/// A whole TCP packet of the family with 10 bytes of payload.
fn packet(v6: bool) -> Vec<u8> {
    let payload = smallvec![Bytes::from_static(b"0123456789")];
    to_frame(&tcp_transmit(&envelope(v6), &header(), payload, 0, &PLAIN)).bytes.to_vec()
}

fn frame(bytes: Vec<u8>) -> Frame {
    Frame { bytes: bytes.into(), meta: FrameMeta::default() }
}

/// The IPv4 packet changed, its header checksum made good again.
fn v4(change: impl FnOnce(&mut Vec<u8>)) -> Result<Packet, Drop> {
    let mut bytes = packet(false);
    change(&mut bytes);
    let length = usize::from(bytes[0] & 15) * 4;
    if let Some(header) = bytes.get_mut(..length.max(20)) {
        header[10..12].fill(0);
        let sum = checksum(header).to_be_bytes();
        header[10..12].copy_from_slice(&sum);
    }
    ingress(&frame(bytes))
}

/// The IPv4 packet with these options, whole words of them.
fn v4_options(options: &[u8]) -> Result<Packet, Drop> {
    v4(|b| {
        b.splice(20..20, options.iter().copied());
        b[0] = 0x45 + (options.len() / 4) as u8;
        b[3] += options.len() as u8;
    })
}

fn v6(change: impl FnOnce(&mut Vec<u8>)) -> Result<Packet, Drop> {
    let mut bytes = packet(true);
    change(&mut bytes);
    ingress(&frame(bytes))
}

/// The IPv6 packet with extension headers: their numbers and their bytes behind the number of the next.
fn v6_extensions(extensions: &[(u8, &[u8])]) -> Result<Packet, Drop> {
    v6(|b| {
        let mut chain = Vec::new();
        let next = extensions.iter().skip(1).map(|(number, _)| *number).chain([6]);
        for ((_, bytes), next) in extensions.iter().zip(next) {
            chain.push(next);
            chain.extend_from_slice(bytes);
        }
        b[6] = extensions[0].0;
        b[5] += chain.len() as u8;
        b.splice(40..40, chain);
    })
}

//= https://www.rfc-editor.org/rfc/rfc791#section-3.1
//= type=test
//# The checksum field is the 16 bit one's complement of the one's complement sum of all 16 bit words in the header. (791:3.1-7)
#[test]
fn valid_packets_pass() {
    for six in [false, true] {
        let packet = ingress(&frame(packet(six))).unwrap();
        assert_eq!(packet.source, envelope(six).source);
        assert_eq!(packet.destination, envelope(six).destination);
        assert_eq!((packet.protocol, packet.hop_limit, packet.traffic_class), (6, 64, 0));
        assert_eq!(packet.payload.len(), 30);
    }
}

//= https://www.rfc-editor.org/rfc/rfc8200#section-3
//= type=test
//# A node that is the destination of a packet should not discard a packet with Hop Limit equal to zero; it should process the packet normally. (8200:3-1)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.7
//= type=test
//# A host MUST NOT discard a datagram just because it was received with TTL less than 2. (1122:3.2.1.7-2)
#[test]
fn a_packet_at_the_end_of_its_hops_has_arrived() {
    for hops in [0, 1] {
        assert_eq!(v4(|b| b[8] = hops).unwrap().hop_limit, hops);
        assert_eq!(v6(|b| b[7] = hops).unwrap().hop_limit, hops);
    }
}

#[test]
fn every_reason_to_drop_ipv4() {
    use Drop::*;
    assert_eq!(ingress(&frame(Vec::new())).unwrap_err(), Truncated);
    assert_eq!(v4(|b| b.truncate(19)).unwrap_err(), Truncated);
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.1
    //= type=test
    //# A datagram whose version number is not 4 MUST be silently discarded. (1122:3.2.1.1-1)
    assert_eq!(v4(|b| b[0] = 0x05).unwrap_err(), IpVersion);
    assert_eq!(v4(|b| b[0] = 0x55).unwrap_err(), IpVersion);
    assert_eq!(v4(|b| b[0] = 0xf5).unwrap_err(), IpVersion);
    //= https://www.rfc-editor.org/rfc/rfc791#section-3.1
    //= type=test
    //# the minimum value for a correct header is 5. (791:3.1-1)
    assert_eq!(v4(|b| b[0] = 0x44).unwrap_err(), IpHeaderLength);
    assert_eq!(v4(|b| b[0] = 0x40).unwrap_err(), IpHeaderLength);
    assert_eq!(v4(|b| (b[0] = 0x4f, b.truncate(40)).1).unwrap_err(), IpHeaderLength);
    assert_eq!(v4(|b| b[3] = 19).unwrap_err(), IpTotalLength);
    assert_eq!(v4(|b| b[3] += 1).unwrap_err(), IpTotalLength);
    assert_eq!(v4(|b| b[2..4].fill(0)).unwrap_err(), IpTotalLength);
    assert_eq!(v4(|b| b[2..4].fill(0xff)).unwrap_err(), IpTotalLength);
    assert_eq!(v4(|b| b[6] = 0x20).unwrap_err(), IpFragment);
    assert_eq!(v4(|b| b[7] = 1).unwrap_err(), IpFragment);
    assert_eq!(v4(|b| b[6] = 0x1f).unwrap_err(), IpFragment);
    for address in
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
        //= type=test
        //# (g) { 127, <any> } Internal host loopback address. Addresses of this form MUST NOT appear outside a host. (1122:3.2.1.3-7)
        [
            [0, 0, 0, 0],
            [0, 1, 2, 3],
            [127, 0, 0, 1],
            [127, 9, 9, 9],
            [240, 0, 0, 1],
            [255, 255, 255, 254],
        ]
    {
        assert_eq!(v4(|b| b[12..16].copy_from_slice(&address)).unwrap_err(), IpMartian, "from {address:?}");
        assert_eq!(v4(|b| b[16..20].copy_from_slice(&address)).unwrap_err(), IpMartian, "to {address:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.2
//= type=test
//# A host MUST verify the IP header checksum on every received datagram and silently discard every datagram that has a bad checksum. (1122:3.2.1.2-1)
#[test]
fn every_flipped_bit_of_an_ipv4_header_is_found() {
    // The first byte says which protocol it is: it has reasons of its own.
    for bit in 8..160 {
        let mut bytes = packet(false);
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(ingress(&frame(bytes)).unwrap_err(), Drop::IpChecksum, "bit {bit}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2
//= type=test
//# a TCP implementation MUST ignore options that it does not understand (MUST-50).
//= https://www.rfc-editor.org/rfc/rfc791#section-3.2
//= type=test
//# each internet module must be able to parse every option. (791:3.2-10)
#[test]
fn ipv4_options_are_walked() {
    use Drop::*;
    let passes = |options: &[u8]| v4_options(options).map(|packet| packet.payload.len());
    assert_eq!(passes(&[1, 1, 1, 0]), Ok(30));
    assert_eq!(passes(&[0, 9, 9, 9]), Ok(30), "nothing counts behind the end");
    assert_eq!(passes(&[7, 7, 4, 0, 0, 0, 0, 0]), Ok(30), "record route");
    assert_eq!(passes(&[148, 4, 0, 0]), Ok(30), "router alert");
    assert_eq!(passes(&[200, 2, 222, 2]), Ok(30), "unknown ones");
    assert_eq!(passes(&[131, 7, 4, 0, 0, 0, 0, 0]), Err(IpSourceRoute));
    assert_eq!(passes(&[1, 137, 7, 4, 0, 0, 0, 0]), Err(IpSourceRoute));
    assert_eq!(passes(&[7, 0, 0, 0]), Err(IpOptions));
    assert_eq!(passes(&[7, 1, 0, 0]), Err(IpOptions));
    assert_eq!(passes(&[7, 5, 0, 0]), Err(IpOptions));
    assert_eq!(passes(&[1, 1, 1, 7]), Err(IpOptions), "a kind without a length");
}

#[test]
fn every_reason_to_drop_ipv6() {
    use Drop::*;
    assert_eq!(v6(|b| b.truncate(39)).unwrap_err(), Truncated);
    assert_eq!(v6(|b| b[0] = 0x70).unwrap_err(), IpVersion);
    assert_eq!(v6(|b| b[5] += 1).unwrap_err(), IpTotalLength);
    assert_eq!(v6(|b| b.truncate(69)).unwrap_err(), IpTotalLength);
    assert_eq!(v6(|b| b[6] = 59).unwrap_err(), IpProtocol);
    for address in ["::", "::1", "::ffff:192.0.2.1"] {
        let octets = address.parse::<std::net::Ipv6Addr>().unwrap().octets();
        assert_eq!(v6(|b| b[8..24].copy_from_slice(&octets)).unwrap_err(), IpMartian, "from {address}");
        assert_eq!(v6(|b| b[24..40].copy_from_slice(&octets)).unwrap_err(), IpMartian, "to {address}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc8200#section-4.1
//= type=test
//# IPv6 nodes must accept and attempt to process extension headers in any order and occurring any number of times in the same packet, except for the Hop-by-Hop Options header, which is restricted to appear immediately after an IPv6 header only. (8200:4.1-2)
//= https://www.rfc-editor.org/rfc/rfc8200#section-4.2
//= type=test
//# These padding options must be recognized by all IPv6 implementations (8200:4.2-4)
#[test]
fn ipv6_extension_headers_are_walked() {
    use Drop::*;
    let passes = |extensions: &[(u8, &[u8])]| {
        v6_extensions(extensions).map(|packet| (packet.protocol, packet.payload.len()))
    };
    let pad: &[u8] = &[0, 1, 4, 0, 0, 0, 0];
    let good = Ok((6, 30));
    assert_eq!(passes(&[(0, pad)]), good);
    assert_eq!(passes(&[(60, pad)]), good);
    assert_eq!(passes(&[(0, pad), (60, pad), (43, &[0, 0, 0, 0, 0, 0, 0]), (60, pad)]), good);
    assert_eq!(passes(&[(0, &[0, 0, 0, 0, 0, 0, 0])]), good, "Pad1 only");
    assert_eq!(passes(&[(0, &[0, 5, 2, 0, 0, 1, 0])]), good, "router alert may be skipped");
    assert_eq!(passes(&[(60, &[1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]), good, "sixteen bytes");
    assert_eq!(passes(&[(60, pad), (0, pad)]), Err(IpOptions), "hop-by-hop is first only");
    assert_eq!(passes(&[(0, pad), (0, pad)]), Err(IpOptions), "and once");
    assert_eq!(passes(&[(0, &[0, 1, 5, 0, 0, 0, 0])]), Err(IpOptions), "beyond the header");
    assert_eq!(passes(&[(0, &[0, 1, 3, 0, 0, 0, 7])]), Err(IpOptions), "a type without a length");
    assert_eq!(passes(&[(0, &[200, 1, 4, 0, 0, 0, 0])]), Err(IpOptions), "beyond the packet");
    for kind in [0x5e, 0x9e, 0xc2] {
        assert_eq!(passes(&[(60, &[0, kind, 4, 0, 0, 0, 0])]), Err(IpOptionUnknown), "{kind}");
    }
    assert_eq!(passes(&[(60, &[0, 0x1e, 4, 0, 0, 0, 0])]), good, "unknown and to be skipped");
    assert_eq!(passes(&[(43, &[0, 0, 1, 0, 0, 0, 0])]), Err(IpSourceRoute), "type 0");
    assert_eq!(passes(&[(43, &[0, 4, 1, 0, 0, 0, 0])]), Err(IpSourceRoute), "segment routing");
    //= https://www.rfc-editor.org/rfc/rfc6946#section-4
    //= type=test
    //# A received atomic fragment should be "reassembled" from the contents of that sole fragment. (6946:4-2)
    assert_eq!(passes(&[(44, &[0, 0, 0, 0, 0, 0, 7])]), good, "an atomic fragment");
    assert_eq!(passes(&[(44, &[0, 0, 1, 0, 0, 0, 7])]), Err(IpFragment), "more to come");
    assert_eq!(passes(&[(44, &[0, 0, 8, 0, 0, 0, 7])]), Err(IpFragment), "not the first");
    assert_eq!(passes(&[(60, pad); 9]), Err(IpOptions), "too many");
    let cut = v6(|b| {
        b.truncate(44);
        b[5] = 4;
        b[6] = 60;
    });
    assert_eq!(cut.unwrap_err(), IpOptions);
}

#[test]
fn padding_behind_the_packet_is_trimmed() {
    for six in [false, true] {
        let mut bytes = packet(six);
        bytes.extend([0; 14]);
        assert_eq!(ingress(&frame(bytes)).unwrap().payload.len(), 30);
    }
}

#[test]
fn what_the_stack_sends_itself_may_be_loopback() {
    let loopback = |address: &str| Envelope {
        source: address.parse().unwrap(),
        destination: address.parse().unwrap(),
        ..envelope(false)
    };
    for address in ["127.0.0.1", "::1"] {
        let transmit = tcp_transmit(&loopback(address), &header(), Payload::new(), 0, &PLAIN);
        assert_eq!(ingress(&to_frame(&transmit)).unwrap_err(), Drop::IpMartian);
        assert!(look_looped(&to_frame(&transmit)).is_ok());
    }
}

#[test]
fn a_partial_checksum_is_the_pseudo_headers() {
    for six in [false, true] {
        let transmit =
            tcp_transmit(&envelope(six), &header(), smallvec![Bytes::from_static(b"odd")], 0, &OFFLOAD);
        let start: u16 = if six { 40 } else { 20 };
        assert_eq!(transmit.checksum, SentChecksum::Partial { start, offset: 16 });
        let pseudo = Checksum::pseudo_header(envelope(six).source, envelope(six).destination, 6, 23);
        let at = usize::from(start) + 16;
        assert_eq!(transmit.head[at..at + 2], pseudo.folded().to_be_bytes());
        let mut done = VecDeque::new();
        segment(&transmit, &mut done);
        let plain = tcp_transmit(&envelope(six), &header(), transmit.payload.clone(), 0, &PLAIN);
        assert_eq!(done[0].head, plain.head);
        assert_eq!(to_frame(&transmit).meta.checksum, ReceivedChecksum::Valid);
        assert_eq!(to_frame(&plain).meta.checksum, ReceivedChecksum::Unverified);
    }
}

//= https://www.rfc-editor.org/rfc/rfc791#section-2.3
//= type=test
//# The originating protocol module of a complete datagram sets the more-fragments flag to zero and the fragment offset to zero. (791:2.3-6)
//= https://www.rfc-editor.org/rfc/rfc791#section-3.1
//= type=test
//# Bit 0: reserved, must be zero (791:3.1-4)
#[test]
fn ipv4_packets_are_atomic_datagrams() {
    let transmit = tcp_transmit(&envelope(false), &header(), Payload::new(), 0, &PLAIN);
    assert_eq!(transmit.head[4..8], [0, 0, 0x40, 0], "identification 0, don't fragment");
}

#[test]
fn a_payload_of_one_segment_is_no_super_frame() {
    let payload: Payload = smallvec![Bytes::from_static(&[7; 1000])];
    assert_eq!(tcp_transmit(&envelope(false), &header(), payload.clone(), 1000, &OFFLOAD).gso_size, 0);
    let super_frame = tcp_transmit(&envelope(false), &header(), payload, 999, &PLAIN);
    assert_eq!(super_frame.gso_size, 999);
    assert!(matches!(super_frame.checksum, SentChecksum::Partial { .. }));
}

/// Cuts one payload at many places, so that slices and segments never line up.
fn slices(payload: &Bytes, cuts: &[usize]) -> Payload {
    let mut rest = payload.clone();
    let mut chain: Payload = cuts.iter().map(|cut| rest.split_to((*cut).min(rest.len()))).collect();
    chain.push(rest);
    chain
}

fn tcp_of(transmit: &Transmit) -> (TcpHeader, Bytes) {
    let packet = ingress(&to_frame(transmit)).unwrap();
    let (header, start) = tcp::parse(packet.source, packet.destination, &packet.payload, true).unwrap();
    (header, packet.payload.slice(start..))
}

proptest! {
    #[test]
    fn super_frames_are_cut_as_the_kernel_does(
        length in 2usize..20_000,
        gso_size in 1u16..3000,
        cuts in proptest::collection::vec(0usize..5000, 0..12),
        seq: u32,
        flags in 0u8..=255,
        six: bool,
        timestamps: Option<(u32, u32)>,
    ) {
        let gso_size = gso_size.max((length / 40) as u16 + 1);
        let flags = Flags(flags & !0x06 | 0x10);
        let payload = Bytes::from((0..length).map(|i| (i * 7 + i / 251) as u8).collect::<Vec<_>>());
        let options = tcp::TcpOptions { timestamps, ..Default::default() };
        let header = TcpHeader { seq, flags, options, ..header() };
        let e = envelope(six);
        let whole = tcp_transmit(&e, &header, slices(&payload, &cuts), gso_size, &OFFLOAD);
        let mut out = VecDeque::new();
        segment(&whole, &mut out);
        prop_assert_eq!(out.len(), length.div_ceil(gso_size.into()));

        let mut stream = Vec::new();
        for (index, part) in out.iter().enumerate() {
            prop_assert_eq!(part.checksum, SentChecksum::Complete);
            prop_assert_eq!(part.gso_size, 0);
            let (first, last) = (index == 0, index + 1 == out.len());
            let (parsed, bytes) = tcp_of(part);
            prop_assert_eq!(parsed.seq, seq.wrapping_add(stream.len() as u32));
            let mut expected = flags.0;
            expected &= if last { 0xff } else { !(Flags::FIN.0 | Flags::PSH.0) };
            expected &= if first { 0xff } else { !Flags::CWR.0 };
            prop_assert_eq!(parsed.flags, Flags(expected));
            prop_assert_eq!(&parsed.options, &header.options);
            prop_assert_eq!(bytes.len(), if last { length - stream.len() } else { gso_size.into() });
            if !six {
                prop_assert_eq!(&part.head[4..6], &(index as u16).to_be_bytes());
            }
            stream.extend_from_slice(&bytes);
        }
        prop_assert_eq!(&stream[..], &payload[..]);

        let again = crate::link::segment::from_frame(&to_frame(&whole));
        let mut received = VecDeque::new();
        segment(&again, &mut received);
        prop_assert_eq!(received.len(), out.len());
        for (left, right) in received.iter().zip(&out) {
            prop_assert_eq!(&left.head, &right.head);
            prop_assert_eq!(&to_frame(left).bytes, &to_frame(right).bytes);
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc8200#section-8.1
    //= type=test
    //# Any transport or other upper-layer protocol that includes the addresses from the IP header in its checksum computation must be modified for use over IPv6, to include the 128-bit IPv6 addresses instead of 32-bit IPv4 addresses. (8200:8.1-1)
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.6
    //= type=test
    //# The IP layer SHOULD pass received TOS values up to the transport layer. (1122:3.2.1.6-2)
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
    //= type=test
    //# The TCP checksum is never optional. The sender MUST generate it (MUST-2)
    #[test]
    fn what_is_sent_is_received(
        seq: u32, ack: u32, flags: u8, window: u16, urgent: u16, hop_limit: u8, traffic_class: u8, six: bool,
        flow_label in 0u32..1 << 20, identification: Option<u16>,
        payload in proptest::collection::vec(any::<u8>(), 0..1400),
        cuts in proptest::collection::vec(0usize..100, 0..5),
    ) {
        let header = TcpHeader {
            seq, ack, flags: Flags(flags & !0x04), window, urgent, ..header()
        };
        let e = Envelope { hop_limit, traffic_class, flow_label, identification, ..envelope(six) };
        let payload = Bytes::from(payload);
        let transmit = tcp_transmit(&e, &header, slices(&payload, &cuts), 0, &PLAIN);
        let frame = to_frame(&transmit);
        let packet = ingress(&frame).unwrap();
        prop_assert_eq!((packet.hop_limit, packet.traffic_class), (hop_limit, traffic_class));
        prop_assert_eq!(tcp_of(&transmit), (header, payload));

        let sliced = etherparse::SlicedPacket::from_ip(&frame.bytes).unwrap();
        let Some(etherparse::TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
        let theirs = match sliced.net.unwrap() {
            etherparse::NetSlice::Ipv4(ip) => {
                prop_assert_eq!(ip.header().header_checksum(), ip.header().to_header().calc_header_checksum());
                prop_assert_eq!(ip.header().identification(), identification.unwrap_or(0));
                prop_assert_eq!(ip.header().dont_fragment(), identification.is_none());
                tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()).unwrap()
            }
            etherparse::NetSlice::Ipv6(ip) => {
                prop_assert_eq!(ip.header().flow_label().value(), flow_label);
                tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()).unwrap()
            }
            other => panic!("{other:?}"),
        };
        prop_assert_eq!(tcp.checksum(), theirs);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 3u8..8) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = version << 4 | *first & 15;
        }
        take_all(bytes);
    }

    #[test]
    fn no_change_of_a_packet_makes_it_panic(
        changes in proptest::collection::vec((0usize..110, any::<u8>()), 1..8),
        cut: Option<u8>,
        six: bool,
    ) {
        let mut bytes = packet(six);
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut.map_or(bytes.len(), usize::from));
        if !six && bytes.len() >= 20 {
            bytes[10..12].fill(0);
            let length = (usize::from(bytes[0] & 15) * 4).min(bytes.len());
            let sum = checksum(&bytes[..length]).to_be_bytes();
            bytes[10..12].copy_from_slice(&sum);
        }
        take_all(bytes);
    }
}

/// Everything that reads received bytes.
fn take_all(bytes: Vec<u8>) {
    let length = bytes.len();
    let bytes = Bytes::from(bytes);
    for (checksum, gso_size) in [(ReceivedChecksum::Unverified, 0), (ReceivedChecksum::Valid, 5)] {
        let frame = Frame { bytes: bytes.clone(), meta: FrameMeta { checksum, gso_size } };
        if let Ok(packet) = ingress(&frame) {
            assert!(packet.payload.len() <= length);
            let _ = tcp::parse(packet.source, packet.destination, &packet.payload, true);
            let _ = tcp::parse(packet.source, packet.destination, &packet.payload, false);
            let _ = echo::answer(&packet, 1500);
        }
        let mut out = VecDeque::new();
        segment(&crate::link::segment::from_frame(&frame), &mut out);
        assert!(!out.is_empty());
        crate::link::pcap::received(&mut Vec::new(), 0, &frame);
    }
}

//= https://www.rfc-editor.org/rfc/rfc8200#section-5
//= type=test
//# the node must be able to accept packets as large as that link's MTU. (8200:5-3)
#[test]
fn a_super_frame_of_64_kib_passes_whole() {
    for six in [false, true] {
        let limit = if six { 65_535 - 60 } else { 65_535 - 40 };
        let payload: Payload = smallvec![Bytes::from(vec![9; limit])];
        let transmit = tcp_transmit(&envelope(six), &header(), payload, 1460, &OFFLOAD);
        let frame = to_frame(&transmit);
        assert_eq!(frame.meta, FrameMeta { checksum: ReceivedChecksum::Valid, gso_size: 1460 });
        let before = frame.bytes.as_ptr_range();
        let packet = ingress(&frame).unwrap();
        assert_eq!(packet.payload.len(), limit + 20);
        assert!(before.contains(&packet.payload.as_ptr()), "a slice, not a copy");
    }
}
