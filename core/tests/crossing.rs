//! What a stack makes of connections at their edges: SYNs that cross, resets of half-open ones, TIME-WAIT that gives way, orphans in numbers, linger.

mod world;

use std::task::Waker;
use usertcp_core::buffer::Interest;
use usertcp_core::error::Errno;
use usertcp_core::link::impair::Impairment;
use usertcp_core::sim::{Endpoint, Network, Outcome};
use usertcp_core::stack::socket::options::{SOL_SOCKET, sol};
use usertcp_core::stack::socket::{self, Readiness, Take, Urgency};
use usertcp_core::stack::{Domain, LinkState, Shutdown};
use usertcp_core::time::Duration;
use world::*;

const ESTABLISHED: u8 = 1;
const TIME_WAIT: u8 = 6;

fn state(net: &Network, endpoint: &Endpoint) -> u8 {
    net.hosts[endpoint.host].stack.tcp_info(net.now, endpoint.id).expect("info").state
}

/// A socket with an address of its own that connects to `peer`.
fn connect_from(net: &mut Network, host: usize, own: &str, peer: &str) -> Endpoint {
    let endpoint = net.socket(host, Domain::of(address(own).ip())).expect("socket");
    let now = net.now;
    let stack = &mut net.hosts[host].stack;
    stack.bind(endpoint.id, address(own)).expect("bind");
    stack.connect(now, endpoint.id, address(peer)).expect("connect");
    endpoint
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.1
//= type=test
//# TCP implementations MUST use the same local address that was used in those previous segments (MUST-45).
#[test]
fn two_stacks_that_connect_to_each_other_have_one_connection() {
    for (left, right) in [("192.0.2.1:7", "192.0.2.2:8"), ("[2001:db8::1]:7", "[2001:db8::2]:8")] {
        let delay = Impairment { delay: Duration::from_millis(30), ..Impairment::default() };
        let mut net = network(Plan { impairment: Some((delay, 1)), ..Plan::default() });
        let one = connect_from(&mut net, CLIENT, left, right);
        let other = connect_from(&mut net, SERVER, right, left);
        let both = |net: &mut Network| {
            let up = |end: &Endpoint| socket::connected(&end.cell, None) == Ok(());
            let _ = net;
            up(&one) && up(&other)
        };
        assert_eq!(net.run_until(secs(1), both), Outcome::Met);
        assert_eq!((state(&net, &one), state(&net, &other)), (ESTABLISHED, ESTABLISHED));
        net.send(&one, b"from one").expect("send");
        net.send(&other, b"from the other").expect("send");
        assert!(net.run_for(secs(1)));
        assert_eq!(net.recv(&one, 99), Ok(b"from the other".to_vec()));
        assert_eq!(net.recv(&other, 99), Ok(b"from one".to_vec()));
        // Both close at once, too.
        net.close(&one);
        net.close(&other);
        assert!(net.run_for(secs(1)));
        assert!(net.run_for(secs(60)));
        assert_eq!((net.hosts[CLIENT].stack.sockets(), net.hosts[SERVER].stack.sockets()), (0, 0));
        let resets = net.hosts.iter().map(|host| host.stack.counters().tcp_resets_out).sum::<u64>();
        assert_eq!(resets, 0);
    }
}

#[test]
fn syns_that_cross_are_found_again_in_a_network_that_loses() {
    for seed in 0..20 {
        let what = Impairment { loss: 0.3, delay: Duration::from_millis(20), ..Impairment::default() };
        let mut net = network(Plan { impairment: Some((what, seed)), ..Plan::default() });
        let one = connect_from(&mut net, CLIENT, "192.0.2.1:7", "192.0.2.2:8");
        let other = connect_from(&mut net, SERVER, "192.0.2.2:8", "192.0.2.1:7");
        net.run_until(secs(100), |net| (state(net, &one), state(net, &other)) == (ESTABLISHED, ESTABLISHED));
        net.send(&one, b"bytes").expect("send");
        net.shutdown(&one, Shutdown::Write).expect("shutdown");
        let mut got = Vec::new();
        let outcome = net.run_until(secs(200), |net| match net.recv(&other, 99) {
            Ok(bytes) if bytes.is_empty() => true,
            Ok(bytes) => {
                got.extend(bytes);
                false
            }
            Err(_) => false,
        });
        assert_eq!((outcome, &got[..]), (Outcome::Met, &b"bytes"[..]), "seed {seed}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# If this connection was initiated with a passive OPEN (i.e., came from the LISTEN state), then return this connection to LISTEN state and return. The user need not be informed (SM-7).
#[test]
fn a_reset_takes_a_half_open_connection_back_to_its_listener() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    let now = net.now;
    // The SYN is out; its sender forgets it, and answers the SYN/ACK by RST.
    net.hosts[CLIENT].stack.abort(now, client.id).expect("abort");
    net.settle();
    assert_eq!(net.hosts[SERVER].stack.sockets(), 1, "the listener alone");
    assert_eq!(net.accept(&listener).map(|_| ()), Err(Errno::EAGAIN));
    let again = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    assert_eq!(socket::connected(&again.cell, None), Ok(()));
    assert!(net.accept(&listener).is_ok());
}

#[test]
fn time_wait_gives_way_to_the_same_client_and_outlives_its_reset() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let mut last = None;
    for _ in 0..3 {
        let client = connect_from(&mut net, CLIENT, "192.0.2.1:5555", SERVER_V4);
        net.settle();
        assert_eq!(socket::connected(&client.cell, None), Ok(()));
        let server = net.accept(&listener).expect("accept");
        net.close(&server);
        net.settle();
        assert_eq!(net.recv(&client, 1), Ok(Vec::new()));
        net.close(&client);
        net.settle();
        assert_eq!(net.hosts[SERVER].stack.sockets(), 2, "the listener, and one in TIME-WAIT");
        assert!(net.run_for(Duration::from_millis(10)));
        last = Some(server);
    }
    let server = last.expect("a connection");
    assert_eq!(state(&net, &server), TIME_WAIT);
    assert!(net.run_for(secs(61)));
    assert_eq!(net.hosts[SERVER].stack.sockets(), 1);
}

#[test]
fn one_orphan_too_many_is_reset() {
    let mut plan = Plan::default();
    plan.configs[CLIENT].tcp.orphans_max = 2;
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 9).expect("listen");
    let clients: Vec<_> = (0..4).map(|_| net.connect(CLIENT, address(SERVER_V4)).expect("connect")).collect();
    net.settle();
    let servers: Vec<_> = (0..4).map(|_| net.accept(&listener).expect("accept")).collect();
    for client in &clients {
        net.close(client);
        net.settle();
    }
    let counters = net.hosts[CLIENT].stack.counters();
    assert_eq!((counters.tcp_orphans_reset, counters.tcp_resets_out), (2, 2));
    let ends: Vec<_> = servers.iter().map(|server| net.recv(server, 1)).collect();
    let (end, reset) = (Ok(Vec::new()), Err(Errno::ECONNRESET));
    assert_eq!(ends, [end.clone(), end, reset.clone(), reset]);
    // Those that are over make room.
    for server in &servers {
        net.close(server);
    }
    net.settle();
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    let server = net.accept(&listener).expect("accept");
    net.close(&client);
    net.settle();
    assert_eq!(net.recv(&server, 1), Ok(Vec::new()));
}

/// R1 of RFC 9293 3.8.3: who reads the counters or the log hears of a peer that does not answer, long before the connection is given up.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
//= type=test
//# TCP implementations SHOULD inform the application of the delivery problem (unless such information has been disabled by the application; see the "Asynchronous Reports" section (Section 3.9.1.8)), when R1 is reached and before R2 (SHLD-9).
#[test]
fn a_delivery_problem_is_told() {
    let mut net = network(Plan::default());
    let (client, _server, _) = pair(&mut net, SERVER_V4);
    let now = net.now;
    net.hosts[SERVER].stack.handle_link(now, LinkState::Down);
    net.send(&client, b"anybody?").expect("send");
    assert!(net.run_for(secs(1)));
    assert_eq!(net.hosts[CLIENT].stack.counters().tcp_delivery_problems, 0);
    assert!(net.run_for(secs(10)));
    assert_eq!(net.hosts[CLIENT].stack.counters().tcp_delivery_problems, 1);
    assert_eq!(state(&net, &client), ESTABLISHED);
}

fn linger(net: &mut Network, endpoint: &Endpoint, on: i32, seconds: i32) {
    let value = [on.to_ne_bytes(), seconds.to_ne_bytes()].concat();
    let now = net.now;
    let stack = &mut net.hosts[endpoint.host].stack;
    stack.set_option(now, endpoint.id, SOL_SOCKET, sol::SO_LINGER, &value).expect("SO_LINGER");
}

/// What the peer sees of a close, by what SO_LINGER says, what was left unread, and what was left to send.
#[test]
fn linger_and_what_is_left_decide_how_close_ends() {
    for unread in [false, true] {
        for queued in [false, true] {
            for (on, seconds) in [(0, 0), (0, 9), (1, 9), (1, 0)] {
                let mut net = network(Plan::default());
                let (client, server, _) = pair(&mut net, SERVER_V4);
                if unread {
                    net.send(&server, b"unread").expect("send");
                    net.settle();
                }
                linger(&mut net, &client, on, seconds);
                if queued {
                    net.send(&client, b"queued").expect("send");
                }
                net.close(&client);
                net.settle();
                let reset = unread || (on, seconds) == (1, 0);
                let mut got = net.recv(&server, 99);
                if queued && got == Ok(b"queued".to_vec()) {
                    got = net.recv(&server, 99);
                }
                let expected = if reset { Err(Errno::ECONNRESET) } else { Ok(Vec::new()) };
                assert_eq!(got, expected, "unread {unread}, queued {queued}, linger {on} {seconds}");
            }
        }
    }
}

/// A zero linger time resets whatever state it finds, but where both sides are done.
#[test]
fn a_zero_linger_in_every_state() {
    type Script = fn(&mut Network, &Endpoint, &Endpoint);
    let table: [(&str, Script, bool); 4] = [
        ("ESTABLISHED", |_, _, _| {}, true),
        ("CLOSE-WAIT", |net, _, server| net.shutdown(server, Shutdown::Write).expect("shutdown"), true),
        ("FIN-WAIT-2", |net, client, _| net.shutdown(client, Shutdown::Write).expect("shutdown"), true),
        (
            "TIME-WAIT",
            |net, client, server| {
                net.shutdown(client, Shutdown::Write).expect("shutdown");
                net.settle();
                net.shutdown(server, Shutdown::Write).expect("shutdown");
            },
            false,
        ),
    ];
    for (name, script, resets) in table {
        let mut net = network(Plan::default());
        let (client, server, _) = pair(&mut net, SERVER_V6);
        script(&mut net, &client, &server);
        net.settle();
        linger(&mut net, &client, 1, 0);
        net.close(&client);
        net.settle();
        assert_eq!(net.hosts[CLIENT].stack.counters().tcp_resets_out, u64::from(resets), "{name}");
    }
}

#[test]
fn urgent_data_crosses_the_network_with_its_mark() {
    let mut plan = Plan::default();
    for config in &mut plan.configs {
        let sizes = &mut config.buffers;
        (sizes.receive, sizes.receive_initial, sizes.send, sizes.send_initial) =
            (4 << 20, 4 << 20, 4 << 20, 4 << 20);
    }
    let mut net = invariants::unwatched(network(plan));
    let (client, server, _) = pair(&mut net, SERVER_V4);
    let urgent = |net: &mut Network, bytes: &[u8]| {
        let (_, kick) =
            socket::send_small(&client.cell, bytes, socket::More::No, Urgency::Last, None).expect("send");
        let now = net.now;
        if kick == socket::Kick::Yes {
            net.hosts[CLIENT].stack.handle_kick(now, client.id);
        }
    };
    urgent(&mut net, b"stop!");
    net.settle();
    assert!(net.readiness(&server).any(Readiness::PRI));
    assert_eq!(net.recv(&server, 99), Ok(b"stop".to_vec()));
    assert_eq!(socket::at_mark(&server.cell), Ok(true));
    assert_eq!(net.recv(&server, 99), Ok(b"!".to_vec()));
    assert!(!net.readiness(&server).any(Readiness::PRI));
    // A reader that has closed its window hears of it all the same.
    let mut total = 0;
    for _ in 0..2 {
        total += net.send(&client, &vec![7; 3 << 20]).expect("send");
        assert!(net.run_for(secs(2)));
    }
    urgent(&mut net, b"x");
    assert!(net.run_for(secs(1)));
    assert!(net.readiness(&server).any(Readiness::PRI), "the window is closed, the notice is here");
    let off = 0i32.to_ne_bytes();
    let now = net.now;
    net.hosts[SERVER].stack.set_option(now, server.id, SOL_SOCKET, sol::SO_OOBINLINE, &off).expect("set");
    assert_eq!(socket::recv_urgent(&server.cell, Take::Consume), Err(Errno::EAGAIN), "the byte is not");
    let mut read = 0;
    let outcome = net.run_until(secs(100), |net| {
        read += net.recv(&server, 1 << 20).map_or(0, |bytes| bytes.len());
        socket::at_mark(&server.cell) == Ok(true)
    });
    assert_eq!((outcome, read), (Outcome::Met, total));
    assert!(net.run_for(secs(1)));
    assert_eq!(socket::recv_urgent(&server.cell, Take::Consume), Ok(Some(b'x')));
    // A reader that sleeps before it wakes when it comes in line.
    let asleep = socket::recv(&server.cell, 9, Take::Consume, Some(Waker::noop()));
    assert_eq!(asleep.map(|_| ()), Err(Errno::EAGAIN));
    let (now, on) = (net.now, 1i32.to_ne_bytes());
    net.hosts[SERVER].stack.set_option(now, server.id, SOL_SOCKET, sol::SO_OOBINLINE, &on).expect("set");
    let mut asleep = Vec::new();
    server.cell.lock().take_wakers(Interest::Read, &mut asleep);
    assert!(asleep.is_empty(), "it was woken");
    assert_eq!(net.recv(&server, 9), Ok(b"x".to_vec()));
    net.close(&client);
    net.settle();
    assert_eq!(net.recv(&server, 99), Ok(Vec::new()));
}
