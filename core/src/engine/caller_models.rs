//! Loom's models of callers in the I/O thread's place: whatever comes or falls due reaches whoever waits for it, in every order of events.
//!
//! The engine, its I/O thread and the stack are the real ones. The device is a toy, and so is the kernel's poll(2), in which any time-out may be over at
//! once: a frame or a deadline that is left lying has somebody sleep for ever, which loom tells.

use super::*;
use crate::buffer::{Cell, SocketId};
use crate::config::Config;
use crate::link::{Capabilities, Device, DeviceError, Frame, FrameMeta, Sent, Transmit};
use crate::socket::EventFd;
use crate::stack::socket::{EpollControl, EpollEvents, PollSet};
use crate::stack::{Domain, Stack, socket};
use crate::sync::{Arc, TaskArc};
use crate::trace::Log;
use bytes::{Bytes, BytesMut};
use loom::thread::{Builder, JoinHandle};
use std::collections::VecDeque;

/// The far end of the link.
struct Wire {
    frames: Mutex<VecDeque<u8>>,
    /// What the device's descriptor shows.
    readable: EventFd,
}

impl Wire {
    /// A datagram arrives for the socket at `port`.
    fn bring(&self, port: u8) {
        let mut frames = lock(&self.frames);
        frames.push_back(port);
        self.readable.signal();
    }

    fn take(&self) -> Option<u8> {
        let mut frames = lock(&self.frames);
        let port = frames.pop_front();
        if frames.is_empty() {
            self.readable.clear();
        }
        port
    }
}

/// The near end.
struct Toy {
    wire: TaskArc<Wire>,
    /// After the first frame another one comes, for this port, at a time of its own.
    later: Option<u8>,
    due: bool,
}

impl Device for Toy {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(1500)
    }

    fn recv(&mut self, _now: Instant, _page: &mut BytesMut) -> Result<Option<Frame>, DeviceError> {
        if let Some(port) = self.wire.take() {
            self.due = self.later.is_some();
            return Ok(Some(datagram(port)));
        }
        // Only the I/O thread sleeps until a deadline.
        let port = if self.due && is_inside_any() { self.later.take() } else { None };
        self.due &= port.is_none();
        Ok(port.map(datagram))
    }

    fn send(&mut self, _now: Instant, _transmit: &Transmit) -> Result<Sent, DeviceError> {
        Ok(Sent::Taken)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due.then_some(Instant::ZERO)
    }

    fn descriptor(&self) -> Option<i32> {
        Some(self.wire.readable.descriptor())
    }
}

/// A byte from 192.0.2.1 to that port of 192.0.2.2.
fn datagram(port: u8) -> Frame {
    let ip = [0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0xf6, 0xcc, 192, 0, 2, 1, 192, 0, 2, 2];
    let udp = [0, 7, 0, port, 0, 9, 0, 0, b'x'];
    Frame { bytes: Bytes::from([&ip[..], &udp[..]].concat()), meta: FrameMeta::default() }
}

/// A stack with its I/O thread, and sockets at ports 1, 2 ...
struct Bench {
    engine: Arc<Engine>,
    wire: TaskArc<Wire>,
    sockets: Vec<(SocketId, Arc<Cell>)>,
    io: JoinHandle<()>,
}

const STACK_WORDS: usize = 1 << 16;

fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().stack_size(STACK_WORDS).spawn(f).expect("a thread of the model")
}

impl Bench {
    fn open(sockets: u8, later: Option<u8>) -> Self {
        let address = "192.0.2.2/24".parse().expect("an address");
        let config = Config { addresses: vec![address], ..Config::default() };
        let readable = EventFd::new().expect("a descriptor");
        let wire = TaskArc::new(Wire { frames: Mutex::new(VecDeque::new()), readable });
        let device = Box::new(Toy { wire: wire.clone(), later, due: false });
        let mut stack = Stack::new(config, device.capabilities(), Log::new(None)).expect("a stack");
        let sockets: Vec<_> = (1..=sockets)
            .map(|port| {
                let (id, cell) = stack.datagram_socket(Domain::V4).expect("a socket");
                stack.bind(id, ([192, 0, 2, 2], port.into()).into()).expect("a port");
                (id, cell)
            })
            .collect();
        let (commands, receiver) = crossbeam_channel::unbounded();
        let mut engine = bare::engine(device.descriptor());
        let turn = Turn::new(stack, device, PagePool::new(1024, 1), receiver, None);
        engine.turn = Mutex::new(Some(turn));
        engine.commands = commands;
        let engine = Arc::new(engine);
        let io = spawn({
            let engine = engine.clone();
            move || {
                let outlets = Outlets {
                    capture: None,
                    log: None,
                    traces: Traces::default(),
                    name: String::new(),
                    clock: Clock::SYSTEM,
                };
                io::run(&engine, outlets);
            }
        });
        Self { engine, wire, sockets, io }
    }

    /// A thread that receives `count` datagrams of one socket.
    fn reader(&self, index: usize, count: usize) -> JoinHandle<()> {
        let (engine, cell) = (self.engine.clone(), self.sockets[index].1.clone());
        spawn(move || {
            for _ in 0..count {
                let attempt = |waker: Option<&Waker>| socket::recv_from(&cell, socket::Take::Consume, waker);
                let forget = |waker: &Waker| cell.lock().unregister(waker);
                let received = block(&engine, Place::Device, Patience::Forever, attempt, forget);
                assert!(matches!(received, Ok(Some(_))), "{received:?}");
            }
        })
    }

    /// A thread that waits for one socket by a poll set, and works for the stack meanwhile, until it has received `count` datagrams; with `None` in no socket's
    /// name, until somebody nudges it.
    fn watcher(&self, index: Option<usize>, count: usize) -> (TaskArc<Mutex<PollSet>>, JoinHandle<()>) {
        let (engine, set) = (self.engine.clone(), TaskArc::new(Mutex::new(PollSet::new())));
        let cell = index.map(|index| self.sockets[index].1.clone());
        if let Some(cell) = &cell {
            let added = lock(&set).control(EpollControl::Add, 1, cell, EpollEvents::IN, 7);
            assert_eq!(added, Ok(()));
        }
        let watched = set.clone();
        let thread = spawn(move || {
            let mut received = 0;
            loop {
                let forget = |waker: &Waker| lock(&watched).forget(waker);
                let attempt = |waker: Option<&Waker>| look(&watched, waker);
                let told = block_beside(Some(&*engine), &Clock::SYSTEM, Patience::Forever, attempt, forget);
                let Some(cell) = cell.as_ref().filter(|_| told == Ok(1)) else {
                    assert_eq!((told, received), (Ok(0), count), "only a nudge ends it in vain");
                    return;
                };
                received += usize::from(socket::recv_from(cell, socket::Take::Consume, None).is_ok());
                if received == count {
                    return;
                }
            }
        });
        (set, thread)
    }

    fn close(self) {
        self.engine.advance(Phase::Ending);
        self.io.join().expect("the I/O thread");
        assert!(!self.engine.is_poisoned());
    }
}

/// How many sockets of a set are ready, as `api::PollSet` looks.
fn look(set: &Mutex<PollSet>, waker: Option<&Waker>) -> Result<usize, Errno> {
    let mut set = lock(set);
    loop {
        let events = set.wait(1);
        if set.notices().take_nudge() || !events.is_empty() {
            return Ok(events.len());
        }
        if waker.is_none_or(|waker| set.sleep(waker)) {
            return Err(Errno::EAGAIN);
        }
    }
}

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_branches = 10_000;
    // The model's own thread has a stack that is too small to make one of these on it.
    let check = TaskArc::new(check);
    builder.check(move || {
        let check = check.clone();
        spawn(move || check()).join().expect("a model that holds");
    });
}

/// The frame may be taken by the sleeper itself or by the I/O thread, which is rung at the same time: then the sleeper hears of it on the device too.
#[test]
fn loom_what_another_thread_delivers_wakes_a_caller_on_the_device() {
    model(|| {
        let bench = Bench::open(1, None);
        let reader = bench.reader(0, 1);
        bench.wire.bring(1);
        bench.engine.bell.ring();
        reader.join().expect("the reader");
        bench.close();
    });
}

/// A control call holds the Turn without a look at the device. The sleeper that finds it taken neither tries again and again nor forgets the frame.
#[test]
fn loom_a_frame_that_finds_the_turn_taken_is_not_left_lying() {
    model(|| {
        let bench = Bench::open(1, None);
        let reader = bench.reader(0, 1);
        bench.wire.bring(1);
        bench.engine.control(|_, _| Ok(())).expect("a control call");
        reader.join().expect("the reader");
        bench.close();
    });
}

/// The reader's own turn makes a deadline that the I/O thread, asleep without any, does not know of.
#[test]
fn loom_a_deadline_that_a_caller_makes_is_kept() {
    model(|| {
        let bench = Bench::open(1, Some(1));
        let reader = bench.reader(0, 2);
        bench.wire.bring(1);
        reader.join().expect("the reader");
        bench.close();
    });
}

/// Whoever has the seat goes its way with what came for it. What comes for the other, who sleeps on its cell, is the I/O thread's.
#[test]
fn loom_a_device_that_a_caller_leaves_is_watched_by_the_io_thread() {
    model(|| {
        let bench = Bench::open(2, None);
        let readers = [bench.reader(0, 1), bench.reader(1, 1)];
        bench.wire.bring(1);
        bench.wire.bring(2);
        readers.into_iter().for_each(|reader| reader.join().expect("a reader"));
        bench.close();
    });
}

/// A stack that is closed wakes a caller on its device.
#[test]
fn loom_the_end_of_a_stack_wakes_a_caller_on_the_device() {
    model(|| {
        let bench = Bench::open(1, None);
        let (engine, cell) = (bench.engine.clone(), bench.sockets[0].1.clone());
        let reader = spawn(move || {
            let attempt = |waker: Option<&Waker>| socket::recv_from(&cell, socket::Take::Consume, waker);
            let forget = |waker: &Waker| cell.lock().unregister(waker);
            let received = block(&engine, Place::Device, Patience::Forever, attempt, forget);
            assert!(matches!(received, Err(Errno::ECANCELED | Errno::EBADF)), "{received:?}");
        });
        bench.engine.advance(Phase::Closing);
        reader.join().expect("the reader");
        bench.close();
    });
}

/// Who sleeps on a poll set is on the device too, and runs the turn that brings what it waits for; or the I/O thread, rung meanwhile, does.
#[test]
fn loom_a_poll_set_hears_of_what_comes_by_the_device() {
    model(|| {
        let bench = Bench::open(1, None);
        let (_set, watcher) = bench.watcher(Some(0), 1);
        bench.wire.bring(1);
        bench.engine.bell.ring();
        watcher.join().expect("the watcher");
        bench.close();
    });
}

/// It goes its way with what came for it; what comes for another, who sleeps on its cell, is the I/O thread's.
#[test]
fn loom_a_device_that_a_poll_sets_sleeper_leaves_is_watched_by_the_io_thread() {
    model(|| {
        let bench = Bench::open(2, None);
        let (_set, watcher) = bench.watcher(Some(0), 1);
        let reader = bench.reader(1, 1);
        bench.wire.bring(1);
        bench.wire.bring(2);
        watcher.join().expect("the watcher");
        reader.join().expect("the reader");
        bench.close();
    });
}

/// A nudge reaches a sleeper on the device, and one whose stack has ended meanwhile: the set outlives it.
#[test]
fn loom_a_poll_sets_sleeper_outlives_its_stack() {
    model(|| {
        let bench = Bench::open(1, None);
        let (set, watcher) = bench.watcher(None, 0);
        bench.close();
        let notices = lock(&set).notices().clone();
        notices.nudge();
        watcher.join().expect("the watcher");
    });
}
