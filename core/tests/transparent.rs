//! Sockets at addresses that are none of the stack's: IP_TRANSPARENT.

mod world;

use bytes::Bytes;
use std::collections::VecDeque;
use std::net::SocketAddr;
use usertcp_core::counters::Drop;
use usertcp_core::error::Errno;
use usertcp_core::ip::{self, Envelope, Fault};
use usertcp_core::link::{Capabilities, Frame, FrameMeta};
use usertcp_core::sim::{Endpoint, Network};
use usertcp_core::stack::socket::ip::{IPPROTO_IP, IPPROTO_IPV6, v4::IP_TRANSPARENT, v6::IPV6_TRANSPARENT};
use usertcp_core::stack::socket::{self, Readiness};
use usertcp_core::stack::{Domain, Intercept, Shutdown};
use usertcp_core::time::Instant;
use world::*;

/// Of either family: somebody else's address, another's, the client's, the server's.
const FAMILIES: [[&str; 4]; 2] = [
    ["203.0.113.7", "203.0.113.8", "192.0.2.1", "192.0.2.2"],
    ["[2001:db8:5::7]", "[2001:db8:5::8]", "[2001:db8::1]", "[2001:db8::2]"],
];

fn at(host: &str, port: u16) -> SocketAddr {
    address(&format!("{host}:{port}"))
}

fn stream(net: &mut Network, host: usize, domain: Domain) -> Endpoint {
    net.socket(host, domain).expect("a socket")
}

fn datagrams(net: &mut Network, host: usize, domain: Domain) -> Endpoint {
    let (id, cell) = net.hosts[host].stack.datagram_socket(domain).expect("a socket");
    Endpoint { host, id, cell }
}

fn set(net: &mut Network, end: &Endpoint, on: bool) {
    let (now, stack) = (net.now, &mut net.hosts[end.host].stack);
    let value = i32::from(on).to_ne_bytes();
    let (level, name) = match stack.local_address(end.id).expect("an address") {
        SocketAddr::V4(_) => (IPPROTO_IP, IP_TRANSPARENT),
        SocketAddr::V6(_) => (IPPROTO_IPV6, IPV6_TRANSPARENT),
    };
    stack.set_option(now, end.id, level, name, &value).expect("an option");
    assert_eq!(stack.option(end.id, level, name), Ok(value.to_vec()));
}

fn bind(net: &mut Network, end: &Endpoint, own: SocketAddr) -> Result<(), Errno> {
    net.hosts[end.host].stack.bind(end.id, own)
}

fn connect(net: &mut Network, end: &Endpoint, peer: SocketAddr) -> Result<(), Errno> {
    let now = net.now;
    net.hosts[end.host].stack.connect(now, end.id, peer)
}

/// A transparent socket of the server's, bound to `own`.
fn standing(net: &mut Network, own: SocketAddr) -> Endpoint {
    let end = stream(net, SERVER, Domain::of(own.ip()));
    set(net, &end, true);
    bind(net, &end, own).expect("bind");
    end
}

fn not_ours(net: &Network) -> u64 {
    net.hosts[SERVER].stack.counters().dropped(Drop::IpNotOurs)
}

/// A datagram from the client's host to `to`; whether the server let it in.
fn let_in(net: &mut Network, from: SocketAddr, to: SocketAddr) -> bool {
    let before = not_ours(net);
    let mut out = VecDeque::new();
    let plain = Capabilities::plain(1500);
    let ports = (from.port(), to.port());
    ip::udp_transmit(
        &Envelope::new(from.ip(), to.ip()),
        ports,
        Bytes::from("x"),
        1500,
        &plain,
        || 0,
        &mut out,
    );
    let frame = Frame { bytes: ip::to_frame(&out[0]).bytes, meta: FrameMeta::default() };
    let (now, stack) = (net.now, &mut net.hosts[SERVER].stack);
    stack.handle_frame(now, frame);
    assert!(stack.poll_transmit(now).is_none(), "nobody is told");
    not_ours(net) == before
}

#[test]
fn only_a_transparent_socket_is_bound_to_what_is_another_hosts() {
    let mut net = network(Plan::default());
    for (own, outcome) in [
        ("203.0.113.7:80", Ok(())),
        ("192.0.2.2:80", Ok(())),
        ("0.0.0.0:81", Ok(())),
        ("127.0.0.1:80", Ok(())),
        ("192.0.2.255:82", Err(Errno::EADDRNOTAVAIL)),
        ("255.255.255.255:82", Err(Errno::EADDRNOTAVAIL)),
        ("224.0.0.1:82", Err(Errno::EADDRNOTAVAIL)),
        ("0.1.2.3:82", Err(Errno::EADDRNOTAVAIL)),
        ("[2001:db8:5::7]:80", Ok(())),
        ("[::ffff:203.0.113.9]:80", Ok(())),
        ("[::]:83", Ok(())),
        ("[fe80::77]:84", Err(Errno::EADDRNOTAVAIL)),
        ("[ff02::1]:84", Err(Errno::EADDRNOTAVAIL)),
    ] {
        let own = address(own);
        for make in [stream, datagrams] {
            let end = make(&mut net, SERVER, Domain::of(own.ip()));
            set(&mut net, &end, true);
            set(&mut net, &end, false);
            let foreign =
                outcome.is_ok() && own.ip().to_string().contains(if own.is_ipv4() { "203" } else { "5::7" });
            if foreign {
                assert_eq!(bind(&mut net, &end, own), Err(Errno::EADDRNOTAVAIL), "{own}");
            }
            set(&mut net, &end, true);
            assert_eq!(bind(&mut net, &end, own), outcome, "{own}");
        }
    }
    // The option that an AF_INET6 socket has of IPv4 is the same one.
    let end = stream(&mut net, SERVER, Domain::V6);
    let (now, stack) = (net.now, &mut net.hosts[SERVER].stack);
    stack.set_option(now, end.id, IPPROTO_IP, IP_TRANSPARENT, &[1]).expect("an option");
    assert_eq!(stack.option(end.id, IPPROTO_IPV6, IPV6_TRANSPARENT), Ok(vec![1, 0, 0, 0]));
    let end = stream(&mut net, SERVER, Domain::V4);
    let stack = &mut net.hosts[SERVER].stack;
    let refused = stack.set_option(now, end.id, IPPROTO_IPV6, IPV6_TRANSPARENT, &[1, 0, 0, 0]);
    assert_eq!(refused, Err(Errno::ENOPROTOOPT));
}

#[test]
fn a_connection_from_anothers_address_is_answered_there() {
    for [foreign, _, client, server] in FAMILIES {
        let mut net = network(Plan::default());
        let listener = net.listen(CLIENT, at(client, 80), 5).expect("listen");
        for port in [4000, 0] {
            let near = standing(&mut net, at(foreign, port));
            connect(&mut net, &near, at(client, 80)).expect("connect");
            net.settle();
            assert_eq!(socket::connected(&near.cell, None), Ok(()));
            let far = net.accept(&listener).expect("accept");
            let own = net.hosts[SERVER].stack.local_address(near.id).expect("an address");
            assert_eq!(net.hosts[CLIENT].stack.peer_address(far.id), Ok(own));
            assert_eq!(own.ip(), at(foreign, 0).ip());
            assert!(port == 0 || own.port() == port);
            carry(&mut net, &near, &far, 100_000);
            carry(&mut net, &far, &near, 100_000);
            net.close(&far);
            net.settle();
            assert_eq!(net.recv(&near, 1), Ok(Vec::new()));
            net.close(&near);
            net.settle();
        }
        // Nobody there: the reset comes back as well.
        let near = standing(&mut net, at(foreign, 4001));
        connect(&mut net, &near, at(client, 81)).expect("connect");
        net.settle();
        assert_eq!(socket::connected(&near.cell, None), Err(Errno::ECONNREFUSED));
        net.close(&near);
        // The stack's own addresses are not reached from there.
        let near = standing(&mut net, at(foreign, 4002));
        assert_eq!(connect(&mut net, &near, at(server, 80)), Err(Errno::EINVAL));
        net.close(&near);
        net.close(&listener);
        assert!(net.run_for(secs(120)));
        assert_eq!(net.hosts[SERVER].stack.sockets(), 0);
        assert!(!let_in(&mut net, at(client, 1), at(foreign, 2)), "it is over");
        assert!(not_ours(&net) > 0);
    }
}

#[test]
fn reports_of_routers_reach_a_connection_from_anothers_address() {
    let mut net = network(Plan::default());
    let near = standing(&mut net, address("203.0.113.7:4000"));
    connect(&mut net, &near, address("198.51.100.1:80")).expect("connect");
    let (now, stack) = (net.now, &mut net.hosts[SERVER].stack);
    let syn = ip::to_frame(&stack.poll_transmit(now).expect("a SYN")).bytes;
    let router = address("198.51.100.254:0").ip();
    let (_, message) = ip::fault_about(&syn, Fault::PortUnreachable, Some(router), 64).expect("a message");
    stack.handle_frame(now, ip::to_frame(&message));
    assert_eq!(stack.counters().icmp_errors_in, 1);
    net.settle();
    assert_eq!(socket::connected(&near.cell, None), Err(Errno::ECONNREFUSED));
}

#[test]
fn who_listens_at_anothers_address_goes_before_an_interceptor_and_who_listens_everywhere_does_not() {
    for [foreign, other, _, _] in FAMILIES {
        let mut net = network(Plan::default());
        let any = if foreign.starts_with('[') { "[::]" } else { "0.0.0.0" };
        let here = standing(&mut net, at(foreign, 80));
        let everywhere = standing(&mut net, at(any, 81));
        let now = net.now;
        for end in [&here, &everywhere] {
            net.hosts[SERVER].stack.listen(now, end.id, 5).expect("listen");
        }
        let begin = |net: &mut Network, target| {
            let far = net.connect(CLIENT, target).expect("connect");
            net.settle();
            far
        };
        for target in [at(other, 80), at(foreign, 81)] {
            let before = not_ours(&net);
            let far = begin(&mut net, target);
            assert_eq!(socket::connected(&far.cell, None), Err(Errno::EAGAIN), "{target}: silence");
            assert_eq!(not_ours(&net), before + 1);
        }
        let prefix = if foreign.starts_with('[') { "::/0" } else { "0.0.0.0/0" };
        let what = Intercept {
            prefix: prefix.parse().expect("a prefix"),
            ports: 1..=u16::MAX,
            queue: None,
            timeout: None,
        };
        let (_, syns) = net.hosts[SERVER].stack.intercept(now, &what).expect("an interceptor");
        let far = begin(&mut net, at(foreign, 80));
        assert!(socket::next_syn(&syns, None).is_err());
        assert!(net.readiness(&here).any(Readiness::IN));
        let near = net.accept(&here).expect("accept");
        assert_eq!(net.hosts[SERVER].stack.local_address(near.id), Ok(at(foreign, 80)));
        assert_eq!(net.hosts[CLIENT].stack.peer_address(far.id), Ok(at(foreign, 80)));
        carry(&mut net, &far, &near, 50_000);
        // What it accepted does without.
        let now = net.now;
        net.hosts[SERVER].stack.shutdown(now, here.id, Shutdown::Read).expect("shutdown");
        net.close(&here);
        net.settle();
        carry(&mut net, &near, &far, 50_000);
        begin(&mut net, at(foreign, 80));
        assert!(socket::next_syn(&syns, None).is_ok(), "nobody listens there any more");
    }
}

#[test]
fn datagrams_come_to_and_go_from_anothers_address() {
    for [foreign, other, client, server] in FAMILIES {
        let mut net = network(Plan::default());
        let far = net.datagram_socket(CLIENT, at(client, 9)).expect("a socket");
        assert!(!let_in(&mut net, at(client, 1), at(foreign, 53)));
        let near = datagrams(&mut net, SERVER, Domain::of(at(foreign, 53).ip()));
        set(&mut net, &near, true);
        bind(&mut net, &near, at(foreign, 53)).expect("bind");
        net.send_to(&far, b"question", Some(at(foreign, 53))).expect("send");
        net.settle();
        assert_eq!(net.recv_from(&near), Ok(Some((b"question".to_vec(), at(client, 9)))));
        net.send_to(&near, b"answer", Some(at(client, 9))).expect("send");
        net.settle();
        assert_eq!(net.recv_from(&far), Ok(Some((b"answer".to_vec(), at(foreign, 53)))));
        assert_eq!(net.send_to(&near, b"x", Some(at(server, 9))), Err(Errno::EINVAL), "no way back");
        // Others of the port, and who is bound everywhere, have nothing to do with it.
        let any = if foreign.starts_with('[') { "[::]" } else { "0.0.0.0" };
        let wild = datagrams(&mut net, SERVER, Domain::of(at(foreign, 53).ip()));
        set(&mut net, &wild, true);
        bind(&mut net, &wild, at(any, 54)).expect("bind");
        for target in [at(other, 53), at(foreign, 54)] {
            assert!(!let_in(&mut net, at(client, 1), target), "{target}");
        }
        // Connected, it hears of the port that nobody has.
        connect(&mut net, &near, at(client, 10)).expect("connect");
        net.send_to(&near, b"x", None).expect("send");
        net.settle();
        assert_eq!(net.send_to(&near, b"x", None), Err(Errno::ECONNREFUSED));
        net.close(&near);
        net.settle();
        assert!(!let_in(&mut net, at(client, 1), at(foreign, 53)), "it is closed");
        let now: Instant = net.now;
        let stack = &mut net.hosts[SERVER].stack;
        // One datagram from another's address: of a transparent socket only.
        let from = |transparent: bool, stack: &mut usertcp_core::stack::Stack| {
            let (level, name) = if at(foreign, 0).is_ipv4() {
                (IPPROTO_IP, IP_TRANSPARENT)
            } else {
                (IPPROTO_IPV6, IPV6_TRANSPARENT)
            };
            let value = i32::from(transparent).to_ne_bytes();
            stack.set_option(now, wild.id, level, name, &value).expect("an option");
            let handling =
                usertcp_core::buffer::Handling { source: Some(at(foreign, 0).ip()), ..Default::default() };
            stack.send_datagram_with(now, wild.id, &Bytes::from("y"), Some(at(client, 9)), handling, None)
        };
        assert_eq!(from(false, stack), Err(Errno::EINVAL));
        assert_eq!(from(true, stack), Ok(()));
        net.settle();
        assert_eq!(net.recv_from(&far), Ok(Some((b"y".to_vec(), at(foreign, 54)))));
    }
}
