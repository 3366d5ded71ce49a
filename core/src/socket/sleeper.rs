//! A sleeping thread, as a waker.

use super::word::{Outcome, Word};
use crate::sync::TaskArc;
use crate::time::Instant;
use std::task::{Wake, Waker};

/// A thread that sleeps until its waker is woken. A wake-up sticks: one that comes before the sleep ends it at once.
#[derive(Debug, Default)]
pub struct Sleeper {
    word: Word,
}

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woke {
    /// The waker was woken.
    Woken,
    /// The time was over.
    TimedOut,
    /// A signal handler ran in this thread.
    Interrupted,
}

/// Nobody sleeps and nobody woke; a wake-up waits to be noticed; the thread sleeps.
const IDLE: u32 = 0;
const WOKEN: u32 = 1;
const ASLEEP: u32 = 2;

impl Sleeper {
    /// A sleeper and its waker.
    #[must_use]
    pub fn new() -> (TaskArc<Self>, Waker) {
        let sleeper = TaskArc::new(Self::default());
        let waker = Waker::from(sleeper.clone());
        (sleeper, waker)
    }

    /// Sleeps until woken or until `until`. Only one thread may sleep on a sleeper.
    pub fn sleep(&self, until: Option<Instant>) -> Woke {
        loop {
            if self.word.exchange(IDLE, ASLEEP) == WOKEN {
                self.word.swap(IDLE);
                return Woke::Woken;
            }
            let outcome = self.word.wait(ASLEEP, until);
            if self.word.swap(IDLE) == WOKEN {
                return Woke::Woken;
            }
            match outcome {
                Outcome::Again => {}
                Outcome::TimedOut => return Woke::TimedOut,
                Outcome::Interrupted => return Woke::Interrupted,
            }
        }
    }

    fn ring(&self) {
        if self.word.swap(WOKEN) == ASLEEP {
            self.word.wake();
        }
    }
}

impl Wake for Sleeper {
    fn wake(self: TaskArc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &TaskArc<Self>) {
        self.ring();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::clock;
    use crate::time::Duration;

    #[test]
    fn a_wake_up_before_the_sleep_ends_it() {
        let (sleeper, waker) = Sleeper::new();
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(sleeper.sleep(None), Woke::Woken);
        assert_eq!(sleeper.sleep(Some(clock::now())), Woke::TimedOut);
    }

    #[test]
    fn another_thread_wakes_a_sleeper() {
        let (sleeper, waker) = Sleeper::new();
        let thread = std::thread::spawn(move || waker.wake());
        assert_eq!(sleeper.sleep(Some(clock::now() + Duration::from_secs(60))), Woke::Woken);
        thread.join().expect("the waking thread");
    }

    #[test]
    fn time_ends_a_sleep() {
        let (sleeper, _waker) = Sleeper::new();
        let until = clock::now() + Duration::from_millis(2);
        assert_eq!(sleeper.sleep(Some(until)), Woke::TimedOut);
        assert!(clock::now() >= until);
    }
}
