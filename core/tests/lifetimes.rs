//! Connections from connect to the end on virtual time: closing in every manner, and calls that the state does not allow.

mod world;

use usertcp_core::buffer::{Life, SocketId};
use usertcp_core::counters::Drop;
use usertcp_core::error::Errno;
use usertcp_core::link::impair::Impairment;
use usertcp_core::sim::{Endpoint, Network, Outcome};
use usertcp_core::stack::socket::options::{SOL_SOCKET, sol};
use usertcp_core::stack::socket::{self, Readiness};
use usertcp_core::stack::{Domain, Shutdown};
use usertcp_core::time::Duration;
use world::*;

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

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.6
//= type=test
//# the local application MUST be informed whether it closed normally or was aborted (MUST-12).
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

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1
//= type=test
//# A host MAY implement a "half-duplex" TCP close sequence, so that an application that has called CLOSE cannot continue to read data from the connection (MAY-1).
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

    let again = net.connect(CLIENT, address("192.0.2.2:81")).expect("connect");
    net.settle();
    let (now, target) = (net.now, address(SERVER_V4));
    let stack = &mut net.hosts[CLIENT].stack;
    assert_eq!(stack.connect(now, again.id, target), Err(Errno::ECONNREFUSED), "told before another attempt");
    assert_eq!(stack.connect(now, again.id, target), Ok(()));

    let nobody = net.connect(CLIENT, address("192.0.2.200:80")).expect("connect");
    let outcome = net.run_until(secs(300), |_| nobody.cell.lock().life == Life::Ended);
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
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.1
    //= type=test
    //# A TCP implementation MUST reject as an error a local OPEN call for an invalid remote IP address (e.g., a broadcast or multicast address) (MUST-46).
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
fn closing_with_unread_data_does_not_cut_time_wait_short() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    net.shutdown(&client, Shutdown::Write).expect("shutdown");
    net.settle();
    net.send(&server, b"last words").expect("send");
    net.close(&server);
    net.settle();
    net.close(&client);
    net.settle();
    assert_eq!(net.hosts[CLIENT].stack.sockets(), 1, "in TIME-WAIT, whatever the program left unread");
    assert!(net.run_for(secs(61)));
    assert_eq!(net.hosts[CLIENT].stack.sockets(), 0);
}
