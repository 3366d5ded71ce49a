//! The bare loop: it reads and writes a TUN and acknowledges. What it cannot do, no stack over this device can.
//!
//! It knows one peer, which loses nothing, and no timer but one that sends again what was not acknowledged, so that an accident does not end a run.

mod device;
mod echo;
mod flow;
mod packet;
mod receive;
mod send;

use super::order::{Order, Role};
use super::tally::{Tally, say};
use crate::Result;
use device::Device;
use flow::{Acknowledge, Flow};
use receive::Extras;

/// Bytes that the peer may send ahead of what is acknowledged.
const WINDOW: usize = 4 << 20;

/// The same of all connections together: what the queue of a TUN takes with packets of 1500 bytes, with room to spare, since it drops what it cannot take.
const WINDOWS_PLAIN: usize = 9 << 20;

/// And where each entry of that queue is a super-frame.
const WINDOWS: usize = 64 << 20;

/// Packets read in one turn.
const TURN: usize = 64;

/// Runs as the order says, for ever.
pub(super) fn run(order: &Order) -> Result<()> {
    let device = Device::open(order);
    let all = if order.offload { WINDOWS } else { WINDOWS_PLAIN };
    let window = WINDOW.min(all / order.connections.max(1));
    let mut flows = Vec::with_capacity(order.connections);
    for index in 0..order.connections {
        flows.push(Flow::connect(&device, index, order.port(index), window)?);
    }
    say("open")?;
    let sums = order.who == "null+sum";
    let copies = sums || order.who == "null+copy";
    let acknowledge = match order.who.as_str() {
        "null-stretch" => Acknowledge::OnceATurn,
        _ => Acknowledge::Every64KiB,
    };
    match order.role {
        Role::Receive => {
            let tally = Tally::start(order, order.connections);
            receive::run(&device, flows, acknowledge, Extras { copies, sums }, tally)
        }
        Role::Send => send::run(&device, flows, copies),
        Role::Echo => echo::run(&device, flows),
        Role::Beside => echo::beside(&device, flows, acknowledge),
        Role::Churn | Role::Idle | Role::TimeOut => {
            Err(format!("a bare loop has no part in {}", order.role).into())
        }
    }
}

#[cfg(test)]
mod tests;
