//! Poll sets of running stacks: who sleeps on them, and who wakes whom.

use super::lifetime::keep_quiet_about;
use super::pair::*;
use crate::events::{asleep, until};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;
use usertcp_core::api::*;

const IN: EpollEvents = EpollEvents::IN;
const OUT: EpollEvents = EpollEvents::OUT;
const ET: EpollEvents = EpollEvents::ET;
const ADD: EpollControl = EpollControl::Add;

fn set() -> PollSet {
    PollSet::new().expect("a set")
}

fn add(set: &PollSet, socket: &Socket, events: EpollEvents, data: u64) {
    set.control(ADD, socket, events, data).expect("a socket that is not in the set");
}

/// Events and data of what is ready.
fn ready(set: &PollSet, wait: Wait) -> Vec<(EpollEvents, u64)> {
    set.wait(10, wait).expect("wait").into_iter().map(|event| (event.events, event.data)).collect()
}

#[test]
fn sockets_of_two_stacks_are_in_one_set() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let set = set();
    add(&set, &client, IN | ET, 1);
    add(&set, &server, IN | ET, 2);
    assert_eq!(ready(&set, Wait::Never), []);
    for (from, data) in [(&server, 1), (&client, 2)] {
        thread::scope(|scope| {
            let waiting = asleep(scope, || ready(&set, WAIT));
            from.send(b"x", NONE, WAIT).expect("send");
            assert_eq!(waiting.join().expect("the waiting thread"), [(IN, data)]);
        });
        assert_eq!(ready(&set, Wait::Never), [], "an edge is told once");
    }
}

#[test]
fn level_edge_and_once_over_a_connection() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V6);
    let set = set();
    add(&set, &server, IN, 7);
    client.send(b"ab", NONE, WAIT).expect("send");
    for _ in 0..2 {
        assert_eq!(ready(&set, WAIT), [(IN, 7)]);
    }
    server.recv(&mut [0; 2], NONE, WAIT).expect("recv");
    assert_eq!(ready(&set, Wait::Never), []);
    let once = IN | EpollEvents::ONESHOT;
    set.control(EpollControl::Mod, &server, once, 8).expect("a change");
    client.send(b"c", NONE, WAIT).expect("send");
    assert_eq!(ready(&set, WAIT), [(IN, 8)]);
    client.send(b"d", NONE, WAIT).expect("send");
    server.recv(&mut [0; 1], NONE, WAIT).expect("recv");
    server.recv(&mut [0; 1], NONE, WAIT).expect("recv");
    assert_eq!(ready(&set, Wait::Never), []);
    set.control(EpollControl::Mod, &server, IN | OUT | ET, 9).expect("a change");
    assert_eq!(ready(&set, Wait::Never), [(OUT, 9)]);
    client.send(b"e", NONE, WAIT).expect("send");
    assert_eq!(ready(&set, WAIT), [(IN | OUT, 9)]);
    set.control(EpollControl::Del, &server, IN, 0).expect("to be removed");
    client.send(b"f", NONE, WAIT).expect("send");
    server.recv(&mut [0; 2], NONE, WAIT).expect("recv");
    assert_eq!(ready(&set, Wait::Never), []);
}

#[test]
fn calls_say_what_is_wrong() {
    let pair = Pair::new();
    let (listener, _) = pair.listener(Domain::V4, 1);
    let set = set();
    assert_eq!(errno(set.wait(0, Wait::Never)), Errno::EINVAL);
    assert_eq!(errno(set.control(EpollControl::Del, &listener, IN, 0)), Errno::ENOENT);
    add(&set, &listener, IN, 0);
    assert_eq!(errno(set.control(ADD, &listener, IN, 0)), Errno::EEXIST);
    assert_eq!(errno(set.control(EpollControl::Mod, &listener, EpollEvents(1 << 28), 0)), Errno::EINVAL);
    listener.close().expect("close");
    assert_eq!(errno(set.control(EpollControl::Mod, &listener, IN, 0)), Errno::EBADF);
    set.close().expect("close");
    assert_eq!(errno(set.close()), Errno::EBADF);
    assert_eq!(errno(set.wait(1, Wait::Never)), Errno::EBADF);
    assert_eq!(errno(set.control(ADD, &pair.listener(Domain::V4, 1).0, IN, 0)), Errno::EBADF);
}

#[test]
fn a_set_without_sockets_is_a_sleep() {
    let start = Instant::now();
    assert_eq!(ready(&set(), Wait::AtMost(Duration::from_millis(20))), []);
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_socket_that_is_closed_meanwhile_drops_out() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let (listener, _) = pair.listener(Domain::V4, 1);
    let set = set();
    add(&set, &listener, IN, 1);
    add(&set, &server, IN, 2);
    thread::scope(|scope| {
        let waiting = asleep(scope, || ready(&set, WAIT));
        listener.close().expect("close");
        client.send(b"x", NONE, WAIT).expect("send");
        assert_eq!(waiting.join().expect("the waiting thread"), [(IN, 2)]);
    });
}

#[test]
fn what_is_added_meanwhile_is_heard_of() {
    let pair = Pair::new();
    let (client, _server) = pair.connection(Domain::V4);
    let set = set();
    thread::scope(|scope| {
        let waiting = asleep(scope, || ready(&set, WAIT));
        add(&set, &client, IN | OUT, 3);
        assert_eq!(waiting.join().expect("the waiting thread"), [(OUT, 3)]);
    });
}

#[test]
fn a_set_that_is_closed_meanwhile_wakes_everybody() {
    let set = set();
    thread::scope(|scope| {
        let waiting = [(); 2].map(|()| asleep(scope, || errno(set.wait(1, Wait::Forever))));
        set.close().expect("close");
        for thread in waiting {
            assert_eq!(thread.join().expect("a waiting thread"), Errno::ECANCELED);
        }
    });
}

#[test]
fn threads_share_what_comes() {
    const EACH: usize = 200;
    let pair = Pair::new();
    let sockets: Vec<_> = (0..4).map(|_| pair.connection(Domain::V4)).collect();
    let set = set();
    for (at, (_, server)) in sockets.iter().enumerate() {
        add(&set, server, IN | EpollEvents::ONESHOT, at as u64);
    }
    let read = Mutex::new([0; 4]);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Ok(events) = set.wait(2, WAIT) {
                    for event in events {
                        let at = event.data as usize;
                        let server = &sockets[at].1;
                        // Nobody else has this socket until it is asked for again.
                        let mut buffer = [0; 16];
                        while let Ok(count) = server.recv(&mut buffer, NONE, Wait::Never) {
                            read.lock().expect("the counts")[at] += count;
                        }
                        set.control(EpollControl::Mod, server, IN | EpollEvents::ONESHOT, event.data)
                            .expect("a socket of the set");
                    }
                }
            });
        }
        for _ in 0..EACH {
            for (client, _) in &sockets {
                client.send(b"x", NONE, WAIT).expect("send");
            }
        }
        until("every byte is read", || *read.lock().expect("the counts") == [EACH; 4]);
        set.close().expect("close");
    });
}

#[test]
fn ten_thousand_idle_sockets_cost_nothing() {
    let pair = Pair::new();
    let set = set();
    let sockets: Vec<_> = (0..10_000)
        .map(|at| {
            let socket = pair.server.datagram_socket(Domain::V4).expect("a socket");
            add(&set, &socket, IN, at);
            socket
        })
        .collect();
    assert_eq!(ready(&set, Wait::Never), []);
    let one = &sockets[7_654];
    one.bind(server_address(Domain::V4, 0)).expect("bind");
    let address = one.local_address().expect("its address");
    let sender = pair.client.datagram_socket(Domain::V4).expect("a socket");
    thread::scope(|scope| {
        let waiting = asleep(scope, || ready(&set, WAIT));
        sender.send_to(b"x", Some(address), NONE, WAIT).expect("send");
        assert_eq!(waiting.join().expect("the waiting thread"), [(IN, 7_654)]);
    });
    drop(sockets);
    assert_eq!(ready(&set, Wait::Never), []);
}

#[test]
fn a_set_outlives_sockets_and_stacks() {
    let set = set();
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    add(&set, &client, IN, 1);
    add(&set, &server, IN, 2);
    let Pair { client: near, server: far, .. } = pair;
    far.close(None).ok();
    drop(server);
    assert_eq!(ready(&set, WAIT).first().map(|(_, data)| *data), Some(1), "its peer is gone");
    near.close(None).ok();
    assert_eq!(ready(&set, Wait::Never), []);
    drop(client);
    assert_eq!(ready(&set, Wait::Never), []);
}

#[test]
fn a_panic_inside_shows_in_sets() {
    keep_quiet_about("at the first look");
    let (near, _far) = link();
    let mut logged = options(1, near);
    let deliver = |record: &Record| assert!(!record.text.contains("connecting"), "at the first look");
    logged.log = Some(LogSink { level: Level::Debug, deliver: Arc::new(deliver) });
    let stack = Stack::open(logged).expect("a stack");
    let listener = stack.socket(Domain::V4).expect("a socket");
    listener.listen(1).expect("listen");
    let set = set();
    add(&set, &listener, IN | ET, 1);
    let client = stack.socket(Domain::V4).expect("a socket");
    drop(client.connect("192.0.2.2:9".parse().expect("an address"), Wait::Never));
    let [(events, 1)] = ready(&set, WAIT)[..] else { panic!("the listener, and nothing else") };
    assert!(events.any(EpollEvents::ERR) && events.any(EpollEvents::HUP));
    assert_eq!(errno(set.control(EpollControl::Mod, &listener, IN, 1)), Errno::ENOTRECOVERABLE);
}

#[test]
fn a_callback_does_not_sleep() {
    let (inside, answer) = (set(), Arc::new(Mutex::new(None)));
    let (near, _far) = link();
    let mut logged = options(1, near);
    let told = answer.clone();
    let deliver = move |_: &Record| {
        let looked = inside.wait(1, Wait::Never).map(|events| events.len()).map_err(|error| error.errno());
        let slept = inside.wait(1, Wait::Forever).map(|events| events.len()).map_err(|error| error.errno());
        *told.lock().expect("the answer") = Some((looked, slept));
    };
    logged.log = Some(LogSink { level: Level::Info, deliver: Arc::new(deliver) });
    let _stack = Stack::open(logged).expect("a stack");
    until("a record", || answer.lock().expect("the answer").is_some());
    assert_eq!(*answer.lock().expect("the answer"), Some((Ok(0), Err(Errno::EDEADLK))));
}
