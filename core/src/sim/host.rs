//! A stack and the device it is on.

use crate::config::Config;
use crate::error::Error;
use crate::link::segment::{complete, from_frame, to_frame};
use crate::link::{Device, DeviceError, Frame, FrameMeta, Sent, Transmit};
use crate::stack::{LinkState, Stack};
use crate::time::Instant;
use crate::trace::qlog::Writer;
use crate::trace::{Drained, Log, Sink};
use bytes::BytesMut;
use std::fmt;
use std::task::Waker;

/// Frames taken from the device in one turn.
const FRAMES_PER_TURN: usize = 256;

/// Bytes taken in one turn: an acknowledgement stretches over no more, as in the engine.
const ACK_BYTES: usize = 64 << 10;

/// Which way a packet passes a host's device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The host receives it.
    In,
    /// The host has sent it.
    Out,
}

/// Is shown every packet that passes a host's device, as a capture made on the host would show it: checksums computed, super-frames whole.
pub type Tap = Box<dyn FnMut(Instant, Way, &[u8]) + Send>;

/// A simulated host.
pub struct Host {
    /// The stack.
    pub stack: Stack,
    /// Who is shown every packet.
    pub tap: Option<Tap>,
    device: Box<dyn Device>,
    page: BytesMut,
    /// A packet that the device would not take.
    kept: Option<Transmit>,
    wakers: Vec<Waker>,
    /// The event trace, if it was asked for.
    trace: Option<Collected>,
}

/// An event trace in memory.
struct Collected {
    writer: Writer,
    lines: Vec<u8>,
    drained: Drained,
}

impl Host {
    /// A host with `config` on `device`. Errors as [`Stack::new`].
    pub fn new(config: Config, device: Box<dyn Device>) -> Result<Self, Error> {
        let stack = Stack::new(config, device.capabilities(), Log::new(None))?;
        let page = BytesMut::with_capacity(device.spare());
        Ok(Self { stack, tap: None, device, page, kept: None, wakers: Vec::new(), trace: None })
    }

    /// Traces every connection from now on: lines of JSON, in which times are those of the virtual clock. `title` is what the run is called.
    pub fn trace(&mut self, now: Instant, title: &str) {
        let mut lines = Vec::new();
        let writer = Writer::begin(title, "simulated", now, now.as_nanos(), &mut lines);
        self.trace = Some(Collected { writer, lines, drained: Drained::default() });
        self.stack.trace(now, Some(Sink::new(0)));
    }

    /// Takes what the trace has told since it was last asked.
    pub fn traced(&mut self) -> Vec<u8> {
        self.collect();
        self.trace.as_mut().map(|trace| std::mem::take(&mut trace.lines)).unwrap_or_default()
    }

    fn collect(&mut self) {
        let Some(trace) = &mut self.trace else { return };
        self.stack.events().drain(&mut trace.drained);
        trace.writer.write_all(&mut trace.drained, &mut trace.lines);
    }

    /// One turn, as the engine runs it: receive, timers, transmit, publish. Whether a frame went in or out, or a cell was brought up to date.
    pub fn turn(&mut self, now: Instant) -> bool {
        let received = self.receive(now);
        self.stack.handle_timeout(now);
        let sent = self.transmit(now);
        let news = self.stack.has_news();
        self.stack.publish(now, &mut self.wakers);
        self.wakers.drain(..).for_each(Waker::wake);
        self.collect();
        received || sent || news
    }

    /// When the next turn is due.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        [self.stack.poll_timeout(), self.device.poll_timeout()].into_iter().flatten().min()
    }

    fn receive(&mut self, now: Instant) -> bool {
        let (mut any, mut bytes) = (false, 0);
        for _ in 0..FRAMES_PER_TURN {
            match self.device.recv(now, &mut self.page) {
                Ok(Some(frame)) => {
                    any = true;
                    if let Some(tap) = &mut self.tap {
                        received(tap, now, &frame);
                    }
                    let length = frame.bytes.len();
                    bytes += length;
                    self.stack.handle_frame(now, frame);
                    // One more like this would stretch too far.
                    if bytes + length > ACK_BYTES {
                        break;
                    }
                }
                Ok(None) | Err(DeviceError::Refused(_)) => break,
                Err(DeviceError::Down) => return self.link(now, LinkState::Down, any),
                Err(DeviceError::Gone(_)) => return self.link(now, LinkState::Gone, any),
            }
        }
        any
    }

    fn transmit(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(transmit) = self.kept.take().or_else(|| self.stack.poll_transmit(now)) {
            match self.device.send(now, &transmit) {
                Ok(Sent::Taken) => {
                    any = true;
                    if let Some(tap) = &mut self.tap {
                        sent(tap, now, transmit);
                    }
                }
                Ok(Sent::WouldBlock) => {
                    self.kept = Some(transmit);
                    break;
                }
                Err(DeviceError::Refused(_)) => {}
                Err(DeviceError::Down) => return self.link(now, LinkState::Down, any),
                Err(DeviceError::Gone(_)) => return self.link(now, LinkState::Gone, any),
            }
        }
        any
    }

    fn link(&mut self, now: Instant, state: LinkState, moved: bool) -> bool {
        self.stack.handle_link(now, state);
        moved
    }
}

fn received(tap: &mut Tap, now: Instant, frame: &Frame) {
    if frame.meta == FrameMeta::default() {
        tap(now, Way::In, &frame.bytes);
        return;
    }
    let mut packet = from_frame(frame);
    complete(&mut packet);
    tap(now, Way::In, &to_frame(&packet).bytes);
}

fn sent(tap: &mut Tap, now: Instant, mut packet: Transmit) {
    complete(&mut packet);
    tap(now, Way::Out, &to_frame(&packet).bytes);
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("stack", &self.stack).field("kept", &self.kept).finish_non_exhaustive()
    }
}
