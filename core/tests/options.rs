//! Options under the kernel's numbers, as programs notice them, on virtual time.

mod world;

use usertcp_core::error::Errno;
use usertcp_core::ip::{self, Fault};
use usertcp_core::sim::{Endpoint, Network, Outcome};
use usertcp_core::stack::Domain;
use usertcp_core::stack::socket::options::{IPPROTO_TCP, SOL_SOCKET, sol, tcp};
use usertcp_core::stack::socket::{More, Readiness};
use usertcp_core::time::Duration;
use world::*;

fn set(net: &mut Network, end: &Endpoint, level: i32, name: i32, number: i32) -> Result<(), Errno> {
    let now = net.now;
    net.hosts[end.host].stack.set_option(now, end.id, level, name, &number.to_ne_bytes())
}

fn value(net: &mut Network, end: &Endpoint, level: i32, name: i32) -> i32 {
    let bytes = net.hosts[end.host].stack.option(end.id, level, name).expect("an option");
    i32::from_ne_bytes(bytes.try_into().expect("a number"))
}

fn readable(net: &Network, end: &Endpoint) -> bool {
    net.readiness(end).any(Readiness::IN)
}

fn writable(net: &Network, end: &Endpoint) -> bool {
    net.readiness(end).any(Readiness::OUT)
}

#[test]
fn a_cork_gathers_what_small_writes_bring() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    set(&mut net, &client, IPPROTO_TCP, tcp::TCP_CORK, 1).expect("set");
    net.send(&client, b"head").expect("send");
    net.settle();
    assert!(!readable(&net, &server));
    net.send(&client, b"body").expect("send");
    set(&mut net, &client, IPPROTO_TCP, tcp::TCP_CORK, 0).expect("set");
    net.settle();
    assert_eq!(net.recv(&server, 100), Ok(b"headbody".to_vec()));
    // MSG_MORE does the same for one write, and no longer than the cork.
    net.send_more(&client, b"first", More::Follows).expect("send");
    net.settle();
    assert!(!readable(&net, &server));
    net.send(&client, b"second").expect("send");
    net.settle();
    assert_eq!(net.recv(&server, 100), Ok(b"firstsecond".to_vec()));
    net.send_more(&client, b"forgotten", More::Follows).expect("send");
    assert!(net.run_for(Duration::from_millis(190)));
    assert!(!readable(&net, &server));
    assert!(net.run_for(Duration::from_millis(20)));
    assert_eq!(net.recv(&server, 100), Ok(b"forgotten".to_vec()));
}

#[test]
fn no_delay_sends_what_the_cork_holds() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V6);
    set(&mut net, &client, IPPROTO_TCP, tcp::TCP_CORK, 1).expect("set");
    net.send(&client, b"held").expect("send");
    net.settle();
    assert!(!readable(&net, &server));
    set(&mut net, &client, IPPROTO_TCP, tcp::TCP_NODELAY, 1).expect("set");
    net.settle();
    assert_eq!(net.recv(&server, 100), Ok(b"held".to_vec()));
}

#[test]
fn quick_acks_are_for_a_while() {
    let mut plan = Plan::default();
    plan.configs[SERVER].tcp.quick_acks = 2;
    let mut net = network(plan);
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    let quick = |net: &mut Network| value(net, &server, IPPROTO_TCP, tcp::TCP_QUICKACK);
    assert_eq!(quick(&mut net), 1);
    for expected in [1, 0] {
        net.send(&client, b"x").expect("send");
        net.settle();
        assert_eq!(quick(&mut net), expected);
    }
    set(&mut net, &server, IPPROTO_TCP, tcp::TCP_QUICKACK, 1).expect("set");
    assert_eq!(quick(&mut net), 1);
    set(&mut net, &server, IPPROTO_TCP, tcp::TCP_QUICKACK, 0).expect("set");
    assert_eq!(quick(&mut net), 0);
}

#[test]
fn fewer_bytes_than_the_low_mark_are_not_ready() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    set(&mut net, &server, SOL_SOCKET, sol::SO_RCVLOWAT, 10).expect("set");
    net.send(&client, b"123456789").expect("send");
    net.settle();
    assert!(!readable(&net, &server));
    net.send(&client, b"0").expect("send");
    net.settle();
    assert!(readable(&net, &server));
    // A call that does not wait takes what there is.
    assert_eq!(net.recv(&server, 6), Ok(b"123456".to_vec()));
    assert!(!readable(&net, &server));
    assert_eq!(net.recv(&server, 100), Ok(b"7890".to_vec()));
    // The end of the stream counts as it is.
    net.send(&client, b"x").expect("send");
    net.close(&client);
    net.settle();
    assert!(readable(&net, &server));
    for (wanted, got) in [(0, 1), (-5, 16 << 20), (i32::MAX, 16 << 20), (1, 1)] {
        set(&mut net, &server, SOL_SOCKET, sol::SO_RCVLOWAT, wanted).expect("set");
        assert_eq!(value(&mut net, &server, SOL_SOCKET, sol::SO_RCVLOWAT), got);
    }
    set(&mut net, &server, SOL_SOCKET, sol::SO_RCVLOWAT, 100_000).expect("set");
    set(&mut net, &server, SOL_SOCKET, sol::SO_RCVBUF, 10_000).expect("set");
    assert_eq!(value(&mut net, &server, SOL_SOCKET, sol::SO_RCVLOWAT), 5000, "half of the buffer");
    set(&mut net, &server, IPPROTO_TCP, tcp::TCP_WINDOW_CLAMP, 2000).expect("set");
    assert_eq!(server.cell.lock().marks.receive_low, 1000, "half of what the window offers");
}

#[test]
fn no_more_is_written_than_the_mark_of_what_is_not_sent() {
    let mut plan = Plan::default();
    plan.configs[SERVER].buffers.receive = 20_000;
    let mut net = network(plan);
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    set(&mut net, &client, IPPROTO_TCP, tcp::TCP_NOTSENT_LOWAT, 5000).expect("set");
    assert_eq!(value(&mut net, &client, IPPROTO_TCP, tcp::TCP_NOTSENT_LOWAT), 5000);
    let mut written = 0;
    while let Ok(count) = net.send(&client, &[0; 1000]) {
        written += count;
        net.settle();
    }
    // The peer's window is full, the mark reached, and the super-frame that goes beyond it filled: half of the window, in whole segments.
    let step = 6 * 1448;
    assert_eq!(written / 1000 * 1000, (20_000 + step) / 1000 * 1000);
    assert!(!writable(&net, &client));
    assert_eq!(net.send(&client, b"x"), Err(Errno::EAGAIN));
    // What is read makes room, and that wakes the writer.
    let mut left = written;
    let outcome = net.run_until(secs(10), |net| {
        left -= net.recv(&server, 1000).map_or(0, |bytes| bytes.len());
        writable(net, &client)
    });
    assert_eq!(outcome, Outcome::Met);
    let more = net.send(&client, &[0; 100_000]).expect("send");
    assert!((1..=step).contains(&more), "{more}: no further than the end of a super-frame, as in Linux");
    assert!(!writable(&net, &client));
    set(&mut net, &client, IPPROTO_TCP, tcp::TCP_NOTSENT_LOWAT, 0).expect("set");
    assert!(writable(&net, &client), "no mark");
}

#[test]
fn the_window_is_clamped() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    set(&mut net, &listener, IPPROTO_TCP, tcp::TCP_WINDOW_CLAMP, 9000).expect("set");
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    let server = net.accept(&listener).expect("accept");
    assert_eq!(value(&mut net, &server, IPPROTO_TCP, tcp::TCP_WINDOW_CLAMP), 9000);
    let window = |net: &Network| net.hosts[CLIENT].stack.tcp_info(net.now, client.id).expect("info").snd_wnd;
    assert_eq!(window(&net), 9000);
    net.send(&client, &[0; 50_000]).expect("send");
    net.run_for(secs(1));
    let mut read = 0;
    let outcome = net.run_until(secs(60), |net| {
        read += net.recv(&server, 4000).map_or(0, |bytes| bytes.len());
        assert!(window(net) <= 9000, "{}", window(net));
        read == 50_000
    });
    assert_eq!(outcome, Outcome::Met);
    assert_eq!(
        set(&mut net, &server, IPPROTO_TCP, tcp::TCP_WINDOW_CLAMP, 0),
        Err(Errno::EINVAL),
        "as in Linux"
    );
    set(&mut net, &server, IPPROTO_TCP, tcp::TCP_WINDOW_CLAMP, 1).expect("set");
    assert_eq!(value(&mut net, &server, IPPROTO_TCP, tcp::TCP_WINDOW_CLAMP), 1024);
}

#[test]
fn syns_are_sent_as_often_as_the_option_says() {
    let mut net = network(Plan::default());
    let client = net.socket(CLIENT, Domain::V4).expect("a socket");
    assert_eq!(value(&mut net, &client, IPPROTO_TCP, tcp::TCP_SYNCNT), 7);
    set(&mut net, &client, IPPROTO_TCP, tcp::TCP_SYNCNT, 1).expect("set");
    let now = net.now;
    net.hosts[CLIENT].stack.connect(now, client.id, address("192.0.2.77:80")).expect("connect");
    assert!(net.run_for(Duration::from_millis(2990)));
    assert_eq!(net.readiness(&client), Readiness::default());
    assert!(net.run_for(Duration::from_millis(20)));
    assert_eq!(net.send(&client, b"x"), Err(Errno::ETIMEDOUT), "1 s and 2 s");
}

#[test]
fn fin_wait_2_ends_by_the_option() {
    for (number, seconds, told) in [(5, 5, 5), (0, 60, 60), (1000, 120, 120), (-3, 0, -1)] {
        let mut net = network(Plan::default());
        let (client, server, _listener) = pair(&mut net, SERVER_V4);
        set(&mut net, &client, IPPROTO_TCP, tcp::TCP_LINGER2, number).expect("set");
        assert_eq!(value(&mut net, &client, IPPROTO_TCP, tcp::TCP_LINGER2), told);
        net.close(&client);
        net.settle();
        if seconds > 0 {
            assert!(net.run_for(Duration::from_millis(seconds * 1000 - 10)));
            assert_eq!(net.hosts[CLIENT].stack.sockets(), 1, "{number}");
        }
        assert!(net.run_for(Duration::from_millis(20)));
        assert_eq!(net.hosts[CLIENT].stack.sockets(), 0, "{number}");
        // Not at all is told to the peer.
        let expected = if number < 0 { Err(Errno::EPIPE) } else { Ok(1) };
        assert_eq!(net.send(&server, b"x"), expected, "{number}");
    }
}

/// SO_ERROR has the error of the connection, and where there is none what the network said of data in flight, each once.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.8
//= type=test
//# an application program that does not want to receive such ERROR_REPORT calls SHOULD be able to effectively disable these calls (SHLD-20).
#[test]
fn so_error_tells_soft_errors_too() {
    let mut net = network(Plan::default());
    let (client, _server, _listener) = pair(&mut net, SERVER_V4);
    let now = net.now;
    net.send(&client, b"lost").expect("send");
    let stack = &mut net.hosts[CLIENT].stack;
    let sent = ip::to_frame(&stack.poll_transmit(now).expect("a packet")).bytes;
    let router = "203.0.113.9".parse().ok();
    let (_, message) = ip::fault_about(&sent, Fault::ReassemblyTimeout, router, 64).expect("a message");
    stack.handle_frame(now, ip::to_frame(&message));
    stack.publish(now, &mut Vec::new());
    assert_eq!(net.readiness(&client), Readiness::OUT, "no error for poll");
    assert_eq!(net.recv(&client, 1), Err(Errno::EAGAIN), "nor for recv");
    assert_eq!(net.send(&client, b", too"), Ok(5), "nor for send");
    assert_eq!(value(&mut net, &client, SOL_SOCKET, sol::SO_ERROR), Errno::EHOSTUNREACH.0);
    assert_eq!(value(&mut net, &client, SOL_SOCKET, sol::SO_ERROR), 0, "told once");
    assert!(net.run_for(secs(2)));
    assert_eq!(
        value(&mut net, &client, SOL_SOCKET, sol::SO_ERROR),
        0,
        "and over when the data is acknowledged"
    );
}

#[test]
fn an_error_is_told_once_whoever_asks_first() {
    type Ask = fn(&mut Network, &Endpoint) -> Option<Errno>;
    let asks: [(&str, Ask); 3] = [
        ("SO_ERROR", |net, end| Some(Errno(value(net, end, SOL_SOCKET, sol::SO_ERROR)))),
        ("recv", |net, end| net.recv(end, 1).err()),
        ("send", |net, end| net.send(end, b"x").err()),
    ];
    for (name, ask) in asks {
        let mut net = network(Plan::default());
        let (client, server, _listener) = pair(&mut net, SERVER_V4);
        let now = net.now;
        net.hosts[SERVER].stack.abort(now, server.id).expect("abort");
        net.settle();
        assert!(net.readiness(&client).any(Readiness::ERR));
        assert_eq!(ask(&mut net, &client), Some(Errno::ECONNRESET), "{name}");
        assert!(!net.readiness(&client).any(Readiness::ERR), "{name}");
        assert_eq!(value(&mut net, &client, SOL_SOCKET, sol::SO_ERROR), 0, "{name}");
        assert_eq!(net.recv(&client, 1), Ok(Vec::new()), "{name}");
        assert_eq!(net.send(&client, b"x"), Err(Errno::EPIPE), "{name}");
    }
}

#[test]
fn options_can_be_set_in_every_state() {
    let table = [
        (SOL_SOCKET, sol::SO_KEEPALIVE, 1),
        (SOL_SOCKET, sol::SO_RCVLOWAT, 3),
        (SOL_SOCKET, sol::SO_RCVBUF, 30_000),
        (IPPROTO_TCP, tcp::TCP_NODELAY, 1),
        (IPPROTO_TCP, tcp::TCP_CORK, 1),
        (IPPROTO_TCP, tcp::TCP_KEEPIDLE, 100),
        (IPPROTO_TCP, tcp::TCP_USER_TIMEOUT, 5000),
        (IPPROTO_TCP, tcp::TCP_NOTSENT_LOWAT, 10_000),
        (IPPROTO_TCP, tcp::TCP_LINGER2, 9),
        (IPPROTO_TCP, tcp::TCP_SYNCNT, 3),
        (IPPROTO_TCP, tcp::TCP_WINDOW_CLAMP, 12_000),
    ];
    let mut net = network(Plan::default());
    let (client, server, listener) = pair(&mut net, SERVER_V4);
    let connecting = net.connect(CLIENT, address("192.0.2.77:80")).expect("connect");
    let idle = net.socket(CLIENT, Domain::V6).expect("a socket");
    let now = net.now;
    net.hosts[SERVER].stack.abort(now, server.id).expect("abort");
    let (other, _) = (net.connect(CLIENT, address(SERVER_V4)).expect("connect"), net.settle());
    for end in [&idle, &connecting, &listener, &other, &client] {
        for (level, name, number) in table {
            assert_eq!(set(&mut net, end, level, name, number), Ok(()), "{level} {name}");
            assert_eq!(value(&mut net, end, level, name), number, "{level} {name}");
        }
    }
    net.close(&idle);
    assert_eq!(set(&mut net, &idle, SOL_SOCKET, sol::SO_KEEPALIVE, 1), Err(Errno::EBADF));
}

#[test]
fn the_segment_size_is_what_was_set_until_the_peer_has_its_say() {
    let mut net = network(Plan::default());
    let end = net.socket(CLIENT, Domain::V4).expect("a socket");
    assert_eq!(value(&mut net, &end, IPPROTO_TCP, tcp::TCP_MAXSEG), 536);
    set(&mut net, &end, IPPROTO_TCP, tcp::TCP_MAXSEG, 1000).expect("set");
    let now = net.now;
    net.hosts[CLIENT].stack.connect(now, end.id, address("192.0.2.77:80")).expect("connect");
    net.settle();
    assert_eq!(value(&mut net, &end, IPPROTO_TCP, tcp::TCP_MAXSEG), 1000, "nobody has answered");
}
