//! What a stack does with packets that are for nobody, from nowhere, or not for it: a named drop, or the answer an RFC asks for.

mod world;

use std::net::IpAddr;
use usertcp_core::counters::Drop;
use usertcp_core::ip::{self, Envelope, Payload};
use usertcp_core::link::{Capabilities, Frame, FrameMeta, Transmit};
use usertcp_core::stack::Stack;
use usertcp_core::time::Instant;
use usertcp_core::trace::Log;
use usertcp_core::wire::tcp::{Flags, TcpHeader, parse};
use world::*;

const NOW: Instant = Instant::from_millis(5_000);

fn stack() -> Stack {
    Stack::new(config(SERVER), Capabilities::plain(1500), Log::new(None)).expect("a stack")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn segment(source: &str, destination: &str, flags: Flags, payload: &'static [u8]) -> Frame {
    let envelope = Envelope { hop_limit: 9, ..Envelope::new(ip(source), ip(destination)) };
    let header = TcpHeader {
        source: 1234,
        destination: 80,
        seq: 1000,
        ack: if flags.has(Flags::ACK) { 7000 } else { 0 },
        flags,
        window: 500,
        ..TcpHeader::default()
    };
    let mut chain = Payload::new();
    if !payload.is_empty() {
        chain.push(payload.into());
    }
    ip::to_frame(&ip::tcp_transmit(&envelope, &header, chain, 0, &Capabilities::plain(1500)))
}

fn answers(stack: &mut Stack) -> Vec<Transmit> {
    std::iter::from_fn(|| stack.poll_transmit(NOW)).collect()
}

/// The TCP header of an answer.
fn header(answer: &Transmit) -> TcpHeader {
    let packet = ip::ingress(&ip::to_frame(answer)).expect("a sound packet");
    parse(packet.source, packet.destination, &packet.payload, true).expect("a sound segment").0
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.1
//= type=test
//# The host software MUST NOT automatically move into gateway mode if the host has more than one interface (1122:3.1-5)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
//= type=test
//# A host MUST silently discard an incoming datagram that is not destined for the host. (1122:3.2.1.3-10)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
//= type=test
//# A host MUST silently discard an incoming datagram containing an IP source address that is invalid by the rules of this section. (1122:3.2.1.3-11)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.6
//= type=test
//# A host MUST recognize any of these forms in the destination address of an incoming datagram. (1122:3.3.6-1)
#[test]
fn addresses_that_make_no_sense_are_dropped_by_name_and_without_a_word() {
    let (client, server) = ("192.0.2.1", "192.0.2.2");
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.3
    //= type=test
    //# A TCP implementation MUST silently discard an incoming SYN segment that is addressed to a broadcast or multicast address [(MUST-57)].
    //# An incoming SYN with an invalid source address MUST be ignored either by TCP or by the IP layer [(MUST-63)]
    let table = [
        (client, "192.0.2.255", Drop::IpGroup),
        (client, "255.255.255.255", Drop::IpGroup),
        (client, "224.0.0.1", Drop::IpGroup),
        (client, "192.0.2.3", Drop::IpNotOurs),
        (client, "127.0.0.1", Drop::IpMartian),
        ("2001:db8::1", "ff02::1", Drop::IpGroup),
        ("2001:db8::1", "::1", Drop::IpMartian),
        ("192.0.2.255", server, Drop::IpSource),
        ("224.0.0.1", server, Drop::IpSource),
        ("127.0.0.1", server, Drop::IpMartian),
        ("0.0.0.0", server, Drop::IpMartian),
        ("0.1.2.3", server, Drop::IpMartian),
        ("240.0.0.9", server, Drop::IpMartian),
        ("255.255.255.255", server, Drop::IpSource),
        (server, server, Drop::IpLand),
        ("ff02::1", "2001:db8::2", Drop::IpSource),
        ("::1", "2001:db8::2", Drop::IpMartian),
        ("::", "2001:db8::2", Drop::IpMartian),
        ("::ffff:192.0.2.1", "2001:db8::2", Drop::IpMartian),
        ("2001:db8::1", "::ffff:192.0.2.2", Drop::IpMartian),
        ("2001:db8::1", "2001:db8::3", Drop::IpNotOurs),
        ("2001:db8::2", "2001:db8::2", Drop::IpLand),
    ];
    for (source, destination, reason) in table {
        let mut stack = stack();
        stack.handle_frame(NOW, segment(source, destination, Flags::SYN, b""));
        assert_eq!(stack.counters().dropped(reason), 1, "{source} to {destination}: {:?}", stack.counters());
        assert!(answers(&mut stack).is_empty(), "{source} to {destination}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.4.2
//= type=test
//# If the datagram is sent in response to a received datagram, the source address for the response SHOULD be the specific-destination address of the request. (1122:3.3.4.2-1)
#[test]
fn a_segment_for_nobody_is_answered_as_the_closed_state_does() {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.1
    //= type=test
    //# If the ACK bit is off, sequence number zero is used, <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK> If the ACK bit is on, <SEQ=SEG.ACK><CTL=RST> (SM-1)
    for (source, destination) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
        let mut stack = stack();
        stack.handle_frame(NOW, segment(source, destination, Flags::SYN, b"abc"));
        let answer = header(&answers(&mut stack)[0]);
        assert_eq!((answer.seq, answer.ack, answer.flags), (0, 1004, Flags::RST.with(Flags::ACK)));
        assert_eq!((answer.source, answer.destination), (80, 1234));

        stack.handle_frame(NOW, segment(source, destination, Flags::ACK, b"abc"));
        let answer = header(&answers(&mut stack)[0]);
        assert_eq!((answer.seq, answer.flags), (7000, Flags::RST));

        stack.handle_frame(NOW, segment(source, destination, Flags::RST, b""));
        assert!(answers(&mut stack).is_empty());
        assert_eq!(stack.counters().dropped(Drop::TcpNoSocket), 3);
        assert_eq!(stack.counters().tcp_resets_out, 2);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.2
//= type=test
//# An incoming RST should be ignored. ... An acceptable reset segment should be formed for any arriving ACK-bearing segment. ... ISS should be selected and a SYN segment sent (SM-2)
#[test]
fn a_listener_answers_only_what_it_should() {
    let mut net = network(Plan::default());
    let _listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let table = [
        (Flags::ACK, Some(Flags::RST)),
        (Flags::SYN.with(Flags::ACK), Some(Flags::RST)),
        (Flags::RST, None),
        (Flags::FIN, None),
        (Flags(0), None),
        (Flags::SYN.with(Flags::RST), None),
        (Flags::SYN.with(Flags::FIN), Some(Flags::SYN.with(Flags::ACK))),
        (Flags::SYN, Some(Flags::SYN.with(Flags::ACK))),
    ];
    for (flags, expected) in table {
        let stack = &mut net.hosts[SERVER].stack;
        stack.handle_frame(NOW, segment("192.0.2.1", "192.0.2.2", flags, b""));
        let answer = answers(stack);
        assert_eq!(answer.first().map(|one| header(one).flags), expected, "{flags:?}");
        assert!(answer.len() <= 1, "{flags:?}");
    }
}

fn echo_request() -> Frame {
    let mut bytes = vec![
        0x45, 0, 0, 36, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 8, 0, 0, 0, 0, 7, 0, 1, b'h',
        b'e', b'l', b'l', b'o', b'!', b'!', b'!',
    ];
    let sum = |bytes: &[u8]| {
        let mut sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    };
    let head = sum(&bytes[..20]).to_be_bytes();
    bytes[10..12].copy_from_slice(&head);
    let body = sum(&bytes[20..]).to_be_bytes();
    bytes[22..24].copy_from_slice(&body);
    Frame { bytes: bytes.into(), meta: FrameMeta::default() }
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.1
//= type=test
//# The Internet layer of host software MUST implement both IP and ICMP. (1122:3.1-1)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.6
//= type=test
//# Every host MUST implement an ICMP Echo server function that receives Echo Requests and sends corresponding Echo Replies. (1122:3.2.2.6-1)
#[test]
fn echo_requests_are_answered_at_the_rate_allowed_and_not_at_all_when_told_so() {
    let mut plan = Plan::default();
    plan.configs[SERVER].ip.icmp_rate = 3;
    let mut net = network(plan);
    let request = echo_request();
    let stack = &mut net.hosts[SERVER].stack;
    (0..10).for_each(|_| stack.handle_frame(NOW, request.clone()));
    let replies = answers(stack);
    assert_eq!(replies.len(), 3);
    assert_eq!(ip::to_frame(&replies[0]).bytes[28..], request.bytes[28..]);
    assert_eq!((stack.counters().echo_replies, stack.counters().dropped(Drop::IcmpRate)), (3, 7));

    let mut silent = config(SERVER);
    silent.ip.answer_echo = false;
    let mut stack = Stack::new(silent, Capabilities::plain(1500), Log::new(None)).expect("a stack");
    stack.handle_frame(NOW, request);
    assert!(answers(&mut stack).is_empty());
    assert_eq!(stack.counters().dropped(Drop::IcmpIgnored), 1);
}

#[test]
fn garbage_is_counted_and_never_answered() {
    let mut stack = stack();
    let sound = segment("192.0.2.1", "192.0.2.2", Flags::SYN, b"payload").bytes;
    for cut in 0..sound.len() {
        stack.handle_frame(NOW, Frame { bytes: sound.slice(..cut), meta: FrameMeta::default() });
    }
    for flip in 0..sound.len() * 8 {
        let mut bytes = sound.to_vec();
        bytes[flip / 8] ^= 1 << (flip % 8);
        stack.handle_frame(NOW, Frame { bytes: bytes.into(), meta: FrameMeta::default() });
    }
    assert!(answers(&mut stack).is_empty(), "every single flipped bit is noticed");
    let dropped: u64 = stack
        .counters()
        .iter()
        .filter(|(name, ..)| name.starts_with("drop_"))
        .map(|(_, count, _)| count)
        .sum();
    assert_eq!(dropped, stack.counters().frames_in);
}

#[test]
fn a_wrong_checksum_is_told_from_one_that_the_link_vouches_for() {
    let mut stack = stack();
    let mut bytes = segment("192.0.2.1", "192.0.2.2", Flags::SYN, b"").bytes.to_vec();
    bytes[36] ^= 0xff;
    let meta = FrameMeta::default();
    stack.handle_frame(NOW, Frame { bytes: bytes.clone().into(), meta });
    assert_eq!(stack.counters().dropped(Drop::TcpChecksum), 1);
    let meta = FrameMeta { checksum: usertcp_core::link::ReceivedChecksum::Valid, ..meta };
    stack.handle_frame(NOW, Frame { bytes: bytes.into(), meta });
    assert_eq!(stack.counters().dropped(Drop::TcpChecksum), 1);
    assert_eq!(answers(&mut stack).len(), 1);
}

/// A link that takes nothing for a while: what is answered meanwhile is bounded, and what is not sent for it is counted.
#[test]
fn answers_that_find_no_place_are_counted() {
    let mut stack = stack();
    for _ in 0..1030 {
        stack.handle_frame(NOW, segment("192.0.2.1", "192.0.2.2", Flags::SYN, b""));
    }
    assert_eq!(stack.counters().replies_dropped, 6);
    assert_eq!(answers(&mut stack).len(), 1024);
}
