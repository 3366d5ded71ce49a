//! Event traces on their way to files: opened by whoever holds the Turn, written by the I/O thread after letting go of it.

use crate::clock;
use crate::time::Instant;
use crate::trace::event::{Missed, What};
use crate::trace::qlog::Writer;
use crate::trace::{Drained, Sink};
use std::fs::File;
use std::io::{ErrorKind, Write};

/// A trace that was asked for and has no header yet.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) sink: Sink,
    pub(crate) file: File,
    pub(crate) at: Instant,
}

/// The traces of a stack.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    outlets: Vec<Outlet>,
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
    /// Takes a trace that has begun, of a stack on the device called `name`.
    pub(crate) fn add(&mut self, begun: Begun, name: &str) {
        let Begun { sink, file, at } = begun;
        let reference = clock::epoch().saturating_add(at.as_nanos());
        let mut pending = Vec::new();
        let title = concat!("usertcp ", env!("CARGO_PKG_VERSION"));
        let writer = Writer::begin(title, name, at, reference, &mut pending);
        self.outlets.push(Outlet { sink, file, writer, pending, missed: 0 });
    }

    /// Writes what is new. Those that cannot be written to are given up; what is wrong with them.
    pub(crate) fn deliver(&mut self, now: Instant, drained: &mut Drained) -> Vec<std::io::Error> {
        let missed = std::mem::take(&mut drained.missed);
        for event in drained.events.drain(..) {
            let outlet = self.outlets.iter_mut().find(|outlet| outlet.sink == event.sink);
            if let Some(outlet) = outlet {
                outlet.take(event.at, event.connection, &event.what);
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
