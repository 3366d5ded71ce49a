//! Several hosts and one clock.

use super::Host;
use crate::time::{Duration, Instant};

/// Rounds in which hosts move without time passing, after which they are taken to do so for ever.
const ROUNDS_MAX: usize = 100_000;

/// Steps without a frame and without time passing that are put down to timers that were armed early.
const IDLE_STEPS_MAX: usize = 64;

/// Hosts on a virtual clock.
#[derive(Debug)]
pub struct Network {
    /// The hosts; calls name them by index.
    pub hosts: Vec<Host>,
    /// The clock.
    pub now: Instant,
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
        Self { hosts, now: start, idle_steps: 0 }
    }

    /// Lets every host move until none does, without time passing.
    pub fn settle(&mut self) -> Settled {
        let now = self.now;
        for round in 0..ROUNDS_MAX {
            let moved = self.hosts.iter_mut().filter_map(|host| host.turn(now).then_some(())).count();
            if moved == 0 {
                return if round == 0 { Settled::Still } else { Settled::Moved };
            }
        }
        Settled::Livelock
    }

    /// Settles, then moves the clock to the next instant that anybody waits for.
    pub fn step(&mut self) -> Step {
        if self.settle() == Settled::Livelock {
            return Step::Livelock;
        }
        let Some(next) = self.hosts.iter().filter_map(Host::next).min() else { return Step::Idle };
        if next > self.now {
            self.now = next;
            self.idle_steps = 0;
            return Step::Advanced;
        }
        self.idle_steps += 1;
        if self.idle_steps > IDLE_STEPS_MAX { Step::Livelock } else { Step::Advanced }
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
            let next = self.hosts.iter().filter_map(Host::next).min();
            if next.is_none_or(|next| next > end) {
                self.now = end;
                return self.settle() != Settled::Livelock;
            }
            if self.step() == Step::Livelock {
                return false;
            }
        }
    }
}
