//! What tasks of a simulated network wait for beside sockets.

use super::{Network, Time, at};
use crate::engine::{Clock, with_sleeper};
use crate::error::{Errno, Result};
use crate::socket::Woke;
use crate::sync::{Mutex, lock};
use crate::time::Duration;
use std::task::Waker;

/// A flag that tasks wait for: any thread, any time.
#[derive(Debug)]
pub struct Signal {
    network: Network,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    set: bool,
    sleepers: Vec<Waker>,
}

impl Signal {
    /// One that is not set.
    #[must_use]
    pub fn new(network: &Network) -> Self {
        Self { network: network.clone(), state: Mutex::default() }
    }

    /// Sets it, and wakes who waits for it.
    pub fn set(&self) {
        let mut state = lock(&self.state);
        state.set = true;
        let sleepers = std::mem::take(&mut state.sleepers);
        drop(state);
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// Takes it back.
    pub fn clear(&self) {
        lock(&self.state).set = false;
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        lock(&self.state).set
    }

    /// Sleeps until it is set, or until `until` since the network began: whether it is set. ECANCELED: the network is closed; EDEADLK, EINTR.
    pub fn wait(&self, until: Option<Duration>) -> Result<bool> {
        if self.is_set() {
            return Ok(true);
        }
        with_sleeper(|sleeper, waker| {
            let outcome = loop {
                if self.look(Some(waker)) {
                    break Ok(true);
                }
                match self.network.conductor.sleep(sleeper, until.map(at)) {
                    Ok(Woke::Woken) => {}
                    Ok(Woke::TimedOut) => break Ok(self.is_set()),
                    Ok(Woke::Interrupted) => break Err(Errno::EINTR.into()),
                    Err(errno) => break Err(errno.into()),
                }
            };
            self.forget(waker);
            outcome
        })
    }

    /// Its network's time.
    #[must_use]
    pub fn time(&self) -> Time<'_> {
        self.network.time()
    }

    /// What the network goes by.
    pub(in crate::api) const fn clock(&self) -> &Clock {
        &self.network.clock
    }

    /// Whether it is set; registers `waker` if it is not.
    pub(in crate::api) fn look(&self, waker: Option<&Waker>) -> bool {
        let mut state = lock(&self.state);
        if !state.set
            && let Some(waker) =
                waker.filter(|waker| !state.sleepers.iter().any(|known| known.will_wake(waker)))
        {
            state.sleepers.push(waker.clone());
        }
        state.set
    }

    /// Takes a waker back.
    pub(in crate::api) fn forget(&self, waker: &Waker) {
        lock(&self.state).sleepers.retain(|known| !known.will_wake(waker));
    }
}
