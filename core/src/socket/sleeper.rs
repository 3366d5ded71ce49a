//! A sleeping thread, as a waker.

use super::event::{EventFd, poll_under};
use super::held::{HeldSignals, interrupts};
use super::word::{Outcome, Word};
use crate::error::Errno;
use crate::sync::{Mutex, TaskArc, lock};
use crate::sys::{PollFd, Signals};
use crate::time::{Duration, Instant};
use std::task::{Wake, Waker};

/// A thread that sleeps until its waker is woken. A wake-up sticks: one that comes before the sleep ends it at once.
#[derive(Debug, Default)]
pub struct Sleeper {
    word: Word,
    /// What wakes the thread while it sleeps on a device.
    event: Mutex<Option<TaskArc<EventFd>>>,
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

/// Why a sleep on a device ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// The device has something to read, or is gone.
    Device,
    /// As any other sleep.
    Woke(Woke),
}

/// Nobody sleeps and nobody woke; a wake-up waits to be noticed; the thread sleeps on the word; it sleeps on a device and its eventfd.
const IDLE: u32 = 0;
const WOKEN: u32 = 1;
const ASLEEP: u32 = 2;
const WATCHING: u32 = 3;

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

    /// Forgets a wake-up of earlier: to be called while nobody has the waker who might still mean it.
    pub fn forget(&self) {
        if self.is_woken() {
            self.word.swap(IDLE);
        }
    }

    /// Whether a wake-up waits to be noticed.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.word.load() == WOKEN
    }

    /// Has wake-ups reach the thread by `event` while it sleeps on a device; `None`: it does so no more.
    pub fn attach(&self, event: Option<TaskArc<EventFd>>) {
        *lock(&self.event) = event;
    }

    /// Sleeps until the device with the descriptor `device` is readable, or as [`Sleeper::sleep`] does. `event` is what was attached; signals that are `held` are
    /// let in, but not where the device is readable already.
    pub fn watch(
        &self,
        device: i32,
        event: &EventFd,
        until: Option<Instant>,
        held: Option<&HeldSignals>,
    ) -> Watched {
        let mask = held.and_then(HeldSignals::mask);
        loop {
            if self.word.exchange(IDLE, WATCHING) == WOKEN {
                self.word.swap(IDLE);
                return Watched::Woke(Woke::Woken);
            }
            let mut entries =
                [device, event.descriptor()].map(|fd| PollFd { fd, events: libc::POLLIN, revents: 0 });
            let polled = poll_under(mask, &mut entries, until.map(left));
            let woken = self.word.swap(IDLE) == WOKEN;
            let [readable, rung] = entries.map(|entry| entry.revents != 0);
            if rung {
                event.clear();
            }
            return match polled {
                Ok(_) if readable => Watched::Device,
                _ if woken => Watched::Woke(Woke::Woken),
                Ok(0) => Watched::Woke(Woke::TimedOut),
                Err(Errno::EINTR) if !interrupts(until, &mask.copied().unwrap_or_else(Signals::now)) => {
                    continue;
                }
                Err(Errno::EINTR) => Watched::Woke(Woke::Interrupted),
                // Rung by somebody who meant an earlier sleep, or out of memory: one more look does no harm.
                Ok(_) | Err(_) => Watched::Woke(Woke::Woken),
            };
        }
    }

    fn ring(&self) {
        match self.word.swap(WOKEN) {
            ASLEEP => self.word.wake(),
            WATCHING => {
                let event = lock(&self.event).clone();
                event.iter().for_each(|event| event.signal());
            }
            _ => {}
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

fn left(until: Instant) -> Duration {
    until.since(crate::clock::now())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{clock, sys};
    use std::os::fd::{AsFd, AsRawFd};

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

    #[test]
    fn a_thread_on_a_device_is_woken_by_both() {
        let (sleeper, waker) = Sleeper::new();
        let event = TaskArc::new(EventFd::new().expect("an eventfd"));
        let (device, far) = sys::socketpair(libc::SOCK_DGRAM).expect("a socket pair");
        let fd = device.as_raw_fd();
        sleeper.attach(Some(event.clone()));
        waker.wake_by_ref();
        assert!(sleeper.is_woken());
        assert_eq!(sleeper.watch(fd, &event, None, None), Watched::Woke(Woke::Woken));
        let soon = clock::now() + Duration::from_millis(2);
        assert_eq!(sleeper.watch(fd, &event, Some(soon), None), Watched::Woke(Woke::TimedOut));
        let thread = std::thread::spawn({
            let waker = waker.clone();
            move || waker.wake()
        });
        assert_eq!(sleeper.watch(fd, &event, None, None), Watched::Woke(Woke::Woken));
        thread.join().expect("the waking thread");
        sys::send(far.as_fd(), b"x", 0).expect("a packet");
        assert_eq!(sleeper.watch(fd, &event, None, None), Watched::Device);
        waker.wake_by_ref();
        sleeper.forget();
        assert!(!sleeper.is_woken());
    }
}
