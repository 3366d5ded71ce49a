//! Threads that take turns: one runs at a time, in the same order every time, and a standstill is told.

use super::world::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Asserts that nobody else is where this is.
struct Alone(Arc<AtomicUsize>);

impl Alone {
    fn check(&self) {
        assert_eq!(self.0.fetch_add(1, Ordering::SeqCst), 0, "two at once");
        std::thread::yield_now();
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Ten tasks that talk over sockets and signals; who ran when.
fn order(seed: u64) -> Vec<(usize, Duration)> {
    let bad = Impairment { loss: 0.1, jitter: Duration::from_millis(5), ..delay(10) };
    let two = Two::new(seed, bad, bad);
    let (inside, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let listener = Arc::new(two.listener(Domain::V4));
    let mut tasks = Vec::new();
    for number in 0..10 {
        let (alone, seen, network) = (Alone(inside.clone()), seen.clone(), two.network.clone());
        let (listener, client) = (listener.clone(), two.client.clone());
        tasks.push(task(&two.network, move || {
            let note = || {
                alone.check();
                seen.lock().expect("no panic").push((number, network.now()));
            };
            note();
            if number % 2 == 0 {
                let (server, _) = listener.accept(WAIT).expect("accept");
                note();
                for _ in 0..3 {
                    let mut bytes = [0; 64];
                    let count = server.recv(&mut bytes, NONE, WAIT).expect("recv");
                    note();
                    server.send(&bytes[..count], NONE, WAIT).expect("send");
                }
            } else {
                let socket = client.socket(Domain::V4).expect("a socket");
                socket.connect(Two::address(Domain::V4), WAIT).expect("connect");
                for _ in 0..3 {
                    note();
                    socket.send(b"hello", NONE, WAIT).expect("send");
                    let mut bytes = [0; 64];
                    let mut heard = 0;
                    while heard < 5 {
                        heard += socket.recv(&mut bytes, NONE, WAIT).expect("recv");
                    }
                    network
                        .sleep(Some(network.now() + Duration::from_millis(number as u64)))
                        .expect("a sleep");
                }
            }
            note();
        }));
    }
    tasks.into_iter().for_each(Task::join);
    std::mem::take(&mut *seen.lock().expect("no panic"))
}

#[test]
fn one_task_runs_at_a_time_and_the_order_is_a_function_of_the_seed() {
    let first = order(1);
    assert_eq!(
        first[..10].iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        (0..10).collect::<Vec<_>>()
    );
    for _ in 0..10 {
        assert_eq!(order(1), first);
    }
    assert_ne!(order(2), first);
}

#[test]
fn a_standstill_is_told_to_the_main_task_and_the_others_end_with_the_network() {
    let two = Two::new(1, delay(1), delay(1));
    let (client, server) = two.connection(Domain::V4);
    let network = &two.network;
    let reading = task(network, move || errno(server.recv(&mut [0; 9], NONE, WAIT)));
    let waiting = {
        let network = network.clone();
        task(&two.network, move || errno(Signal::new(&network).wait(None)))
    };
    let sleeping = {
        let network = network.clone();
        task(&two.network, move || errno(network.sleep(None)))
    };
    assert_eq!(errno(client.recv(&mut [0; 9], NONE, WAIT)), Errno::EDEADLK);
    assert_eq!(errno(network.sleep(None)), Errno::EDEADLK, "it stands still as before");
    network.sleep(Some(network.now() + Duration::from_secs(1))).expect("what has an end goes on");
    network.close().expect("the end");
    let ended = [reading, waiting, sleeping].map(|task| task.thread.join().expect("no panic"));
    assert_eq!(ended, [Errno::ECANCELED; 3]);
}

#[test]
fn once_the_main_task_has_ended_the_first_other_is_told() {
    let two = Two::new(1, delay(1), delay(1));
    let sleeps = |_| {
        let network = two.network.clone();
        task(&two.network, move || network.sleep(None).map_err(|error| error.errno()))
    };
    let [first, second] = [0, 1].map(sleeps);
    two.network.settle().expect("what can happen");
    two.network.sleep(Some(Duration::ZERO)).expect("it is the main task");
    two.network.leave(None).expect("its end");
    assert_eq!(first.thread.join().expect("no panic"), Err(Errno::EDEADLK));
    assert_eq!(second.thread.join().expect("no panic"), Err(Errno::EDEADLK), "then it is the first");
}

#[test]
fn a_socket_is_closed_under_a_task_that_waits_for_it() {
    let two = Two::new(1, delay(1), delay(1));
    let (client, server) = two.connection(Domain::V4);
    let client = Arc::new(client);
    let waits = {
        let client = client.clone();
        task(&two.network, move || errno(client.recv(&mut [0; 9], NONE, WAIT)))
    };
    two.network.sleep(Some(Duration::from_secs(1))).expect("a sleep");
    client.close().expect("close");
    assert_eq!(waits.join(), Errno::ECANCELED);
    let accepts = {
        let listener = two.server.socket(Domain::V4).expect("a socket");
        listener.listen(1).expect("listen");
        task(&two.network, move || errno(listener.accept(WAIT)))
    };
    two.network.sleep(Some(Duration::from_secs(2))).expect("a sleep");
    assert_eq!(errno(two.server.close(Some(Duration::ZERO))), Errno::ETIMEDOUT, "a connection is reset");
    assert_eq!(accepts.join(), Errno::ECANCELED);
    drop(server);
}

#[test]
fn signals_wake_and_time_out() {
    let network = Network::new(1);
    let signal = Arc::new(Signal::new(&network));
    let before = network.now();
    assert!(!signal.wait(Some(before + Duration::from_secs(3))).expect("time"));
    assert_eq!(network.now() - before, Duration::from_secs(3));
    let setter = {
        let (network, signal) = (network.clone(), signal.clone());
        task(&network.clone(), move || {
            network.sleep(Some(network.now() + Duration::from_secs(2))).expect("a sleep");
            signal.set();
        })
    };
    assert!(signal.wait(None).expect("set"));
    assert_eq!(network.now() - before, Duration::from_secs(5));
    assert!(signal.is_set() && signal.wait(Some(Duration::ZERO)).expect("set"));
    signal.clear();
    assert!(!signal.is_set());
    setter.join();
}

#[test]
fn a_signal_ends_a_poll_of_sockets_and_of_none() {
    let two = Two::new(1, delay(5), delay(5));
    let (client, server) = two.connection(Domain::V4);
    let signal = Arc::new(Signal::new(&two.network));
    let setter = {
        let (network, signal) = (two.network.clone(), signal.clone());
        task(&two.network, move || {
            network.sleep(Some(Duration::from_secs(2))).expect("a sleep");
            signal.set();
        })
    };
    let entry = || [PollEntry { socket: Some(&client), interest: Readiness::IN, ready: Readiness(0) }];
    assert_eq!(poll_beside(&mut entry(), Some(&signal), WAIT).expect("the signal"), 0);
    assert_eq!(two.network.now(), Duration::from_secs(2));
    assert_eq!(poll_beside(&mut [], Some(&signal), WAIT).expect("it is set still"), 0);
    signal.clear();
    assert_eq!(poll_beside(&mut [], Some(&signal), Wait::AtMost(Duration::from_secs(3))).expect("time"), 0);
    assert_eq!(two.network.now(), Duration::from_secs(5));
    server.send(b"x", NONE, WAIT).expect("send");
    assert_eq!(poll_beside(&mut entry(), Some(&signal), WAIT).expect("the socket"), 1);
    setter.join();
    assert_eq!(errno(poll_beside(&mut [], Some(&signal), WAIT)), Errno::EDEADLK);
    let stranger = Signal::new(&Network::new(1));
    assert_eq!(errno(poll_beside(&mut entry(), Some(&stranger), WAIT)), Errno::EINVAL);
}

#[test]
fn a_thread_that_is_no_task_is_served_beside_them() {
    let two = Two::new(1, delay(5), delay(5));
    let (client, server) = two.connection(Domain::V4);
    let guest = std::thread::spawn(move || {
        let mut bytes = [0; 9];
        let count = server.recv(&mut bytes, NONE, WAIT).expect("recv");
        server.send(&bytes[..count], NONE, WAIT).expect("send");
    });
    client.send(b"hello", NONE, WAIT).expect("send");
    while !guest.is_finished() {
        two.network.sleep(Some(two.network.now() + Duration::from_millis(1))).expect("a sleep");
        std::thread::yield_now();
    }
    assert_eq!(client.recv(&mut [0; 9], NONE, WAIT).expect("recv"), 5);
    guest.join().expect("no panic");
}

#[test]
fn a_program_is_asked_whether_to_go_on() {
    let network = Network::new(1);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    network.set_interrupt(Arc::new(move || count.fetch_add(1, Ordering::SeqCst) != 3));
    let (other, ended) = (network.clone(), Arc::new(Signal::new(&network)));
    let (done, ticks) = (ended.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = ticks.clone();
    let ticking = task(&network, move || {
        while !done.is_set() {
            other.sleep(Some(other.now() + Duration::from_millis(1))).expect("a sleep");
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    assert_eq!(errno(network.sleep(None)), Errno::EINTR);
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    assert!(ticks.load(Ordering::SeqCst) > 0);
    ended.set();
    ticking.join();
}

#[test]
fn tasks_begin_once_and_in_their_own_threads() {
    let network = Network::new(1);
    assert_eq!(errno(network.enter(1)), Errno::EINVAL);
    let number = network.task().expect("a task");
    network.leave(Some(number)).expect("it has not begun");
    assert_eq!(errno(network.enter(number)), Errno::EINVAL);
    let inner = network.clone();
    let nested = task(&network, move || {
        let other = inner.task().expect("a task");
        let refused = errno(inner.enter(other));
        inner.leave(Some(other)).expect("it has not begun");
        (refused, errno(inner.leave(Some(0))))
    });
    network.sleep(Some(Duration::ZERO)).expect("the main task");
    assert_eq!(nested.join(), (Errno::EINVAL, Errno::EINVAL));
}

#[test]
fn a_log_function_that_panics_ends_its_host_and_nothing_else() {
    let two = Two::new(9, delay(1), delay(1));
    let config =
        Config { addresses: vec!["203.0.113.1/24".parse().expect("an address")], ..Config::default() };
    let log = LogSink { level: Level::Debug, deliver: Arc::new(|_| panic!("a log function that panics")) };
    let options = HostOptions { config, log: Some(log), ..HostOptions::default() };
    let (_, broken) = two.network.host(options).expect("a host");
    let (client, server) = two.connection(Domain::V4);
    assert_eq!(errno(broken.socket(Domain::V4)), Errno::ENOTRECOVERABLE);
    let echo = task(&two.network, move || {
        let mut bytes = [0; 8];
        let count = server.recv(&mut bytes, NONE, WAIT).expect("recv");
        server.send(&bytes[..count], NONE, WAIT).expect("send");
    });
    client.send(b"go on", NONE, WAIT).expect("send");
    let mut bytes = [0; 8];
    assert_eq!(client.recv(&mut bytes, NONE, WAIT).expect("recv"), 5);
    echo.join();
}
