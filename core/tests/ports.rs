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
    let endpoint = net.socket(SERVER, Domain::V4).expect("socket");
    let now = net.now;
    let stack = &mut net.hosts[SERVER].stack;
    stack.set_option(now, endpoint.id, SOL_SOCKET, sol::SO_REUSEADDR, &1i32.to_ne_bytes()).expect("set");
    stack.bind(endpoint.id, address(SERVER_V4)).expect("bind");
    stack.listen(now, endpoint.id, 5).expect("listen");
    endpoint
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
