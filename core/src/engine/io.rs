//! The I/O thread: runs turns, and sleeps on the device and the bell in between.

use super::bell::Rest;
use super::bridges::Bridges;
use super::conductor::Clock;
use super::trace::Traces;
use super::turn::{Aftermath, Called, Next, Sleep};
use super::watch::{Seen, Watch, Watcher};
use super::{Engine, inside};
use crate::clock;
use crate::error::Error;
use crate::socket::poll;
use crate::sync::Arc;
use crate::sys::{self, PollFd};
use crate::time::Instant;
use crate::trace::{Level, Record};
use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the I/O thread has beside the Turn; those of several workers share it.
#[derive(Clone)]
pub(crate) struct Outlets {
    /// The capture file.
    pub(crate) capture: Option<CaptureFile>,
    /// Where log records go.
    pub(crate) log: Option<Deliver>,
    /// Event traces, and the name of the device for their headers.
    pub(crate) traces: Traces,
    pub(crate) name: String,
    /// What the stack takes the time from.
    pub(crate) clock: Clock,
}

/// A file that blocks of a capture are written to, each whole; copies are the same.
#[derive(Clone, Debug)]
pub(crate) struct CaptureFile(std::sync::Arc<std::sync::Mutex<Option<File>>>);

impl CaptureFile {
    /// It begins with what comes first.
    pub(crate) fn new(file: File) -> Self {
        Self(std::sync::Arc::new(std::sync::Mutex::new(Some(file))))
    }

    /// Writes `blocks`. A file that cannot be written to is given up.
    pub(crate) fn write(&self, blocks: &[u8]) -> std::io::Result<()> {
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let written = file.as_mut().map_or(Ok(()), |file| file.write_all(blocks));
        if written.is_err() {
            *file = None;
        }
        written
    }
}

/// The capture file could not be written to.
pub(crate) fn not_written(error: &std::io::Error) -> Error {
    Error::new(sys::errno_of(error), format!("the capture file cannot be written: {error}"))
}

/// A function that takes log records.
pub(crate) type Deliver = std::sync::Arc<dyn Fn(&Record) + Send + Sync>;

/// Name of the thread; the kernel keeps 15 bytes.
pub(crate) const THREAD_NAME: &str = "usertcp-io";

/// The life of the I/O thread. A panic in it, be it in the program's log function, is the end of the stack.
pub(crate) fn run(engine: &Arc<Engine>, outlets: Outlets) {
    inside::enter(engine);
    if catch_unwind(AssertUnwindSafe(|| work(engine, outlets))).is_err() {
        engine.poison();
    }
    engine.abandon_adopted();
}

fn work(engine: &Arc<Engine>, mut outlets: Outlets) {
    let mut aftermath = Aftermath::default();
    let mut bridges = Bridges::default();
    let mut woken = Woken::AWAKE;
    let mut seen = Seen::new();
    loop {
        let called = if woken.by_device { Called::ByDevice } else { Called::Otherwise };
        let next = engine.turn_once(called, &mut aftermath);
        deliver(&mut aftermath, &mut outlets);
        let more = bridges.work(engine, woken.by_bridges, aftermath.live);
        woken = match next {
            None => break,
            Some(Next::Sleep(sleep)) if !more => doze(engine, sleep, &mut seen, Watch::whose),
            Some(Next::Read(sleep)) if !more && engine.watch.hands_over(&seen) => {
                doze(engine, sleep, &mut seen, Watch::hand_over)
            }
            Some(Next::Again | Next::Read(_) | Next::Sleep(_)) => Woken::AWAKE,
        }
    }
}

/// What ended a sleep, beside the bell and the clock.
#[derive(Clone, Copy, Debug)]
struct Woken {
    by_device: bool,
    /// A bridge has news, or may have.
    by_bridges: bool,
}

impl Woken {
    /// There was no sleep. Every turn looks at the device, and bridges are not to wait for one that does not end.
    const AWAKE: Self = Self { by_device: false, by_bridges: true };
}

/// Sleeps until the device, a bridge, the bell or the clock calls. The device is left to callers who sleep on it, and what is due to those who run turns:
/// `first` says to whom at first.
fn doze(engine: &Engine, sleep: Sleep, seen: &mut Seen, first: fn(&Watch, &mut Seen) -> Watcher) -> Woken {
    if engine.bell.rest() == Rest::Work {
        return Woken::AWAKE;
    }
    let mut watcher = first(&engine.watch, seen);
    loop {
        let left = |until: Option<Instant>| until.map(|until| until.since(clock::now()));
        let busy = watcher == Watcher::Busy;
        let lease = if let Watcher::Callers(lease) = watcher { Some(lease) } else { None };
        let leaves = busy || lease.is_some();
        let longest =
            if leaves { [lease, left(sleep.ripens)].into_iter().flatten().min() } else { left(sleep.until) };
        let alarm = if busy { engine.watch.set_alarm(clock::now()) } else { -1 };
        let readable = sleep.readable && watcher == Watcher::Io;
        let events = if readable { libc::POLLIN } else { 0 } | if sleep.writable { libc::POLLOUT } else { 0 };
        let device = if events == 0 { -1 } else { sleep.device.unwrap_or(-1) };
        let mut entries = [
            PollFd { fd: engine.bell.descriptor(), events: libc::POLLIN, revents: 0 },
            PollFd { fd: device, events, revents: 0 },
            PollFd { fd: Bridges::descriptor(engine).unwrap_or(-1), events: libc::POLLIN, revents: 0 },
            PollFd { fd: alarm, events: libc::POLLIN, revents: 0 },
        ];
        let [bell, by_device, by_bridges, _] = match poll(&mut entries, longest) {
            Ok(_) => entries.map(|entry| entry.revents != 0),
            Err(_) => [false; 4],
        };
        if busy {
            engine.watch.stop_alarm(seen);
        }
        let nudged = bell && !engine.bell.was_rung();
        let called = bell && !nudged || by_bridges || by_device && sleep.writable;
        let quiet = !by_device && !nudged;
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= clock::now());
        let over = called || quiet && (!leaves || passed(sleep.ripens));
        if !over {
            watcher = engine.watch.whose(seen);
        }
        // Callers who have run turns since the look before have run the timers.
        let due = quiet && !matches!(watcher, Watcher::Callers(_) | Watcher::Busy) && passed(sleep.until);
        // What has woken a caller too is the caller's.
        if over || due || by_device && watcher == Watcher::Io {
            engine.bell.awake(bell);
            return Woken { by_device, by_bridges };
        }
    }
}

/// What the holder of the Turn left for after unlocking.
pub(super) fn deliver(aftermath: &mut Aftermath, outlets: &mut Outlets) {
    for waker in aftermath.wakers.drain(..) {
        waker.wake();
    }
    if !aftermath.captured.is_empty() {
        write_capture(aftermath, outlets);
    }
    write_traces(aftermath, outlets);
    let Some(log) = &outlets.log else {
        aftermath.records.clear();
        aftermath.records_lost = 0;
        return;
    };
    for record in aftermath.records.drain(..) {
        log(&record);
    }
    let lost = std::mem::take(&mut aftermath.records_lost);
    if lost > 0 {
        let text = format!("{lost} log records were lost");
        log(&Record { at: outlets.clock.now(), level: Level::Warn, text });
    }
}

/// Writes to the traces; one that cannot be written to is given up, and the log says so.
fn write_traces(aftermath: &mut Aftermath, outlets: &mut Outlets) {
    let now = outlets.clock.now();
    let Aftermath { begun, events, .. } = aftermath;
    for error in outlets.traces.deliver(now, begun, events, &outlets.name, &outlets.clock) {
        let text = format!("an event trace cannot be written any more: {error}");
        aftermath.records.push_back(Record { at: now, level: Level::Error, text });
    }
}

/// Writes to the capture file; one that cannot be written to is given up, and the log says so.
fn write_capture(aftermath: &mut Aftermath, outlets: &mut Outlets) {
    let written = outlets.capture.as_ref().map_or(Ok(()), |file| file.write(&aftermath.captured));
    aftermath.captured.clear();
    if let Err(error) = written {
        outlets.capture = None;
        let text = format!("the capture file cannot be written any more: {error}");
        aftermath.records.push_back(Record { at: outlets.clock.now(), level: Level::Error, text });
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
