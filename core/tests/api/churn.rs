//! Connections that many threads open, use and end in every way at once.

use super::pair::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use usertcp_core::api::*;

const THREADS: u64 = 8;
const ROUNDS: u64 = 40;

/// Echoes until the client ends it, one way or another.
fn serve(socket: &Socket) {
    let mut buffer = [0; 5000];
    while let Ok(count) = socket.recv(&mut buffer, NONE, WAIT) {
        if count == 0 || socket.send(&buffer[..count], NONE, WAIT).is_err() {
            return;
        }
    }
}

/// One connection, used a little and ended as `number` says.
fn visit(client: &Socket, number: u64) {
    let bytes = pattern(number, 1 + (number as usize * 997) % 40_000);
    thread::scope(|scope| {
        let sender = scope.spawn(|| client.send(&bytes, NONE, WAIT));
        let mut echoed = vec![0; bytes.len()];
        let wanted = if number.is_multiple_of(4) { bytes.len() } else { bytes.len() / 2 };
        let count = client.recv(&mut echoed[..wanted], MessageFlags::WAITALL, WAIT).expect("the echo");
        assert!(count == wanted && echoed[..count] == bytes[..count]);
        match number % 4 {
            0 => client.shutdown(Shutdown::Write).expect("shutdown"),
            1 => client.abort().expect("abort"),
            2 => client.close().expect("close"),
            _ => {}
        }
        let sent = sender.join().expect("the sender").map_err(|error| error.errno());
        let ended = matches!(sent, Err(Errno::ECANCELED | Errno::EBADF | Errno::EPIPE));
        assert!(sent.is_ok() || ended, "{sent:?}");
    });
}

#[test]
fn connections_end_in_every_way_at_once() {
    let pair = Pair::new();
    let (listener, address) = pair.listener(Domain::V4, 64);
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        let acceptors: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    while let Ok((socket, _)) = listener.accept(WAIT) {
                        serve(&socket);
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let visitors: Vec<_> = (0..THREADS)
            .map(|thread| {
                let client = &pair.client;
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let socket = client.socket(Domain::V4).expect("a socket");
                        socket.connect(address, WAIT).expect("connect");
                        visit(&socket, thread * ROUNDS + round);
                    }
                })
            })
            .collect();
        for visitor in visitors {
            visitor.join().expect("a visitor");
        }
        let all = (THREADS * ROUNDS) as usize;
        crate::events::until("every connection served", || served.load(Ordering::Relaxed) == all);
        listener.close().expect("close");
        for acceptor in acceptors {
            acceptor.join().expect("an acceptor");
        }
    });
    pair.client.close(Some(PATIENCE)).expect("close");
}
