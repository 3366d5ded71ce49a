//! SYNs for addresses and ports that a program has intercepted: paused, accepted, refused, ignored, expired.

mod world;

use usertcp_core::buffer::PausedSyn;
use usertcp_core::counters::Drop;
use usertcp_core::error::Errno;
use usertcp_core::ip::{Envelope, Payload, tcp_transmit, to_frame};
use usertcp_core::link::{Capabilities, Frame};
use usertcp_core::sim::{Endpoint, Network};
use usertcp_core::stack::socket::{self, Readiness};
use usertcp_core::stack::{Intercept, LinkState};
use usertcp_core::time::{Duration, Instant};
use usertcp_core::wire::tcp::{Flags, TcpHeader, TcpOptions, parse};
use world::*;

fn range(prefix: &str, first: u16, last: u16) -> Intercept {
    Intercept { prefix: prefix.parse().expect("a prefix"), ports: first..=last, queue: None, timeout: None }
}

fn open(net: &mut Network, what: &Intercept) -> Endpoint {
    let now = net.now;
    let (id, cell) = net.hosts[SERVER].stack.intercept(now, what).expect("an interceptor");
    Endpoint { host: SERVER, id, cell }
}

fn all(net: &mut Network, prefix: &str) -> Endpoint {
    open(net, &range(prefix, 1, u16::MAX))
}

fn next(interceptor: &Endpoint) -> PausedSyn {
    socket::next_syn(&interceptor.cell, None).expect("a SYN")
}

fn accept(net: &mut Network, syn: &PausedSyn) -> Result<Endpoint, Errno> {
    let now = net.now;
    let (id, cell) = net.hosts[SERVER].stack.accept_syn(now, syn)?;
    Ok(Endpoint { host: SERVER, id, cell })
}

fn refuse(net: &mut Network, syn: &PausedSyn) -> Result<(), Errno> {
    let now = net.now;
    net.hosts[SERVER].stack.refuse_syn(now, syn)
}

fn ignore(net: &mut Network, syn: &PausedSyn) -> Result<(), Errno> {
    let now = net.now;
    net.hosts[SERVER].stack.ignore_syn(now, syn)
}

fn counters(net: &Network) -> &usertcp_core::counters::Counters {
    net.hosts[SERVER].stack.counters()
}

/// A segment from a host that nobody answers at.
fn segment(from: &str, to: &str, seq: u32, flags: Flags) -> Frame {
    let (from, to) = (address(from), address(to));
    let options = TcpOptions { mss: Some(1234), ..TcpOptions::default() };
    let header = TcpHeader {
        source: from.port(),
        destination: to.port(),
        seq,
        ack: if flags.has(Flags::ACK) { 7 } else { 0 },
        flags,
        window: 1000,
        options,
        ..TcpHeader::default()
    };
    let envelope = Envelope::new(from.ip(), to.ip());
    to_frame(&tcp_transmit(&envelope, &header, Payload::new(), 0, &Capabilities::plain(1500)))
}

const STRANGER: &str = "198.51.100.9:77";

fn hear(net: &mut Network, to: &str, seq: u32, flags: Flags) -> Vec<TcpHeader> {
    let (now, stack) = (net.now, &mut net.hosts[SERVER].stack);
    stack.handle_frame(now, segment(STRANGER, to, seq, flags));
    let header = |transmit| {
        let packet = usertcp_core::ip::ingress(&to_frame(&transmit)).expect("a sound packet");
        parse(packet.source, packet.destination, &packet.payload, true).expect("a sound segment").0
    };
    std::iter::from_fn(|| stack.poll_transmit(now)).map(header).collect()
}

#[test]
fn any_address_and_port_of_a_prefix_is_accepted_and_carries_data() {
    for (prefix, targets) in [
        ("203.0.113.0/24", ["203.0.113.0:1", "203.0.113.77:80", "203.0.113.255:65535"]),
        ("2001:db8:5::/48", ["[2001:db8:5::]:1", "[2001:db8:5:7::9]:443", "[2001:db8:5:ffff::1]:65535"]),
        ("0.0.0.0/0", ["8.8.8.8:53", "192.0.2.2:9", "169.254.169.254:80"]),
        ("::/0", ["[2001:4860:4860::8888]:53", "[2001:db8::2]:9", "[64:ff9b::1]:80"]),
    ] {
        let mut net = network(Plan::default());
        let interceptor = all(&mut net, prefix);
        for target in targets {
            let client = net.connect(CLIENT, address(target)).expect("connect");
            net.settle();
            assert_eq!(socket::connected(&client.cell, None), Err(Errno::EAGAIN), "nothing is answered");
            assert!(net.readiness(&interceptor).any(Readiness::IN));
            let syn = next(&interceptor);
            assert!(!net.readiness(&interceptor).any(Readiness::IN));
            assert_eq!(syn.local, address(target));
            assert_eq!(Some(syn.peer), net.hosts[CLIENT].stack.local_address(client.id).ok());
            assert_eq!(syn.mss, Some(if syn.peer.is_ipv4() { 1460 } else { 1440 }));
            let server = accept(&mut net, &syn).expect("accept");
            assert!(!net.readiness(&server).any(Readiness::OUT), "connecting");
            assert_eq!(socket::connected(&server.cell, None), Err(Errno::EAGAIN));
            net.settle();
            assert!(net.readiness(&server).any(Readiness::OUT));
            assert_eq!(socket::connected(&server.cell, None), Ok(()));
            assert_eq!(socket::connected(&client.cell, None), Ok(()));
            let stack = &net.hosts[SERVER].stack;
            assert_eq!(stack.local_address(server.id), Ok(address(target)));
            assert_eq!(stack.peer_address(server.id), Ok(syn.peer));
            carry(&mut net, &client, &server, 100_000);
            carry(&mut net, &server, &client, 100_000);
            net.close(&client);
            net.settle();
            assert_eq!(net.recv(&server, 1), Ok(Vec::new()));
            net.close(&server);
            net.settle();
        }
        assert_eq!((counters(&net).tcp_syns_paused, counters(&net).tcp_syns_accepted), (3, 3));
        assert!(net.run_for(secs(120)));
        assert_eq!(net.hosts[SERVER].stack.sockets(), 1, "the interceptor alone");
    }
}

#[test]
fn refused_is_reset_and_ignored_is_silence_and_a_new_syn() {
    let mut net = network(Plan::default());
    let interceptor = all(&mut net, "203.0.113.0/24");
    let client = net.connect(CLIENT, address("203.0.113.1:80")).expect("connect");
    net.settle();
    let syn = next(&interceptor);
    assert_eq!(refuse(&mut net, &syn), Ok(()));
    net.settle();
    assert_eq!(socket::connected(&client.cell, None), Err(Errno::ECONNREFUSED));

    let client = net.connect(CLIENT, address("203.0.113.1:81")).expect("connect");
    net.settle();
    let syn = next(&interceptor);
    assert_eq!(ignore(&mut net, &syn), Ok(()));
    net.settle();
    assert_eq!(socket::connected(&client.cell, None), Err(Errno::EAGAIN));
    assert!(net.run_for(Duration::from_millis(1100)));
    let again = next(&interceptor);
    assert_eq!((again.local, again.peer), (syn.local, syn.peer));
    accept(&mut net, &again).expect("accept");
    net.settle();
    assert_eq!(socket::connected(&client.cell, None), Ok(()));
    for late in [accept(&mut net, &syn).map(|_| ()), refuse(&mut net, &again), ignore(&mut net, &syn)] {
        assert_eq!(late, Err(Errno::EBADF), "decided before");
    }
    let counters = counters(&net);
    assert_eq!((counters.tcp_syns_refused, counters.tcp_syns_dropped), (1, 1));
}

#[test]
fn a_syn_that_comes_again_is_the_same_and_the_latest_is_answered() {
    let mut net = network(Plan::default());
    let interceptor = all(&mut net, "203.0.113.0/24");
    for seq in [1000, 1000, 1000, 5000] {
        assert_eq!(hear(&mut net, "203.0.113.5:80", seq, Flags::SYN), []);
    }
    let syn = next(&interceptor);
    assert_eq!(syn.mss, Some(1234));
    assert!(socket::next_syn(&interceptor.cell, None).is_err());
    assert_eq!(hear(&mut net, "203.0.113.5:80", 5000, Flags::SYN), [], "taken, and not decided yet");
    assert!(socket::next_syn(&interceptor.cell, None).is_err());
    assert_eq!(counters(&net).tcp_syns_paused, 1);
    accept(&mut net, &syn).expect("accept");
    let now = net.now;
    let answer = net.hosts[SERVER].stack.poll_transmit(now).expect("a SYN/ACK");
    let packet = usertcp_core::ip::ingress(&to_frame(&answer)).expect("a packet");
    let header = parse(packet.source, packet.destination, &packet.payload, true).expect("a segment").0;
    assert_eq!((header.ack, header.flags), (5001, Flags::SYN.with(Flags::ACK)));
    assert_eq!(packet.source, address("203.0.113.5:80").ip());
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.2
//= type=test
//# An incoming RST should be ignored. ... An acceptable reset segment should be formed for any arriving ACK-bearing segment. (SM-2)
#[test]
fn what_is_no_syn_is_answered_as_a_closed_port_does_and_beyond_the_range_is_silence() {
    let mut net = network(Plan::default());
    let interceptor = open(&mut net, &range("203.0.113.0/24", 80, 89));
    assert_eq!(hear(&mut net, "203.0.113.5:85", 9, Flags::RST), []);
    let reset = hear(&mut net, "203.0.113.5:85", 9, Flags::ACK);
    assert_eq!(reset.iter().map(|header| (header.seq, header.flags)).collect::<Vec<_>>(), [(7, Flags::RST)]);
    hear(&mut net, "203.0.113.5:85", 9, Flags::SYN);
    hear(&mut net, "203.0.113.5:85", 9, Flags::RST);
    assert_eq!(next(&interceptor).local.port(), 85, "nor does a RST take a SYN back");
    for beyond in ["203.0.113.5:79", "203.0.113.5:90", "203.0.112.5:85"] {
        let before = counters(&net).dropped(Drop::IpNotOurs);
        assert_eq!(hear(&mut net, beyond, 9, Flags::SYN), []);
        assert_eq!(hear(&mut net, beyond, 9, Flags::ACK), []);
        assert_eq!(counters(&net).dropped(Drop::IpNotOurs), before + 2);
    }
}

#[test]
fn who_is_not_decided_about_expires_and_may_come_again() {
    let mut net = network(Plan::default());
    let what = Intercept { timeout: Some(secs(10)), ..range("203.0.113.0/24", 1, 65535) };
    let interceptor = open(&mut net, &what);
    hear(&mut net, "203.0.113.1:80", 1, Flags::SYN);
    hear(&mut net, "203.0.113.2:80", 1, Flags::SYN);
    let taken = next(&interceptor);
    assert!(net.run_for(secs(9)));
    assert!(net.readiness(&interceptor).any(Readiness::IN));
    hear(&mut net, "203.0.113.1:80", 1, Flags::SYN);
    assert!(net.run_for(secs(2)));
    assert!(!net.readiness(&interceptor).any(Readiness::IN), "nothing is left to be taken");
    assert_eq!(counters(&net).tcp_syns_expired, 2);
    assert_eq!(accept(&mut net, &taken).err(), Some(Errno::ETIMEDOUT));
    assert_eq!(refuse(&mut net, &taken), Err(Errno::ETIMEDOUT));
    hear(&mut net, "203.0.113.1:80", 1, Flags::SYN);
    assert_eq!(accept(&mut net, &taken).err(), Some(Errno::ETIMEDOUT), "the new one is another");
    let again = next(&interceptor);
    assert!(accept(&mut net, &again).is_ok());
}

#[test]
fn a_full_queue_drops_by_name_until_something_is_decided() {
    let mut net = network(Plan::default());
    let what = Intercept { queue: Some(3), ..range("203.0.113.0/24", 1, 65535) };
    let interceptor = open(&mut net, &what);
    for port in 1..=10 {
        hear(&mut net, &format!("203.0.113.1:{port}"), 1, Flags::SYN);
    }
    assert_eq!(counters(&net).dropped(Drop::TcpInterceptQueue), 7);
    let now = net.now;
    let info = net.hosts[SERVER].stack.tcp_info(now, interceptor.id).expect("figures");
    assert_eq!((info.state, info.unacked, info.sacked), (10, 3, 3));
    let first = next(&interceptor);
    hear(&mut net, "203.0.113.1:11", 1, Flags::SYN);
    assert_eq!(counters(&net).dropped(Drop::TcpInterceptQueue), 8, "taken is not decided");
    assert_eq!(ignore(&mut net, &first), Ok(()));
    hear(&mut net, "203.0.113.1:12", 1, Flags::SYN);
    let rest: Vec<_> = (0..3).map(|_| next(&interceptor).local.port()).collect();
    assert_eq!(rest, [2, 3, 12]);
}

#[test]
fn own_listeners_go_first_and_then_the_longest_prefix() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let wild = net.listen(SERVER, address("0.0.0.0:81"), 5).expect("listen");
    let wide = all(&mut net, "0.0.0.0/0");
    let narrow = open(&mut net, &range("203.0.113.0/24", 443, 443));
    let mut reached = |target| {
        let client = net.connect(CLIENT, address(target)).expect("connect");
        net.settle();
        let found = net.accept(&listener).map(|_| "listener").or_else(|_| net.accept(&wild).map(|_| "wild"));
        let found = found.or_else(|_| socket::next_syn(&wide.cell, None).map(|_| "wide"));
        let found = found.or_else(|_| socket::next_syn(&narrow.cell, None).map(|_| "narrow"));
        drop(client);
        found
    };
    assert_eq!(reached(SERVER_V4), Ok("listener"));
    assert_eq!(reached("192.0.2.2:81"), Ok("wild"));
    assert_eq!(reached("192.0.2.2:82"), Ok("wide"));
    assert_eq!(reached("203.0.113.1:81"), Ok("wide"), "a wildcard stands for the stack's own addresses");
    assert_eq!(reached("203.0.113.1:443"), Ok("narrow"));
    assert_eq!(reached("203.0.113.1:444"), Ok("wide"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut net = network(Plan::default());
    let _one = open(&mut net, &range("203.0.113.0/24", 80, 89));
    let now = net.now;
    let stack = &mut net.hosts[SERVER].stack;
    let prefix = || range("203.0.113.0/24", 1, 9);
    let table = [
        (range("203.0.113.0/24", 0, 9), Errno::EINVAL),
        (range("203.0.113.0/24", 9, 8), Errno::EINVAL),
        (Intercept { queue: Some(0), ..prefix() }, Errno::EINVAL),
        (Intercept { timeout: Some(Duration::ZERO), ..prefix() }, Errno::EINVAL),
        (range("203.0.113.7/24", 89, 99), Errno::EADDRINUSE),
    ];
    for (what, errno) in table {
        assert_eq!(stack.intercept(now, &what).err(), Some(errno), "{what:?}");
    }
    let (id, cell) = stack.intercept(now, &range("203.0.113.0/25", 80, 89)).expect("a longer one");
    assert_eq!(socket::accept(&cell, None).err(), Some(Errno::EOPNOTSUPP));
    assert_eq!(stack.listen(now, id, 5), Err(Errno::EINVAL));
    assert_eq!(stack.connect(now, id, address("192.0.2.1:1")), Err(Errno::EOPNOTSUPP));
    assert_eq!(stack.bind(id, address("192.0.2.2:1")), Err(Errno::EINVAL));
    assert_eq!(stack.shutdown(now, id, usertcp_core::stack::Shutdown::Both), Err(Errno::ENOTCONN));
    let (_, plain) = stack.socket(usertcp_core::stack::Domain::V4).expect("a socket");
    assert_eq!(socket::next_syn(&plain, None).err(), Some(Errno::EINVAL));
}

#[test]
fn closing_forgets_what_waits_and_leaves_what_was_accepted() {
    let mut net = network(Plan::default());
    let interceptor = all(&mut net, "203.0.113.0/24");
    let client = net.connect(CLIENT, address("203.0.113.1:80")).expect("connect");
    net.settle();
    let syn = next(&interceptor);
    let server = accept(&mut net, &syn).expect("accept");
    net.settle();
    hear(&mut net, "203.0.113.1:81", 1, Flags::SYN);
    hear(&mut net, "203.0.113.1:82", 1, Flags::SYN);
    let undecided = next(&interceptor);
    net.close(&interceptor);
    net.settle();
    assert_eq!(accept(&mut net, &undecided).err(), Some(Errno::ECANCELED));
    assert_eq!(ignore(&mut net, &undecided), Err(Errno::ECANCELED));
    assert_eq!(socket::next_syn(&interceptor.cell, None).err(), Some(Errno::EBADF));
    assert_eq!(counters(&net).tcp_syns_dropped, 2);
    assert_eq!(hear(&mut net, "203.0.113.1:81", 1, Flags::SYN), []);
    carry(&mut net, &client, &server, 50_000);
    carry(&mut net, &server, &client, 50_000);
    net.close(&server);
    net.settle();
    net.close(&client);
    assert!(net.run_for(secs(200)));
    let before = counters(&net).dropped(Drop::IpNotOurs);
    hear(&mut net, "203.0.113.1:80", 1, Flags::ACK);
    assert_eq!(counters(&net).dropped(Drop::IpNotOurs), before + 1, "nobody is there any more");
    let again = all(&mut net, "203.0.113.0/24");
    hear(&mut net, "203.0.113.1:81", 1, Flags::SYN);
    next(&again);
}

#[test]
fn a_peer_that_resets_or_never_answers_fails_the_connection() {
    let mut net = network(Plan::default());
    let interceptor = all(&mut net, "203.0.113.0/24");
    hear(&mut net, "203.0.113.1:80", 1, Flags::SYN);
    let syn = next(&interceptor);
    let silent = accept(&mut net, &syn).expect("accept");
    hear(&mut net, "203.0.113.1:81", 1, Flags::SYN);
    let syn = next(&interceptor);
    let reset = accept(&mut net, &syn).expect("accept");
    hear(&mut net, "203.0.113.1:81", 2, Flags::RST);
    net.settle();
    assert_eq!(socket::connected(&reset.cell, None), Err(Errno::ECONNREFUSED));
    assert!(net.readiness(&reset).any(Readiness::HUP));
    assert!(net.run_for(secs(200)));
    assert!(net.readiness(&silent).any(Readiness::ERR));
    assert_eq!(socket::connected(&silent.cell, None), Err(Errno::ETIMEDOUT));
    net.close(&silent);
    net.close(&reset);
    net.settle();
    assert_eq!(net.hosts[SERVER].stack.sockets(), 1);
}

#[test]
fn too_many_sockets_leave_the_syn_undecided() {
    let mut plan = Plan::default();
    plan.configs[SERVER].max_sockets = 2;
    let mut net = network(plan);
    let interceptor = all(&mut net, "203.0.113.0/24");
    hear(&mut net, "203.0.113.1:80", 1, Flags::SYN);
    hear(&mut net, "203.0.113.1:81", 1, Flags::SYN);
    let [first, second] = [next(&interceptor), next(&interceptor)];
    let server = accept(&mut net, &first).expect("accept");
    assert_eq!(accept(&mut net, &second).err(), Some(Errno::EMFILE));
    net.close(&server);
    net.settle();
    assert!(accept(&mut net, &second).is_ok());
}

#[test]
fn a_connection_in_time_wait_makes_way_for_one_that_is_accepted() {
    let mut net = network(Plan::default());
    let interceptor = all(&mut net, "203.0.113.0/24");
    let client = net.socket(CLIENT, usertcp_core::stack::Domain::V4).expect("a socket");
    let bind = |net: &mut Network, client: &Endpoint| {
        let stack = &mut net.hosts[CLIENT].stack;
        stack.set_option(Instant::ZERO, client.id, 1, 2, &1i32.to_ne_bytes()).expect("SO_REUSEADDR");
        stack.bind(client.id, address("192.0.2.1:5000")).expect("bind");
    };
    let target = address("203.0.113.1:80");
    bind(&mut net, &client);
    let now = net.now;
    net.hosts[CLIENT].stack.connect(now, client.id, target).expect("connect");
    net.settle();
    let syn = next(&interceptor);
    let server = accept(&mut net, &syn).expect("accept");
    net.settle();
    net.close(&server);
    net.settle();
    net.close(&client);
    net.settle();
    assert!(net.run_for(secs(1)));
    // The server closed first: TIME-WAIT is its own.
    assert_eq!(net.hosts[SERVER].stack.sockets(), 2);
    let client = net.socket(CLIENT, usertcp_core::stack::Domain::V4).expect("a socket");
    bind(&mut net, &client);
    let now = net.now;
    net.hosts[CLIENT].stack.connect(now, client.id, target).expect("connect");
    net.settle();
    let syn = next(&interceptor);
    let server = accept(&mut net, &syn).expect("accept");
    net.settle();
    assert_eq!(socket::connected(&server.cell, None), Ok(()));
    carry(&mut net, &client, &server, 1000);
}

#[test]
fn groups_loopback_and_strange_sources_are_never_taken_in() {
    let mut net = network(Plan::default());
    let _v4 = all(&mut net, "0.0.0.0/0");
    let _v6 = all(&mut net, "::/0");
    for (from, to, reason) in [
        (STRANGER, "224.0.0.1:80", Drop::IpGroup),
        (STRANGER, "192.0.2.255:80", Drop::IpGroup),
        (STRANGER, "255.255.255.255:80", Drop::IpGroup),
        (STRANGER, "127.0.0.1:80", Drop::IpMartian),
        ("192.0.2.2:9", "203.0.113.1:80", Drop::IpLand),
        ("224.0.0.1:9", "203.0.113.1:80", Drop::IpSource),
        ("[2001:db8:9::1]:9", "[ff02::1]:80", Drop::IpGroup),
        ("[2001:db8:9::1]:9", "[::1]:80", Drop::IpMartian),
        ("[fe80::9]:9", "[fe80::1]:80", Drop::IpNotOurs),
    ] {
        let now = net.now;
        let before = counters(&net).dropped(reason);
        net.hosts[SERVER].stack.handle_frame(now, segment(from, to, 1, Flags::SYN));
        assert_eq!(counters(&net).dropped(reason), before + 1, "{from} to {to}");
    }
    assert_eq!(counters(&net).tcp_syns_paused, 0);
}

#[test]
fn datagrams_and_echoes_to_such_addresses_stay_nobodys() {
    let mut net = network(Plan::default());
    let _interceptor = all(&mut net, "203.0.113.0/24");
    let own = net.datagram_socket(SERVER, address("0.0.0.0:53")).expect("a socket");
    let client = net.datagram_socket(CLIENT, address("192.0.2.1:7")).expect("a socket");
    let sent = |net: &mut Network, length| {
        net.send_to(&client, &vec![7; length], Some(address("203.0.113.1:53"))).expect("send");
        net.settle();
    };
    sent(&mut net, 5);
    sent(&mut net, 5000);
    assert!(matches!(net.recv_from(&own), Ok(None) | Err(Errno::EAGAIN)));
    assert!(counters(&net).dropped(Drop::IpNotOurs) >= 2);
    assert_eq!(counters(&net).icmp_errors_out, 0);
}

#[test]
fn a_link_that_goes_ends_it() {
    let mut net = network(Plan::default());
    let interceptor = all(&mut net, "203.0.113.0/24");
    hear(&mut net, "203.0.113.1:80", 1, Flags::SYN);
    let syn = next(&interceptor);
    let now = net.now;
    net.hosts[SERVER].stack.handle_link(now, LinkState::Down);
    assert_eq!(accept(&mut net, &syn).err(), Some(Errno::ENETDOWN));
    net.hosts[SERVER].stack.handle_link(now, LinkState::Gone);
    assert_eq!(accept(&mut net, &syn).err(), Some(Errno::ECANCELED));
    assert_eq!(socket::next_syn(&interceptor.cell, None).err(), Some(Errno::ENETDOWN));
    assert_eq!(socket::next_syn(&interceptor.cell, None).err(), Some(Errno::EINVAL));
    let again = net.hosts[SERVER].stack.intercept(now, &range("203.0.113.0/24", 1, 2));
    assert_eq!(again.err(), Some(Errno::ENETDOWN));
}

#[test]
fn accepted_connections_have_the_interceptors_options_and_learn_what_the_path_carries() {
    let mut net = network(Plan::default());
    let interceptor = all(&mut net, "203.0.113.0/24");
    let now = net.now;
    let stack = &mut net.hosts[SERVER].stack;
    stack.set_option(now, interceptor.id, 6, 1, &1i32.to_ne_bytes()).expect("TCP_NODELAY");
    let client = net.connect(CLIENT, address("203.0.113.1:80")).expect("connect");
    net.settle();
    let syn = next(&interceptor);
    let server = accept(&mut net, &syn).expect("accept");
    net.settle();
    let stack = &mut net.hosts[SERVER].stack;
    assert_eq!(stack.option(server.id, 6, 1), Ok(1i32.to_ne_bytes().to_vec()));
    // A router between here and there tells of a path of 1200 bytes.
    net.send(&server, &[7; 1400]).expect("send");
    let (now, stack) = (net.now, &mut net.hosts[SERVER].stack);
    let sent = stack.poll_transmit(now).expect("a segment");
    let quoted = to_frame(&sent).bytes;
    let fault = usertcp_core::ip::Fault::TooBig { mtu: 1200 };
    let router = "192.0.2.1".parse().ok();
    let (_, told) = usertcp_core::ip::fault_about(&quoted, fault, router, 64).expect("a message");
    stack.handle_frame(now, to_frame(&told));
    assert_eq!(stack.counters().path_mtus, 1);
    assert_eq!(stack.tcp_info(now, server.id).expect("figures").pmtu, 1200);
    drop(client);
}
