//! Packets whose headers cannot be: who sent them is told what is wrong and where, within the rules, and nobody else is.

mod world;

use bytes::Bytes;
use usertcp_core::counters::Drop;
use usertcp_core::ip;
use usertcp_core::link::{Capabilities, Frame, FrameMeta};
use usertcp_core::stack::Stack;
use usertcp_core::time::Instant;
use usertcp_core::trace::Log;
use usertcp_core::wire::{Checksum, checksum, protocol, quote};
use world::*;

const NOW: Instant = Instant::from_millis(5_000);
const PAD: [u8; 8] = [6, 0, 1, 4, 0, 0, 0, 0];

fn stack() -> Stack {
    Stack::new(config(SERVER), Capabilities::plain(1500), Log::new(None)).expect("a stack")
}

/// An IPv6 packet of `body` from the client to the server.
fn v6(next: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x62, 0x80, 0, 0];
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend([next, 64]);
    for host in [1, 2] {
        bytes.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
    }
    bytes.extend(body);
    bytes
}

/// An IPv4 packet with these options, whole words.
fn v4(protocol: u8, options: &[u8], body: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let total = ((header + body.len()) as u16).to_be_bytes();
    let mut bytes = vec![0x40 | (header / 4) as u8, 0x28, total[0], total[1], 0, 1, 0, 0, 64, protocol, 0, 0];
    bytes.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    bytes.extend(options);
    let sum = checksum(&bytes).to_be_bytes();
    bytes[10..12].copy_from_slice(&sum);
    bytes.extend(body);
    bytes
}

/// What the stack drops the packet as, and type, code and second word of what it tells, with the packet quoted whole.
fn told(bytes: &[u8], reason: Drop) -> Option<(u8, u8, u32)> {
    let mut stack = stack();
    stack.handle_frame(NOW, Frame { bytes: bytes.to_vec().into(), meta: FrameMeta::default() });
    assert_eq!(stack.counters().dropped(reason), 1, "{reason:?}: {:?}", stack.counters());
    let answer = stack.poll_transmit(NOW);
    assert_eq!(stack.counters().icmp_errors_out, u64::from(answer.is_some()));
    assert!(stack.poll_transmit(NOW).is_none());
    let answer = ip::ingress(&ip::to_frame(&answer?)).expect("a sound packet");
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
    //= type=test
    //# this header and data MUST be unchanged from the received datagram. (1122:3.2.2-2)
    assert!(answer.payload[8..] == *bytes, "the packet, quoted");
    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.2
    //= type=test
    //# If the message is a response to a message sent to one of the node's unicast addresses, the Source Address of the reply MUST be that same address. (4443:2.2-1)
    assert_eq!(Some((answer.destination, answer.source)), quote::addresses(bytes), "from whom it was for");
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
    //= type=test
    //# An ICMP error message SHOULD be sent with normal (i.e., zero) TOS bits. (1122:3.2.2-4)
    assert_eq!(answer.traffic_class, 0, "whatever the packet had");
    let word =
        u32::from_be_bytes([answer.payload[4], answer.payload[5], answer.payload[6], answer.payload[7]]);
    Some((answer.payload[0], answer.payload[1], word))
}

//= https://www.rfc-editor.org/rfc/rfc4443#section-3.4
//= type=test
//# If an IPv6 node processing a packet finds a problem with a field in the IPv6 header or extension headers such that it cannot complete processing the packet, it MUST discard the packet and SHOULD originate an ICMPv6 Parameter Problem message to the packet's source, indicating the type and location of the problem. (4443:3.4-1)
#[test]
fn parameter_problems_of_ipv6() {
    let option = |kind| [6, 0, kind, 4, 0, 0, 0, 0];
    assert_eq!(told(&v6(60, &option(0x7e)), Drop::IpOptionUnknown), None);
    assert_eq!(told(&v6(60, &option(0xbe)), Drop::IpOptionUnknown), Some((4, 2, 42)));
    assert_eq!(told(&v6(0, &option(0xfe)), Drop::IpOptionUnknown), Some((4, 2, 42)));
    assert_eq!(told(&v6(43, &[6, 0, 0, 1, 0, 0, 0, 0]), Drop::IpSourceRoute), Some((4, 0, 42)), "type 0");
    let mut twice = PAD.to_vec();
    twice[0] = 0;
    twice.extend(PAD);
    assert_eq!(told(&v6(60, &twice), Drop::IpOptions), Some((4, 1, 40)), "hop-by-hop behind another");
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4
    //= type=test
    //# the Next Header value in the current header is unrecognized by the node, it should discard the packet and send an ICMP Parameter Problem message to the source of the packet, with an ICMP Code value of 1 ("unrecognized Next Header type encountered") and the ICMP Pointer field containing the offset of the unrecognized value within the original packet. (8200:4-3)
    assert_eq!(told(&v6(47, &[]), Drop::IpProtocol), Some((4, 1, 6)), "a protocol without a byte");
    assert_eq!(told(&v6(60, &[253, 0, 1, 4, 0, 0, 0, 0, 9, 9]), Drop::IpProtocol), Some((4, 1, 40)));
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.7
    //= type=test
    //# If the Payload Length field of the IPv6 header indicates the presence of octets past the end of a header whose Next Header field contains 59, those octets must be ignored (8200:4.7-1)
    assert_eq!(told(&v6(59, b"what follows does not matter"), Drop::IpProtocol), None, "no next header");
    assert_eq!(told(&v6(60, &[59, 0, 1, 4, 0, 0, 0, 0]), Drop::IpProtocol), None);
    assert_eq!(told(&v6(60, &PAD[..4]), Drop::IpOptions), Some((4, 0, 41)), "cut off");
    assert_eq!(told(&v6(60, &PAD[..1]), Drop::IpOptions), None, "not even a length");
    assert_eq!(
        told(&v6(60, &[6, 0, 1, 5, 0, 0, 0, 0]), Drop::IpOptions),
        Some((4, 0, 43)),
        "an option cut off"
    );
    assert_eq!(
        //= https://www.rfc-editor.org/rfc/rfc7112#section-5
        //= type=test
        //# then the ICMPv6 error message MUST be Type 4 ("Parameter Problem") and MUST use Code 3 ("First Fragment has incomplete IPv6 Header Chain"). The Pointer field contained by the ICMPv6 Parameter Problem message MUST be set to zero. (7112:5-3)
        told(&v6(44, &[6, 0, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8]), Drop::FragmentTiny),
        Some((4, 3, 0))
    );
    assert_eq!(told(&v6(44, &[6, 0, 0, 1, 0, 0, 0, 9, 1]), Drop::FragmentLength), Some((4, 0, 4)));
    // About an ICMPv6 error nobody is told.
    let error = [&[58, 0, 0xfe, 4, 0, 0, 0, 0][..], &[1, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(told(&v6(60, &error), Drop::IpOptionUnknown), None);
    let echo = [&[58, 0, 0xfe, 4, 0, 0, 0, 0][..], &[128, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(told(&v6(60, &echo), Drop::IpOptionUnknown), Some((4, 2, 42)));
}

//= https://www.rfc-editor.org/rfc/rfc8200#section-8.4
//= type=test
//# the response packet(s) must not include a Routing header that was automatically derived by "reversing" the received Routing header (8200:8.4-1)
//= https://www.rfc-editor.org/rfc/rfc4443#section-4.2
//= type=test
//# Every node MUST implement an ICMPv6 Echo responder function that receives Echo Requests and originates corresponding Echo Replies. (4443:4.2-1)
#[test]
fn the_answer_to_what_was_routed_goes_its_own_way() {
    let echo = echo_v6(b"data");
    let routed = [&[58, 2, 4, 0, 0, 0, 0, 0][..], &[9; 16], &echo].concat();
    let mut stack = stack();
    stack.handle_frame(NOW, Frame { bytes: v6(43, &routed).into(), meta: FrameMeta::default() });
    let answer = ip::to_frame(&stack.poll_transmit(NOW).expect("an answer")).bytes;
    assert_eq!(
        (answer.len(), answer[6], answer[40]),
        (52, 58, 129),
        "an echo reply and nothing in front of it"
    );
    assert_eq!(answer[44..], echo[4..]);
}

//= https://www.rfc-editor.org/rfc/rfc792#page-8
//= type=test
//# If code = 0, identifies the octet where an error was detected. (792:page-8-1)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.5
//= type=test
//# A host SHOULD generate Parameter Problem messages. (1122:3.2.2.5-1)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.8
//= type=test
//# Wherever practical, hosts MUST return ICMP error datagrams on detection of an error, except in those cases where returning an ICMP error message is specifically prohibited. (1122:3.3.8-1)
#[test]
fn parameter_problems_of_ipv4() {
    assert_eq!(told(&v4(6, &[7, 9, 4, 0], &[]), Drop::IpOptions), Some((12, 0, 20 << 24)));
    assert_eq!(told(&v4(6, &[1, 7, 3, 3], &[]), Drop::IpOptions), Some((12, 0, 23 << 24)));
    assert_eq!(
        told(&v4(6, &[131, 3, 4, 0], &[]), Drop::IpSourceRoute),
        None,
        "refused by default, and silently"
    );
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.1
    //= type=test
    //# A host SHOULD generate Destination Unreachable messages with code: 2 (Protocol Unreachable), when the designated transport protocol is not supported (1122:3.2.2.1-1)
    assert_eq!(told(&v4(47, &[], &[]), Drop::IpProtocol), Some((3, 2, 0)), "a protocol without a byte");
    assert_eq!(told(&v4(1, &[7, 9, 4, 0], &[3, 3, 0, 0]), Drop::IpOptions), None, "about an ICMP error");
    assert_eq!(told(&v4(1, &[7, 9, 4, 0], &[8, 0, 0, 0]), Drop::IpOptions), Some((12, 0, 20 << 24)));
    assert_eq!(told(&v4(1, &[7, 9, 4, 0], &[]), Drop::IpOptions), None, "or what may be one");
}

#[test]
fn what_is_wrong_with_a_packet_for_somebody_else_is_not_told() {
    let bad = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = v6(60, &[6, 0, 0xbe, 4, 0, 0, 0, 0]);
        change(&mut bytes);
        told(&bytes, Drop::IpOptionUnknown)
    };
    assert!(bad(&|_| {}).is_some());
    assert_eq!(bad(&|bytes| bytes[39] = 3), None, "for another host");
    assert_eq!(bad(&|bytes| bytes[24] = 0xff), None, "for a group that nobody here is in");
    assert_eq!(bad(&|bytes| bytes[8] = 0xff), None, "from a group");
    assert_eq!(bad(&|bytes| bytes[23] = 2), None, "from ourselves");
    assert_eq!(bad(&|bytes| bytes[8..24].fill(0)), None, "from nobody");
}

/// An ICMPv6 echo request from the client to the server.
fn echo_v6(data: &[u8]) -> Vec<u8> {
    let mut echo = [&[128, 0, 0, 0, 0x12, 0x34, 0, 7][..], data].concat();
    let ip = |host: &str| host.parse().expect("an address");
    let (source, destination) = (ip("2001:db8::1"), ip("2001:db8::2"));
    let sum = Checksum::pseudo_header(source, destination, protocol::ICMPV6, echo.len() as u32);
    let sum = sum.chain([&echo[..]]).finish().to_be_bytes();
    echo[2..4].copy_from_slice(&sum);
    echo
}

/// Nobody hears of a reply that was too long for its path, so each fits every path, or may be cut on its way.
//= https://www.rfc-editor.org/rfc/rfc8201#section-1
//= type=test
//# Nodes not implementing Path MTU Discovery must use the IPv6 minimum link MTU defined in [RFC8200] as the maximum packet size. (8201:1-2)
#[test]
fn the_answer_to_an_echo_passes_paths_that_nobody_knows() {
    let mut stack = stack();
    let mut answers = |request: &[u8]| -> Vec<Bytes> {
        stack.handle_frame(NOW, Frame { bytes: request.to_vec().into(), meta: FrameMeta::default() });
        std::iter::from_fn(|| stack.poll_transmit(NOW)).map(|answer| ip::to_frame(&answer).bytes).collect()
    };
    let request = icmp(&[&[8, 0, 0, 0, 0, 7, 0, 1][..], &[9; 1400]].concat());
    let replies = [answers(&request), answers(&request)].concat();
    assert_eq!(replies.len(), 2);
    assert!(replies.iter().all(|reply| reply.len() == request.len() && reply[6] == 0), "may be cut");
    assert_ne!(replies[0][4..6], replies[1][4..6], "each by a name of its own");
    let replies = answers(&v6(58, &echo_v6(&[9; 1400])));
    assert_eq!(replies.len(), 2);
    assert!(replies.iter().all(|reply| reply.len() <= 1280 && reply[6] == 44));
    assert_eq!(answers(&v6(58, &echo_v6(&[9; 1232]))).len(), 1);
}

/// An ICMP message from the client, its checksum made good.
fn icmp(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    let sum = checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    v4(1, &[], &message)
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.1
//= type=test
//# and SHOULD record the event in a statistics counter. (1122:3.1-7)
#[test]
fn every_packet_that_cannot_be_is_counted_by_name_and_nobody_is_told() {
    let sound = v4(6, &[], &[0; 20]);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = sound.clone();
        change(&mut bytes);
        bytes
    };
    let quench = [&[4, 0, 0, 0, 0, 0, 0, 0][..], &sound[..28]].concat();
    let cases: [(Vec<u8>, Drop); 20] = [
        (Vec::new(), Drop::Truncated),
        (changed(&|b| b.truncate(19)), Drop::Truncated),
        (v6(6, &[])[..39].to_vec(), Drop::Truncated),
        (changed(&|b| b[0] = 0x55), Drop::IpVersion),
        (vec![0], Drop::IpVersion),
        (changed(&|b| b[0] = 0x44), Drop::IpHeaderLength),
        (changed(&|b| b[10] ^= 1), Drop::IpChecksum),
        (changed(&|b| b.truncate(39)), Drop::IpTotalLength),
        (v6(6, &[0; 20])[..59].to_vec(), Drop::IpTotalLength),
        (v4(6, &[], &[0; 19]), Drop::Truncated),
        (v4(6, &[], &[&[0, 9, 0, 9], &[0; 16][..]].concat()), Drop::TcpHeaderLength),
        (v4(6, &[], &[&[0, 9, 0, 9], &[0; 8][..], &[0x50], &[0; 7]].concat()), Drop::TcpChecksum),
        (v4(1, &[], &[8, 0, 0, 0]), Drop::IcmpMalformed),
        (v4(1, &[], &[8, 0, 1, 1, 0, 0, 0, 0]), Drop::IcmpChecksum),
        (icmp(&[8, 1, 0, 0, 0, 0, 0, 0]), Drop::IcmpMalformed),
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
        //= type=test
        //# If an ICMP message of unknown type is received, it MUST be silently discarded. (1122:3.2.2-1)
        (icmp(&[13, 0, 0, 0, 0, 0, 0, 0]), Drop::IcmpIgnored),
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.7
        //= type=test
        //# A host SHOULD NOT implement these messages. (1122:3.2.2.7-1)
        (icmp(&[15, 0, 0, 0, 0, 0, 0, 0]), Drop::IcmpIgnored),
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.2
        //= type=test
        //# A Redirect message SHOULD be silently discarded if the new gateway address it specifies is not on the same connected (sub-) net through which the Redirect arrived (1122:3.2.2.2-4)
        (icmp(&[5, 1, 0, 0, 192, 0, 2, 9]), Drop::IcmpIgnored),
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
        //= type=test
        //# TCP implementations MUST silently discard any received ICMP Source Quench messages (MUST-55).
        //= https://www.rfc-editor.org/rfc/rfc5927#section-8
        //= type=test
        //# ignoring ICMPv4 Source Quench messages meant for TCP connections. (5927:8-2)
        //= https://www.rfc-editor.org/rfc/rfc6633#section-3
        //= type=test
        //# If a Source Quench message is received, the IP layer MAY silently discard it. (6633:3-2)
        (icmp(&quench), Drop::IcmpIgnored),
        (icmp(&[3, 1, 0, 0, 0, 0, 0, 0, 0x45]), Drop::IcmpQuote),
    ];
    for (bytes, reason) in cases {
        assert_eq!(told(&bytes, reason), None, "{reason:?}");
    }
}
