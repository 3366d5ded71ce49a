//! The bare loop that receives.

use super::super::order::BUFFER;
use super::super::tally::Tally;
use super::TURN;
use super::device::{self, Device};
use super::flow::{Acknowledge, Flow};
use super::packet::{Segment, is_sound};
use crate::Result;
use crate::aligned::Aligned;
use std::time::Duration;

/// Longest sleep: the end of the window has to be told.
const SLEEP: Duration = Duration::from_millis(10);

/// The buffer of an application, which the payload is copied to.
struct Application {
    buffer: Aligned,
    at: usize,
}

impl Application {
    fn new() -> Self {
        Self { buffer: Aligned::zeroed(BUFFER), at: 0 }
    }

    /// Copies to where the last copy ended, or to the beginning if the rest is too short.
    fn copy(&mut self, payload: &[u8]) {
        if self.buffer.len() - self.at < payload.len() {
            self.at = 0;
        }
        self.buffer[self.at..self.at + payload.len()].copy_from_slice(payload);
        self.at += payload.len();
    }
}

/// What a receiver has to do beside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extras {
    /// The application's copy.
    pub(super) copies: bool,
    /// Verifying checksums.
    pub(super) sums: bool,
}

/// Numbers of the connections that are to be acknowledged at the end of a turn.
#[derive(Debug, Default)]
pub(super) struct Owing(Vec<usize>);

impl Owing {
    /// Takes a segment in; the peer is told at once if the rule says so. How many bytes it has brought.
    pub(super) fn take(
        &mut self,
        device: &Device,
        flows: &mut [Flow],
        segment: &Segment<'_>,
        rule: Acknowledge,
    ) -> Result<usize> {
        let index = Flow::index(segment.port);
        let Some(flow) = flows.get_mut(index) else { return Ok(0) };
        flow.hear_of(segment)?;
        if flow.is_plain_acknowledgement(segment) {
            return Ok(0);
        }
        if rule == Acknowledge::Every64KiB && flow.would_stretch(segment) {
            flow.acknowledge(device)?;
        }
        if !flow.listed {
            flow.listed = true;
            self.0.push(index);
        }
        Ok(if flow.take(segment) { segment.payload.len() } else { 0 })
    }

    /// Acknowledges.
    pub(super) fn settle(&mut self, device: &Device, flows: &mut [Flow]) -> Result<()> {
        for index in self.0.drain(..) {
            flows[index].listed = false;
            flows[index].acknowledge(device)?;
        }
        Ok(())
    }
}

/// Receives on all connections, for ever.
pub(super) fn run(
    device: &Device,
    mut flows: Vec<Flow>,
    rule: Acknowledge,
    extras: Extras,
    mut tally: Tally,
) -> Result<()> {
    let mut application = extras.copies.then(Application::new);
    let (mut buffer, mut owing) = (device::buffer(), Owing::default());
    loop {
        let mut read = 0;
        while read < TURN {
            let Some(packet) = device.read(&mut buffer)? else { break };
            read += 1;
            if extras.sums && !is_sound(packet) {
                continue;
            }
            let Some(segment) = Segment::parse(packet) else { continue };
            let taken = owing.take(device, &mut flows, &segment, rule)?;
            if let Some(application) = application.as_mut().filter(|_| taken > 0) {
                application.copy(segment.payload);
            }
            tally.add(Flow::index(segment.port), taken as u64);
        }
        owing.settle(device, &mut flows)?;
        tally.look()?;
        if read < TURN {
            device.wait(SLEEP)?;
        }
    }
}
