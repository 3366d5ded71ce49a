//! The hosts of a network and what joins them, stepped by whoever would sleep.

use crate::engine::bell::Rest;
use crate::engine::io::deliver;
use crate::engine::turn::{Aftermath, Called, Next};
use crate::engine::{Engine, Outlets, inside};
use crate::sim::Fabric;
use crate::sync::Arc;
use crate::time::Instant;
use crossbeam_channel::Receiver;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Turns of one settling at most, after which whoever steps looks up.
const TURNS_MAX: usize = 4096;

/// Fabric and hosts.
pub(super) struct World {
    pub(super) fabric: Fabric,
    hosts: BTreeMap<usize, Host>,
    /// Hosts that have called.
    calls: Receiver<usize>,
    /// Hosts that have something to do now.
    due: BTreeSet<usize>,
    /// When the others have.
    deadlines: BTreeSet<(Instant, usize)>,
    aftermath: Aftermath,
}

/// A host: what an I/O thread has of a real one.
struct Host {
    engine: Arc<Engine>,
    outlets: Outlets,
    until: Option<Instant>,
}

/// What settling came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stepped {
    /// There was nothing to do.
    Nothing,
    /// All that there was is done.
    Done,
    /// There is more.
    More,
}

impl World {
    pub(super) fn new(fabric: Fabric, calls: Receiver<usize>) -> Self {
        Self {
            fabric,
            hosts: BTreeMap::new(),
            calls,
            due: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            aftermath: Aftermath::default(),
        }
    }

    pub(super) fn adopt(&mut self, node: usize, engine: Arc<Engine>, outlets: Outlets) {
        self.hosts.insert(node, Host { engine, outlets, until: None });
        self.due.insert(node);
    }

    /// Those of its hosts.
    pub(super) fn engines(&self) -> Vec<Arc<Engine>> {
        self.hosts.values().map(|host| host.engine.clone()).collect()
    }

    /// Has hosts and packets move until none does, without time passing.
    pub(super) fn settle(&mut self, now: Instant) -> Stepped {
        let mut turns = 0;
        let mut moved = false;
        loop {
            moved |= self.fabric.turn(now, &mut self.due);
            self.collect(now);
            if self.due.is_empty() {
                return if moved { Stepped::Done } else { Stepped::Nothing };
            }
            moved = true;
            for node in std::mem::take(&mut self.due) {
                self.turn(now, node);
                turns += 1;
            }
            if turns >= TURNS_MAX {
                return Stepped::More;
            }
        }
    }

    /// When something happens by itself.
    pub(super) fn next(&self) -> Option<Instant> {
        let host = self.deadlines.first().map(|(at, _)| *at);
        [host, self.fabric.next()].into_iter().flatten().min()
    }

    /// The last turns of hosts that have come to their ends.
    pub(super) fn finish(&mut self, now: Instant) {
        self.collect(now);
        let ending = |node: &usize| self.hosts.get(node).is_some_and(|host| host.engine.is_ending());
        let ends: Vec<usize> = self.due.iter().copied().filter(ending).collect();
        for node in ends {
            self.due.remove(&node);
            self.turn(now, node);
        }
    }

    /// Who has been called, and whose deadline has passed.
    fn collect(&mut self, now: Instant) {
        self.due.extend(self.calls.try_iter());
        while let Some((at, node)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, node));
            if let Some(host) = self.hosts.get_mut(&node) {
                host.until = None;
            }
            self.due.insert(node);
        }
    }

    /// What the I/O thread of a real stack does once.
    fn turn(&mut self, now: Instant, node: usize) {
        let Some(host) = self.hosts.get_mut(&node) else { return };
        host.engine.bell.awake(false);
        let inside = inside::Visit::begin(&host.engine);
        let mut next = host.engine.turn_once(Called::Otherwise, &mut self.aftermath);
        // A panic in it, be it in the program's log function, is the end of the stack, as it is of a real one.
        let told = catch_unwind(AssertUnwindSafe(|| deliver(&mut self.aftermath, &mut host.outlets)));
        if told.is_err() {
            host.engine.poison();
            self.aftermath = Aftermath::default();
            next = None;
        }
        drop(inside);
        let until = match next {
            None => {
                self.wait(node, None);
                self.hosts.remove(&node);
                self.fabric.turn(now, &mut self.due);
                return self.fabric.vacate(node);
            }
            Some(Next::Again | Next::Read(_)) => {
                self.due.insert(node);
                return;
            }
            Some(Next::Sleep(sleep)) => sleep.until,
        };
        if host.engine.bell.rest() == Rest::Work {
            self.due.insert(node);
        }
        self.wait(node, until);
    }

    /// Has a host called when its next deadline has come.
    fn wait(&mut self, node: usize, until: Option<Instant>) {
        let Some(host) = self.hosts.get_mut(&node) else { return };
        if host.until == until {
            return;
        }
        if let Some(before) = host.until {
            self.deadlines.remove(&(before, node));
        }
        self.deadlines.extend(until.map(|until| (until, node)));
        host.until = until;
    }
}
