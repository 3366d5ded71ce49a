//! Packets in fragments, as a whole stack takes them: put together, refused, given up, and told about within the rules.

mod world;

use std::net::IpAddr;
use usertcp_core::counters::Drop;
use usertcp_core::ip::{self, Cause, Envelope, Heard, Payload};
use usertcp_core::link::{Capabilities, Frame, FrameMeta, Transmit};
use usertcp_core::stack::{LinkState, Stack};
use usertcp_core::time::{Duration, Instant};
use usertcp_core::trace::Log;
use usertcp_core::wire::checksum;
use usertcp_core::wire::tcp::{Flags, TcpHeader, parse};
use world::*;

const NOW: Instant = Instant::from_millis(5_000);

fn stack() -> Stack {
    Stack::new(config(SERVER), Capabilities::plain(1500), Log::new(None)).expect("a stack")
}

fn answers(stack: &mut Stack, now: Instant) -> Vec<Transmit> {
    std::iter::from_fn(|| stack.poll_transmit(now)).collect()
}

fn frame(bytes: Vec<u8>) -> Frame {
    Frame { bytes: bytes.into(), meta: FrameMeta::default() }
}

/// A segment to a port that nobody has.
fn segment(six: bool, payload: usize) -> Vec<u8> {
    let ip = |host| -> IpAddr {
        if six { format!("2001:db8::{host}") } else { format!("192.0.2.{host}") }.parse().expect("an address")
    };
    let envelope = Envelope::new(ip(1), ip(2));
    let header =
        TcpHeader { source: 1234, destination: 81, seq: 1, flags: Flags::SYN, ..TcpHeader::default() };
    let payload: Payload = [vec![7; payload].into()].into_iter().collect();
    ip::to_frame(&ip::tcp_transmit(&envelope, &header, payload, 0, &Capabilities::plain(1500))).bytes.to_vec()
}

/// A packet cut at these places of its data.
fn cut(packet: &[u8], places: &[usize]) -> Vec<Vec<u8>> {
    let six = packet[0] >> 4 == 6;
    let start = if six { 40 } else { 20 };
    let edges: Vec<usize> = [0].iter().chain(places).copied().chain([packet.len() - start]).collect();
    let piece = |from: usize, to: usize| {
        let (mut head, more) = (packet[..start].to_vec(), to != packet.len() - start);
        if six {
            let offset = (from as u16).to_be_bytes();
            head.extend([head[6], 0, offset[0], offset[1] | u8::from(more), 1, 2, 3, 4]);
            head[6] = 44;
            head[4..6].copy_from_slice(&((to - from + 8) as u16).to_be_bytes());
        } else {
            head[2..4].copy_from_slice(&((to - from + 20) as u16).to_be_bytes());
            head[6..8].copy_from_slice(&((from as u16 / 8) | if more { 0x2000 } else { 0 }).to_be_bytes());
            head[10..12].fill(0);
            let sum = checksum(&head).to_be_bytes();
            head[10..12].copy_from_slice(&sum);
        }
        head.extend_from_slice(&packet[start + from..start + to]);
        head
    };
    edges.windows(2).map(|edge| piece(edge[0], edge[1])).collect()
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.2
//= type=test
//# The IP layer MUST implement reassembly of IP datagrams. (1122:3.3.2-1)
#[test]
fn a_segment_in_fragments_is_answered_as_a_whole_one() {
    for six in [false, true] {
        let mut stack = stack();
        let parts = cut(&segment(six, 3000), &[24, 1400, 2800]);
        for part in parts.iter().rev() {
            assert!(answers(&mut stack, NOW).is_empty());
            stack.handle_frame(NOW, frame(part.clone()));
        }
        let answer = answers(&mut stack, NOW);
        assert_eq!(answer.len(), 1);
        let packet = ip::ingress(&ip::to_frame(&answer[0])).expect("a packet");
        let (header, _) = parse(packet.source, packet.destination, &packet.payload, true).expect("a segment");
        assert_eq!((header.flags, header.ack), (Flags::RST.with(Flags::ACK), 3002));
        let counters = stack.counters();
        assert_eq!((counters.ip_fragments_in, counters.ip_reassembled), (4, 1));
        assert_eq!(counters.dropped(Drop::TcpNoSocket), 1);
        assert_eq!(stack.poll_timeout(), None, "nothing waits");
    }
}

/// One that bears their identification, and over IPv6 a Fragment header as well.
//= https://www.rfc-editor.org/rfc/rfc6946#section-4
//= type=test
//# A host that receives an IPv6 packet that includes a Fragment Header with the "Fragment Offset" equal to 0 and the "M" flag equal to 0 MUST process that packet in isolation from any other packets/fragments, even if such packets/fragments contain the same set {IPv6 Source Address, IPv6 Destination Address, Fragment Identification}. (6946:4-1)
//= https://www.rfc-editor.org/rfc/rfc6946#section-4
//= type=test
//# such fragments MUST NOT be discarded upon receipt of the "colliding" IPv6 atomic fragment, since IPv6 atomic fragments MUST NOT interfere with "normal" fragmented traffic. (6946:4-3)
//= https://www.rfc-editor.org/rfc/rfc6864#section-4.1
//= type=test
//# The IPv4 ID field MUST NOT be used for purposes other than fragmentation and reassembly. (6864:4.1-1)
//= https://www.rfc-editor.org/rfc/rfc6864#section-4.1
//= type=test
//# All devices that examine IPv4 headers MUST ignore the IPv4 ID field of atomic datagrams. (6864:4.1-3)
#[test]
fn what_is_whole_has_nothing_to_do_with_fragments() {
    for six in [false, true] {
        let mut stack = stack();
        let parts = cut(&segment(six, 3000), &[1400]);
        stack.handle_frame(NOW, frame(parts[0].clone()));
        let mut whole = cut(&segment(six, 10), &[]).swap_remove(0);
        for copy in 0..2 {
            stack.handle_frame(NOW, frame(whole.clone()));
            assert_eq!(answers(&mut stack, NOW).len(), 1, "by itself, and no copy of what was there: {copy}");
        }
        let last = whole.len() - 1;
        whole.truncate(last);
        stack.handle_frame(NOW, frame(whole));
        assert_eq!(stack.counters().ip_reassembled, 0);
        stack.handle_frame(NOW, frame(parts[1].clone()));
        assert_eq!((answers(&mut stack, NOW).len(), stack.counters().ip_reassembled), (1, 1), "undisturbed");
    }
}

#[test]
fn a_wrong_checksum_is_found_once_the_segment_is_whole() {
    let mut stack = stack();
    let mut parts = cut(&segment(true, 3000), &[1400]);
    *parts[1].last_mut().expect("a byte") ^= 1;
    parts.into_iter().for_each(|part| stack.handle_frame(NOW, frame(part)));
    assert!(answers(&mut stack, NOW).is_empty());
    assert_eq!(stack.counters().dropped(Drop::TcpChecksum), 1);
}

//= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
//= type=test
//# If the first fragment (i.e., the one with a Fragment Offset of zero) has been received, an ICMP Time Exceeded -- Fragment Reassembly Time Exceeded message should be sent to the source of that fragment. (8200:4.5-10)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.2
//= type=test
//# If this timeout expires, the partially-reassembled datagram MUST be discarded and an ICMP Time Exceeded message sent to the source host (if fragment zero has been received). (1122:3.3.2-5)
#[test]
fn who_sent_a_first_fragment_alone_is_told_after_a_time() {
    for (six, seconds) in [(false, 60), (true, 60)] {
        let parts = cut(&segment(six, 3000), &[1400, 2800]);
        for (index, told) in [(0, 1), (1, 0)] {
            let mut stack = stack();
            stack.handle_frame(NOW, frame(parts[index].clone()));
            let until = NOW + Duration::from_secs(seconds);
            assert_eq!(stack.poll_timeout(), Some(until));
            stack.handle_timeout(NOW + Duration::from_secs(seconds - 1));
            assert_eq!(stack.counters().dropped(Drop::FragmentTimeout), 0);
            stack.handle_timeout(until);
            assert_eq!(stack.counters().dropped(Drop::FragmentTimeout), 1);
            assert_eq!(stack.poll_timeout(), None);
            let answers = answers(&mut stack, until);
            assert_eq!((answers.len(), stack.counters().icmp_errors_out), (told, told as u64));
            let Some(answer) = answers.first() else { continue };
            let packet = ip::ingress(&ip::to_frame(answer)).expect("a packet");
            let Ok(Heard::Report(report)) = ip::hear(&packet) else { panic!("no ICMP error") };
            assert_eq!((report.kind, report.code), (if six { 3 } else { 11 }, 1), "time exceeded");
            assert!(matches!(report.cause, Cause::Unreachable(_)));
            assert_eq!((report.local.port(), report.remote.port()), (1234, 81));
        }
    }
}

#[test]
fn fragments_from_nowhere_or_for_nobody_wait_for_nothing() {
    let mut stack = stack();
    let change = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut whole = segment(false, 3000);
        change(&mut whole);
        cut(&whole, &[1400]).swap_remove(0)
    };
    let refused = [change(&|p| p[12] = 127), change(&|p| p[15] = 255), change(&|p| p[15] = 2)];
    refused.into_iter().for_each(|part| stack.handle_frame(NOW, frame(part)));
    stack.handle_frame(NOW, frame(change(&|p| p[19] = 9)));
    let counters = stack.counters();
    let dropped = [Drop::IpMartian, Drop::IpSource, Drop::IpLand, Drop::IpNotOurs]
        .map(|reason| counters.dropped(reason));
    assert_eq!(dropped, [1; 4]);
    assert_eq!((counters.ip_fragments_in, stack.poll_timeout()), (0, None));
}

//= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
//= type=test
//# in order to limit the bandwidth and forwarding costs incurred by originating ICMPv6 error messages, an IPv6 node MUST limit the rate of ICMPv6 error messages it originates. (4443:2.4-12)
//= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
//= type=test
//# The rate-limiting parameters SHOULD be configurable. (4443:2.4-13)
#[test]
fn errors_are_told_at_the_rate_allowed() {
    for six in [false, true] {
        let mut slow = config(SERVER);
        slow.ip.icmp_rate = 3;
        let mut stack = Stack::new(slow, Capabilities::plain(1500), Log::new(None)).expect("a stack");
        let mut packet = segment(six, 2000);
        packet[if six { 6 } else { 9 }] = 47;
        let packet = cut(&packet, &[]).swap_remove(0);
        let whole = if six { [&packet[..6], &[47], &packet[7..40], &packet[48..]].concat() } else { packet };
        let whole = frame(if six { relength(whole) } else { whole });
        (0..10).for_each(|_| stack.handle_frame(NOW, whole.clone()));
        let answers = answers(&mut stack, NOW);
        assert_eq!((answers.len(), stack.counters().icmp_errors_out), (3, 3));
        assert_eq!(stack.counters().icmp_errors_held, 7);
        assert_eq!(stack.counters().dropped(Drop::IpProtocol), 10);
        let packet = ip::ingress(&ip::to_frame(&answers[0])).expect("a packet");
        assert_eq!(packet.payload[..2], if six { [4, 1] } else { [3, 2] }, "protocol unreachable");
        if six {
            assert_eq!(packet.payload[4..8], [0, 0, 0, 6], "the field that names it");
        }
        stack.handle_link(NOW, LinkState::Gone);
    }
}

/// The IPv6 packet with the payload length that it has.
fn relength(mut packet: Vec<u8>) -> Vec<u8> {
    let length = (packet.len() - 40) as u16;
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    packet
}
