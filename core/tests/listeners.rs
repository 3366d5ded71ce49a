//! Listeners on virtual time: bursts, full queues, backlogs, inheritance, and what closing one does.

mod world;

use usertcp_core::counters::Drop;
use usertcp_core::error::Errno;
use usertcp_core::sim::{Endpoint, Network, Outcome};
use usertcp_core::stack::Domain;
use usertcp_core::stack::socket::options::{IPPROTO_TCP, SOL_SOCKET, sol, tcp};
use usertcp_core::stack::socket::{self, Readiness};
use usertcp_core::time::Duration;
use world::*;

fn connect(net: &mut Network, count: usize) -> Vec<Endpoint> {
    (0..count).map(|_| net.connect(CLIENT, address(SERVER_V4)).expect("connect")).collect()
}

fn accept_all(net: &mut Network, listener: &Endpoint) -> Vec<Endpoint> {
    std::iter::from_fn(|| net.accept(listener).ok()).collect()
}

fn connected(net: &Network, endpoint: &Endpoint) -> bool {
    net.readiness(endpoint).any(Readiness::OUT) && !net.readiness(endpoint).any(Readiness::ERR)
}

#[test]
fn a_burst_of_syns_within_the_backlog_is_never_reset() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 128).expect("listen");
    let clients = connect(&mut net, 128);
    assert!(net.run_for(Duration::from_millis(500)));
    assert!(clients.iter().all(|client| connected(&net, client)));
    assert_eq!(accept_all(&mut net, &listener).len(), 128);
    let counters = net.hosts[SERVER].stack.counters();
    assert_eq!((counters.tcp_resets_out, counters.dropped(Drop::TcpAcceptQueue)), (0, 0));
}

#[test]
fn a_backlog_of_n_lets_n_and_one_wait() {
    for backlog in [0, 1, 5] {
        let mut net = network(Plan::default());
        let listener = net.listen(SERVER, address(SERVER_V4), backlog).expect("listen");
        let _clients = connect(&mut net, 20);
        assert!(net.run_for(Duration::from_millis(500)));
        assert_eq!(accept_all(&mut net, &listener).len(), backlog as usize + 1, "backlog {backlog}");
    }
}

#[test]
fn connections_beyond_the_backlog_come_when_there_is_room() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 3).expect("listen");
    let clients = connect(&mut net, 12);
    let mut accepted = Vec::new();
    assert!(net.run_for(Duration::from_millis(100)));
    assert!(net.hosts[SERVER].stack.counters().dropped(Drop::TcpAcceptQueue) > 0);
    assert_eq!(net.hosts[SERVER].stack.counters().tcp_resets_out, 0);
    let outcome = net.run_until(secs(200), |net| {
        accepted.extend(accept_all(net, &listener));
        accepted.len() == clients.len()
    });
    assert_eq!(outcome, Outcome::Met, "{} came", accepted.len());
    assert!(clients.iter().all(|client| connected(&net, client)));
}

#[test]
fn a_held_final_ack_completes_as_soon_as_there_is_room() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 0).expect("listen");
    let _clients = connect(&mut net, 2);
    let start = net.now;
    assert_eq!(net.settle(), usertcp_core::sim::Settled::Moved);
    assert_eq!(net.hosts[SERVER].stack.counters().dropped(Drop::TcpAcceptQueue), 1);
    assert!(net.accept(&listener).is_ok());
    net.settle();
    assert!(net.accept(&listener).is_ok(), "without waiting for a retransmission");
    assert_eq!(net.now, start);
}

#[test]
fn a_full_syn_queue_drops_by_name() {
    let mut plan = Plan::default();
    plan.configs[SERVER].tcp.syn_queue_extra = 4;
    plan.configs[SERVER].tcp.syn_cookies = usertcp_core::config::SynCookies::Off;
    // The client's SYN/ACKs go nowhere: its address is not the one the SYNs come from.
    let mut net = network(plan);
    let _listener = net.listen(SERVER, address(SERVER_V4), 2).expect("listen");
    let now = net.now;
    for port in 1..=20u16 {
        let frame = syn("192.0.2.77", port);
        net.hosts[SERVER].stack.handle_frame(now, frame);
    }
    assert_eq!(net.hosts[SERVER].stack.counters().dropped(Drop::TcpSynQueue), 20 - 7);
    assert!(net.run_for(secs(300)));
    assert_eq!(net.hosts[SERVER].stack.sockets(), 1, "half-open connections have timed out");
    assert_eq!(net.hosts[SERVER].stack.live_connections(), 0);
}

/// A SYN to the server from an address that nobody answers at.
fn syn(source: &str, port: u16) -> usertcp_core::link::Frame {
    segment(source, port, 1, None)
}

/// An ACK, or a SYN.
fn segment(source: &str, port: u16, seq: u32, ack: Option<u32>) -> usertcp_core::link::Frame {
    use usertcp_core::ip::{Envelope, Payload, tcp_transmit, to_frame};
    use usertcp_core::link::Capabilities;
    use usertcp_core::wire::tcp::{Flags, TcpHeader};
    let envelope = Envelope::new(source.parse().expect("an address"), address(SERVER_V4).ip());
    let header = TcpHeader {
        source: port,
        destination: 80,
        seq,
        ack: ack.unwrap_or(0),
        flags: if ack.is_some() { Flags::ACK } else { Flags::SYN },
        window: 1000,
        ..TcpHeader::default()
    };
    to_frame(&tcp_transmit(&envelope, &header, Payload::new(), 0, &Capabilities::plain(1500)))
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# If the connection was initiated with a passive OPEN, then return this connection to the LISTEN state and return. (SM-9)
#[test]
fn a_syn_in_the_window_takes_a_half_open_connection_back_to_its_listener() {
    let mut net = network(Plan::default());
    let _listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let (now, stack) = (net.now, &mut net.hosts[SERVER].stack);
    let mut sent = |seq| {
        stack.handle_frame(now, segment("192.0.2.77", 9, seq, None));
        (std::iter::from_fn(|| stack.poll_transmit(now)).count(), stack.sockets())
    };
    assert_eq!(sent(1), (1, 2), "a SYN/ACK, and one in the SYN queue");
    assert_eq!(sent(11), (0, 1), "the listener alone");
    assert_eq!(sent(11), (1, 2), "and what comes then is as new");
}

#[test]
fn closing_a_listener_resets_what_is_in_its_queues_and_not_what_was_accepted() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 10).expect("listen");
    let clients = connect(&mut net, 5);
    net.settle();
    let kept = net.accept(&listener).expect("accept");
    let now = net.now;
    net.hosts[SERVER].stack.handle_frame(now, syn("192.0.2.77", 9));
    net.close(&listener);
    assert!(net.run_for(secs(1)));
    let resets = clients.iter().filter(|client| net.recv(client, 1) == Err(Errno::ECONNRESET)).count();
    assert_eq!(resets, 4);
    assert_eq!(net.hosts[SERVER].stack.live_connections(), 1);
    assert_eq!(net.hosts[SERVER].stack.sockets(), 1);
    assert!(connected(&net, &kept));
    let refused = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    assert_eq!(net.recv(&refused, 1), Err(Errno::ECONNREFUSED));
    assert_eq!(net.recv(&refused, 1), Ok(Vec::new()), "the error is told once");
}

#[test]
fn accepted_connections_inherit_options() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 10).expect("listen");
    let set = [
        (IPPROTO_TCP, tcp::TCP_NODELAY, 1i32),
        (SOL_SOCKET, sol::SO_KEEPALIVE, 1),
        (SOL_SOCKET, sol::SO_RCVBUF, 12_345),
        (SOL_SOCKET, sol::SO_SNDBUF, 23_456),
        (SOL_SOCKET, sol::SO_RCVLOWAT, 9),
        (IPPROTO_TCP, tcp::TCP_KEEPIDLE, 77),
        (IPPROTO_TCP, tcp::TCP_KEEPINTVL, 78),
        (IPPROTO_TCP, tcp::TCP_KEEPCNT, 9),
        (IPPROTO_TCP, tcp::TCP_CORK, 1),
        (IPPROTO_TCP, tcp::TCP_QUICKACK, 0),
        (IPPROTO_TCP, tcp::TCP_USER_TIMEOUT, 9000),
        (IPPROTO_TCP, tcp::TCP_LINGER2, 11),
        (IPPROTO_TCP, tcp::TCP_SYNCNT, 2),
        (IPPROTO_TCP, tcp::TCP_WINDOW_CLAMP, 11_000),
        (IPPROTO_TCP, tcp::TCP_NOTSENT_LOWAT, 7000),
    ];
    let now = net.now;
    for (level, name, value) in set {
        let stack = &mut net.hosts[SERVER].stack;
        stack.set_option(now, listener.id, level, name, &value.to_ne_bytes()).expect("set");
    }
    let client = connect(&mut net, 1).remove(0);
    net.settle();
    let server = net.accept(&listener).expect("accept");
    for (level, name, value) in set {
        let stack = &mut net.hosts[SERVER].stack;
        assert_eq!(stack.option(server.id, level, name), Ok(value.to_ne_bytes().to_vec()), "{level} {name}");
    }
    let stack = &net.hosts[SERVER].stack;
    let peer = net.hosts[CLIENT].stack.local_address(client.id).expect("name");
    assert_eq!(stack.local_address(server.id), Ok(address(SERVER_V4)));
    assert_eq!(stack.peer_address(server.id), Ok(peer));
    assert_eq!(server.cell.lock().marks.send, 23_456);
}

#[test]
fn a_wildcard_listener_serves_every_address_and_an_exact_one_goes_before_it() {
    let mut plan = Plan::default();
    plan.configs[SERVER].addresses.push("192.0.2.9/24".parse().expect("a prefix"));
    let mut net = network(plan);
    let any = net.listen(SERVER, address("0.0.0.0:81"), 5).expect("wildcard");
    for target in ["192.0.2.2:81", "192.0.2.9:81"] {
        let client = net.connect(CLIENT, address(target)).expect("connect");
        net.settle();
        let server = net.accept(&any).expect("accept");
        assert_eq!(net.hosts[SERVER].stack.local_address(server.id), Ok(address(target)));
        assert!(connected(&net, &client));
    }
    let conflict = net.listen(SERVER, address("192.0.2.9:81"), 5);
    assert_eq!(conflict.map(|_| ()), Err(Errno::EADDRINUSE));
}

#[test]
fn shutting_a_listener_down_ends_its_listening() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    net.shutdown(&listener, usertcp_core::stack::Shutdown::Read).expect("shutdown");
    assert_eq!(net.accept(&listener).map(|_| ()), Err(Errno::EINVAL));
    let now = net.now;
    net.hosts[SERVER].stack.listen(now, listener.id, 5).expect("listen again");
    let _client = connect(&mut net, 1);
    net.settle();
    assert!(net.accept(&listener).is_ok());
}

#[test]
fn a_thousand_connections_at_once() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V6), 2000).expect("listen");
    let clients: Vec<Endpoint> =
        (0..1000).map(|_| net.connect(CLIENT, address(SERVER_V6)).expect("connect")).collect();
    net.settle();
    let servers = accept_all(&mut net, &listener);
    assert_eq!(servers.len(), 1000);
    for (n, client) in clients.iter().enumerate() {
        net.send(client, format!("hello {n}").as_bytes()).expect("send");
    }
    net.settle();
    let mut seen = std::collections::BTreeSet::new();
    for server in &servers {
        let bytes = net.recv(server, 100).expect("recv");
        net.send(server, &bytes).expect("echo");
        seen.insert(bytes);
    }
    assert_eq!(seen.len(), 1000);
    net.settle();
    for (n, client) in clients.iter().enumerate() {
        assert_eq!(net.recv(client, 100), Ok(format!("hello {n}").into_bytes()));
        net.close(client);
    }
    net.settle();
    for server in &servers {
        assert_eq!(net.recv(server, 100), Ok(Vec::new()));
        net.close(server);
    }
    net.settle();
    assert_eq!(net.hosts[CLIENT].stack.live_connections(), 0);
    assert_eq!(net.hosts[CLIENT].stack.sockets(), 1000, "in TIME-WAIT");
    assert!(net.run_for(secs(61)));
    assert_eq!(net.hosts[CLIENT].stack.sockets(), 0);
    assert_eq!(net.hosts[SERVER].stack.sockets(), 1);
}

#[test]
fn a_connection_that_is_reset_in_the_accept_queue_is_accepted_and_tells() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let client = connect(&mut net, 1).remove(0);
    net.settle();
    net.send(&client, b"bye").expect("send");
    net.settle();
    let now = net.now;
    net.hosts[CLIENT].stack.abort(now, client.id).expect("abort");
    net.settle();
    let server = net.accept(&listener).expect("accept");
    assert_eq!(net.recv(&server, 10), Ok(b"bye".to_vec()));
    assert_eq!(net.recv(&server, 10), Err(Errno::ECONNRESET));
    assert_eq!(net.recv(&server, 10), Ok(Vec::new()));
    assert_eq!(net.send(&server, b"x"), Err(Errno::EPIPE));
}

#[test]
fn too_many_sockets_are_refused_to_programs_and_peers() {
    let mut plan = Plan::default();
    plan.configs[SERVER].max_sockets = 3;
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 50).expect("listen");
    let _clients = connect(&mut net, 5);
    net.settle();
    assert!(net.hosts[SERVER].stack.counters().dropped(Drop::Sockets) >= 3);
    assert_eq!(net.socket(SERVER, Domain::V4).map(|_| ()), Err(Errno::EMFILE));
    let one = net.accept(&listener).expect("accept");
    net.close(&one);
    net.settle();
    assert!(net.socket(SERVER, Domain::V4).is_ok());
}

/// Listeners of one address that all have SO_REUSEPORT.
fn sharing(net: &mut Network, count: usize) -> Vec<Endpoint> {
    let now = net.now;
    (0..count)
        .map(|_| {
            let endpoint = net.socket(SERVER, Domain::V4).expect("socket");
            let stack = &mut net.hosts[SERVER].stack;
            let on = 1i32.to_ne_bytes();
            stack.set_option(now, endpoint.id, SOL_SOCKET, sol::SO_REUSEPORT, &on).expect("set");
            stack.bind(endpoint.id, address(SERVER_V4)).expect("bind");
            stack.listen(now, endpoint.id, 500).expect("listen");
            endpoint
        })
        .collect()
}

#[test]
fn listeners_of_one_port_share_the_connections() {
    let mut net = network(Plan::default());
    let listeners = sharing(&mut net, 4);
    let clients = connect(&mut net, 400);
    net.settle();
    let shares: Vec<usize> = listeners.iter().map(|listener| accept_all(&mut net, listener).len()).collect();
    assert_eq!(shares.iter().sum::<usize>(), 400);
    assert!(shares.iter().all(|share| (50..150).contains(share)), "{shares:?}");
    assert!(clients.iter().all(|client| connected(&net, client)));
}

#[test]
fn a_listener_that_closes_resets_its_share_only() {
    let mut net = network(Plan::default());
    let listeners = sharing(&mut net, 2);
    let clients = connect(&mut net, 40);
    net.settle();
    net.close(&listeners[0]);
    net.settle();
    let kept = accept_all(&mut net, &listeners[1]).len();
    let reset = clients.iter().filter(|client| net.recv(client, 1) == Err(Errno::ECONNRESET)).count();
    assert_eq!(kept + reset, 40);
    assert!(kept > 0 && reset > 0, "{kept} kept, {reset} reset");
    let _more = connect(&mut net, 20);
    net.settle();
    assert_eq!(accept_all(&mut net, &listeners[1]).len(), 20, "who is left gets everything");
    net.close(&listeners[1]);
    let refused = connect(&mut net, 1).remove(0);
    net.settle();
    assert_eq!(net.recv(&refused, 1), Err(Errno::ECONNREFUSED));
}

/// The program's close returns before the stack hears of it.
#[test]
fn from_the_close_on_nobody_connects() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 8).expect("listen");
    assert!(socket::close(&listener.cell, &mut Vec::new()));
    let client = connect(&mut net, 1).remove(0);
    net.settle();
    assert_eq!(net.recv(&client, 1), Err(Errno::ECONNREFUSED));
    assert_eq!(net.hosts[SERVER].stack.counters().dropped(Drop::TcpNoSocket), 1);
}

#[test]
fn all_who_share_a_port_must_say_so() {
    let mut net = network(Plan::default());
    let listeners = sharing(&mut net, 1);
    assert_eq!(net.listen(SERVER, address(SERVER_V4), 5).map(|_| ()), Err(Errno::EADDRINUSE));
    let now = net.now;
    // What the holder takes back counts from then on.
    let stack = &mut net.hosts[SERVER].stack;
    stack.set_option(now, listeners[0].id, SOL_SOCKET, sol::SO_REUSEPORT, &0i32.to_ne_bytes()).expect("set");
    let late = net.socket(SERVER, Domain::V4).expect("socket");
    let stack = &mut net.hosts[SERVER].stack;
    stack.set_option(now, late.id, SOL_SOCKET, sol::SO_REUSEPORT, &1i32.to_ne_bytes()).expect("set");
    assert_eq!(stack.bind(late.id, address(SERVER_V4)), Err(Errno::EADDRINUSE));
}

#[test]
fn a_full_accept_queue_may_reset_what_completes() {
    let mut plan = Plan::default();
    plan.configs[SERVER].tcp.abort_on_overflow = true;
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 0).expect("listen");
    let clients = connect(&mut net, 3);
    net.settle();
    let reset = clients.iter().filter(|client| net.recv(client, 1) == Err(Errno::ECONNRESET)).count();
    assert_eq!((reset, accept_all(&mut net, &listener).len()), (2, 1));
    let counters = net.hosts[SERVER].stack.counters();
    assert_eq!((counters.tcp_resets_out, counters.dropped(Drop::TcpAcceptQueue)), (2, 2));
}

#[test]
fn listen_again_changes_the_backlog_both_ways() {
    let mut plan = Plan::default();
    plan.configs[SERVER].tcp.backlog_max = 6;
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 1).expect("listen");
    let limit = |net: &Network| {
        let info = net.hosts[SERVER].stack.tcp_info(net.now, listener.id).expect("figures");
        (info.unacked, info.sacked)
    };
    let _clients = connect(&mut net, 5);
    net.settle();
    assert_eq!(limit(&net), (2, 1));
    let now = net.now;
    net.hosts[SERVER].stack.listen(now, listener.id, 3).expect("listen");
    net.settle();
    assert_eq!(limit(&net), (4, 3), "who was held back comes at once");
    net.hosts[SERVER].stack.listen(now, listener.id, 0).expect("listen");
    net.settle();
    assert_eq!(limit(&net), (4, 0), "who is in stays in");
    assert_eq!(accept_all(&mut net, &listener).len(), 4, "and the last is still held");
    net.settle();
    assert_eq!(accept_all(&mut net, &listener).len(), 1);
    net.hosts[SERVER].stack.listen(now, listener.id, u32::MAX).expect("listen");
    assert_eq!(limit(&net).1, 6, "no more than the stack allows");
}

#[test]
fn a_listener_that_closes_under_load_resets_everybody() {
    use usertcp_core::config::SynCookies;
    [SynCookies::Off, SynCookies::WhenFull, SynCookies::Always].into_iter().for_each(closes_under_load);
}

fn closes_under_load(cookies: usertcp_core::config::SynCookies) {
    let mut plan = Plan::default();
    plan.configs[SERVER].tcp.syn_queue_extra = 3;
    plan.configs[SERVER].tcp.syn_cookies = cookies;
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 4).expect("listen");
    let clients = connect(&mut net, 30);
    net.settle();
    net.close(&listener);
    // Of whom nothing was kept, nothing is known until it says something.
    for client in &clients {
        let _ = net.send(client, b"x");
    }
    let outcome = net.run_until(secs(200), |net| {
        clients.iter().all(|client| net.readiness(client).any(Readiness::ERR | Readiness::HUP))
    });
    assert_eq!(outcome, Outcome::Met);
    assert!(net.run_for(secs(200)));
    let stack = &net.hosts[SERVER].stack;
    assert_eq!((stack.sockets(), stack.live_connections()), (0, 0));
}

#[test]
fn a_held_ack_that_is_not_the_right_one_is_no_ack() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 0).expect("listen");
    let now = net.now;
    net.hosts[SERVER].stack.handle_frame(now, syn("192.0.2.77", 9));
    assert!(net.hosts[SERVER].stack.poll_transmit(now).is_some());
    let _clients = connect(&mut net, 1);
    net.settle();
    // The queue is full; what acknowledges another number is answered as always.
    let stack = &mut net.hosts[SERVER].stack;
    stack.handle_frame(now, segment("192.0.2.77", 9, 2, Some(4711)));
    assert_eq!(stack.counters().dropped(Drop::TcpAcceptQueue), 0);
    assert_eq!(stack.counters().dropped(Drop::TcpAckUnsent), 1);
    assert_eq!(accept_all(&mut net, &listener).len(), 1);
}
