//! Sockets of AF_INET6 that speak IPv4: listeners of both families, mapped addresses, and what keeps the families apart.

mod world;

use usertcp_core::counters::Drop;
use usertcp_core::error::Errno;
use usertcp_core::sim::{Endpoint, Network};
use usertcp_core::stack::socket::options::{IPPROTO_IPV6, IPV6_V6ONLY, SOL_SOCKET, sol};
use usertcp_core::stack::{Domain, SocketId};
use world::*;

fn set_v6_only(net: &mut Network, host: usize, id: SocketId, on: i32) -> Result<(), Errno> {
    let now = net.now;
    net.hosts[host].stack.set_option(now, id, IPPROTO_IPV6, IPV6_V6ONLY, &on.to_ne_bytes())
}

fn v6_only(net: &mut Network, host: usize, id: SocketId) -> Result<Vec<u8>, Errno> {
    net.hosts[host].stack.option(id, IPPROTO_IPV6, IPV6_V6ONLY)
}

fn socket(net: &mut Network, host: usize) -> Endpoint {
    net.socket(host, Domain::V6).expect("socket")
}

fn listen(net: &mut Network, endpoint: &Endpoint, own: &str) -> Result<(), Errno> {
    let now = net.now;
    let stack = &mut net.hosts[endpoint.host].stack;
    stack.bind(endpoint.id, address(own)).and_then(|()| stack.listen(now, endpoint.id, 5))
}

/// Bytes go both ways.
fn talk(net: &mut Network, client: &Endpoint, server: &Endpoint) {
    net.send(client, b"question").expect("send");
    net.send(server, b"answer").expect("send");
    net.settle();
    assert_eq!(net.recv(server, 99), Ok(b"question".to_vec()));
    assert_eq!(net.recv(client, 99), Ok(b"answer".to_vec()));
}

#[test]
fn a_listener_of_both_families_takes_both_and_shows_mapped_addresses() {
    let mut net = network(Plan::default());
    let listener = socket(&mut net, SERVER);
    assert_eq!(v6_only(&mut net, SERVER, listener.id), Ok(0i32.to_ne_bytes().to_vec()), "as in Linux");
    listen(&mut net, &listener, "[::]:80").expect("listen");
    for (target, own, peer) in [
        (SERVER_V4, "[::ffff:192.0.2.2]:80", "::ffff:192.0.2.1"),
        (SERVER_V6, "[2001:db8::2]:80", "2001:db8::1"),
    ] {
        let client = net.connect(CLIENT, address(target)).expect("connect");
        let port = net.hosts[CLIENT].stack.local_address(client.id).expect("name").port();
        net.settle();
        let server = net.accept(&listener).expect("accept");
        let stack = &mut net.hosts[SERVER].stack;
        assert_eq!(stack.local_address(server.id), Ok(address(own)));
        assert_eq!(stack.peer_address(server.id), Ok(address(&format!("[{peer}]:{port}"))));
        assert_eq!(stack.option(server.id, SOL_SOCKET, sol::SO_DOMAIN), Ok(10i32.to_ne_bytes().to_vec()));
        talk(&mut net, &client, &server);
    }
}

#[test]
fn a_listener_of_ipv6_only_resets_ipv4() {
    let mut net = network(Plan::default());
    let listener = socket(&mut net, SERVER);
    set_v6_only(&mut net, SERVER, listener.id, 1).expect("set");
    listen(&mut net, &listener, "[::]:80").expect("listen");
    let refused = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    assert_eq!(net.recv(&refused, 1), Err(Errno::ECONNREFUSED));
    let beside = net.listen(SERVER, address("0.0.0.0:80"), 5).expect("the other family");
    let _client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    assert!(net.accept(&beside).is_ok());
}

#[test]
fn a_listener_on_a_mapped_address_takes_ipv4_only() {
    for own in ["[::ffff:192.0.2.2]:80", "[::ffff:0.0.0.0]:80"] {
        let mut net = network(Plan::default());
        let listener = socket(&mut net, SERVER);
        listen(&mut net, &listener, own).expect("listen");
        assert_eq!(net.hosts[SERVER].stack.local_address(listener.id), Ok(address(own)));
        let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
        net.settle();
        let server = net.accept(&listener).expect("accept");
        talk(&mut net, &client, &server);
        let refused = net.connect(CLIENT, address(SERVER_V6)).expect("connect");
        net.settle();
        assert_eq!(net.recv(&refused, 1), Err(Errno::ECONNREFUSED));
    }
}

#[test]
fn the_listener_of_the_peers_own_family_goes_first() {
    let mut net = network(Plan::default());
    let both = socket(&mut net, SERVER);
    let v4 = net.socket(SERVER, Domain::V4).expect("socket");
    let now = net.now;
    for (endpoint, own) in [(&both, "[::]:80"), (&v4, "0.0.0.0:80")] {
        let stack = &mut net.hosts[SERVER].stack;
        stack.set_option(now, endpoint.id, SOL_SOCKET, sol::SO_REUSEPORT, &1i32.to_ne_bytes()).expect("set");
        listen(&mut net, endpoint, own).expect("listen");
    }
    for _ in 0..8 {
        let _client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
        net.settle();
        assert!(net.accept(&v4).is_ok());
    }
    net.close(&v4);
    net.settle();
    let _client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    assert!(net.accept(&both).is_ok(), "which alone is left");
}

#[test]
fn connecting_to_a_mapped_address_speaks_ipv4() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    for own in [None, Some("[::]:0"), Some("[::ffff:192.0.2.1]:0"), Some("[::ffff:0.0.0.0]:0")] {
        let client = socket(&mut net, CLIENT);
        let now = net.now;
        let stack = &mut net.hosts[CLIENT].stack;
        if let Some(own) = own {
            stack.bind(client.id, address(own)).expect("bind");
        }
        stack.connect(now, client.id, address("[::ffff:192.0.2.2]:80")).expect("connect");
        net.settle();
        let server = net.accept(&listener).expect("accept");
        let stack = &net.hosts[CLIENT].stack;
        assert_eq!(stack.peer_address(client.id), Ok(address("[::ffff:192.0.2.2]:80")));
        let name = stack.local_address(client.id).expect("name");
        assert_eq!(name.ip(), address("[::ffff:192.0.2.1]:0").ip());
        let seen = net.hosts[SERVER].stack.peer_address(server.id).expect("name");
        assert_eq!(seen, std::net::SocketAddr::new(address("192.0.2.1:0").ip(), name.port()));
        talk(&mut net, &client, &server);
    }
}

#[test]
fn what_keeps_the_families_apart() {
    let mut net = network(Plan::default());
    let now = net.now;
    let mapped = address("[::ffff:192.0.2.2]:80");

    let only = socket(&mut net, CLIENT);
    set_v6_only(&mut net, CLIENT, only.id, 1).expect("set");
    let stack = &mut net.hosts[CLIENT].stack;
    assert_eq!(stack.bind(only.id, address("[::ffff:192.0.2.1]:0")), Err(Errno::EINVAL));
    assert_eq!(stack.connect(now, only.id, mapped), Err(Errno::ENETUNREACH));

    // An address of IPv6 means IPv6 only, and is told.
    let bound = socket(&mut net, CLIENT);
    net.hosts[CLIENT].stack.bind(bound.id, address("[2001:db8::1]:0")).expect("bind");
    assert_eq!(v6_only(&mut net, CLIENT, bound.id), Ok(1i32.to_ne_bytes().to_vec()));
    assert_eq!(net.hosts[CLIENT].stack.connect(now, bound.id, mapped), Err(Errno::ENETUNREACH));

    let bound = socket(&mut net, CLIENT);
    let stack = &mut net.hosts[CLIENT].stack;
    stack.bind(bound.id, address("[::ffff:192.0.2.1]:0")).expect("bind");
    assert_eq!(stack.connect(now, bound.id, address(SERVER_V6)), Err(Errno::EAFNOSUPPORT));

    // Once it has a port it is decided.
    for on in [0, 1] {
        assert_eq!(set_v6_only(&mut net, CLIENT, bound.id, on), Err(Errno::EINVAL));
    }
    let v4 = net.socket(CLIENT, Domain::V4).expect("socket");
    assert_eq!(set_v6_only(&mut net, CLIENT, v4.id, 1), Err(Errno::ENOPROTOOPT));
    assert_eq!(v6_only(&mut net, CLIENT, v4.id), Err(Errno::ENOPROTOOPT));
    let stack = &mut net.hosts[CLIENT].stack;
    assert_eq!(stack.bind(v4.id, mapped), Err(Errno::EAFNOSUPPORT));
    assert_eq!(stack.connect(now, v4.id, mapped), Err(Errno::EAFNOSUPPORT));
    assert_eq!(stack.bind(v4.id, address("192.0.2.99:0")), Err(Errno::EADDRNOTAVAIL));
    let six = socket(&mut net, CLIENT);
    let stack = &mut net.hosts[CLIENT].stack;
    assert_eq!(stack.bind(six.id, address("[::ffff:192.0.2.99]:0")), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(stack.bind(six.id, address("192.0.2.1:0")), Err(Errno::EAFNOSUPPORT));
    assert_eq!(stack.connect(now, six.id, address("[::ffff:224.0.0.1]:80")), Err(Errno::ENETUNREACH));
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
//= type=test
//# (a) { 0, 0 } This host on this network. MUST NOT be sent, except as a source address as part of an initialization procedure by which the host learns its own IP address. (1122:3.2.1.3-1)
#[test]
fn the_unspecified_address_is_loopback_of_the_family_that_is_meant() {
    let mut net = network(Plan::default());
    let now = net.now;
    let listener = socket(&mut net, CLIENT);
    listen(&mut net, &listener, "[::]:99").expect("listen");
    let table = [
        (None, "[::]:99", "[::1]:99"),
        (Some("[::ffff:127.0.0.1]:0"), "[::]:99", "[::ffff:127.0.0.1]:99"),
        (None, "[::ffff:0.0.0.0]:99", "[::ffff:127.0.0.1]:99"),
    ];
    for (own, peer, expected) in table {
        let client = socket(&mut net, CLIENT);
        let stack = &mut net.hosts[CLIENT].stack;
        if let Some(own) = own {
            stack.bind(client.id, address(own)).expect("bind");
        }
        stack.connect(now, client.id, address(peer)).expect("connect");
        net.settle();
        let server = net.accept(&listener).expect("accept");
        assert_eq!(net.hosts[CLIENT].stack.peer_address(client.id), Ok(address(expected)));
        talk(&mut net, &client, &server);
    }
}

#[test]
fn the_default_can_be_ipv6_only() {
    let mut plan = Plan::default();
    plan.configs[SERVER].ip.bind_v6_only = true;
    let mut net = network(plan);
    let endpoint = socket(&mut net, SERVER);
    assert_eq!(v6_only(&mut net, SERVER, endpoint.id), Ok(1i32.to_ne_bytes().to_vec()));
    listen(&mut net, &endpoint, "[::]:80").expect("listen");
    assert!(net.listen(SERVER, address("0.0.0.0:80"), 5).is_ok());
}

#[test]
fn a_mapped_source_on_the_wire_is_no_peer() {
    use usertcp_core::ip::{Envelope, Payload, tcp_transmit, to_frame};
    use usertcp_core::link::Capabilities;
    use usertcp_core::wire::tcp::{Flags, TcpHeader};
    let mut net = network(Plan::default());
    let listener = socket(&mut net, SERVER);
    listen(&mut net, &listener, "[::]:80").expect("listen");
    let envelope = Envelope::new(address("[::ffff:192.0.2.1]:0").ip(), address(SERVER_V6).ip());
    let header = TcpHeader { source: 9, destination: 80, seq: 1, flags: Flags::SYN, ..TcpHeader::default() };
    let frame = to_frame(&tcp_transmit(&envelope, &header, Payload::new(), 0, &Capabilities::plain(1500)));
    let now = net.now;
    let stack = &mut net.hosts[SERVER].stack;
    stack.handle_frame(now, frame);
    assert_eq!((stack.counters().dropped(Drop::IpMartian), stack.sockets()), (1, 1));
}
