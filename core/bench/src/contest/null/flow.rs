//! One connection of the bare loop.

use super::device::{self, Device};
use super::packet::{ACK, FIN, Head, PSH, RST, SCALE, SYN, Segment, add, syn_options};
use crate::Result;
use std::time::{Duration, Instant};

/// Our first port.
const FIRST_PORT: u16 = 10_000;

/// Most bytes that one acknowledgement stands for.
const STRETCH: u32 = 64 << 10;

/// How long a SYN is waited for before it goes again: the first packets after a device was attached may be lost.
const SYN_AGAIN: Duration = Duration::from_millis(100);

/// Longest that a connection may take to open.
const OPENS_WITHIN: Duration = Duration::from_secs(10);

/// When a receiver acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acknowledge {
    /// At the end of a turn, and whenever 64 KiB would be exceeded.
    Every64KiB,
    /// At the end of a turn.
    OnceATurn,
}

/// A connection.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    from: u16,
    to: u16,
    /// First byte that the peer has not acknowledged.
    una: u32,
    /// Next byte to send.
    nxt: u32,
    /// Next byte to come.
    expected: u32,
    /// Bytes that came and are not acknowledged.
    owed: u32,
    /// It is on the list of those to be acknowledged.
    pub(super) listed: bool,
    /// What we offer, as it stands in a header.
    offered: u16,
    /// Bytes behind `una` that the peer takes.
    window: u32,
    scale: u8,
}

impl Flow {
    /// Number of the connection that a port belongs to.
    pub(super) fn index(port: u16) -> usize {
        usize::from(port.wrapping_sub(FIRST_PORT))
    }

    /// Opens connection number `index` to a port of the peer, offering a window of so many bytes.
    pub(super) fn connect(device: &Device, index: usize, to: u16, window: usize) -> Result<Self> {
        let isn = 1_000_000 * (index as u32 + 1);
        let mut flow = Self {
            from: FIRST_PORT + index as u16,
            to,
            una: isn,
            nxt: isn,
            expected: 0,
            owed: 0,
            listed: false,
            offered: u16::try_from(window >> SCALE).unwrap_or(u16::MAX),
            window: 0,
            scale: 0,
        };
        let until = Instant::now() + OPENS_WITHIN;
        while Instant::now() < until {
            flow.send_syn(device)?;
            if flow.hear(device)? {
                flow.acknowledge(device)?;
                return Ok(flow);
            }
        }
        Err("the peer does not answer".into())
    }

    fn send_syn(&self, device: &Device) -> Result<()> {
        let options = syn_options(device.mss);
        let head = Head { flags: SYN, window: u16::MAX, ack: 0, ..self.head(0) };
        let sum = (!device.offload).then(|| add(&options));
        device.write(&head.bytes(options.len(), 0, device.mss, sum), &options)
    }

    /// Waits for the answer to a SYN; what belongs to other connections is not important yet.
    fn hear(&mut self, device: &Device) -> Result<bool> {
        let mut buffer = device::buffer();
        while device.wait(SYN_AGAIN)? {
            let Some(packet) = device.read(&mut buffer)? else { continue };
            let Some(segment) = Segment::parse(packet).filter(|segment| segment.port == self.from) else {
                continue;
            };
            if segment.flags & (SYN | ACK) == SYN | ACK {
                self.scale = segment.scale();
                (self.una, self.nxt) = (segment.ack, segment.ack);
                self.expected = segment.seq.wrapping_add(1);
                self.window = segment.window.into();
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn head(&self, flags: u8) -> Head {
        Head {
            from: self.from,
            to: self.to,
            seq: self.nxt,
            ack: self.expected,
            flags: ACK | flags,
            window: self.offered,
        }
    }

    /// Acknowledges all that came.
    pub(super) fn acknowledge(&mut self, device: &Device) -> Result<()> {
        self.owed = 0;
        device.write(&self.head(0).bytes(0, 0, device.mss, (!device.offload).then_some(0)), &[])
    }

    /// Sends a payload whose words add up to `sum`.
    pub(super) fn send(&mut self, device: &Device, payload: &[u8], sum: u32) -> Result<()> {
        let sum = (!device.offload).then_some(sum);
        let head = self.head(PSH).bytes(0, payload.len(), device.mss, sum);
        device.write(&head, payload)?;
        self.nxt = self.nxt.wrapping_add(payload.len() as u32);
        self.owed = 0;
        Ok(())
    }

    /// Takes note of what a segment says about what we sent. An end is an error: the peer has none.
    pub(super) fn hear_of(&mut self, segment: &Segment<'_>) -> Result<()> {
        if segment.flags & (RST | FIN) != 0 {
            return Err("the peer has ended a connection".into());
        }
        let behind = |first: u32, second: u32| first.wrapping_sub(second).cast_signed() < 0;
        if !behind(segment.ack, self.una) {
            self.una = segment.ack;
            self.window = u32::from(segment.window) << self.scale;
        }
        // After going back something may be acknowledged that was sent before.
        if behind(self.nxt, self.una) {
            self.nxt = self.una;
        }
        Ok(())
    }

    /// Takes a segment's payload; false: it is not the next, and the peer has to be told what is.
    pub(super) fn take(&mut self, segment: &Segment<'_>) -> bool {
        if segment.seq != self.expected {
            return false;
        }
        let length = segment.payload.len() as u32;
        self.expected = self.expected.wrapping_add(length);
        self.owed += length;
        true
    }

    /// Whether a segment has nothing that is to be acknowledged.
    pub(super) fn is_plain_acknowledgement(&self, segment: &Segment<'_>) -> bool {
        segment.payload.is_empty() && segment.seq == self.expected
    }

    /// Whether with a segment's payload more would be owed than one acknowledgement may stand for.
    pub(super) fn would_stretch(&self, segment: &Segment<'_>) -> bool {
        self.owed > 0 && self.owed + segment.payload.len() as u32 > STRETCH
    }

    /// Bytes that may be sent now, whole segments and `full` at most; less than that only while it is half of what the peer takes, or nothing is in flight.
    pub(super) fn room(&self, full: usize, mss: u16) -> usize {
        let flying = self.flying();
        let free = self.window.saturating_sub(flying) as usize / usize::from(mss) * usize::from(mss);
        let enough = full.min(self.window as usize / 2);
        if free >= enough || flying == 0 { free.min(full) } else { 0 }
    }

    /// What is in flight goes again.
    pub(super) fn go_back(&mut self) {
        self.nxt = self.una;
    }

    fn flying(&self) -> u32 {
        self.nxt.wrapping_sub(self.una)
    }
}
