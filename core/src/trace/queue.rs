//! Events on their way out, and the sinks that they are for.

use super::Event;
use super::event::What;
use crate::sync::Arc;
use crate::time::Instant;
use std::collections::VecDeque;

/// Where events go: a name that whoever delivers them has given. It is in use as long as a copy of it lives.
#[derive(Clone, Debug)]
pub struct Sink(Arc<u64>);

impl Sink {
    /// A sink of this number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(Arc::new(number))
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        *self.0
    }

    /// Whether no other copy lives: nothing will come for it any more.
    #[must_use]
    pub fn is_forsaken(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl PartialEq for Sink {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl Eq for Sink {}

/// A bounded queue of events; when it is full the newest are dropped and counted.
#[derive(Debug, Default)]
pub struct Queue {
    /// Where the events of every connection go that has no sink of its own.
    all: Option<Sink>,
    /// The number of the last connection that is traced.
    connections: u64,
    /// How many other queues number connections for the same traces.
    others: u64,
    events: VecDeque<Event>,
    missed: u64,
}

/// What a queue had.
#[derive(Clone, Debug, Default)]
pub struct Drained {
    /// Events, oldest first.
    pub events: VecDeque<Event>,
    /// Events that found the queue full; all of them newer.
    pub missed: u64,
}

/// Events kept until somebody drains them: some ten turns of a busy stack.
const CAPACITY: usize = 1 << 16;

impl Queue {
    /// Where the events of every connection go that has no sink of its own.
    #[must_use]
    pub const fn all(&self) -> Option<&Sink> {
        self.all.as_ref()
    }

    /// Every connection without a sink of its own goes there from now on, or nowhere.
    pub fn set_all(&mut self, sink: Option<Sink>) {
        self.all = sink;
    }

    /// The queue of one of `workers` whose events go to the same traces: each numbers connections by itself, and no two alike.
    #[must_use]
    pub fn of_worker(worker: u32, workers: u32) -> Self {
        let (connections, others) = (u64::from(worker), u64::from(workers.saturating_sub(1)));
        Self { connections, others, ..Self::default() }
    }

    /// The number of one more traced connection.
    pub const fn number(&mut self) -> u64 {
        let number = self.connections + 1;
        self.connections = number + self.others;
        number
    }

    /// What happens to the stack itself, made only if somebody listens.
    pub fn record(&mut self, at: Instant, what: impl FnOnce() -> What) {
        if let Some(sink) = &self.all {
            let event = Event { at, sink: sink.clone(), connection: None, what: what() };
            self.push(event);
        }
    }

    /// Queues an event.
    pub fn push(&mut self, event: Event) {
        if self.events.len() < CAPACITY {
            self.events.push_back(event);
        } else {
            self.missed = self.missed.saturating_add(1);
        }
    }

    /// Counts events that were lost on the way here.
    pub const fn miss(&mut self, count: u64) {
        self.missed = self.missed.saturating_add(count);
    }

    /// Whether nothing waits to be drained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.missed == 0
    }

    /// Takes what is queued, and leaves `empty` in its place.
    pub fn drain(&mut self, empty: &mut Drained) {
        std::mem::swap(&mut self.events, &mut empty.events);
        empty.missed = empty.missed.saturating_add(std::mem::take(&mut self.missed));
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Missed;
    use super::*;

    #[test]
    fn the_newest_are_dropped_and_counted() {
        let mut queue = Queue::default();
        queue.record(Instant::ZERO, || What::Missed(Missed { count: 0 }));
        assert!(queue.is_empty(), "nobody listens");
        queue.set_all(Some(Sink::new(1)));
        for count in 0..CAPACITY as u64 + 3 {
            queue.record(Instant::ZERO, || What::Missed(Missed { count }));
        }
        let mut drained = Drained::default();
        queue.drain(&mut drained);
        assert_eq!((drained.events.len(), drained.missed), (CAPACITY, 3));
        assert_eq!(drained.events[0].what, What::Missed(Missed { count: 0 }));
        assert!(queue.is_empty());
    }

    #[test]
    fn workers_number_connections_apart() {
        let numbers = |mut queue: Queue| [queue.number(), queue.number(), queue.number()];
        assert_eq!(numbers(Queue::default()), [1, 2, 3]);
        assert_eq!(numbers(Queue::of_worker(0, 4)), [1, 5, 9]);
        assert_eq!(numbers(Queue::of_worker(3, 4)), [4, 8, 12]);
    }

    #[test]
    fn a_sink_is_in_use_as_long_as_it_is_known() {
        let sink = Sink::new(1);
        let mut queue = Queue::default();
        queue.set_all(Some(sink.clone()));
        queue.record(Instant::ZERO, || What::Missed(Missed { count: 0 }));
        queue.set_all(None);
        assert!(!sink.is_forsaken(), "an event is on its way");
        queue.drain(&mut Drained::default());
        assert!(sink.is_forsaken());
    }
}
