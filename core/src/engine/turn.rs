//! The Turn: one stack and its device, worked by one holder at a time.

mod exchange;
mod row;

use super::audience::{Audience, Depth};
use super::capture::Capture;
use super::crew::Mates;
use super::trace::{Begun, NUMBER_BITS};
use crate::buffer::{PagePool, SocketId};
use crate::counters::Counters;
use crate::error::{Errno, Error};
use crate::link::coalesce::Coalescer;
use crate::link::impair::Impairment;
use crate::link::{Device, DeviceError};
use crate::stack::{LinkState, Shutdown, Stack};
use crate::time::Instant;
use crate::trace::{Drained, Level, Record, Sink};
use bytes::BytesMut;
use crossbeam_channel::Receiver;
use exchange::Allowance;
use row::Row;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::fs::File;
use std::task::Waker;

/// A message to the holder that needs no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// A data call on this socket's cell asked for attention.
    Kick(SocketId),
    /// The program has closed this socket.
    Close(SocketId),
    /// The program has shut down a half of the stream that this socket has become.
    Shutdown(SocketId, Shutdown),
    /// The program has closed that stream and left bytes in it.
    CloseUnread(SocketId),
    /// That stream cannot go on, or a connection does not come to its program: reset.
    Abort(SocketId),
    /// That stream is over, since the stack is being closed.
    Finish(SocketId),
    /// This connection has become such a stream behind the back of a listener.
    HandedOver(SocketId),
}

/// One stack, its device, and what is between them.
pub(crate) struct Turn {
    pub(crate) stack: Stack,
    device: Box<dyn Device>,
    link: LinkState,
    /// Packets that are sent in a row; between turns those that the device was too full for.
    row: Row,
    page: BytesMut,
    pages: PagePool,
    /// Merges packets where the device does not.
    coalescer: Option<Coalescer>,
    commands: Receiver<Command>,
    capture: Option<Capture>,
    /// The way to other workers of the same stack.
    mates: Option<Mates>,
    /// Wakers that publishing took, and those who wait for the next turn.
    wakers: Vec<Waker>,
    watchers: Vec<Waker>,
    /// Packets that the device refused.
    refused: u64,
    audience: Audience,
    depth: Depth,
    /// This turn takes one frame from the device, if that is a small one.
    shallow: bool,
    /// What the I/O thread sleeps for, as it said before it did.
    sleeps: Option<Sleep>,
    /// Traces that the I/O thread has not heard of.
    begun: Vec<Begun>,
    /// Traces so far.
    traces: u64,
    /// One may be over, and its file to be closed.
    trace_ends: bool,
}

/// What a caller wakes after letting go: mostly one thread, be it itself.
pub(crate) type Wakers = SmallVec<[Waker; 4]>;

/// What came of a caller's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// The I/O thread has to be rung.
    pub(crate) ring: bool,
    /// The device had something.
    pub(crate) received: bool,
}

/// What a holder does after letting go.
#[derive(Debug, Default)]
pub(crate) struct Aftermath {
    /// To wake.
    pub(crate) wakers: Vec<Waker>,
    /// To write to the capture file.
    pub(crate) captured: Vec<u8>,
    /// To deliver.
    pub(crate) records: VecDeque<Record>,
    /// Records that found the queue full.
    pub(crate) records_lost: u64,
    /// Connections that still have something to say.
    pub(crate) live: usize,
    /// Traces to begin.
    pub(crate) begun: Vec<Begun>,
    /// To write to them.
    pub(crate) events: Drained,
}

/// What the I/O thread does after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another turn at once: this one used up its share.
    Again,
    /// The same, but all that is left to be done is to read the device, which callers may do: then sleep.
    Read(Sleep),
    /// Sleep.
    Sleep(Sleep),
}

/// What ended the sleep before a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// The device has something to tell.
    ByDevice,
    /// The bell, the clock, or nothing.
    Otherwise,
}

/// What to sleep for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sleep {
    /// The device's descriptor, and whether it is to be readable and writable.
    pub(crate) device: Option<i32>,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The next deadline.
    pub(crate) until: Option<Instant>,
    /// When the device has something by itself, which nobody but the I/O thread waits for.
    pub(crate) ripens: Option<Instant>,
}

/// A turn ends after so many frames or bytes in, or its [`Allowance`] out: it publishes once, and others get in.
const FRAMES_MAX: usize = 128;
const BYTES_MAX: usize = 512 << 10;
/// The same for the turn of a caller, who copies them out next: they are in the caches still. They are counted after each acknowledgement: two super-frames,
/// or 86 packets of 1500 bytes.
const BYTES_CALLER: usize = 64 << 10;
/// Acknowledgements stretch over no more than this many bytes (RFC 9293 3.8.6.3 as receive offload has it).
const ACK_BYTES: usize = 64 << 10;
/// Packets written in a row before the device is read again, so that its queue of answers does not overflow: no more than a turn takes in acknowledgements of,
/// one for every two.
const ROW: usize = 2 * FRAMES_MAX;

/// Most packets of the last turn: a RST for every connection that there is room for.
const LAST_PACKETS: usize = 1 << 16;

/// What a turn leaves to be done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    /// Frames in the device, perhaps.
    Frames,
    /// More than that.
    Packets,
}

/// Whether a device has more now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Supply {
    Dry,
    More,
}

impl Turn {
    pub(crate) fn new(
        stack: Stack,
        device: Box<dyn Device>,
        pages: PagePool,
        commands: Receiver<Command>,
        capture: Option<Capture>,
    ) -> Self {
        let link = device.capabilities();
        let whole = link.tso4 || link.tso6;
        Self {
            stack,
            device,
            link: LinkState::Up,
            row: Row::default(),
            page: BytesMut::new(),
            pages,
            coalescer: (!whole).then(Coalescer::default),
            commands,
            capture,
            mates: None,
            wakers: Vec::new(),
            watchers: Vec::new(),
            refused: 0,
            audience: Audience::new(),
            depth: Depth::default(),
            shallow: false,
            sleeps: None,
            begun: Vec::new(),
            traces: 0,
            trace_ends: false,
        }
    }

    /// Makes it one of several workers of a stack, by this number.
    pub(super) fn join(&mut self, mates: Mates, worker: u32) {
        self.mates = Some(mates);
        // No two workers give the same number to a trace.
        self.traces = u64::from(worker) << NUMBER_BITS;
    }

    /// Other faults between stack and device.
    pub(crate) fn impair(&mut self, outgoing: Impairment, incoming: Impairment) -> Result<(), Error> {
        self.device.impair(outgoing, incoming)
    }

    /// Says in the log that the stack has been opened on the device called `name`.
    pub(crate) fn begin(&mut self, now: Instant, name: &str) {
        let capabilities = self.device.capabilities();
        self.stack.log().record(now, Level::Info, || {
            let name = if name.is_empty() { "a descriptor" } else { name };
            let offload = if capabilities.tso4 || capabilities.tso6 { "with" } else { "without" };
            format!("opened on {name}, MTU {}, {offload} segmentation offload", capabilities.mtu)
        });
    }

    /// A bounded share of everything there is to do; then publishes once. `called`: the device ended the sleep before.
    pub(crate) fn run(&mut self, now: Instant, called: Called) -> Next {
        let left = self.work(now, called, BYTES_MAX);
        if left == Left::Packets {
            return Next::Again;
        }
        let sleep = self.wish();
        self.sleeps = Some(sleep);
        if left == Left::Frames { Next::Read(sleep) } else { Next::Sleep(sleep) }
    }

    /// The same by a calling thread, in the I/O thread's place.
    pub(crate) fn serve(&mut self, now: Instant) -> Served {
        let frames = self.stack.counters().frames_in;
        self.shallow = self.depth.is_shallow();
        let left = self.work(now, Called::Otherwise, BYTES_CALLER);
        let frames = self.stack.counters().frames_in - frames;
        self.depth.found(frames, std::mem::take(&mut self.shallow));
        Served { ring: self.wants_io(left == Left::Packets), received: frames > 0 }
    }

    /// Acknowledgements leave before anybody is woken: a thread that wakes may take this one's CPU, and the peer would wait for it.
    fn work(&mut self, now: Instant, called: Called, bytes_max: usize) -> Left {
        self.obey_commands(now);
        if self.link == LinkState::Down && called == Called::ByDevice {
            self.set_link(now, LinkState::Up, Level::Info, "the link is up again".to_owned());
        }
        let handed = self.take_foreign(now);
        let mut allowance = Allowance::turn();
        let exchanged = self.exchange(now, bytes_max, &mut allowance);
        self.stack.handle_timeout(now);
        let sent = self.transmit(now, &mut allowance);
        self.publish(now);
        self.wakers.append(&mut self.watchers);
        match (handed, sent, exchanged) {
            (Supply::More, _, _) | (_, Supply::More, _) => Left::Packets,
            (_, _, Supply::More) => Left::Frames,
            _ => Left::Nothing,
        }
    }

    /// Takes packets that other workers have received for this one.
    fn take_foreign(&mut self, now: Instant) -> Supply {
        let mut unacknowledged = 0;
        for _ in 0..FRAMES_MAX {
            let Some(foreign) = self.mates.as_ref().and_then(Mates::take) else { return Supply::Dry };
            let length = foreign.len();
            self.stack.handle_foreign(now, foreign);
            unacknowledged += length;
            if unacknowledged + length > ACK_BYTES {
                let _ = self.transmit(now, &mut Allowance::turn());
                unacknowledged = 0;
            }
        }
        Supply::More
    }

    /// Hands to other workers what is for them.
    fn hand_out(&mut self, now: Instant) {
        if let Some(mates) = &self.mates {
            mates.hand_out(now, &mut self.stack);
        }
    }

    fn publish(&mut self, now: Instant) {
        let before = self.wakers.len();
        self.stack.publish(now, &mut self.wakers);
        self.hand_out(now);
        // What has to be sent for it is sent by now.
        let own = self.stack.take_cut();
        if let Some(capture) = self.capture.as_mut().filter(|capture| capture.keeps())
            // What led to it may have come by any worker's queue.
            && self.mates.as_mut().map_or(own, |mates| mates.is_cut(own))
        {
            capture.let_out();
        }
        self.audience.note(&self.wakers[before..]);
    }

    fn wish(&self) -> Sleep {
        Sleep {
            device: self.device.descriptor(),
            readable: self.link == LinkState::Up,
            // A link that is down shows by being writable that it is up again.
            writable: self.link == LinkState::Down || !self.row.is_empty(),
            until: self.deadline(),
            ripens: self.ripens(),
        }
    }

    /// Whether a caller may sleep on the device in the I/O thread's place: there is something to read, and one thread that reads.
    pub(crate) fn lets_callers_watch(&self) -> bool {
        self.link == LinkState::Up && self.audience.is_one()
    }

    /// The last turn: resets what still lives. There is none after it.
    pub(crate) fn end(&mut self, now: Instant) -> Option<Next> {
        let live = self.stack.live_connections();
        self.stack.log().record(now, Level::Info, || format!("closed, {live} connections reset"));
        self.stack.abort_all(now);
        let _ = self.transmit(now, &mut Allowance::of(LAST_PACKETS, usize::MAX));
        self.publish(now);
        self.wakers.append(&mut self.watchers);
        None
    }

    /// Sends and publishes what a call caused. Whether the I/O thread has to be rung.
    pub(crate) fn flush(&mut self, now: Instant) -> bool {
        let sent = self.transmit(now, &mut Allowance::turn());
        self.publish(now);
        self.wants_io(sent == Supply::More)
    }

    /// Whether the I/O thread has something to do, or sleeps for too long or for the wrong thing.
    fn wants_io(&mut self, more: bool) -> bool {
        let wish = self.wish();
        let asleep = self.sleeps.is_some_and(|sleeps| {
            let earlier = |wish: Option<Instant>, sleeps: Option<Instant>| {
                wish.is_some_and(|wish| sleeps.is_none_or(|sleeps| wish < sleeps))
            };
            // What it sleeps for may have passed while callers saw to it, but not what the device has by itself.
            earlier(wish.until, sleeps.until)
                || earlier(wish.ripens, sleeps.ripens)
                || wish.readable != sleeps.readable
                || wish.writable && !sleeps.writable
        });
        let captured = self.capture.as_ref().is_some_and(|capture| !capture.is_empty());
        let told = captured || !self.stack.log().is_empty();
        let traced = self.trace_ends || !self.stack.events().is_empty();
        let handed = self.mates.as_ref().is_some_and(|mates| !mates.is_empty());
        more || asleep || !self.commands.is_empty() || told || traced || handed
    }

    /// Traces every connection to `file`, or none any more; the sink is for other workers.
    pub(crate) fn trace(&mut self, now: Instant, file: Option<File>) -> Option<Sink> {
        let sink = file.map(|file| self.begin_trace(now, file));
        self.trace_to(now, sink.clone());
        sink
    }

    /// Traces every connection to what another worker has begun, or none any more.
    pub(crate) fn trace_to(&mut self, now: Instant, sink: Option<Sink>) {
        self.trace_ends = true;
        self.stack.trace(now, sink);
    }

    /// Traces one connection to `file`, or those that a listener accepts; or no more.
    pub(crate) fn trace_socket(
        &mut self,
        now: Instant,
        id: SocketId,
        file: Option<File>,
    ) -> Result<(), Errno> {
        self.trace_ends = true;
        let sink = file.map(|file| self.begin_trace(now, file));
        self.stack.trace_socket(now, id, sink)
    }

    /// A trace that is written to `file`; the sink for its events.
    fn begin_trace(&mut self, at: Instant, file: File) -> Sink {
        self.traces += 1;
        let sink = Sink::new(self.traces);
        self.begun.push(Begun { sink: sink.clone(), file, at });
        sink
    }

    /// Totals, with what the device refused.
    pub(crate) fn counters(&self) -> Counters {
        let mut counters = self.stack.counters().clone();
        counters.frames_out_failed = counters.frames_out_failed.saturating_add(self.refused);
        counters
    }

    /// Takes what a capture has kept, and what of it waits to be written.
    pub(crate) fn take_captured(&mut self) -> Vec<u8> {
        let mut captured = Vec::new();
        if let Some(capture) = &mut self.capture {
            capture.let_out();
            capture.swap(&mut captured);
        }
        captured
    }

    /// Registers a waker for the end of the next turn.
    pub(crate) fn watch(&mut self, waker: &Waker) {
        if !self.watchers.iter().any(|known| known.will_wake(waker)) {
            self.watchers.push(waker.clone());
        }
    }

    /// Has the watchers look after this control call as they do after a turn. A watcher's own look does not: two would keep each other awake.
    pub(crate) fn wake_watchers(&mut self) {
        self.wakers.append(&mut self.watchers);
    }

    /// Takes the wakers to wake.
    pub(crate) fn take_wakers(&mut self, wakers: &mut Wakers) {
        wakers.extend(self.wakers.drain(..));
    }

    /// Moves everything that waits for the holder to let go to `aftermath`.
    pub(crate) fn take_aftermath(&mut self, aftermath: &mut Aftermath) {
        std::mem::swap(&mut aftermath.wakers, &mut self.wakers);
        aftermath.live = self.stack.live_connections();
        if let Some(capture) = &mut self.capture {
            capture.swap(&mut aftermath.captured);
        }
        aftermath.begun.append(&mut self.begun);
        self.trace_ends = false;
        self.stack.events().drain(&mut aftermath.events);
        if !self.stack.log().is_empty() {
            (aftermath.records, aftermath.records_lost) = self.stack.log().drain();
        }
    }

    /// Does what data calls and close left to be done. Before a control call too: who has closed a listener may bind its port again.
    pub(crate) fn obey_commands(&mut self, now: Instant) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Kick(id) => self.stack.handle_kick(now, id),
                Command::Close(id) => self.stack.close(now, id),
                Command::CloseUnread(id) => self.stack.close_unread(now, id),
                Command::Finish(id) => self.stack.finish(now, id),
                Command::HandedOver(id) => self.stack.handed_over(id),
                // One that is over by itself is not connected.
                Command::Shutdown(id, how) => {
                    let _ = self.stack.shutdown(now, id, how);
                }
                Command::Abort(id) => {
                    let _ = self.stack.abort(now, id);
                }
            }
        }
    }

    fn refuse(&mut self, now: Instant, errno: Errno) {
        self.refused = self.refused.saturating_add(1);
        self.stack.log().record(now, Level::Debug, || format!("the device refused a packet: {errno}"));
    }

    fn lose_link(&mut self, now: Instant, error: &DeviceError) {
        let (state, level, text) = match error {
            DeviceError::Refused(errno) => return self.refuse(now, *errno),
            DeviceError::Down => (LinkState::Down, Level::Warn, "the link is down".to_owned()),
            DeviceError::Gone(error) => {
                (LinkState::Gone, Level::Error, format!("the device is gone: {error}"))
            }
        };
        self.set_link(now, state, level, text);
    }

    fn set_link(&mut self, now: Instant, state: LinkState, level: Level, text: String) {
        self.link = state;
        self.row.clear();
        self.stack.log().record(now, level, || text);
        self.stack.handle_link(now, state);
    }

    fn deadline(&self) -> Option<Instant> {
        [self.stack.poll_timeout(), self.ripens()].into_iter().flatten().min()
    }

    /// When the device has something by itself, as one with impairments does.
    fn ripens(&self) -> Option<Instant> {
        if self.link == LinkState::Up { self.device.poll_timeout() } else { None }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
