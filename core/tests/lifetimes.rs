//! Connections from connect to the end on virtual time: closing in every manner, names, ports, loopback, and the link's own life.

mod world;

use usertcp_core::buffer::{Life, SocketId};
use usertcp_core::counters::Drop;
use usertcp_core::error::Errno;
use usertcp_core::link::impair::Impairment;
use usertcp_core::sim::{Endpoint, Network, Outcome};
use usertcp_core::stack::socket::options::{SOL_SOCKET, sol};
use usertcp_core::stack::socket::{self, Readiness};
use usertcp_core::stack::{Domain, LinkState, Shutdown};
use usertcp_core::time::Duration;
use world::*;

/// A connection between two hosts: the client's end, the server's end, the listener.
fn pair(net: &mut Network, target: &str) -> (Endpoint, Endpoint, Endpoint) {
    let listener = net.listen(SERVER, address(target), 5).expect("listen");
    let client = net.connect(CLIENT, address(target)).expect("connect");
    net.settle();
    assert_eq!(socket::connected(&client.cell, None), Ok(()));
    let server = net.accept(&listener).expect("accept");
    (client, server, listener)
}

fn state(net: &Network, endpoint: &Endpoint) -> u8 {
    net.hosts[endpoint.host].stack.tcp_info(net.now, endpoint.id).expect("info").state
}

#[test]
fn half_close_lets_the_other_half_go_on() {
    let mut net = network(Plan::default());
    let (client, server, _) = pair(&mut net, SERVER_V4);
    net.send(&client, b"request").expect("send");
    net.shutdown(&client, Shutdown::Write).expect("shutdown");
    net.settle();
    assert_eq!(net.send(&client, b"more"), Err(Errno::EPIPE));
    assert_eq!(net.recv(&server, 100), Ok(b"request".to_vec()));
    assert_eq!(net.recv(&server, 100), Ok(Vec::new()));
    let ready = Readiness::IN | Readiness::OUT | Readiness::RDHUP;
    assert_eq!(net.readiness(&server), ready);
    assert_eq!((state(&net, &client), state(&net, &server)), (5, 8), "FIN-WAIT-2, CLOSE-WAIT");
    net.send(&server, &[9; 100_000]).expect("send");
    net.close(&server);
    let mut received = Vec::new();
    let outcome = net.run_until(secs(10), |net| {
        loop {
            match net.recv(&client, 1 << 20) {
                Ok(bytes) if bytes.is_empty() => return true,
                Ok(bytes) => received.extend(bytes),
                Err(errno) => return errno != Errno::EAGAIN,
            }
        }
    });
    assert_eq!((outcome, received.len()), (Outcome::Met, 100_000));
    let all = Readiness::IN | Readiness::OUT | Readiness::RDHUP | Readiness::HUP;
    assert_eq!(net.readiness(&client), all);
    assert_eq!(state(&net, &client), 6, "TIME-WAIT");
    assert!(net.run_for(secs(61)));
    assert_eq!(state(&net, &client), 7);
    net.close(&client);
    assert_eq!(net.hosts[CLIENT].stack.sockets(), 0);
}

#[test]
fn close_with_unread_data_resets() {
    let mut net = network(Plan::default());
    let (client, server, _) = pair(&mut net, SERVER_V6);
    net.send(&client, b"never read").expect("send");
    net.settle();
    net.close(&server);
    net.settle();
    assert_eq!(net.send(&client, b"x"), Err(Errno::ECONNRESET));
    assert_eq!(net.send(&client, b"x"), Err(Errno::EPIPE));
    let all = Readiness::IN | Readiness::OUT | Readiness::RDHUP | Readiness::HUP;
    assert_eq!(net.readiness(&client), all);
    assert_eq!(net.hosts[SERVER].stack.sockets(), 1, "the listener");
}

#[test]
fn a_zero_linger_resets() {
    let mut net = network(Plan::default());
    let (client, server, _) = pair(&mut net, SERVER_V4);
    let linger = [1i32.to_ne_bytes(), 0i32.to_ne_bytes()].concat();
    let now = net.now;
    let stack = &mut net.hosts[CLIENT].stack;
    stack.set_option(now, client.id, SOL_SOCKET, sol::SO_LINGER, &linger).expect("set");
    assert_eq!(stack.linger(client.id), Ok(Some(Duration::ZERO)));
    net.close(&client);
    net.settle();
    assert_eq!(net.recv(&server, 1), Err(Errno::ECONNRESET));
    assert_eq!(net.hosts[CLIENT].stack.sockets(), 0);
}

#[test]
fn abort_tells_both_sides() {
    let mut net = network(Plan::default());
    let (client, server, _) = pair(&mut net, SERVER_V4);
    let now = net.now;
    let stack = &mut net.hosts[CLIENT].stack;
    stack.abort(now, client.id).expect("abort");
    assert_eq!(stack.abort(now, client.id), Err(Errno::ENOTCONN));
    net.settle();
    assert_eq!(net.recv(&client, 1), Err(Errno::ECONNABORTED));
    assert_eq!(net.recv(&client, 1), Ok(Vec::new()));
    assert_eq!(net.recv(&server, 1), Err(Errno::ECONNRESET));
    assert_eq!(net.hosts[CLIENT].stack.live_connections(), 0);
}

#[test]
fn what_is_written_before_close_arrives() {
    let mut net = network(Plan::default());
    let (client, server, _) = pair(&mut net, SERVER_V4);
    net.send(&client, &[1; 1000]).expect("send");
    net.send(&client, &[2; 50_000]).expect("send");
    net.close(&client);
    let mut total = 0;
    let outcome = net.run_until(secs(10), |net| {
        loop {
            match net.recv(&server, 1 << 20) {
                Ok(bytes) if bytes.is_empty() => return true,
                Ok(bytes) => total += bytes.len(),
                Err(_) => return false,
            }
        }
    });
    assert_eq!((outcome, total), (Outcome::Met, 51_000));
}

#[test]
fn data_to_a_closed_socket_is_answered_by_reset() {
    let mut net = network(Plan::default());
    let (client, server, _) = pair(&mut net, SERVER_V4);
    net.close(&client);
    net.settle();
    net.send(&server, b"too late").expect("send");
    net.settle();
    assert_eq!(net.recv(&server, 9), Ok(Vec::new()), "the FIN had come before");
    assert_eq!(net.send(&server, b"x"), Err(Errno::EPIPE));
}

#[test]
fn refused_and_unanswered_connects_end_with_their_errors_and_may_be_tried_again() {
    let mut net = network(Plan::default());
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    assert_eq!(socket::connected(&client.cell, None), Err(Errno::EAGAIN));
    net.settle();
    assert!(net.readiness(&client).any(Readiness::ERR));
    assert_eq!(socket::connected(&client.cell, None), Err(Errno::ECONNREFUSED));
    let _listener = net.listen(SERVER, address(SERVER_V4), 1).expect("listen");
    let now = net.now;
    net.hosts[CLIENT].stack.connect(now, client.id, address(SERVER_V4)).expect("again");
    net.settle();
    assert_eq!(socket::connected(&client.cell, None), Ok(()));

    let nobody = net.connect(CLIENT, address("192.0.2.200:80")).expect("connect");
    let outcome = net.run_until(secs(200), |_| nobody.cell.lock().life == Life::Ended);
    assert_eq!(outcome, Outcome::Met);
    assert_eq!(socket::connected(&nobody.cell, None), Err(Errno::ETIMEDOUT));
}

#[test]
fn control_calls_refuse_what_the_state_does_not_allow() {
    let mut net = network(Plan::default());
    let (client, server, listener) = pair(&mut net, SERVER_V4);
    let now = net.now;
    let stack = &mut net.hosts[SERVER].stack;
    assert_eq!(stack.bind(server.id, address("192.0.2.2:99")), Err(Errno::EINVAL));
    assert_eq!(stack.listen(now, server.id, 1), Err(Errno::EINVAL));
    assert_eq!(stack.connect(now, server.id, address("192.0.2.1:1")), Err(Errno::EISCONN));
    assert_eq!(stack.connect(now, listener.id, address("192.0.2.1:1")), Err(Errno::EISCONN));
    assert_eq!(stack.peer_address(listener.id), Err(Errno::ENOTCONN));
    let idle = net.socket(CLIENT, Domain::V4).expect("socket");
    let stack = &mut net.hosts[CLIENT].stack;
    assert_eq!(stack.shutdown(now, idle.id, Shutdown::Both), Err(Errno::ENOTCONN));
    assert_eq!(stack.abort(now, idle.id), Err(Errno::ENOTCONN));
    assert_eq!(stack.local_address(idle.id), Ok(address("0.0.0.0:0")));
    let table = [
        ("[2001:db8::2]:80", Errno::EAFNOSUPPORT),
        ("192.0.2.255:80", Errno::ENETUNREACH),
        ("255.255.255.255:80", Errno::ENETUNREACH),
        ("224.0.0.1:80", Errno::ENETUNREACH),
        ("192.0.2.2:0", Errno::EADDRNOTAVAIL),
    ];
    for (target, errno) in table {
        assert_eq!(stack.connect(now, idle.id, address(target)), Err(errno), "{target}");
    }
    let table = [
        ("[2001:db8::1]:80", Errno::EAFNOSUPPORT),
        ("192.0.2.2:80", Errno::EADDRNOTAVAIL),
        ("198.51.100.1:80", Errno::EADDRNOTAVAIL),
    ];
    for (own, errno) in table {
        assert_eq!(stack.bind(idle.id, address(own)), Err(errno), "{own}");
    }
    stack.connect(now, idle.id, address("192.0.2.200:80")).expect("connect");
    assert_eq!(stack.connect(now, idle.id, address("192.0.2.200:80")), Err(Errno::EALREADY));
    assert_eq!(stack.peer_address(client.id), Ok(address(SERVER_V4)));
}

#[test]
fn a_stale_handle_names_nothing() {
    let mut net = network(Plan::default());
    let old = net.socket(CLIENT, Domain::V4).expect("socket");
    net.close(&old);
    let new = net.socket(CLIENT, Domain::V4).expect("socket");
    assert_eq!(old.id.index, new.id.index);
    let now = net.now;
    let stack = &mut net.hosts[CLIENT].stack;
    let foreign = SocketId { index: 4_000_000_000, generation: 0 };
    for id in [old.id, foreign] {
        assert_eq!(stack.bind(id, address("192.0.2.1:1")), Err(Errno::EBADF));
        assert_eq!(stack.listen(now, id, 1), Err(Errno::EBADF));
        assert_eq!(stack.connect(now, id, address(SERVER_V4)), Err(Errno::EBADF));
        assert_eq!(stack.shutdown(now, id, Shutdown::Both), Err(Errno::EBADF));
        assert_eq!(stack.abort(now, id), Err(Errno::EBADF));
        assert_eq!(stack.local_address(id), Err(Errno::EBADF));
        assert_eq!(stack.peer_address(id), Err(Errno::EBADF));
        assert_eq!(stack.option(id, SOL_SOCKET, sol::SO_TYPE), Err(Errno::EBADF));
        assert_eq!(stack.set_option(now, id, SOL_SOCKET, sol::SO_REUSEADDR, &[1; 4]), Err(Errno::EBADF));
        assert_eq!(stack.tcp_info(now, id).map(|_| ()), Err(Errno::EBADF));
        stack.handle_kick(now, id);
        stack.close(now, id);
    }
    assert_eq!(stack.sockets(), 1);
    assert_eq!(stack.bind(new.id, address("192.0.2.1:1")), Ok(()));
}

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
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| (n * 7 >> 3) as u8).collect();
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
    assert_eq!(net.connect(CLIENT, address("[::ffff:192.0.2.2]:80")).map(|_| ()), Err(Errno::ENETUNREACH));
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
fn closing_all_sends_what_is_queued_and_aborting_all_resets() {
    let what = Impairment { delay: Duration::from_millis(20), ..Impairment::default() };
    let mut net = network(Plan { impairment: Some((what, 1)), ..Plan::default() });
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    let mut server = None;
    let outcome = net.run_until(secs(5), |net| {
        server = net.accept(&listener).ok();
        server.is_some()
    });
    assert_eq!(outcome, Outcome::Met);
    let server = server.expect("accepted");
    net.send(&client, &[5; 60_000]).expect("send");
    let now = net.now;
    net.hosts[CLIENT].stack.close_all(now);
    assert_eq!(net.recv(&client, 1), Err(Errno::EBADF));
    assert_eq!(net.hosts[CLIENT].stack.live_connections(), 1);
    let mut total = 0;
    let outcome = net.run_until(secs(20), |net| {
        loop {
            match net.recv(&server, 1 << 20) {
                Ok(bytes) if bytes.is_empty() => return true,
                Ok(bytes) => total += bytes.len(),
                Err(_) => return false,
            }
        }
    });
    assert_eq!((outcome, total), (Outcome::Met, 60_000));
    assert_eq!(net.hosts[CLIENT].stack.live_connections(), 1, "the server has not closed");
    let now = net.now;
    net.hosts[SERVER].stack.abort_all(now);
    assert!(net.run_for(secs(2)));
    assert_eq!(net.hosts[SERVER].stack.sockets(), 0);
    assert_eq!(net.hosts[CLIENT].stack.live_connections(), 0);
}

#[test]
fn a_reader_who_stops_stops_the_writer_and_nothing_is_lost() {
    let mut plan = Plan::default();
    plan.configs[SERVER].buffers.receive = 20_000;
    plan.configs[CLIENT].buffers.send = 20_000;
    let mut net = network(plan);
    let (client, server, _) = pair(&mut net, SERVER_V4);
    let sent: Vec<u8> = (0..500_000u32).map(|n| (n / 3) as u8).collect();
    let mut written = 0;
    assert_eq!(
        net.run_until(secs(30), |net| {
            while let Ok(count) = net.send(&client, &sent[written..]) {
                written += count;
            }
            false
        }),
        Outcome::TimedOut
    );
    assert!(written <= 40_000 + 1500, "{written} bytes fit");
    assert!(!net.readiness(&client).any(Readiness::OUT));
    let mut received = Vec::new();
    let outcome = net.run_until(secs(600), |net| {
        while written < sent.len() {
            let Ok(count) = net.send(&client, &sent[written..]) else { break };
            written += count;
        }
        while let Ok(bytes) = net.recv(&server, 3000) {
            received.extend(bytes);
        }
        received.len() == sent.len()
    });
    assert_eq!(outcome, Outcome::Met, "{} of {}", received.len(), sent.len());
    assert!(received == sent);
}

#[test]
fn segments_for_nobody_are_reset_and_counted() {
    let mut net = network(Plan::default());
    let client = net.connect(CLIENT, address("192.0.2.2:4444")).expect("connect");
    net.settle();
    let counters = net.hosts[SERVER].stack.counters();
    assert_eq!((counters.dropped(Drop::TcpNoSocket), counters.tcp_resets_out), (1, 1));
    assert_eq!(socket::connected(&client.cell, None), Err(Errno::ECONNREFUSED));
    assert_eq!(net.hosts[CLIENT].stack.counters().tcp_attempt_fails, 1);
}

#[test]
fn two_sides_that_connect_to_each_other_at_once_meet() {
    let what = Impairment { delay: Duration::from_millis(10), ..Impairment::default() };
    let mut net = network(Plan { impairment: Some((what, 3)), ..Plan::default() });
    let now = net.now;
    let ends: Vec<Endpoint> = [CLIENT, SERVER]
        .into_iter()
        .map(|host| {
            let endpoint = net.socket(host, Domain::V4).expect("socket");
            let (own, peer) = (host + 1, 2 - host);
            let stack = &mut net.hosts[host].stack;
            stack.bind(endpoint.id, address(&format!("192.0.2.{own}:700{own}"))).expect("bind");
            stack.connect(now, endpoint.id, address(&format!("192.0.2.{peer}:700{peer}"))).expect("connect");
            endpoint
        })
        .collect();
    let outcome =
        net.run_until(secs(5), |_| ends.iter().all(|end| socket::connected(&end.cell, None) == Ok(())));
    assert_eq!(outcome, Outcome::Met);
    net.send(&ends[0], b"ping").expect("send");
    net.send(&ends[1], b"pong").expect("send");
    assert!(net.run_for(secs(1)));
    assert_eq!(net.recv(&ends[0], 9), Ok(b"pong".to_vec()));
    assert_eq!(net.recv(&ends[1], 9), Ok(b"ping".to_vec()));
}

#[test]
fn connections_share_a_link_fairly() {
    let what = Impairment { rate: 20_000_000, delay: Duration::from_millis(2), ..Impairment::default() };
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
