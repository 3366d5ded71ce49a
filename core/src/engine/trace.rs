//! Event traces on their way to files: opened by whoever holds the Turn, written by the I/O thread after letting go of it.

use super::conductor::Clock;
use crate::time::Instant;
use crate::trace::event::{Missed, What};
use crate::trace::qlog::Writer;
use crate::trace::{Drained, Event, Sink};
use std::collections::BTreeMap;
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
    /// The last that has begun of each worker, which numbers its own one after the other; be it over.
    begun: BTreeMap<u64, u64>,
    /// What another worker tells of those that it knows of already, by number.
    early: BTreeMap<u64, Early>,
}

/// What was told for a trace that has not begun.
#[derive(Debug, Default)]
struct Early {
    events: Vec<Event>,
    /// Events that found no room.
    missed: u64,
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

/// Events that wait for a trace to begin; more are dropped and counted. The I/O thread that begins it may be held up, by a program that takes a log record.
const EARLY_MAX: usize = 1 << 14;

/// Bits of a trace's number that its worker counts in; the others name the worker ([`Turn::join`](super::turn::Turn)).
pub(super) const NUMBER_BITS: u32 = 32;

impl Traces {
    /// Takes traces that have begun, of a stack on the device called `name`, and writes what is new. Those that cannot be written to are given up;
    /// what is wrong with them.
    pub(crate) fn deliver(
        &self,
        now: Instant,
        begun: &mut Vec<Begun>,
        drained: &mut Drained,
        name: &str,
        clock: &Clock,
    ) -> Vec<std::io::Error> {
        let Shared { any, traces } = &*self.0;
        if begun.is_empty() && drained.events.is_empty() && !any.load(Ordering::Acquire) {
            drained.missed = 0;
            return Vec::new();
        }
        let mut traces = traces.lock().unwrap_or_else(PoisonError::into_inner);
        begun.drain(..).for_each(|begun| traces.add(begun, name, clock));
        let errors = traces.deliver(now, drained);
        any.store(!traces.outlets.is_empty() || !traces.early.is_empty(), Ordering::Release);
        errors
    }
}

impl Open {
    /// Takes a trace that has begun, of a stack on the device called `name`.
    fn add(&mut self, begun: Begun, name: &str, clock: &Clock) {
        let Begun { sink, file, at } = begun;
        let reference = clock.epoch().wrapping_add(at.as_nanos());
        let mut pending = Vec::new();
        let title = concat!("usertcp ", env!("CARGO_PKG_VERSION"));
        let writer = Writer::begin(title, name, at, reference, &mut pending);
        let number = sink.number();
        self.begun.insert(number >> NUMBER_BITS, number);
        let mut outlet = Outlet { sink, file, writer, pending, missed: 0 };
        let Early { events, missed } = self.early.remove(&number).unwrap_or_default();
        events.into_iter().for_each(|event| outlet.take(event.at, event.connection, &event.what));
        outlet.missed += missed;
        self.outlets.push(outlet);
    }

    /// Keeps what is told for a trace that has not begun, and nothing for one that is over.
    fn keep(&mut self, event: Event) {
        let number = event.sink.number();
        if self.begun.get(&(number >> NUMBER_BITS)).is_some_and(|last| number <= *last) {
            return;
        }
        let early = self.early.entry(number).or_default();
        if early.events.len() < EARLY_MAX {
            early.events.push(event);
        } else {
            early.missed += 1;
        }
    }

    /// Writes what is new. Those that cannot be written to are given up; what is wrong with them.
    fn deliver(&mut self, now: Instant, drained: &mut Drained) -> Vec<std::io::Error> {
        let missed = std::mem::take(&mut drained.missed);
        for event in drained.events.drain(..) {
            match self.outlets.iter_mut().find(|outlet| outlet.sink == event.sink) {
                Some(outlet) => outlet.take(event.at, event.connection, &event.what),
                None => self.keep(event),
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::io::Read;

    /// A trace of this number, and what is read of it.
    fn begun(number: u64) -> (Begun, std::io::PipeReader) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        (Begun { sink: Sink::new(number), file, at: Instant::ZERO }, reader)
    }

    fn events(sink: &Sink, count: u64) -> Drained {
        let what = || What::Missed(Missed { count: 77 });
        let event = || Event { at: Instant::ZERO, sink: sink.clone(), connection: None, what: what() };
        Drained { events: (0..count).map(|_| event()).collect::<VecDeque<_>>(), missed: 0 }
    }

    fn deliver(traces: &Traces, begun: Vec<Begun>, mut drained: Drained) {
        let mut begun = begun;
        assert!(traces.deliver(Instant::ZERO, &mut begun, &mut drained, "test", &Clock::SYSTEM).is_empty());
    }

    fn open<R>(traces: &Traces, look: impl FnOnce(&Open) -> R) -> R {
        look(&traces.0.traces.lock().expect("no panic"))
    }

    #[test]
    fn nothing_is_kept_of_traces_that_are_over() {
        let traces = Traces::default();
        for number in 1..=300 {
            for worker in [0, 1] {
                let (begun, mut reader) = begun(worker << NUMBER_BITS | number);
                if number % 2 == 0 {
                    // It is given up, and more is told for it.
                    let late = events(&begun.sink, 1);
                    drop(reader);
                    let errors = traces.deliver(
                        Instant::ZERO,
                        &mut vec![begun],
                        &mut late.clone(),
                        "test",
                        &Clock::SYSTEM,
                    );
                    assert_eq!(errors.len(), 1);
                    deliver(&traces, Vec::new(), late);
                    continue;
                }
                deliver(&traces, vec![begun], Drained::default());
                let mut text = String::new();
                reader.read_to_string(&mut text).expect("it is closed when nobody knows its sink");
                assert_eq!(text.lines().count(), 1);
            }
        }
        open(&traces, |open| assert_eq!((open.begun.len(), open.early.len(), open.outlets.len()), (2, 0, 0)));
    }

    #[test]
    fn what_is_told_before_a_trace_begins_is_kept_and_bounded() {
        let traces = Traces::default();
        let (first, _first) = begun(1);
        deliver(&traces, vec![first], Drained::default());
        let (begun, mut reader) = begun(1 << NUMBER_BITS | 1);
        let sink = begun.sink.clone();
        for _ in 0..3 {
            deliver(&traces, Vec::new(), events(&sink, EARLY_MAX as u64));
        }
        drop(sink);
        let kept = |open: &Open| open.early.values().map(|early| early.events.len()).sum::<usize>();
        assert_eq!(open(&traces, kept), EARLY_MAX);
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text).expect("the end of the pipe")
        });
        deliver(&traces, vec![begun], Drained::default());
        let text = reading.join().expect("the reader");
        assert_eq!(text.matches("\"count\":77}").count(), EARLY_MAX);
        assert_eq!(text.matches(&format!("\"count\":{}}}", 2 * EARLY_MAX)).count(), 1, "and what is missing");
        open(&traces, |open| assert_eq!((open.early.len(), open.outlets.len()), (0, 0)));
    }
}
