//! Ports on virtual time: ranges that run out, TIME-WAIT, and four-tuples that come again.

mod world;

use usertcp_core::error::Errno;
use usertcp_core::sim::{Endpoint, Network};
use usertcp_core::stack::Domain;
use usertcp_core::stack::socket::options::{SOL_SOCKET, sol};
use world::*;

#[test]
fn ports_run_out_with_their_own_errors() {
    let mut plan = Plan::default();
    plan.configs[CLIENT].tcp.port_first = 50_000;
    plan.configs[CLIENT].tcp.port_last = 50_009;
    let mut net = network(plan);
    let _listeners =
        (net.listen(SERVER, address("192.0.2.2:80"), 50), net.listen(SERVER, address("192.0.2.2:81"), 50));
    let target = address("192.0.2.2:80");
    let mut held: Vec<Endpoint> = (0..10).map(|_| net.connect(CLIENT, target).expect("connect")).collect();
    let ports: std::collections::BTreeSet<u16> = held
        .iter()
        .map(|client| net.hosts[CLIENT].stack.local_address(client.id).expect("name").port())
        .collect();
    assert_eq!(ports, (50_000..=50_009).collect());
    assert_eq!(net.connect(CLIENT, target).map(|_| ()), Err(Errno::EADDRNOTAVAIL));
    assert!(net.connect(CLIENT, address("192.0.2.2:81")).is_ok(), "another peer, another four-tuple");
    let any = net.socket(CLIENT, Domain::V4).expect("socket");
    let stack = &mut net.hosts[CLIENT].stack;
    assert_eq!(stack.bind(any.id, address("0.0.0.0:0")), Err(Errno::EADDRINUSE));
    net.settle();
    let now = net.now;
    let one = held.pop().expect("a connection");
    net.hosts[CLIENT].stack.abort(now, one.id).expect("abort");
    net.settle();
    assert!(net.connect(CLIENT, target).is_ok(), "its port is free again");
}

//= https://www.rfc-editor.org/rfc/rfc6056#section-3.3
//= type=test
//# Ephemeral port selection algorithms SHOULD obfuscate the selection of their ephemeral ports (6056:3.3-1).
#[test]
fn ports_differ_between_secrets_and_walk_for_one_peer() {
    let first_ports = |secret: u8| {
        let mut plan = Plan::default();
        plan.configs[CLIENT].secret = [secret; 16];
        let mut net = network(plan);
        let ports: Vec<u16> = (0..3)
            .map(|_| {
                let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
                net.hosts[CLIENT].stack.local_address(client.id).expect("name").port()
            })
            .collect();
        ports
    };
    assert_eq!(first_ports(1), first_ports(1));
    assert_ne!(first_ports(1), first_ports(2));
}

#[test]
fn a_port_in_time_wait_may_be_listened_on_with_reuse_only() {
    let mut net = network(Plan::default());
    let (client, server, listener) = pair(&mut net, SERVER_V4);
    net.close(&server);
    net.settle();
    net.close(&client);
    net.close(&listener);
    net.settle();
    assert_eq!(net.hosts[SERVER].stack.sockets(), 1, "TIME-WAIT");
    assert_eq!(net.listen(SERVER, address(SERVER_V4), 1).map(|_| ()), Err(Errno::EADDRINUSE));
    assert!(net.run_for(secs(61)));
    let again = reusing(&mut net);
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    let server = net.accept(&again).expect("accept");
    net.close(&server);
    net.settle();
    net.close(&client);
    net.close(&again);
    net.settle();
    assert_eq!(net.hosts[SERVER].stack.sockets(), 1, "TIME-WAIT");
    let _ = reusing(&mut net);
}

/// A listener with SO_REUSEADDR.
fn reusing(net: &mut Network) -> Endpoint {
    let endpoint = bound_with_reuse(net, SERVER, SERVER_V4);
    let now = net.now;
    net.hosts[SERVER].stack.listen(now, endpoint.id, 5).expect("listen");
    endpoint
}

/// A socket with SO_REUSEADDR that is bound.
fn bound_with_reuse(net: &mut Network, host: usize, own: &str) -> Endpoint {
    let endpoint = net.socket(host, Domain::V4).expect("socket");
    let now = net.now;
    let stack = &mut net.hosts[host].stack;
    stack.set_option(now, endpoint.id, SOL_SOCKET, sol::SO_REUSEADDR, &1i32.to_ne_bytes()).expect("set");
    stack.bind(endpoint.id, address(own)).expect("bind");
    endpoint
}

#[test]
fn a_port_may_be_listened_on_while_a_connection_of_it_is_opening() {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.1
    //= type=test
    //# A TCP implementation that supports multiple concurrent connections MUST provide an OPEN call that will functionally allow an application to LISTEN on a port while a connection block with the same local port is in SYN-SENT or SYN-RECEIVED state (MUST-42).
    let mut net = network(Plan::default());
    let own = "192.0.2.1:7777";
    let (opening, listening) =
        (bound_with_reuse(&mut net, CLIENT, own), bound_with_reuse(&mut net, CLIENT, own));
    let now = net.now;
    let stack = &mut net.hosts[CLIENT].stack;
    stack.connect(now, opening.id, address("192.0.2.200:80")).expect("connect");
    assert_eq!(stack.listen(now, listening.id, 1), Ok(()));
    let client = net.connect(SERVER, address(own)).expect("connect");
    net.settle();
    assert!(net.accept(&listening).is_ok());
    assert_eq!(net.hosts[SERVER].stack.peer_address(client.id), Ok(address(own)));
    assert_eq!(net.hosts[CLIENT].stack.tcp_info(now, opening.id).map(|info| info.state), Ok(2), "SYN-SENT");
}

#[test]
fn a_second_listener_is_an_error_and_leaves_the_first_alone() {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.1
    //= type=test
    //# Every passive OPEN call either creates a new connection record in LISTEN state, or it returns an error; it MUST NOT affect any previously created connection record (MUST-41).
    let mut net = network(Plan::default());
    let (first, second) =
        (bound_with_reuse(&mut net, SERVER, SERVER_V4), bound_with_reuse(&mut net, SERVER, "0.0.0.0:80"));
    let now = net.now;
    let stack = &mut net.hosts[SERVER].stack;
    stack.listen(now, first.id, 2).expect("listen");
    assert_eq!(stack.listen(now, second.id, 2), Err(Errno::EADDRINUSE));
    let _client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    assert!(net.accept(&first).is_ok());
    net.close(&first);
    assert_eq!(net.hosts[SERVER].stack.listen(now, second.id, 2), Ok(()));
}

#[test]
fn the_source_address_is_the_one_asked_for_or_the_near_one() {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.1
    //= type=test
    //# The optional "local IP address" parameter MUST be supported to allow the specification of the local IP address (MUST-43).
    //# If an application on a multihomed host does not specify the local IP address when actively opening a TCP connection, then the TCP implementation MUST ask the IP layer to select a local IP address before sending the (first) SYN (MUST-44).
    let mut plan = Plan::default();
    plan.configs[CLIENT].addresses.insert(0, "198.51.100.1/24".parse().expect("a prefix"));
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let near = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    let asked = bound_with_reuse(&mut net, CLIENT, "198.51.100.1:0");
    let now = net.now;
    net.hosts[CLIENT].stack.connect(now, asked.id, address(SERVER_V4)).expect("connect");
    let name = |net: &Network, end: &Endpoint| net.hosts[CLIENT].stack.local_address(end.id).expect("name");
    assert_eq!(name(&net, &near).ip(), address("192.0.2.1:0").ip());
    assert_eq!(name(&net, &asked).ip(), address("198.51.100.1:0").ip());
    net.settle();
    let peers: Vec<_> = std::iter::from_fn(|| net.accept(&listener).ok()).map(|server| server.cell).collect();
    assert_eq!(peers.len(), 2);
}

#[test]
fn a_new_syn_reopens_a_connection_from_time_wait() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    for round in 0..3u32 {
        let client = net.socket(CLIENT, Domain::V4).expect("socket");
        let now = net.now;
        let stack = &mut net.hosts[CLIENT].stack;
        stack.bind(client.id, address("192.0.2.1:7777")).expect("bind");
        stack.connect(now, client.id, address(SERVER_V4)).expect("connect");
        net.settle();
        let server = net.accept(&listener).expect("the same four-tuple once more");
        net.send(&client, &round.to_be_bytes()).expect("send");
        net.settle();
        assert_eq!(net.recv(&server, 9), Ok(round.to_be_bytes().to_vec()));
        net.close(&server);
        net.settle();
        net.close(&client);
        net.settle();
        assert_eq!(net.hosts[CLIENT].stack.sockets(), 0);
        assert_eq!(net.hosts[SERVER].stack.sockets(), 2, "the listener, and TIME-WAIT");
        assert!(net.run_for(secs(1)));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6056#section-2.2
//= type=test
//# the selection of ephemeral port numbers must result in a unique five-tuple (6056:2.2-1).
#[test]
fn a_connect_stays_away_from_a_four_tuple_in_time_wait() {
    let mut net = network(Plan::default());
    let own = "192.0.2.1:7777";
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let connect = |net: &mut Network| {
        let client = bound_with_reuse(net, CLIENT, own);
        let now = net.now;
        let outcome = net.hosts[CLIENT].stack.connect(now, client.id, address(SERVER_V4));
        net.settle();
        (client, outcome)
    };
    let (client, outcome) = connect(&mut net);
    assert_eq!(outcome, Ok(()));
    let server = net.accept(&listener).expect("accept");
    net.close(&client);
    net.settle();
    net.close(&server);
    net.settle();
    assert_eq!(net.hosts[CLIENT].stack.sockets(), 1, "TIME-WAIT");
    let (client, outcome) = connect(&mut net);
    assert_eq!(outcome, Err(Errno::EADDRNOTAVAIL));
    net.close(&client);
    assert!(net.run_for(secs(61)));
    assert_eq!(connect(&mut net).1, Ok(()));
}

#[test]
fn time_wait_does_not_grow_without_bound() {
    let mut plan = Plan::default();
    plan.configs[CLIENT].max_sockets = 20;
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    for _ in 0..200 {
        let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
        net.settle();
        let server = net.accept(&listener).expect("accept");
        net.close(&client);
        net.settle();
        net.close(&server);
        net.settle();
        assert!(net.hosts[CLIENT].stack.sockets() <= 41);
    }
    assert!(net.hosts[CLIENT].stack.sockets() >= 40);
}
