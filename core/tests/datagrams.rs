//! Datagram sockets of two hosts: addresses, boundaries, bounds, and who receives.

mod world;

use usertcp_core::config::Config;
use usertcp_core::counters::Drop;
use usertcp_core::error::Errno;
use usertcp_core::link::pipe::Offload;
use usertcp_core::sim::{Endpoint, Network, Outcome};
use usertcp_core::stack::Shutdown;
use usertcp_core::stack::socket::ip::{IPPROTO_IP, IPPROTO_IPV6, v4::*, v6::*};
use usertcp_core::stack::socket::options::{IPPROTO_TCP, SOL_SOCKET, sol, tcp};
use usertcp_core::stack::socket::{self, Readiness, Take};
use world::*;

const SO_BROADCAST: i32 = 6;
const IP_MULTICAST_TTL: i32 = 33;
const IPV6_MULTICAST_HOPS: i32 = 18;

/// Addresses of the two hosts in either family, and the wildcard.
const FAMILIES: [[&str; 3]; 2] =
    [["192.0.2.1", "192.0.2.2", "0.0.0.0"], ["[2001:db8::1]", "[2001:db8::2]", "[::]"]];

fn at(host: &str, port: u16) -> std::net::SocketAddr {
    address(&format!("{host}:{port}"))
}

fn control<T>(
    net: &mut Network,
    end: &Endpoint,
    call: impl FnOnce(&mut usertcp_core::stack::Stack, usertcp_core::time::Instant) -> T,
) -> T {
    let now = net.now;
    call(&mut net.hosts[end.host].stack, now)
}

fn set(net: &mut Network, end: &Endpoint, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    control(net, end, |stack, now| stack.set_option(now, end.id, level, name, &value.to_ne_bytes()))
}

fn get(net: &mut Network, end: &Endpoint, level: i32, name: i32) -> Result<i32, Errno> {
    let bytes = control(net, end, |stack, _| stack.option(end.id, level, name))?;
    Ok(i32::from_ne_bytes(bytes.try_into().expect("an int")))
}

fn connect(net: &mut Network, end: &Endpoint, peer: std::net::SocketAddr) -> Result<(), Errno> {
    control(net, end, |stack, now| stack.connect(now, end.id, peer))
}

fn local(net: &mut Network, end: &Endpoint) -> std::net::SocketAddr {
    control(net, end, |stack, _| stack.local_address(end.id)).expect("an address")
}

/// A datagram that has to be there.
fn read(net: &mut Network, end: &Endpoint) -> (Vec<u8>, std::net::SocketAddr) {
    net.settle();
    net.recv_from(end).expect("a datagram").expect("no end")
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.5
//= type=test
//# An application program MUST be able to specify the IP source address to be used for sending a UDP datagram or to leave it unspecified (in which case the networking software will choose an appropriate source address). (1122:4.1.3.5-2)
//= https://www.rfc-editor.org/rfc/rfc768#page-2
//= type=test
//# A user interface should allow the creation of new receive ports, receive operations on the receive ports that return the data octets and an indication of source port and source address, and an operation that allows a datagram to be sent, specifying the data, source and destination ports and addresses to be sent. (768:page-2-5)
//= https://www.rfc-editor.org/rfc/rfc768#page-3
//= type=test
//# The UDP module must be able to determine the source and destination internet addresses and the protocol field from the internet header. (768:page-3-1)
#[test]
fn datagrams_keep_their_boundaries_both_ways_and_name_their_sender() {
    for offload in [Offload::Off, Offload::On] {
        for [client, server, any] in FAMILIES {
            let mut net = network(Plan { offload, ..Plan::default() });
            let one = net.datagram_socket(CLIENT, at(any, 0)).expect("a socket");
            let two = net.datagram_socket(SERVER, at(any, 53)).expect("a socket");
            for payload in [&b""[..], b"x", b"", &[7; 1400], &[8; 1472]] {
                net.send_to(&one, payload, Some(at(server, 53))).expect("send");
            }
            let port = local(&mut net, &one).port();
            assert!((32_768..=60_999).contains(&port));
            for payload in [&b""[..], b"x", b"", &[7; 1400], &[8; 1472]] {
                assert_eq!(read(&mut net, &two), (payload.to_vec(), at(client, port)));
            }
            assert_eq!(net.recv_from(&two), Err(Errno::EAGAIN));
            net.send_to(&two, b"answer", Some(at(client, port))).expect("send");
            assert_eq!(read(&mut net, &one), (b"answer".to_vec(), at(server, 53)));
            let counters = net.hosts[SERVER].stack.counters();
            assert_eq!((counters.udp_datagrams_in, counters.udp_datagrams_out), (5, 1));
            assert_eq!(counters.dropped(Drop::UdpChecksum), 0);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.5
//= type=test
//# There SHOULD be a way to communicate the chosen source address up to the application layer (1122:4.1.3.5-3)
#[test]
fn the_first_send_finds_a_port_and_loses_it_when_the_peer_is_taken_away() {
    for [client, server, any] in FAMILIES {
        let mut net = network(Plan::default());
        let domain = usertcp_core::stack::Domain::of(at(client, 0).ip());
        let (id, cell) = net.hosts[CLIENT].stack.datagram_socket(domain).expect("a socket");
        let one = Endpoint { host: CLIENT, id, cell };
        let peer_of = |net: &mut Network, end: &Endpoint| control(net, end, |s, _| s.peer_address(end.id));
        assert_eq!(net.send_to(&one, b"x", None), Err(Errno::EDESTADDRREQ));
        assert_eq!(local(&mut net, &one), at(any, 0));
        assert_eq!(net.recv_from(&one), Err(Errno::EAGAIN));
        net.send_to(&one, b"x", Some(at(server, 9))).expect("send");
        let first = local(&mut net, &one);
        assert_eq!(first.ip(), at(any, 0).ip());
        assert_ne!(first.port(), 0);
        assert_eq!(peer_of(&mut net, &one), Err(Errno::ENOTCONN));
        assert_eq!(connect(&mut net, &one, at(server, 9)), Ok(()));
        assert_eq!(local(&mut net, &one), at(client, first.port()));
        assert_eq!(peer_of(&mut net, &one), Ok(at(server, 9)));
        assert_eq!(connect(&mut net, &one, at(server, 10)), Ok(()), "again");
        assert_eq!(peer_of(&mut net, &one), Ok(at(server, 10)));
        assert_eq!(control(&mut net, &one, |stack, _| stack.dissolve(one.id)), Ok(()));
        assert_eq!(local(&mut net, &one), at(any, 0));
        assert_eq!(peer_of(&mut net, &one), Err(Errno::ENOTCONN));
        assert_eq!(net.send_to(&one, b"x", None), Err(Errno::EDESTADDRREQ));
        // The port is free for another.
        assert!(net.datagram_socket(CLIENT, at(any, first.port())).is_ok());
    }
}

#[test]
fn a_connected_socket_hears_its_peer_alone_and_the_closest_is_found_first() {
    for [client, server, any] in FAMILIES {
        let mut net = network(Plan::default());
        let [peer, stranger] =
            [1000, 1001].map(|port| net.datagram_socket(CLIENT, at(client, port)).unwrap());
        let wild = net.datagram_socket(SERVER, at(any, 53)).expect("a socket");
        assert_eq!(net.datagram_socket(SERVER, at(server, 53)).map(|_| ()), Err(Errno::EADDRINUSE));
        let exact = net.datagram_socket(SERVER, at(server, 54)).expect("a socket");
        assert_eq!(connect(&mut net, &exact, at(client, 1000)), Ok(()));
        net.send_to(&peer, b"heard", Some(at(server, 54))).expect("send");
        net.send_to(&stranger, b"not heard", Some(at(server, 54))).expect("send");
        net.send_to(&stranger, b"to every address", Some(at(server, 53))).expect("send");
        assert_eq!(read(&mut net, &exact), (b"heard".to_vec(), at(client, 1000)));
        assert_eq!(net.recv_from(&exact), Err(Errno::EAGAIN));
        assert_eq!(net.hosts[SERVER].stack.counters().dropped(Drop::UdpNoSocket), 1);
        assert_eq!(read(&mut net, &wild).0, b"to every address");
        // A connected one sends to others all the same, and to its peer without an address.
        net.send_to(&exact, b"to another", Some(at(client, 1001))).expect("send");
        net.send_to(&exact, b"to the peer", None).expect("send");
        assert_eq!(read(&mut net, &stranger).0, b"to another");
        assert_eq!(read(&mut net, &peer).0, b"to the peer");
        // Connected from a wildcard, the address that was found is the only one.
        assert_eq!(connect(&mut net, &wild, at(client, 1001)), Ok(()));
        assert_eq!(local(&mut net, &wild), at(server, 53));
        assert_eq!(control(&mut net, &wild, |stack, _| stack.dissolve(wild.id)), Ok(()));
        assert_eq!(local(&mut net, &wild), at(any, 53), "what bind gave comes back");
    }
}

#[test]
fn ports_are_apart_from_those_of_tcp_and_shared_only_if_both_agree() {
    let mut net = network(Plan::default());
    let _tcp = net.listen(SERVER, at("0.0.0.0", 80), 3).expect("listen");
    let udp = net.datagram_socket(SERVER, at("0.0.0.0", 80)).expect("a socket");
    assert_eq!(net.datagram_socket(SERVER, at("192.0.2.2", 80)).map(|_| ()), Err(Errno::EADDRINUSE));
    assert!(net.datagram_socket(SERVER, at("[2001:db8::2]", 80)).is_ok(), "the families are apart");
    net.close(&udp);
    let share = |net: &mut Network| {
        let domain = usertcp_core::stack::Domain::V4;
        let (id, cell) = net.hosts[SERVER].stack.datagram_socket(domain).expect("a socket");
        let end = Endpoint { host: SERVER, id, cell };
        assert_eq!(set(net, &end, SOL_SOCKET, sol::SO_REUSEADDR, 1), Ok(()));
        assert_eq!(control(net, &end, |stack, _| stack.bind(id, at("0.0.0.0", 80))), Ok(()));
        end
    };
    let (first, last) = (share(&mut net), share(&mut net));
    let sender = net.datagram_socket(CLIENT, at("192.0.2.1", 5)).expect("a socket");
    net.send_to(&sender, b"one", Some(at("192.0.2.2", 80))).expect("send");
    assert_eq!(read(&mut net, &last).0, b"one");
    net.close(&last);
    net.send_to(&sender, b"two", Some(at("192.0.2.2", 80))).expect("send");
    assert_eq!(read(&mut net, &first).0, b"two");
    assert_eq!(control(&mut net, &first, |s, _| s.bind(first.id, at("0.0.0.0", 81))), Err(Errno::EINVAL));
}

#[test]
fn who_is_closed_sends_what_it_has_and_stands_nowhere_any_more() {
    let mut net = network(Plan::default());
    let peer = net.datagram_socket(SERVER, at("192.0.2.2", 80)).expect("a socket");
    let one = net.datagram_socket(CLIENT, at("192.0.2.1", 5)).expect("a socket");
    net.send_to(&one, b"one", Some(at("192.0.2.2", 80))).expect("send");
    net.close(&one);
    // A call that had begun before the close.
    assert_eq!(connect(&mut net, &one, at("192.0.2.2", 80)), Err(Errno::EBADF));
    assert_eq!(control(&mut net, &one, |stack, _| stack.dissolve(one.id)), Err(Errno::EBADF));
    assert_eq!(control(&mut net, &one, |stack, _| stack.bind(one.id, at("192.0.2.1", 6))), Err(Errno::EBADF));
    assert_eq!(read(&mut net, &peer).0, b"one");
    net.send_to(&peer, b"two", Some(at("192.0.2.1", 5))).expect("send");
    net.settle();
    assert_eq!(net.hosts[CLIENT].stack.counters().dropped(Drop::UdpNoSocket), 1);
    assert_eq!(net.hosts[CLIENT].stack.counters().icmp_errors_out, 1);
}

#[test]
fn addresses_that_cannot_be_are_refused_as_linux_does() {
    let mut net = network(Plan::default());
    let one = net.datagram_socket(CLIENT, at("0.0.0.0", 0)).expect("a socket");
    let lo = net.datagram_socket(CLIENT, at("127.0.0.1", 0)).expect("a socket");
    let six = net.datagram_socket(CLIENT, at("[::]", 0)).expect("a socket");
    let send = |net: &mut Network, end: &Endpoint, to: &str| net.send_to(end, b"x", Some(address(to)));
    assert_eq!(send(&mut net, &one, "192.0.2.2:0"), Err(Errno::EINVAL));
    assert_eq!(send(&mut net, &one, "[2001:db8::2]:9"), Err(Errno::EAFNOSUPPORT));
    assert_eq!(send(&mut net, &six, "192.0.2.2:9"), Err(Errno::EAFNOSUPPORT));
    let [of_six, of_four] =
        ["[::1]", "[::ffff:192.0.2.1]"].map(|own| net.datagram_socket(CLIENT, at(own, 0)));
    let (of_six, of_four) = (of_six.expect("a socket"), of_four.expect("a socket"));
    assert_eq!(send(&mut net, &of_six, "[::ffff:192.0.2.2]:9"), Err(Errno::ENETUNREACH));
    assert_eq!(send(&mut net, &of_four, "[2001:db8::2]:9"), Err(Errno::ENETUNREACH));
    assert_eq!(send(&mut net, &of_four, "[::ffff:192.0.2.2]:9"), Ok(()));
    assert_eq!(send(&mut net, &lo, "192.0.2.2:9"), Err(Errno::EINVAL));
    for broadcast in ["255.255.255.255:9", "192.0.2.255:9"] {
        assert_eq!(send(&mut net, &one, broadcast), Err(Errno::EACCES), "{broadcast}");
        assert_eq!(connect(&mut net, &one, address(broadcast)), Err(Errno::EACCES));
        assert_eq!(set(&mut net, &one, SOL_SOCKET, SO_BROADCAST, 1), Ok(()));
        assert_eq!(net.send_to(&one, b"x", Some(address(broadcast))), Ok(()));
        assert_eq!(set(&mut net, &one, SOL_SOCKET, SO_BROADCAST, 0), Ok(()));
        assert_eq!(send(&mut net, &one, broadcast), Err(Errno::EACCES), "no longer");
    }
    assert_eq!(net.datagram_socket(CLIENT, at("192.0.2.9", 0)).map(|_| ()), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(net.datagram_socket(CLIENT, at("224.0.0.1", 0)).map(|_| ()), Err(Errno::EADDRNOTAVAIL));
    let bound = control(&mut net, &one, |stack, _| stack.bind(one.id, at("192.0.2.1", 0)));
    assert_eq!(bound, Err(Errno::EINVAL));
    assert_eq!(connect(&mut net, &one, at("[2001:db8::2]", 9)), Err(Errno::EAFNOSUPPORT));

    let only = Config { addresses: vec!["192.0.2.1/24".parse().unwrap()], ..config(CLIENT) };
    let mut net = network(Plan { configs: [only, config(SERVER)], ..Plan::default() });
    let six = net.datagram_socket(CLIENT, at("[::]", 0)).expect("a socket");
    assert_eq!(net.send_to(&six, b"x", Some(at("[2001:db8::2]", 9))), Err(Errno::ENETUNREACH));
    // A port of zero finds out the own address, and nothing can be sent to it.
    let one = net.datagram_socket(CLIENT, at("0.0.0.0", 0)).expect("a socket");
    assert_eq!(connect(&mut net, &one, at("192.0.2.7", 0)), Ok(()));
    assert_eq!(local(&mut net, &one).ip(), at("192.0.2.1", 0).ip());
    assert_eq!(control(&mut net, &one, |s, _| s.peer_address(one.id)), Err(Errno::ENOTCONN));
    assert_eq!(net.send_to(&one, b"x", None), Err(Errno::EINVAL));
}

#[test]
fn calls_of_streams_are_not_for_datagrams_and_the_other_way_round() {
    let mut net = network(Plan::default());
    let udp = net.datagram_socket(CLIENT, at("0.0.0.0", 0)).expect("a socket");
    assert_eq!(control(&mut net, &udp, |stack, now| stack.listen(now, udp.id, 1)), Err(Errno::EOPNOTSUPP));
    assert_eq!(net.accept(&udp).map(|_| ()), Err(Errno::EOPNOTSUPP));
    assert_eq!(
        control(&mut net, &udp, |s, now| s.tcp_info(now, udp.id)).map(|_| ()),
        Err(Errno::ENOPROTOOPT)
    );
    assert_eq!(control(&mut net, &udp, |s, now| s.abort(now, udp.id)), Err(Errno::ENOTCONN));
    assert_eq!(get(&mut net, &udp, SOL_SOCKET, sol::SO_TYPE), Ok(2));
    assert_eq!(get(&mut net, &udp, SOL_SOCKET, sol::SO_PROTOCOL), Ok(17));
    assert_eq!(get(&mut net, &udp, SOL_SOCKET, sol::SO_ACCEPTCONN), Ok(0));
    assert_eq!(set(&mut net, &udp, IPPROTO_TCP, tcp::TCP_NODELAY, 1), Err(Errno::ENOPROTOOPT));
    assert_eq!(get(&mut net, &udp, IPPROTO_TCP, tcp::TCP_NODELAY), Err(Errno::ENOPROTOOPT));
    assert_eq!(get(&mut net, &udp, IPPROTO_IP, IP_MTU), Err(Errno::ENOTCONN));
    connect(&mut net, &udp, at("192.0.2.2", 9)).expect("connect");
    assert_eq!(get(&mut net, &udp, IPPROTO_IP, IP_MTU), Ok(1500));
    // ECN is the program's here.
    assert_eq!(set(&mut net, &udp, IPPROTO_IP, IP_TOS, 0xbb), Ok(()));
    assert_eq!(get(&mut net, &udp, IPPROTO_IP, IP_TOS), Ok(0xbb));
    // Groups cannot be joined, and errors are not queued.
    assert_eq!(set(&mut net, &udp, IPPROTO_IP, 35, 0), Err(Errno::ENOPROTOOPT));
    assert_eq!(set(&mut net, &udp, IPPROTO_IP, 11, 1), Err(Errno::ENOPROTOOPT));

    let tcp = net.connect(CLIENT, at("192.0.2.2", 80)).expect("connect");
    assert_eq!(net.send_to(&tcp, b"x", Some(at("192.0.2.2", 80))), Err(Errno::EOPNOTSUPP));
    assert_eq!(net.recv_from(&tcp), Err(Errno::EOPNOTSUPP));
    assert_eq!(control(&mut net, &tcp, |stack, _| stack.dissolve(tcp.id)), Err(Errno::EOPNOTSUPP));
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.7
//= type=test
//# A host MUST NOT send a datagram with a Time-to-Live (TTL) value of zero. (1122:3.2.1.7-1)
//= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.4
//= type=test
//# An application-layer program MUST be able to set the TTL and TOS values (1122:4.1.4-2)
#[test]
fn a_group_is_sent_to_with_hops_of_its_own() {
    for (group, level, multicast, unicast, six) in [
        ("224.0.0.251:5353", IPPROTO_IP, IP_MULTICAST_TTL, IP_TTL, false),
        ("[ff02::fb]:5353", IPPROTO_IPV6, IPV6_MULTICAST_HOPS, IPV6_UNICAST_HOPS, true),
    ] {
        let mut net = network(Plan::default());
        let one =
            net.datagram_socket(CLIENT, at(if six { "[::]" } else { "0.0.0.0" }, 5353)).expect("a socket");
        let hops = |net: &mut Network, to: &str| {
            net.send_to(&one, b"x", Some(address(to))).expect("send");
            let now = net.now;
            let packet = net.hosts[CLIENT].stack.poll_transmit(now).expect("a packet");
            assert_eq!(packet.head[if six { 6 } else { 9 }], 17);
            packet.head[if six { 7 } else { 8 }]
        };
        let host = if six { "[2001:db8::2]:9" } else { "192.0.2.2:9" };
        assert_eq!((hops(&mut net, group), hops(&mut net, host)), (1, 64));
        set(&mut net, &one, level, multicast, 9).expect("an option");
        set(&mut net, &one, level, unicast, 33).expect("an option");
        assert_eq!((hops(&mut net, group), hops(&mut net, host)), (9, 33));
        set(&mut net, &one, level, if six { IPV6_TCLASS } else { IP_TOS }, 0x48).expect("an option");
        net.send_to(&one, b"x", Some(address(host))).expect("send");
        let now = net.now;
        let packet = net.hosts[CLIENT].stack.poll_transmit(now).expect("a packet");
        let class = if six { packet.head[0] << 4 | packet.head[1] >> 4 } else { packet.head[1] };
        assert_eq!(class, 0x48);
        assert_eq!(get(&mut net, &one, level, multicast), Ok(9));
        set(&mut net, &one, level, multicast, 0).expect("an option");
        net.send_to(&one, b"x", Some(address(group))).expect("send");
        let now = net.now;
        assert!(net.hosts[CLIENT].stack.poll_transmit(now).is_none(), "no hop leads as far as the link");
        assert_eq!(net.hosts[CLIENT].stack.counters().udp_unsent, 1);
    }
}

//= https://www.rfc-editor.org/rfc/rfc4443#section-3.1
//= type=test
//# An ICMPv6 message MUST NOT be generated if a packet is dropped due to congestion. (4443:3.1-3)
#[test]
fn a_full_receive_buffer_drops_and_says_so_and_peeking_takes_nothing() {
    let mut net = network(Plan::default());
    let one = net.datagram_socket(CLIENT, at("192.0.2.1", 7)).expect("a socket");
    let two = net.datagram_socket(SERVER, at("192.0.2.2", 7)).expect("a socket");
    set(&mut net, &two, SOL_SOCKET, sol::SO_RCVBUF, 16 << 10).expect("an option");
    for number in 0..1000u32 {
        net.send_to(&one, &number.to_be_bytes(), Some(at("192.0.2.2", 7))).expect("send");
        net.settle();
    }
    let peeked = socket::recv_from(&two.cell, Take::Peek, None).expect("a datagram").expect("no end");
    assert_eq!(peeked.payload[..], 0u32.to_be_bytes());
    //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.5
    //= type=test
    //# When a UDP datagram is received, its specific-destination address MUST be passed up to the application layer. (1122:4.1.3.5-1)
    assert_eq!(peeked.local, at("192.0.2.2", 7).ip());
    let got: Vec<u32> = std::iter::from_fn(|| net.recv_from(&two).ok().flatten())
        .map(|(bytes, _)| u32::from_be_bytes(bytes.try_into().expect("four bytes")))
        .collect();
    // 132 bytes each are counted.
    assert_eq!(got, (0..(16u32 << 10).div_ceil(132)).collect::<Vec<_>>(), "the oldest are kept");
    let counters = net.hosts[SERVER].stack.counters();
    assert_eq!(counters.dropped(Drop::UdpQueue), 1000 - got.len() as u64);
    assert_eq!(counters.icmp_errors_out, 0, "and nobody is told");
    net.send_to(&one, b"again", Some(at("192.0.2.2", 7))).expect("send");
    assert_eq!(read(&mut net, &two).0, b"again");
}

#[test]
fn a_full_send_buffer_blocks_until_half_of_it_is_free() {
    let mut net = network(Plan { queue: 4, ..Plan::default() });
    let one = net.datagram_socket(CLIENT, at("192.0.2.1", 7)).expect("a socket");
    let two = net.datagram_socket(SERVER, at("192.0.2.2", 7)).expect("a socket");
    set(&mut net, &one, SOL_SOCKET, sol::SO_SNDBUF, 20_000).expect("an option");
    net.send_to(&one, &[0; 1000], Some(at("192.0.2.2", 7))).expect("send");
    let mut queued = 1;
    while net.send_to(&one, &[0; 1000], Some(at("192.0.2.2", 7))) == Ok(()) {
        queued += 1;
    }
    assert_eq!(queued, 20_000usize.div_ceil(1128));
    assert!(!net.readiness(&one).any(Readiness::OUT));
    assert_eq!(net.send_to(&one, &[0; 1000], Some(at("192.0.2.2", 7))), Err(Errno::EAGAIN));
    // A longer datagram than the buffer holds passes an empty one.
    let mut got = 0;
    let outcome = net.run_until(secs(1), |net| {
        while net.recv_from(&two).is_ok() {
            got += 1;
        }
        got == queued
    });
    assert_eq!(outcome, Outcome::Met);
    assert!(net.readiness(&one).any(Readiness::OUT));
    net.send_to(&one, &vec![1; 65_507], Some(at("192.0.2.2", 7))).expect("send");
    assert_eq!(net.send_to(&one, &vec![1; 65_508], Some(at("192.0.2.2", 7))), Err(Errno::EMSGSIZE));
}

#[test]
fn readiness_is_that_of_linux() {
    let mut net = network(Plan::default());
    let one = net.datagram_socket(CLIENT, at("192.0.2.1", 7)).expect("a socket");
    let two = net.datagram_socket(SERVER, at("192.0.2.2", 7)).expect("a socket");
    assert_eq!(net.readiness(&one), Readiness::OUT);
    net.send_to(&one, b"", Some(at("192.0.2.2", 7))).expect("send");
    net.settle();
    assert_eq!(net.readiness(&two), Readiness::OUT | Readiness::IN);
    assert_eq!(read(&mut net, &two).0, b"");
    assert_eq!(net.readiness(&two), Readiness::OUT);
    // Shutting down tells that nobody is there, and works all the same.
    let shut = |net: &mut Network, end: &Endpoint, how| net.shutdown(end, how);
    assert_eq!(shut(&mut net, &two, Shutdown::Read), Err(Errno::ENOTCONN));
    assert_eq!(net.readiness(&two), Readiness::OUT | Readiness::IN | Readiness::RDHUP);
    assert_eq!(net.recv_from(&two), Ok(None));
    connect(&mut net, &two, at("192.0.2.1", 7)).expect("connect");
    assert_eq!(shut(&mut net, &two, Shutdown::Write), Ok(()));
    assert_eq!(net.send_to(&two, b"x", None), Err(Errno::EPIPE));
    assert!(net.readiness(&two).any(Readiness::HUP));
    net.close(&two);
    assert_eq!(net.readiness(&two), Readiness::NVAL);
    assert_eq!(net.send_to(&two, b"x", None), Err(Errno::EBADF));
    assert_eq!(net.recv_from(&two), Err(Errno::EBADF));
}

#[test]
fn a_stack_talks_to_itself_without_end_and_without_starving_others() {
    for [client, _, any] in FAMILIES {
        for host in [client, if client.starts_with('[') { "[::1]" } else { "127.0.0.1" }] {
            let mut net = network(Plan::default());
            let one = net.datagram_socket(CLIENT, at(any, 7)).expect("a socket");
            let two = net.datagram_socket(CLIENT, at(host, 8)).expect("a socket");
            let far = net.datagram_socket(SERVER, at(any, 9)).expect("a socket");
            let most = if client.starts_with('[') { 65_527 } else { 65_507 };
            net.send_to(&one, &vec![3; most], Some(at(host, 8))).expect("send");
            let (bytes, from) = read(&mut net, &two);
            assert_eq!((bytes.len(), from), (most, at(host, 7)));
            assert_eq!(net.hosts[CLIENT].stack.counters().frames_out, 0);
            // Many: more than one turn takes.
            for round in 0..4 {
                let mut sent = 0;
                while net.send_to(&one, &[round; 8], Some(at(host, 8))) == Ok(()) {
                    sent += 1;
                }
                assert!(sent > 1900, "{sent}");
                let outcome = net.run_until(secs(1), |net| {
                    while let Ok(Some((bytes, _))) = net.recv_from(&two) {
                        assert_eq!(bytes, [round; 8]);
                        sent -= 1;
                    }
                    sent == 0
                });
                assert_eq!(outcome, Outcome::Met, "{sent} are missing");
            }
            // The unspecified address stands for loopback.
            if any != host && !host.contains("db8") && host != "192.0.2.1" {
                net.send_to(&one, b"any", Some(at(any, 8))).expect("send");
                assert_eq!(read(&mut net, &two).0, b"any");
            }
            let target = if client.starts_with('[') { "[2001:db8::2]" } else { "192.0.2.2" };
            net.send_to(&one, b"out", Some(at(target, 9))).expect("send");
            assert_eq!(read(&mut net, &far).0, b"out");
        }
    }
}

#[test]
fn a_flood_of_datagrams_does_not_stop_a_connection() {
    let mut net = network(Plan { queue: 64, ..Plan::default() });
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    let flood = net.datagram_socket(CLIENT, at("192.0.2.1", 7)).expect("a socket");
    let sink = net.datagram_socket(SERVER, at("192.0.2.2", 7)).expect("a socket");
    let (mut server, mut sent, mut got, mut heard) = (None, 0, 0, 0);
    let bytes = vec![5; 1 << 20];
    let outcome = net.run_until(secs(60), |net| {
        while net.send_to(&flood, &[0; 500], Some(at("192.0.2.2", 7))) == Ok(()) {}
        while net.recv_from(&sink).is_ok() {
            heard += 1;
        }
        if server.is_none() {
            server = net.accept(&listener).ok();
        }
        if let Ok(count) = net.send(&client, &bytes[sent..]) {
            sent += count;
        }
        if let Some(server) = &server {
            while let Ok(piece) = net.recv(server, 1 << 20) {
                got += piece.len();
            }
        }
        got == bytes.len()
    });
    assert_eq!(outcome, Outcome::Met, "{got} bytes, {heard} datagrams");
    // Each has its turn: a datagram for a run of segments, and those that went while the window was closed.
    assert!((50..20_000).contains(&heard), "{heard}");
}

#[test]
fn what_was_written_before_close_is_sent_and_nothing_is_left() {
    let mut net = network(Plan { queue: 2, ..Plan::default() });
    let one = net.datagram_socket(CLIENT, at("192.0.2.1", 7)).expect("a socket");
    let two = net.datagram_socket(SERVER, at("192.0.2.2", 7)).expect("a socket");
    for number in 0..20u8 {
        net.send_to(&one, &[number], Some(at("192.0.2.2", 7))).expect("send");
    }
    net.close(&one);
    // The port is free at once.
    assert!(net.datagram_socket(CLIENT, at("192.0.2.1", 7)).is_ok());
    let mut got = Vec::new();
    net.run_until(secs(1), |net| {
        while let Ok(Some((bytes, _))) = net.recv_from(&two) {
            got.extend(bytes);
        }
        got.len() == 20
    });
    assert_eq!(got, (0..20).collect::<Vec<u8>>());
    let now = net.now;
    net.hosts.iter_mut().for_each(|host| host.stack.close_all(now));
    net.settle();
    assert!(net.hosts.iter().all(|host| host.stack.sockets() == 0));
}

#[test]
fn a_socket_of_both_families_hears_and_speaks_ipv4_under_mapped_addresses() {
    let mut net = network(Plan::default());
    let both = net.datagram_socket(SERVER, at("[::]", 53)).expect("a socket");
    assert_eq!(net.datagram_socket(SERVER, at("0.0.0.0", 53)).map(|_| ()), Err(Errno::EADDRINUSE));
    let four = net.datagram_socket(CLIENT, at("192.0.2.1", 7)).expect("a socket");
    let six = net.datagram_socket(CLIENT, at("[2001:db8::1]", 7)).expect("a socket");
    net.send_to(&four, b"four", Some(at("192.0.2.2", 53))).expect("send");
    assert_eq!(read(&mut net, &both), (b"four".to_vec(), at("[::ffff:192.0.2.1]", 7)));
    net.send_to(&six, b"six", Some(at("[2001:db8::2]", 53))).expect("send");
    assert_eq!(read(&mut net, &both), (b"six".to_vec(), at("[2001:db8::1]", 7)));
    net.send_to(&both, b"to four", Some(at("[::ffff:192.0.2.1]", 7))).expect("send");
    assert_eq!(read(&mut net, &four), (b"to four".to_vec(), at("192.0.2.2", 53)));
    let too_long = vec![0; 65_508];
    assert_eq!(net.send_to(&both, &too_long, Some(at("[::ffff:192.0.2.1]", 7))), Err(Errno::EMSGSIZE));
    assert_eq!(net.send_to(&both, &too_long, Some(at("[::ffff:127.0.0.1]", 7))), Err(Errno::EMSGSIZE));
    assert_eq!(connect(&mut net, &both, at("[::ffff:192.0.2.1]", 7)), Ok(()));
    assert_eq!(local(&mut net, &both), at("[::ffff:192.0.2.2]", 53));
    let peer = control(&mut net, &both, |stack, _| stack.peer_address(both.id));
    assert_eq!(peer, Ok(at("[::ffff:192.0.2.1]", 7)));
    net.send_to(&both, b"connected", None).expect("send");
    assert_eq!(read(&mut net, &four).0, b"connected");
    net.send_to(&six, b"not heard", Some(at("[2001:db8::2]", 53))).expect("send");
    net.settle();
    assert_eq!(net.recv_from(&both), Err(Errno::EAGAIN));
    assert_eq!(control(&mut net, &both, |stack, _| stack.dissolve(both.id)), Ok(()));
    assert_eq!(local(&mut net, &both), at("[::]", 53));
    net.close(&both);

    let only = net.datagram_socket(SERVER, at("[::]", 0)).expect("a socket");
    net.close(&only);
    let (id, cell) =
        net.hosts[SERVER].stack.datagram_socket(usertcp_core::stack::Domain::V6).expect("a socket");
    let only = Endpoint { host: SERVER, id, cell };
    set(&mut net, &only, IPPROTO_IPV6, 26, 1).expect("IPV6_V6ONLY");
    assert_eq!(control(&mut net, &only, |s, _| s.bind(id, at("[::ffff:192.0.2.2]", 53))), Err(Errno::EINVAL));
    assert_eq!(control(&mut net, &only, |s, _| s.bind(id, at("[::]", 53))), Ok(()));
    assert_eq!(set(&mut net, &only, IPPROTO_IPV6, 26, 0), Err(Errno::EINVAL));
    assert!(net.datagram_socket(SERVER, at("0.0.0.0", 53)).is_ok());
    assert_eq!(net.send_to(&only, b"x", Some(at("[::ffff:192.0.2.1]", 7))), Err(Errno::ENETUNREACH));
}
