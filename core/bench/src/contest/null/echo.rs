//! The bare loop that sends back what comes.

use super::TURN;
use super::device::{self, Device};
use super::flow::{Acknowledge, Flow};
use super::packet::{Segment, add};
use super::receive::Owing;
use crate::Result;
use std::time::Duration;

/// Nothing but packets wakes these loops.
const SLEEP: Duration = Duration::from_secs(3600);

/// On one connection. It sleeps after each answer without looking whether there is more.
pub(super) fn run(device: &Device, mut flows: Vec<Flow>) -> Result<()> {
    let mut buffer = device::buffer();
    loop {
        device.wait(SLEEP)?;
        let Some(segment) = device.read(&mut buffer)?.and_then(Segment::parse) else { continue };
        if let Some(flow) = flows.get_mut(Flow::index(segment.port)) {
            answer(device, flow, &segment)?;
        }
    }
}

/// On the first of two connections, while it receives on the second.
pub(super) fn beside(device: &Device, mut flows: Vec<Flow>, rule: Acknowledge) -> Result<()> {
    let (mut buffer, mut owing) = (device::buffer(), Owing::default());
    loop {
        let mut read = 0;
        while read < TURN {
            let Some(packet) = device.read(&mut buffer)? else { break };
            read += 1;
            let Some(segment) = Segment::parse(packet) else { continue };
            if Flow::index(segment.port) == 0 {
                answer(device, &mut flows[0], &segment)?;
            } else {
                owing.take(device, &mut flows, &segment, rule)?;
            }
        }
        owing.settle(device, &mut flows)?;
        if read < TURN {
            device.wait(SLEEP)?;
        }
    }
}

/// Sends a segment's payload back, which acknowledges it as well.
fn answer(device: &Device, flow: &mut Flow, segment: &Segment<'_>) -> Result<()> {
    flow.hear_of(segment)?;
    if flow.is_plain_acknowledgement(segment) {
        return Ok(());
    }
    if flow.take(segment) && !segment.payload.is_empty() {
        return flow.send(device, segment.payload, add(segment.payload));
    }
    flow.acknowledge(device)
}
