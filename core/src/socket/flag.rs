//! The descriptor of a poll set: readable while there is something to look at.

use super::event::EventFd;
use crate::buffer::Notices;
use crate::error::{Errno, Result};
use crate::sync::{Mutex, TaskArc, lock};
use std::task::{Wake, Waker};

/// One poll set's descriptor. It watches the set's notices, and whoever looks at the set publishes when it is done.
///
/// Publishing has a lock of its own, and the notices are asked inside of it, as with [`Descriptor`](super::Descriptor): the last to publish has seen the last
/// change.
#[derive(Debug)]
pub struct Flag {
    notices: Notices,
    shown: Mutex<Shown>,
}

#[derive(Debug)]
struct Shown {
    /// `None` once the set is closed.
    event: Option<EventFd>,
    raised: bool,
}

/// Why something is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// There is news: who waits for edges gets one.
    News,
    /// Somebody has looked.
    Look,
}

impl Flag {
    /// A descriptor for the set of `notices`. EBADF when it is closed, EMFILE, ENFILE.
    pub fn new(notices: &Notices) -> Result<TaskArc<Self>> {
        let shown = Mutex::new(Shown { event: Some(EventFd::new()?), raised: false });
        let flag = TaskArc::new(Self { notices: notices.clone(), shown });
        if !notices.watch(Waker::from(flag.clone())) {
            return Err(Errno::EBADF.into());
        }
        flag.publish(Cause::News);
        Ok(flag)
    }

    /// Its number, to poll, never to read or write; `None` once the set is closed.
    #[must_use]
    pub fn number(&self) -> Option<i32> {
        lock(&self.shown).event.as_ref().map(EventFd::descriptor)
    }

    /// Shows whether there is something left, after a look at the set.
    pub fn looked(&self) {
        self.publish(Cause::Look);
    }

    /// Closes the descriptor with its set.
    pub fn close(&self) {
        lock(&self.shown).event = None;
    }

    fn publish(&self, cause: Cause) {
        let mut shown = lock(&self.shown);
        let wanted = self.notices.calls();
        let Shown { event: Some(event), raised } = &mut *shown else { return };
        if wanted && (!*raised || cause == Cause::News) {
            event.signal();
        }
        if *raised && !wanted {
            event.clear();
        }
        *raised = wanted;
    }
}

impl Wake for Flag {
    fn wake(self: TaskArc<Self>) {
        self.publish(Cause::News);
    }

    fn wake_by_ref(self: &TaskArc<Self>) {
        self.publish(Cause::News);
    }
}
