//! The life of a stack: opening, closing, dropping, logging, capturing, and a panic inside.

use super::pair::*;
use crate::events::{asleep, measure, sleeps, this_thread, until};
use crate::judge::Judged;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;
use usertcp_core::api::*;
use usertcp_core::sys::{self, PollFd};

//= https://www.rfc-editor.org/rfc/rfc6528#section-4
//= type=test
//# If random numbers are used as the sole source of the secret, they MUST be chosen in accordance with the recommendations given in [RFC4086] (6528:4-1).
#[test]
fn each_stack_has_a_secret_of_its_own() {
    let drawn = || {
        let pair = Pair::new();
        let port = |_| {
            let socket = pair.client.socket(Domain::V4).expect("a socket");
            socket.bind(SocketAddr::new("192.0.2.1".parse().expect("an address"), 0)).expect("bind");
            socket.local_address().expect("its address").port()
        };
        std::array::from_fn::<_, 5, _>(port)
    };
    assert_ne!(drawn(), drawn(), "unless a seed is given");
}

#[test]
fn close_sends_what_is_queued() {
    let pair = Pair::narrow(100_000);
    let (client, server) = pair.connection(Domain::V4);
    let bytes = pattern(10, 1_000_000);
    assert_eq!(client.send(&bytes, NONE, WAIT).expect("send"), bytes.len());
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_to_end(&server));
        pair.client.close(Some(PATIENCE)).expect("close");
        assert!(reader.join().expect("the reader") == bytes);
    });
    assert_eq!(errno(pair.client.close(None)), Errno::EBADF);
    assert_eq!(errno(pair.client.socket(Domain::V4)), Errno::EBADF);
    assert_eq!(errno(pair.client.counters()), Errno::EBADF);
    assert_eq!(errno(client.send(b"x", NONE, WAIT)), Errno::EBADF);
    assert_eq!(client.readiness(), Readiness::NVAL);
}

#[test]
fn close_resets_what_does_not_end_in_time() {
    let pair = Pair::narrow(50_000);
    let (client, server) = pair.connection(Domain::V4);
    assert_eq!(client.send(&pattern(11, 500_000), NONE, WAIT).expect("send"), 500_000);
    assert_eq!(errno(pair.client.close(Some(Duration::from_millis(50)))), Errno::ETIMEDOUT);
    let mut buffer = vec![0; 1 << 20];
    let outcome = loop {
        match server.recv(&mut buffer, NONE, WAIT) {
            Ok(0) => panic!("an end where a reset belongs"),
            Ok(_) => {}
            Err(error) => break error.errno(),
        }
    };
    assert_eq!(outcome, Errno::ECONNRESET);
}

#[test]
fn close_sleeps_until_the_peer_reads() {
    let pair = Pair::narrow(50_000);
    let (client, server) = pair.connection(Domain::V4);
    assert_eq!(client.send(&pattern(12, 500_000), NONE, WAIT).expect("send"), 500_000);
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let stack = pair.client.clone();
        let closer = asleep(scope, move || {
            sender.send(this_thread()).expect("the directory is waited for");
            stack.close(Some(PATIENCE))
        });
        let directory = receiver.recv().expect("a directory");
        let before = sleeps(&directory);
        measure(Duration::from_millis(300));
        let slept = sleeps(&directory) - before;
        assert!(slept < 100, "it woke up {slept} times in 0.3 s with nothing to do");
        assert_eq!(read_to_end(&server).len(), 500_000);
        closer.join().expect("the closer").expect("close");
    });
}

#[test]
fn close_wakes_everybody() {
    let pair = Pair::new();
    let (client, _server) = pair.connection(Domain::V4);
    let listener = pair.client.socket(Domain::V4).expect("a socket");
    listener.listen(1).expect("listen");
    thread::scope(|scope| {
        let reader = asleep(scope, || client.recv(&mut [0], NONE, Wait::Forever).map(|_| ()));
        let acceptor = asleep(scope, || listener.accept(Wait::Forever).map(|_| ()));
        pair.client.close(Some(PATIENCE)).expect("close");
        for sleeper in [reader, acceptor] {
            assert_eq!(errno(sleeper.join().expect("a sleeper")), Errno::ECANCELED);
        }
    });
}

#[test]
fn the_last_drop_ends_the_stack() {
    let (near, far) = UnixDatagram::pair().expect("a socket pair");
    let stack = Stack::open(options(1, near.into())).expect("a stack");
    let socket = stack.socket(Domain::V4).expect("a socket");
    drop(stack.clone());
    drop(stack);
    socket.bind("192.0.2.1:1000".parse().expect("an address")).expect("a socket keeps its stack alive");
    drop(socket);
    until("the device is let go", || far.send(&[0]).is_err());
}

#[test]
fn a_port_is_free_once_its_socket_is_closed() {
    let (near, _far) = link();
    let stack = Stack::open(options(1, near)).expect("a stack");
    for _ in 0..500 {
        let listener = stack.socket(Domain::V4).expect("a socket");
        listener.bind("192.0.2.1:80".parse().expect("an address")).expect("bind");
        listener.listen(1).expect("listen");
        listener.close().expect("close");
    }
}

#[test]
fn close_waits_for_the_device_to_be_free() {
    let (near, far) = UnixDatagram::pair().expect("a socket pair");
    let stack = Stack::open(options(1, near.into())).expect("a stack");
    stack.close(Some(PATIENCE)).expect("close");
    assert!(far.send(&[0]).is_err());
}

#[test]
fn a_process_may_end_with_a_live_stack() {
    const INNER: &str = "USERTCP_TEST_EXITS";
    if std::env::var_os(INNER).is_some() {
        let pair = Pair::new();
        let (client, server) = pair.connection(Domain::V4);
        client.send(&[1; 100_000], NONE, WAIT).expect("send");
        thread::spawn(move || server.recv(&mut [0; 200_000], MessageFlags::WAITALL, Wait::Forever));
        pair.judged.iter().for_each(Judged::discard);
        std::process::exit(7);
    }
    let me = std::env::current_exe().expect("this program");
    let mut command = std::process::Command::new(me);
    command.args(["--exact", "lifetime::a_process_may_end_with_a_live_stack"]).env(INNER, "1");
    assert_eq!(command.output().expect("a process").status.code(), Some(7));
}

#[test]
fn bad_settings_are_named() {
    let (near, _far) = link();
    let mut bad = options(1, near);
    bad.config.mtu = 100;
    let error = Stack::open(bad).expect_err("a small MTU");
    assert_eq!(error.errno(), Errno::EINVAL);
    assert!(error.to_string().contains("mtu"), "{error}");
    let (near, _far) = link();
    let mut bad = options(1, near);
    bad.impairment = Some(Impairment { loss: 2.0, ..Impairment::default() });
    assert_eq!(errno(Stack::open(bad).map(|_| ())), Errno::EINVAL);
    let file = std::fs::File::open("/dev/null").expect("a file");
    assert_eq!(errno(Stack::open(options(1, file.into())).map(|_| ())), Errno::EINVAL);
}

#[test]
fn log_records_arrive_and_may_not_call_back() {
    let (sender, receiver) = mpsc::channel();
    let slot: Arc<Mutex<Option<Stack>>> = Arc::default();
    let inside = slot.clone();
    let sender = Mutex::new(sender);
    let (near, far) = link();
    let mut logged = options(1, near);
    let deliver = move |record: &Record| {
        let stack = inside.lock().expect("the slot").clone();
        let answer = stack.map(|stack| errno(stack.socket(Domain::V4)));
        let _ = sender.lock().expect("the sender").send((record.clone(), answer));
    };
    logged.log = Some(LogSink { level: Level::Trace, deliver: Arc::new(deliver) });
    let stack = Stack::open(logged).expect("a stack");
    *slot.lock().expect("the slot") = Some(stack);
    drop(far);
    let patience = Instant::now() + PATIENCE;
    let found = loop {
        let left = patience.saturating_duration_since(Instant::now());
        let (record, answer) = receiver.recv_timeout(left).expect("a record about the device");
        if record.level == Level::Error && answer.is_some() {
            break answer;
        }
    };
    assert_eq!(found, Some(Errno::EDEADLK));
    slot.lock().expect("the slot").take();
}

#[test]
fn the_log_tells_the_life_of_a_stack() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let listening = told.clone();
    let (near, _far) = link();
    let mut logged = options(1, near);
    let deliver = move |record: &Record| listening.lock().expect("the list").push(record.text.clone());
    logged.log = Some(LogSink { level: Level::Info, deliver: Arc::new(deliver) });
    let stack = Stack::open(logged).expect("a stack");
    stack.close(Some(PATIENCE)).expect("close");
    let told = told.lock().expect("the list").clone();
    assert_eq!(
        told,
        ["opened on a descriptor, MTU 1500, without segmentation offload", "closed, 0 connections reset"]
    );
}

/// Keeps the panics that this program wants to itself; every other one is told as ever.
pub(crate) fn keep_quiet_about(wanted: &'static str) {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<&str>() != Some(&wanted) {
            tell(panic);
        }
    }));
}

#[test]
fn a_panic_inside_shows_in_descriptors() {
    keep_quiet_about("at the first connection");
    let (near, _far) = link();
    let mut logged = options(1, near);
    let deliver = |record: &Record| assert!(!record.text.contains("connecting"), "at the first connection");
    logged.log = Some(LogSink { level: Level::Debug, deliver: Arc::new(deliver) });
    let stack = Stack::open(logged).expect("a stack");
    let listener = stack.socket(Domain::V4).expect("a socket");
    listener.listen(1).expect("listen");
    let descriptor = listener.readiness_fd().expect("a descriptor");
    let client = stack.socket(Domain::V4).expect("a socket");
    drop(client.connect("192.0.2.2:9".parse().expect("an address"), Wait::Never));
    let mut entries = [PollFd { fd: descriptor, events: 0, revents: 0 }];
    assert_eq!(sys::poll(&mut entries, Some(PATIENCE)), Ok(1));
    assert_eq!(entries[0].revents, libc::POLLERR | libc::POLLHUP);
    until("the stack is poisoned", || stack.counters().is_err());
    assert_eq!(errno(listener.readiness_fd()), Errno::ENOTRECOVERABLE);
}

#[test]
fn a_panic_inside_poisons_the_stack_and_wakes_everybody() {
    keep_quiet_about("on purpose");
    let (near, far) = link();
    let mut logged = options(1, near);
    logged.log = Some(LogSink { level: Level::Error, deliver: Arc::new(|_| panic!("on purpose")) });
    let stack = Stack::open(logged).expect("a stack");
    let listener = stack.socket(Domain::V4).expect("a socket");
    listener.bind("192.0.2.1:80".parse().expect("an address")).expect("bind");
    listener.listen(1).expect("listen");
    let sleeping = thread::scope(|scope| {
        let sleeper = asleep(scope, || {
            loop {
                match listener.accept(Wait::Forever) {
                    Err(error) if error.errno() == Errno::ENETDOWN => {}
                    Err(error) => return error.errno(),
                    Ok(_) => panic!("nobody connects"),
                }
            }
        });
        drop(far);
        sleeper.join().expect("the sleeper")
    });
    assert!(matches!(sleeping, Errno::ENOTRECOVERABLE | Errno::EINVAL), "{sleeping:?}");
    until("the stack is poisoned", || stack.counters().is_err());
    assert_eq!(errno(stack.socket(Domain::V4)), Errno::ENOTRECOVERABLE);
    assert_eq!(errno(listener.accept(WAIT)), Errno::ENOTRECOVERABLE);
    assert_eq!(errno(stack.close(None)), Errno::ENOTRECOVERABLE);
    assert!(listener.readiness().any(Readiness::ERR));
}

#[test]
fn a_capture_holds_every_packet() {
    let path = std::env::temp_dir().join(format!("usertcp-api-{}.pcapng", std::process::id()));
    let (one, two) = link();
    let mut captured = options(1, one);
    captured.pcap = Some(path.clone());
    let client = Stack::open(captured).expect("a stack");
    let pair = Pair { client, server: Stack::open(options(2, two)).expect("a stack"), judged: Vec::new() };
    let (near, far) = pair.connection(Domain::V4);
    near.send(b"find me in the capture", NONE, WAIT).expect("send");
    near.close().expect("close");
    read_to_end(&far);
    pair.client.close(Some(PATIENCE)).or_else(|_| pair.client.close(None)).ok();
    let bytes = std::fs::read(&path).expect("the capture");
    std::fs::remove_file(&path).expect("the capture is ours");
    assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    let needle = b"find me in the capture";
    assert!(bytes.windows(needle.len()).any(|window| window == needle));
}

#[test]
fn the_same_seed_makes_the_same_ports() {
    let port = || {
        let (near, _far) = link();
        let mut seeded = options(1, near);
        seeded.seed = Some(42);
        let stack = Stack::open(seeded).expect("a stack");
        let socket = stack.socket(Domain::V4).expect("a socket");
        let nobody = "192.0.2.99:9".parse().expect("an address");
        assert_eq!(errno(socket.connect(nobody, Wait::Never)), Errno::EINPROGRESS);
        socket.local_address().expect("an address").port()
    };
    assert_eq!(port(), port());
}

#[test]
fn the_io_thread_has_a_name_and_no_signals() {
    let (near, _far) = link();
    let _stack = Stack::open(options(1, near)).expect("a stack");
    let statuses = || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("threads").flatten();
        let texts = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
        texts.filter(|status| status.starts_with("Name:\tusertcp-io\n")).collect::<Vec<String>>()
    };
    // The thread gives itself its name.
    until("a thread of that name", || !statuses().is_empty());
    for status in statuses() {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).expect("a mask");
        let mask = u64::from_str_radix(mask, 16).expect("a number");
        let sigint = 1 << (libc::SIGINT - 1);
        assert!(mask & sigint != 0, "{status}");
    }
}
