//! What invariants of a simulated run look at: a connection's own idea of what is under way, and what it waits for.

use super::connection::{Connection, Phase};
use super::{Buffers, State};
use crate::time::{Duration, Instant};

/// A connection at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Its state.
    pub state: State,
    /// ISS.
    pub iss: u32,
    /// SND.UNA.
    pub una: u32,
    /// SND.NXT: behind everything ever sent.
    pub nxt: u32,
    /// Bytes that the sender takes to be in the network.
    pub in_flight: u32,
    /// Bytes that it takes for lost, sent again or not.
    pub lost: u32,
    /// Bytes of copies that it takes to be in the network; `in_flight` counts them.
    pub resent: u32,
    /// Bytes that the peer holds beyond SND.UNA, as far as it has said.
    pub held: u32,
    /// Bytes of the send queue that are not acknowledged.
    pub queued: usize,
    /// When it wants to be called next.
    pub deadline: Option<Instant>,
    /// The most that a retransmission timeout may be.
    pub ceiling: Duration,
}

impl Connection {
    /// What there is to see; `None` once it is closed.
    #[doc(hidden)]
    #[must_use]
    pub fn glance(&self, buffers: &Buffers) -> Option<Glance> {
        let (snd, rtt) = match &self.phase {
            Phase::Opening(opening) => {
                let (una, nxt) = (opening.iss.0, (opening.iss + 1).0);
                return Some(Glance {
                    state: self.state(),
                    iss: una,
                    una,
                    nxt,
                    in_flight: 1,
                    lost: 0,
                    resent: 0,
                    held: 0,
                    queued: buffers.send.len(),
                    deadline: self.poll_timeout(),
                    ceiling: opening.rtt.ceiling(),
                });
            }
            Phase::Open(open) => (&open.snd, &open.rtt),
            Phase::Closed(_) => return None,
        };
        Some(Glance {
            state: self.state(),
            iss: snd.iss.0,
            una: snd.una.0,
            nxt: snd.nxt.0,
            in_flight: snd.flight.pipe(),
            lost: snd.flight.lost(),
            resent: snd.flight.again(),
            held: snd.flight.held(),
            queued: buffers.send.len(),
            deadline: self.poll_timeout(),
            ceiling: rtt.ceiling(),
        })
    }
}
