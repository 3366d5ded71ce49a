//! Datagram sockets as programs call them: sleeping, flags, close.

use super::pair::*;
use crate::events::asleep;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use usertcp_core::api::*;

fn bound(stack: &Stack, number: u8, domain: Domain) -> (Socket, SocketAddr) {
    let socket = stack.datagram_socket(domain).expect("a socket");
    let ip = if domain == Domain::V4 { format!("192.0.2.{number}") } else { format!("2001:db8::{number}") };
    socket.bind(SocketAddr::new(ip.parse().expect("an address"), 0)).expect("bind");
    let address = socket.local_address().expect("a name");
    (socket, address)
}

#[test]
fn a_question_and_its_answer() {
    let pair = Pair::new();
    for domain in [Domain::V4, Domain::V6] {
        let (server, address) = bound(&pair.server, 2, domain);
        let client = pair.client.datagram_socket(domain).expect("a socket");
        assert_eq!((server.kind(), client.kind()), (SocketKind::Datagram, SocketKind::Datagram));
        thread::scope(|scope| {
            let answering = asleep(scope, || {
                let asked = server.recv_datagram(NONE, WAIT).expect("recv").expect("no end");
                assert_eq!((&asked.bytes[..], asked.to), (&b"question"[..], address.ip()));
                server.send_to(b"answer", Some(asked.from), NONE, WAIT).expect("send");
            });
            client.send_to(b"question", Some(address), NONE, WAIT).expect("send");
            let mut buffer = [0; 100];
            let (count, from) = client.recv_from(&mut buffer, NONE, WAIT).expect("recv");
            assert_eq!((&buffer[..count], from), (&b"answer"[..], Some(address)));
            answering.join().expect("the server");
        });
    }
}

/// What it would wait for tells nobody.
#[test]
fn who_finds_no_port_to_send_from_does_not_sleep() {
    let pair = Pair::with(|options| {
        options.config.udp.port_first = 40_000;
        options.config.udp.port_last = 40_001;
    });
    let (_server, address) = bound(&pair.server, 2, Domain::V4);
    let taken = [1, 2].map(|_| bound(&pair.client, 1, Domain::V4));
    let late = pair.client.datagram_socket(Domain::V4).expect("a socket");
    assert_eq!(errno(late.send_to(b"x", Some(address), NONE, WAIT)), Errno::EADDRNOTAVAIL);
    assert_eq!(errno(late.connect(address, WAIT)), Errno::EAGAIN);
    taken[0].0.close().expect("close");
    late.send_to(b"x", Some(address), NONE, WAIT).expect("a port is free");
}

#[test]
fn flags_are_those_of_the_system() {
    let pair = Pair::new();
    let (server, address) = bound(&pair.server, 2, Domain::V4);
    let client = pair.client.datagram_socket(Domain::V4).expect("a socket");
    let dont_wait = MessageFlags::DONTWAIT;
    assert_eq!(errno(server.recv(&mut [0; 9], dont_wait, WAIT)), Errno::EAGAIN);
    assert_eq!(errno(server.recv(&mut [0; 9], NONE, Wait::Never)), Errno::EAGAIN);
    assert_eq!(errno(server.recv(&mut [0; 9], NONE, Wait::AtMost(Duration::from_millis(20)))), Errno::EAGAIN);
    assert_eq!(errno(server.recv_slices(9, NONE, Wait::Never)), Errno::EOPNOTSUPP);
    assert_eq!(errno(server.listen(1)), Errno::EOPNOTSUPP);
    assert_eq!(errno(server.accept(Wait::Never)), Errno::EOPNOTSUPP);
    assert_eq!(errno(server.recv(&mut [0; 9], MessageFlags::ERRQUEUE, WAIT)), Errno::EAGAIN);
    for flags in [MessageFlags::OOB, MessageFlags::MORE] {
        assert_eq!(errno(client.send_to(b"x", Some(address), flags, WAIT)), Errno::EOPNOTSUPP);
    }
    for bytes in [&b"0123456789"[..], b"", b"next"] {
        client.send_to(bytes, Some(address), NONE, WAIT).expect("send");
    }
    let mut buffer = [0; 4];
    let peek = MessageFlags(MessageFlags::PEEK.0 | MessageFlags::TRUNC.0);
    assert_eq!(server.recv(&mut buffer, peek, WAIT).expect("recv"), 10, "its whole length");
    assert_eq!(server.recv(&mut buffer, NONE, WAIT).expect("recv"), 4, "what fits, and the rest is lost");
    assert_eq!(&buffer, b"0123");
    assert_eq!(server.recv(&mut buffer, MessageFlags::OOB, WAIT).expect("recv"), 0, "an empty one");
    assert_eq!(server.recv(&mut [], NONE, WAIT).expect("recv"), 0, "room for nothing takes it all the same");
    assert_eq!(errno(server.recv(&mut buffer, NONE, Wait::Never)), Errno::EAGAIN);
}

#[test]
fn close_wakes_who_sleeps_and_what_was_sent_arrives() {
    let pair = Pair::new();
    let (server, address) = bound(&pair.server, 2, Domain::V4);
    let client = pair.client.datagram_socket(Domain::V4).expect("a socket");
    thread::scope(|scope| {
        let sleeping = asleep(scope, || errno(client.recv(&mut [0; 9], NONE, WAIT)));
        client.send_to(b"last", Some(address), NONE, WAIT).expect("send");
        client.close().expect("close");
        assert_eq!(sleeping.join().expect("the sleeper"), Errno::ECANCELED);
    });
    assert_eq!(errno(client.send_to(b"x", Some(address), NONE, WAIT)), Errno::EBADF);
    let mut buffer = [0; 9];
    assert_eq!(server.recv(&mut buffer, NONE, WAIT).expect("recv"), 4);
    pair.server.close(Some(PATIENCE)).expect("close");
    assert_eq!(errno(server.recv(&mut buffer, NONE, WAIT)), Errno::EBADF);
}

#[test]
fn poll_and_the_descriptor_tell_of_datagrams() {
    let pair = Pair::new();
    let (server, address) = bound(&pair.server, 2, Domain::V4);
    let client = pair.client.datagram_socket(Domain::V4).expect("a socket");
    assert_eq!(server.readiness(), Readiness::OUT);
    let fd = server.readiness_fd().expect("a descriptor");
    let shown = |wait| {
        let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        usertcp_core::sys::poll(std::slice::from_mut(&mut entry), Some(wait)).expect("poll");
        entry.revents & libc::POLLIN != 0
    };
    assert!(!shown(Duration::ZERO));
    client.connect(address, WAIT).expect("connect");
    client.send(b"x", NONE, WAIT).expect("send");
    let mut entries = [PollEntry { socket: Some(&server), interest: Readiness::IN, ready: Readiness(0) }];
    assert_eq!(poll(&mut entries, WAIT).expect("poll"), 1);
    assert_eq!(entries[0].ready, Readiness::IN);
    assert!(shown(PATIENCE));
    assert_eq!(server.recv(&mut [0; 9], NONE, WAIT).expect("recv"), 1);
    assert!(!shown(Duration::ZERO));
    // A refusal shows as an error, and is told once.
    server.close().expect("close");
    client.send(b"x", NONE, WAIT).expect("send");
    let mut entries = [PollEntry { socket: Some(&client), interest: Readiness::IN, ready: Readiness(0) }];
    assert_eq!(poll(&mut entries, WAIT).expect("poll"), 1);
    assert_eq!(entries[0].ready, Readiness::ERR);
    assert_eq!(client.take_error().expect("an error"), Some(Errno::ECONNREFUSED));
    client.dissolve().expect("dissolve");
    assert_eq!(errno(client.send(b"x", NONE, WAIT)), Errno::EDESTADDRREQ);
}

#[test]
fn a_full_buffer_makes_the_sender_sleep() {
    // The link of the client carries nothing away.
    let (one, _two) = link();
    let mut options = options(1, one);
    options.config.udp.send = 4096;
    let stack = Stack::open(options).expect("a stack");
    let client = stack.datagram_socket(Domain::V4).expect("a socket");
    let far = "192.0.2.2:9".parse().expect("an address");
    let mut sent = 0;
    let full = loop {
        match client.send_to(&[0; 1000], Some(far), NONE, Wait::AtMost(Duration::from_millis(100))) {
            Ok(_) => sent += 1,
            Err(error) => break error.errno(),
        }
    };
    assert_eq!(full, Errno::EAGAIN);
    assert!(sent >= 4, "{sent}");
    assert!(!client.readiness().any(Readiness::OUT));
}

/// The stack may hear of the close from a datagram that comes meanwhile.
#[test]
fn abort_succeeds_while_datagrams_come() {
    let pair = Pair::new();
    let client = pair.client.datagram_socket(Domain::V4).expect("a socket");
    let target = server_address(Domain::V4, 5000);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // Refused where nobody has the port just then.
                let _ = client.send_to(b"x", Some(target), NONE, WAIT);
            }
        });
        let bind_and_abort = || {
            let socket = pair.server.datagram_socket(Domain::V4)?;
            socket.bind(target)?;
            socket.abort()
        };
        let aborted: Result<()> = (0..100_000).try_for_each(|_| bind_and_abort());
        over.store(true, Ordering::Relaxed);
        aborted.expect("each of them");
    });
}
