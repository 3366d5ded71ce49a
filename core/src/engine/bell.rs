//! The bell that wakes the I/O thread: an eventfd that is written only when somebody sleeps on it.

use crate::error::Result;
use crate::socket::EventFd;
use crate::sync::{AtomicU32, Ordering};
use crossbeam_channel::Sender;

/// Rings coalesce: while the thread is awake a ring is one exchange on a word, and only the first after it fell asleep writes.
#[derive(Debug)]
pub(super) struct Bell {
    word: AtomicU32,
    sound: Sound,
}

/// How whoever sleeps hears it.
#[derive(Debug)]
enum Sound {
    Event(EventFd),
    /// A number in a queue: the stack has no I/O thread, and who steps its network looks there.
    Call(Sender<usize>, usize),
}

/// The thread works; it works and will look again; it sleeps, or is about to.
const AWAKE: u32 = 0;
const RUNG: u32 = 1;
const ASLEEP: u32 = 2;

/// Whether the thread may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nobody rang: sleep on the descriptor, then call [`Bell::awake`].
    Sleep,
    /// Somebody rang since the last look: there is work.
    Work,
}

impl Bell {
    /// A silent bell.
    pub(super) fn new() -> Result<Self> {
        Ok(Self { word: AtomicU32::new(AWAKE), sound: Sound::Event(EventFd::new()?) })
    }

    /// One that is heard by whoever looks into a queue for `number`. Nobody does yet.
    pub(super) fn calling(queue: Sender<usize>, number: usize) -> Self {
        Self { word: AtomicU32::new(ASLEEP), sound: Sound::Call(queue, number) }
    }

    /// Wakes the thread, or keeps it from falling asleep. Whatever the caller did before is seen by the thread's next look.
    pub(super) fn ring(&self) {
        if self.word.swap(RUNG, Ordering::AcqRel) == ASLEEP {
            self.signal();
        }
    }

    fn signal(&self) {
        match &self.sound {
            Sound::Event(event) => event.signal(),
            // Nobody looks any more once the network is gone.
            Sound::Call(queue, number) => drop(queue.send(*number)),
        }
    }

    fn clear(&self) {
        if let Sound::Event(event) = &self.sound {
            event.clear();
        }
    }

    /// Has a thread that sleeps look at what it sleeps for, without any work for it: the descriptor is readable, and nobody has rung.
    pub(super) fn nudge(&self) {
        self.signal();
    }

    /// What a thread that found the descriptor readable asks: whether somebody rang, or it may go on sleeping.
    pub(super) fn was_rung(&self) -> bool {
        // First, so that a ring that is not seen here makes it readable again.
        self.clear();
        self.word.load(Ordering::Acquire) != ASLEEP
    }

    /// Whether the thread sleeps, so that a ring would have to wake it.
    pub(super) fn is_asleep(&self) -> bool {
        self.word.load(Ordering::Acquire) == ASLEEP
    }

    /// Asks to sleep; after `Sleep` every ring makes the descriptor readable.
    pub(super) fn rest(&self) -> Rest {
        let slept = self.word.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire);
        match slept {
            Ok(_) => Rest::Sleep,
            Err(_) => {
                self.word.swap(AWAKE, Ordering::AcqRel);
                Rest::Work
            }
        }
    }

    /// The thread is awake again, `signalled` telling whether the descriptor was readable. To be called before it looks for work.
    ///
    /// A ring that found the thread asleep may write after this: the descriptor stays readable and the next sleep ends at once, once.
    pub(super) fn awake(&self, signalled: bool) {
        if signalled {
            self.clear();
        }
        self.word.swap(AWAKE, Ordering::AcqRel);
    }

    /// The descriptor to sleep on; -1: there is none.
    pub(super) fn descriptor(&self) -> i32 {
        match &self.sound {
            Sound::Event(event) => event.descriptor(),
            Sound::Call(..) => -1,
        }
    }
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use crate::socket::poll;
    use crate::sync::Arc;
    use crate::sys::PollFd;
    use loom::thread;

    /// Two threads each leave work and ring; the I/O thread must find all of it without anybody ringing again.
    #[test]
    fn loom_no_ring_is_lost() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let shared = Arc::new((Bell::new().expect("a bell"), AtomicU32::new(0)));
            let ringers: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    thread::spawn(move || {
                        shared.1.fetch_add(1, Ordering::Relaxed);
                        shared.0.ring();
                    })
                })
                .collect();
            let mut seen = 0;
            while seen < 2 {
                if shared.0.rest() == Rest::Sleep {
                    let fd = shared.0.descriptor();
                    let mut entries = [PollFd { fd, events: libc::POLLIN, revents: 0 }];
                    assert_eq!(poll(&mut entries, None), Ok(1));
                    shared.0.awake(true);
                }
                seen = shared.1.load(Ordering::Relaxed);
            }
            for ringer in ringers {
                ringer.join().expect("a ringer");
            }
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn rings_while_awake_are_one_look() {
        let bell = Bell::new().expect("a bell");
        bell.ring();
        bell.ring();
        assert_eq!(bell.rest(), Rest::Work);
        assert_eq!(bell.rest(), Rest::Sleep);
        bell.ring();
        bell.awake(true);
        assert_eq!(bell.rest(), Rest::Sleep);
        bell.nudge();
        assert!(bell.is_asleep() && !bell.was_rung());
        bell.ring();
        assert!(bell.was_rung());
    }
}
