//! A word to sleep on: a futex, or loom's copy of one.

use crate::sync::{AtomicU32, Ordering};
use crate::time::Instant;

/// A 32-bit word in shared memory.
#[derive(Debug, Default)]
pub(super) struct Word {
    value: AtomicU32,
    #[cfg(loom)]
    asleep: (crate::sync::Mutex<()>, crate::sync::Condvar),
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(loom, allow(dead_code))]
pub(super) enum Outcome {
    /// Woken, or for no reason: look at the word again.
    Again,
    /// The time was over.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

impl Word {
    /// Stores `new` if the word is `expected`; returns what it was.
    pub(super) fn exchange(&self, expected: u32, new: u32) -> u32 {
        let exchanged = self.value.compare_exchange(expected, new, Ordering::AcqRel, Ordering::Acquire);
        exchanged.unwrap_or_else(|found| found)
    }

    /// What the word is.
    pub(super) fn load(&self) -> u32 {
        self.value.load(Ordering::Acquire)
    }

    /// Stores `new`; returns what the word was.
    pub(super) fn swap(&self, new: u32) -> u32 {
        self.value.swap(new, Ordering::AcqRel)
    }
}

#[cfg(not(loom))]
impl Word {
    /// Sleeps while the word is `expected`, until `until`.
    pub(super) fn wait(&self, expected: u32, until: Option<Instant>) -> Outcome {
        let timeout = until.map(|until| until.since(crate::clock::now()));
        match crate::sys::futex_wait(&self.value, expected, timeout) {
            crate::sys::Woken::Woken => Outcome::Again,
            crate::sys::Woken::TimedOut => Outcome::TimedOut,
            crate::sys::Woken::Interrupted => Outcome::Interrupted,
        }
    }

    /// Wakes the thread that sleeps on the word.
    pub(super) fn wake(&self) {
        crate::sys::futex_wake(&self.value, 1);
    }
}

#[cfg(loom)]
impl Word {
    pub(super) fn wait(&self, expected: u32, _until: Option<Instant>) -> Outcome {
        let guard = crate::sync::lock(&self.asleep.0);
        if self.value.load(Ordering::Acquire) == expected {
            drop(self.asleep.1.wait(guard));
        }
        Outcome::Again
    }

    pub(super) fn wake(&self) {
        drop(crate::sync::lock(&self.asleep.0));
        self.asleep.1.notify_one();
    }
}
