//! Several hosts and one clock.

use super::{Endpoint, Host, Router};
use crate::time::{Duration, Instant};
use std::fmt;

/// Rounds in which hosts move without time passing, after which they are taken to do so for ever.
const ROUNDS_MAX: usize = 100_000;

/// Steps without a frame and without time passing that are put down to timers that were armed early.
const IDLE_STEPS_MAX: usize = 64;

/// What whoever watches a network is shown.
pub enum Seen<'a> {
    /// A program has written these bytes into a stream.
    Written(&'a Endpoint, &'a [u8]),
    /// A program has read these bytes out of a stream.
    Read(&'a Endpoint, &'a [u8]),
    /// Nobody moves any more at this instant.
    Still(Instant, &'a [Host]),
    /// Somebody moves, or asks to be woken, without end and without time passing.
    Livelock(Instant),
}

/// Watches a network.
pub type Watch = Box<dyn FnMut(Seen<'_>) + Send>;

/// Hosts on a virtual clock.
pub struct Network {
    /// The hosts; calls name them by index.
    pub hosts: Vec<Host>,
    /// What joins them, where that is more than a link between two.
    pub routers: Vec<Router>,
    /// Who is shown what programs and hosts do.
    pub watch: Option<Watch>,
    /// The clock.
    pub now: Instant,
    /// Its step: who waits for an instant between two of them is woken at the later one. Zero: there is none.
    pub tick: Duration,
    idle_steps: usize,
}

/// What settling came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nobody had anything to do.
    Still,
    /// Frames have moved.
    Moved,
    /// They move without end.
    Livelock,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The clock stands at the next instant that somebody waits for.
    Advanced,
    /// Nobody waits for anything.
    Idle,
    /// Hosts move, or ask to be woken, without end and without time passing.
    Livelock,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The predicate holds.
    Met,
    /// The limit has passed.
    TimedOut,
    /// Nobody waits for anything, and the predicate does not hold.
    Idle,
    /// Hosts move without end and without time passing.
    Livelock,
}

impl Network {
    /// A network whose clock starts at `start`.
    #[must_use]
    pub fn new(start: Instant, hosts: Vec<Host>) -> Self {
        Self { hosts, routers: Vec::new(), watch: None, now: start, tick: Duration::ZERO, idle_steps: 0 }
    }

    /// Lets every host move until none does, without time passing.
    pub fn settle(&mut self) -> Settled {
        let now = self.now;
        for round in 0..ROUNDS_MAX {
            let hosts = self.hosts.iter_mut().map(|host| host.turn(now));
            let moves = hosts.chain(self.routers.iter_mut().map(|router| router.turn(now)));
            if moves.filter(|moved| *moved).count() == 0 {
                if let Some(watch) = &mut self.watch {
                    watch(Seen::Still(now, &self.hosts));
                }
                return if round == 0 { Settled::Still } else { Settled::Moved };
            }
        }
        self.show(Seen::Livelock(now));
        Settled::Livelock
    }

    /// Settles, then moves the clock to the next instant that anybody waits for.
    pub fn step(&mut self) -> Step {
        if self.settle() == Settled::Livelock {
            return Step::Livelock;
        }
        let Some(next) = self.next() else { return Step::Idle };
        if next > self.now {
            self.now = next;
            self.idle_steps = 0;
            return Step::Advanced;
        }
        self.idle_steps += 1;
        if self.idle_steps <= IDLE_STEPS_MAX {
            return Step::Advanced;
        }
        self.show(Seen::Livelock(self.now));
        Step::Livelock
    }

    /// The next instant that anybody waits for.
    fn next(&self) -> Option<Instant> {
        let hosts = self.hosts.iter().filter_map(Host::next);
        let next = hosts.chain(self.routers.iter().filter_map(Router::next)).min()?;
        let tick = u64::try_from(self.tick.as_nanos()).unwrap_or(u64::MAX).max(1);
        Some(Instant::from_nanos(next.as_nanos().next_multiple_of(tick)))
    }

    pub(super) fn show(&mut self, seen: Seen<'_>) {
        if let Some(watch) = &mut self.watch {
            watch(seen);
        }
    }

    /// Steps until `done` holds, at most for `limit`. `done` may call sockets; what it causes is settled before time passes.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> Outcome {
        let end = self.now + limit;
        let mut rounds = 0;
        if self.settle() == Settled::Livelock {
            return Outcome::Livelock;
        }
        loop {
            if done(self) {
                return Outcome::Met;
            }
            let before = self.now;
            match self.settle() {
                Settled::Livelock => return Outcome::Livelock,
                Settled::Moved if rounds == ROUNDS_MAX => return Outcome::Livelock,
                Settled::Moved => {
                    rounds += 1;
                    continue;
                }
                Settled::Still => {}
            }
            match self.step() {
                Step::Advanced if self.now > end => return Outcome::TimedOut,
                Step::Advanced => {}
                // The last of it may have been what was waited for.
                Step::Idle => return if done(self) { Outcome::Met } else { Outcome::Idle },
                Step::Livelock => return Outcome::Livelock,
            }
            if self.now > before {
                rounds = 0;
            }
            if self.settle() == Settled::Livelock {
                return Outcome::Livelock;
            }
        }
    }

    /// Lets `time` pass. False on a livelock.
    pub fn run_for(&mut self, time: Duration) -> bool {
        let end = self.now + time;
        loop {
            if self.settle() == Settled::Livelock {
                return false;
            }
            if self.next().is_none_or(|next| next > end) {
                self.now = end;
                return self.settle() != Settled::Livelock;
            }
            if self.step() == Step::Livelock {
                return false;
            }
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hosts, routers, now, tick: _, watch: _, idle_steps: _ } = self;
        f.debug_struct("Network")
            .field("now", now)
            .field("hosts", hosts)
            .field("routers", routers)
            .finish_non_exhaustive()
    }
}
