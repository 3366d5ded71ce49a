//! Who sleeps on the device: the I/O thread, or one caller in its place.
//!
//! A caller who would sleep takes the seat, if it is free, and sleeps on the device and its own waker. What comes it handles itself, and nobody
//! has to be woken for it. As long as callers do so the I/O thread leaves the device to them, for there is no sense in both waking: it looks every [`LEASE`]
//! whether anything was done since. So what comes while no caller is there waits for two of those at most.
//!
//! While a caller sleeps and nothing comes the I/O thread sleeps too, as long as no deadline is due: it relies on the caller, who nudges it when it leaves.

use crate::socket::EventFd;
use crate::sync::{AtomicBool, AtomicU32, Ordering, TaskArc};
use crate::time::Duration;

/// How long the I/O thread stays away from the device after a look that found callers at work (docs/decisions/0004). Two of those are half of what a near peer
/// waits before it probes for a lost tail, which is 2 ms in Linux and here.
pub(super) const LEASE: Duration = Duration::from_micros(500);

/// The seat on the device, and who relies on whoever has it.
#[derive(Debug)]
pub(super) struct Watch {
    device: Option<i32>,
    /// Whether callers may take the seat.
    open: AtomicBool,
    seat: AtomicU32,
    /// Turns that callers have run there.
    turns: AtomicU32,
    /// Wakes whoever has the seat.
    event: TaskArc<EventFd>,
    spin: Spin,
}

/// Nobody has the seat; a caller has it; a caller has it, and the I/O thread sleeps until it leaves.
const FREE: u32 = 0;
const TAKEN: u32 = 1;
const RELIED_ON: u32 = 2;

/// Who is to sleep on the device, as far as the I/O thread is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watcher {
    /// It itself.
    Io,
    /// Callers were there lately: look again after a [`LEASE`].
    Callers,
    /// A caller, who nudges when it leaves.
    Caller,
}

impl Watch {
    /// Nobody has the seat on `device`; a device without a descriptor has none. `spin` as in `Config`.
    pub(super) fn new(device: Option<i32>, event: EventFd, spin: Duration) -> Self {
        Self {
            device,
            open: AtomicBool::new(device.is_some()),
            seat: AtomicU32::new(FREE),
            turns: AtomicU32::new(0),
            event: TaskArc::new(event),
            spin: Spin::new(spin),
        }
    }

    /// The device to sleep on.
    pub(super) const fn device(&self) -> Option<i32> {
        self.device
    }

    /// What wakes whoever has the seat.
    pub(super) const fn event(&self) -> &TaskArc<EventFd> {
        &self.event
    }

    /// How long to look before sleeping.
    pub(super) const fn spin(&self) -> &Spin {
        &self.spin
    }

    /// Whether callers may sleep on the device.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Opens the seat to callers, or closes it. To be called by the holder of the Turn; whether the I/O thread has to be told: it is closed, and was not.
    pub(super) fn set_open(&self, open: bool) -> bool {
        let open = open && self.device.is_some();
        self.is_open() != open && self.open.swap(open, Ordering::AcqRel) && !open
    }

    /// Takes the seat; false: somebody has it, or nobody may.
    pub(super) fn take(&self) -> bool {
        self.is_open() && self.seat.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Leaves the seat; whether the I/O thread has to be nudged.
    pub(super) fn leave(&self) -> bool {
        self.seat.swap(FREE, Ordering::AcqRel) == RELIED_ON
    }

    /// Notes that whoever has the seat has run a turn.
    pub(super) fn count_turn(&self) {
        self.turns.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a caller has the seat.
    #[cfg(all(test, not(loom)))]
    pub(super) fn is_taken(&self) -> bool {
        self.seat.load(Ordering::Acquire) != FREE
    }

    /// Turns that callers have run there.
    #[cfg(all(test, not(loom)))]
    pub(super) fn turns(&self) -> u32 {
        self.turns.load(Ordering::Acquire)
    }

    /// Who is to sleep on the device; `seen` is what the I/O thread remembers from one look to the next.
    pub(super) fn whose(&self, seen: &mut u32) -> Watcher {
        if !self.is_open() {
            return Watcher::Io;
        }
        let turns = self.turns.load(Ordering::Acquire);
        if std::mem::replace(seen, turns) != turns {
            return Watcher::Callers;
        }
        match self.seat.compare_exchange(TAKEN, RELIED_ON, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(RELIED_ON) => Watcher::Caller,
            Err(_) => Watcher::Io,
        }
    }
}

/// Looking at the device again and again before sleeping on it. Whoever has the seat does that and nobody else, so it needs no more than words.
///
/// Where it does not pay, since what is waited for comes later, or cannot come while this CPU is kept busy, it is given up: for one sleep after
/// the first time in vain, for three after the second, and so on up to [`PAUSE_MAX`].
#[derive(Debug)]
pub(super) struct Spin {
    time: Duration,
    /// Times in a row that were in vain.
    vain: AtomicU32,
    /// Sleeps until it is tried again.
    pause: AtomicU32,
}

/// Most sleeps without a try.
const PAUSE_MAX: u32 = 1023;

impl Spin {
    fn new(time: Duration) -> Self {
        Self { time, vain: AtomicU32::new(0), pause: AtomicU32::new(0) }
    }

    /// How long to look this time.
    pub(super) fn begin(&self) -> Option<Duration> {
        if self.time.is_zero() {
            return None;
        }
        let pause = self.pause.load(Ordering::Relaxed);
        if pause > 0 {
            self.pause.store(pause - 1, Ordering::Relaxed);
            return None;
        }
        Some(self.time)
    }

    /// Whether something came while it lasted.
    pub(super) fn end(&self, paid: bool) {
        let vain = if paid { 0 } else { self.vain.load(Ordering::Relaxed).saturating_add(1) };
        self.vain.store(vain, Ordering::Relaxed);
        let pause = 1_u32.checked_shl(vain).map_or(PAUSE_MAX, |pause| (pause - 1).min(PAUSE_MAX));
        self.pause.store(pause, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch::new(Some(0), EventFd::new().expect("an eventfd"), Duration::from_micros(50))
    }

    #[test]
    fn the_io_thread_stays_away_while_callers_work() {
        let (watch, mut seen) = (watch(), 0);
        assert_eq!(watch.whose(&mut seen), Watcher::Io);
        assert!(watch.take() && !watch.take());
        watch.count_turn();
        assert_eq!(watch.whose(&mut seen), Watcher::Callers);
        assert!(!watch.leave(), "it looks again by itself");
        assert_eq!(watch.whose(&mut seen), Watcher::Io);
        assert!(watch.take());
        assert_eq!(watch.whose(&mut seen), Watcher::Caller);
        assert_eq!(watch.whose(&mut seen), Watcher::Caller);
        assert!(watch.leave(), "it sleeps for as long as it takes");
        assert_eq!(watch.whose(&mut seen), Watcher::Io);
    }

    #[test]
    fn a_seat_that_is_closed_is_the_io_threads() {
        let (watch, mut seen) = (watch(), 0);
        watch.count_turn();
        assert!(watch.set_open(false) && !watch.set_open(false));
        assert_eq!((watch.take(), watch.whose(&mut seen)), (false, Watcher::Io));
        assert!(!watch.set_open(true) && watch.take());
        let none = Watch::new(None, EventFd::new().expect("an eventfd"), Duration::ZERO);
        assert!(!none.set_open(true) && !none.is_open() && !none.take());
    }

    #[test]
    fn looking_in_vain_becomes_rare() {
        let watch = watch();
        let spin = watch.spin();
        let pauses = |spin: &Spin| (0..).take_while(|_| spin.begin().is_none()).count();
        let mut all = Vec::new();
        for _ in 0..12 {
            all.push(pauses(spin));
            spin.end(false);
        }
        assert_eq!(all, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1023]);
        assert_eq!(pauses(spin), 1023);
        spin.end(true);
        assert_eq!(pauses(spin), 0);
        assert_eq!(Spin::new(Duration::ZERO).begin(), None);
    }
}
