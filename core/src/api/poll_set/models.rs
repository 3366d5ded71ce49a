//! Loom's models of poll sets and their descriptors: news, looks, sleep and close, in every order.

use super::*;
use crate::buffer::{Cell, Interest, Life, Marks};
use crate::socket::poll;
use crate::stack::socket::{Take, recv};
use crate::sys::PollFd;
use bytes::Bytes;
use loom::thread;

const IN: EpollEvents = EpollEvents::IN;

struct Watched {
    set: PollSet,
    cell: Arc<Cell>,
}

impl Watched {
    fn new(events: EpollEvents) -> Arc<Self> {
        let cell = Cell::new(Marks { send: 4096, ..Marks::default() });
        cell.lock().life = Life::Connected;
        let set = PollSet::new().expect("a set");
        let watched = Arc::new(Self { set, cell });
        watched.control(EpollControl::Add, events);
        watched
    }

    fn control(&self, control: EpollControl, events: EpollEvents) {
        assert_eq!(lock(&self.set.set).control(control, 1, &self.cell, events, 0), Ok(()));
    }

    /// What the holder of the Turn does at the end of one that brought a byte.
    fn bring(&self) {
        let mut wakers = Vec::new();
        let mut state = self.cell.lock();
        state.inbox.push_back(Bytes::from_static(b"x"));
        state.inbox_len += 1;
        state.take_wakers(Interest::Read, &mut wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn read(&self, most: usize) -> usize {
        recv(&self.cell, most, Take::Consume, None)
            .map_or(0, |(slices, _)| slices.iter().map(Bytes::len).sum())
    }

    /// Sleeps until the set's descriptor shows something, and looks; reads up to `most` bytes of what is found.
    fn receive_shown(&self, fd: RawFd, most: usize) -> usize {
        let mut entries = [PollFd { fd, events: libc::POLLIN, revents: 0 }];
        assert_eq!(poll(&mut entries, None), Ok(1));
        let found = self.set.wait(1, Wait::Never).expect("an open set");
        if found.is_empty() { 0 } else { self.read(most) }
    }

    /// Sleeps until the socket is ready; reads up to `most` bytes. `None`: the set is closed.
    fn receive(&self, most: usize) -> Option<usize> {
        self.set.wait(1, Wait::Forever).ok().map(|_| self.read(most))
    }
}

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(check);
}

/// Both bytes of another thread reach a reader that sleeps on the set in between.
fn both_bytes_come(events: EpollEvents, at_once: usize) {
    model(move || {
        let shared = Watched::new(events);
        let holder = {
            let shared = shared.clone();
            thread::spawn(move || (0..2).for_each(|_| shared.bring()))
        };
        let mut received = 0;
        while received < 2 {
            received += shared.receive(at_once).expect("an open set");
        }
        holder.join().expect("the holder");
    });
}

#[test]
fn loom_an_edge_is_never_missed() {
    both_bytes_come(IN | EpollEvents::ET, 2);
}

#[test]
fn loom_a_level_is_never_missed() {
    both_bytes_come(IN, 1);
}

#[test]
fn loom_what_is_asked_for_again_is_never_missed() {
    model(|| {
        let once = IN | EpollEvents::ONESHOT;
        let shared = Watched::new(once);
        let holder = {
            let shared = shared.clone();
            thread::spawn(move || (0..2).for_each(|_| shared.bring()))
        };
        let mut received = 0;
        while received < 2 {
            received += shared.receive(2).expect("an open set");
            shared.control(EpollControl::Mod, once);
        }
        holder.join().expect("the holder");
    });
}

#[test]
fn loom_of_two_sleepers_each_byte_wakes_one() {
    model(|| {
        let shared = Watched::new(IN);
        let other = {
            let shared = shared.clone();
            thread::spawn(move || while shared.receive(1) == Some(0) {})
        };
        shared.bring();
        shared.bring();
        while shared.receive(1) == Some(0) {}
        other.join().expect("the other reader");
        assert_eq!(shared.read(9), 0);
    });
}

#[test]
fn loom_closing_a_set_wakes_whoever_sleeps() {
    model(|| {
        let shared = Watched::new(IN);
        let sleeper = {
            let shared = shared.clone();
            thread::spawn(move || shared.set.wait(1, Wait::Forever).map(|events| events.len()))
        };
        let holder = {
            let shared = shared.clone();
            thread::spawn(move || shared.bring())
        };
        shared.set.close().expect("close");
        holder.join().expect("the holder");
        let answer = sleeper.join().expect("the sleeper").map_err(|error| error.errno());
        assert!(matches!(answer, Ok(1) | Err(Errno::ECANCELED | Errno::EBADF)), "{answer:?}");
    });
}

/// Whoever waits in another loop, by the descriptor alone, gets both bytes.
fn both_bytes_are_shown(events: EpollEvents, at_once: usize) {
    model(move || {
        let shared = Watched::new(events);
        let fd = shared.set.descriptor().expect("a descriptor");
        let holder = {
            let shared = shared.clone();
            thread::spawn(move || (0..2).for_each(|_| shared.bring()))
        };
        let mut received = 0;
        while received < 2 {
            received += shared.receive_shown(fd, at_once);
        }
        holder.join().expect("the holder");
    });
}

#[test]
fn loom_the_descriptor_shows_every_edge() {
    both_bytes_are_shown(IN | EpollEvents::ET, 2);
}

#[test]
fn loom_the_descriptor_shows_a_level_as_long_as_it_lasts() {
    both_bytes_are_shown(IN, 1);
}

/// A look of another thread that leaves what it finds does not hide it.
#[test]
fn loom_what_another_thread_has_looked_at_is_shown_still() {
    model(|| {
        let shared = Watched::new(IN);
        let fd = shared.set.descriptor().expect("a descriptor");
        let looker = {
            let shared = shared.clone();
            thread::spawn(move || shared.set.wait(1, Wait::Never).map(|found| found.len()))
        };
        shared.bring();
        while shared.receive_shown(fd, 1) == 0 {}
        let found = looker.join().expect("the looker");
        assert!(matches!(found, Ok(0 | 1)), "{found:?}");
    });
}

/// News that comes while a set is closed touches no descriptor that is another's by then.
#[test]
fn loom_a_closed_set_shows_nothing_more() {
    model(|| {
        let shared = Watched::new(IN);
        shared.set.descriptor().expect("a descriptor");
        let holder = {
            let shared = shared.clone();
            thread::spawn(move || shared.bring())
        };
        shared.set.close().expect("close");
        let flag = shared.set.flag.get().expect("the flag");
        assert_eq!(flag.number(), None);
        holder.join().expect("the holder");
        assert_eq!(flag.number(), None);
    });
}
