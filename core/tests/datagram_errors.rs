//! What networks and hosts say of datagrams: refused ports, paths too narrow, checksums, lengths; and fragments.

mod world;

use bytes::Bytes;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use usertcp_core::config::Config;
use usertcp_core::counters::Drop;
use usertcp_core::error::Errno;
use usertcp_core::ip::{self, Envelope, Fault};
use usertcp_core::link::pipe::{Offload, pipe};
use usertcp_core::link::{Capabilities, Frame, FrameMeta, Transmit};
use usertcp_core::sim::{Endpoint, Narrow, Network};
use usertcp_core::stack::socket::ip::{IPPROTO_IP, IPPROTO_IPV6, v4::*, v6::*};
use usertcp_core::stack::socket::options::{SOL_SOCKET, sol};
use usertcp_core::stack::socket::{self, Readiness};
use usertcp_core::stack::{Domain, LinkState, Stack};
use usertcp_core::time::Instant;
use usertcp_core::trace::Log;
use world::*;

/// Addresses of the two hosts in either family, and the wildcard.
const FAMILIES: [[&str; 3]; 2] =
    [["192.0.2.1", "192.0.2.2", "0.0.0.0"], ["[2001:db8::1]", "[2001:db8::2]", "[::]"]];

fn at(host: &str, port: u16) -> SocketAddr {
    address(&format!("{host}:{port}"))
}

fn call<T>(net: &mut Network, end: &Endpoint, call: impl FnOnce(&mut Stack, Instant) -> T) -> T {
    let now = net.now;
    call(&mut net.hosts[end.host].stack, now)
}

fn connected(net: &mut Network, host: &str, peer: SocketAddr) -> Endpoint {
    let end = net.datagram_socket(CLIENT, at(host, 0)).expect("a socket");
    call(net, &end, |stack, now| stack.connect(now, end.id, peer)).expect("connect");
    end
}

fn set(net: &mut Network, end: &Endpoint, level: i32, name: i32, value: i32) {
    call(net, end, |s, now| s.set_option(now, end.id, level, name, &value.to_ne_bytes())).expect("an option");
}

fn error(net: &mut Network, end: &Endpoint) -> i32 {
    let bytes = call(net, end, |stack, _| stack.option(end.id, SOL_SOCKET, sol::SO_ERROR)).expect("SO_ERROR");
    i32::from_ne_bytes(bytes.try_into().expect("an int"))
}

/// The datagram of `payload` from `from` to `to`, as one packet.
fn packet(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut out = VecDeque::new();
    let envelope = Envelope::new(from.ip(), to.ip());
    let (ports, plain) = ((from.port(), to.port()), Capabilities::plain(1500));
    ip::udp_transmit(&envelope, ports, Bytes::copy_from_slice(payload), 1500, &plain, || 0, &mut out);
    ip::to_frame(&out[0]).bytes.to_vec()
}

fn frame(bytes: Vec<u8>) -> Frame {
    Frame { bytes: bytes.into(), meta: FrameMeta::default() }
}

fn sent(stack: &mut Stack, now: Instant) -> Vec<Transmit> {
    std::iter::from_fn(|| stack.poll_transmit(now)).collect()
}

//= https://www.rfc-editor.org/rfc/rfc4443#section-3.1
//= type=test
//# A destination node SHOULD originate a Destination Unreachable message with Code 4 in response to a packet for which the transport protocol (e.g., UDP) has no listener, if that transport protocol has no alternative means to inform the sender. (4443:3.1-5)
//= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.1
//= type=test
//# If a datagram arrives addressed to a UDP port for which there is no pending LISTEN call, UDP SHOULD send an ICMP Port Unreachable message. (1122:4.1.3.1-1)
#[test]
fn a_port_that_nobody_has_is_told_to_a_connected_socket_once() {
    for [client, server, _] in FAMILIES {
        let mut net = network(Plan::default());
        let one = connected(&mut net, client, at(server, 9));
        let told = |net: &mut Network| {
            net.send_to(&one, b"x", None).expect("send");
            net.settle();
            assert_eq!(net.readiness(&one), Readiness::OUT | Readiness::ERR);
        };
        told(&mut net);
        assert_eq!(net.recv_from(&one), Err(Errno::ECONNREFUSED));
        assert_eq!(net.recv_from(&one), Err(Errno::EAGAIN));
        told(&mut net);
        assert_eq!(net.send_to(&one, b"y", None), Err(Errno::ECONNREFUSED));
        told(&mut net);
        assert_eq!((error(&mut net, &one), error(&mut net, &one)), (Errno::ECONNREFUSED.0, 0));
        let counters = net.hosts[SERVER].stack.counters();
        assert_eq!((counters.dropped(Drop::UdpNoSocket), counters.icmp_errors_out), (3, 3));
        assert_eq!(net.hosts[CLIENT].stack.counters().icmp_errors_in, 3);
    }
}

/// The program's close returns before the stack hears of it.
#[test]
fn a_port_is_refused_from_the_close_on() {
    for host in ["192.0.2.2", "127.0.0.1", "[2001:db8::2]", "[::1]"] {
        let mut net = network(Plan::default());
        let near = host == "127.0.0.1" || host == "[::1]";
        let (from, to) = if near { (CLIENT, CLIENT) } else { (CLIENT, SERVER) };
        let closed = net.datagram_socket(to, at(host, 9)).expect("a socket");
        assert!(socket::close(&closed.cell, &mut Vec::new()));
        let any = if host.starts_with('[') { "[::]" } else { "0.0.0.0" };
        let one = net.datagram_socket(from, at(any, 0)).expect("a socket");
        call(&mut net, &one, |stack, now| stack.connect(now, one.id, at(host, 9))).expect("connect");
        net.send_to(&one, b"x", None).expect("send");
        net.settle();
        assert_eq!(net.recv_from(&one), Err(Errno::ECONNREFUSED), "{host}");
        assert_eq!(net.hosts[to].stack.counters().dropped(Drop::UdpNoSocket), 1);
        // The close itself, when it comes.
        call(&mut net, &closed, |stack, now| stack.close(now, closed.id));
        net.settle();
        assert!(net.datagram_socket(to, at(host, 9)).is_ok());
    }
}

#[test]
fn who_shares_a_port_with_a_socket_that_is_closed_has_it_at_once() {
    for [client, server, _] in FAMILIES {
        let mut net = network(Plan::default());
        let domain = if server.starts_with('[') { Domain::V6 } else { Domain::V4 };
        let (now, on) = (net.now, 1i32.to_ne_bytes());
        let [kept, closed] = [0, 1].map(|_| {
            let stack = &mut net.hosts[SERVER].stack;
            let (id, cell) = stack.datagram_socket(domain).expect("a socket");
            stack.set_option(now, id, SOL_SOCKET, sol::SO_REUSEADDR, &on).expect("set");
            stack.bind(id, at(server, 9)).expect("bind");
            Endpoint { host: SERVER, id, cell }
        });
        assert!(socket::close(&closed.cell, &mut Vec::new()));
        let one = connected(&mut net, client, at(server, 9));
        net.send_to(&one, b"x", None).expect("send");
        net.settle();
        assert_eq!(net.recv_from(&kept).expect("a datagram").map(|(bytes, _)| bytes), Some(b"x".to_vec()));
        assert_eq!(net.hosts[SERVER].stack.counters().dropped(Drop::UdpNoSocket), 0);
    }
}

#[test]
fn a_refusal_by_loopback_is_told_without_a_message() {
    for host in ["127.0.0.1", "[::1]", "192.0.2.1", "[2001:db8::1]"] {
        let mut net = network(Plan::default());
        let one = connected(&mut net, host, at(host, 9));
        net.send_to(&one, b"x", None).expect("send");
        net.settle();
        assert_eq!(net.recv_from(&one), Err(Errno::ECONNREFUSED));
        assert_eq!(net.hosts[CLIENT].stack.counters().icmp_errors_out, 0);
    }
}

#[test]
fn who_is_not_connected_to_whom_it_is_about_is_not_told() {
    for [_, server, any] in FAMILIES {
        let mut net = network(Plan::default());
        let one = net.datagram_socket(CLIENT, at(any, 7)).expect("a socket");
        net.send_to(&one, b"x", Some(at(server, 9))).expect("send");
        net.settle();
        assert_eq!((net.readiness(&one), error(&mut net, &one)), (Readiness::OUT, 0));
        // Another host than the peer.
        call(&mut net, &one, |stack, now| stack.connect(now, one.id, at(server, 10))).expect("connect");
        net.send_to(&one, b"x", Some(at(server, 9))).expect("send");
        net.settle();
        assert_eq!(error(&mut net, &one), 0);
        assert_eq!(net.hosts[CLIENT].stack.counters().dropped(Drop::IcmpNoSocket), 1);
    }
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.5
//= type=test
//# An incoming Parameter Problem message MUST be passed to the transport layer, and it MAY be reported to the user. (1122:3.2.2.5-2)
#[test]
fn other_faults_are_told_as_linux_does() {
    for [client, server, _] in FAMILIES {
        let six = client.starts_with('[');
        let lasting = if six { Errno::EPROTO } else { Errno::ENOPROTOOPT };
        for (fault, errno) in [
            (Fault::ProtocolUnreachable { pointer: 6 }, lasting.0),
            (Fault::ParameterProblem { pointer: 4 }, Errno::EPROTO.0),
            (Fault::ReassemblyTimeout, 0),
        ] {
            let mut net = network(Plan::default());
            let one = connected(&mut net, client, at(server, 9));
            let from = call(&mut net, &one, |stack, _| stack.local_address(one.id)).expect("an address");
            let quoted = packet(from, at(server, 9), b"lost");
            let (_, report) = ip::fault_about(&quoted.into(), fault, None, 64).expect("a message");
            call(&mut net, &one, |stack, now| stack.handle_frame(now, ip::to_frame(&report)));
            assert_eq!(error(&mut net, &one), errno, "{fault:?}");
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc4443#section-3.1
//= type=test
//# it is recommended that implementations SHOULD allow sending of ICMP destination unreachable messages to be disabled, preferably on a per-interface basis. (4443:3.1-6)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.4
//= type=test
//# The transport layer MUST be able to send certain ICMP messages (1122:3.4-5)
#[test]
fn unreachable_ports_are_told_within_the_rate() {
    let mut config = config(SERVER);
    config.ip.icmp_rate = 10;
    let mut stack = Stack::new(config, Capabilities::plain(1500), Log::new(None)).expect("a stack");
    let now = Instant::from_millis(5000);
    for host in 100..200 {
        let from = at(&format!("192.0.2.{host}"), 7);
        stack.handle_frame(now, frame(packet(from, at("192.0.2.2", 9), b"x")));
    }
    assert_eq!(sent(&mut stack, now).len(), 10);
    assert_eq!(stack.counters().icmp_errors_held, 90);
    assert_eq!(stack.counters().dropped(Drop::UdpNoSocket), 100);

    let mut silent = world::config(SERVER);
    silent.ip.icmp_error_burst = 0;
    let mut stack = Stack::new(silent, Capabilities::plain(1500), Log::new(None)).expect("a stack");
    stack.handle_frame(now, frame(packet(at("192.0.2.1", 7), at("192.0.2.2", 9), b"x")));
    assert_eq!((sent(&mut stack, now).len(), stack.counters().icmp_errors_held), (0, 1));
}

/// Two hosts, and routers with a link of `mtu` bytes between them.
fn narrow(mtu: u16) -> Network {
    let (left, right) = pipe(1500, 1 << 16, Offload::Off);
    let routers = ["203.0.113.1".parse().unwrap(), "2001:db8:f::1".parse().unwrap()];
    let left = Narrow::new(Box::new(left), mtu, routers);
    let client = host(config(CLIENT), Box::new(left));
    let server = host(config(SERVER), Box::new(right));
    watched(Network::new(Instant::from_millis(1_000_000), vec![client, server]))
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.3
//= type=test
//# Optionally, the IP layer MAY implement a mechanism to fragment outgoing datagrams intentionally. (1122:3.3.3-1)
#[test]
fn datagrams_above_the_mtu_go_in_fragments_of_the_path() {
    for [client, server, any] in FAMILIES {
        let mut net = narrow(1300);
        let two = net.datagram_socket(SERVER, at(any, 9)).expect("a socket");
        let one = connected(&mut net, client, at(server, 9));
        let payload: Vec<u8> = (0..4000u32).map(|i| ((i * i) >> 5) as u8).collect();
        net.send_to(&one, &payload, None).expect("send");
        net.settle();
        assert_eq!(net.recv_from(&two), Err(Errno::EAGAIN), "the routers cut nothing");
        // They tell, and the next call says so.
        assert_eq!(net.send_to(&one, &payload, None), Err(Errno::EMSGSIZE));
        assert_eq!(net.hosts[CLIENT].stack.counters().path_mtus, 1);
        net.send_to(&one, &payload, None).expect("send");
        net.settle();
        let (bytes, _) = net.recv_from(&two).expect("a datagram").expect("no end");
        assert!(bytes == payload, "other bytes");
        assert_eq!(net.hosts[SERVER].stack.counters().ip_reassembled, 1);
        assert_eq!(net.hosts[CLIENT].stack.counters().udp_fragmented, 2);
    }
}

//= https://www.rfc-editor.org/rfc/rfc8201#section-5.2
//= type=test
//# even if the Packet Too Big message contains an Original Packet Header that refers to a UDP packet, the TCP layer must be notified if any of its connections use the given path. (8201:5.2-6)
#[test]
fn what_a_datagram_finds_out_connections_know() {
    for ([client, server, any], target) in FAMILIES.into_iter().zip([SERVER_V4, SERVER_V6]) {
        let mut net = narrow(1300);
        let (stream, accepted, _listener) = pair(&mut net, target);
        let _two = net.datagram_socket(SERVER, at(any, 9)).expect("a socket");
        let one = connected(&mut net, client, at(server, 9));
        net.send_to(&one, &[0; 1400], None).expect("send");
        net.settle();
        assert_eq!(net.hosts[CLIENT].stack.counters().path_mtus, 1);
        net.send(&stream, &[7; 5000]).expect("send");
        net.settle();
        assert_eq!(net.recv(&accepted, 10_000).expect("recv"), [7; 5000]);
        let info = net.hosts[CLIENT].stack.tcp_info(net.now, stream.id).expect("figures");
        assert_eq!(info.total_retrans, 0, "no segment was too long");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6864#section-4.3
//= type=test
//# IPv4 datagrams whose DF=1 MUST NOT be fragmented. (6864:4.3-2)
//= https://www.rfc-editor.org/rfc/rfc8201#section-5.2
//= type=test
//# when an attempt is made to SEND a packet that is larger than the PMTU estimate, the SEND function should fail and return a suitable error indication. (8201:5.2-8)
#[test]
fn who_wants_nothing_cut_is_told_what_does_not_fit() {
    for [client, server, any] in FAMILIES {
        let six = client.starts_with('[');
        let (level, discover, mtu) = if six {
            (IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_MTU)
        } else {
            (IPPROTO_IP, IP_MTU_DISCOVER, IP_MTU)
        };
        let mut net = narrow(1300);
        let two = net.datagram_socket(SERVER, at(any, 9)).expect("a socket");
        let one = connected(&mut net, client, at(server, 9));
        set(&mut net, &one, level, discover, 2);
        let headers = if six { 48 } else { 28 };
        assert_eq!(net.send_to(&one, &vec![0; 1501 - headers], None), Err(Errno::EMSGSIZE));
        net.send_to(&one, &vec![0; 1500 - headers], None).expect("fits the link");
        net.settle();
        assert_eq!(net.recv_from(&one), Err(Errno::EMSGSIZE), "but not the path");
        let known = call(&mut net, &one, |stack, _| stack.option(one.id, level, mtu)).expect("an option");
        assert_eq!(known, 1300i32.to_ne_bytes());
        assert_eq!(net.send_to(&one, &vec![0; 1301 - headers], None), Err(Errno::EMSGSIZE));
        net.send_to(&one, &vec![0; 1300 - headers], None).expect("fits");
        net.settle();
        assert_eq!(net.recv_from(&two).expect("a datagram").expect("no end").0.len(), 1300 - headers);
        // Who finds out by itself may send what the path is not known to carry, in one piece.
        //= https://www.rfc-editor.org/rfc/rfc4821#section-4
        //= type=test
        //# All implementations MUST include mechanisms for applications to selectively transmit packets larger than the current effective Path MTU, but smaller than the first-hop link MTU. (4821:4-9)
        set(&mut net, &one, level, discover, 3);
        assert_eq!(net.send_to(&one, &vec![0; 1501 - headers], None), Err(Errno::EMSGSIZE));
        net.send_to(&one, &vec![0; 1400 - headers], None).expect("fits the link");
        let now = net.now;
        let packets = sent(&mut net.hosts[CLIENT].stack, now);
        assert_eq!((packets.len(), packets[0].len()), (1, 1400));
        assert!(six || packets[0].head[6] & 0x40 != 0, "nobody may cut it");
        assert_eq!(net.hosts[CLIENT].stack.counters().udp_fragmented, 0);
    }
}

#[test]
fn without_discovery_routers_may_cut_and_reports_are_not_believed() {
    let mut net = narrow(1300);
    let one = connected(&mut net, "192.0.2.1", at("192.0.2.2", 9));
    set(&mut net, &one, IPPROTO_IP, IP_MTU_DISCOVER, 0);
    net.send_to(&one, &[0; 1400], None).expect("send");
    let now = net.now;
    let packets = sent(&mut net.hosts[CLIENT].stack, now);
    assert_eq!((packets.len(), packets[0].head[6] & 0x40), (1, 0));
    let quoted = ip::to_frame(&packets[0]).bytes;
    let router: IpAddr = "203.0.113.1".parse().unwrap();
    let fault = Fault::TooBig { mtu: 1300 };
    let (_, report) = ip::fault_about(&quoted, fault, Some(router), 64).expect("a message");
    net.hosts[CLIENT].stack.handle_frame(now, ip::to_frame(&report));
    assert_eq!(error(&mut net, &one), 0);
    assert_eq!(net.hosts[CLIENT].stack.counters().dropped(Drop::IcmpMtu), 1);
}

#[test]
fn lengths_and_checksums_that_are_wrong_have_counters() {
    for [client, server, any] in FAMILIES {
        let six = client.starts_with('[');
        let start = if six { 40 } else { 20 };
        let mut net = network(Plan::default());
        let two = net.datagram_socket(SERVER, at(any, 9)).expect("a socket");
        let right = packet(at(client, 7), at(server, 9), b"payload");
        let take = |net: &mut Network, change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = right.clone();
            change(&mut bytes);
            let now = net.now;
            net.hosts[SERVER].stack.handle_frame(now, frame(bytes));
            net.recv_from(&two).ok().flatten().map(|(bytes, _)| bytes)
        };
        assert_eq!(take(&mut net, &|_| {}), Some(b"payload".to_vec()));
        assert_eq!(take(&mut net, &|bytes| bytes[start + 8] ^= 1), None);
        assert_eq!(take(&mut net, &|bytes| bytes[start + 5] = 7), None);
        assert_eq!(take(&mut net, &|bytes| bytes[start + 5] = 16), None);
        let absent = take(&mut net, &|bytes| bytes[start + 6..start + 8].fill(0));
        assert_eq!(absent, (!six).then(|| b"payload".to_vec()));
        let counters = net.hosts[SERVER].stack.counters();
        let drops =
            [Drop::UdpChecksum, Drop::UdpLength, Drop::UdpNoChecksum].map(|why| counters.dropped(why));
        assert_eq!(drops, [1, 2, u64::from(six)]);
        assert_eq!(counters.udp_without_checksum, u64::from(!six));
        // A source of several hosts never gets as far.
        let group = if six { "[ff02::1]" } else { "192.0.2.255" };
        net.hosts[SERVER].stack.handle_frame(net.now, frame(packet(at(group, 7), at(server, 9), b"x")));
        assert_eq!(net.hosts[SERVER].stack.counters().dropped(Drop::IpSource), 1);
    }
}

//= https://www.rfc-editor.org/rfc/rfc768#page-1
//= type=test
//# If not used, a value of zero is inserted. (768:page-1-1)
#[test]
fn a_datagram_without_a_source_port_is_taken_and_has_no_answer() {
    for [client, server, any] in FAMILIES {
        let mut net = network(Plan::default());
        let two = net.datagram_socket(SERVER, at(any, 9)).expect("a socket");
        let now = net.now;
        net.hosts[SERVER].stack.handle_frame(now, frame(packet(at(client, 0), at(server, 9), b"news")));
        let (bytes, peer) = net.recv_from(&two).expect("a datagram").expect("no end");
        assert_eq!((&bytes[..], peer), (&b"news"[..], at(client, 0)));
        assert_eq!(net.send_to(&two, b"thanks", Some(peer)), Err(Errno::EINVAL));
    }
}

#[test]
fn a_link_that_is_down_or_gone_is_told() {
    let mut net = network(Plan::default());
    let one = net.datagram_socket(CLIENT, at("0.0.0.0", 7)).expect("a socket");
    let lo = net.datagram_socket(CLIENT, at("127.0.0.1", 8)).expect("a socket");
    let now = net.now;
    net.hosts[CLIENT].stack.handle_link(now, LinkState::Down);
    assert_eq!(net.send_to(&one, b"x", Some(at("192.0.2.2", 9))), Err(Errno::ENETDOWN));
    net.send_to(&one, b"x", Some(at("127.0.0.1", 8))).expect("send");
    net.settle();
    assert!(net.recv_from(&lo).is_ok());
    net.hosts[CLIENT].stack.handle_link(now, LinkState::Up);
    net.send_to(&one, b"x", Some(at("192.0.2.2", 9))).expect("send");
    net.hosts[CLIENT].stack.handle_link(now, LinkState::Gone);
    for _ in 0..2 {
        assert_eq!(net.recv_from(&one), Err(Errno::ENETDOWN));
        assert_eq!(net.send_to(&one, b"x", Some(at("192.0.2.2", 9))), Err(Errno::ENETDOWN));
    }
    assert!(net.readiness(&one).any(Readiness::HUP));
    assert_eq!(net.datagram_socket(CLIENT, at("0.0.0.0", 0)).map(|_| ()), Err(Errno::ENETDOWN));
    net.close(&one);
    net.close(&lo);
    net.settle();
    assert_eq!(net.hosts[CLIENT].stack.sockets(), 0);
}

#[test]
fn ports_run_out_with_an_error() {
    let few = Config {
        udp: usertcp_core::config::UdpConfig { port_first: 100, port_last: 103, ..config(CLIENT).udp },
        ..config(CLIENT)
    };
    let mut net = network(Plan { configs: [few, config(SERVER)], ..Plan::default() });
    let held: Vec<Endpoint> =
        (0..4).map(|_| net.datagram_socket(CLIENT, at("0.0.0.0", 0)).expect("a socket")).collect();
    assert_eq!(net.datagram_socket(CLIENT, at("0.0.0.0", 0)).map(|_| ()), Err(Errno::EADDRINUSE));
    let (id, cell) =
        net.hosts[CLIENT].stack.datagram_socket(usertcp_core::stack::Domain::V4).expect("a socket");
    let late = Endpoint { host: CLIENT, id, cell };
    assert_eq!(net.send_to(&late, b"x", Some(at("192.0.2.2", 9))), Err(Errno::EADDRNOTAVAIL));
    net.close(&held[2]);
    assert_eq!(net.send_to(&late, b"x", Some(at("192.0.2.2", 9))), Ok(()));
}
