//! The bare loop that sends.

use super::super::order::BUFFER;
use super::TURN;
use super::device::{self, Device};
use super::flow::Flow;
use super::packet::Segment;
use crate::Result;
use crate::aligned::Aligned;
use std::time::Duration;

/// Most packets that are sent before acknowledgements are looked for.
const BURST: usize = 16;

/// How long nothing is heard before what is in flight goes again.
const AGAIN: Duration = Duration::from_millis(200);

/// What is sent: zeroes, whose checksum is no work.
struct Source {
    /// What the device writes from.
    frame: Aligned,
    /// Where an application would have it, and up to where it was sent.
    application: Option<(Aligned, usize)>,
}

impl Source {
    /// The next bytes, copied from the application if there is one.
    fn next(&mut self, length: usize) -> &[u8] {
        if let Some((buffer, at)) = &mut self.application {
            if buffer.len() - *at < length {
                *at = 0;
            }
            self.frame[..length].copy_from_slice(&buffer[*at..*at + length]);
            *at += length;
        }
        &self.frame[..length]
    }
}

/// Sends on all connections, for ever.
pub(super) fn run(device: &Device, mut flows: Vec<Flow>, copies: bool) -> Result<()> {
    let segments = if device.offload { usize::from(u16::MAX - 40) / usize::from(device.mss) } else { 1 };
    let full = segments * usize::from(device.mss);
    let application = copies.then(|| (Aligned::zeroed(BUFFER), 0));
    let mut source = Source { frame: Aligned::zeroed(full), application };
    let (count, mut buffer, mut next) = (flows.len(), device::buffer(), 0);
    loop {
        let mut sent = 0;
        // Round after round as long as somebody has room.
        let mut refused = 0;
        while sent < BURST && refused < count {
            let flow = &mut flows[next];
            next = (next + 1) % count;
            let length = flow.room(full, device.mss);
            if length == 0 {
                refused += 1;
                continue;
            }
            refused = 0;
            flow.send(device, source.next(length), 0)?;
            sent += 1;
        }
        let mut read = 0;
        while read < TURN {
            let Some(packet) = device.read(&mut buffer)? else { break };
            read += 1;
            let Some(segment) = Segment::parse(packet) else { continue };
            if let Some(flow) = flows.get_mut(Flow::index(segment.port)) {
                flow.hear_of(&segment)?;
            }
        }
        if sent == 0 && read == 0 && !device.wait(AGAIN)? {
            flows.iter_mut().for_each(Flow::go_back);
        }
    }
}
