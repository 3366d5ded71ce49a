//! The readiness descriptor: a descriptor of the system that says what a socket is ready for.

use super::pair::Pair;
use crate::buffer::Cell;
use crate::error::{Errno, Result};
use crate::stack::socket::{Observed, Readiness, observe};
use crate::sync::{Arc, Mutex, TaskArc, lock};
use std::os::fd::OwnedFd;
use std::task::{Wake, Waker};

/// One socket's readiness descriptor. It watches the socket's cell, and whoever changes the cell publishes here after letting go of
/// the leaf: the cell's watcher when the holder of the Turn does, the call itself when a data call does.
///
/// Publishing has a lock of its own, and the cell is looked at inside of it. So the last to publish has seen the last change, and nobody's
/// older look overtakes it.
#[derive(Debug)]
pub struct Descriptor {
    cell: Arc<Cell>,
    shown: Mutex<Shown>,
}

/// Both ends of a stream of bytes: the program's, ours.
pub type Stream = (OwnedFd, OwnedFd);

/// What the descriptor shows.
#[derive(Debug)]
struct Shown {
    /// `None` once the socket is closed.
    pair: Option<Pair>,
    states: Readiness,
    /// The socket has listened or connected: when it is idle again, something is over.
    begun: bool,
    /// The stack has come to an end, which the cell does not tell.
    over: bool,
}

const NONE: Readiness = Readiness(0);
/// What the end of a connection shows, and an error with it.
const ENDED: Readiness =
    Readiness(Readiness::IN.0 | Readiness::OUT.0 | Readiness::RDHUP.0 | Readiness::HUP.0);
const FAILED: Readiness = Readiness(ENDED.0 | Readiness::ERR.0);

impl Descriptor {
    /// A descriptor for the socket of `cell`. EBADF when it is closed, EMFILE, ENFILE.
    pub fn new(cell: &Arc<Cell>) -> Result<TaskArc<Self>, Errno> {
        let shown = Shown { pair: Some(Pair::new()?), states: Readiness::OUT, begun: false, over: false };
        let descriptor = TaskArc::new(Self { cell: cell.clone(), shown: Mutex::new(shown) });
        let mut state = cell.lock();
        // One that has been given away forgets nobody any more who watches it.
        if cell.is_given() || !state.watch(Waker::from(descriptor.clone())) {
            return Err(Errno::EBADF);
        }
        drop(state);
        Ok(descriptor)
    }

    /// Its number, to poll, never to read or write; `None` once the socket is closed.
    #[must_use]
    pub fn number(&self) -> Option<i32> {
        lock(&self.shown).pair.as_ref().map(Pair::descriptor)
    }

    /// Shows what the socket is ready for now. To be called after every change, and never under a leaf lock.
    pub fn publish(&self) {
        let mut shown = lock(&self.shown);
        let observed = observe(&self.cell);
        shown.show(observed);
    }

    /// Shows an error for good: the stack has come to an end.
    pub fn give_up(&self) {
        lock(&self.shown).over = true;
        self.publish();
    }

    /// Turns the descriptor into a stream of bytes, the program's end and ours, under the number that it had; the same open file, unless it
    /// shows what cannot be taken back. EBADF when it is closed, EMFILE.
    pub fn take_stream(&self) -> Result<Stream, Errno> {
        let mut shown = lock(&self.shown);
        if shown.states.any(Readiness::RDHUP | Readiness::HUP) {
            shown.pair.as_mut().ok_or(Errno::EBADF)?.renew()?;
            shown.states = Readiness::OUT;
        }
        shown.show_out(Readiness::OUT, NONE);
        shown.show_in(NONE, NONE);
        if shown.states != Readiness::OUT {
            return Err(Errno::ENOBUFS);
        }
        shown.pair.take().ok_or(Errno::EBADF)?.into_stream()
    }

    /// Takes back what was to become a stream and did not.
    pub fn give_back(&self, (front, back): Stream) {
        let mut shown = lock(&self.shown);
        shown.pair = Some(Pair::from_stream(front, back));
        shown.states = Readiness::OUT;
        drop(shown);
        self.publish();
    }

    /// Leaves the number that the descriptor has, open, to whoever has taken it for its own, and goes on under another. EMFILE, ENFILE: under
    /// none.
    pub fn leave_number(&self) -> Result<(), Errno> {
        let mut shown = lock(&self.shown);
        let Some(old) = shown.pair.take() else { return Ok(()) };
        old.leave_front();
        shown.states = Readiness::OUT;
        shown.pair = Some(Pair::new()?);
        drop(shown);
        self.publish();
        Ok(())
    }

    /// Ends with its socket, and gives its number away.
    pub fn give_number(&self) -> Option<OwnedFd> {
        let (front, _) = lock(&self.shown).pair.take()?.into_stream().ok()?;
        Some(front)
    }

    /// Closes the descriptor with its socket. Duplicates that the program made of it show HUP.
    pub fn close(&self) {
        let mut shown = lock(&self.shown);
        shown.end(NONE);
        shown.pair = None;
    }
}

/// Asks the kernel whether it can show all states that descriptors have. EOPNOTSUPP when it cannot.
pub fn try_descriptors() -> Result<()> {
    super::pair::try_out()
}

impl Wake for Descriptor {
    fn wake(self: TaskArc<Self>) {
        self.publish();
    }

    fn wake_by_ref(self: &TaskArc<Self>) {
        self.publish();
    }
}

/// Whether a socket has neither a connection nor had one, nor listens.
fn is_idle(ready: Readiness) -> bool {
    ready.any(Readiness::HUP) && !ready.any(Readiness::RDHUP)
}

/// What of it the descriptor can show.
///
/// HUP and ERR are for good there. So HUP is kept for a connection that is over, not for a socket that has none yet, and an error that
/// ends nothing shows as IN and OUT: whichever call the program makes then tells it.
fn showable(ready: Readiness) -> Readiness {
    let has = |state: Readiness| ready.any(state);
    if has(Readiness::NVAL) {
        return ENDED;
    }
    if has(Readiness::HUP) && has(Readiness::RDHUP) {
        return ENDED | Readiness(ready.0 & Readiness::ERR.0);
    }
    let lasting = Readiness::IN | Readiness::OUT | Readiness::RDHUP;
    let told = if has(Readiness::ERR) { Readiness::IN | Readiness::OUT } else { NONE };
    told | Readiness(ready.0 & lasting.0)
}

impl Shown {
    /// Changes what is shown into what was observed. What fails is shown as it was, and tried again next time.
    fn show(&mut self, observed: Observed) {
        self.begun |= !is_idle(observed.ready);
        let wanted = match observed.ready {
            _ if self.over => FAILED,
            idle if self.begun && is_idle(idle) => ENDED,
            ready => showable(ready),
        };
        if self.states.any(Readiness::HUP) {
            if wanted.any(Readiness::HUP) {
                self.forget_error(wanted);
                return;
            }
            // A socket whose connection came to nothing connects again, or one that listened no more does.
            self.apply(|pair| pair.renew(), |_| Readiness::OUT);
        }
        if wanted.any(Readiness::HUP) {
            self.end(wanted);
            self.forget_error(wanted);
            return;
        }
        self.show_out(wanted, observed.dipped);
        self.show_in(wanted, observed.dipped);
    }

    fn show_out(&mut self, wanted: Readiness, dipped: Readiness) {
        let (want, missed) = (wanted.any(Readiness::OUT), dipped.any(Readiness::OUT));
        if self.states.any(Readiness::OUT) && (!want || missed) {
            self.apply(|pair| pair.lower_out(), |states| without(states, Readiness::OUT));
        }
        if want && !self.states.any(Readiness::OUT) {
            self.apply(|pair| pair.raise_out(), |states| states | Readiness::OUT);
        }
    }

    fn show_in(&mut self, wanted: Readiness, dipped: Readiness) {
        if self.states.any(Readiness::RDHUP) {
            return;
        }
        if wanted.any(Readiness::RDHUP) {
            let end = Readiness::IN | Readiness::RDHUP;
            self.apply(|pair| pair.end_reading(), |states| states | end);
            return;
        }
        let (want, is) = (wanted.any(Readiness::IN), self.states.any(Readiness::IN));
        if want && (!is || dipped.any(Readiness::IN)) {
            self.apply(|pair| pair.raise_in(), |states| states | Readiness::IN);
        }
        if is && !want {
            self.apply(|pair| pair.lower_in(), |states| without(states, Readiness::IN));
        }
    }

    /// Shows that both directions are over, with an error or without.
    fn end(&mut self, wanted: Readiness) {
        if self.states.any(Readiness::HUP) {
            return;
        }
        if wanted.any(Readiness::ERR) {
            if self.states.any(Readiness::OUT) {
                self.apply(|pair| pair.lower_out(), |states| without(states, Readiness::OUT));
            }
            let fail = |pair: &mut Pair| {
                pair.fail();
                Ok(())
            };
            self.apply(fail, |_| FAILED);
            return;
        }
        if !self.states.any(Readiness::OUT) {
            self.apply(|pair| pair.raise_out(), |states| states | Readiness::OUT);
        }
        self.apply(|pair| pair.hang_up(), |_| ENDED);
    }

    /// Shows an error no more that has been told.
    fn forget_error(&mut self, wanted: Readiness) {
        if self.states.any(Readiness::ERR) && !wanted.any(Readiness::ERR) {
            self.apply(|pair| pair.clear_error(), |_| ENDED);
        }
    }

    fn apply(
        &mut self,
        change: impl FnOnce(&mut Pair) -> Result<(), Errno>,
        then: impl FnOnce(Readiness) -> Readiness,
    ) {
        if self.pair.as_mut().is_some_and(|pair| change(pair).is_ok()) {
            self.states = then(self.states);
        }
    }
}

const fn without(states: Readiness, gone: Readiness) -> Readiness {
    Readiness(states.0 & !gone.0)
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::buffer::{Interest, Life, Marks};
    use crate::stack::socket::{Take, close, recv};
    use bytes::Bytes;
    use loom::thread;

    struct Watched {
        cell: Arc<Cell>,
        descriptor: TaskArc<Descriptor>,
        /// What the program polls.
        kernel: Pair,
    }

    fn watched() -> Watched {
        let cell = Cell::new(Marks { send: 4096, ..Marks::default() });
        cell.lock().life = Life::Connected;
        let descriptor = Descriptor::new(&cell).expect("a descriptor");
        descriptor.publish();
        let kernel = lock(&descriptor.shown).pair.clone().expect("a pair");
        Watched { cell, descriptor, kernel }
    }

    impl Watched {
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

        /// What a call does that does not block; the bytes it got.
        fn receive(&self) -> usize {
            let received = recv(&self.cell, 1, Take::Consume, None);
            self.descriptor.publish();
            received.map_or(0, |(slices, _)| slices.iter().map(Bytes::len).sum())
        }

        /// What the end of a model has to have come to; then the socket is let go of, as close does.
        fn holds(&self) {
            assert!(self.cell.lock().unwatch());
            let shown = lock(&self.descriptor.shown).states;
            assert_eq!(self.kernel.states(), shown);
            assert_eq!(shown, showable(observe(&self.cell).ready));
        }
    }

    fn model(check: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(check);
    }

    #[test]
    fn loom_a_reader_that_polls_never_hangs() {
        model(|| {
            let shared = Arc::new(watched());
            let holder = {
                let shared = shared.clone();
                thread::spawn(move || (0..2).for_each(|_| shared.bring()))
            };
            let mut received = 0;
            while received < 2 {
                shared.kernel.poll(Readiness::IN);
                received += shared.receive();
            }
            holder.join().expect("the holder");
            shared.holds();
        });
    }

    #[test]
    fn loom_what_is_shown_in_the_end_is_what_is() {
        model(|| {
            let shared = Arc::new(watched());
            shared.bring();
            let reader = {
                let shared = shared.clone();
                thread::spawn(move || shared.receive())
            };
            let other = {
                let shared = shared.clone();
                thread::spawn(move || shared.receive())
            };
            shared.bring();
            reader.join().expect("a reader");
            other.join().expect("the other reader");
            shared.holds();
        });
    }

    #[test]
    fn loom_closing_shows_to_whoever_polls() {
        model(|| {
            let shared = Arc::new(watched());
            let closer = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let mut wakers = Vec::new();
                    assert!(close(&shared.cell, &mut wakers));
                    wakers.into_iter().for_each(Waker::wake);
                    shared.descriptor.close();
                })
            };
            shared.kernel.poll(Readiness::HUP);
            closer.join().expect("the closer");
            assert!(shared.cell.lock().unwatch(), "and nothing is left that refers to itself");
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_shows_every_state() {
        assert_eq!(try_descriptors(), Ok(()));
    }

    #[test]
    fn what_cannot_be_taken_back_is_kept_for_the_end() {
        let idle = Readiness::OUT | Readiness::HUP;
        let ended = ENDED;
        let table = [
            (NONE, NONE),
            (Readiness::IN, Readiness::IN),
            (idle, Readiness::OUT),
            (Readiness::ERR, Readiness::IN | Readiness::OUT),
            (Readiness::IN | Readiness::RDHUP, Readiness::IN | Readiness::RDHUP),
            (ended, ended),
            (ended | Readiness::ERR, FAILED),
            (Readiness::NVAL, ENDED),
        ];
        for (ready, shown) in table {
            assert_eq!(showable(ready), shown, "{ready:?}");
        }
    }
}
