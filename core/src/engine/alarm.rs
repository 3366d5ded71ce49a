//! What wakes the I/O thread where busy callers have stopped: they put it off, as long as they are busy.
//!
//! The I/O thread could look every other millisecond whether they still are, but each look costs them two switches of threads and what those leave in the
//! caches, 25 us in all. To set a timer anew costs a twentieth of that, and tells the same.

use crate::error::Result;
use crate::socket::Timer;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::time::{Duration, Instant};

/// How long after it was put off last it rings.
pub(super) const PERIOD: Duration = Duration::from_millis(4);

/// It is put off when less than this is left.
const LEAST_LEFT: Duration = Duration::from_millis(2);

/// Turns of callers who are busy: since the last time, or between two looks of the I/O thread.
pub(super) const BUSY: u32 = 4;

/// Nobody is to put it off.
const NOBODY: u64 = 0;

/// It is set before anybody sleeps on it, and can only be put off by one period: so it rings.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: Timer,
    /// When it rings, ns, or [`NOBODY`].
    at: AtomicU64,
    /// Turns that callers had run when it was set or put off.
    turns: AtomicU32,
}

impl Alarm {
    /// One that is not set.
    pub(super) fn new() -> Result<Self> {
        Ok(Self { timer: Timer::new()?, at: AtomicU64::new(NOBODY), turns: AtomicU32::new(0) })
    }

    /// Sets it, and lets callers, who have run `turns`, put it off.
    pub(super) fn set(&self, now: Instant, turns: u32) {
        self.turns.store(turns, Ordering::Relaxed);
        self.timer.set(PERIOD);
        self.at.store((now + PERIOD).as_nanos(), Ordering::Release);
    }

    /// Callers are not to put it off any more. How many turns they had run when one of them did so last.
    pub(super) fn stop(&self) -> u32 {
        self.at.store(NOBODY, Ordering::Release);
        self.turns.load(Ordering::Relaxed)
    }

    /// A caller who has just run a turn, the last of `turns`, puts it off if it rings soon and callers are busy.
    pub(super) fn put_off(&self, now: Instant, turns: u32) {
        let at = self.at.load(Ordering::Acquire);
        if at == NOBODY || at > (now + LEAST_LEFT).as_nanos() {
            return;
        }
        if turns.wrapping_sub(self.turns.load(Ordering::Relaxed)) < BUSY {
            return;
        }
        let next = (now + PERIOD).as_nanos();
        // One of several does it, and none who comes after it was stopped.
        if self.at.compare_exchange(at, next, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.turns.store(turns, Ordering::Relaxed);
            self.timer.set(PERIOD);
        }
    }

    /// Readable once it has rung.
    pub(super) fn descriptor(&self) -> i32 {
        self.timer.descriptor()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::socket::poll;
    use crate::sys::PollFd;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(1_000_000 + millis)
    }

    fn is_at(alarm: &Alarm, millis: u64) -> bool {
        alarm.at.load(Ordering::Acquire) == at(millis).as_nanos()
    }

    #[test]
    fn busy_callers_put_it_off_when_it_is_soon() {
        let alarm = Alarm::new().expect("a timer");
        alarm.put_off(at(0), 100);
        assert_eq!(alarm.stop(), 0, "nobody has set it");
        alarm.set(at(0), 100);
        alarm.put_off(at(1), 200);
        assert!(is_at(&alarm, 4), "there is time left");
        alarm.put_off(at(2), 100 + BUSY - 1);
        assert!(is_at(&alarm, 4), "they are not busy");
        alarm.put_off(at(3), 100 + BUSY);
        assert!(is_at(&alarm, 7));
        assert_eq!(alarm.stop(), 100 + BUSY);
        alarm.put_off(at(6), 1000);
        assert_eq!(alarm.stop(), 100 + BUSY, "it was stopped");
    }

    /// It is silent until then, if this test was not kept waiting.
    #[test]
    fn it_rings_when_it_was_put_off_no_more() {
        let rings = |alarm: &Alarm, timeout| {
            let mut entries = [PollFd { fd: alarm.descriptor(), events: libc::POLLIN, revents: 0 }];
            poll(&mut entries, timeout).expect("a poll") > 0
        };
        let alarm = Alarm::new().expect("a timer");
        assert!(!rings(&alarm, Some(Duration::ZERO)));
        let is_silent = (0..100).any(|_| {
            alarm.set(at(0), 0);
            assert!(rings(&alarm, Some(Duration::from_secs(60))));
            alarm.put_off(at(3), BUSY);
            !rings(&alarm, Some(Duration::ZERO))
        });
        assert!(is_silent, "it was not put off");
        assert!(rings(&alarm, Some(Duration::from_secs(60))));
    }

    #[test]
    fn turns_are_counted_round() {
        let alarm = Alarm::new().expect("a timer");
        alarm.set(at(0), u32::MAX - 1);
        alarm.put_off(at(3), 1);
        assert!(is_at(&alarm, 4));
        alarm.put_off(at(3), 2);
        assert!(is_at(&alarm, 7));
    }
}
