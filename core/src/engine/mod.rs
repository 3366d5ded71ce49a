//! The stack and its device under one roof: the Turn, the I/O thread, the bell, and waiting.
//!
//! ```text
//!  control call --gate--> Turn --> flush, publish --> unlock, wake, ring
//!  data call ----leaf---> cell --> Turn if it is free --> flush, publish --> unlock, wake, ring; else command, ring the bell
//!  sleeper ------seat---> poll(device, its own waker) --> Turn if it is free --> drain, timers, send, publish --> unlock, wake, ring
//!  I/O thread ---gate---> Turn --> drain, timers, send, publish --> unlock, wake, write, log --> pump bridges -> poll(device, bridges, bell)
//! ```
//! Lock order: gate, Turn, descriptors, readiness, leaf. The list of sleepers is a leaf of its own.

mod alarm;
#[cfg(all(test, not(loom)))]
mod allocations;
mod audience;
#[cfg(test)]
mod bare;
mod bell;
mod bridges;
#[cfg(all(test, loom))]
mod caller_models;
mod callers;
mod capture;
mod conductor;
mod crew;
mod descriptors;
mod gate;
mod inside;
mod io;
#[cfg(all(test, loom))]
mod models;
mod open;
mod trace;
mod turn;
mod wait;
mod watch;

pub(crate) use conductor::{Clock, Conductor, START};
pub(crate) use inside::is_inside_any;
pub(crate) use io::{CaptureFile, Deliver, Outlets, not_written};
pub(crate) use open::{Host, Parts, Running};
pub(crate) use trace::Traces;
pub(crate) use turn::{Command, Turn};
pub(crate) use wait::{Patience, Place, block, block_beside, block_on, unless_called_off, with_sleeper};

use crate::buffer::PagePool;
use crate::error::Errno;
use crate::socket::{Sleeper, Woke};
use crate::sync::{Arc, AtomicU32, Mutex, MutexGuard, Ordering, TaskArc, lock};
use crate::sys::Home;
use crate::time::Instant;
use bell::Bell;
use bridges::Adoptions;
use crew::Crew;
use crossbeam_channel::Sender;
use descriptors::Descriptors;
use gate::Gate;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use turn::{Aftermath, Called, Next, Wakers};
use watch::Watch;

/// One running stack, as its callers and its I/O thread share it.
pub(crate) struct Engine {
    gate: Gate,
    /// `None` once the stack has ended.
    turn: Mutex<Option<Turn>>,
    bell: Arc<Bell>,
    /// The other workers of the same stack; `None`: there are none.
    crew: Option<Arc<Crew>>,
    watch: Watch,
    commands: Sender<Command>,
    phase: AtomicU32,
    /// The process of the I/O thread; a forked child has none.
    home: Home,
    /// Everybody asleep on a socket of this stack, to be woken when all of it ends.
    sleepers: Mutex<Vec<Waker>>,
    /// Readiness descriptors, to show the end of it.
    descriptors: Mutex<Descriptors>,
    /// Connections that became streams of the system, on their way to the I/O thread.
    adoptions: Adoptions,
    /// Pages that senders copy into.
    pages: PagePool,
    /// What it takes the time from; a simulated one has no I/O thread.
    clock: Clock,
}

/// Where a running stack is in its life. It only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
enum Phase {
    /// Open to every call.
    Open,
    /// close() was called: no more calls, connections finish.
    Closing,
    /// The I/O thread is to end.
    Ending,
    /// Nothing works any more: a panic inside.
    Poisoned,
}

impl Engine {
    /// Runs a control call: holds the Turn, flushes what `call` caused, and wakes after letting go.
    /// EBADF once closed, EDEADLK from a callback of this stack, ECHILD in a forked child, ENOTRECOVERABLE after a panic.
    pub(crate) fn control<T>(
        &self,
        call: impl FnOnce(&mut Turn, Instant) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.check()?;
        self.hold(|turn, now| {
            // Once more: what begins behind the back of a close would keep it waiting for ever.
            self.check()?;
            turn.wake_watchers();
            call(turn, now)
        })
    }

    /// Answers what every call asks first.
    pub(crate) fn check(&self) -> Result<(), Errno> {
        if inside::is_inside_stack(self) {
            return Err(Errno::EDEADLK);
        }
        if !self.is_home() {
            return Err(Errno::ECHILD);
        }
        match self.phase.load(Ordering::Acquire) {
            0 => Ok(()),
            phase if phase == Phase::Poisoned as u32 => Err(Errno::ENOTRECOVERABLE),
            _ => Err(Errno::EBADF),
        }
    }

    /// The same for somebody who was asleep when the stack was closed.
    pub(crate) fn check_asleep(&self) -> Result<(), Errno> {
        self.check().map_err(|errno| if errno == Errno::EBADF { Errno::ECANCELED } else { errno })
    }

    /// Whether it was closed, or a panic has ended it.
    pub(crate) fn is_over(&self) -> bool {
        self.phase.load(Ordering::Acquire) != Phase::Open as u32
    }

    /// Whether this process is the stack's own: neither its thread nor its locks survive a fork.
    pub(crate) fn is_home(&self) -> bool {
        self.home.is_here()
    }

    /// Whether a panic has ended it.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.phase.load(Ordering::Acquire) == Phase::Poisoned as u32
    }

    /// Whether its last turn is to come, or has been.
    fn is_ending(&self) -> bool {
        self.phase.load(Ordering::Acquire) >= Phase::Ending as u32
    }

    /// What it takes the time from.
    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sleeps until woken or until `until`, in the time that the stack goes by. Errors as [`Conductor::sleep`]: the system's time has none.
    fn sleep(&self, sleeper: &TaskArc<Sleeper>, until: Option<Instant>) -> Result<Woke, Errno> {
        match self.clock.conductor() {
            Some(conductor) => conductor.sleep(sleeper, until),
            None => Ok(sleeper.sleep(until)),
        }
    }

    /// Pages that senders copy into.
    pub(crate) const fn pages(&self) -> &PagePool {
        &self.pages
    }

    /// Sleeps until `check`, asked after each turn, has an answer; `None` when the time is over first, or a signal handler ran.
    pub(crate) fn watch<T>(
        &self,
        until: Option<Instant>,
        mut check: impl FnMut(&mut Turn, Instant) -> Option<T>,
    ) -> Option<T> {
        with_sleeper(|sleeper, waker| {
            self.register(waker);
            let answer = loop {
                let held = self.hold(|turn, now| {
                    let answer = check(turn, now);
                    if answer.is_none() {
                        turn.watch(waker);
                    }
                    Ok(answer)
                });
                match held {
                    Ok(None) => {}
                    Ok(answer) => break answer,
                    Err(_) => break None,
                }
                if self.sleep(sleeper, until) != Ok(Woke::Woken) {
                    break None;
                }
            };
            self.unregister(waker);
            answer
        })
    }

    /// One turn of the I/O thread; `None`: the stack has ended.
    fn turn_once(&self, called: Called, aftermath: &mut Aftermath) -> Option<Next> {
        if self.crew.as_ref().is_some_and(|crew| crew.is_poisoned()) {
            self.poison();
            return None;
        }
        let mut held = self.gate.enter(&self.turn);
        let ending = self.is_ending();
        let turned = catch_unwind(AssertUnwindSafe(|| {
            let turn = held.as_mut()?;
            let now = self.clock.now();
            let next = if ending { turn.end(now) } else { Some(turn.run(now, called)) };
            turn.take_aftermath(aftermath);
            next
        }));
        if ending {
            *held = None;
        }
        if let Some(turn) = &*held {
            let _ = self.watch.set_open(turn.lets_callers_watch());
        }
        drop(held);
        let missed = self.gate.left();
        match turned {
            Ok(Some(Next::Sleep(_) | Next::Read(_))) if missed => Some(Next::Again),
            Ok(next) => next,
            Err(_) => {
                self.poison();
                None
            }
        }
    }

    fn hold<T>(&self, call: impl FnOnce(&mut Turn, Instant) -> Result<T, Errno>) -> Result<T, Errno> {
        self.within(self.gate.enter(&self.turn), |turn, now| flushed(turn, now, call))?
    }

    /// Runs `call` in a Turn that is held, lets go of it, and wakes and rings whom it has to: `call` says whether the I/O thread is one of them.
    /// EBADF once the stack has ended, ENOTRECOVERABLE after a panic.
    fn within<T>(
        &self,
        mut held: MutexGuard<'_, Option<Turn>>,
        call: impl FnOnce(&mut Turn, Instant) -> (T, bool),
    ) -> Result<T, Errno> {
        let mut wakers = Wakers::new();
        let called = catch_unwind(AssertUnwindSafe(|| {
            let turn = held.as_mut().ok_or(Errno::EBADF)?;
            let (answer, ring) = call(turn, self.clock.now());
            turn.take_wakers(&mut wakers);
            let closed = self.watch.set_open(turn.lets_callers_watch());
            Ok((answer, ring || closed))
        }));
        drop(held);
        let missed = self.gate.left();
        wakers.into_iter().for_each(Waker::wake);
        let Ok(called) = called else {
            self.poison();
            return Err(Errno::ENOTRECOVERABLE);
        };
        let rings = called.as_ref().is_ok_and(|(_, ring)| *ring) || missed;
        if rings {
            self.bell.ring();
        }
        called.map(|(answer, _)| answer)
    }

    fn register(&self, waker: &Waker) {
        lock(&self.sleepers).push(waker.clone());
    }

    fn unregister(&self, waker: &Waker) {
        let mut sleepers = lock(&self.sleepers);
        if let Some(index) = sleepers.iter().position(|known| known.will_wake(waker)) {
            sleepers.swap_remove(index);
        }
    }

    /// Moves on to a later phase and wakes everybody; false if it was there already.
    fn advance(&self, phase: Phase) -> bool {
        let before = self.phase.fetch_max(phase as u32, Ordering::AcqRel);
        if before >= phase as u32 {
            return false;
        }
        let sleepers = lock(&self.sleepers).clone();
        for waker in sleepers {
            waker.wake();
        }
        self.give_up_descriptors();
        self.bell.ring();
        true
    }

    /// After a panic inside: nobody may rely on the stack's state, so it is let go with its device, and everybody is told.
    fn poison(&self) {
        self.advance(Phase::Poisoned);
        if let Some(crew) = &self.crew {
            crew.poison();
        }
        let turn = self.gate.enter(&self.turn).take();
        // What is left of it may panic once more.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let Some(mut turn) = turn else { return };
            // Poll sets ask the sockets, not the stack; who slept there may have been taken to be woken already.
            let mut wakers = Wakers::new();
            turn.take_wakers(&mut wakers);
            wakers.into_iter().for_each(Waker::wake);
            turn.stack.give_up(Errno::ENOTRECOVERABLE).into_iter().for_each(Waker::wake);
        }));
    }
}

/// A call that does not look at the device: what others left to be done before it, what it caused after it.
fn flushed<T>(turn: &mut Turn, now: Instant, call: impl FnOnce(&mut Turn, Instant) -> T) -> (T, bool) {
    turn.obey_commands(now);
    let answer = call(turn, now);
    let ring = turn.flush(now);
    (answer, ring)
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("phase", &self.phase).finish_non_exhaustive()
    }
}
