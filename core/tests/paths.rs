//! Paths narrower than the link: the MTU is found out, kept for whoever goes there, and forgotten in time (RFC 1191, RFC 8201).

mod world;

use usertcp_core::counters::Drop;
use usertcp_core::error::Errno;
use usertcp_core::ip::{self, Fault};
use usertcp_core::link::pipe::{Offload, pipe};
use usertcp_core::sim::{Endpoint, Narrow, Network};
use usertcp_core::stack::socket;
use usertcp_core::time::{Duration, Instant};
use world::*;

const LINK: u16 = 1500;

/// Two hosts and a link of `mtu` bytes between two routers in the middle.
fn narrow(mtu: u16, offload: Offload, tells: bool) -> Network {
    let (left, right) = pipe(LINK, 1 << 16, offload);
    let routers = ["203.0.113.1".parse().unwrap(), "2001:db8:f::1".parse().unwrap()];
    let mut left = Narrow::new(Box::new(left), mtu, routers);
    left.tells = tells;
    let client = host(config(CLIENT), Box::new(left));
    let server = host(config(SERVER), Box::new(right));
    watched(Network::new(Instant::from_millis(1_000_000), vec![client, server]))
}

fn mss(net: &Network, end: &Endpoint) -> u32 {
    net.hosts[end.host].stack.tcp_info(net.now, end.id).expect("figures").snd_mss
}

const fn headers(target: &str) -> u32 {
    if target.as_bytes()[0] == b'[' { 72 } else { 52 }
}

//= https://www.rfc-editor.org/rfc/rfc8200#section-8.3
//= type=test
//# When using TCP over IPv6, the MSS must be computed as the maximum packet size minus 60 octets (8200:8.3-2)
//= https://www.rfc-editor.org/rfc/rfc4443#section-3.2
//= type=test
//# An incoming Packet Too Big message MUST be passed to the upper-layer process if the relevant process can be identified (4443:3.2-2)
//= https://www.rfc-editor.org/rfc/rfc8201#section-1
//= type=test
//# IPv6 nodes should implement Path MTU Discovery in order to discover and take advantage of paths with PMTU greater than the IPv6 minimum link MTU (8201:1-1)
//= https://www.rfc-editor.org/rfc/rfc8201#section-3
//= type=test
//# Path MTU Discovery must be performed even in cases where a node "thinks" a destination is attached to the same link as itself (8201:3-1)
//= https://www.rfc-editor.org/rfc/rfc8201#section-4
//= type=test
//# nodes using Path MTU Discovery must detect decreases in PMTU as fast as possible. (8201:4-6)
#[test]
fn both_directions_fit_into_a_narrow_path_at_once() {
    for offload in [Offload::Off, Offload::On] {
        for (target, mtu) in [(SERVER_V4, 1400), (SERVER_V6, 1400), (SERVER_V4, 600), (SERVER_V6, 1280)] {
            let mut net = narrow(mtu, offload, true);
            let (client, server, _listener) = pair(&mut net, target);
            let out = carry(&mut net, &client, &server, 500_000);
            let back = carry(&mut net, &server, &client, 500_000);
            // No time-out: what was lost went again on the router's word.
            assert!(out.max(back) < Duration::from_millis(100), "{target} {mtu}: {out:?} {back:?}");
            for end in [&client, &server] {
                assert_eq!(mss(&net, end), u32::from(mtu) - headers(target), "{target} {mtu}");
                let info = net.hosts[end.host].stack.tcp_info(net.now, end.id).expect("figures");
                assert!(info.total_retrans > 0 && info.snd_ssthresh >= i32::MAX as u32, "no congestion");
                let counters = net.hosts[end.host].stack.counters();
                assert_eq!((counters.path_mtus, counters.tcp_timeouts), (1, 0));
                assert_eq!(counters.dropped(Drop::IcmpStale) + counters.dropped(Drop::IcmpMtu), 0);
            }
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc8201#section-4
//= type=test
//# After receiving a Packet Too Big message, a node must attempt to avoid eliciting more such messages in the near future. The node must reduce the size of the packets it is sending along the path. (8201:4-5)
//= https://www.rfc-editor.org/rfc/rfc8201#section-5.2
//= type=test
//# The packetization layers must be notified about decreases in the PMTU. Any packetization layer instance (for example, a TCP connection) that is actively using the path must be notified if the PMTU estimate is decreased. (8201:5.2-5)
//= https://www.rfc-editor.org/rfc/rfc8201#section-5.3
//= type=test
//# When a PMTU value has not been decreased for a while (on the order of 10 minutes), it should probe to find if a larger PMTU is supported. (8201:5.3-2)
#[test]
fn a_path_is_remembered_for_others_and_tried_again_after_ten_minutes() {
    let mut net = narrow(1400, Offload::On, true);
    let (client, server, listener) = pair(&mut net, SERVER_V4);
    carry(&mut net, &client, &server, 20_000);
    let known = net.hosts[CLIENT].stack.counters().icmp_errors_in;
    assert!(known > 0);

    // A new connection sends nothing that is too long.
    let second = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    let accepted = net.accept(&listener).expect("accept");
    carry(&mut net, &second, &accepted, 20_000);
    assert_eq!(net.hosts[CLIENT].stack.counters().icmp_errors_in, known);
    assert_eq!((mss(&net, &second), mss(&net, &client)), (1348, 1348));
    assert!(net.run_for(secs(595)));
    carry(&mut net, &second, &accepted, 20_000);
    assert_eq!(net.hosts[CLIENT].stack.counters().icmp_errors_in, known);

    //= https://www.rfc-editor.org/rfc/rfc1191#section-6.2
    //= type=test
    //# The PMTU fields in these route entries should be initialized to be the MTU of the associated first-hop data link, and must never be changed by the PMTU Discovery process. (1191:6.2-2)
    // Later everybody tries again, and finds out again.
    assert!(net.run_for(secs(6)));
    carry(&mut net, &client, &server, 20_000);
    assert!(net.hosts[CLIENT].stack.counters().icmp_errors_in > known);
    assert_eq!(net.hosts[CLIENT].stack.counters().path_mtus, 2);
    assert_eq!(mss(&net, &client), 1348);
}

//= https://www.rfc-editor.org/rfc/rfc8201#section-5.2
//= type=test
//# the instance that sent the packet that elicited the Packet Too Big message should be notified that its packet has been dropped, even if the PMTU estimate has not changed, so that it may retransmit the dropped data. (8201:5.2-7)
#[test]
fn connections_that_share_a_path_repair_their_own_losses() {
    let mut net = narrow(1400, Offload::On, true);
    let (first, first_end, listener) = pair(&mut net, SERVER_V4);
    let second = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    let second_end = net.accept(&listener).expect("accept");
    // Both are in flight before anybody knows.
    net.send(&first, &[1; 5000]).expect("send");
    net.send(&second, &[2; 5000]).expect("send");
    net.settle();
    for (end, byte) in [(&first_end, 1), (&second_end, 2)] {
        assert_eq!(net.recv(end, 10_000).expect("recv"), [byte; 5000]);
    }
    assert_eq!(net.hosts[CLIENT].stack.counters().path_mtus, 1);
}

/// A message about the first segment in flight of `client`, as `change` forges it, from somebody off the path.
fn forge(
    net: &mut Network,
    client: &Endpoint,
    mtu: u16,
    change: impl FnOnce(&mut Vec<u8>),
) -> Vec<(&'static str, u64)> {
    let stack = &mut net.hosts[client.host].stack;
    net.now += Duration::from_millis(1);
    let sent = stack.poll_transmit(net.now).expect("a segment");
    let mut packet = ip::to_frame(&sent).bytes.to_vec();
    change(&mut packet);
    let report = ip::fault_about(&packet.into(), Fault::TooBig { mtu }, "203.0.113.9".parse().ok(), 64);
    let before = stack.counters().clone();
    stack.handle_frame(net.now, ip::to_frame(&report.expect("a report").1));
    let pairs = stack.counters().iter().zip(before.iter());
    pairs
        .filter(|(now, then)| now.1 > then.1 && now.0.contains("icmp"))
        .map(|(now, _)| (now.0, now.1))
        .collect()
}

//= https://www.rfc-editor.org/rfc/rfc8201#section-4
//= type=test
//# Nodes should appropriately validate the payload of ICMPv6 PTB messages to ensure these are received in response to transmitted traffic (8201:4-1)
//= https://www.rfc-editor.org/rfc/rfc5927#section-4.1
//= type=test
//# If an ICMP error message does not pass this check, it is discarded. (5927:4.1-2)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
//= type=test
//# the IP protocol number MUST be extracted from the original header and used to select the appropriate transport protocol entity to handle the error. (1122:3.2.2-3)
#[test]
fn forged_messages_are_dropped_by_name() {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
    //= type=test
    //# TCP implementations MUST act on an ICMP error message passed up from the IP layer, directing it to the connection that created the error (MUST-54).
    type Case = (&'static str, u16, fn(&mut Vec<u8>));
    let cases: [Case; 7] = [
        ("icmp_errors_in", 1400, |_| {}),
        ("drop_icmp_stale", 1400, |p| p[24] ^= 0x80),
        ("drop_icmp_stale", 1400, |p| p[27] = p[27].wrapping_sub(1)),
        ("drop_icmp_mtu", 1500, |_| {}),
        ("drop_icmp_mtu", 1400, |p| p[2..4].copy_from_slice(&1400u16.to_be_bytes())),
        ("drop_icmp_no_socket", 1400, |p| p[21] ^= 1),
        ("drop_icmp_no_socket", 1400, |p| p[9] = 17),
    ];
    for (name, mtu, change) in cases {
        let mut net = narrow(LINK, Offload::Off, true);
        let (client, _server, _listener) = pair(&mut net, SERVER_V4);
        net.send(&client, &[0; 4000]).expect("send");
        assert_eq!(forge(&mut net, &client, mtu, change), [(name, 1)], "{name}");
        let expected = if name == "icmp_errors_in" { 1348 } else { 1448 };
        net.settle();
        assert_eq!(mss(&net, &client), expected, "{name}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc4443#section-3.1
//= type=test
//# A node receiving the ICMPv6 Destination Unreachable message MUST notify the upper-layer process if the relevant process can be identified (4443:3.1-7)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.1
//= type=test
//# The transport layer SHOULD use the information appropriately (1122:3.2.2.1-4)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.1
//= type=test
//# A transport protocol that has its own mechanism for notifying the sender that a port is unreachable (e.g., TCP, which sends RST segments) MUST nevertheless accept an ICMP Port Unreachable for the same purpose. (1122:3.2.2.1-5)
#[test]
fn an_unreachable_peer_fails_connect_at_once() {
    for (fault, target, errno) in [
        (Fault::PortUnreachable, SERVER_V4, Errno::ECONNREFUSED),
        (Fault::ProtocolUnreachable { pointer: 6 }, SERVER_V4, Errno::ENOPROTOOPT),
        (Fault::PortUnreachable, SERVER_V6, Errno::ECONNREFUSED),
        (Fault::ReassemblyTimeout, SERVER_V6, Errno::EHOSTUNREACH),
        (Fault::ParameterProblem { pointer: 6 }, SERVER_V6, Errno::EPROTO),
    ] {
        let mut net = network(Plan::default());
        let client = net.connect(CLIENT, address(target)).expect("connect");
        let stack = &mut net.hosts[CLIENT].stack;
        let syn = stack.poll_transmit(net.now).expect("a SYN");
        let (_, report) = ip::fault_about(&ip::to_frame(&syn).bytes, fault, None, 64).expect("a report");
        stack.handle_frame(net.now, ip::to_frame(&report));
        net.settle();
        assert_eq!(socket::connected(&client.cell, None), Err(errno), "{fault:?}");
    }
}
