//! Callers and the I/O thread on a packet socket, with datagrams by hand.

use super::*;
use crate::buffer::{Cell, Interest};
use crate::config::{BufferConfig, Config};
use crate::device;
use crate::engine::io::Outlets;
use crate::engine::open::{Parts, Running};
use crate::engine::{Clock, Patience, Place, Traces, block};
use crate::link::{Capabilities, Device, DeviceError, Frame, FrameMeta, Sent, Transmit};
use crate::socket::EventFd;
use crate::stack::socket::{Queued, Take, recv_from, send_to};
use crate::stack::{Domain, Stack};
use crate::sync::{Arc, AtomicBool, AtomicU32, Ordering, TaskArc};
use crate::sys;
use crate::trace::Log;
use bytes::{Bytes, BytesMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::task::Waker;
use std::thread;

mod signals;

struct Bench {
    running: Arc<Running>,
    /// Sockets at ports 1 and 2.
    sockets: Vec<(SocketId, Arc<Cell>)>,
    far: OwnedFd,
}

impl Bench {
    fn open(spin: Duration) -> Self {
        let (near, far) = sys::socketpair(libc::SOCK_SEQPACKET).expect("a socket pair");
        let (device, _) = device::from_descriptor(near, 1500, |_| None).expect("a device");
        Self::on(device, far, spin)
    }

    fn on(device: Box<dyn Device>, far: OwnedFd, spin: Duration) -> Self {
        let addresses = vec!["192.0.2.2/24".parse().expect("an address")];
        let config = Config { addresses, ..Config::default() };
        let mut stack = Stack::new(config, device.capabilities(), Log::new(None)).expect("a stack");
        let mut socket = |port| {
            let (id, cell) = stack.datagram_socket(Domain::V4).expect("a socket");
            stack.bind(id, SocketAddr::from(([192, 0, 2, 2], port))).expect("a port");
            (id, cell)
        };
        let sockets = vec![socket(1), socket(2)];
        let name = String::new();
        let outlets = Outlets {
            capture: None,
            log: None,
            traces: Traces::default(),
            name: String::new(),
            clock: Clock::SYSTEM,
        };
        let buffers = BufferConfig::default();
        let parts = Parts {
            workers: vec![(stack, device)],
            buffers,
            spin,
            outlets,
            ring: 0,
            name,
            trace: None,
            host: None,
        };
        let bench = Self { running: Running::start(parts).expect("a running stack"), sockets, far };
        bench.until_at_rest();
        bench
    }

    fn engine(&self) -> &Engine {
        self.running.engine()
    }

    fn until_at_rest(&self) {
        until(|| self.engine().bell.is_asleep());
    }

    /// A byte from 192.0.2.1 to that port.
    fn bring(&self, port: u8) {
        sys::send(self.far.as_fd(), &datagram(port), 0).expect("a packet");
    }

    fn receive(&self, index: usize) -> Result<(), Errno> {
        let cell = &self.sockets[index].1;
        let attempt = |waker: Option<&Waker>| recv_from(cell, Take::Consume, waker);
        let patience = Patience::at_most(&Clock::SYSTEM, Duration::from_secs(30));
        block(self.engine(), Place::Device, patience, attempt, |waker| cell.lock().unregister(waker))?;
        Ok(())
    }

    /// Sends a byte, as `Socket::send_to` does.
    fn send(&self) {
        let (id, cell) = &self.sockets[0];
        let peer = SocketAddr::from(([192, 0, 2, 1], 7));
        let payload = Bytes::from_static(b"y");
        match send_to(cell, &payload, Some(peer), None).expect("room") {
            Queued::Done(kick) => self.engine().kick(*id, kick),
            Queued::Ask => {
                let ask =
                    |turn: &mut Turn, now| turn.stack.send_datagram(now, *id, &payload, Some(peer), None);
                self.engine().control(ask).expect("a datagram");
            }
        }
    }

    fn sent(&self) -> bool {
        sys::recv(self.far.as_fd(), &mut [0; 100], libc::MSG_DONTWAIT).is_ok()
    }

    /// How many turns callers have run on the seat.
    fn turns(&self) -> u32 {
        self.engine().watch.turns()
    }

    /// A thread that receives one datagram of socket `index`, once it sleeps on the device.
    fn on_the_seat<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        index: usize,
    ) -> thread::ScopedJoinHandle<'scope, Result<(), Errno>> {
        let reader = scope.spawn(move || self.receive(index));
        until(|| self.engine().watch.is_taken());
        reader
    }
}

/// A byte from 192.0.2.1 to that port of 192.0.2.2.
fn datagram(port: u8) -> Vec<u8> {
    let ip = [0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0xf6, 0xcc, 192, 0, 2, 1, 192, 0, 2, 2];
    let udp = [0, 7, 0, port, 0, 9, 0, 0, b'x'];
    [&ip[..], &udp[..]].concat()
}

fn until(mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain");
        thread::yield_now();
    }
}

#[test]
fn what_a_call_sends_is_in_the_device_when_it_returns() {
    let bench = Bench::open(Duration::ZERO);
    // About a host for the first time the stack is asked.
    bench.send();
    assert!(bench.sent());
    for _ in 0..100 {
        bench.until_at_rest();
        bench.send();
        assert!(bench.sent());
        assert!(bench.engine().bell.is_asleep(), "nobody was woken for it");
    }
}

/// One thread receives `count` datagrams of socket `index`, each of which comes when it sleeps, `ready` saying where.
fn serve(bench: &Bench, index: usize, count: u32, ready: impl Fn() -> bool) {
    let received = AtomicU32::new(0);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            (0..count).try_for_each(|_| {
                bench.receive(index)?;
                received.fetch_add(1, Ordering::Release);
                Ok::<(), Errno>(())
            })
        });
        for number in 0..count {
            let waits = || bench.sockets[index].1.lock().waits(Interest::Read);
            until(|| received.load(Ordering::Acquire) == number && waits() && ready());
            bench.bring(u8::try_from(index + 1).expect("a port"));
        }
        reader.join().expect("the reader").expect("datagrams");
    });
    assert!(!bench.engine().watch.is_taken());
}

#[test]
fn a_sleeper_takes_what_comes_from_the_device_itself() {
    let bench = Bench::open(Duration::ZERO);
    serve(&bench, 0, 100, || bench.engine().watch.is_taken());
    assert!(bench.turns() > 0);
}

#[test]
fn a_look_without_patience_takes_what_is_there() {
    let bench = Bench::open(Duration::ZERO);
    let cell = &bench.sockets[0].1;
    let look = || {
        let attempt = |waker: Option<&Waker>| recv_from(cell, Take::Consume, waker);
        block(bench.engine(), Place::Device, Patience::Never, attempt, |_| {}).map(|_| ())
    };
    assert_eq!(look(), Err(Errno::EAGAIN));
    bench.bring(1);
    until(|| look().is_ok());
}

/// Who waits for a turn that changes something is woken by one that a call runs, such as the kick of a read that has an address of the same stack send the rest of
/// what a close waits for.
#[test]
fn a_turn_that_a_call_runs_is_one_to_those_who_wait_for_turns() {
    let bench = Bench::open(Duration::ZERO);
    let looks = AtomicU32::new(0);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let again = |_: &mut Turn, _| (looks.fetch_add(1, Ordering::AcqRel) > 0).then_some(());
            bench.engine().watch(Some(clock::now() + Duration::from_secs(30)), again)
        });
        until(|| looks.load(Ordering::Acquire) == 1);
        bench.until_at_rest();
        until(|| bench.engine().run_here(|_, _| {}));
        assert_eq!(waiting.join().expect("the waiting thread"), Some(()));
    });
}

/// The holder of the Turn waits until the sleeper has found it taken and left. Then it is the I/O thread's.
#[test]
fn a_frame_that_finds_the_turn_taken_is_not_left_lying() {
    let bench = Bench::open(Duration::ZERO);
    thread::scope(|scope| {
        let reader = bench.on_the_seat(scope, 0);
        let hold = |_: &mut Turn, _| {
            bench.bring(1);
            until(|| !bench.engine().watch.is_taken());
            Ok(())
        };
        bench.engine().control(hold).expect("a control call");
        assert_eq!(reader.join().expect("the reader"), Ok(()));
    });
    assert_eq!(bench.turns(), 0);
}

/// The first reader is gone when the second's datagram comes, and the second sleeps on its cell.
#[test]
fn a_device_that_a_caller_leaves_is_the_io_threads() {
    let bench = Bench::open(Duration::ZERO);
    thread::scope(|scope| {
        let first = bench.on_the_seat(scope, 0);
        let second = scope.spawn(|| bench.receive(1));
        let cell = &bench.sockets[1].1;
        until(|| cell.lock().waits(Interest::Read));
        bench.bring(1);
        assert_eq!(first.join().expect("the first reader"), Ok(()));
        bench.bring(2);
        assert_eq!(second.join().expect("the second reader"), Ok(()));
    });
    assert!(!bench.engine().watch.is_open(), "there are two");
}

#[test]
fn a_thread_that_is_woken_alone_gets_the_device_back() {
    let bench = Bench::open(Duration::ZERO);
    let serve = |index, count| serve(&bench, index, count, || true);
    serve(0, 1);
    serve(1, 1);
    assert!(!bench.engine().watch.is_open());
    serve(0, 20);
    assert!(bench.engine().watch.is_open());
    serve(0, 1);
    assert!(!bench.engine().watch.is_open(), "another thread, though the same socket");
}

#[test]
fn looking_before_sleeping_finds_what_comes_soon() {
    let bench = Bench::open(Duration::from_millis(10));
    serve(&bench, 0, 100, || bench.engine().watch.is_taken());
    assert!(bench.turns() > 0);
}

#[test]
fn closing_wakes_a_caller_on_the_device() {
    let bench = Bench::open(Duration::ZERO);
    thread::scope(|scope| {
        let reader = bench.on_the_seat(scope, 0);
        bench.running.close(None, || true).expect("nothing to wait for");
        assert_eq!(reader.join().expect("the reader"), Err(Errno::ECANCELED));
    });
    assert!(!bench.engine().watch.is_taken());
}

/// A panic in a caller's turn is the end of the stack, and told as such.
#[test]
fn a_panic_in_a_callers_turn_ends_the_stack() {
    let bench = Bench::open(Duration::ZERO);
    thread::scope(|scope| {
        let reader = bench.on_the_seat(scope, 0);
        bench.until_at_rest();
        assert!(bench.engine().run_here(|_, _| panic!("as planned")));
        assert_eq!(reader.join().expect("the reader"), Err(Errno::ENOTRECOVERABLE));
    });
    assert!(bench.engine().is_poisoned());
}

/// Who sleeps on a poll set has been taken from it to be woken, and is in no other list.
#[test]
fn whom_a_turn_was_to_wake_is_woken_though_it_panics() {
    let (bench, (sleeper, waker)) = (Bench::open(Duration::ZERO), Sleeper::new());
    bench.until_at_rest();
    let held = bench.engine().gate.enter(&bench.engine().turn);
    let outcome = bench.engine().within(held, |turn, _| -> ((), bool) {
        turn.watch(&waker);
        turn.wake_watchers();
        panic!("as planned")
    });
    assert_eq!((outcome, sleeper.is_woken()), (Err(Errno::ENOTRECOVERABLE), true));
}

/// A device that gives one packet after the other, for nobody, from when it is told to.
struct Torrent {
    flows: TaskArc<AtomicBool>,
    readable: TaskArc<EventFd>,
}

impl Device for Torrent {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(1500)
    }

    fn recv(&mut self, _now: Instant, _page: &mut BytesMut) -> Result<Option<Frame>, DeviceError> {
        let frame = Frame { bytes: Bytes::from_static(b"x"), meta: FrameMeta::default() };
        Ok(self.flows.load(Ordering::Acquire).then_some(frame))
    }

    fn send(&mut self, _now: Instant, _transmit: &Transmit) -> Result<Sent, DeviceError> {
        Ok(Sent::Taken)
    }

    fn descriptor(&self) -> Option<i32> {
        Some(self.readable.descriptor())
    }
}

fn torrent(spin: Duration) -> (Bench, TaskArc<AtomicBool>, TaskArc<EventFd>) {
    let readable = TaskArc::new(EventFd::new().expect("an eventfd"));
    let flows = TaskArc::new(AtomicBool::new(false));
    let device = Torrent { flows: flows.clone(), readable: readable.clone() };
    let (_, far) = sys::socketpair(libc::SOCK_SEQPACKET).expect("a socket pair");
    (Bench::on(Box::new(device), far, spin), flows, readable)
}

/// Nor does the I/O thread keep it to itself: what callers read is in their caches when they copy it out.
#[test]
fn a_device_that_is_never_empty_goes_to_callers_who_look() {
    let (bench, flows, readable) = torrent(Duration::ZERO);
    flows.store(true, Ordering::Release);
    readable.signal();
    let frames = || bench.engine().control(|turn, _| Ok(turn.stack.counters().frames_in));
    until(|| frames().expect("a count") > 100);
    until(|| bench.engine().look_once() && bench.turns() > 100);
    flows.store(false, Ordering::Release);
    readable.clear();
}

/// Whoever waits for something else is not kept longer than it wants to wait, neither looking nor sleeping.
#[test]
fn a_time_out_ends_a_wait_on_a_device_that_is_never_empty() {
    for spin in [Duration::ZERO, Duration::from_millis(10)] {
        let (bench, flows, readable) = torrent(spin);
        let cell = &bench.sockets[0].1;
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let attempt = |waker: Option<&Waker>| recv_from(cell, Take::Consume, waker).map(|_| ());
                let forget = |waker: &Waker| cell.lock().unregister(waker);
                let patience = Patience::at_most(&Clock::SYSTEM, Duration::from_millis(500));
                block(bench.engine(), Place::Device, patience, attempt, forget)
            });
            until(|| bench.engine().watch.is_taken());
            readable.signal();
            let start = std::time::Instant::now();
            flows.store(true, Ordering::Release);
            while !reader.is_finished() && start.elapsed() < std::time::Duration::from_secs(5) {
                thread::yield_now();
            }
            let waited = start.elapsed();
            flows.store(false, Ordering::Release);
            readable.clear();
            assert!(waited < std::time::Duration::from_secs(5), "{} turns", bench.turns());
            assert_eq!(reader.join().expect("the reader"), Err(Errno::EAGAIN));
        });
    }
}
