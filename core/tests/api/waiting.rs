//! How long calls sleep, and what ends their sleep.

use super::pair::*;
use crate::events::asleep;
use std::thread;
use std::time::Instant;
use usertcp_core::api::*;

const SHORT: Duration = Duration::from_millis(30);

#[test]
fn calls_that_may_not_sleep_say_so() {
    let pair = Pair::new();
    let (listener, address) = pair.listener(Domain::V4, 8);
    assert_eq!(errno(listener.accept(Wait::Never)), Errno::EAGAIN);
    listener.set_nonblocking(true).expect("non-blocking");
    assert!(listener.nonblocking().expect("a flag"));
    assert_eq!(errno(listener.accept(Wait::AsSet)), Errno::EAGAIN);
    let client = pair.client.socket(Domain::V4).expect("a socket");
    let nobody = "192.0.2.99:9".parse().expect("an address");
    let lonely = pair.client.socket(Domain::V4).expect("a socket");
    assert_eq!(errno(lonely.connect(nobody, Wait::Never)), Errno::EINPROGRESS);
    // A peer this near may answer before the call returns.
    let connecting = client.connect(address, Wait::Never).map_err(|error| error.errno());
    assert!(matches!(connecting, Ok(()) | Err(Errno::EINPROGRESS)), "{connecting:?}");
    let (server, _) = listener.accept(WAIT).expect("accept");
    let mut entries = [PollEntry { socket: Some(&client), interest: Readiness::OUT, ready: Readiness(0) }];
    assert_eq!(poll(&mut entries, WAIT).expect("poll"), 1);
    assert_eq!(client.take_error().expect("the outcome"), None);
    assert_eq!(errno(client.recv(&mut [0], NONE, Wait::Never)), Errno::EAGAIN);
    assert_eq!(errno(server.recv(&mut [0], MessageFlags::DONTWAIT, WAIT)), Errno::EAGAIN);
    assert_eq!(errno(client.connect(address, Wait::Never)), Errno::EISCONN);
    let mut queued = 0;
    let refused = loop {
        match client.send(&[0; 100_000], NONE, Wait::Never) {
            Ok(count) => queued += count,
            Err(error) => break error.errno(),
        }
    };
    assert_eq!(refused, Errno::EAGAIN);
    assert!(queued >= Config::default().buffers.send_initial, "{queued}");
    assert_eq!(client.send(&[], NONE, Wait::Never).expect("nothing to send"), 0);
}

#[test]
fn time_outs_end_calls() {
    let pair = Pair::new();
    let (client, _server) = pair.connection(Domain::V4);
    let start = Instant::now();
    assert_eq!(errno(client.recv(&mut [0], NONE, Wait::AtMost(SHORT))), Errno::EAGAIN);
    assert!(start.elapsed() >= SHORT);
    client.set_timeouts(Some(SHORT), None).expect("time-outs");
    assert_eq!(client.timeouts().expect("time-outs"), (Some(SHORT), None));
    assert_eq!(errno(client.recv(&mut [0], NONE, Wait::AsSet)), Errno::EAGAIN);
    let timeval = [0_i64.to_ne_bytes(), 20_000_i64.to_ne_bytes()].concat();
    client.set_option(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &timeval).expect("SO_RCVTIMEO");
    assert_eq!(client.option(libc::SOL_SOCKET, libc::SO_RCVTIMEO).expect("SO_RCVTIMEO"), timeval);
    assert_eq!(client.timeouts().expect("time-outs").0, Some(Duration::from_millis(20)));
    assert_eq!(errno(client.recv(&mut [0], NONE, Wait::AsSet)), Errno::EAGAIN);
    let (listener, _) = pair.listener(Domain::V4, 1);
    assert_eq!(errno(listener.accept(Wait::AtMost(SHORT))), Errno::EAGAIN);
}

#[test]
fn a_full_buffer_sends_what_there_is_room_for() {
    let pair = Pair::with(|options| {
        options.config.buffers.send = 100_000;
        options.config.buffers.receive = 100_000;
    });
    let (client, server) = pair.connection(Domain::V4);
    let bytes = pattern(6, 1_000_000);
    let sent = client.send(&bytes, NONE, Wait::AtMost(SHORT)).expect("some of it");
    assert!((100_000..1_000_000).contains(&sent), "{sent}");
    client.shutdown(Shutdown::Write).expect("shutdown");
    assert!(read_to_end(&server) == bytes[..sent]);
}

#[test]
fn connect_gives_up_when_nobody_answers() {
    let (one, _two) = link();
    let mut options = options(1, one);
    options.config.tcp.rto_initial = Duration::from_millis(20);
    options.config.tcp.rto_min = Duration::from_millis(20);
    options.config.tcp.syn_retries = 2;
    let stack = Stack::open(options).expect("a stack");
    let socket = stack.socket(Domain::V4).expect("a socket");
    let nobody = "192.0.2.99:9".parse().expect("an address");
    assert_eq!(errno(socket.connect(nobody, Wait::AtMost(Duration::from_millis(10)))), Errno::EINPROGRESS);
    assert_eq!(errno(socket.connect(nobody, Wait::Never)), Errno::EALREADY);
    assert_eq!(errno(socket.connect(nobody, WAIT)), Errno::ETIMEDOUT);
    let again = stack.socket(Domain::V4).expect("a socket");
    assert_eq!(errno(again.connect(nobody, Wait::Forever)), Errno::ETIMEDOUT);
}

#[test]
fn close_wakes_ten_sleepers() {
    let pair = Pair::new();
    let (client, _server) = pair.connection(Domain::V4);
    let (listener, _) = pair.listener(Domain::V4, 1);
    thread::scope(|scope| {
        let readers: Vec<_> =
            (0..10).map(|_| asleep(scope, || client.recv(&mut [0], NONE, Wait::Forever))).collect();
        let acceptors: Vec<_> =
            (0..10).map(|_| asleep(scope, || listener.accept(Wait::Forever).map(|_| 0))).collect();
        client.close().expect("close");
        listener.close().expect("close");
        for thread in readers.into_iter().chain(acceptors) {
            assert_eq!(errno(thread.join().expect("a sleeper")), Errno::ECANCELED);
        }
    });
    assert_eq!(errno(client.close()), Errno::EBADF);
    assert_eq!(errno(client.recv(&mut [0], NONE, WAIT)), Errno::EBADF);
    assert_eq!(errno(client.send(b"x", NONE, WAIT)), Errno::EBADF);
    assert_eq!(errno(client.local_address()), Errno::EBADF);
    assert_eq!(errno(listener.accept(WAIT)), Errno::EBADF);
    assert_eq!(client.readiness(), Readiness::NVAL);
}
