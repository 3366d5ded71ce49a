//! Why connections end, each reason on virtual time: what is known of it, the error that belongs to it, and the sentence.

mod world;

use usertcp_core::error::{EndReason, Errno, Timeout, Unreachable};
use usertcp_core::ip::{self, Fault};
use usertcp_core::sim::{Endpoint, Network};
use usertcp_core::stack::socket::options::{IPPROTO_TCP, SOL_SOCKET, sol, tcp};
use usertcp_core::stack::socket::{self, Kick, More, Take, Urgency};
use usertcp_core::stack::{LinkState, Shutdown};
use usertcp_core::time::Duration;
use usertcp_core::trace::{Level, Log};
use world::*;

fn reason(end: &Endpoint) -> Option<EndReason> {
    end.cell.lock().end
}

fn timed_out(end: &Endpoint) -> Option<Timeout> {
    match reason(end)? {
        EndReason::TimedOut { timer, network: None } => Some(timer),
        other => panic!("{other:?}"),
    }
}

fn set(net: &mut Network, end: &Endpoint, level: i32, name: i32, number: i32) {
    let now = net.now;
    let set = net.hosts[end.host].stack.set_option(now, end.id, level, name, &number.to_ne_bytes());
    assert_eq!(set, Ok(()));
}

/// From now on nothing comes from the server.
fn silence(net: &mut Network) {
    let now = net.now;
    net.hosts[SERVER].stack.handle_link(now, LinkState::Gone);
}

#[test]
fn finished_by_both_sides() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    assert_eq!((reason(&client), reason(&server)), (None, None));
    net.shutdown(&client, Shutdown::Write).expect("shutdown");
    net.settle();
    assert_eq!((reason(&client), reason(&server)), (None, None), "one half goes on");
    net.close(&server);
    net.settle();
    // Known to whoever keeps the cell, closed or not, in TIME-WAIT or not.
    assert_eq!((reason(&client), reason(&server)), (Some(EndReason::Finished), Some(EndReason::Finished)));
    assert_eq!(reason(&client).and_then(|reason| reason.errno()), None);
}

#[test]
fn reset_with_the_number_of_the_rst() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V6);
    net.send(&server, b"123456789").expect("send");
    net.settle();
    let now = net.now;
    net.hosts[SERVER].stack.abort(now, server.id).expect("abort");
    net.settle();
    assert_eq!(reason(&server), Some(EndReason::Aborted));
    let Some(EndReason::Reset { seq, errno: Errno::ECONNRESET }) = reason(&client) else { panic!() };
    let sentence = format!("connection reset by peer: RST with sequence number {seq}");
    assert_eq!(reason(&client).map(|reason| reason.to_string()), Some(sentence));
    assert_eq!(net.recv(&client, 100), Ok(b"123456789".to_vec()));
    assert_eq!(net.recv(&client, 100), Err(Errno::ECONNRESET));
    assert_eq!(net.recv(&client, 100), Ok(Vec::new()));
    assert!(matches!(reason(&client), Some(EndReason::Reset { .. })), "it stays");
}

#[test]
fn the_log_has_the_reason() {
    let mut net = network(Plan::default());
    *net.hosts[CLIENT].stack.log() = Log::new(Some(Level::Info));
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    let now = net.now;
    net.hosts[SERVER].stack.abort(now, server.id).expect("abort");
    net.settle();
    let sentence = reason(&client).expect("an end").to_string();
    let (records, _) = net.hosts[CLIENT].stack.log().drain();
    assert!(records.iter().any(|record| record.text.ends_with(&sentence)), "{sentence}: {records:?}");
}

#[test]
fn reset_behind_the_peers_fin_is_a_broken_pipe() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    net.close(&server);
    net.settle();
    net.send(&client, b"for nobody").expect("send");
    net.settle();
    assert!(matches!(reason(&client), Some(EndReason::Reset { errno: Errno::EPIPE, .. })));
    assert_eq!(reason(&server), Some(EndReason::Unread));
}

#[test]
fn refused() {
    let mut net = network(Plan::default());
    let client = net.connect(CLIENT, address("192.0.2.2:9")).expect("connect");
    net.settle();
    assert_eq!(reason(&client), Some(EndReason::Reset { seq: 0, errno: Errno::ECONNREFUSED }));
    let sentence = reason(&client).map(|reason| reason.to_string());
    assert_eq!(sentence.as_deref(), Some("connection refused by peer: RST with sequence number 0"));
}

#[test]
fn another_attempt_forgets_the_end_of_the_first() {
    let mut net = network(Plan::default());
    let client = net.connect(CLIENT, address("192.0.2.2:9")).expect("connect");
    net.settle();
    let _listener = net.listen(SERVER, address("192.0.2.2:10"), 1).expect("listen");
    let now = net.now;
    let stack = &mut net.hosts[CLIENT].stack;
    assert_eq!(
        stack.connect(now, client.id, address("192.0.2.2:10")),
        Err(Errno::ECONNREFUSED),
        "told first"
    );
    stack.connect(now, client.id, address("192.0.2.2:10")).expect("connect");
    net.settle();
    assert_eq!(reason(&client), None);
}

#[test]
fn no_answer_to_the_syn() {
    let mut net = network(Plan::default());
    let client = net.connect(CLIENT, address("192.0.2.77:80")).expect("connect");
    assert!(net.run_for(secs(246)));
    assert_eq!(reason(&client), None);
    assert!(net.run_for(secs(2)));
    assert_eq!(timed_out(&client), Some(Timeout::Handshake));
    assert_eq!(net.send(&client, b"x"), Err(Errno::ETIMEDOUT));
}

#[test]
fn no_acknowledgement() {
    let mut plan = Plan::default();
    plan.configs[CLIENT].tcp.data_retries = 3;
    let mut net = network(plan);
    let (client, _server, _listener) = pair(&mut net, SERVER_V4);
    silence(&mut net);
    net.send(&client, b"anybody?").expect("send");
    assert!(net.run_for(secs(60)));
    assert_eq!(timed_out(&client), Some(Timeout::Retransmission));
    assert_eq!(net.recv(&client, 1), Err(Errno::ETIMEDOUT));
}

#[test]
fn no_answer_to_probes_of_a_closed_window() {
    let mut plan = Plan::default();
    plan.configs[CLIENT].tcp.data_retries = 3;
    plan.configs[SERVER].buffers.receive = 4096;
    let mut net = network(plan);
    let (client, _server, _listener) = pair(&mut net, SERVER_V4);
    net.send(&client, &[0; 10_000]).expect("send");
    assert!(net.run_for(secs(5)));
    silence(&mut net);
    assert!(net.run_for(secs(300)));
    assert_eq!(timed_out(&client), Some(Timeout::Probe));
}

#[test]
fn the_user_timeout() {
    let mut net = network(Plan::default());
    let (client, _server, _listener) = pair(&mut net, SERVER_V4);
    set(&mut net, &client, IPPROTO_TCP, tcp::TCP_USER_TIMEOUT, 2500);
    silence(&mut net);
    net.send(&client, b"anybody?").expect("send");
    assert!(net.run_for(Duration::from_millis(2499)));
    assert_eq!(reason(&client), None);
    assert!(net.run_for(Duration::from_millis(2)));
    assert_eq!(timed_out(&client), Some(Timeout::User));
    let sentence = reason(&client).map(|reason| reason.to_string());
    assert_eq!(sentence.as_deref(), Some("connection timed out: no progress within the user timeout"));
}

#[test]
fn keep_alive() {
    let mut net = network(Plan::default());
    let (client, _server, _listener) = pair(&mut net, SERVER_V4);
    for (level, name, number) in [
        (SOL_SOCKET, sol::SO_KEEPALIVE, 1),
        (IPPROTO_TCP, tcp::TCP_KEEPIDLE, 10),
        (IPPROTO_TCP, tcp::TCP_KEEPINTVL, 2),
        (IPPROTO_TCP, tcp::TCP_KEEPCNT, 3),
    ] {
        set(&mut net, &client, level, name, number);
    }
    silence(&mut net);
    assert!(net.run_for(Duration::from_millis(15_900)));
    assert_eq!(reason(&client), None);
    assert!(net.run_for(Duration::from_millis(200)));
    assert_eq!(timed_out(&client), Some(Timeout::KeepAlive));
}

#[test]
fn the_peer_never_finishes() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    net.close(&client);
    net.settle();
    assert!(net.run_for(secs(61)));
    assert_eq!(timed_out(&client), Some(Timeout::FinWait2));
    assert_eq!(reason(&server), None);
}

/// An ICMP error about the last packet that a host has sent: a router says that there is no way.
fn no_way(net: &mut Network, host: usize) -> Unreachable {
    let now = net.now;
    let stack = &mut net.hosts[host].stack;
    let sent = stack.poll_transmit(now).expect("a packet");
    let bytes = ip::to_frame(&sent).bytes;
    let router =
        if bytes[0] >> 4 == 6 { "2001:db8:9::9" } else { "203.0.113.9" }.parse().expect("an address");
    let (_, message) = ip::fault_about(&bytes, Fault::PortUnreachable, Some(router), 64).expect("a message");
    let (kind, code) = if router.is_ipv4() { (3, 3) } else { (1, 4) };
    stack.handle_frame(now, ip::to_frame(&message));
    Unreachable { errno: Errno::ECONNREFUSED, kind, code, from: router }
}

#[test]
fn the_network_returns_the_syn() {
    for target in ["192.0.2.77:80", "[2001:db8::77]:80"] {
        let mut net = network(Plan::default());
        let client = net.connect(CLIENT, address(target)).expect("connect");
        let told = no_way(&mut net, CLIENT);
        net.settle();
        assert_eq!(reason(&client), Some(EndReason::Unreachable(told)));
        let sentence = reason(&client).expect("an end").to_string();
        let ending = format!("type {}, code {}, from {}", told.kind, told.code, told.from);
        assert!(
            sentence.starts_with("Connection refused: ICMP") && sentence.ends_with(&ending),
            "{sentence}"
        );
        assert_eq!(net.send(&client, b"x"), Err(Errno::ECONNREFUSED));
    }
}

#[test]
fn what_the_network_said_is_why_nothing_was_acknowledged() {
    let mut plan = Plan::default();
    plan.configs[CLIENT].tcp.data_retries = 3;
    let mut net = network(plan);
    let (client, _server, _listener) = pair(&mut net, SERVER_V4);
    silence(&mut net);
    net.send(&client, b"anybody?").expect("send");
    let now = net.now;
    net.hosts[CLIENT].stack.handle_kick(now, client.id);
    let told = no_way(&mut net, CLIENT);
    assert!(net.run_for(secs(60)));
    let timer = Timeout::Retransmission;
    assert_eq!(reason(&client), Some(EndReason::TimedOut { timer, network: Some(told) }));
    assert_eq!(net.recv(&client, 1), Err(Errno::ECONNREFUSED));
}

#[test]
fn what_the_program_did_itself() {
    let linger = [1i32.to_ne_bytes(), 0i32.to_ne_bytes()].concat();
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    let now = net.now;
    let stack = &mut net.hosts[CLIENT].stack;
    stack.set_option(now, client.id, SOL_SOCKET, sol::SO_LINGER, &linger).expect("set");
    net.close(&client);
    net.settle();
    assert_eq!(reason(&client), Some(EndReason::Aborted));
    assert!(matches!(reason(&server), Some(EndReason::Reset { .. })));

    let (client, server, _listener) = {
        let listener = net.listen(SERVER, address("192.0.2.2:81"), 1).expect("listen");
        let client = net.connect(CLIENT, address("192.0.2.2:81")).expect("connect");
        net.settle();
        let server = net.accept(&listener).expect("accept");
        (client, server, listener)
    };
    net.send(&client, b"never read").expect("send");
    net.settle();
    net.close(&server);
    net.settle();
    assert_eq!(reason(&server), Some(EndReason::Unread));

    let client = net.connect(CLIENT, address("192.0.2.77:80")).expect("connect");
    net.shutdown(&client, Shutdown::Both).expect("shutdown");
    assert_eq!(reason(&client), Some(EndReason::Aborted), "a connect that was given up");
}

#[test]
fn what_was_sent_before_a_close_with_bytes_unread_goes_before_the_reset() {
    for length in [7, 50_000] {
        let mut net = network(Plan::default());
        let (client, server, _listener) = pair(&mut net, SERVER_V4);
        net.send(&client, b"never read").expect("send");
        net.settle();
        let sent = vec![7; length];
        net.send(&server, &sent).expect("send");
        net.close(&server);
        net.settle();
        assert_eq!(reason(&server), Some(EndReason::Unread));
        let mut received = Vec::new();
        while let Ok(bytes) = net.recv(&client, 100_000) {
            if bytes.is_empty() {
                break;
            }
            received.extend(bytes);
        }
        // As much as the first window takes; the rest is the price of closing without reading.
        let window = received.len().min(length);
        assert!(window == length || window >= 10_000, "{window} of {length}");
        assert_eq!(received, sent[..window]);
        assert!(matches!(reason(&client), Some(EndReason::Reset { .. })));
    }
}

#[test]
fn the_link_goes_and_the_stack_closes() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    silence(&mut net);
    assert_eq!(reason(&server), Some(EndReason::LinkGone));
    assert_eq!(net.recv(&server, 1), Err(Errno::ENETDOWN));
    let now = net.now;
    net.hosts[CLIENT].stack.abort_all(now);
    assert_eq!(reason(&client), Some(EndReason::StackClosed));
}

#[test]
fn an_urgent_byte_out_of_band_is_not_left_unread() {
    for taken in [true, false] {
        let mut net = invariants::unwatched(network(Plan::default()));
        let (client, server, _listener) = pair(&mut net, SERVER_V4);
        set(&mut net, &server, SOL_SOCKET, sol::SO_OOBINLINE, 0);
        let (_, kick) =
            socket::send_small(&client.cell, b"abc!", More::No, Urgency::Last, None).expect("send");
        assert_eq!(kick, Kick::Yes);
        let now = net.now;
        net.hosts[CLIENT].stack.handle_kick(now, client.id);
        net.shutdown(&client, Shutdown::Write).expect("shutdown");
        net.settle();
        assert_eq!(net.recv(&server, 9), Ok(b"abc".to_vec()));
        if taken {
            assert_eq!(socket::recv_urgent(&server.cell, Take::Consume), Ok(Some(b'!')));
        }
        assert_eq!(net.recv(&server, 9), Ok(Vec::new()), "the end of the stream");
        net.send(&server, b"answer").expect("send");
        net.close(&server);
        net.settle();
        assert_eq!(net.recv(&client, 9), Ok(b"answer".to_vec()));
        assert_eq!(
            (reason(&client), reason(&server)),
            (Some(EndReason::Finished), Some(EndReason::Finished))
        );
    }
}
