//! Bytes arrive, all of them, in order, both ways.

use super::pair::*;
use std::thread;
use usertcp_core::api::*;

fn both_ways(pair: &Pair, domain: Domain, length: usize) {
    let (client, server) = pair.connection(domain);
    let (up, down) = (pattern(1, length), pattern(2, length));
    thread::scope(|scope| {
        for (socket, bytes) in [(&client, &up), (&server, &down)] {
            scope.spawn(move || {
                let mut at = 0_usize;
                for size in [1, 10, 1000, 1447, 2047, 2048, 5000, 70_000, usize::MAX] {
                    let end = bytes.len().min(at.saturating_add(size));
                    assert_eq!(socket.send(&bytes[at..end], NONE, WAIT).expect("send"), end - at);
                    at = end;
                }
                socket.shutdown(Shutdown::Write).expect("shutdown");
            });
        }
        let up_read = scope.spawn(|| read_to_end(&server));
        assert!(read_to_end(&client) == down, "what the server sent");
        assert!(up_read.join().expect("the reader") == up, "what the client sent");
    });
}

#[test]
fn both_ways_at_once_over_both_families() {
    let pair = Pair::new();
    both_ways(&pair, Domain::V4, 3_000_001);
    both_ways(&pair, Domain::V6, 3_000_001);
    let counters = pair.client.counters().expect("counters");
    assert_eq!((counters.tcp_active_opens, counters.tcp_retransmits), (2, 0));
}

#[test]
fn twenty_connections_at_once() {
    let pair = Pair::new();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| both_ways(&pair, Domain::V4, 200_000));
        }
    });
}

#[test]
fn small_writes_and_small_reads() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let bytes = pattern(3, 20_000);
    thread::scope(|scope| {
        scope.spawn(|| {
            for piece in bytes.chunks(7) {
                assert_eq!(client.send(piece, NONE, WAIT).expect("send"), piece.len());
            }
            client.close().expect("close");
        });
        let mut read = Vec::new();
        let mut buffer = [0; 11];
        loop {
            match server.recv(&mut buffer, NONE, WAIT).expect("recv") {
                0 => break,
                count => read.extend_from_slice(&buffer[..count]),
            }
        }
        assert!(read == bytes);
    });
}

#[test]
fn a_reader_that_starts_late_gets_everything() {
    let pair = Pair::with(|options| options.config.buffers.receive = 64 << 10);
    let (client, server) = pair.connection(Domain::V4);
    let bytes = pattern(4, 400_000);
    let mut sent = 0;
    while let Ok(count) = client.send(&bytes[sent..], NONE, Wait::AtMost(Duration::from_millis(50))) {
        sent += count;
        if sent == bytes.len() {
            break;
        }
    }
    client.shutdown(Shutdown::Write).expect("shutdown");
    assert!(read_to_end(&server) == bytes[..sent]);
}

#[test]
fn peek_leaves_and_waitall_waits() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    client.send(b"hello", NONE, WAIT).expect("send");
    let mut buffer = [0; 10];
    assert_eq!(server.recv(&mut buffer[..3], MessageFlags::PEEK, WAIT).expect("peek"), 3);
    assert_eq!(&buffer[..3], b"hel");
    thread::scope(|scope| {
        let peeking = scope.spawn(|| {
            let flags = MessageFlags(MessageFlags::PEEK.0 | MessageFlags::WAITALL.0);
            let mut buffer = [0; 10];
            let count = server.recv(&mut buffer, flags, WAIT).expect("peek all");
            (count, buffer)
        });
        client.send(b"world", NONE, WAIT).expect("send");
        assert_eq!(peeking.join().expect("the peeking thread"), (10, *b"helloworld"));
    });
    thread::scope(|scope| {
        let mut longer = [0; 13];
        let server = &server;
        let waiting = scope.spawn(move || {
            let count = server.recv(&mut longer, MessageFlags::WAITALL, WAIT).expect("recv all");
            (count, longer)
        });
        client.send(b"abc", NONE, WAIT).expect("send");
        assert_eq!(waiting.join().expect("the waiting thread"), (13, *b"helloworldabc"));
    });
    client.send(b"x", NONE, WAIT).expect("send");
    client.close().expect("close");
    assert_eq!(server.recv(&mut buffer, MessageFlags::WAITALL, WAIT).expect("the end"), 1);
    assert_eq!(server.recv(&mut buffer, NONE, WAIT).expect("the end"), 0);
}

#[test]
fn slices_are_what_recv_would_have_copied() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V6);
    let bytes = pattern(5, 50_000);
    client.send(&bytes, NONE, WAIT).expect("send");
    let slices = server.recv_slices(bytes.len(), MessageFlags::WAITALL, WAIT).expect("recv");
    assert!(slices.concat() == bytes);
    client.close().expect("close");
    assert!(server.recv_slices(1, NONE, WAIT).expect("recv").is_empty());
}

#[test]
fn an_impaired_link_costs_time_and_no_bytes() {
    let pair = Pair::with(|options| {
        options.seed = Some(7);
        options.config.tcp.rto_min = Duration::from_millis(20);
        let impairment = Impairment { loss: 0.02, delay: Duration::from_millis(1), ..Impairment::default() };
        options.impairment = Some(impairment);
    });
    both_ways(&pair, Domain::V4, 300_000);
    let counters = pair.client.counters().expect("counters");
    assert!(counters.tcp_retransmits > 0, "{counters:?}");
}

#[test]
fn threads_share_a_socket() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let total = thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..50).map(|_| client.send(&[1; 3000], NONE, WAIT).expect("send")).sum::<usize>()
                })
            })
            .collect();
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| read_to_end(&server).len())).collect();
        let sent: usize = senders.into_iter().map(|thread| thread.join().expect("a sender")).sum();
        client.shutdown(Shutdown::Write).expect("shutdown");
        let read: usize = readers.into_iter().map(|thread| thread.join().expect("a reader")).sum();
        assert_eq!(sent, read);
        sent
    });
    assert_eq!(total, 4 * 50 * 3000);
}
