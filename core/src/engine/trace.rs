//! Event traces on their way to files: opened by whoever holds the Turn, written by the I/O thread after letting go of it.

use crate::clock;
use crate::time::Instant;
use crate::trace::event::{Missed, What};
use crate::trace::qlog::Writer;
use crate::trace::{Drained, Event, Sink};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A trace that was asked for and has no header yet.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) sink: Sink,
    pub(crate) file: File,
    pub(crate) at: Instant,
}

/// The traces of a stack, which all of its workers write to: copies are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traces(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// There is one.
    any: AtomicBool,
    traces: Mutex<Open>,
}

/// Those that are open.
#[derive(Debug, Default)]
struct Open {
    outlets: Vec<Outlet>,
    /// Numbers of those that have begun, be they over.
    known: BTreeSet<u64>,
    /// Events for others: of another worker, which knows of them already.
    early: Vec<Event>,
}

/// One of them.
#[derive(Debug)]
struct Outlet {
    sink: Sink,
    file: File,
    writer: Writer,
    /// Lines that are not written: a pipe or socket that does not block was full.
    pending: Vec<u8>,
    /// Events that were not turned into lines for that.
    missed: u64,
}

/// Bytes of lines that wait for a descriptor that takes none; more events are dropped and counted.
const PENDING_MAX: usize = 4 << 20;

impl Traces {
    /// Takes traces that have begun, of a stack on the device called `name`, and writes what is new. Those that cannot be written to are given up;
    /// what is wrong with them.
    pub(crate) fn deliver(
        &self,
        now: Instant,
        begun: &mut Vec<Begun>,
        drained: &mut Drained,
        name: &str,
    ) -> Vec<std::io::Error> {
        let Shared { any, traces } = &*self.0;
        if begun.is_empty() && drained.events.is_empty() && !any.load(Ordering::Acquire) {
            drained.missed = 0;
            return Vec::new();
        }
        let mut traces = traces.lock().unwrap_or_else(PoisonError::into_inner);
        begun.drain(..).for_each(|begun| traces.add(begun, name));
        let errors = traces.deliver(now, drained);
        any.store(!traces.outlets.is_empty() || !traces.early.is_empty(), Ordering::Release);
        errors
    }
}

impl Open {
    /// Takes a trace that has begun, of a stack on the device called `name`.
    fn add(&mut self, begun: Begun, name: &str) {
        let Begun { sink, file, at } = begun;
        let reference = clock::epoch().saturating_add(at.as_nanos());
        let mut pending = Vec::new();
        let title = concat!("usertcp ", env!("CARGO_PKG_VERSION"));
        let writer = Writer::begin(title, name, at, reference, &mut pending);
        self.known.insert(sink.number());
        let mut outlet = Outlet { sink, file, writer, pending, missed: 0 };
        let (early, others) =
            std::mem::take(&mut self.early).into_iter().partition(|event| event.sink == outlet.sink);
        self.early = others;
        let early: Vec<Event> = early;
        early.into_iter().for_each(|event| outlet.take(event.at, event.connection, &event.what));
        self.outlets.push(outlet);
    }

    /// Writes what is new. Those that cannot be written to are given up; what is wrong with them.
    fn deliver(&mut self, now: Instant, drained: &mut Drained) -> Vec<std::io::Error> {
        let missed = std::mem::take(&mut drained.missed);
        for event in drained.events.drain(..) {
            match self.outlets.iter_mut().find(|outlet| outlet.sink == event.sink) {
                Some(outlet) => outlet.take(event.at, event.connection, &event.what),
                None if self.known.contains(&event.sink.number()) => {}
                None => self.early.push(event),
            }
        }
        let mut errors = Vec::new();
        self.outlets.retain_mut(|outlet| {
            outlet.missed += missed;
            outlet.count_missed(now);
            match outlet.write() {
                Ok(()) => !outlet.sink.is_forsaken() || !outlet.pending.is_empty(),
                Err(error) => {
                    errors.push(error);
                    false
                }
            }
        });
        errors
    }
}

impl Outlet {
    fn take(&mut self, at: Instant, connection: Option<u64>, what: &What) {
        if self.pending.len() >= PENDING_MAX {
            self.missed += 1;
            return;
        }
        self.count_missed(at);
        self.writer.write_at(at, connection, what, &mut self.pending);
    }

    /// Says in the trace that something is missing, as soon as there is room to say it.
    fn count_missed(&mut self, at: Instant) {
        if self.missed > 0 && self.pending.len() < PENDING_MAX {
            let count = std::mem::take(&mut self.missed);
            self.writer.write_at(at, None, &What::Missed(Missed { count }), &mut self.pending);
        }
    }

    fn write(&mut self) -> std::io::Result<()> {
        let mut written = 0;
        let outcome = loop {
            let rest = self.pending.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match self.file.write(rest) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.pending.drain(..written);
        outcome
    }
}
