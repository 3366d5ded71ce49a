//! Buffers that size themselves, and what they never come to hold: on virtual time.

mod world;

use usertcp_core::config::{Config, SlowStart};
use usertcp_core::link::Device;
use usertcp_core::link::impair::{Impaired, Impairment};
use usertcp_core::link::pipe::{Offload, pipe};
use usertcp_core::sim::scenario::{Length, Scenario};
use usertcp_core::sim::{Endpoint, Host, Network, Outcome};
use usertcp_core::stack::socket;
use usertcp_core::time::Duration;
use world::*;

const SOL_SOCKET: i32 = 1;
const SO_SNDBUF: i32 = 7;
const SO_RCVBUF: i32 = 8;

fn goodput(scenario: &Scenario) -> u64 {
    let report = scenario.run().expect("a run");
    report.flows.iter().map(|flow| flow.goodput()).sum()
}

fn size_of(net: &mut Network, endpoint: &Endpoint, name: i32) -> usize {
    let bytes = net.hosts[endpoint.host].stack.option(endpoint.id, SOL_SOCKET, name).expect("an option");
    i32::from_ne_bytes(bytes.try_into().expect("four bytes")).unsigned_abs() as usize
}

fn fix(net: &mut Network, endpoint: &Endpoint, name: i32, size: i32) {
    let (now, stack) = (net.now, &mut net.hosts[endpoint.host].stack);
    stack.set_option(now, endpoint.id, SOL_SOCKET, name, &size.to_ne_bytes()).expect("set");
}

/// Writes as much as there is room for.
fn fill(net: &mut Network, endpoint: &Endpoint) -> usize {
    let data = vec![7; 1 << 16];
    let mut written = 0;
    while let Ok(count) = net.send(endpoint, &data) {
        written += count;
    }
    written
}

/// A connection over a link with a delay: the client's end and the server's.
fn far(net: &mut Network) -> (Endpoint, Endpoint) {
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.run_for(secs(1));
    let server = net.accept(&listener).expect("accept");
    (client, server)
}

/// A plan of a link of 100 Mbit/s and 40 ms.
fn wide() -> Plan {
    let path = Impairment { rate: 100_000_000, delay: Duration::from_millis(20), ..Impairment::default() };
    Plan { impairment: Some((path, 1)), ..Plan::default() }
}

#[test]
fn a_long_path_is_filled_as_with_buffers_that_are_large_from_the_start() {
    let grown = Scenario {
        rate: 100_000_000,
        rtt: Duration::from_millis(100),
        length: Some(Length::Time(secs(10))),
        ..Scenario::default()
    };
    let mut fixed = grown.clone();
    fixed.config.buffers.receive_initial = 32 << 20;
    fixed.config.buffers.send_initial = 32 << 20;
    let (grown, fixed) = (goodput(&grown), goodput(&fixed));
    assert!(grown * 10 >= fixed * 9, "{grown} bit/s with buffers that grow, {fixed} with large ones");
}

/// What is written ahead for a near peer has a bound, which goes with the path that it is for.
#[test]
fn a_near_path_that_becomes_long_is_filled_too() {
    let near = Impairment { delay: Duration::from_micros(50), ..Impairment::default() };
    let long = Impairment { delay: Duration::from_millis(10), ..near };
    let changes = vec![(Duration::from_millis(1003), [long, long])];
    let mut plan = Plan { impairment: Some((near, 1)), changes, offload: Offload::On, ..Plan::default() };
    for config in &mut plan.configs {
        (config.buffers.send, config.buffers.receive) = (32 << 20, 32 << 20);
        config.buffers.receive_initial = 32 << 20;
        config.tcp.min_rtt_window = Duration::from_millis(400);
        config.tcp.slow_start = SlowStart::Standard;
    }
    let mut net = network(plan);
    let (client, server) = far(&mut net);
    let mut bulk = |millis, enough: usize| {
        let outcome = net.run_until(Duration::from_millis(millis), |net| {
            fill(net, &client);
            while net.recv(&server, 1 << 20).is_ok() {}
            size_of(net, &client, SO_SNDBUF) > enough
        });
        (outcome, size_of(&mut net, &client, SO_SNDBUF))
    };
    assert_eq!(bulk(3, (4 << 20) - 1), (Outcome::Met, 4 << 20));
    assert_eq!(bulk(250, 4 << 20), (Outcome::TimedOut, 4 << 20), "it may be its own queue");
    let (outcome, most) = bulk(1000, 4 << 20);
    assert_eq!(outcome, Outcome::Met, "{most}");
}

#[test]
fn what_is_not_read_stays_at_what_a_buffer_begins_with() {
    let mut net = network(wide());
    let (client, server) = far(&mut net);
    let begun = size_of(&mut net, &server, SO_RCVBUF);
    assert_eq!(begun, Config::default().buffers.receive_initial);
    for _ in 0..200 {
        fill(&mut net, &client);
        net.run_for(Duration::from_millis(50));
        // A reader of 20 kB/s.
        let _ = net.recv(&server, 1000);
        // Windows are rounded up to steps of their scale, by an eighth of the buffer in all.
        let held = net.hosts[SERVER].stack.memory();
        assert!(held <= begun + begun / 8, "{held}");
    }
    assert_eq!(size_of(&mut net, &server, SO_RCVBUF), begun);
}

#[test]
fn buffers_follow_what_passes_through_them() {
    follow_what_passes(200);
    follow_what_passes(1000);
}

/// On a path whose sender may fill a queue of `queue` packets: the wait there is a part of the round trip that the receiver sees.
fn follow_what_passes(queue: usize) {
    let mut plan = wide();
    plan.impairment.as_mut().expect("a path").0.queue = queue;
    let mut net = network(plan);
    let (client, server) = far(&mut net);
    let begun = (size_of(&mut net, &client, SO_SNDBUF), size_of(&mut net, &server, SO_RCVBUF));
    for _ in 0..2000 {
        fill(&mut net, &client);
        net.run_for(Duration::from_millis(1));
        while net.recv(&server, usize::MAX).is_ok() {}
    }
    let path = 500_000;
    let (send, receive) = (size_of(&mut net, &client, SO_SNDBUF), size_of(&mut net, &server, SO_RCVBUF));
    assert!(send > begun.0 && send > path * 2, "{send} bytes to send from");
    assert!(receive > begun.1 && receive > path, "{receive} bytes to receive into");
    let now = net.now;
    let told = net.hosts[SERVER].stack.tcp_info(now, server.id).expect("figures");
    // 120 us a packet at 100 Mbit/s.
    let longest = 40_000 + 120 * queue as u32;
    assert!((39_000..longest + 2000).contains(&told.rcv_rtt), "{} us behind {queue} packets", told.rcv_rtt);
    assert!(told.rcv_space as usize * 2 >= path && (told.rcv_space as usize) < receive, "{}", told.rcv_space);
}

#[test]
fn a_size_that_the_program_sets_stays() {
    let mut net = network(wide());
    let (client, server) = far(&mut net);
    fix(&mut net, &server, SO_RCVBUF, 100_000);
    fix(&mut net, &client, SO_SNDBUF, 90_000);
    let mut most = 0;
    for _ in 0..1000 {
        most = most.max(fill(&mut net, &client));
        net.run_for(Duration::from_millis(1));
        while net.recv(&server, usize::MAX).is_ok() {}
    }
    assert_eq!(
        (size_of(&mut net, &server, SO_RCVBUF), size_of(&mut net, &client, SO_SNDBUF)),
        (100_000, 90_000)
    );
    assert!(most <= 90_000, "{most}");
}

#[test]
fn idle_connections_hold_nothing() {
    let mut plan = Plan::default();
    plan.configs[SERVER].tcp.backlog_max = 20_000;
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 20_000).expect("listen");
    let clients: Vec<Endpoint> = (0..10_000)
        .map(|_| {
            let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
            net.settle();
            client
        })
        .collect();
    let servers: Vec<Endpoint> = clients.iter().map(|_| net.accept(&listener).expect("accept")).collect();
    assert_eq!((net.hosts[CLIENT].stack.memory(), net.hosts[SERVER].stack.memory()), (0, 0));
    net.send(&clients[0], b"x").expect("sent");
    net.settle();
    assert_eq!(net.hosts[SERVER].stack.memory(), 1);
    assert_eq!(net.recv(&servers[0], 10).expect("received"), b"x");
    net.send(&clients[0], b"y").expect("sent");
    net.run_for(secs(1));
    // What was read counts until something else happens there.
    assert_eq!((net.hosts[CLIENT].stack.memory(), net.hosts[SERVER].stack.memory()), (0, 1));
}

/// Many that send to one that does not read: what it holds stays within what it may, whatever windows were offered before, and it goes on once it reads.
#[test]
fn a_stack_holds_no_more_than_it_may() {
    a_full_stack(0.0);
    a_full_stack(0.05);
}

fn a_full_stack(loss: f64) {
    const TOTAL: usize = 1 << 20;
    const COUNT: usize = 100;
    let path = Impairment { delay: Duration::from_millis(10), loss, ..Impairment::default() };
    // No judge: to it, data that the stack has no room for is data that nobody acknowledges.
    let (left, right) = pipe(1500, 1 << 16, Offload::Off);
    let left = Impaired::new(Box::new(left), path, 3).expect("impairment");
    let mut full = config(SERVER);
    full.buffers.total = TOTAL;
    let hosts: [(_, Box<dyn Device>); 2] = [(config(CLIENT), Box::new(left)), (full, Box::new(right))];
    let hosts = hosts.map(|(config, device)| Host::new(config, device).expect("a host")).into();
    let mut net = Network::new(usertcp_core::time::Instant::from_millis(1_000_000), hosts);
    let listener = net.listen(SERVER, address(SERVER_V4), 200).expect("listen");
    let clients: Vec<Endpoint> =
        (0..COUNT).map(|_| net.connect(CLIENT, address(SERVER_V4)).expect("connect")).collect();
    net.run_for(secs(10));
    let servers: Vec<Endpoint> = clients.iter().map(|_| net.accept(&listener).expect("accept")).collect();
    let mut sent = 0;
    // Beyond the limit each connection may have one segment, so that it does not stand still.
    let most = TOTAL + COUNT * 1500;
    for _ in 0..100 {
        sent += clients.iter().map(|client| fill(&mut net, client)).sum::<usize>();
        net.run_for(Duration::from_millis(20));
        let held = net.hosts[SERVER].stack.memory();
        assert!(held <= most, "{held} bytes held");
    }
    let counters = net.hosts[SERVER].stack.counters();
    assert!(counters.memory_pressure > 0 && counters.drop_tcp_memory > 0, "{counters:?}");
    assert_eq!(counters.tcp_pruned > 0, loss > 0.0, "what is out of order goes first");
    // Now they read, and all of it comes.
    let mut received = 0;
    let done = net.run_until(secs(600), |net| {
        for server in &servers {
            while let Ok(bytes) = net.recv(server, usize::MAX) {
                received += bytes.len();
            }
        }
        received == sent
    });
    assert_eq!(done, usertcp_core::sim::Outcome::Met, "{received} of {sent}");
    assert!(net.hosts[SERVER].stack.memory() < TOTAL * 3 / 4);
}

/// The same for what programs write: once the stack is full, each connection may have a few segments more.
#[test]
fn programs_that_write_much_are_told_to_wait() {
    const TOTAL: usize = 1 << 20;
    let mut plan = wide();
    plan.configs[CLIENT].buffers.total = TOTAL;
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 200).expect("listen");
    let clients: Vec<Endpoint> =
        (0..50).map(|_| net.connect(CLIENT, address(SERVER_V4)).expect("connect")).collect();
    net.run_for(secs(5));
    for client in &clients {
        assert_eq!(socket::connected(&client.cell, None), Ok(()));
        fill(&mut net, client);
        net.settle();
    }
    let servers: Vec<Endpoint> = clients.iter().map(|_| net.accept(&listener).expect("accept")).collect();
    for _ in 0..200 {
        net.run_for(Duration::from_millis(10));
        for server in &servers {
            while net.recv(server, usize::MAX).is_ok() {}
        }
    }
    let mut most = 0;
    for _ in 0..200 {
        for client in &clients {
            fill(&mut net, client);
            net.settle();
            most = most.max(net.hosts[CLIENT].stack.memory());
        }
        net.run_for(Duration::from_millis(10));
        for server in &servers {
            while net.recv(server, usize::MAX).is_ok() {}
        }
    }
    let begun = Config::default().buffers.send_initial;
    assert!(most <= TOTAL + begun + clients.len() * (16 << 10), "{most} bytes held");
}
