//! The rules of poll sets, each on cells changed by hand as the holder of the Turn does.

use super::super::{More, Take, accept, close, recv, send_small};
use super::*;
use crate::buffer::{Accepted, CellState, Interest, Marks, OutOfBand, SocketId, Urgent};
use crate::sync::{AtomicUsize, Ordering};
use bytes::Bytes;
use std::task::Wake;

const IN: EpollEvents = EpollEvents::IN;
const OUT: EpollEvents = EpollEvents::OUT;
const ET: EpollEvents = EpollEvents::ET;
const ONESHOT: EpollEvents = EpollEvents::ONESHOT;
const NONE: [(EpollEvents, u64); 0] = [];

/// A set, and the sockets that it may have, named by their index.
struct Bench {
    set: PollSet,
    cells: Vec<Arc<Cell>>,
}

impl Bench {
    /// `count` connections with a send buffer of 9000 bytes.
    fn new(count: usize) -> Self {
        let made = |_| {
            let cell = Cell::new(Marks { send: 9000, ..Marks::default() });
            cell.lock().life = Life::Connected;
            cell
        };
        Self { set: PollSet::new(), cells: (0..count).map(made).collect() }
    }

    fn control(&mut self, control: EpollControl, at: usize, events: EpollEvents) -> Result<(), Errno> {
        self.set.control(control, at as u64, &self.cells[at], events, at as u64 + 100)
    }

    #[track_caller]
    fn add(&mut self, at: usize, events: EpollEvents) {
        assert_eq!(self.control(EpollControl::Add, at, events), Ok(()));
    }

    /// What is ready: events, and which socket.
    fn wait(&mut self, max: usize) -> Vec<(EpollEvents, u64)> {
        self.set.wait(max).into_iter().map(|event| (event.events, event.data - 100)).collect()
    }

    /// What the holder does: a change, and the news of it.
    fn publish(&self, at: usize, interest: Interest, change: impl FnOnce(&mut CellState)) {
        let mut wakers = Vec::new();
        let mut state = self.cells[at].lock();
        change(&mut state);
        state.take_wakers(interest, &mut wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn bring(&self, at: usize, bytes: &'static [u8]) {
        self.publish(at, Interest::Read, |state| {
            state.inbox.push_back(Bytes::from_static(bytes));
            state.inbox_len += bytes.len();
        });
    }

    fn read(&self, at: usize, most: usize) -> usize {
        recv(&self.cells[at], most, Take::Consume, None)
            .map_or(0, |(slices, _)| slices.iter().map(Bytes::len).sum())
    }

    fn write(&self, at: usize, count: usize) -> Result<usize, Errno> {
        send_small(&self.cells[at], &vec![0; count], More::No, super::super::Urgency::None, None)
            .map(|(sent, _)| sent)
    }

    /// The peer acknowledges: that much is queued from now on.
    fn queued(&self, at: usize, bytes: usize) {
        self.publish(at, Interest::Write, |state| state.outbox_len = bytes);
    }

    fn close(&self, at: usize) {
        let mut wakers = Vec::new();
        assert!(close(&self.cells[at], &mut wakers));
        wakers.into_iter().for_each(Waker::wake);
    }
}

#[test]
fn control_says_what_is_wrong() {
    let mut bench = Bench::new(2);
    let (add, del, modify) = (EpollControl::Add, EpollControl::Del, EpollControl::Mod);
    assert_eq!(bench.control(modify, 0, IN), Err(Errno::ENOENT));
    assert_eq!(bench.control(del, 0, IN), Err(Errno::ENOENT));
    assert_eq!(bench.control(add, 0, IN), Ok(()));
    assert_eq!(bench.control(add, 0, IN), Err(Errno::EEXIST));
    assert_eq!(bench.control(modify, 0, EpollEvents(1 << 28)), Err(Errno::EINVAL));
    assert_eq!(bench.control(add, 1, EpollEvents(0x40)), Err(Errno::EINVAL));
    assert_eq!(bench.set.len(), 1, "what was refused changes nothing");
    assert_eq!(bench.control(del, 0, EpollEvents(0x40)), Ok(()));
    assert_eq!(bench.control(del, 0, IN), Err(Errno::ENOENT));
    bench.close(1);
    assert_eq!(bench.control(add, 1, IN), Err(Errno::EBADF));
    for (number, control) in [(1, Ok(add)), (2, Ok(del)), (3, Ok(modify)), (4, Err(Errno::EINVAL))] {
        assert_eq!(EpollControl::try_from(number), control);
    }
}

#[test]
fn level_triggered_is_reported_as_long_as_it_lasts() {
    let mut bench = Bench::new(1);
    bench.add(0, IN);
    assert_eq!(bench.wait(9), NONE);
    bench.bring(0, b"ab");
    for _ in 0..3 {
        assert_eq!(bench.wait(9), [(IN, 0)]);
    }
    assert_eq!(bench.read(0, 1), 1);
    assert_eq!(bench.wait(9), [(IN, 0)]);
    assert_eq!(bench.read(0, 1), 1);
    assert_eq!(bench.wait(9), NONE);
    bench.bring(0, b"c");
    assert_eq!(bench.wait(9), [(IN, 0)]);
}

#[test]
fn what_is_ready_when_it_is_added_is_reported() {
    let mut bench = Bench::new(3);
    bench.bring(0, b"x");
    bench.add(0, IN | ET);
    bench.add(1, IN | OUT | ET);
    bench.add(2, IN);
    assert_eq!(bench.wait(9), [(IN, 0), (OUT, 1)]);
    assert_eq!(bench.wait(9), NONE);
}

#[test]
fn an_edge_is_reported_once_and_news_is_a_new_edge() {
    let mut bench = Bench::new(1);
    bench.add(0, IN | OUT | ET);
    assert_eq!(bench.wait(1), [(OUT, 0)]);
    assert_eq!(bench.wait(1), NONE);
    for _ in 0..2 {
        bench.bring(0, b"unread");
        assert_eq!(bench.wait(1), [(IN | OUT, 0)], "with all that it is ready for");
        assert_eq!(bench.wait(1), NONE);
    }
    assert_eq!(bench.read(0, 3), 3);
    assert_eq!(bench.wait(1), NONE, "reading is no news");
    bench.bring(0, b"a");
    bench.bring(0, b"b");
    assert_eq!(bench.wait(1), [(IN | OUT, 0)], "one report of what came meanwhile");
    bench.bring(0, b"c");
    assert_eq!(bench.read(0, 100), 12);
    assert_eq!(bench.wait(1), [(OUT, 0)], "the edge of what was read before anybody looked");
}

#[test]
fn an_edge_of_room_follows_a_lack_of_it() {
    let mut bench = Bench::new(1);
    bench.add(0, IN | OUT | ET);
    assert_eq!(bench.wait(1), [(OUT, 0)]);
    assert_eq!(bench.write(0, 100), Ok(100));
    bench.queued(0, 0);
    assert_eq!(bench.wait(1), NONE, "nobody has missed any");
    assert_eq!(bench.write(0, 10_000), Ok(9000));
    assert_eq!(bench.wait(1), NONE);
    bench.queued(0, 7000);
    assert_eq!(bench.wait(1), NONE, "less than a third");
    bench.queued(0, 6000);
    assert_eq!(bench.wait(1), [(OUT, 0)]);
    for queued in [3000, 0] {
        bench.queued(0, queued);
        assert_eq!(bench.wait(1), NONE, "more room is no edge");
    }
    assert_eq!(bench.write(0, 9000), Ok(9000), "no call was cut short");
    bench.queued(0, 0);
    assert_eq!(bench.wait(1), NONE);
    assert_eq!(bench.write(0, 9000), Ok(9000));
    bench.bring(0, b"x");
    assert_eq!(bench.wait(1), [(IN, 0)], "but a look has found none");
    bench.queued(0, 0);
    assert_eq!(bench.wait(1), [(IN | OUT, 0)]);
}

#[test]
fn the_mark_of_unsent_data_is_room_too() {
    let mut bench = Bench::new(1);
    bench.cells[0].lock().marks.unsent = 3000;
    bench.cells[0].lock().write_step = 5000;
    bench.add(0, OUT | ET);
    assert_eq!(bench.wait(1), [(OUT, 0)]);
    assert_eq!(bench.write(0, 5000), Ok(5000));
    assert_eq!(bench.write(0, 1), Err(Errno::EAGAIN));
    let sent = |unsent| {
        move |state: &mut CellState| {
            (state.outbox_len, state.unacked, state.unsent) = (0, 5000, unsent);
        }
    };
    bench.publish(0, Interest::Write, sent(3000));
    assert_eq!(bench.wait(1), NONE);
    bench.publish(0, Interest::Write, sent(2999));
    assert_eq!(bench.wait(1), [(OUT, 0)]);
}

#[test]
fn an_edge_is_of_what_was_asked_for() {
    let mut bench = Bench::new(3);
    bench.add(0, OUT | ET);
    bench.add(1, IN | ET);
    bench.add(2, EpollEvents::RDHUP | ET);
    assert_eq!(bench.wait(9), [(OUT, 0)]);
    (0..3).for_each(|at| bench.bring(at, b"x"));
    assert_eq!(bench.wait(9), [(IN, 1)], "data is nothing to a writer");
    (0..3).for_each(|at| {
        assert_eq!(bench.write(at, 9000), Ok(9000));
        assert_eq!(bench.write(at, 1), Err(Errno::EAGAIN));
        bench.queued(at, 0);
    });
    assert_eq!(bench.wait(9), [(OUT, 0)], "room is nothing to a reader");
    (0..3).for_each(|at| bench.publish(at, Interest::Read, |state| state.recv_end = true));
    let ended = [(OUT, 0), (IN, 1), (EpollEvents::RDHUP, 2)];
    assert_eq!(bench.wait(9), ended, "the end of a stream is news to everybody");
    assert_eq!(bench.wait(9), NONE);
}

#[test]
fn errors_and_hang_ups_are_always_asked_for() {
    let mut bench = Bench::new(2);
    bench.add(0, EpollEvents::default());
    bench.add(1, EpollEvents::default() | ET);
    assert_eq!(bench.wait(9), NONE);
    for at in 0..2 {
        bench.publish(at, Interest::Write, |state| {
            (state.life, state.error) = (Life::Ended, Some(Errno::ECONNRESET));
        });
    }
    let both = EpollEvents::ERR | EpollEvents::HUP;
    assert_eq!(bench.wait(9), [(both, 0), (both, 1)]);
    assert_eq!(bench.wait(9), [(both, 0)]);
    assert_eq!(super::super::take_error(&bench.cells[0]), Some(Errno::ECONNRESET));
    assert_eq!(bench.wait(9), [(EpollEvents::HUP, 0)]);
}

#[test]
fn the_outcome_of_connect_is_an_edge() {
    let mut bench = Bench::new(2);
    for at in 0..2 {
        bench.cells[at].lock().life = Life::Connecting;
        bench.add(at, OUT | ET);
    }
    assert_eq!(bench.wait(9), NONE);
    bench.publish(0, Interest::Write, |state| state.life = Life::Connected);
    assert_eq!(bench.wait(9), [(OUT, 0)]);
    bench.publish(1, Interest::Read, |state| {
        (state.life, state.error) = (Life::Ended, Some(Errno::ECONNREFUSED));
    });
    assert_eq!(bench.wait(9), [(OUT | EpollEvents::ERR | EpollEvents::HUP, 1)]);
    assert_eq!(bench.wait(9), NONE);
}

#[test]
fn once_is_once_until_it_is_asked_for_again() {
    for trigger in [EpollEvents::default(), ET] {
        let mut bench = Bench::new(1);
        let asked = IN | ONESHOT | trigger;
        bench.add(0, asked);
        bench.bring(0, b"x");
        assert_eq!(bench.wait(1), [(IN, 0)]);
        bench.bring(0, b"y");
        bench.publish(0, Interest::Read, |state| state.recv_end = true);
        assert_eq!(bench.wait(1), NONE);
        assert_eq!(bench.control(EpollControl::Mod, 0, asked), Ok(()));
        assert_eq!(bench.wait(1), [(IN, 0)]);
        assert_eq!(bench.wait(1), NONE);
        assert_eq!(bench.control(EpollControl::Add, 0, asked), Err(Errno::EEXIST), "it is still there");
    }
}

#[test]
fn a_change_is_an_edge_of_what_is_ready() {
    let mut bench = Bench::new(1);
    bench.bring(0, b"x");
    bench.add(0, IN | ET);
    assert_eq!(bench.wait(1), [(IN, 0)]);
    assert_eq!(bench.wait(1), NONE);
    for asked in [IN | ET, OUT | ET] {
        assert_eq!(bench.control(EpollControl::Mod, 0, asked), Ok(()));
        assert_eq!(bench.wait(1), [(EpollEvents(asked.0 & !ET.0), 0)]);
        assert_eq!(bench.wait(1), NONE);
    }
    bench.bring(0, b"y");
    assert_eq!(bench.wait(1), NONE, "it is asked for room now");
    let (data, cell) = (77, Arc::clone(&bench.cells[0]));
    assert_eq!(bench.set.control(EpollControl::Mod, 0, &cell, IN, data), Ok(()));
    assert_eq!(bench.set.wait(1), [EpollEvent { events: IN, data: 77 }]);
}

#[test]
fn what_is_level_triggered_takes_turns() {
    let mut bench = Bench::new(5);
    for at in 0..5 {
        bench.add(at, IN);
        bench.bring(at, b"x");
    }
    let order = |bench: &mut Bench| bench.wait(2).into_iter().map(|(_, at)| at).collect::<Vec<_>>();
    for expected in [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4], [0, 1]] {
        assert_eq!(order(&mut bench), expected);
    }
}

#[test]
fn news_goes_behind_what_waits_and_before_what_was_reported() {
    let mut bench = Bench::new(4);
    (0..4).for_each(|at| bench.add(at, IN));
    (0..3).for_each(|at| bench.bring(at, b"x"));
    assert_eq!(bench.wait(1), [(IN, 0)]);
    bench.bring(3, b"x");
    assert_eq!(bench.wait(9), [(IN, 1), (IN, 2), (IN, 0), (IN, 3)]);
}

#[test]
fn what_is_closed_drops_out_and_its_name_is_free() {
    let mut bench = Bench::new(2);
    (0..2).for_each(|at| bench.add(at, IN | OUT));
    bench.close(0);
    assert_eq!(bench.wait(9), [(OUT, 1)]);
    assert_eq!(bench.set.len(), 1);
    assert_eq!(Arc::strong_count(&bench.cells[0]), 1);
    bench.close(1);
    let other = Cell::new(Marks { send: 9000, ..Marks::default() });
    assert_eq!(bench.set.control(EpollControl::Mod, 1, &other, IN, 5), Err(Errno::ENOENT));
    assert_eq!(bench.set.control(EpollControl::Add, 1, &other, OUT, 5), Ok(()), "nobody had to look before");
    let both = OUT | EpollEvents::HUP;
    assert_eq!(
        bench.set.wait(9),
        [EpollEvent { events: both, data: 5 }],
        "an idle socket hangs up, as in Linux"
    );
}

#[test]
fn what_is_closed_after_its_one_report_drops_out() {
    let mut bench = Bench::new(1);
    bench.add(0, OUT | ONESHOT);
    assert_eq!(bench.wait(1), [(OUT, 0)]);
    bench.close(0);
    assert_eq!(bench.wait(1), NONE);
    assert_eq!((bench.set.len(), Arc::strong_count(&bench.cells[0])), (0, 1));
}

#[test]
fn what_is_removed_is_told_of_no_more() {
    let mut bench = Bench::new(1);
    bench.add(0, IN | ET);
    bench.bring(0, b"x");
    assert_eq!(bench.control(EpollControl::Del, 0, IN), Ok(()));
    assert_eq!(bench.wait(1), NONE, "nor of what had happened before");
    bench.bring(0, b"y");
    bench.add(0, OUT | ET);
    assert_eq!(bench.wait(9), [(OUT, 0)]);
    assert_eq!(bench.wait(1), NONE);
    assert_eq!(Arc::strong_count(&bench.cells[0]), 2);
    drop(bench.set);
    assert_eq!(Arc::strong_count(&bench.cells[0]), 1);
}

#[test]
fn a_socket_may_be_in_several_sets() {
    let mut bench = Bench::new(1);
    let mut other = PollSet::new();
    bench.add(0, IN | ET);
    assert_eq!(other.control(EpollControl::Add, 9, &bench.cells[0], IN | OUT | ET, 9), Ok(()));
    assert_eq!((bench.wait(1).len(), other.wait(1).len()), (0, 1));
    bench.bring(0, b"x");
    assert_eq!((bench.wait(1).len(), other.wait(1).len()), (1, 1));
    assert_eq!(bench.control(EpollControl::Del, 0, IN), Ok(()));
    bench.bring(0, b"x");
    assert_eq!((bench.wait(1).len(), other.wait(1).len()), (0, 1));
}

#[test]
fn listeners_and_marks_and_urgent_data() {
    let mut bench = Bench::new(3);
    bench.cells[0].lock().life = Life::Listening;
    bench.cells[1].lock().marks.receive_low = 4;
    let asked = [IN | ET, IN | ET, EpollEvents::PRI | ET];
    asked.into_iter().enumerate().for_each(|(at, events)| bench.add(at, events));
    assert_eq!(bench.wait(9), NONE);
    let address = "192.0.2.1:1".parse().expect("an address");
    let socket = SocketId { index: 0, generation: 0 };
    let accepted = Accepted { socket, cell: Arc::clone(&bench.cells[2]), local: address, peer: address };
    for _ in 0..2 {
        let accepted = accepted.clone();
        bench.publish(0, Interest::Read, |state| state.accept.push_back(accepted));
        assert_eq!(bench.wait(9), [(IN, 0)]);
    }
    assert!(accept(&bench.cells[0], None).is_ok());
    assert_eq!(bench.wait(9), NONE);
    bench.bring(1, b"abc");
    assert_eq!(bench.wait(9), NONE, "less than SO_RCVLOWAT");
    bench.bring(1, b"d");
    assert_eq!(bench.wait(9), [(IN, 1)]);
    bench.publish(2, Interest::Read, |state| {
        state.urgent = Some(Urgent { position: 0, byte: OutOfBand::Coming });
    });
    assert_eq!(bench.wait(9), [(EpollEvents::PRI, 2)]);
}

#[test]
fn an_error_after_an_error_is_an_edge() {
    let mut bench = Bench::new(1);
    bench.add(0, OUT | ET);
    assert_eq!(bench.wait(1), [(OUT, 0)]);
    for _ in 0..2 {
        bench.publish(0, Interest::Read, |state| state.error = Some(Errno::EHOSTUNREACH));
        assert_eq!(bench.wait(1), [(OUT | EpollEvents::ERR, 0)]);
        assert_eq!(super::super::take_error(&bench.cells[0]), Some(Errno::EHOSTUNREACH));
    }
}

#[test]
fn a_socket_that_moves_to_another_cell_drops_out() {
    let mut bench = Bench::new(1);
    bench.add(0, IN | OUT);
    let mut wakers = Vec::new();
    let _moved = bench.cells[0].lock().move_out(&mut wakers);
    wakers.into_iter().for_each(Waker::wake);
    assert_eq!(bench.wait(1), NONE);
    assert!(bench.set.is_empty());
}

struct Count(AtomicUsize);
impl Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_sleeper_is_woken_once_when_there_may_be_something() {
    let count = std::sync::Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(count.clone());
    let woken = || count.0.swap(0, Ordering::SeqCst);
    let mut bench = Bench::new(2);
    (0..2).for_each(|at| bench.add(at, IN | ET));
    assert!(bench.wait(1).is_empty() && bench.set.sleep(&waker) && bench.set.sleep(&waker));
    bench.bring(0, b"x");
    bench.bring(1, b"x");
    assert_eq!(woken(), 1);
    assert!(!bench.set.sleep(&waker), "there is something");
    assert_eq!(bench.wait(9).len(), 2);
    assert!(bench.set.sleep(&waker));
    bench.set.forget(&waker);
    bench.bring(0, b"x");
    assert_eq!(woken(), 0);
    assert_eq!(bench.wait(9).len(), 1);
    assert!(bench.set.sleep(&waker));
    assert_eq!(bench.control(EpollControl::Mod, 0, IN), Ok(()));
    assert_eq!(woken(), 1, "what is ready when it is asked for");
    assert!(!bench.set.sleep(&waker));
    assert_eq!(bench.wait(9).len(), 1);
    assert!(!bench.set.sleep(&waker), "level-triggered, it may be ready still");
    assert_eq!((bench.read(0, 99), bench.wait(9).len()), (2, 0));
    assert!(bench.set.sleep(&waker));
    bench.set.close();
    assert_eq!((woken(), bench.set.is_closed(), bench.set.sleep(&waker)), (1, true, false));
    bench.bring(0, b"x");
    assert_eq!(bench.wait(9), NONE);
}

#[test]
fn ten_thousand_sockets_cost_what_is_ready() {
    let mut bench = Bench::new(10_000);
    (0..10_000).for_each(|at| bench.add(at, IN | ET));
    assert_eq!(bench.wait(99), NONE);
    for round in 0..10_000 {
        bench.bring(round, b"x");
        assert_eq!(bench.wait(99), [(IN, round as u64)]);
    }
}

#[test]
fn cells_in_no_set_keep_nothing_of_them() {
    let mut bench = Bench::new(1);
    bench.add(0, IN);
    assert!(format!("{:?}", bench.cells[0]).contains("followers: Some"));
    assert_eq!(bench.control(EpollControl::Del, 0, IN), Ok(()));
    assert!(format!("{:?}", bench.cells[0]).contains("followers: None"));
    bench.add(0, IN);
    bench.close(0);
    assert!(format!("{:?}", bench.cells[0]).contains("followers: None"));
}
