//! TCP_DEFER_ACCEPT on virtual time: who connects and says nothing is not shown to the program until its patience is over.

mod world;

use usertcp_core::counters::Drop;
use usertcp_core::error::Errno;
use usertcp_core::sim::{Endpoint, Network};
use usertcp_core::stack::socket::options::{IPPROTO_TCP, tcp};
use usertcp_core::stack::{Domain, Shutdown, socket};
use usertcp_core::time::Duration;
use world::*;

fn defer(net: &mut Network, endpoint: &Endpoint, seconds: i32) {
    let now = net.now;
    let stack = &mut net.hosts[endpoint.host].stack;
    let value = seconds.to_ne_bytes();
    stack.set_option(now, endpoint.id, IPPROTO_TCP, tcp::TCP_DEFER_ACCEPT, &value).expect("set");
}

/// A listener that waits `seconds` for data, and a client that is connected as far as it can tell.
fn silent(net: &mut Network, target: &str, seconds: i32) -> (Endpoint, Endpoint) {
    let listener = net.listen(SERVER, address(target), 5).expect("listen");
    defer(net, &listener, seconds);
    let client = net.connect(CLIENT, address(target)).expect("connect");
    net.settle();
    assert_eq!(socket::connected(&client.cell, None), Ok(()));
    assert_eq!(net.accept(&listener).map(|_| ()), Err(Errno::EAGAIN));
    assert_eq!(net.hosts[SERVER].stack.counters().dropped(Drop::TcpDeferAccept), 1);
    (listener, client)
}

#[test]
fn a_connection_is_accepted_with_its_data() {
    for target in [SERVER_V4, SERVER_V6] {
        let mut net = network(Plan::default());
        let (listener, client) = silent(&mut net, target, 30);
        assert!(net.run_for(secs(20)));
        assert_eq!(net.accept(&listener).map(|_| ()), Err(Errno::EAGAIN));
        let counters = net.hosts[SERVER].stack.counters();
        assert_eq!(counters.tcp_retransmits, 0, "the SYN/ACK has arrived");
        net.send(&client, b"hello").expect("send");
        net.settle();
        let server = net.accept(&listener).expect("accept");
        assert_eq!(net.recv(&server, 9), Ok(b"hello".to_vec()));
        let now = net.now;
        let info = net.hosts[SERVER].stack.tcp_info(now, server.id).expect("figures");
        assert!(info.rtt < 1_000_000, "the round trip is that of the handshake: {}", info.rtt);
    }
}

#[test]
fn when_patience_is_over_it_is_accepted_without() {
    // One retransmission of the SYN/ACK is due after 1 s, the second after 3 s, the third after 7 s.
    for (seconds, comes_after) in [(1, 1), (2, 3), (3, 3), (5, 7)] {
        let mut net = network(Plan::default());
        let (listener, _client) = silent(&mut net, SERVER_V4, seconds);
        assert!(net.run_for(Duration::from_millis(comes_after * 1000 - 1)));
        assert_eq!(net.accept(&listener).map(|_| ()), Err(Errno::EAGAIN), "{seconds} s");
        assert_eq!(net.hosts[SERVER].stack.counters().tcp_retransmits, 0);
        assert!(net.run_for(Duration::from_millis(2)));
        assert!(net.accept(&listener).is_ok(), "{seconds} s");
        assert_eq!(net.hosts[SERVER].stack.counters().tcp_retransmits, 1, "which asks for an ACK");
    }
}

#[test]
fn the_end_of_the_stream_counts_as_data() {
    let mut net = network(Plan::default());
    let (listener, client) = silent(&mut net, SERVER_V4, 30);
    net.shutdown(&client, Shutdown::Write).expect("shutdown");
    net.settle();
    let server = net.accept(&listener).expect("accept");
    assert_eq!(net.recv(&server, 9), Ok(Vec::new()));
}

#[test]
fn who_resets_or_vanishes_leaves_nothing_behind() {
    let mut net = network(Plan::default());
    let (listener, client) = silent(&mut net, SERVER_V4, 30);
    let now = net.now;
    net.hosts[CLIENT].stack.abort(now, client.id).expect("abort");
    net.settle();
    assert_eq!(net.hosts[SERVER].stack.sockets(), 1);

    let _vanished = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    let now = net.now;
    net.hosts[CLIENT].stack.handle_link(now, usertcp_core::stack::LinkState::Gone);
    assert!(net.run_for(secs(200)));
    assert_eq!(net.hosts[SERVER].stack.sockets(), 1);
    assert_eq!(net.accept(&listener).map(|_| ()), Err(Errno::EAGAIN));
}

#[test]
fn patience_may_outlast_the_retransmissions() {
    let mut net = network(Plan::default());
    let (listener, client) = silent(&mut net, SERVER_V4, 200);
    assert!(net.run_for(secs(200)));
    assert_eq!(net.accept(&listener).map(|_| ()), Err(Errno::EAGAIN));
    net.send(&client, b"late").expect("send");
    net.settle();
    assert!(net.accept(&listener).is_ok());
}

#[test]
fn the_option_reads_back_in_whole_retransmissions_and_is_inherited() {
    let mut net = network(Plan::default());
    let (listener, client) = silent(&mut net, SERVER_V4, 5);
    net.send(&client, b"x").expect("send");
    net.settle();
    let server = net.accept(&listener).expect("accept");
    for endpoint in [&listener, &server] {
        let value = net.hosts[SERVER].stack.option(endpoint.id, IPPROTO_TCP, tcp::TCP_DEFER_ACCEPT);
        assert_eq!(value, Ok(7i32.to_ne_bytes().to_vec()));
    }
    for (set, read) in [(0, 0), (-5, 0), (1, 1), (60, 63)] {
        defer(&mut net, &listener, set);
        let value = net.hosts[SERVER].stack.option(listener.id, IPPROTO_TCP, tcp::TCP_DEFER_ACCEPT);
        assert_eq!(value, Ok(i32::to_ne_bytes(read).to_vec()));
    }
}

#[test]
fn a_client_that_has_it_sends_its_ack_with_the_data() {
    for writes in [true, false] {
        let mut net = network(Plan::default());
        let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
        let client = net.socket(CLIENT, Domain::V4).expect("socket");
        defer(&mut net, &client, 1);
        let now = net.now;
        net.hosts[CLIENT].stack.connect(now, client.id, address(SERVER_V4)).expect("connect");
        net.settle();
        assert_eq!(socket::connected(&client.cell, None), Ok(()));
        assert_eq!(net.accept(&listener).map(|_| ()), Err(Errno::EAGAIN), "the ACK waits");
        if writes {
            net.send(&client, b"x").expect("send");
            net.settle();
            assert_eq!(net.hosts[CLIENT].stack.counters().tcp_segments_out, 2, "SYN, and data with ACK");
        } else {
            assert!(net.run_for(Duration::from_millis(41)));
        }
        assert!(net.accept(&listener).is_ok());
    }
}
