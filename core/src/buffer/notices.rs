//! What a poll set is told: which of its sockets have changed, each once, in order; and who sleeps until then.
//!
//! Whoever changes a cell hands its notices in under the cell's leaf lock, and wakes those who sleep until then after letting go of everything. The lock here is the
//! innermost: nothing is called while it is held.

use crate::sync::{AtomicBool, Mutex, Ordering, TaskArc, lock};
use std::collections::VecDeque;
use std::task::Waker;

/// The notices of one poll set, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Notices(TaskArc<Mutex<Desk>>);

#[derive(Debug, Default)]
struct Desk {
    waiting: VecDeque<Notice>,
    sleepers: Vec<Waker>,
    /// Woken at every notice, as long as the set is there.
    watcher: Option<Waker>,
    /// Somebody wants one look to end, whatever it finds.
    nudged: bool,
    /// The set is gone: nobody looks any more.
    over: bool,
}

impl Desk {
    fn calls(&self) -> bool {
        self.over || self.nudged || !self.waiting.is_empty()
    }

    /// Adds to `out` whom to wake, after letting go, since there is something to look at.
    fn called(&mut self, out: &mut Vec<Waker>) {
        out.append(&mut self.sleepers);
        out.extend(self.watcher.clone());
    }
}

/// That a socket has changed.
#[derive(Clone, Debug)]
pub struct Notice(TaskArc<Sheet>);

#[derive(Debug)]
struct Sheet {
    notices: Notices,
    token: u64,
    /// It has been handed in and not been looked at. Written under the lock of the notices, or by whoever has taken them.
    waiting: AtomicBool,
}

impl Notices {
    /// A notice of the socket that the set calls `token`.
    #[must_use]
    pub fn notice(&self, token: u64) -> Notice {
        Notice(TaskArc::new(Sheet { notices: self.clone(), token, waiting: AtomicBool::new(false) }))
    }

    /// Takes whatever waits; what is handed in meanwhile waits for the next time.
    #[must_use]
    pub fn take(&self) -> VecDeque<Notice> {
        std::mem::take(&mut lock(&self.0).waiting)
    }

    /// Puts back what was taken and not looked at, in front, and what is to be looked at again, behind. Wakes the sleepers if anything waits then.
    pub fn put_back(&self, mut rest: VecDeque<Notice>, again: Vec<Notice>) {
        let mut desk = lock(&self.0);
        if desk.over {
            return;
        }
        rest.append(&mut desk.waiting);
        let again = again.into_iter().filter(|notice| !notice.0.waiting.swap(true, Ordering::AcqRel));
        rest.extend(again);
        desk.waiting = rest;
        // Whoever puts back has the watcher look itself.
        let sleepers = if desk.waiting.is_empty() { Vec::new() } else { std::mem::take(&mut desk.sleepers) };
        drop(desk);
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// Has `waker` woken, once, when there is a notice; false if there is one, or never will be.
    #[must_use]
    pub fn sleep(&self, waker: &Waker) -> bool {
        let mut desk = lock(&self.0);
        if desk.calls() {
            return false;
        }
        if !desk.sleepers.iter().any(|known| known.will_wake(waker)) {
            desk.sleepers.push(waker.clone());
        }
        true
    }

    /// Takes a waker back.
    pub fn forget(&self, waker: &Waker) {
        lock(&self.0).sleepers.retain(|known| !known.will_wake(waker));
    }

    /// The set is gone. Sleepers wake; what is handed in from now on is forgotten.
    pub fn end(&self) {
        let mut desk = lock(&self.0);
        desk.over = true;
        let (waiting, mut sleepers) = (std::mem::take(&mut desk.waiting), Vec::new());
        desk.called(&mut sleepers);
        desk.watcher = None;
        drop(desk);
        drop(waiting);
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// Has `watcher` woken at every notice, until the set is gone; false if it is.
    pub fn watch(&self, watcher: Waker) -> bool {
        let mut desk = lock(&self.0);
        if !desk.over {
            desk.watcher = Some(watcher);
        }
        !desk.over
    }

    /// Whether there is something to look at, or never will be.
    #[must_use]
    pub fn calls(&self) -> bool {
        lock(&self.0).calls()
    }

    /// Has one look end, the next one or that which is under way, whatever it finds.
    pub fn nudge(&self) {
        let mut desk = lock(&self.0);
        desk.nudged = true;
        let mut sleepers = Vec::new();
        desk.called(&mut sleepers);
        drop(desk);
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// Whether this look is the one that is to end.
    #[must_use]
    pub fn take_nudge(&self) -> bool {
        std::mem::take(&mut lock(&self.0).nudged)
    }

    /// Whether the set is gone.
    #[must_use]
    pub fn is_over(&self) -> bool {
        lock(&self.0).over
    }
}

impl Notice {
    /// What the set calls the socket.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.0.token
    }

    /// Whether `other` is this very notice, and not one of an earlier socket of the same name.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        TaskArc::ptr_eq(&self.0, &other.0)
    }

    /// It is about to be looked at: what happens from now on is news.
    pub fn begin(&self) {
        // An exchange like the others, so that all of them have one order.
        self.0.waiting.swap(false, Ordering::AcqRel);
    }

    /// Hands it in, unless it waits already. Adds to `out` whom to wake after letting go of everything.
    pub fn hand_in(&self, out: &mut Vec<Waker>) {
        let mut desk = lock(&self.0.notices.0);
        if desk.over || self.0.waiting.swap(true, Ordering::AcqRel) {
            return;
        }
        desk.waiting.push_back(self.clone());
        desk.called(out);
    }
}
