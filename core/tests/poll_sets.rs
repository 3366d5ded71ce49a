//! Poll sets over connections on virtual time: what arrives, what is acknowledged, and what ends, as edges.

mod world;

use usertcp_core::config::Personality;
use usertcp_core::sim::{Endpoint, Network};
use usertcp_core::stack::socket::options::{IPPROTO_TCP, tcp};
use usertcp_core::stack::socket::{EpollControl, EpollEvents, PollSet};
use usertcp_core::stack::{LinkState, Shutdown};
use usertcp_core::time::Duration;
use world::*;

const IN: EpollEvents = EpollEvents::IN;
const OUT: EpollEvents = EpollEvents::OUT;
const ET: EpollEvents = EpollEvents::ET;
const RDHUP: EpollEvents = EpollEvents::RDHUP;
const HUP: EpollEvents = EpollEvents::HUP;

fn add(set: &mut PollSet, end: &Endpoint, token: u64, events: EpollEvents) {
    assert_eq!(set.control(EpollControl::Add, token, &end.cell, events, token), Ok(()));
}

/// Events and tokens of what is ready once the network is at rest.
fn ready(net: &mut Network, set: &mut PollSet) -> Vec<(EpollEvents, u64)> {
    net.settle();
    set.wait(10).into_iter().map(|event| (event.events, event.data)).collect()
}

#[test]
fn what_arrives_is_an_edge_read_or_not() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    let mut set = PollSet::new();
    add(&mut set, &server, 4, IN | OUT | ET);
    assert_eq!(ready(&mut net, &mut set), [(OUT, 4)]);
    assert_eq!(ready(&mut net, &mut set), []);
    for bytes in [4000, 6000] {
        net.send(&client, &vec![7; bytes]).expect("send");
        assert_eq!(ready(&mut net, &mut set), [(IN | OUT, 4)]);
        assert_eq!(ready(&mut net, &mut set), []);
    }
    assert_eq!(net.recv(&server, 1000).map(|bytes| bytes.len()), Ok(1000));
    assert_eq!(ready(&mut net, &mut set), []);
    net.send(&client, &[7; 2000]).expect("send");
    assert_eq!(ready(&mut net, &mut set), [(IN | OUT, 4)]);
    assert_eq!(ready(&mut net, &mut set), []);
}

/// Whether anybody sleeps on the set or not: it is the set that waits.
#[test]
fn every_socket_of_a_set_hears_that_the_link_is_down() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    let (mut set, mut other) = (PollSet::new(), PollSet::new());
    add(&mut set, &server, 4, IN);
    add(&mut other, &server, 5, IN | ET);
    add(&mut set, &client, 6, IN);
    assert_eq!((ready(&mut net, &mut set), ready(&mut net, &mut other)), (vec![], vec![]));
    let now = net.now;
    [CLIENT, SERVER].into_iter().for_each(|host| net.hosts[host].stack.handle_link(now, LinkState::Down));
    assert_eq!(ready(&mut net, &mut set), [(EpollEvents::ERR, 6), (EpollEvents::ERR, 4)]);
    assert_eq!(ready(&mut net, &mut other), [(EpollEvents::ERR, 5)]);
}

/// One packet at a time is on its way while the reader does not read; returns what was written.
fn fill(net: &mut Network, end: &Endpoint) -> usize {
    let mut written = 0;
    while let Ok(count) = net.send(end, &[7; 10_000]) {
        written += count;
        net.settle();
    }
    written
}

#[test]
fn room_that_acknowledgements_make_is_an_edge_where_it_was_missed() {
    for low_mark in [0, 8000] {
        let mut plan = Plan::default();
        plan.configs[CLIENT].buffers.send = 30_000;
        plan.configs[SERVER].buffers.receive = 30_000;
        let mut net = network(plan);
        let (client, server, _listener) = pair(&mut net, SERVER_V4);
        let now = net.now;
        let stack = &mut net.hosts[CLIENT].stack;
        let mark = i32::to_ne_bytes(low_mark);
        stack.set_option(now, client.id, IPPROTO_TCP, tcp::TCP_NOTSENT_LOWAT, &mark).expect("a mark");
        let mut set = PollSet::new();
        add(&mut set, &client, 1, OUT | ET);
        assert_eq!(ready(&mut net, &mut set), [(OUT, 1)]);
        net.send(&client, b"some").expect("send");
        assert_eq!(ready(&mut net, &mut set), [], "{low_mark}: acknowledged, and nobody missed it");
        fill(&mut net, &client);
        assert_eq!(ready(&mut net, &mut set), []);
        let mut edges = 0;
        while net.recv(&server, 5000).is_ok() {
            edges += ready(&mut net, &mut set).len();
        }
        assert_eq!(edges, 1, "{low_mark}: all was acknowledged bit by bit");
        fill(&mut net, &client);
        while net.recv(&server, 5000).is_ok() {
            edges += ready(&mut net, &mut set).len();
        }
        assert_eq!(edges, 2, "{low_mark}");
    }
}

/// What is sent for the first time makes room below the mark, though nothing is acknowledged yet. (No edge: nothing was cut short.)
#[test]
fn what_is_sent_is_room_below_the_unsent_mark() {
    let mut plan = Plan::default();
    plan.configs[SERVER].tcp.quick_acks = 0;
    let mut net = network(plan);
    let (client, _server, _listener) = pair(&mut net, SERVER_V4);
    let now = net.now;
    for (name, number) in [(tcp::TCP_NOTSENT_LOWAT, 1000_i32), (tcp::TCP_CORK, 1)] {
        let stack = &mut net.hosts[CLIENT].stack;
        stack.set_option(now, client.id, IPPROTO_TCP, name, &number.to_ne_bytes()).expect("an option");
    }
    let mut set = PollSet::new();
    add(&mut set, &client, 1, OUT);
    assert_eq!(ready(&mut net, &mut set), [(OUT, 1)]);
    net.send(&client, &[7; 1100]).expect("send");
    assert_eq!(ready(&mut net, &mut set), [], "the mark is reached");
    assert!(net.run_for(Duration::from_millis(190)));
    assert_eq!(set.wait(1), []);
    assert!(net.run_for(Duration::from_millis(20)));
    assert_eq!(set.wait(1).len(), 1, "the cork is out, the acknowledgement delayed");
}

#[test]
fn connections_begin_and_end() {
    for personality in [Personality::Linux, Personality::FreeBsd] {
        let mut plan = Plan::default();
        for (host, config) in plan.configs.iter_mut().enumerate() {
            let habits = usertcp_core::config::Config::of(personality);
            (config.tcp, config.buffers) = (habits.tcp, habits.buffers);
            assert_eq!(config.secret, world::config(host).secret);
        }
        let mut net = network(plan);
        let mut set = PollSet::new();
        let listener = net.listen(SERVER, address(SERVER_V6), 5).expect("listen");
        add(&mut set, &listener, 0, IN | ET);
        let client = net.connect(CLIENT, address(SERVER_V6)).expect("connect");
        add(&mut set, &client, 1, IN | OUT | RDHUP | ET);
        assert_eq!(set.wait(9), []);
        let mut found = ready(&mut net, &mut set);
        found.sort_by_key(|(_, token)| *token);
        assert_eq!(found, [(IN, 0), (OUT, 1)]);
        let server = net.accept(&listener).expect("accept");
        add(&mut set, &server, 2, IN | RDHUP | ET);
        net.shutdown(&client, Shutdown::Write).expect("shutdown");
        let mut found = ready(&mut net, &mut set);
        found.sort_by_key(|(_, token)| *token);
        assert_eq!(found, [(OUT, 1), (IN | RDHUP, 2)]);
        net.close(&server);
        let found = ready(&mut net, &mut set);
        assert_eq!(found, [(IN | OUT | RDHUP | HUP, 1)]);
        assert_eq!(set.len(), 2, "what is closed has dropped out");
    }
}

#[test]
fn a_refused_connection_is_an_error() {
    let mut net = network(Plan::default());
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    let mut set = PollSet::new();
    add(&mut set, &client, 1, OUT | ET);
    assert_eq!(ready(&mut net, &mut set), [(OUT | EpollEvents::ERR | HUP, 1)]);
}
