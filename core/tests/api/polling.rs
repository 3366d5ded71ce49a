//! poll over many sockets.

use super::pair::*;
use crate::events::asleep;
use std::thread;
use std::time::Instant;
use usertcp_core::api::*;

fn entry(socket: &Socket, interest: Readiness) -> PollEntry<'_> {
    PollEntry { socket: Some(socket), interest, ready: Readiness(0) }
}

#[test]
fn sockets_of_two_stacks_stand_in_one_call() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let (listener, _) = pair.listener(Domain::V4, 1);
    let mut entries = [
        entry(&client, Readiness::IN),
        PollEntry { socket: None, interest: Readiness::IN, ready: Readiness(0xff) },
        entry(&server, Readiness::IN),
        entry(&listener, Readiness::IN),
    ];
    assert_eq!(poll(&mut entries, Wait::Never).expect("poll"), 0);
    thread::scope(|scope| {
        let polling = asleep(scope, || {
            let count = poll(&mut entries, WAIT).expect("poll");
            (count, entries.map(|entry| entry.ready))
        });
        client.send(b"x", NONE, WAIT).expect("send");
        let (count, ready) = polling.join().expect("the polling thread");
        assert_eq!((count, ready), (1, [Readiness(0), Readiness(0), Readiness::IN, Readiness(0)]));
    });
}

#[test]
fn readiness_follows_a_connection() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    assert_eq!(client.readiness(), Readiness::OUT);
    server.send(b"x", NONE, WAIT).expect("send");
    let mut entries = [entry(&client, Readiness::IN)];
    poll(&mut entries, WAIT).expect("poll");
    assert_eq!(client.readiness(), Readiness::IN | Readiness::OUT);
    client.recv(&mut [0], NONE, WAIT).expect("recv");
    assert_eq!(client.readiness(), Readiness::OUT);
    server.shutdown(Shutdown::Write).expect("shutdown");
    let mut entries = [entry(&client, Readiness::RDHUP)];
    assert_eq!(poll(&mut entries, WAIT).expect("poll"), 1);
    assert_eq!(entries[0].ready, Readiness::RDHUP);
    assert_eq!(client.readiness(), Readiness::IN | Readiness::OUT | Readiness::RDHUP);
}

#[test]
fn poll_without_sockets_is_a_sleep() {
    let start = Instant::now();
    assert_eq!(poll(&mut [], Wait::AtMost(Duration::from_millis(20))).expect("poll"), 0);
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_socket_closed_meanwhile_shows() {
    let pair = Pair::new();
    let (client, _server) = pair.connection(Domain::V4);
    thread::scope(|scope| {
        let polling = asleep(scope, || {
            let mut entries = [entry(&client, Readiness::IN)];
            poll(&mut entries, WAIT).expect("poll");
            entries[0].ready
        });
        client.close().expect("close");
        assert_eq!(polling.join().expect("the polling thread"), Readiness::NVAL);
    });
}

#[test]
fn a_stack_closed_meanwhile_shows() {
    let pair = Pair::new();
    let (listener, _) = pair.listener(Domain::V4, 1);
    thread::scope(|scope| {
        let polling = asleep(scope, || {
            let mut entries = [entry(&listener, Readiness::IN)];
            poll(&mut entries, WAIT).expect("poll");
            entries[0].ready
        });
        pair.server.close(Some(PATIENCE)).expect("close");
        assert_eq!(polling.join().expect("the polling thread"), Readiness::NVAL);
    });
}
