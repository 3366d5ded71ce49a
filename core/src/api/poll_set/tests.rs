//! Who sleeps on a set works for its sockets' stack, and outlives it.

use super::*;
use crate::api::{Config, DeviceOptions, Domain, MessageFlags, Stack, StackOptions};
use crate::sys;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const WAIT: Wait = Wait::AtMost(PATIENCE);

/// A stack with a datagram socket on port 2, and the other end of its link.
fn open() -> (Stack, Socket, OwnedFd) {
    let (near, far) = sys::socketpair(libc::SOCK_SEQPACKET).expect("a socket pair");
    let addresses = vec!["192.0.2.2/24".parse().expect("an address")];
    let config = Config { addresses, ..Config::default() };
    let device = DeviceOptions::Descriptor(near);
    let stack = Stack::open(StackOptions { config, device, ..StackOptions::default() }).expect("a stack");
    let socket = stack.datagram_socket(Domain::V4).expect("a socket");
    socket.bind(([192, 0, 2, 2], 2).into()).expect("a port");
    (stack, socket, far)
}

/// A datagram of one byte for port 2.
fn send(far: &OwnedFd) {
    send_to(far, 2);
}

fn send_to(far: &OwnedFd, port: u8) {
    let ip = [0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0xf6, 0xcc, 192, 0, 2, 1, 192, 0, 2, 2];
    let udp = [0, 7, 0, port, 0, 9, 0, 0, b'x'];
    sys::send(far.as_fd(), &[&ip[..], &udp[..]].concat(), 0).expect("a packet");
}

fn add(set: &PollSet, socket: &Socket) {
    set.control(EpollControl::Add, socket, EpollEvents::IN, 7).expect("it is added");
}

#[test]
fn who_sleeps_on_a_set_runs_the_turns() {
    let (_stack, socket, far) = open();
    let set = PollSet::new().expect("a set");
    add(&set, &socket);
    let start = Instant::now();
    // At first the I/O thread may be quicker.
    while socket.engine().turns_of_callers() == 0 {
        std::thread::scope(|scope| {
            scope.spawn(|| send(&far));
            assert_eq!(set.wait(1, WAIT).expect("a datagram").len(), 1);
        });
        socket.recv(&mut [0; 8], MessageFlags(0), WAIT).expect("a datagram");
        assert!(start.elapsed() < PATIENCE, "nobody but the I/O thread works");
    }
}

/// Whoever waits for many sockets is one thread, and its stack takes it for no more.
#[test]
fn who_sleeps_on_a_set_of_several_sockets_runs_the_turns() {
    let (stack, socket, far) = open();
    let other = stack.datagram_socket(Domain::V4).expect("a socket");
    other.bind(([192, 0, 2, 2], 3).into()).expect("a port");
    let set = PollSet::new().expect("a set");
    [&socket, &other].into_iter().for_each(|socket| add(&set, socket));
    let alternate = || {
        for (port, socket) in [(2, &socket), (3, &other)] {
            std::thread::scope(|scope| {
                scope.spawn(|| send_to(&far, port));
                assert_eq!(set.wait(2, WAIT).expect("a datagram").len(), 1);
            });
            socket.recv(&mut [0; 8], MessageFlags(0), WAIT).expect("a datagram");
        }
        socket.engine().turns_of_callers()
    };
    let begun = (0..16).map(|_| alternate()).max();
    let start = Instant::now();
    while Some(alternate()) == begun {
        assert!(start.elapsed() < PATIENCE, "nobody but the I/O thread works");
    }
}

#[test]
fn sockets_of_two_stacks_are_left_to_the_io_threads() {
    let (_one, first, far) = open();
    let (_two, second, other) = open();
    let set = PollSet::new().expect("a set");
    add(&set, &first);
    add(&set, &second);
    for far in [&far, &other, &far, &other] {
        std::thread::scope(|scope| {
            scope.spawn(|| send(far));
            assert_eq!(set.wait(2, WAIT).expect("a datagram").len(), 1);
        });
        for socket in [&first, &second] {
            let _ = socket.recv(&mut [0; 8], MessageFlags(0), Wait::Never);
        }
    }
    assert_eq!(first.engine().turns_of_callers() + second.engine().turns_of_callers(), 0);
}

#[test]
fn a_set_outlives_a_stack_that_it_has_worked_for() {
    let (stack, socket, far) = open();
    let set = PollSet::new().expect("a set");
    add(&set, &socket);
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| set.wait(1, WAIT));
        // It sleeps where it may be.
        while !socket.engine().has_a_caller() {
            std::thread::yield_now();
        }
        stack.close(Some(Duration::ZERO)).expect("close");
        // The set goes on, with another stack.
        let (_next, second, beside) = open();
        add(&set, &second);
        send(&beside);
        let events = sleeper.join().expect("a thread").expect("a datagram of the other stack");
        assert_eq!(events.len(), 1);
        second.recv(&mut [0; 8], MessageFlags(0), WAIT).expect("a datagram");
    });
    drop(far);
    assert!(lock(&set.host).now().is_none(), "it keeps neither");
    assert_eq!(set.wait(1, Wait::Never).expect("nothing"), []);
}

#[test]
fn who_never_sleeps_on_a_set_takes_what_comes_from_the_device_itself() {
    let (stack, socket, far) = open();
    let ready = stack.datagram_socket(Domain::V4).expect("a socket");
    ready.bind(([192, 0, 2, 2], 1).into()).expect("a port");
    let set = PollSet::new().expect("a set");
    set.control(EpollControl::Add, &ready, EpollEvents::OUT, 1).expect("it is added");
    add(&set, &socket);
    // The I/O thread relies on a caller that it takes to be at work.
    socket.engine().occupy_seat();
    send(&far);
    let start = Instant::now();
    while set.wait(2, Wait::Forever).expect("always something").len() < 2 {
        assert!(start.elapsed() < PATIENCE, "the packet is left lying");
    }
}
