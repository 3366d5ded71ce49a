//! Stacks on a virtual clock: what takes the place of their I/O threads, of the time, and of sleep.
//!
//! ```text
//!  a call that would sleep --> baton: another task that can go on? --yes--> it has the baton, this thread sleeps
//!                                no: step the world: turns of hosts that have been called, packets that arrive; nothing left: the clock jumps
//! ```
//! Of the threads that are tasks one runs at a time, and time passes only while none can. Whoever would sleep steps the world, until it or another is woken.
//!
//! Lock order: world, then as in [`engine`](super); the baton's lock is never held together with the world's.

mod baton;
mod world;

use super::{Engine, Outlets, Phase};
use crate::clock;
use crate::error::{Errno, Result};
use crate::rng::Rng;
use crate::sim::{Fabric, Port};
use crate::socket::{Sleeper, Woke};
use crate::sync::{Arc, TaskArc};
use crate::time::Instant;
use crossbeam_channel::Sender;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use world::{Stepped, World};

pub(crate) use baton::Baton;

/// What a stack takes the time from.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Option<Arc<Conductor>>);

impl Clock {
    /// The system's.
    pub(crate) const SYSTEM: Self = Self(None);

    /// That of a simulated network.
    pub(crate) const fn of(conductor: Arc<Conductor>) -> Self {
        Self(Some(conductor))
    }

    /// The time.
    pub(crate) fn now(&self) -> Instant {
        self.0.as_ref().map_or_else(clock::now, |conductor| conductor.now())
    }

    /// What has to be added to it, modulo 2^64, to make it nanoseconds since 1970, or since the network began.
    pub(crate) fn epoch(&self) -> u64 {
        self.0.as_ref().map_or_else(clock::epoch, |_| START.as_nanos().wrapping_neg())
    }

    /// Whether it is the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }

    /// Who sleeps for its callers, unless they do themselves.
    pub(crate) const fn conductor(&self) -> Option<&Arc<Conductor>> {
        self.0.as_ref()
    }
}

/// When a network begins. What counts milliseconds in 32 bits wraps ten seconds later.
pub(crate) const START: Instant = Instant::from_millis((1 << 32) - 10_000);

/// A virtual clock, and everything that goes by it.
pub(crate) struct Conductor {
    /// Nanoseconds; it never goes back.
    now: AtomicU64,
    /// What is left to chance.
    rng: Rng,
    /// Hosts that have been called by their bells.
    calls: Sender<usize>,
    world: Mutex<World>,
    baton: Baton,
}

impl Conductor {
    /// An empty network.
    pub(crate) fn new(rng: Rng) -> Arc<Self> {
        let (calls, called) = crossbeam_channel::unbounded();
        Arc::new(Self {
            now: AtomicU64::new(START.as_nanos()),
            calls,
            world: Mutex::new(World::new(Fabric::new(rng.fork("fabric")), called)),
            rng,
            baton: Baton::new(),
        })
    }

    /// The time.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Ordering::Acquire))
    }

    /// Where the keys of its hosts come from.
    pub(crate) const fn rng(&self) -> &Rng {
        &self.rng
    }

    /// What a host's bell calls by.
    pub(super) const fn calls(&self) -> &Sender<usize> {
        &self.calls
    }

    /// Works with nodes and links. EDEADLK from a callback of one of its stacks.
    pub(crate) fn with_fabric<T>(&self, work: impl FnOnce(&mut Fabric) -> Result<T>) -> Result<T> {
        self.check_outside()?;
        work(&mut self.world().fabric)
    }

    /// Adds a node for a host with these addresses; `open` is given its port and has a stack run on it.
    pub(crate) fn host(
        &self,
        addresses: &[crate::config::Prefix],
        mtu: u16,
        open: impl FnOnce(usize, Port) -> Result<()>,
    ) -> Result<usize> {
        let (node, port) = self.with_fabric(|fabric| fabric.host(addresses, mtu))?;
        let opened = open(node, port);
        if opened.is_err() {
            self.world().fabric.vacate(node);
        }
        opened.map(|()| node)
    }

    /// Takes over an engine that has no I/O thread.
    pub(super) fn adopt(&self, node: usize, engine: Arc<Engine>, outlets: Outlets) {
        self.world().adopt(node, engine, outlets);
    }

    /// Whether it has been closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.baton.is_over()
    }

    /// Ends all stacks. Everybody who sleeps wakes, and nobody sleeps any more; there is no baton from now on. EDEADLK from a callback.
    pub(crate) fn close(&self) -> Result<(), Errno> {
        self.check_outside()?;
        let engines = self.world().engines();
        for engine in &engines {
            engine.advance(Phase::Ending);
        }
        self.baton.end();
        self.world().finish(self.now());
        Ok(())
    }

    /// The tasks.
    pub(crate) const fn baton(&self) -> &Baton {
        &self.baton
    }

    /// Lets everything happen that can happen now. EDEADLK from a callback.
    pub(crate) fn settle(&self) -> Result<(), Errno> {
        self.check_outside()?;
        while self.world().settle(self.now()) == Stepped::More && !self.is_closed() {}
        Ok(())
    }

    /// One look for a call that does not sleep.
    pub(super) fn look(&self) -> bool {
        self.settle().is_ok()
    }

    /// Runs the last turn of a host whose engine has come to its end, unless somebody steps the world, who will.
    pub(super) fn finish(&self) {
        let world = match self.world.try_lock() {
            Ok(world) => world,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return,
        };
        let mut world = world;
        world.finish(self.now());
    }

    /// Sleeps until woken or until `until`: other tasks go on, and time passes. EDEADLK: nothing could ever wake anybody, or from a callback; ECANCELED: the
    /// network is closed.
    pub(crate) fn sleep(&self, sleeper: &TaskArc<Sleeper>, until: Option<Instant>) -> Result<Woke, Errno> {
        self.check_outside()?;
        self.baton.sleep(self, sleeper, until)
    }

    /// One step: what can happen now; if that is nothing, time passes until something can, or somebody's time is over at `until`. False: nothing is left.
    fn step(&self, until: Option<Instant>) -> bool {
        let now = self.now();
        let mut world = self.world();
        if world.settle(now) != Stepped::Nothing {
            return true;
        }
        let Some(next) = [world.next(), until].into_iter().flatten().min() else { return false };
        // Who asks again and again for an instant that has passed does not keep the clock.
        let next = if next > now { next } else { Instant::from_nanos(now.as_nanos().saturating_add(1)) };
        self.now.store(next.as_nanos(), Ordering::Release);
        world.settle(next);
        true
    }

    fn check_outside(&self) -> Result<(), Errno> {
        if super::inside::is_inside_network(self) { Err(Errno::EDEADLK) } else { Ok(()) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Conductor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conductor").field("now", &self.now()).finish_non_exhaustive()
    }
}
