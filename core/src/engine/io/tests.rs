//! How long the I/O thread sleeps.

use super::*;
use crate::engine::alarm::PERIOD;
use crate::engine::bare;
use crate::engine::watch::LEASE;
use crate::socket::EventFd;
use crate::time::Duration;

/// Once callers have been busy for a while.
const LONG: Duration = PERIOD;

/// How long it sleeps where callers have run so many turns before each of its looks. What it sleeps for is due already: whatever there is, or what the device
/// has by itself.
fn doze_for(turns: u32, what: fn(Instant) -> Sleep) -> Duration {
    let device = EventFd::new().expect("an eventfd");
    let engine = bare::engine(Some(device.descriptor()));
    let mut seen = Seen::new();
    let work = || (0..turns).for_each(|_| engine.watch.count_turn(clock::now()));
    for _ in 0..5 {
        work();
        let _ = engine.watch.whose(&mut seen);
    }
    work();
    let start = clock::now();
    let sleep = Sleep { device: Some(device.descriptor()), ..what(start) };
    let woken = doze(&engine, sleep, &mut seen, Watch::whose);
    assert!(!woken.by_device && !woken.by_bridges && !engine.bell.is_asleep());
    clock::now().since(start)
}

fn timer(now: Instant) -> Sleep {
    Sleep { device: None, readable: true, writable: false, until: Some(now), ripens: None }
}

fn device(now: Instant) -> Sleep {
    Sleep { ripens: Some(now), ..timer(now) }
}

#[test]
fn what_is_due_is_left_to_callers_for_a_lease_at_least() {
    assert!(doze_for(100, timer) >= LONG, "their turns run timers");
    assert!(doze_for(1, timer) >= LEASE);
}

/// Where it was not kept from running itself.
#[test]
fn the_device_is_left_to_busy_callers_until_they_have_stopped() {
    let device = EventFd::new().expect("an eventfd");
    device.signal();
    let engine = bare::engine(Some(device.descriptor()));
    assert!(!engine.watch.set_open(true));
    let sleeps_on = |seen: &mut Seen| {
        std::thread::scope(|scope| {
            let caller = scope.spawn(|| {
                let start = clock::now();
                while clock::now().since(start) < LONG.saturating_mul(3) {
                    engine.watch.count_turn(clock::now());
                }
                clock::now()
            });
            let sleep = Sleep { device: Some(device.descriptor()), until: None, ..timer(clock::now()) };
            let by_device = doze(&engine, sleep, seen, |_, _| Watcher::Busy).by_device;
            let woken = clock::now();
            caller.join().expect("it only counts") <= woken && by_device
        })
    };
    assert!((0..100).any(|_| sleeps_on(&mut Seen::new())));
}

#[test]
fn what_is_due_is_left_to_callers_for_as_long_as_they_work() {
    let device = EventFd::new().expect("an eventfd");
    let engine = bare::engine(Some(device.descriptor()));
    // One turn before its first look, and one behind it.
    let look = |watch: &Watch, seen: &mut Seen| {
        watch.count_turn(clock::now());
        let watcher = watch.whose(seen);
        watch.count_turn(clock::now());
        watcher
    };
    let start = clock::now();
    let _ = doze(&engine, timer(start), &mut Seen::new(), look);
    assert!(clock::now().since(start) >= LEASE.saturating_mul(2));
}

/// On a machine that has other work as well one of many tries is in time.
fn at_once(turns: u32, what: fn(Instant) -> Sleep) -> bool {
    (0..100).any(|_| doze_for(turns, what) < LONG.min(LEASE.saturating_mul(turns.max(1))))
}

#[test]
fn what_is_due_is_not_left_where_no_caller_works() {
    assert!(at_once(0, timer));
}

#[test]
fn what_the_device_has_by_itself_is_left_to_nobody() {
    assert!(at_once(0, device) && at_once(1, device) && at_once(100, device));
}
