//! Links on virtual time: loopback, links that go down or away, and many connections on one.

mod world;

use usertcp_core::error::Errno;
use usertcp_core::link::impair::Impairment;
use usertcp_core::link::pipe::Offload;
use usertcp_core::sim::{Endpoint, Outcome};
use usertcp_core::stack::socket::{self};
use usertcp_core::stack::{Domain, LinkState};
use usertcp_core::time::Duration;
use world::*;

#[test]
fn connections_to_oneself_never_meet_the_link() {
    for target in
        ["127.0.0.1:80", "127.9.9.9:81", "[::1]:80", "192.0.2.2:82", "[2001:db8::2]:83", "0.0.0.0:84"]
    {
        let mut net = network(Plan::default());
        let listener = net.listen(SERVER, address(target), 5).expect("listen");
        let client = net.connect(SERVER, address(target)).expect("connect");
        net.settle();
        let server = net.accept(&listener).expect(target);
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| ((n * 7) >> 3) as u8).collect();
        let (mut written, mut received) = (0, Vec::new());
        let outcome = net.run_until(secs(10), |net| {
            while let Ok(count) = net.send(&client, &sent[written..]) {
                written += count;
                if written == sent.len() {
                    net.close(&client);
                    break;
                }
            }
            while let Ok(bytes) = net.recv(&server, 1 << 20) {
                if bytes.is_empty() {
                    return true;
                }
                received.extend(bytes);
            }
            false
        });
        assert_eq!(outcome, Outcome::Met, "{target}");
        assert!(received == sent, "{target}");
        assert_eq!(net.hosts[SERVER].stack.counters().frames_out, 0, "{target}");
    }
}

#[test]
fn a_connect_to_oneself_where_nobody_listens_is_refused() {
    let mut net = network(Plan::default());
    let client = net.connect(CLIENT, address("127.0.0.1:9")).expect("connect");
    net.settle();
    assert_eq!(socket::connected(&client.cell, None), Err(Errno::ECONNREFUSED));
}

#[test]
fn without_an_address_of_the_family_the_network_is_unreachable() {
    let mut plan = Plan::default();
    plan.configs[CLIENT].addresses.retain(|prefix| prefix.address.is_ipv4());
    let mut net = network(plan);
    assert_eq!(net.connect(CLIENT, address(SERVER_V6)).map(|_| ()), Err(Errno::ENETUNREACH));
}

#[test]
fn a_link_that_is_down_refuses_connects_wakes_sleepers_once_and_lets_connections_live() {
    let mut net = network(Plan::default());
    let (client, server, _) = pair(&mut net, SERVER_V4);
    let now = net.now;
    let waker = std::task::Waker::noop();
    assert_eq!(
        socket::recv(&client.cell, 1, socket::Take::Peek, Some(waker)).map(|_| ()),
        Err(Errno::EAGAIN)
    );
    net.hosts[CLIENT].stack.handle_link(now, LinkState::Down);
    assert_eq!(net.recv(&client, 1), Err(Errno::ENETDOWN));
    assert_eq!(net.recv(&client, 1), Err(Errno::EAGAIN));
    assert_eq!(net.connect(CLIENT, address(SERVER_V4)).map(|_| ()), Err(Errno::ENETDOWN));
    assert!(net.connect(CLIENT, address("127.0.0.1:1")).is_ok());
    net.send(&client, b"later").expect("queued");
    assert!(net.run_for(secs(3)));
    assert_eq!(net.recv(&server, 9), Err(Errno::EAGAIN));
    let now = net.now;
    net.hosts[CLIENT].stack.handle_link(now, LinkState::Up);
    assert!(net.run_for(secs(10)));
    assert_eq!(net.recv(&server, 9), Ok(b"later".to_vec()));
}

#[test]
fn a_link_that_is_gone_ends_everything() {
    let mut net = network(Plan::default());
    let (client, _server, listener) = pair(&mut net, SERVER_V4);
    let idle = net.socket(SERVER, Domain::V4).expect("socket");
    let now = net.now;
    net.hosts[SERVER].stack.handle_link(now, LinkState::Gone);
    net.hosts[CLIENT].stack.handle_link(now, LinkState::Gone);
    assert_eq!(net.recv(&client, 1), Err(Errno::ENETDOWN));
    assert_eq!(net.recv(&client, 1), Ok(Vec::new()));
    assert_eq!(net.accept(&listener).map(|_| ()), Err(Errno::ENETDOWN));
    let stack = &mut net.hosts[SERVER].stack;
    assert_eq!(stack.connect(now, idle.id, address("192.0.2.1:1")), Err(Errno::ENETDOWN));
    assert_eq!(stack.socket(Domain::V4).map(|_| ()), Err(Errno::ENETDOWN));
    assert_eq!((stack.live_connections(), stack.poll_transmit(now).is_some()), (0, false));
    net.close(&listener);
    net.close(&client);
    assert_eq!(net.hosts[CLIENT].stack.sockets(), 0);
}

#[test]
fn connections_share_a_link_fairly() {
    let what =
        Impairment { rate: 20_000_000, delay: Duration::from_millis(2), queue: 100, ..Impairment::default() };
    let mut net = network(Plan { impairment: Some((what, 3)), ..Plan::default() });
    let listener = net.listen(SERVER, address(SERVER_V4), 20).expect("listen");
    let clients: Vec<Endpoint> =
        (0..8).map(|_| net.connect(CLIENT, address(SERVER_V4)).expect("connect")).collect();
    let (mut servers, mut received) = (Vec::new(), [0usize; 8]);
    let block = vec![1; 1 << 20];
    net.run_until(secs(20), |net| {
        servers.extend(net.accept(&listener).ok());
        for client in &clients {
            while net.send(client, &block).is_ok() {}
        }
        for (server, count) in servers.iter().zip(&mut received) {
            while let Ok(bytes) = net.recv(server, 1 << 20) {
                *count += bytes.len();
            }
        }
        false
    });
    let total: usize = received.iter().sum();
    let least = received.iter().min().copied().unwrap_or(0);
    assert!(total > 40_000_000, "{total} bytes of 50 million that the link carries in 20 s");
    assert!(least * 8 * 3 > total, "{received:?}: nobody has less than a third of its share");
}

#[test]
fn a_connection_sends_three_super_frames_before_the_next_has_its_turn() {
    let mut net = network(Plan { offload: Offload::On, ..Plan::default() });
    let (one, server, listener) = pair(&mut net, SERVER_V4);
    carry(&mut net, &one, &server, 4 << 20);
    let two = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    let server = net.accept(&listener).expect("accept");
    carry(&mut net, &two, &server, 4 << 20);
    for client in [&one, &two] {
        net.send(client, &vec![0; 1 << 20]).expect("send");
    }
    let (now, stack) = (net.now, &mut net.hosts[CLIENT].stack);
    let ports: Vec<[u8; 2]> = std::iter::from_fn(|| stack.poll_transmit(now))
        .map(|packet| [packet.head[20], packet.head[21]])
        .collect();
    let turns: Vec<usize> = ports.chunk_by(|left, right| left == right).map(<[_]>::len).collect();
    // The other one may not send more yet.
    assert_eq!(turns[..2], [3, 1], "{ports:?}");
    assert_eq!(ports.get(4), ports.first(), "{ports:?}");
}
