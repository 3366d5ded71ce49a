//! SYN cookies on virtual time: floods that leave nothing behind, forged ACKs, and connections that are like any other.

mod world;

use usertcp_core::config::{Ecn, SynCookies};
use usertcp_core::counters::Drop;
use usertcp_core::error::Errno;
use usertcp_core::ip::{self, Envelope, Payload};
use usertcp_core::link::{Capabilities, Frame};
use usertcp_core::sim::{Endpoint, Network};
use usertcp_core::stack::socket;
use usertcp_core::time::Duration;
use usertcp_core::wire::tcp::{Flags, TcpHeader, TcpOptions, parse};
use world::*;

const ACK: Flags = Flags::ACK;
const SYN: Flags = Flags::SYN;
const RST: Flags = Flags::RST;

/// A peer that is not there: it makes segments of its own.
#[derive(Clone, Copy)]
struct Stranger {
    port: u16,
    seq: u32,
}

impl Stranger {
    const fn new(port: u16) -> Self {
        Self { port, seq: 7_000_000 }
    }

    fn frame(self, flags: Flags, ack: u32, options: TcpOptions, payload: &'static [u8]) -> Frame {
        let envelope = Envelope::new(address("192.0.2.77:0").ip(), address(SERVER_V4).ip());
        let seq = if flags.has(SYN) { self.seq } else { self.seq.wrapping_add(1) };
        let flags = if ack == 0 { flags } else { flags.with(ACK) };
        let header = TcpHeader {
            source: self.port,
            destination: 80,
            seq,
            ack,
            flags,
            window: 1000,
            options,
            ..TcpHeader::default()
        };
        let mut chain = Payload::new();
        if !payload.is_empty() {
            chain.push(payload.into());
        }
        ip::to_frame(&ip::tcp_transmit(&envelope, &header, chain, 0, &Capabilities::plain(1500)))
    }

    fn syn(self) -> Frame {
        self.frame(SYN, 0, TcpOptions { mss: Some(1000), ..TcpOptions::default() }, b"")
    }
}

/// Gives the server a frame, and returns its answers.
fn ask(net: &mut Network, frame: Frame) -> Vec<TcpHeader> {
    let now = net.now;
    let stack = &mut net.hosts[SERVER].stack;
    stack.handle_frame(now, frame);
    std::iter::from_fn(|| stack.poll_transmit(now))
        .map(|answer| {
            let packet = ip::ingress(&ip::to_frame(&answer)).expect("a sound packet");
            parse(packet.source, packet.destination, &packet.payload, true).expect("a sound segment").0
        })
        .collect()
}

/// The one answer.
fn answer(net: &mut Network, frame: Frame) -> TcpHeader {
    let mut answers = ask(net, frame);
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

/// A network whose server has such cookies and room for one half-open connection.
fn guarded(cookies: SynCookies) -> (Network, Endpoint) {
    let mut plan = Plan::default();
    plan.configs[SERVER].tcp.syn_cookies = cookies;
    plan.configs[SERVER].tcp.syn_queue_extra = 0;
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 0).expect("listen");
    (net, listener)
}

fn counts(net: &Network) -> (u64, u64, u64) {
    let counters = net.hosts[SERVER].stack.counters();
    (counters.tcp_syn_cookies_sent, counters.tcp_syn_cookies_received, counters.tcp_syn_cookies_failed)
}

//= https://www.rfc-editor.org/rfc/rfc4987#section-3.6
//= type=test
//# SYN cookies go a step further and allocate no state at all for connections in SYN-RECEIVED (4987:3.6-1).
//= https://www.rfc-editor.org/rfc/rfc4987#section-4
//= type=test
//# TCP implementers should provide some means of defense to SYN flooding attacks in end-host implementations (4987:4-1).
#[test]
fn a_million_syns_cost_nothing_but_answers() {
    let (mut net, listener) = guarded(SynCookies::WhenFull);
    let now = net.now;
    let frame = |n: u32| Stranger { port: if n == 0 { 1 } else { 2 + (n % 65_534) as u16 }, seq: n }.syn();
    let stack = &mut net.hosts[SERVER].stack;
    for n in 0..1_000_000 {
        stack.handle_frame(now, frame(n));
        assert!(stack.poll_transmit(now).is_some() && stack.poll_transmit(now).is_none(), "one answer");
    }
    assert_eq!((stack.sockets(), stack.live_connections()), (2, 1), "the listener, and the first SYN");
    assert_eq!(stack.counters().tcp_syn_cookies_sent, 999_999);
    assert_eq!(stack.counters().dropped(Drop::TcpSynQueue), 0);

    // Whoever is there comes through.
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    assert_eq!(socket::connected(&client.cell, None), Ok(()));
    let server = net.accept(&listener).expect("accept");
    net.send(&client, b"hello").expect("send");
    net.settle();
    assert_eq!(net.recv(&server, 99), Ok(b"hello".to_vec()));
    assert_eq!(counts(&net).1, 1);
}

#[test]
fn answers_are_bounded_while_the_link_takes_none() {
    let (mut net, _listener) = guarded(SynCookies::Always);
    let now = net.now;
    let stack = &mut net.hosts[SERVER].stack;
    (1..=5000).for_each(|port| stack.handle_frame(now, Stranger::new(port).syn()));
    assert_eq!(std::iter::from_fn(|| stack.poll_transmit(now)).count(), 1024);
    assert_eq!(stack.sockets(), 1);
}

//= https://www.rfc-editor.org/rfc/rfc4987#section-3.6
//= type=test
//# the acknowledgement number (along with several other fields) in the ACK that completes the handshake can be used to reconstruct the state to be put into the TCB (4987:3.6-2).
//= https://www.rfc-editor.org/rfc/rfc4987#section-3.6
//= type=test
//# Using the Timestamp bits, it is possible to explicitly store state bits for things like send and receive window scales, SACK-allowed (4987:3.6-5).
#[test]
fn a_connection_from_a_cookie_is_like_any_other() {
    for target in [SERVER_V4, SERVER_V6] {
        for (timestamps, scaling, sack) in [
            (true, true, true),
            (true, false, true),
            (true, true, false),
            (true, false, false),
            (false, true, true),
        ] {
            let ends = |cookies| {
                let mut plan = Plan::default();
                plan.configs[SERVER].tcp.syn_cookies = cookies;
                plan.configs[CLIENT].tcp.timestamps = timestamps;
                plan.configs[CLIENT].tcp.window_scaling = scaling;
                plan.configs[CLIENT].tcp.sack = sack;
                plan.configs[CLIENT].tcp.ecn = if scaling == sack { Ecn::On } else { Ecn::Passive };
                let mut net = network(plan);
                let (client, server, _listener) = pair(&mut net, target);
                let now = net.now;
                let mut info = net.hosts[SERVER].stack.tcp_info(now, server.id).expect("figures");
                let name = net.hosts[SERVER].stack.local_address(server.id).expect("name");
                assert_eq!(name, address(target));
                let bytes: Vec<u8> = (0..300_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut sent, mut received) = (0, Vec::new());
                    while received.len() < bytes.len() {
                        sent += net.send(from, &bytes[sent..]).unwrap_or(0);
                        net.settle();
                        received.extend(net.recv(to, 1 << 20).unwrap_or_default());
                        assert!(net.run_for(usertcp_core::time::Duration::from_millis(50)));
                    }
                    assert!(received == bytes);
                }
                let counters = net.hosts[SERVER].stack.counters();
                assert_eq!((counters.tcp_passive_opens, counters.tcp_retransmits), (1, 0));
                assert_eq!(counters.tcp_syn_cookies_received, u64::from(cookies == SynCookies::Always));
                let peer = net.hosts[CLIENT].stack.tcp_info(now, client.id).expect("figures");
                // Nothing was kept of when the SYN/ACK was sent, nor of it.
                (info.rtt, info.rttvar, info.min_rtt, info.rto) = (0, 0, 0, 0);
                (info.segs_in, info.segs_out, info.pacing_rate) = (0, 0, 0);
                (info, (peer.options, peer.snd_wscale, peer.rcv_wscale, peer.snd_mss))
            };
            let (kept, recalled) = (ends(SynCookies::Off), ends(SynCookies::Always));
            if timestamps {
                assert_eq!(kept, recalled, "{target} {scaling} {sack}");
                assert_eq!(recalled.0.options & 8 != 0, scaling == sack, "ECN");
            } else {
                assert_eq!(recalled.0.options, 0, "without timestamps there is nowhere to keep them");
            }
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc4987#section-3.6
//= type=test
//# SACK blocks should normally not be sent by a host using TCP cookies unless they are first received (4987:3.6-4).
#[test]
fn without_timestamps_the_answer_promises_nothing_that_is_forgotten() {
    let (mut net, _listener) = guarded(SynCookies::Always);
    let offered =
        TcpOptions { mss: Some(1400), window_scale: Some(9), sack_permitted: true, ..TcpOptions::default() };
    let told = answer(&mut net, Stranger::new(9).frame(SYN, 0, offered.clone(), b"")).options;
    assert_eq!((told.window_scale, told.sack_permitted, told.timestamps), (None, false, None));
    assert_eq!(told.mss, Some(1460));
    let stamped = TcpOptions { timestamps: Some((5, 0)), ..offered };
    let told = answer(&mut net, Stranger::new(9).frame(SYN, 0, stamped, b"")).options;
    assert!(told.window_scale.is_some() && told.sack_permitted);
    assert_eq!(told.timestamps.map(|(_, tsecr)| tsecr), Some(5));
}

#[test]
fn no_cookie_is_believed_where_none_was_sent() {
    let (mut other, _listener) = guarded(SynCookies::Always);
    let stranger = Stranger::new(9);
    let cookie = answer(&mut other, stranger.syn()).seq;
    // The same host, without a flood.
    let (mut net, listener) = guarded(SynCookies::WhenFull);
    let refused = answer(&mut net, stranger.frame(ACK, cookie.wrapping_add(1), TcpOptions::default(), b""));
    assert_eq!((refused.flags, refused.seq), (RST, cookie.wrapping_add(1)));
    assert_eq!(counts(&net), (0, 0, 0));
    assert_eq!(net.hosts[SERVER].stack.counters().dropped(Drop::TcpNoSocket), 1);
    assert_eq!(net.accept(&listener).map(|_| ()), Err(Errno::EAGAIN));
    // Nor on a port that nobody listens on any more.
    other.close(&_listener);
    let refused = answer(&mut other, stranger.frame(ACK, cookie.wrapping_add(1), TcpOptions::default(), b""));
    assert_eq!((refused.flags, counts(&other)), (RST, (1, 0, 0)));
}

//= https://www.rfc-editor.org/rfc/rfc4987#appendix-A
//= type=test
//# If there is not a match, the connection can be rejected under the heuristic that it is probably not in response to a recently sent SYN-ACK (4987:A-1).
#[test]
fn forged_acks_are_reset_and_counted() {
    let (mut net, listener) = guarded(SynCookies::Always);
    let stranger = Stranger::new(9);
    let cookie = answer(&mut net, stranger.syn()).seq.wrapping_add(1);
    let plain = TcpOptions::default;
    let other = Stranger { port: 10, ..stranger };
    let later = Stranger { seq: stranger.seq + 1, ..stranger };
    let forged = [
        stranger.frame(ACK, cookie.wrapping_add(1), plain(), b""),
        stranger.frame(ACK, cookie ^ 0x8000_0000, plain(), b""),
        other.frame(ACK, cookie, plain(), b""),
        later.frame(ACK, cookie, plain(), b""),
    ];
    for (count, frame) in (1..).zip(forged) {
        assert_eq!(answer(&mut net, frame).flags, RST);
        assert_eq!(counts(&net), (1, 0, count));
    }
    // A RST, and a SYN with an ACK, bring no cookie back.
    assert!(ask(&mut net, stranger.frame(RST, cookie, plain(), b"")).is_empty());
    assert_eq!(answer(&mut net, stranger.frame(SYN, cookie, plain(), b"")).flags, RST);
    assert_eq!((counts(&net), net.hosts[SERVER].stack.sockets()), ((1, 0, 4), 1));
    assert!(ask(&mut net, stranger.frame(ACK, cookie, plain(), b"")).is_empty());
    net.settle();
    assert!(net.accept(&listener).is_ok());
    assert_eq!(counts(&net), (1, 1, 4));
}

//= https://www.rfc-editor.org/rfc/rfc4987#section-3.6
//= type=test
//# to prevent replay, some time-dependent random bits must be embedded in the sequence number (4987:3.6-3).
#[test]
fn a_cookie_gets_too_old() {
    for (seconds, good) in [(0, true), (63, true), (129, false)] {
        let (mut net, listener) = guarded(SynCookies::Always);
        let stranger = Stranger::new(9);
        let cookie = answer(&mut net, stranger.syn()).seq.wrapping_add(1);
        assert!(net.run_for(secs(seconds)));
        // The flood goes on.
        ask(&mut net, Stranger::new(10).syn());
        let answers = ask(&mut net, stranger.frame(ACK, cookie, TcpOptions::default(), b""));
        assert_eq!(answers.is_empty(), good, "after {seconds} s");
        net.settle();
        assert_eq!(net.accept(&listener).is_ok(), good, "after {seconds} s");
    }
}

#[test]
fn the_ack_may_bring_data_and_the_end() {
    let (mut net, listener) = guarded(SynCookies::Always);
    let stranger = Stranger::new(9);
    let cookie = answer(&mut net, stranger.syn()).seq.wrapping_add(1);
    let last = Flags::FIN.with(Flags::PSH);
    let reply = answer(&mut net, stranger.frame(last, cookie, TcpOptions::default(), b"question"));
    assert_eq!((reply.flags, reply.ack), (ACK, stranger.seq + 1 + 8 + 1));
    net.settle();
    let server = net.accept(&listener).expect("accept");
    assert_eq!(net.recv(&server, 99), Ok(b"question".to_vec()));
    assert_eq!(net.recv(&server, 99), Ok(Vec::new()));
    let now = net.now;
    let info = net.hosts[SERVER].stack.tcp_info(now, server.id).expect("figures");
    assert_eq!((info.snd_mss, info.state), (536, 8), "of 1000 offered, the size that a cookie can tell");
}

#[test]
fn a_cookie_that_finds_the_accept_queue_full_comes_again_or_is_reset() {
    for abort in [false, true] {
        let mut plan = Plan::default();
        plan.configs[SERVER].tcp.syn_cookies = SynCookies::Always;
        plan.configs[SERVER].tcp.abort_on_overflow = abort;
        let mut net = network(plan);
        let listener = net.listen(SERVER, address(SERVER_V4), 0).expect("listen");
        let (one, two) = (Stranger::new(9), Stranger::new(10));
        let cookies = [one, two].map(|who| answer(&mut net, who.syn()).seq.wrapping_add(1));
        let bring = |net: &mut Network, n: usize| {
            ask(net, [one, two][n].frame(Flags::PSH, cookies[n], TcpOptions::default(), b"data"))
        };
        assert_eq!(bring(&mut net, 0).len(), 1);
        let refused = bring(&mut net, 1);
        assert_eq!(refused.first().map(|answer| answer.flags), abort.then_some(RST));
        assert_eq!(net.hosts[SERVER].stack.counters().dropped(Drop::TcpAcceptQueue), 1);
        net.settle();
        assert!(net.accept(&listener).is_ok());
        assert_eq!(bring(&mut net, 1).len(), 1, "there is room");
        net.settle();
        let server = net.accept(&listener).expect("accept");
        assert_eq!(net.recv(&server, 9), Ok(b"data".to_vec()));
    }
}

/// A peer whose first data found the accept queue full has sent its FIN behind it, which brings no cookie back.
#[test]
fn what_follows_a_cookie_that_was_turned_away_is_not_reset() {
    let mut plan = Plan::default();
    plan.configs[SERVER].tcp.syn_cookies = SynCookies::Always;
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 0).expect("listen");
    let (one, two) = (Stranger::new(9), Stranger::new(10));
    let cookies = [one, two].map(|who| answer(&mut net, who.syn()).seq.wrapping_add(1));
    let plain = TcpOptions::default;
    let data = || two.frame(Flags::PSH, cookies[1], plain(), b"data");
    let fin = || Stranger { seq: two.seq + 4, ..two }.frame(Flags::FIN, cookies[1], plain(), b"");
    assert_eq!(answer(&mut net, fin()).flags, RST, "nobody was turned away");
    assert_eq!(ask(&mut net, one.frame(Flags::PSH, cookies[0], plain(), b"data")).len(), 1);
    assert!(ask(&mut net, data()).is_empty());
    net.settle();
    assert!(net.accept(&listener).is_ok());
    assert!(ask(&mut net, fin()).is_empty(), "it will be sent again, behind the data");
    assert_eq!(ask(&mut net, data()).len(), 1);
    assert_eq!(ask(&mut net, fin()).len(), 1);
    net.settle();
    let server = net.accept(&listener).expect("accept");
    assert_eq!(net.recv(&server, 9), Ok(b"data".to_vec()));
    assert_eq!(net.recv(&server, 9), Ok(Vec::new()));
    net.run_for(Duration::from_secs(200));
    assert_eq!(
        answer(&mut net, Stranger::new(11).frame(ACK, 5, plain(), b"")).flags,
        RST,
        "that was long ago"
    );
}

#[test]
fn who_was_connected_before_needs_no_cookie() {
    let (mut net, listener) = guarded(SynCookies::Always);
    for round in 0..3 {
        let client = net.socket(CLIENT, usertcp_core::stack::Domain::V4).expect("socket");
        let now = net.now;
        let stack = &mut net.hosts[CLIENT].stack;
        stack.bind(client.id, address("192.0.2.1:7777")).expect("bind");
        stack.connect(now, client.id, address(SERVER_V4)).expect("connect");
        net.settle();
        let server = net.accept(&listener).expect("accept");
        net.close(&server);
        net.settle();
        net.close(&client);
        net.settle();
        assert_eq!(net.hosts[SERVER].stack.sockets(), 2, "the listener, and TIME-WAIT");
        assert_eq!(counts(&net), (1, 1, 0), "round {round}");
        assert!(net.run_for(secs(1)));
    }
}

//= https://www.rfc-editor.org/rfc/rfc4987#section-3.7
//= type=test
//# in the event that the cache becomes full, then SYN cookies can be sent instead of purging cache entries upon the arrival of new SYNs (4987:3.7-1).
#[test]
fn the_syn_queue_empties_and_cookies_end() {
    let (mut net, _listener) = guarded(SynCookies::WhenFull);
    let (kept, late) = (Stranger::new(9), Stranger::new(10));
    let first = answer(&mut net, kept.syn());
    assert_eq!(answer(&mut net, kept.syn()).seq, first.seq, "a SYN that comes again is answered again");
    answer(&mut net, late.syn());
    assert_eq!(counts(&net).0, 1);
    // A RST of a half-open connection makes room.
    assert!(ask(&mut net, kept.frame(RST, 0, TcpOptions::default(), b"")).is_empty());
    assert_eq!(net.hosts[SERVER].stack.sockets(), 1);
    answer(&mut net, late.syn());
    assert_eq!((counts(&net).0, net.hosts[SERVER].stack.sockets()), (1, 2));
}
