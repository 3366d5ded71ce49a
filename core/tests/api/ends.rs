//! How connections end.

use super::pair::*;
use crate::events::asleep;
use std::thread;
use std::time::Instant;
use usertcp_core::api::*;

#[test]
fn nobody_listens() {
    let pair = Pair::new();
    for domain in [Domain::V4, Domain::V6] {
        let client = pair.client.socket(domain).expect("a socket");
        assert_eq!(errno(client.connect(server_address(domain, 9), WAIT)), Errno::ECONNREFUSED);
    }
}

#[test]
fn abort_resets() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    client.abort().expect("abort");
    assert_eq!(errno(client.send(b"x", NONE, WAIT)), Errno::EBADF);
    assert_eq!(errno(server.recv(&mut [0], NONE, WAIT)), Errno::ECONNRESET);
    assert_eq!(server.recv(&mut [0], NONE, WAIT).expect("the end"), 0);
    assert_eq!(errno(server.send(b"x", NONE, WAIT)), Errno::EPIPE);
}

#[test]
fn half_a_connection_goes_on() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    client.shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(errno(client.send(b"x", NONE, WAIT)), Errno::EPIPE);
    assert_eq!(server.recv(&mut [0], NONE, WAIT).expect("the end"), 0);
    server.send(b"still here", NONE, WAIT).expect("send");
    server.close().expect("close");
    assert_eq!(read_to_end(&client), b"still here");
}

#[test]
fn a_dropped_socket_is_closed() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    drop(server);
    assert_eq!(client.recv(&mut [0], NONE, WAIT).expect("the end"), 0);
}

#[test]
fn a_listener_that_closes_resets_what_waits() {
    let pair = Pair::new();
    let (listener, address) = pair.listener(Domain::V4, 8);
    let client = pair.client.socket(Domain::V4).expect("a socket");
    client.connect(address, WAIT).expect("connect");
    let mut entries = [PollEntry { socket: Some(&listener), interest: Readiness::IN, ready: Readiness(0) }];
    assert_eq!(poll(&mut entries, WAIT).expect("poll"), 1);
    listener.close().expect("close");
    assert_eq!(errno(client.recv(&mut [0], NONE, WAIT)), Errno::ECONNRESET);
}

#[test]
fn close_lingers_until_everything_is_acknowledged() {
    let pair = Pair::narrow(50_000);
    let (client, server) = pair.connection(Domain::V4);
    let linger = [1_i32.to_ne_bytes(), 20_i32.to_ne_bytes()].concat();
    client.set_option(libc::SOL_SOCKET, libc::SO_LINGER, &linger).expect("SO_LINGER");
    let bytes = pattern(8, 500_000);
    assert_eq!(client.send(&bytes, NONE, WAIT).expect("send"), bytes.len());
    thread::scope(|scope| {
        let closing = asleep(scope, || client.close().expect("close"));
        assert!(!closing.is_finished(), "unread data is in flight");
        assert!(read_to_end(&server) == bytes);
        closing.join().expect("the closing thread");
    });
}

#[test]
fn close_lingers_no_longer_than_told() {
    let pair = Pair::narrow(50_000);
    let (client, _server) = pair.connection(Domain::V4);
    let linger = [1_i32.to_ne_bytes(), 1_i32.to_ne_bytes()].concat();
    client.set_option(libc::SOL_SOCKET, libc::SO_LINGER, &linger).expect("SO_LINGER");
    assert_eq!(client.send(&pattern(9, 500_000), NONE, WAIT).expect("send"), 500_000);
    let start = Instant::now();
    client.close().expect("close");
    assert!((Duration::from_secs(1)..PATIENCE).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[test]
fn a_socket_that_does_not_block_lingers_too() {
    let pair = Pair::narrow(50_000);
    let (client, server) = pair.connection(Domain::V6);
    let linger = [1_i32.to_ne_bytes(), 20_i32.to_ne_bytes()].concat();
    client.set_option(libc::SOL_SOCKET, libc::SO_LINGER, &linger).expect("SO_LINGER");
    let bytes = pattern(10, 500_000);
    assert_eq!(client.send(&bytes, NONE, WAIT).expect("send"), bytes.len());
    client.set_nonblocking(true).expect("non-blocking");
    thread::scope(|scope| {
        let closing = asleep(scope, || client.close().expect("close"));
        assert!(!closing.is_finished(), "as in Linux");
        assert!(read_to_end(&server) == bytes);
        closing.join().expect("the closing thread");
    });
}

#[test]
fn the_link_goes_and_takes_everything_with_it() {
    let (one, two) = link();
    let stack = Stack::open(options(1, one)).expect("a stack");
    let server = Stack::open(options(2, two)).expect("a stack");
    let pair = Pair { client: stack, server, judged: Vec::new() };
    let (client, _far) = pair.connection(Domain::V4);
    thread::scope(|scope| {
        let reader = asleep(scope, || client.recv(&mut [0], NONE, Wait::Forever));
        // The server's end of the link closes with its stack, which has no time to say so in TCP.
        drop(_far);
        let _ = pair.server.close(Some(Duration::ZERO));
        let answer = reader.join().expect("the reader");
        assert!(answer.as_ref().is_ok_and(|count| *count == 0) || answer.is_err(), "{answer:?}");
    });
    let late = pair.client.socket(Domain::V4);
    let refused = late.and_then(|socket| socket.connect(server_address(Domain::V4, 9), WAIT));
    assert_eq!(errno(refused), Errno::ENETDOWN);
}
