//! Who sleeps on the device: the I/O thread, or one caller in its place.
//!
//! A caller who would sleep takes the seat, if it is free, and sleeps on the device and its own waker. What comes it handles itself, and nobody
//! has to be woken for it. As long as callers do so the I/O thread leaves the device to them, for there is no sense in both waking: it looks every [`LEASE`]
//! whether anything was done since, and where they are busy they put off its look themselves. So what comes while no caller is there waits for three of those
//! at most, or where they were busy for 5 ms.
//!
//! While a caller sleeps and nothing comes the I/O thread sleeps too, as long as no deadline is due: it relies on the caller, who nudges it when it leaves.

use super::alarm::{Alarm, BUSY};
use crate::error::Result;
use crate::socket::EventFd;
use crate::sync::{AtomicBool, AtomicU32, Ordering, TaskArc};
use crate::time::{Duration, Instant};

/// How long the I/O thread stays away from the device, and from what is due, after a look that found callers at work (docs/decisions/0004). What comes or falls
/// due behind their last turn waits for three of those at most, which is less than what a near peer waits before it probes for a lost tail (2 ms in Linux and
/// here); where callers were busy until then, for the [`Alarm`]: 5 ms at most.
pub(super) const LEASE: Duration = Duration::from_micros(500);

/// It is twice as long after each look that found them busy, for each costs a request in their midst the time of two. Where it would be as long as this, the
/// look is left to the alarm.
const ALARM_FROM: Duration = Duration::from_millis(2);

/// What the I/O thread remembers from one look to the next.
#[derive(Debug)]
pub(super) struct Seen {
    turns: u32,
    lease: Duration,
    /// Handing over a device that has more.
    handing: Trial,
    /// It has been handed over, and nobody has looked since.
    handed: bool,
}

impl Seen {
    /// Nothing.
    pub(super) fn new() -> Self {
        Self { turns: 0, lease: LEASE, handing: Trial::default(), handed: false }
    }
}

/// The seat on the device, and who relies on whoever has it.
#[derive(Debug)]
pub(super) struct Watch {
    device: Option<i32>,
    /// Whether callers may take the seat.
    open: AtomicBool,
    seat: AtomicU32,
    /// Turns that callers have run there.
    turns: AtomicU32,
    /// What busy callers put off; there is one where there is a device.
    alarm: Option<Alarm>,
    /// Wakes whoever has the seat.
    event: TaskArc<EventFd>,
    /// One look before a sleep.
    glance: Trial,
    /// Looks for `spin_time` before a sleep.
    spin: Trial,
    spin_time: Duration,
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
    /// Callers were there lately: look again after this time.
    Callers(Duration),
    /// They have been busy for a while: look when the alarm rings, which they put off.
    Busy,
    /// A caller, who nudges when it leaves.
    Caller,
}

impl Watch {
    /// Nobody has the seat on `device`; a device without a descriptor has none. `spin` as in `Config`.
    pub(super) fn new(device: Option<i32>, spin: Duration) -> Result<Self> {
        Ok(Self {
            device,
            open: AtomicBool::new(device.is_some()),
            seat: AtomicU32::new(FREE),
            turns: AtomicU32::new(0),
            alarm: device.map(|_| Alarm::new()).transpose()?,
            event: TaskArc::new(EventFd::new()?),
            glance: Trial::default(),
            spin: Trial::default(),
            spin_time: spin,
        })
    }

    /// The device to sleep on.
    pub(super) const fn device(&self) -> Option<i32> {
        self.device
    }

    /// What wakes whoever has the seat.
    pub(super) const fn event(&self) -> &TaskArc<EventFd> {
        &self.event
    }

    /// One look before a sleep: it costs no more than the sleep that it spares where the answer is there already, as on one CPU, where the peer that was
    /// woken by what was sent has had it.
    pub(super) const fn glance(&self) -> &Trial {
        &self.glance
    }

    /// Looking again and again before a sleep, and for how long; `None` where that is not wanted, or not now.
    pub(super) fn spin(&self) -> Option<(&Trial, Duration)> {
        (!self.spin_time.is_zero() && self.spin.begin()).then_some((&self.spin, self.spin_time))
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
    pub(super) fn count_turn(&self, now: Instant) {
        let turns = self.turns.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        if let Some(alarm) = &self.alarm {
            alarm.put_off(now, turns);
        }
    }

    /// Sets the alarm for busy callers to put off: what to sleep on.
    pub(super) fn set_alarm(&self, now: Instant) -> i32 {
        let Some(alarm) = &self.alarm else { return -1 };
        alarm.set(now, self.turns.load(Ordering::Acquire));
        alarm.descriptor()
    }

    /// The sleep on it is over. What callers have done counts since they put it off, and whether they are busy is to be found out anew.
    pub(super) fn stop_alarm(&self, seen: &mut Seen) {
        if let Some(alarm) = &self.alarm {
            (seen.turns, seen.lease) = (alarm.stop(), LEASE);
        }
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

    /// Whether to hand over a device that has more: a caller who was woken for what has come copies it out, and reads what comes next while that is in the caches.
    pub(super) fn hands_over(&self, seen: &Seen) -> bool {
        self.is_open() && seen.handing.begin()
    }

    /// Hands it over for a lease. If nobody has come by then it is tried again later, and later each time.
    pub(super) fn hand_over(&self, seen: &mut Seen) -> Watcher {
        seen.turns = self.turns.load(Ordering::Acquire);
        seen.handed = true;
        Watcher::Callers(LEASE)
    }

    /// Who is to sleep on the device.
    pub(super) fn whose(&self, seen: &mut Seen) -> Watcher {
        let watcher = self.whose_now(seen);
        if std::mem::take(&mut seen.handed) {
            seen.handing.end(watcher != Watcher::Io);
        }
        watcher
    }

    fn whose_now(&self, seen: &mut Seen) -> Watcher {
        let turns = self.turns.load(Ordering::Acquire);
        let run = turns.wrapping_sub(std::mem::replace(&mut seen.turns, turns));
        let longer = if run < BUSY { LEASE } else { seen.lease.saturating_mul(2).min(ALARM_FROM) };
        let lease = std::mem::replace(&mut seen.lease, longer);
        if !self.is_open() {
            return Watcher::Io;
        }
        match run {
            0 => {}
            1..BUSY => return Watcher::Callers(LEASE),
            _ if lease < ALARM_FROM => return Watcher::Callers(lease),
            _ => return Watcher::Busy,
        }
        match self.seat.compare_exchange(TAKEN, RELIED_ON, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(RELIED_ON) => Watcher::Caller,
            Err(_) => Watcher::Io,
        }
    }
}

/// Whether to look at the device before sleeping on it. Where that does not pay, since what is waited for comes later, or cannot come while this CPU is kept busy, it is given up: for
/// one sleep after the first time in vain, for three after the second, and so on up to [`PAUSE_MAX`]. Whoever sleeps on the device does that and mostly nobody
/// else, so it needs no more than words.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// Times in a row that were in vain.
    vain: AtomicU32,
    /// Sleeps until it is tried again.
    pause: AtomicU32,
}

/// Most sleeps without a try.
const PAUSE_MAX: u32 = 1023;

impl Trial {
    /// Whether to look this time.
    pub(super) fn begin(&self) -> bool {
        let pause = self.pause.load(Ordering::Relaxed);
        if pause > 0 {
            self.pause.store(pause - 1, Ordering::Relaxed);
        }
        pause == 0
    }

    /// Whether something was there.
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

    const NOW: Instant = Instant::from_millis(1000);

    fn watch() -> Watch {
        Watch::new(Some(0), Duration::from_micros(50)).expect("a watch")
    }

    #[test]
    fn the_io_thread_stays_away_while_callers_work() {
        let (watch, mut seen) = (watch(), Seen::new());
        assert_eq!(watch.whose(&mut seen), Watcher::Io);
        assert!(watch.take() && !watch.take());
        watch.count_turn(NOW);
        assert_eq!(watch.whose(&mut seen), Watcher::Callers(LEASE));
        assert!(!watch.leave(), "it looks again by itself");
        assert_eq!(watch.whose(&mut seen), Watcher::Io);
        assert!(watch.take());
        assert_eq!(watch.whose(&mut seen), Watcher::Caller);
        assert_eq!(watch.whose(&mut seen), Watcher::Caller);
        assert!(watch.leave(), "it sleeps for as long as it takes");
        assert_eq!(watch.whose(&mut seen), Watcher::Io);
    }

    #[test]
    fn the_io_thread_looks_less_often_while_callers_are_busy() {
        let (watch, mut seen) = (watch(), Seen::new());
        let mut look = |turns| {
            (0..turns).for_each(|_| watch.count_turn(NOW));
            watch.whose(&mut seen)
        };
        assert_eq!(
            [look(BUSY), look(BUSY)],
            [1, 2].map(|times| Watcher::Callers(LEASE.saturating_mul(times)))
        );
        assert_eq!([look(BUSY); 3], [Watcher::Busy; 3]);
        assert_eq!([look(1), look(BUSY)], [Watcher::Callers(LEASE); 2]);
        assert_eq!([look(0), look(BUSY)], [Watcher::Io, Watcher::Callers(LEASE)]);
    }

    #[test]
    fn when_the_sleep_on_the_alarm_is_over_callers_are_not_taken_for_busy() {
        let (watch, mut seen) = (watch(), Seen::new());
        let run = |turns, millis: u64| {
            (0..turns).for_each(|_| watch.count_turn(Instant::from_millis(1000 + millis)))
        };
        let mut after = |work: &dyn Fn()| {
            let busy = (0..4).map(|_| {
                run(BUSY, 0);
                watch.whose(&mut seen)
            });
            assert_eq!(busy.last(), Some(Watcher::Busy));
            watch.set_alarm(NOW);
            work();
            watch.stop_alarm(&mut seen);
            [watch.whose(&mut seen), watch.whose(&mut seen)]
        };
        assert_eq!(after(&|| ()), [Watcher::Io; 2]);
        let lately = [Watcher::Callers(LEASE), Watcher::Io];
        assert_eq!(after(&|| run(100, 0)), lately, "that was before half of its time");
        assert_eq!(after(&|| run(100, 3)), lately, "it was put off at the fourth");
        assert_eq!(after(&|| run(BUSY, 3)), [Watcher::Io; 2], "nothing since it was put off");
    }

    #[test]
    fn a_device_that_has_more_is_handed_to_callers_who_come() {
        let (watch, mut seen) = (watch(), Seen::new());
        let mut hand_over = |turns| {
            let pauses = (0..).take_while(|_| !watch.hands_over(&seen)).count();
            assert_eq!(watch.hand_over(&mut seen), Watcher::Callers(LEASE));
            (0..turns).for_each(|_| watch.count_turn(NOW));
            (pauses, watch.whose(&mut seen))
        };
        for pauses in [0, 1, 3, 7] {
            assert_eq!(hand_over(0), (pauses, Watcher::Io));
        }
        assert_eq!(hand_over(1), (15, Watcher::Callers(LEASE)));
        assert_eq!(hand_over(0), (0, Watcher::Io));
        assert!(watch.take());
        assert_eq!(hand_over(0), (1, Watcher::Caller), "it waits for more");
        assert!(watch.leave());
        watch.set_open(false);
        assert!(!watch.hands_over(&seen));
    }

    #[test]
    fn a_seat_that_is_closed_is_the_io_threads() {
        let (watch, mut seen) = (watch(), Seen::new());
        watch.count_turn(NOW);
        assert!(watch.set_open(false) && !watch.set_open(false));
        assert_eq!((watch.take(), watch.whose(&mut seen)), (false, Watcher::Io));
        assert!(!watch.set_open(true) && watch.take());
        let none = Watch::new(None, Duration::ZERO).expect("a watch");
        assert!(!none.set_open(true) && !none.is_open() && !none.take());
    }

    #[test]
    fn looking_in_vain_becomes_rare() {
        let trial = Trial::default();
        let pauses = |trial: &Trial| (0..).take_while(|_| !trial.begin()).count();
        let mut all = Vec::new();
        for _ in 0..12 {
            all.push(pauses(&trial));
            trial.end(false);
        }
        assert_eq!(all, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1023]);
        assert_eq!(pauses(&trial), 1023);
        trial.end(true);
        assert_eq!(pauses(&trial), 0);
        assert!(watch().spin().is_some_and(|(_, time)| time == Duration::from_micros(50)));
        let none = Watch::new(Some(0), Duration::ZERO).expect("a watch");
        assert!(none.spin().is_none());
    }
}
